"""The proof that masking masked: originals remembered as salted digests before it, none of them found after it.

Digests are appended as the rows come and their index is built afterwards, which sorts once; nothing is made distinct on the
way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from aurora_ops.core.mask_rules import ColumnRule, proof_targets
from aurora_ops.core.masking import SALT_VARIABLE, SCRATCH
from aurora_ops.core.tables import Column, Table, quoted

_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})

How = Literal["values", "rows"]


class Target(NamedTuple):
    """One thing to prove.

    :param label: names it in messages: ``schema.table.column``, for JSON followed by the path.
    :param table: where it is.
    :param value: SQL of its text; NULL and blank text are nobody's.
    :param digest: SQL of its salted digest, with the row's key in it where rows are proven.
    :param how: ``values`` (no original is found anywhere in it) or ``rows`` (no row keeps its own).
    """

    label: str
    table: Table
    value: str
    digest: str
    how: How


def targets(
    rules: Iterable[ColumnRule],
    columns: Iterable[Column],
    types: Mapping[Column, str],
    keys: Mapping[Table, Sequence[str]],
) -> list[Target]:
    """List what is to be proven.

    :param rules: what is decided about columns.
    :param columns: columns to prove beside them, and whatever the rules say of them, by their values.
    :param types: type of every column, without length.
    :param keys: primary key of each table that has one.
    """
    decided = {rule.column: rule for rule in rules}
    changed = {rule.column for rule in decided.values() if rule.decision != "keep"}
    found: list[Target] = []
    for rule in decided.values():
        table = rule.column.table
        key = list(keys.get(table, ()))
        # a row whose key is masked too cannot be found again
        by_row = rule.proof == "rows" and key and not changed & {Column(table, name) for name in key}
        for label, expression in proof_targets(rule):
            value = _text(expression, types[rule.column])
            parts = [_text(quoted(name), types[Column(table, name)]) for name in key] if by_row else []
            found.append(Target(label, table, value, digest_sql(value, parts), "rows" if by_row else "values"))
    proven = {target.label for target in found}
    for column in dict.fromkeys(columns):
        rule_of = decided.get(column)
        if str(column) not in proven and (rule_of is None or not proof_targets(rule_of)):
            value = _text(quoted(column.name), types[column])
            found.append(Target(str(column), column.table, value, digest_sql(value), "values"))
    return sorted(found, key=lambda target: target.table)


def _text(expression: str, data_type: str) -> str:
    """Write the SQL of a value as text: a value's type never matters, case does; blanks around bytes are left out."""
    return f"HEX(TRIM({expression}))" if data_type in _BYTES else f"CAST({expression} AS CHAR CHARACTER SET utf8mb4)"


def digest_sql(value: str, key: Sequence[str] = ()) -> str:
    """Write the SQL of a salted digest: 16 bytes, NULL for NULL.

    :param value: SQL of a text.
    :param key: SQL of texts that tell the row.
    """
    parts = [part for text in key for part in (f"CHAR_LENGTH({text})", "':'", text)]
    return f"UNHEX(LEFT(SHA2(CONCAT({', '.join([SALT_VARIABLE, *parts, value])}), 256), 32))"


def originals(number: int) -> str:
    """Name the table of a target's originals, as it stands in SQL."""
    return f"{quoted(SCRATCH)}.{quoted(f'original_{number:05d}')}"


def remember_sql(target: Target, number: int) -> list[str]:
    """Statements that remember a target's originals, safe to run again; the third one's rows are their number.

    :param target: what is to be proven.
    :param number: its place in the list.
    """
    table = originals(number)
    return [
        f"DROP TABLE IF EXISTS {table}",
        f"CREATE TABLE {table} (digest BINARY(16) NOT NULL) ENGINE=InnoDB",
        f"INSERT INTO {table} SELECT {target.digest} FROM {target.table.sql} WHERE {_told(target)}",  # noqa: S608
        f"ALTER TABLE {table} ADD INDEX digests (digest)",
    ]


def any_left_sql(target: Target, number: int) -> str:
    """Query that returns a row if any original of a target is left, and none if not.

    :param target: what is to be proven.
    :param number: its place in the list.
    """
    return (
        f"SELECT STRAIGHT_JOIN 1 FROM {target.table.sql} JOIN {originals(number)} AS original FORCE INDEX (digests) "  # noqa: S608
        f"ON original.digest = {target.digest} WHERE {_told(target)} LIMIT 1"
    )


def survivors_sql(target: Target, number: int) -> str:
    """Query that counts a target's different originals and how many of them are left; for where there are some.

    :param target: what is to be proven.
    :param number: its place in the list.
    """
    table = originals(number)
    return (
        f"SELECT (SELECT COUNT(DISTINCT digest) FROM {table}), COUNT(*) FROM "  # noqa: S608 - names are quoted
        f"(SELECT DISTINCT {target.digest} AS digest FROM {target.table.sql} WHERE {_told(target)}) AS masked "
        f"WHERE EXISTS (SELECT 1 FROM {table} AS original WHERE original.digest = masked.digest)"
    )


def _told(target: Target) -> str:
    return f"TRIM({target.value}) <> ''"
