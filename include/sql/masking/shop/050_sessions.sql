-- Masks sessions: addresses become such of 2001:db8::/32, which is set aside for documentation.
UPDATE shop.sessions
SET
  email = IF(email = '' OR email LIKE 'user.____________________@example.invalid', email,
    CONCAT('user.', LEFT(SHA2(CONCAT(@mask_salt, LOWER(TRIM(email))), 256), 20), '@example.invalid')),
  ip_address = IF(ip_address = '', '',
    CONCAT('2001:db8::', INSERT(LEFT(SHA2(CONCAT(@mask_salt, ip_address), 256), 8), 5, 0, ':'))),
  user_agent = IF(user_agent = '', '', 'Mozilla/5.0 (masked)');
