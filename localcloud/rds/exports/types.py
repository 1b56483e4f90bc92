"""What the types of columns become in Parquet.

As in https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ExportSnapshot.data-types.html, "MySQL and MariaDB data type
mapping to Parquet". How the manifest words a Parquet type (``expectedExportedType``) is known from readers of real exports for
int32, int64, double and ``binary (UTF8)``; the rest follows their pattern.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

LARGEST_DECIMAL = 38
# Nothing in a name may be one of these: the table is skipped.
BAD_IN_COLUMN = frozenset(",;{}()\n\t= ")
BAD_IN_TABLE = frozenset("/")

_INTEGERS = {"tinyint": "int32", "smallint": "int32", "mediumint": "int32", "int": "int32", "bigint": "int64"}
_WIDENED = {"mediumint", "int"}  # unsigned ones need 64 bits
_TEXTS = {"varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json", "date", "time"}
_MOMENTS = {"datetime", "timestamp"}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    :param data_type: as ``information_schema.COLUMNS`` has it, such as ``bigint``; ``json`` for what was declared so.
    :param unsigned: of a number.
    :param precision: digits of a number; None of others.
    :param scale: digits behind the point of a decimal.
    :param length: characters of a text; None of others.
    :param fraction: digits of a moment's seconds; None of others.
    """

    name: str
    data_type: str
    unsigned: bool = False
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    fraction: int | None = None

    @property
    def arrow(self) -> pa.DataType:
        """Type that the column has in Parquet."""
        kind = self.data_type
        if kind == "bigint" and self.unsigned:
            return pa.decimal128(20, 0)
        if kind in _INTEGERS:
            wide = self.unsigned and kind in _WIDENED
            return pa.int64() if wide or _INTEGERS[kind] == "int64" else pa.int32()
        if kind == "year":
            return pa.int32()
        if kind in {"decimal", "numeric"}:
            precision = self.precision or 10
            return pa.string() if precision > LARGEST_DECIMAL else pa.decimal128(precision, self.scale or 0)
        if kind in {"float", "double"}:
            return pa.float64()
        if kind in _MOMENTS:
            # TIMESTAMP_MICROS, of which Parquet says that it is UTC
            return pa.timestamp("us", "UTC")
        return pa.string() if kind in _TEXTS else pa.binary()

    @property
    def select(self) -> str:
        """SQL expression by which the server gives all of a value as text or bytes."""
        name = quoted(self.name)
        if self.data_type == "float":
            return f"{name} + 0e0"  # else six digits of it
        if self.data_type in _MOMENTS:
            # a zero date is no moment
            return f"IF(MONTH({name}) = 0 OR DAYOFMONTH({name}) = 0, NULL, {name})"
        return name

    @property
    def mapping(self) -> dict[str, Any]:
        """An entry of the manifest's ``originalTypeMappings``."""
        return {
            "columnName": self.name,
            "originalType": f"{self.data_type} unsigned" if self.unsigned else self.data_type,
            "expectedExportedType": exported_type(self.arrow),
            "originalCharMaxLength": self.length or 0,
            "originalNumPrecision": self.precision or 0,
            "originalDateTimePrecision": self.fraction or 0,
        }

    def array(self, values: list[Any]) -> pa.Array:
        """Values as the server gave them, texts or bytes, in the column's type.

        :raises pyarrow.ArrowInvalid: a value that its type does not have.
        """
        if pa.types.is_binary(self.arrow):
            return pa.array([value.encode() if isinstance(value, str) else value for value in values], pa.binary())
        if pa.types.is_timestamp(self.arrow):
            return pa.array(values, pa.string()).cast(pa.timestamp("us")).cast(self.arrow)
        return pa.array(values, pa.string()).cast(self.arrow)


def exported_type(kind: pa.DataType) -> str:
    """Name of a Parquet type in the manifest."""
    if pa.types.is_decimal(kind):
        physical = (
            "int32"
            if kind.precision <= 9
            else "int64"
            if kind.precision <= 18
            else f"fixed_len_byte_array({_bytes(kind)})"
        )
        return f"{physical} (DECIMAL({kind.precision},{kind.scale}))"
    if pa.types.is_timestamp(kind):
        return "int64 (TIMESTAMP_MICROS)"
    if pa.types.is_string(kind):
        return "binary (UTF8)"
    return {"int32": "int32", "int64": "int64", "double": "double"}.get(str(kind), "binary")


def quoted(name: str) -> str:
    """Name in backticks."""
    return "`" + name.replace("`", "``") + "`"


def _bytes(kind: pa.Decimal128Type) -> int:
    """Bytes that a decimal of this precision needs, with its sign."""
    largest: int = 10**kind.precision - 1
    return (largest.bit_length() + 8) // 8
