-- The view answers (its definer exists and may read), and agrees with the tables for the first customer.
SELECT 'view customer_orders answers' AS name, COUNT(*) = 1 AS ok,
  CONCAT(COUNT(*), ' rows for the first customer, ', COALESCE(SUM(v.orders), 0), ' orders') AS detail
FROM shop.customer_orders AS v
WHERE v.customer_id = (SELECT MIN(id) FROM shop.customers)
  AND v.orders = (SELECT COUNT(*) FROM shop.orders WHERE customer_id = (SELECT MIN(id) FROM shop.customers));
