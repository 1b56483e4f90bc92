-- Runs when all tables are masked by columns.yaml. The UPDATE of customers has made its trigger note every original e-mail here:
-- what the masking itself caused goes; what was there before stays, masked as the masker email does it (docs/how-to/masking.md).
DELETE FROM shop.email_changes
WHERE new_email LIKE 'user.____________________@example.invalid'
  AND old_email NOT LIKE 'user.____________________@example.invalid';
UPDATE shop.email_changes
SET
  old_email = IF(old_email = '' OR old_email LIKE 'user.____________________@example.invalid', old_email,
    CONCAT('user.', LEFT(SHA2(CONCAT(@mask_salt, LOWER(TRIM(old_email))), 256), 20), '@example.invalid')),
  new_email = IF(new_email = '' OR new_email LIKE 'user.____________________@example.invalid', new_email,
    CONCAT('user.', LEFT(SHA2(CONCAT(@mask_salt, LOWER(TRIM(new_email))), 256), 20), '@example.invalid'));
