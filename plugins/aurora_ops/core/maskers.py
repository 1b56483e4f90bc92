"""The maskers: what each makes of a value, as one SQL expression that MySQL 8 and MariaDB understand.

A fake depends on the value and the salt alone, so the same value becomes the same fake in every table. NULL stays NULL and ''
stays '' (``null`` aside). No fake can be anybody's: ``example.invalid``, prefix ``+999``, ``2001:db8::``, card numbers with a
wrong check digit, invented names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aurora_ops.core import fakes
from aurora_ops.core.masking import SALT_VARIABLE
from aurora_ops.core.tables import quoted

_PLAIN = re.compile(r"[0-9A-Za-z $.,:;@+/()\[\]{}\"_-]*")
Proof = Literal["values", "rows", "none"]
Kind = Literal["text", "binary", "integer", "decimal", "float", "date", "datetime", "timestamp", "json", "other"]
Options = Mapping[str, Any]
_FREE_TEXT_LIMIT = 100_000
# What lies outside are marks such as 9999-12-31, not dates; they are not shifted.
LOWEST_DATE, HIGHEST_DATE = "1100-01-01", "9900-01-01"


@dataclass(frozen=True)
class Place:
    """Where a fake is put, and so what it may look like.

    :param sql: the value as it stands in SQL: a quoted column or an expression.
    :param kind: what type of column it is.
    :param length: characters that fit; ``None`` is more than any fake needs.
    :param nullable: whether it may be NULL.
    :param largest: largest number that fits.
    :param scale: digits behind the point.
    """

    sql: str
    kind: Kind = "text"
    length: int | None = None
    nullable: bool = True
    largest: int = 2**31 - 1
    scale: int = 0

    @property
    def text(self) -> str:
        """The value as Unicode text: digests of the same text are the same whatever the column's character set."""
        return f"CONVERT({self.sql} USING utf8mb4)"


@dataclass(frozen=True)
class Option:
    """An option of a masker.

    :param default: value where none is given; ``...`` where one must be.
    :param allowed: what to tell about a wrong value.
    :param accepts: whether a value is one of them.
    """

    default: Any
    allowed: str
    accepts: Callable[[Any], bool]


@dataclass(frozen=True)
class Masker:
    """One way of masking.

    :param about: what it makes, for people.
    :param expression: place and options to SQL.
    :param kinds: types of columns it can write to.
    :param proof: how it is proven where the rule does not say otherwise.
    :param options: by name.
    :param needs: characters that its fakes take at most.
    :param fixed: SQL of the one fake it makes, if there is only one: where it is found, it need not be somebody's value.
    """

    about: str
    expression: Callable[[Place, Options], str]
    kinds: frozenset[Kind]
    proof: Proof = "values"
    options: Mapping[str, Option] = field(default_factory=dict)
    needs: Callable[[Options], int] = lambda _: 0
    fixed: Callable[[Options], str | None] = lambda _: None


def literal(value: object) -> str:
    """Write a value as SQL that means the same in every SQL mode."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    # % would have to be doubled where a statement has arguments
    return f"'{text}'" if _PLAIN.fullmatch(text) else f"_utf8mb4 0x{text.encode().hex()}"


def digest(value: str) -> str:
    """Digest of a value under the salt: 64 hexadecimal digits."""
    return f"SHA2(CONCAT({SALT_VARIABLE}, {value}), 256)"


def number(value: str, digits: int = 8) -> str:
    """Make a number of ``digits`` hexadecimal digits out of a value."""
    return f"CONV(LEFT({digest(value)}, {digits}), 16, 10)"


def unless_empty(place: Place, fake: str, already: str | None = None) -> str:
    """Leave '' as it is, and a fake too where it can be told from other values; NULL comes through by itself.

    :param already: a LIKE pattern of the fakes.
    """
    known = f" OR {place.sql} LIKE '{already}'" if already else ""
    # an originally NULL value stays NULL because every fake is made of it
    return f"IF({place.sql} = ''{known}, {place.text}, {fake})"


def _folded(place: Place) -> str:
    return f"LOWER(TRIM({place.text}))"


def _email(place: Place, options: Options) -> str:
    digits, domain = int(options["digits"]), str(options["domain"])
    value = place.text if options["as_written"] else _folded(place)
    fake = f"CONCAT('user.', LEFT({digest(value)}, {digits}), '@{domain}')"
    return unless_empty(place, fake, f"user.{'_' * digits}@{domain}")


def _phone(place: Place, options: Options) -> str:
    digits = int(options["digits"])
    if place.kind == "integer":
        value = f"CAST({place.sql} AS CHAR CHARACTER SET utf8mb4)"
        return f"999{'0' * digits} + {number(value, 10)} % 1{'0' * digits}"
    value = place.text
    if not options["as_written"]:
        for sign in (" ", "-", "(", ")"):
            value = f"REPLACE({value}, '{sign}', '')"
    fake = f"CONCAT('+999 ', LPAD({number(value, 10)} % 1{'0' * digits}, {digits}, '0'))"
    return unless_empty(place, fake, f"+999 {'_' * digits}")


def _one_of(words: tuple[str, ...]) -> Callable[[Place, Options], str]:
    """Choose one of words, of which there must be a power of 16."""
    digits = len(f"{len(words) - 1:x}")
    listed = ", ".join(f"'{word}'" for word in words)

    def expression(place: Place, _: Options) -> str:
        return unless_empty(place, f"ELT(1 + {number(_folded(place), digits)}, {listed})")

    return expression


def _full_name(place: Place, options: Options) -> str:
    parts = (fakes.FIRST_NAMES, fakes.LAST_NAMES)
    picked = [
        f"ELT(1 + CONV({side}({digest(_folded(place))}, 3), 16, 10) % {len(names)}, "
        + ", ".join(f"'{name}'" for name in names)
        + ")"
        for side, names in zip(("LEFT", "RIGHT"), parts, strict=True)
    ]
    fake = f"CONCAT({picked[0]}, ' ', {picked[1]})"
    return unless_empty(place, f"UPPER({fake})" if options["upper"] else fake)


def _street(place: Place, _: Options) -> str:
    return unless_empty(place, f"CONCAT(1 + {number(_folded(place), 4)}, ' Masked Row')")


def _fixed(place: Place, text: str) -> str:
    # both branches are text, so that a NULL stays NULL: NULL = '' is not true, and the fake must not replace it
    return f"IF({place.sql} = '' OR {place.sql} IS NULL, {place.text}, {literal(text)})"


def _card_number(place: Place, _: Options) -> str:
    """Write 16 digits whose check digit is wrong.

    The sum of the check is kept odd, so it is never a multiple of ten: digits that are doubled are 0 to 3, of the others (0 to 7)
    the last makes the number of odd ones odd. The first is 0, with which no card begins.
    """
    bits = f"CAST(CONV(LEFT({digest(place.text)}, 16), 16, 10) AS UNSIGNED)"
    odd = f"(1 + BIT_COUNT({bits} & {0x0101010101010100})) % 2"
    fake = f"LPAD(HEX(({bits} & {0x0737373737373736}) + {odd}), 16, '0')"
    return unless_empty(place, fake)


def _token(place: Place, options: Options) -> str:
    digits, prefix = int(options["digits"]), str(options["prefix"])
    return unless_empty(place, f"CONCAT('{prefix}', LEFT({digest(place.text)}, {digits}))")


def _text(place: Place, _: Options) -> str:
    length = f"LEAST({_FREE_TEXT_LIMIT}, GREATEST(6, CHAR_LENGTH({place.sql})))"
    return unless_empty(place, f"RPAD('masked ', {length}, 'lorem ipsum dolor sit amet, ')")


def _ip_address(place: Place, options: Options) -> str:
    if options["version"] == 4:
        # 240.0.0.0/4 is reserved and routed nowhere
        return unless_empty(place, f"INET_NTOA(4026531840 + {number(place.text, 6)})")
    return unless_empty(place, f"CONCAT('2001:db8::', INSERT(LEFT({digest(place.text)}, 8), 5, 0, ':'))")


def _date_shift(place: Place, options: Options) -> str:
    by = quoted(options["by"]) if options["by"] else place.sql
    value = f"CAST({by} AS CHAR CHARACTER SET utf8mb4)"
    if options["within"] == "year":
        days = f"(DAYOFYEAR({place.sql}) + {number(value)} % 364) % 365 + 1 - CAST(DAYOFYEAR({place.sql}) AS SIGNED)"
    else:
        # an odd number of days, so never none
        most = int(options["days"])
        days = f"2 * ({number(value)} % {most}) - {most - 1 + most % 2}"
    if place.kind == "timestamp":  # which ends in 2038: nothing is shifted beyond
        days = f"IF({place.sql} >= '2028-01-01', -ABS({days}), IF({place.sql} < '1980-01-01', ABS({days}), {days}))"
    shifted = f"DATE_ADD({place.sql}, INTERVAL {days} DAY)"
    return f"IF({place.sql} >= '{LOWEST_DATE}' AND {place.sql} < '{HIGHEST_DATE}', {shifted}, {place.sql})"


def _number_noise(place: Place, options: Options) -> str:
    """Move a number away from or towards zero, by a whole unit of its last digit at least."""
    share = float(options["percent"]) / 100
    value, size = f"CAST({place.sql} AS CHAR CHARACTER SET utf8mb4)", f"ABS({place.sql})"
    unit = repr(10**-place.scale) if place.scale else "1"
    part = f"(1 + {number(value, 4)}) / 65536 * {share!r}"
    moved = f"ROUND({size} * {part}, {place.scale})" if place.kind != "float" else f"{size} * {part}"
    step = f"GREATEST({unit}, {moved})"
    down = f"({size} >= 2 * {unit} AND ({size} > {place.largest // 2} OR CONV(RIGHT({digest(value)}, 1), 16, 10) < 8))"
    return f"IF({place.sql} < 0, -1, 1) * ({size} + IF({down}, -1, 1) * {step})"


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _flag(default: bool, allowed: str) -> Option:
    return Option(default, f"write true ({allowed}) or false", lambda value: isinstance(value, bool))


def _is_value(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, (int, float)) and math.isfinite(value))


def _no_ones_domain(value: Any) -> bool:
    return (
        isinstance(value, str)
        and value.replace(".", "").replace("-", "").isalnum()
        and value.isascii()
        and value.endswith((".invalid", ".example", ".test"))
    )


_TEXT: frozenset[Kind] = frozenset({"text", "binary"})
_DATES: frozenset[Kind] = frozenset({"date", "datetime", "timestamp"})
_NUMBERS: frozenset[Kind] = frozenset({"integer", "decimal", "float"})
_ALL: frozenset[Kind] = _TEXT | _DATES | _NUMBERS | frozenset({"json", "other"})

MASKERS: dict[str, Masker] = {
    "email": Masker(
        "user.<digits>@example.invalid; case and blanks around do not matter",
        _email,
        _TEXT,
        options={
            "digits": Option(20, "write 4 to 60", _whole(4, 60)),
            "domain": Option(
                "example.invalid", "write a domain that ends in .invalid, .example or .test", _no_ones_domain
            ),
            "as_written": _flag(False, "capitals and blanks make another e-mail"),
        },
        needs=lambda options: 6 + int(options["digits"]) + len(options["domain"]),
    ),
    "first_name": Masker(
        "an invented first name", _one_of(fakes.FIRST_NAMES), _TEXT, needs=lambda _: fakes.LONGEST_NAME
    ),
    "last_name": Masker("an invented last name", _one_of(fakes.LAST_NAMES), _TEXT, needs=lambda _: fakes.LONGEST_NAME),
    "full_name": Masker(
        "an invented first and last name",
        _full_name,
        _TEXT,
        options={"upper": _flag(False, "in capitals")},
        needs=lambda _: 2 * fakes.LONGEST_NAME + 1,
    ),
    "phone": Masker(
        "+999 and digits: no country has that prefix; blanks, hyphens and brackets do not matter",
        _phone,
        _TEXT | {"integer"},
        options={
            "digits": Option(12, "write 4 to 12", _whole(4, 12)),
            "as_written": _flag(False, "blanks, hyphens and brackets make another number"),
        },
        needs=lambda options: 5 + int(options["digits"]),
    ),
    "street": Masker("<number> Masked Row", _street, _TEXT, needs=lambda _: 16),
    "city": Masker("one of 256 invented cities", _one_of(fakes.CITIES), _TEXT, needs=lambda _: fakes.LONGEST_NAME),
    "postcode": Masker(
        "00000", lambda place, _: _fixed(place, "00000"), _TEXT, needs=lambda _: 5, fixed=lambda _: literal("00000")
    ),
    "card_number": Masker("16 digits, the first 0, the check digit wrong", _card_number, _TEXT, needs=lambda _: 16),
    "card_last4": Masker(
        "0000", lambda place, _: _fixed(place, "0000"), _TEXT, needs=lambda _: 4, fixed=lambda _: literal("0000")
    ),
    "token": Masker(
        "msk_<digits>: a token of no provider",
        _token,
        _TEXT,
        options={
            "digits": Option(32, "write 8 to 64", _whole(8, 64)),
            "prefix": Option(
                "msk_",
                "write up to 20 letters, digits, hyphens and underscores",
                lambda value: (
                    isinstance(value, str)
                    and len(value) <= 20
                    and value.isascii()
                    and (value.replace("_", "").replace("-", "") or "x").isalnum()
                ),
            ),
        },
        needs=lambda options: len(options["prefix"]) + int(options["digits"]),
    ),
    "text": Masker("'masked lorem ipsum ...' as long as the original", _text, _TEXT, needs=lambda _: 6),
    "ip_address": Masker(
        "an address of 2001:db8::/32, set aside for documentation; version 4: of 240.0.0.0/4, routed nowhere",
        _ip_address,
        _TEXT,
        options={"version": Option(6, "write 4 or 6", lambda value: value in (4, 6) and not isinstance(value, bool))},
        needs=lambda options: 15 if options["version"] == 4 else 19,
    ),
    "date_shift": Masker(
        "another day, at most `days` away, or within the same year; the time of day stays",
        _date_shift,
        _DATES,
        "rows",
        options={
            "days": Option(30, "write 1 to 3650", _whole(1, 3650)),
            "within": Option(None, "write year, or leave it out", lambda value: value in (None, "year")),
            "by": Option(
                None,
                "name a column that is not masked: rows with the same value in it are shifted alike",
                lambda value: value is None or (isinstance(value, str) and bool(value)),
            ),
        },
    ),
    "number_noise": Masker(
        "a number at most `percent` away, at least one unit of its last digit",
        _number_noise,
        _NUMBERS,
        "rows",
        options={
            "percent": Option(
                10,
                "write a number above 0, at most 50",
                lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 50,
            )
        },
    ),
    "null": Masker("NULL", lambda _place, _options: "NULL", _ALL),
    "constant": Masker(
        "the same value everywhere",
        lambda place, options: (
            _fixed(place, options["value"])
            if place.kind in _TEXT
            else f"IF({place.sql} IS NULL, NULL, {literal(options['value'])})"
        ),
        _ALL,
        options={"value": Option(..., "write the value, a text or a number", _is_value)},
        needs=lambda options: len(str(options["value"])),
        fixed=lambda options: literal(options["value"]),
    ),
}
