-- Every reference leads somewhere.
SELECT CONCAT('foreign key ', child) AS name, orphans = 0 AS ok, CONCAT(orphans, ' rows without ', parent) AS detail
FROM (
  SELECT 'addresses.customer_id' AS child, 'customers' AS parent, COUNT(*) AS orphans
  FROM shop.addresses AS a LEFT JOIN shop.customers AS c ON c.id = a.customer_id WHERE c.id IS NULL
  UNION ALL
  SELECT 'payment_methods.customer_id', 'customers', COUNT(*)
  FROM shop.payment_methods AS p LEFT JOIN shop.customers AS c ON c.id = p.customer_id WHERE c.id IS NULL
  UNION ALL
  SELECT 'email_changes.customer_id', 'customers', COUNT(*)
  FROM shop.email_changes AS e LEFT JOIN shop.customers AS c ON c.id = e.customer_id WHERE c.id IS NULL
  UNION ALL
  SELECT 'orders.customer_id', 'customers', COUNT(*)
  FROM shop.orders AS o LEFT JOIN shop.customers AS c ON c.id = o.customer_id WHERE c.id IS NULL
  UNION ALL
  SELECT 'order_items.order_id', 'orders', COUNT(*)
  FROM shop.order_items AS i LEFT JOIN shop.orders AS o ON o.id = i.order_id WHERE o.id IS NULL
  UNION ALL
  SELECT 'order_items.product_id', 'products', COUNT(*)
  FROM shop.order_items AS i LEFT JOIN shop.products AS p ON p.id = i.product_id WHERE p.id IS NULL
) AS checks;
