-- Everything that a user did, in order.
-- Parameters, in this order:
--   first day, last day   such as '2026-03-02', '2026-03-02' (UTC, both included)
--   user                  such as 'ann'
SELECT
    event_time,
    server_host,
    client_host,
    connection_id,
    query_id,
    operation,
    database_name,
    object,
    return_code,
    source_key,
    source_offset
FROM audit_logs.records
WHERE day BETWEEN ? AND ?
    AND user_name = ?
ORDER BY event_us, instance, source_offset
