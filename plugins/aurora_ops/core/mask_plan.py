"""Deciding how each table is masked: rebuilt, updated in chunks, or updated at once; and what its rules forbid.

A rebuild copies the masked rows into an empty table, builds the indexes last and swaps the two by name: several times faster than
changing rows in place, and no original stays in the table's file. What a rename would break (foreign keys, triggers) or what does
not fit beside itself is updated in chunks along its key. A table that is small is updated in one statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.core.mask_rules import JSON, ColumnRule
from aurora_ops.core.maskers import MASKERS, Kind, Options, Place, literal
from aurora_ops.core.tables import Column, Table, quoted

Technique = Literal["rebuild", "update", "single update", "skip"]
# Up to here one UPDATE is over before a copy is made and swapped.
SMALL_ROWS = 20_000
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), "text"),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "binary"),
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), "integer"),
    "decimal": "decimal",
    "float": "float",
    "double": "float",
    "date": "date",
    "datetime": "datetime",
    "timestamp": "timestamp",
    "json": "json",
}
_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
# Types whose order in an index is that of a comparison with a value the client was given.
_WALKED = {"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "char", "varchar", "binary", "varbinary"} | {
    "date",
    "datetime",
    "timestamp",
    "year",
}


@dataclass(frozen=True)
class ColumnFacts:
    """A column, as information_schema has it.

    :param type: DATA_TYPE, lower case.
    :param length: CHARACTER_MAXIMUM_LENGTH; bytes for binary types.
    :param precision: NUMERIC_PRECISION.
    :param scale: NUMERIC_SCALE.
    :param unsigned: of a number.
    :param nullable: whether NULL is allowed.
    :param generated: whether it is a generated column, stored or virtual.
    :param touched: whether an UPDATE sets it to the present moment (``ON UPDATE CURRENT_TIMESTAMP``).
    """

    name: str
    type: str
    length: int | None = None
    precision: int | None = None
    scale: int = 0
    unsigned: bool = False
    nullable: bool = True
    generated: bool = False
    touched: bool = False

    @property
    def kind(self) -> Kind:
        """What maskers know it as."""
        return _KINDS.get(self.type, "other")

    @property
    def largest(self) -> int:
        """Largest number that it holds."""
        if self.type in _INTEGER_BITS:
            return int(2 ** (_INTEGER_BITS[self.type] - (not self.unsigned)) - 1)
        return int(10 ** ((self.precision or 10) - self.scale) - 1) if self.type == "decimal" else 10**30


class KeyPart(NamedTuple):
    """A column of an index, and whether all of it is indexed and in ascending order."""

    column: str | None
    plain: bool = True


@dataclass(frozen=True)
class IndexFacts:
    """An index.

    :param kind: INDEX_TYPE: BTREE, FULLTEXT, SPATIAL, HASH.
    """

    name: str
    unique: bool
    parts: tuple[KeyPart, ...]
    kind: str = "BTREE"

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns; expressions are left out."""
        return tuple(part.column for part in self.parts if part.column)


@dataclass(frozen=True)
class TableFacts:
    """What the plan needs to know of a table.

    :param rows: how many, exactly or as the server estimates.
    :param data_bytes: size of its rows.
    :param index_bytes: size of its secondary indexes.
    :param foreign_keys: names of those it has, ``schema.table.name``.
    :param referenced_by: foreign keys of other tables (or its own) that point at it.
    :param triggers: their names.
    :param is_view: whether it is no table of its own.
    """

    table: Table
    rows: int
    columns: tuple[ColumnFacts, ...]
    indexes: tuple[IndexFacts, ...] = ()
    data_bytes: int = 0
    index_bytes: int = 0
    engine: str = "InnoDB"
    foreign_keys: tuple[str, ...] = ()
    referenced_by: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    is_view: bool = False

    def column(self, name: str) -> ColumnFacts | None:
        """Find a column; names of columns do not depend on case."""
        return next((column for column in self.columns if column.name.lower() == name.lower()), None)

    @property
    def key(self) -> IndexFacts | None:
        """The index along which the rows can be walked: the primary key, else one that is unique and never NULL."""
        usable = [index for index in self.indexes if index.unique and index.kind == "BTREE" and self._walked(index)]
        return min(usable, key=lambda index: (index.name != "PRIMARY", len(index.parts), index.name), default=None)

    def _walked(self, index: IndexFacts) -> bool:
        for part in index.parts:
            column = self.column(part.column) if part.column else None
            if column is None or not part.plain or column.nullable or column.type not in _WALKED:
                return False
        return True


class Masked(NamedTuple):
    """A column and the SQL of its fake."""

    column: str
    expression: str
    masker: str


@dataclass(frozen=True)
class TablePlan:
    """How a table is masked.

    :param technique: ``rebuild``, ``update`` (in chunks), ``single update``, or ``skip``.
    :param why: for people.
    :param rows: how many there are, about.
    :param size_bytes: data and indexes.
    :param masked: columns with their fakes.
    :param key: columns along which it is walked in chunks; none is one statement.
    :param walked: name of the index of these columns.
    :param copied: columns that a copy is given values for: all but generated ones.
    :param untouched: columns that an UPDATE would set to the present moment, and must not.
    :param fires: whether an UPDATE fires triggers, which may write into other tables.
    """

    table: Table
    technique: Technique
    why: str
    rows: int
    size_bytes: int = 0
    masked: tuple[Masked, ...] = ()
    key: tuple[str, ...] = ()
    walked: str | None = None
    copied: tuple[str, ...] = field(default=(), repr=False)
    untouched: tuple[str, ...] = ()
    fires: bool = False


def plan_tables(
    facts: Iterable[TableFacts], rules: Sequence[ColumnRule], *, rebuild_limit_bytes: int | None = None
) -> tuple[list[TablePlan], list[PermanentError]]:
    """Choose a technique for each table that rules mask, and find what they forbid.

    :param facts: tables of the schemas.
    :param rules: of all schemas.
    :param rebuild_limit_bytes: largest table of which there is room for a second copy; ``None`` is any.
    :return: plans in the order in which they are run (tables whose triggers write elsewhere first, then by size), and problems.
    """
    known = {each.table: each for each in facts}
    plans: list[TablePlan] = []
    problems: list[PermanentError] = []
    for table in dict.fromkeys(rule.column.table for rule in rules):
        of_table = [rule for rule in rules if rule.column.table == table]
        if table not in known:
            problems.append(ConfigError("masking columns", str(table), f"there is no table {table}"))
            continue
        wrong = [problem for rule in of_table if (problem := _problem(known[table], rule))]
        problems += wrong
        if not wrong:
            plans.append(plan_table(known[table], of_table, rebuild_limit_bytes=rebuild_limit_bytes))
    return sorted(plans, key=lambda plan: (not plan.fires, -plan.size_bytes, plan.table)), problems


def plan_table(facts: TableFacts, rules: Sequence[ColumnRule], *, rebuild_limit_bytes: int | None = None) -> TablePlan:
    """Choose the technique for one table whose rules fit it."""
    masked = tuple(_masked(facts, rule) for rule in rules if rule.decision == "mask")
    size = facts.data_bytes + facts.index_bytes
    if not masked:
        return TablePlan(facts.table, "skip", _left_alone(rules), facts.rows, size)
    changed = {each.column.lower() for each in masked}
    hindrance = _hindrance(facts, size, rebuild_limit_bytes)
    index = facts.key
    key = index.columns if index else ()
    key_changes = [column for column in key if column.lower() in changed]
    technique: Technique = "single update"
    if facts.rows <= SMALL_ROWS:
        why = f"at most {SMALL_ROWS:,} rows"
    elif hindrance is None:
        technique, why = "rebuild", "no foreign keys or triggers" if key else "no key to walk: copied in one statement"
    elif not key:
        why = f"{hindrance}; no key to walk"
    elif key_changes:
        why = f"{hindrance}; its key {', '.join(key_changes)} is masked itself"
    else:
        technique, why = "update", hindrance
    chunked = bool(index) and technique in ("rebuild", "update")
    return TablePlan(
        table=facts.table,
        technique=technique,
        why=why,
        rows=facts.rows,
        size_bytes=size,
        masked=masked,
        key=key if chunked else (),
        walked=index.name if index and chunked else None,
        copied=tuple(column.name for column in facts.columns if not column.generated),
        untouched=tuple(
            column.name for column in facts.columns if column.touched and column.name.lower() not in changed
        ),
        fires=bool(facts.triggers) and technique != "rebuild",
    )


def show(plans: Sequence[TablePlan]) -> str:
    """Write plans as a table for people: technique, rows, size, columns, why."""
    head = ("table", "technique", "rows", "MiB", "columns", "why")
    lines = [
        (
            str(plan.table),
            plan.technique,
            f"{plan.rows:,}",
            f"{plan.size_bytes / 2**20:,.0f}",
            ", ".join(f"{each.column} ({each.masker})" for each in plan.masked) or "-",
            plan.why,
        )
        for plan in plans
    ]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *lines)
    )


def _left_alone(rules: Sequence[ColumnRule]) -> str:
    decisions = sorted({rule.decision for rule in rules})
    words = {"script": "masked by a script", "keep": "kept as it is", "generated": "follows its sources"}
    return ", ".join(words[decision] for decision in decisions)


def _hindrance(facts: TableFacts, size: int, limit: int | None) -> str | None:
    """Say what forbids a rebuild."""
    full_text = [index.name for index in facts.indexes if index.kind == "FULLTEXT"]
    found = [
        f"{what} {', '.join(sorted(names)[:3])}{' ...' if len(names) > 3 else ''}"
        for what, names in (
            ("foreign key", facts.foreign_keys),
            ("referenced by", facts.referenced_by),
            ("trigger", facts.triggers),
            ("full-text index", full_text),
        )
        if names
    ]
    if facts.engine.lower() != "innodb":
        found.append(f"engine {facts.engine}")
    if limit is not None and size > limit:
        found.append(f"{size / 2**30:.1f} GiB are more than there is room for ({limit / 2**30:.1f} GiB)")
    return "; ".join(found) or None


def _problem(facts: TableFacts, rule: ColumnRule) -> ConfigError | None:
    """Say why a rule cannot be followed."""
    column = facts.column(rule.column.name)
    where = f"masking columns {rule.column}"
    if facts.is_view:
        return ConfigError(where, "view", "decide about the columns of the tables behind it")
    if column is None:
        names = sorted(each.name for each in facts.columns)
        return ConfigError("masking columns", str(rule.column), f"columns of {facts.table} are {names}")
    if rule.decision == "generated" and not column.generated:
        return ConfigError(where, "generated", "it is no generated column; name a masker")
    if rule.decision != "mask":
        return None
    if column.generated:
        return ConfigError(where, rule.masker, "it is a generated column: write {mask: generated} and mask its sources")
    if rule.masker == JSON:
        if column.kind not in ("json", "text"):
            return ConfigError(where, JSON, f"its type is {column.type}; paths are for JSON and text")
        return None
    return _masker_problem(facts, column, rule, where)


def _masker_problem(facts: TableFacts, column: ColumnFacts, rule: ColumnRule, where: str) -> ConfigError | None:
    masker, by = MASKERS[str(rule.masker)], rule.options.get("by")
    if column.kind not in masker.kinds:
        return ConfigError(
            where, rule.masker, f"its type is {column.type}; {rule.masker} masks {', '.join(sorted(masker.kinds))}"
        )
    if rule.masker == "null" and not column.nullable:
        return ConfigError(where, "null", "the column is NOT NULL; name another masker")
    needed = masker.needs(rule.options)
    if column.length is not None and needed > column.length:
        shorter = [name for name in ("digits", "domain", "prefix", "version") if name in masker.options]
        hint = f"; shorten them by {', '.join(shorter)}" if shorter else ""
        return ConfigError(where, rule.masker, f"its fakes take {needed} characters and {column.length} fit{hint}")
    if rule.masker == "phone" and column.kind == "integer" and column.largest < 1000 * 10 ** rule.options["digits"]:
        return ConfigError(where, "phone", f"a {column.type} is too small for 999 and {rule.options['digits']} digits")
    if by and facts.column(by) is None:
        return ConfigError(f"{where}.by", by, f"name a column of {facts.table}")
    return None


def _masked(facts: TableFacts, rule: ColumnRule) -> Masked:
    column = facts.column(rule.column.name)
    assert column is not None  # noqa: S101 - its rule was found to fit
    name = quoted(column.name)
    if rule.masker == JSON:
        return Masked(column.name, json_expression(name, rule.options["paths"]), JSON)
    place = Place(name, column.kind, column.length, column.nullable, column.largest, column.scale)
    return Masked(column.name, MASKERS[str(rule.masker)].expression(place, rule.options), str(rule.masker))


def json_expression(document: str, paths: Mapping[str, tuple[str, Options]]) -> str:
    """Write the SQL of a JSON document whose values at paths are fakes; what is not there is not made.

    A text that is no document says anything, so nothing of it stays.
    """
    pairs: list[str] = []
    for path, (masker, options) in paths.items():
        value = f"JSON_UNQUOTE(JSON_EXTRACT({document}, {literal(path)}))"
        fake = MASKERS[masker].expression(Place(value), options)
        pairs += [literal(path), f"IF({value} = 'null', NULL, {fake})"]
    replaced = f"JSON_REPLACE({document}, {', '.join(pairs)})"
    return f"IF({document} IS NULL OR {document} = '', {document}, IF(JSON_VALID({document}), {replaced}, '{{}}'))"


def describe(plan: TablePlan) -> dict[str, Any]:
    """Give a plan as JSON, for reports."""
    return {
        "table": str(plan.table),
        "technique": plan.technique,
        "why": plan.why,
        "rows": plan.rows,
        "size_bytes": plan.size_bytes,
        "columns": {str(Column(plan.table, each.column)): each.masker for each in plan.masked},
    }
