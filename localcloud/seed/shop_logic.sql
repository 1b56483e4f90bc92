-- What runs inside the shop database; created when the rows are in. The view comes last: it marks a complete seed.
DELIMITER $$
USE shop$$
-- keeps a customer's former address: without care, masking customers.email would write every original in here
CREATE TRIGGER customers_after_update AFTER UPDATE ON customers FOR EACH ROW
BEGIN
  IF NOT (NEW.email <=> OLD.email) THEN
    INSERT INTO email_changes (customer_id, old_email, new_email, changed_at)
    VALUES (NEW.id, OLD.email, NEW.email, UTC_TIMESTAMP());
  END IF;
END$$
CREATE TRIGGER order_items_after_insert AFTER INSERT ON order_items FOR EACH ROW
  UPDATE orders SET total_cents = total_cents + NEW.quantity * NEW.unit_price_cents, item_count = item_count + 1
  WHERE id = NEW.order_id$$
CREATE PROCEDURE place_order(IN customer INT UNSIGNED, IN product INT UNSIGNED, IN quantity TINYINT UNSIGNED,
                             OUT placed INT UNSIGNED)
  MODIFIES SQL DATA
BEGIN
  INSERT INTO orders (customer_id, contact_email, status, created_at)
  SELECT id, email, 'new', UTC_TIMESTAMP() FROM customers WHERE id = customer;
  SET placed = LAST_INSERT_ID();
  INSERT INTO order_items (order_id, product_id, quantity, unit_price_cents)
  SELECT placed, id, quantity, price_cents FROM products WHERE id = product;
END$$
CREATE VIEW customer_orders AS
SELECT c.id AS customer_id, c.full_name, c.email, COUNT(o.id) AS orders, COALESCE(SUM(o.total_cents), 0) AS total_cents
FROM customers AS c LEFT JOIN orders AS o ON o.customer_id = c.id
GROUP BY c.id, c.full_name, c.email$$
