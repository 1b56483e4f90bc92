-- What differs between environments and must survive a refresh: flags and addresses of other services.
-- @environment is 'production' or 'staging'.
DELIMITER $$
INSERT INTO feature_flags (name, enabled, description) VALUES
  ('new_checkout', @environment = 'staging', 'one page instead of four'),
  ('send_real_emails', @environment = 'production', 'off wherever customers are not real'),
  ('charge_cards', @environment = 'production', 'off: the payment provider is in test mode')$$
INSERT INTO feature_flags (name, enabled, description)
SELECT 'staging_banner', TRUE, 'tells testers where they are 🚧' FROM DUAL WHERE @environment = 'staging'$$
INSERT INTO api_endpoints (name, url, timeout_ms) VALUES
  ('payments', CONCAT('https://payments.', @environment, '.shop.example/v2'), 3000),
  ('shipping', CONCAT('https://shipping.', @environment, '.shop.example/'), 5000),
  ('search', CONCAT('https://search.', @environment, '.shop.example/'), 800)$$
