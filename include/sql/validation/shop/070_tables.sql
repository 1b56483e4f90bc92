-- No table is missing.
SELECT CONCAT('table ', wanted) AS name, t.table_name IS NOT NULL AS ok,
  IF(t.table_name IS NULL, 'is missing', 'is there') AS detail
FROM (
  SELECT 'customers' AS wanted UNION ALL SELECT 'email_changes' UNION ALL SELECT 'addresses'
  UNION ALL SELECT 'payment_methods' UNION ALL SELECT 'products' UNION ALL SELECT 'orders' UNION ALL SELECT 'order_items'
  UNION ALL SELECT 'sessions' UNION ALL SELECT 'newsletter' UNION ALL SELECT 'audit_empty'
  UNION ALL SELECT 'feature_flags' UNION ALL SELECT 'api_endpoints'
) AS tables_wanted
LEFT JOIN information_schema.tables AS t ON t.table_schema = 'shop' AND t.table_name = wanted;
