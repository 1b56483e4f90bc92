-- The rows of the shop, made in the server. Each INSERT makes the rows @first .. @last of its table (at most 50,000 at a
-- time); @now is the moment the data seems to be from; @customers, @products, @orders are the sizes of those tables.
-- Every value is a function of the row's number, so a seed of the same size is the same everywhere.
-- seq_0_to_49999 is MariaDB's table of numbers.
DELIMITER $$
INSERT INTO products (id, sku, name, price_cents, attributes)
SELECT n, CONCAT('SKU', LPAD(n, 7, '0')),
  CONCAT(ELT(1 + n % 7, 'Café crème', 'Lámpara', 'Teekanne', 'Wool blanket', 'Crêpière', 'Fjällräv rucksack', 'Matcha 抹茶'),
         ' No. ', n, IF(n % 9 = 0, ' ⭐', '')),
  199 + n * 37 % 9900,
  JSON_OBJECT('colour', ELT(1 + n % 4, 'rouge', 'grün', 'azul', '黒'), 'weight_g', 50 + n * 13 % 4000)
FROM (SELECT @first + seq AS n FROM seq_0_to_49999 WHERE seq <= @last - @first) AS numbers$$

INSERT INTO customers (id, email, first_name, last_name, phone, birth_date, notes, preferences, loyalty_points,
                       created_at, updated_at)
SELECT n, email, IF(n % 41 = 0, NULL, first_name), last_name, phone,
  IF(n % 29 = 0, NULL, DATE_ADD('1940-01-01', INTERVAL n * 7 % 24000 DAY)),
  CASE
    WHEN n % 4 = 0 THEN NULL
    WHEN n % 13 = 0 THEN ''
    WHEN n % 5 = 0 THEN CONCAT('Prefers mail to ', email, ' 📧, please do not call ', COALESCE(phone, 'at all'), '.')
    WHEN n % 7 = 0 THEN CONCAT(first_name, ' ', last_name, ' a demandé un remboursement 😀👍🏽; répondu le lendemain.')
    ELSE ELT(1 + n % 5, 'Déjà client 🎉', 'Called twice about the delivery 📦', 'VIP ⭐⭐⭐', 'お得意様です 🙇', 'Zahlt per Rechnung')
  END,
  CASE
    WHEN n % 11 = 0 THEN NULL
    WHEN n % 6 = 0 THEN JSON_OBJECT('newsletter', TRUE, 'contact', JSON_OBJECT('email', UPPER(email), 'phone', phone))
    WHEN n % 10 = 0 THEN JSON_OBJECT('newsletter', FALSE, 'contact', JSON_OBJECT('email', email, 'phone', ''))
    ELSE JSON_OBJECT('newsletter', TRUE, 'theme', ELT(1 + n % 3, 'dark', 'light', '🌈'),
                     'contact', JSON_OBJECT('email', email, 'phone', COALESCE(phone, '+33 6 00 00 00 01')))
  END,
  n * 17 % 5000, created_at, created_at
FROM (
  SELECT n, first_name, last_name,
    CASE n % 5
      WHEN 0 THEN CONCAT(first_ascii, '.', last_ascii, n, '@gmail.com')
      WHEN 1 THEN CONCAT(LEFT(first_ascii, 1), '_', last_ascii, n, '@example.com')
      WHEN 2 THEN CONCAT(UPPER(LEFT(first_ascii, 1)), SUBSTRING(first_ascii, 2), '.', UPPER(LEFT(last_ascii, 1)),
                         SUBSTRING(last_ascii, 2), n, '@Outlook.com')
      WHEN 3 THEN CONCAT(last_ascii, '+shop', n, '@post.example.org')
      ELSE CONCAT(first_ascii, n, '@', last_ascii, '-family.example.net')
    END AS email,
    CASE
      WHEN n % 17 = 0 THEN NULL
      WHEN n % 19 = 0 THEN ''
      WHEN n % 3 = 0 THEN CONCAT('+44 20 ', LPAD(n * 7919 % 9000 + 1000, 4, '0'), ' ', LPAD(n % 10000, 4, '0'))
      WHEN n % 3 = 1 THEN CONCAT('0', 600000000 + n)
      ELSE CONCAT('(212) ', LPAD(n DIV 10000 % 1000, 3, '0'), '-', LPAD(n % 10000, 4, '0'))
    END AS phone,
    DATE_SUB(@now, INTERVAL n * 7919 % 63072000 + 86400 SECOND) AS created_at
  FROM (
    SELECT n,
      ELT(1 + n % 24, 'José', 'Zoë', 'Łukasz', 'Anaïs', 'Björn', 'Chloé', 'Duška', 'Émile', 'Fatma', 'Günther', 'Héloïse',
          'İpek', 'João', 'Katarína', 'Lena', 'María', 'Noël', 'Øystein', 'Paula', 'Renée', 'Søren', 'Tomáš', 'Yūko',
          'Žofia') AS first_name,
      ELT(1 + n % 24, 'jose', 'zoe', 'lukasz', 'anais', 'bjorn', 'chloe', 'duska', 'emile', 'fatma', 'guenther',
          'heloise', 'ipek', 'joao', 'katarina', 'lena', 'maria', 'noel', 'oystein', 'paula', 'renee', 'soren', 'tomas',
          'yuko', 'zofia') AS first_ascii,
      ELT(1 + n DIV 24 % 20, 'García', 'Müller', 'O''Connor', 'Nguyễn', 'Dvořák', 'Smith', 'Çelik', 'Lefèvre', 'Rossi',
          'Sørensen', 'Kowalski', 'Ng', 'de la Cruz', 'Ångström', 'Papadopoulos', 'Šimić', 'Tanaka', 'Weiß', 'Yılmaz',
          'Bauer') AS last_name,
      ELT(1 + n DIV 24 % 20, 'garcia', 'mueller', 'oconnor', 'nguyen', 'dvorak', 'smith', 'celik', 'lefevre', 'rossi',
          'sorensen', 'kowalski', 'ng', 'delacruz', 'angstrom', 'papadopoulos', 'simic', 'tanaka', 'weiss', 'yilmaz',
          'bauer') AS last_ascii
    FROM (SELECT @first + seq AS n FROM seq_0_to_49999 WHERE seq <= @last - @first) AS numbers
  ) AS named
) AS people$$

INSERT INTO email_changes (id, customer_id, old_email, new_email, changed_at)
SELECT n, c.id, CONCAT('old.', c.email), c.email, DATE_SUB(@now, INTERVAL n MINUTE)
FROM (SELECT @first + seq AS n FROM seq_0_to_49999 WHERE seq <= @last - @first) AS numbers
JOIN customers AS c ON c.id = 1 + n * 97 % @customers$$

INSERT INTO addresses (id, customer_id, street, city, postcode, country)
SELECT n, 1 + n % @customers,
  CONCAT(1 + n * 31 % 299, ' ', ELT(1 + n % 6, 'rue de la Paix', 'Königsallee', 'Calle Mayor', 'High Street', 'Nowy Świat',
         'Strøget'), IF(n % 8 = 0, CONCAT(', apt. ', n % 90), '')),
  ELT(1 + n % 6, 'Besançon', 'Düsseldorf', 'A Coruña', 'Leeds', 'Łódź', 'København'), LPAD(10000 + n * 271 % 89999, 5, '0'),
  ELT(1 + n % 6, 'FR', 'DE', 'ES', 'GB', 'PL', 'DK')
FROM (SELECT @first + seq AS n FROM seq_0_to_49999 WHERE seq <= @last - @first) AS numbers$$

INSERT INTO payment_methods (id, customer_id, card_token, card_last4, holder_name, expires)
SELECT n, c.id, CONCAT('tok_', MD5(CONCAT('card', n))), LPAD(1 + n * 7907 % 9999, 4, '0'), UPPER(c.full_name),
  DATE_ADD('2027-01-31', INTERVAL n % 48 MONTH)
FROM (SELECT @first + seq AS n FROM seq_0_to_49999 WHERE seq <= @last - @first) AS numbers
JOIN customers AS c ON c.id = 1 + n * 7 % @customers$$

-- of four items, three belong to one order and one to the next: two items an order on average
INSERT INTO order_items (id, order_id, product_id, quantity, unit_price_cents)
SELECT n, 1 + 2 * ((n - 1) DIV 4) + ((n - 1) % 4 = 3), product, 1 + n % 3, 199 + product * 37 % 9900
FROM (
  SELECT @first + seq AS n, 1 + (@first + seq) * 7919 % @products AS product
  FROM seq_0_to_49999 WHERE seq <= @last - @first
) AS numbers$$

INSERT INTO orders (id, customer_id, contact_email, status, total_cents, item_count, created_at)
SELECT n, c.id,
  CASE WHEN n % 23 = 0 THEN NULL WHEN n % 37 = 0 THEN '' WHEN n % 3 = 0 THEN UPPER(c.email) ELSE c.email END,
  ELT(1 + n % 4, 'new', 'paid', 'shipped', 'returned'), COALESCE(t.total, 0), COALESCE(t.items, 0),
  DATE_SUB(@now, INTERVAL (@orders - n) * (31536000 DIV @orders) SECOND)
FROM (SELECT @first + seq AS n FROM seq_0_to_49999 WHERE seq <= @last - @first) AS numbers
JOIN customers AS c ON c.id = 1 + n * 13 % @customers
LEFT JOIN (
  SELECT order_id, SUM(quantity * unit_price_cents) AS total, COUNT(*) AS items
  FROM order_items WHERE order_id BETWEEN @first AND @last GROUP BY order_id
) AS t ON t.order_id = n$$

INSERT INTO newsletter (email, topic, subscribed_at)
SELECT CASE n % 4 WHEN 0 THEN UPPER(c.email) WHEN 1 THEN CONCAT(c.email, ' ') ELSE c.email END,
  ELT(1 + n % 3, 'offers', 'neues', 'nouveautés ✨'), DATE_SUB(@now, INTERVAL n HOUR)
FROM (SELECT @first + seq AS n FROM seq_0_to_49999 WHERE seq <= @last - @first) AS numbers
JOIN customers AS c ON c.id = 1 + n * 5 % @customers$$

INSERT INTO sessions (id, email, ip_address, user_agent, started_at)
SELECT n, CASE WHEN n % 7 = 0 THEN NULL WHEN n % 5 = 0 THEN LOWER(c.email) ELSE c.email END,
  IF(n % 4 = 0, CONCAT('2a01:e0a:', HEX(n % 65536), '::', HEX(n DIV 65536 + 1)), CONCAT_WS('.', 81 + n % 9, n DIV 62500 % 250, n DIV 250 % 250, n % 250)),
  ELT(1 + n % 4, 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)',
      'ShopApp/7.3 (Android 16)', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/141.0'),
  DATE_SUB(@now, INTERVAL n * 60 SECOND)
FROM (SELECT @first + seq AS n FROM seq_0_to_49999 WHERE seq <= @last - @first) AS numbers
JOIN customers AS c ON c.id = 1 + n * 3 % @customers$$
