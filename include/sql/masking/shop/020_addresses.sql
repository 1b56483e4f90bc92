-- Masks addresses; the country stays.
UPDATE shop.addresses
SET
  street = IF(street = '', '', CONCAT(
    1 + CONV(LEFT(SHA2(CONCAT(@mask_salt, street), 256), 4), 16, 10) % 200, ' ',
    ELT(1 + CONV(RIGHT(SHA2(CONCAT(@mask_salt, street), 256), 4), 16, 10) % 4,
        'Masked Row', 'Invented Lane', 'Nowhere Way', 'Fictional Alley'))),
  city = IF(city = '', '', ELT(1 + CONV(LEFT(SHA2(CONCAT(@mask_salt, city), 256), 4), 16, 10) % 6,
    'Bralund', 'Dreskow', 'Fyolby', 'Gorvenau', 'Heskville', 'Jundton')),
  postcode = IF(postcode = '', '', '00000');
