-- Masks customers in one statement. How values are made, here and in the other files of this folder:
--   @mask_salt     set by the refresh, new for every run, kept nowhere: without it a fake cannot be traced back
--   e-mail         user.<20 hex digits>@example.invalid; the same e-mail, however written, becomes the same fake in every
--                  table, so joins on it survive; an e-mail that is masked already is left alone, so running again after a
--                  failure keeps them equal
--   names, cities  put together from invented syllables, so that no fake is anybody's name
--   phone          +999 ...: no country has that prefix
-- NULL stays NULL and '' stays ''. full_name follows by itself: it is a generated column.
-- The trigger on this table writes every former e-mail into email_changes: 080_email_changes.sql removes them again.
UPDATE shop.customers
SET
  preferences = JSON_REPLACE(preferences,
    '$.contact.email',
      IF(JSON_VALUE(preferences, '$.contact.email') = ''
           OR JSON_VALUE(preferences, '$.contact.email') LIKE 'user.____________________@example.invalid',
         JSON_VALUE(preferences, '$.contact.email'),
         CONCAT('user.', LEFT(SHA2(CONCAT(@mask_salt, LOWER(TRIM(JSON_VALUE(preferences, '$.contact.email')))), 256), 20),
                '@example.invalid')),
    '$.contact.phone',
      IF(JSON_VALUE(preferences, '$.contact.phone') = '', '',
         CONCAT('+999 ', LPAD(CONV(LEFT(SHA2(CONCAT(@mask_salt, JSON_VALUE(preferences, '$.contact.phone')), 256), 8),
                                   16, 10), 10, '0')))),
  email = IF(email = '' OR email LIKE 'user.____________________@example.invalid', email,
    CONCAT('user.', LEFT(SHA2(CONCAT(@mask_salt, LOWER(TRIM(email))), 256), 20), '@example.invalid')),
  first_name = IF(first_name = '', '', CONCAT(
    ELT(1 + CONV(LEFT(SHA2(CONCAT(@mask_salt, first_name), 256), 1), 16, 10),
        'Bral', 'Dren', 'Fyol', 'Gorv', 'Hesk', 'Jund', 'Krev', 'Luvr', 'Mork', 'Nelv', 'Pruk', 'Quav', 'Rusk', 'Skev',
        'Tolv', 'Vrix'),
    ELT(1 + CONV(RIGHT(SHA2(CONCAT(@mask_salt, first_name), 256), 1), 16, 10),
        'abo', 'edu', 'ilo', 'omu', 'ura', 'yno', 'ako', 'efi', 'igo', 'onu', 'ubi', 'yma', 'aru', 'eko', 'izo', 'otu'))),
  last_name = IF(last_name = '', '', CONCAT(
    ELT(1 + CONV(LEFT(SHA2(CONCAT(@mask_salt, id, last_name), 256), 1), 16, 10),
        'Ostr', 'Plom', 'Wexl', 'Yarv', 'Zulm', 'Agdr', 'Bimp', 'Cruv', 'Dolf', 'Emkr', 'Fluz', 'Gwim', 'Hruv', 'Ivlo',
        'Jokr', 'Kvam'),
    ELT(1 + CONV(RIGHT(SHA2(CONCAT(@mask_salt, id, last_name), 256), 1), 16, 10),
        'adorn', 'ebrik', 'iquell', 'ovant', 'umber', 'ysto', 'askel', 'endur', 'ingor', 'osmund', 'ustrel', 'yndar',
        'arvik', 'eldoz', 'ixbur', 'ombal'))),
  phone = IF(phone = '', '',
    CONCAT('+999 ', LPAD(CONV(LEFT(SHA2(CONCAT(@mask_salt, phone), 256), 8), 16, 10), 10, '0'))),
  -- the year stays, for statistics by age
  birth_date = MAKEDATE(YEAR(birth_date), 1 + CONV(LEFT(SHA2(CONCAT(@mask_salt, id, birth_date), 256), 4), 16, 10) % 365),
  -- free text may say anything: nothing of it stays but its length
  notes = IF(notes = '', '', RPAD('🙈 masked note ', GREATEST(14, CHAR_LENGTH(notes)), 'lorem ipsum dolor sit amet, '));
