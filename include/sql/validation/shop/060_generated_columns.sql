-- Generated columns follow the columns they are made of.
SELECT 'customers.full_name' AS name, COUNT(*) = 0 AS ok, CONCAT(COUNT(*), ' rows differ') AS detail
FROM shop.customers
WHERE full_name <> TRIM(CONCAT(COALESCE(first_name, ''), ' ', last_name));
