-- Who was connected at some time between two moments, and for how long.
-- Needs the event CONNECT. A connection of which no end is known yet has none. Parameters, in this order:
--   first day, last day   whose logins and logouts are looked at, such as '2026-03-01', '2026-03-10': begin as many days before
--                         the moments as a connection may last
--   from, until           such as '2026-03-09 14:00:00', '2026-03-09 15:00:00' (UTC)
WITH events AS (
    SELECT
        instance,
        server_host,
        connection_id,
        user_name,
        client_host,
        operation,
        event_time AS connected_at,
        lead(operation) OVER (PARTITION BY instance, connection_id ORDER BY event_us, source_offset) AS next_operation,
        lead(event_time) OVER (PARTITION BY instance, connection_id ORDER BY event_us, source_offset) AS next_time
    FROM audit_logs.records
    WHERE day BETWEEN ? AND ?
        AND operation IN ('CONNECT', 'DISCONNECT')
),
sessions AS (
    SELECT
        instance,
        server_host,
        connection_id,
        user_name,
        client_host,
        connected_at,
        CASE WHEN next_operation = 'DISCONNECT' THEN next_time END AS disconnected_at
    FROM events
    WHERE operation = 'CONNECT'
)
SELECT user_name, client_host, server_host, connection_id, connected_at, disconnected_at
FROM sessions
WHERE (disconnected_at IS NULL OR disconnected_at >= CAST(? AS timestamp))
    AND connected_at <= CAST(? AS timestamp)
ORDER BY connected_at, connection_id
