-- Masks subscribers; the same fake as in customers, also where the e-mail was typed in capitals or with a blank behind.
UPDATE shop.newsletter
SET email = CONCAT('user.', LEFT(SHA2(CONCAT(@mask_salt, LOWER(TRIM(email))), 256), 20), '@example.invalid')
WHERE email <> '' AND email NOT LIKE 'user.____________________@example.invalid';
