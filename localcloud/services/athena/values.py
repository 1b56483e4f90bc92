"""Values as Athena writes them, and the CSV of a result."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from localcloud.services.athena.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localcloud.services.athena.types import Told

LARGEST = 2**63
PLAIN_FROM, PLAIN_BELOW = 1e-3, 1e7


def text_of(value: Any, kind: str) -> str | None:
    """Write a value as Athena does; None is NULL.

    :param kind: Athena's name of its type.
    :raises QueryError: a number is too large for its type.
    """
    if value is None:
        return None
    if kind == "bigint" and not -LARGEST <= value < LARGEST:
        raise QueryError("NUMERIC_VALUE_OUT_OF_RANGE", f"bigint overflow: {value}")
    if kind == "float":
        return _java(_shortest(value))
    return _any(value)


def _any(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _java(repr(value))
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_any, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_any(key)}={_any(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def _shortest(value: float) -> str:
    """Write a number of single precision with as few digits as tell it from its neighbours."""
    if not math.isfinite(value):
        return repr(value)
    single = struct.pack("f", value)
    return next(text for digits in range(1, 10) if struct.pack("f", float(text := f"{value:.{digits}g}")) == single)


def _java(text: str) -> str:
    """Write a floating point number as Java does: ``1.0E10``, ``1.0E-5``, ``NaN``, ``Infinity``."""
    value = float(text)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = Decimal(text).as_tuple()
    assert isinstance(exponent, int)
    number = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) + exponent - 1
    minus = "-" if sign else ""
    if value == 0 or PLAIN_FROM <= abs(value) < PLAIN_BELOW:
        plain = f"{abs(Decimal(text)):f}"
        whole, _, rest = plain.partition(".")
        return f"{minus}{whole}.{rest.rstrip('0') or '0'}"
    return f"{minus}{number[0]}.{number[1:] or '0'}E{power}"


def csv_line(values: Sequence[str | None]) -> bytes:
    """Write a line of a result: every value between quotes, NULL nothing at all."""
    return (",".join("" if one is None else '"' + one.replace('"', '""') + '"' for one in values) + "\n").encode()


def csv_rows(content: bytes, start: int) -> Iterator[tuple[list[str | None], int]]:
    """Read lines of a result, each with where the next one begins.

    :param start: where the first one begins, in bytes.
    """
    while start < len(content):
        row: list[str | None] = []
        while True:
            value, start = _field(content, start)
            row.append(value)
            if start >= len(content) or content[start : start + 1] == b"\n":
                break
            start += 1
        start += 1
        yield row, start


def _field(content: bytes, start: int) -> tuple[str | None, int]:
    if content[start : start + 1] != b'"':
        return None, start
    end = start + 1
    while True:
        end = content.index(b'"', end)
        if content[end + 1 : end + 2] != b'"':
            break
        end += 2
    return content[start + 1 : end].replace(b'""', b'"').decode(), end + 1


def column_info(column: Told) -> dict[str, Any]:
    """Tell a column in ``ResultSetMetadata``."""
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": column.name,
        "Label": column.name,
        "Type": column.kind,
        "Precision": column.precision,
        "Scale": column.scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": column.kind == "varchar",
    }
