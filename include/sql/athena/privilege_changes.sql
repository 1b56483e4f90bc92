-- Statements that changed users, roles and rights (DCL), in order; the server has put stars in place of passwords.
-- Needs QUERY or QUERY_DCL. Parameters, in this order:
--   first day, last day   such as '2026-03-02', '2026-03-08' (UTC, both included)
SELECT
    event_time,
    server_host,
    user_name,
    client_host,
    object AS statement,
    return_code
FROM audit_logs.records
WHERE day BETWEEN ? AND ?
    AND operation = 'QUERY'
    AND coalesce(
        regexp_extract(
            object,
            '(?i)^(?:\s|/\*[^!][^*]*\*/)*'
            || '(grant|revoke|(?:create|alter|drop|rename)\s+(?:user|role)|set\s+(?:password|default\s+role))\b',
            1
        ),
        ''
    ) <> ''
ORDER BY event_us, instance, source_offset
