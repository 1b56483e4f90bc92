-- Procedures, triggers and views came along.
SELECT CONCAT(kind, ' ', wanted) AS name, found = 1 AS ok, IF(found = 1, 'is there', 'is missing') AS detail
FROM (
  SELECT 'procedure' AS kind, 'place_order' AS wanted, (SELECT COUNT(*) FROM information_schema.routines
    WHERE routine_schema = 'shop' AND routine_name = 'place_order') AS found
  UNION ALL
  SELECT 'trigger', 'customers_after_update', (SELECT COUNT(*) FROM information_schema.triggers
    WHERE trigger_schema = 'shop' AND trigger_name = 'customers_after_update')
  UNION ALL
  SELECT 'trigger', 'order_items_after_insert', (SELECT COUNT(*) FROM information_schema.triggers
    WHERE trigger_schema = 'shop' AND trigger_name = 'order_items_after_insert')
  UNION ALL
  SELECT 'view', 'customer_orders', (SELECT COUNT(*) FROM information_schema.views
    WHERE table_schema = 'shop' AND table_name = 'customer_orders')
) AS objects;
