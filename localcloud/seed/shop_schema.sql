-- The shop of the seeded accounts: schema, routines, views. For the mysql client, and for localcloud/seed/shop.py.
-- The triggers and the view come last in shop_logic.sql, when the rows are in.
DELIMITER $$
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci$$
USE shop$$
CREATE TABLE customers (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email VARCHAR(190) NOT NULL,
  first_name VARCHAR(60),
  last_name VARCHAR(60) NOT NULL,
  full_name VARCHAR(121) AS (TRIM(CONCAT(COALESCE(first_name, ''), ' ', last_name))) STORED,
  phone VARCHAR(32),
  birth_date DATE,
  notes TEXT,
  preferences JSON,
  loyalty_points INT NOT NULL DEFAULT 0,
  created_at DATETIME NOT NULL,
  updated_at DATETIME NOT NULL,
  UNIQUE KEY uq_customers_email (email),
  KEY ix_customers_last_name (last_name)
)$$
CREATE TABLE email_changes (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id INT UNSIGNED NOT NULL,
  old_email VARCHAR(190) NOT NULL,
  new_email VARCHAR(190) NOT NULL,
  changed_at DATETIME NOT NULL,
  CONSTRAINT fk_email_changes_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
)$$
CREATE TABLE addresses (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id INT UNSIGNED NOT NULL,
  street VARCHAR(120) NOT NULL,
  city VARCHAR(60) NOT NULL,
  postcode VARCHAR(12) NOT NULL,
  country CHAR(2) NOT NULL,
  CONSTRAINT fk_addresses_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
)$$
CREATE TABLE payment_methods (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id INT UNSIGNED NOT NULL,
  card_token CHAR(36) CHARACTER SET ascii NOT NULL,
  card_last4 CHAR(4) CHARACTER SET ascii NOT NULL,
  holder_name VARCHAR(121) NOT NULL,
  expires DATE NOT NULL,
  UNIQUE KEY uq_payment_methods_card_token (card_token),
  CONSTRAINT fk_payment_methods_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
)$$
CREATE TABLE products (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  sku CHAR(10) NOT NULL,
  name VARCHAR(120) NOT NULL,
  price_cents INT UNSIGNED NOT NULL,
  attributes JSON NOT NULL,
  UNIQUE KEY uq_products_sku (sku)
)$$
CREATE TABLE orders (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id INT UNSIGNED NOT NULL,
  contact_email VARCHAR(190),
  status ENUM('new', 'paid', 'shipped', 'returned') NOT NULL,
  total_cents INT UNSIGNED NOT NULL DEFAULT 0,
  item_count SMALLINT UNSIGNED NOT NULL DEFAULT 0,
  created_at DATETIME NOT NULL,
  KEY ix_orders_created_at (created_at),
  CONSTRAINT fk_orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
)$$
CREATE TABLE order_items (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  order_id INT UNSIGNED NOT NULL,
  product_id INT UNSIGNED NOT NULL,
  quantity TINYINT UNSIGNED NOT NULL,
  unit_price_cents INT UNSIGNED NOT NULL,
  CONSTRAINT fk_order_items_order FOREIGN KEY (order_id) REFERENCES orders (id),
  CONSTRAINT fk_order_items_product FOREIGN KEY (product_id) REFERENCES products (id)
)$$
CREATE TABLE sessions (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email VARCHAR(190),
  ip_address VARCHAR(45) NOT NULL,
  user_agent VARCHAR(200) NOT NULL,
  started_at DATETIME NOT NULL
)$$
-- no primary key, and e-mails as people typed them: upper case, blanks at the end
CREATE TABLE newsletter (
  email VARCHAR(190) NOT NULL,
  topic VARCHAR(40) NOT NULL,
  subscribed_at DATETIME NOT NULL,
  KEY ix_newsletter_email (email)
)$$
CREATE TABLE audit_empty (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  actor_email VARCHAR(190),
  message TEXT
)$$
CREATE TABLE feature_flags (
  name VARCHAR(60) NOT NULL PRIMARY KEY,
  enabled BOOLEAN NOT NULL,
  description VARCHAR(200) NOT NULL
)$$
CREATE TABLE api_endpoints (
  name VARCHAR(60) NOT NULL PRIMARY KEY,
  url VARCHAR(200) NOT NULL,
  timeout_ms INT UNSIGNED NOT NULL
)$$
