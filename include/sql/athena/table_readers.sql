-- Who read a table, from where, how often, when first and last.
-- Needs the event TABLE in server_audit_events. Parameters, in this order:
--   first day, last day   such as '2026-03-01', '2026-03-31' (UTC, both included)
--   database, table       such as 'shop', 'customers'
SELECT
    user_name,
    client_host,
    cluster,
    count(*) AS reads,
    min(event_time) AS first_read,
    max(event_time) AS last_read
FROM audit_logs.records
WHERE day BETWEEN ? AND ?
    AND operation = 'READ'
    AND database_name = ?
    AND object = ?
GROUP BY user_name, client_host, cluster
ORDER BY reads DESC, user_name, client_host
