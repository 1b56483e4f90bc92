-- Who failed to log in, from where, how often.
-- Needs the event CONNECT. Parameters, in this order:
--   first day, last day   such as '2026-03-01', '2026-03-31' (UTC, both included)
SELECT
    day,
    user_name,
    client_host,
    server_host,
    return_code,
    count(*) AS failures,
    min(event_time) AS first_failure,
    max(event_time) AS last_failure
FROM audit_logs.records
WHERE day BETWEEN ? AND ?
    AND (operation = 'FAILED_CONNECT' OR (operation = 'CONNECT' AND return_code <> 0))
GROUP BY day, user_name, client_host, server_host, return_code
ORDER BY failures DESC, day, user_name
