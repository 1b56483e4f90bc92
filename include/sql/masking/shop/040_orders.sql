-- Masks the e-mail that an order was placed with; the same fake as in customers.
UPDATE shop.orders
SET contact_email = CONCAT('user.', LEFT(SHA2(CONCAT(@mask_salt, LOWER(TRIM(contact_email))), 256), 20),
                           '@example.invalid')
WHERE contact_email <> '' AND contact_email NOT LIKE 'user.____________________@example.invalid';
