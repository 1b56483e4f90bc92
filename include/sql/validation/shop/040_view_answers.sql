-- The view answers (its definer exists and may read), and agrees with the tables for the first customer.
SELECT 'view customer_orders answers' AS name,
  COUNT(*) = 1 AND SUM(v.orders) = (SELECT COUNT(*) FROM shop.orders AS o WHERE o.customer_id = MAX(v.customer_id)) AS ok,
  CONCAT(COUNT(*), ' rows for the first customer, ', COALESCE(SUM(v.orders), 0), ' orders') AS detail
FROM (SELECT MIN(id) AS id FROM shop.customers) AS first_customer
JOIN shop.customer_orders AS v ON v.customer_id = first_customer.id;
