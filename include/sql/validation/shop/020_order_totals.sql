-- What orders say they cost is what their items cost: a copy taken in the middle of a change would not agree.
SELECT 'order totals' AS name, COUNT(*) = 0 AS ok, CONCAT(COUNT(*), ' orders differ from their items') AS detail
FROM shop.orders AS o
LEFT JOIN (
  SELECT order_id, SUM(quantity * unit_price_cents) AS total, COUNT(*) AS items FROM shop.order_items GROUP BY order_id
) AS i ON i.order_id = o.id
WHERE o.total_cents <> COALESCE(i.total, 0) OR o.item_count <> COALESCE(i.items, 0);
