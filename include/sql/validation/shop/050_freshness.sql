-- The newest order is not older than @freshness_hours (a week, if that is not set) at @moment (UTC; now, if that is not set).
SELECT 'newest order' AS name,
  COALESCE(newest >= COALESCE(@moment, UTC_TIMESTAMP()) - INTERVAL allowed_h HOUR, 0) AS ok,
  CONCAT('from ', COALESCE(newest, 'never'), ' UTC, allowed age ', allowed_h, ' h') AS detail
FROM (
  SELECT MAX(created_at) AS newest, CAST(COALESCE(@freshness_hours, 168) AS UNSIGNED) AS allowed_h FROM shop.orders
) AS found;
