-- Masks cards: a token of no payment provider (unique as before), no digits, an invented holder.
UPDATE shop.payment_methods
SET
  card_token = IF(card_token = '', '', CONCAT('msk_', LEFT(SHA2(CONCAT(@mask_salt, card_token), 256), 32))),
  card_last4 = IF(card_last4 = '', '', '0000'),
  holder_name = IF(holder_name = '', '', CONCAT(
    ELT(1 + CONV(LEFT(SHA2(CONCAT(@mask_salt, holder_name), 256), 1), 16, 10),
        'BRAL', 'DREN', 'FYOL', 'GORV', 'HESK', 'JUND', 'KREV', 'LUVR', 'MORK', 'NELV', 'PRUK', 'QUAV', 'RUSK', 'SKEV',
        'TOLV', 'VRIX'),
    ' HOLDER ',
    1 + CONV(RIGHT(SHA2(CONCAT(@mask_salt, holder_name), 256), 5), 16, 10)));
