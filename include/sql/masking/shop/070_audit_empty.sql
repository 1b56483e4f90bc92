-- Masks the audit table, should anything have been written into it.
UPDATE shop.audit_empty
SET
  actor_email = IF(actor_email = '' OR actor_email LIKE 'user.____________________@example.invalid', actor_email,
    CONCAT('user.', LEFT(SHA2(CONCAT(@mask_salt, LOWER(TRIM(actor_email))), 256), 20), '@example.invalid')),
  message = IF(message = '', '', RPAD('🙈 masked text ', GREATEST(14, CHAR_LENGTH(message)), 'lorem ipsum dolor sit amet, '));
