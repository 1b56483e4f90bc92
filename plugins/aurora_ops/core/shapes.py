"""What personal data looks like: patterns and check digits, as SQL that MySQL 8 (ICU) and MariaDB (PCRE2) read alike.

Patterns have no backslash, so that they mean the same in every SQL mode. What the maskers of this package write matches none:
domains ending in ``.invalid``, telephone prefix ``+999``, card numbers whose check digit is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["email", "phone", "card", "national_id"]
NationalId = Literal["us_ssn", "uk_nino", "fr_nir", "es_dni", "it_cf", "de_idnr", "nl_bsn"]

_LETTER = "0-9A-Za-z"
_START, _END = f"(?<![{_LETTER}])", f"(?![{_LETTER}])"
# a number that is part of a longer name, decimal or date is no number of a person
_NUMBER_START = f"{_START}(?<![0-9][.,-])"
_NUMBER_END = f"{_END}(?![.,-][0-9])"
_BETWEEN = "[ ./()-]{0,2}"
_PHONE_NAME = re.compile(
    r"phone|mobile|msisdn|whatsapp|rufnummer|(?:^|_)(?:tel|mobil|cell|fax|gsm|sms|handy)(?:_|$|\d|nr|no|num)", re.I
)

_OF_ADDRESS = '[^ @,;:/()"<>\t\r\n]'
_EMAIL = (
    f"(?<={_OF_ADDRESS})@(?![0-9]x[.])(?![0-9]+[.][0-9]){_OF_ADDRESS}{{1,253}}[.](?!invalid{_END})[A-Za-z]{{2,24}}{_END}"
    f"(?!-[{_LETTER}])(?![.][A-Za-z]{{2}})"
)
_TRUNK_FORMS = (
    "[0-9]{8,9}|(?: [0-9]{2}){4}|(?:[.][0-9]{2}){4}|(?:-[0-9]{2}){4}"
    f"|(?=(?:[ /-]?[0-9]){{8,9}}{_END})[0-9]{{1,4}}[ /-][0-9]{{3,8}}(?:[ -][0-9]{{2,4}})?"
)
_PHONES = (
    # with the prefix of a country: +44 20 7946 0018, 0044 20 7946 0018
    f"(?<![{_LETTER}+])[+](?!999)[1-9](?:{_BETWEEN}[0-9]){{7,14}}{_END}",
    f"{_NUMBER_START}00[1-9][0-9]{{0,2}}[ ./-](?:{_BETWEEN}[0-9]){{6,12}}{_END}",
    # North America: (212) 555-0123, 212-555-0123, 1.212.555.0123
    f"{_NUMBER_START}(?:1[ .-])?(?:[(][2-9][0-9]{{2}}[)][ -]?|[2-9][0-9]{{2}}[.-])[0-9]{{3}}[.-][0-9]{{4}}{_NUMBER_END}",
    # with the prefix of a trunk: 0612345678, 06 12 34 56 78, 0171 2345678, 020 7946 0018
    f"{_START}(?<![{_LETTER}][._/#,-])(?<![0-9] )0[1-9](?:{_TRUNK_FORMS}){_NUMBER_END}",
)
# the whole value is digits, in a column whose name says what they are
_BARE_PHONE = f"^ *(?!999)[0-9](?:{_BETWEEN}[0-9]){{6,14}} *$"
_CARD_16 = (
    "4[0-9]{3}|5[1-5][0-9]{2}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)|35[2-8][0-9]"
    "|6(?:011|5[0-9]{2}|4[4-9][0-9]|2[0-9]{2})"
)
_CARD = (
    f"{_NUMBER_START}(?:(?:{_CARD_16})(?:[0-9]{{12}}|(?: [0-9]{{4}}){{3}}|(?:-[0-9]{{4}}){{3}})|4[0-9]{{18}}|62[0-9]{{15,17}}"
    f"|3[47][0-9]{{2}}(?:[0-9]{{11}}| [0-9]{{6}} [0-9]{{5}}|-[0-9]{{6}}-[0-9]{{5}})"
    f"|3(?:0[0-5]|[68][0-9])[0-9](?:[0-9]{{10}}| [0-9]{{6}} [0-9]{{4}}|-[0-9]{{6}}-[0-9]{{4}})){_NUMBER_END}"
)

# What a text has that can match at all; cheap to look for, so that the patterns themselves see few texts.
_AT_SIGN = "@"
_NINE_DIGITS = f"[+][1-9]|[0-9](?:{_BETWEEN}[0-9]){{8}}"
_SEVEN_DIGITS = f"[0-9](?:{_BETWEEN}[0-9]){{6}}"
_DIGIT_LETTER = "[0-9][ -]?[A-Z]"


def _digit_sum(weights: Sequence[str]) -> str:
    return "(" + " + ".join(weights) + ")"


def luhn_sql(digits: str) -> str:
    """Write the SQL that tells whether digits end in their Luhn check digit.

    :param digits: SQL of a string of at most 20 digits.
    """
    padded = f"LPAD({digits}, 20, '0')"
    # the place in 0516273849 is the sum of the digits of twice the digit
    doubled = [f"INSTR('0516273849', SUBSTR({padded}, {place}, 1)) - 1" for place in range(1, 20, 2)]
    plain = [f"SUBSTR({padded}, {place}, 1)" for place in range(2, 21, 2)]
    return f"MOD({_digit_sum([*doubled, *plain])}, 10) = 0"


def _fr_nir_sql(text: str) -> str:
    number = f"CAST(REPLACE(REPLACE(LEFT({text}, 13), '2A', '19'), '2B', '18') AS UNSIGNED)"
    return f"97 - MOD({number}, 97) = CAST(RIGHT({text}, 2) AS UNSIGNED)"


def _es_dni_sql(text: str) -> str:
    first = f"CASE LEFT({text}, 1) WHEN 'X' THEN '0' WHEN 'Y' THEN '1' WHEN 'Z' THEN '2' ELSE LEFT({text}, 1) END"
    number = f"CAST(CONCAT({first}, SUBSTR({text}, 2, 7)) AS UNSIGNED)"
    return f"SUBSTR('TRWAGMYFPDXBNJZSQVHLCKE', 1 + MOD({number}, 23), 1) = RIGHT({text}, 1)"


def _de_idnr_sql(text: str) -> str:
    product = "10"  # ISO 7064, MOD 11,10
    for place in range(1, 11):
        product = f"MOD((MOD(SUBSTR({text}, {place}, 1) + {product} + 9, 10) + 1) * 2, 11)"
    different = _digit_sum([f"(LOCATE('{digit}', LEFT({text}, 10)) > 0)" for digit in range(10)])
    return f"{different} IN (8, 9) AND MOD(11 - {product}, 10) = RIGHT({text}, 1)"


def _nl_bsn_sql(text: str) -> str:
    weighed = [f"{10 - place} * SUBSTR({text}, {place}, 1)" for place in range(1, 9)]
    return f"CAST({text} AS UNSIGNED) > 0 AND MOD({_digit_sum(weighed)} + 11 - SUBSTR({text}, 9, 1), 11) = 0"


@dataclass(frozen=True)
class Shape:
    """How one kind of personal data looks.

    :param name: what is reported, such as ``card`` or ``us_ssn``.
    :param kind: kind it belongs to.
    :param hint: cheap regular expression that every text which matches the pattern matches too.
    :param pattern: regular expression of the text.
    :param check: writes the SQL that verifies the check digits of what matched, its separators removed; none: the pattern decides.
    """

    name: str
    kind: Kind
    hint: str
    pattern: str
    check: Callable[[str], str] | None = None


_COMMON = (
    Shape("email", "email", _AT_SIGN, _EMAIL),
    Shape("phone", "phone", _NINE_DIGITS, "|".join(_PHONES)),
    Shape("card", "card", _NINE_DIGITS, _CARD, luhn_sql),
)
NATIONAL_IDS: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            "us_ssn",
            "national_id",
            _NINE_DIGITS,
            f"{_START}(?<![0-9]-)(?!000|666|9[0-9]{{2}})[0-9]{{3}}-(?!00)[0-9]{{2}}-(?!0000)[0-9]{{4}}{_END}(?!-[0-9])",
        ),
        Shape(
            "uk_nino",
            "national_id",
            _DIGIT_LETTER,
            f"{_START}(?<![{_LETTER}][_-])(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
            f" ?[0-9]{{2}} ?[0-9]{{2}} ?[0-9]{{2}} ?[A-D]{_END}",
        ),
        Shape(
            "fr_nir",
            "national_id",
            _NINE_DIGITS,
            f"{_NUMBER_START}[12] ?[0-9]{{2}} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?(?:[0-9]{{2}}|2[AB])"
            f" ?[0-9]{{3}} ?[0-9]{{3}} ?[0-9]{{2}}{_NUMBER_END}",
            _fr_nir_sql,
        ),
        Shape(
            "es_dni",
            "national_id",
            _DIGIT_LETTER,
            f"{_START}(?<![{_LETTER}][_-])(?:[0-9]{{8}}|[XYZ]-?[0-9]{{7}})[ -]?[A-HJ-NP-TV-Z]{_END}",
            _es_dni_sql,
        ),
        Shape(
            "it_cf",
            "national_id",
            _DIGIT_LETTER,
            f"{_START}[A-Z]{{6}}[0-9]{{2}}[ABCDEHLMPRST](?:[04][1-9]|[1256][0-9]|[37][01])[A-Z][0-9]{{3}}[A-Z]{_END}",
        ),
        Shape(
            "de_idnr",
            "national_id",
            _NINE_DIGITS,
            f"{_NUMBER_START}[1-9](?:[0-9]{{10}}|[0-9] [0-9]{{3}} [0-9]{{3}} [0-9]{{3}}){_NUMBER_END}",
            _de_idnr_sql,
        ),
        Shape("nl_bsn", "national_id", _NINE_DIGITS, f"{_NUMBER_START}[0-9]{{9}}{_NUMBER_END}", _nl_bsn_sql),
    )
}


def chosen(kinds: Sequence[str], national_ids: Sequence[str], column: str = "") -> list[Shape]:
    """List the shapes to look for in a column.

    :param kinds: kinds of personal data.
    :param national_ids: countries' numbers, where the kind ``national_id`` is among them.
    :param column: its name: where it speaks of telephones, a value of digits only is one.
    """
    shapes = [shape for shape in _COMMON if shape.kind in kinds]
    if _PHONE_NAME.search(column):
        bare = Shape("phone", "phone", _SEVEN_DIGITS, f"{'|'.join(_PHONES)}|{_BARE_PHONE}")
        shapes = [bare if shape.name == "phone" else shape for shape in shapes]
    if "national_id" in kinds:
        shapes += [NATIONAL_IDS[name] for name in dict.fromkeys(national_ids)]
    return shapes


def literal(pattern: str) -> str:
    """Write a pattern as it stands in SQL; it has no backslash, so only quotes are doubled."""
    return "'" + pattern.replace("'", "''") + "'"


def suspect_sql(text: str, shapes: Sequence[Shape]) -> str:
    """Write the SQL that tells whether a text matches any shape; check digits are not looked at.

    :param text: SQL of the text.
    :param shapes: what to look for, at least one.
    """
    hints = dict.fromkeys(shape.hint for shape in shapes)
    tests = []
    for hint in hints:
        any_of = "|".join(shape.pattern for shape in shapes if shape.hint == hint)
        tests.append(f"({text} REGEXP {literal(hint)} AND {text} REGEXP {literal(any_of)})")
    return "(" + " OR ".join(tests) + ")"
