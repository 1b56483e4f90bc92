-- Statements that changed a schema (DDL), in order.
-- Needs QUERY or QUERY_DDL; where there is only TABLE, it shows the tables. Parameters, in this order:
--   first day, last day   such as '2026-03-02', '2026-03-08' (UTC, both included)
SELECT
    event_time,
    server_host,
    user_name,
    client_host,
    operation,
    database_name,
    object AS statement_or_table,
    return_code
FROM audit_logs.records
WHERE day BETWEEN ? AND ?
    AND (
        operation IN ('CREATE', 'ALTER', 'RENAME', 'DROP')
        OR (
            operation = 'QUERY'
            AND coalesce(
                regexp_extract(object, '(?i)^(?:\s|/\*[^!][^*]*\*/)*(create|alter|drop|truncate|rename)\b', 1), ''
            ) <> ''
        )
    )
ORDER BY event_us, instance, source_offset
