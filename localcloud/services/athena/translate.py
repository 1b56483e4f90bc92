"""A query of Trino becomes one of DuckDB: what it reads is looked up, names are resolved, functions are mended."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp
from sqlglot.errors import OptimizeError, SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.schema import MappingSchema

from localcloud.services.athena.errors import MalformedQueryError, QueryError, unsupported
from localcloud.services.athena.functions import ALIKE, HANDLERS, mismatch, name_of
from localcloud.services.athena.statements import HIDDEN, Athena, Statement, parse_query, place_of
from localcloud.services.athena.types import family, trino_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from localcloud.services.athena.catalog import Table

    Find = Callable[[str | None, str | None, str, tuple[int, int] | None], Table]

UNRESOLVED = re.compile(r"(?:Column|Unknown column):? '?\"?([^'\"]+)'?\"? could not be resolved")
AMBIGUOUS = re.compile(r"Column '\"?([^'\"]+)\"?' is ambiguous|[Aa]mbiguous column \"?([^\"' ]+)")
AUTOMATIC = "__unnamed_"
SELECT_PARTS = {
    "with_", "expressions", "from_", "joins", "where", "group", "having", "order", "limit", "offset", "distinct", "kind",
    "windows", "laterals", "operation_modifiers",
}  # fmt: skip
COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}


@dataclass
class Reference:
    """A place of a query that reads a table.

    :param name: of the relation in DuckDB that takes its place.
    :param alias: by which the query calls it.
    :param conditions: on partition columns alone, in DuckDB's SQL; only rows of partitions that meet them all are asked for.
    """

    name: str
    alias: str
    table: Table
    conditions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """A query that DuckDB understands, and what it reads.

    :param columns: names of all columns that it uses.
    """

    sql: str
    references: tuple[Reference, ...]
    columns: frozenset[str]


def plan(statement: Statement, find: Find) -> Plan:
    """Translate a query.

    :param find: looks a table up: catalogue, database, name, place.
    :raises QueryError: something in it does not exist, does not go together, or is not supported.
    """
    try:
        query = parse_query(statement)
    except MalformedQueryError as error:
        raise QueryError("", str(error)) from None
    _Translation(statement.text).check(query)
    return _Translation(statement.text).run(query, find)


class _Translation:
    """One query on its way.

    :param text: of the statement.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._references: list[Reference] = []

    def place(self, node: exp.Expr) -> tuple[int, int] | None:
        """Line and column of the first thing in a part of the query that has one."""
        starts = [one.meta["start"] for one in node.walk() if "start" in one.meta]
        return place_of(self._text, min(starts)) if starts else None

    def check(self, query: exp.Query) -> None:
        """Refuse what is not known to mean in DuckDB what it means in Athena."""
        for node in query.walk():
            if isinstance(node, exp.Anonymous):
                text = f"Function '{node.name.lower()}' not registered in localcloud's Athena"
                raise QueryError("FUNCTION_NOT_FOUND", text, self.place(node))
            kind = type(node)
            if kind not in HANDLERS and kind not in ALIKE:
                raise unsupported(f"{kind.__name__} ({node.sql('trino')[:60]})", self.place(node))
            if excess := _excess(node):
                raise unsupported(f"{excess} here", self.place(node))

    def run(self, query: exp.Query, find: Find) -> Plan:
        """Translate."""
        _name_outputs(query)
        self._resolve(query, find)
        schema = MappingSchema(
            {one.name: {c.name: trino_type(c.kind) for c in one.table.all_columns} for one in self._references},
            dialect=Athena,
        )
        _type_decimals(query)
        try:
            query = qualify(
                query, schema=schema, dialect=Athena, expand_alias_refs=False, quote_identifiers=True, identify=True
            )
            query = annotate_types(query, schema=schema, dialect=Athena)
        except (OptimizeError, SqlglotError) as error:
            raise self._unresolved(str(error)) from None
        _number_outputs(query)
        used = frozenset(one.name for one in query.find_all(exp.Column))
        self._compare(query)
        self._mend(query)
        self._prune(query)
        return Plan(query.sql("duckdb", comments=False), tuple(self._references), used)

    def _resolve(self, query: exp.Query, find: Find) -> None:
        """Look up what is read, and give each place a relation of its own."""
        named: set[int] = set()
        for scope in traverse_scope(query):
            for alias, source in scope.sources.items():
                if (
                    not isinstance(source, exp.Table)
                    or id(source) in named
                    or not isinstance(source.this, exp.Identifier)
                ):
                    continue
                named.add(id(source))
                table = find(source.catalog or None, source.db or None, source.name, self.place(source))
                name = f"relation_{len(self._references)}"
                self._references.append(Reference(name, (source.alias or alias).lower(), table))
                if not source.alias:
                    source.set("alias", exp.TableAlias(this=exp.to_identifier(source.name)))
                source.set("this", exp.to_identifier(name))
                source.set("db", None)
                source.set("catalog", None)
        for column in query.find_all(exp.Column):
            column.set("db", None)
            column.set("catalog", None)

    def _unresolved(self, text: str) -> QueryError:
        found = re.search(r"Line: (\d+), Col: (\d+)", text)
        column = UNRESOLVED.search(text)
        name = column[1] if column else ""
        place = (int(found[1]), int(found[2]) - len(name) + 1) if found else None
        if column:
            return QueryError(
                "COLUMN_NOT_FOUND", f"Column '{name}' cannot be resolved or requester is not authorized", place
            )
        if "mbiguous" in text:
            return QueryError("AMBIGUOUS_NAME", text.split(". Line")[0], place)
        return QueryError("SYNTAX_ERROR", text.split(". Line")[0], place)

    def _compare(self, query: exp.Query) -> None:
        """Refuse to compare what DuckDB would convert silently and Trino does not compare."""
        for node in query.walk():
            pairs: list[tuple[Any, Any, str]] = []
            if type(node) in COMPARISONS:
                pairs = [(node.this, node.expression, COMPARISONS[type(node)])]
            elif isinstance(node, exp.Between):
                pairs = [(node.this, node.args["low"], "BETWEEN"), (node.this, node.args["high"], "BETWEEN")]
            elif isinstance(node, exp.In):
                pairs = [(node.this, one, "IN") for one in node.expressions]
                inner = node.args.get("query")
                if inner is not None and inner.unnest().selects:
                    pairs = [(node.this, inner.unnest().selects[0], "IN")]
            elif isinstance(node, exp.SetOperation):
                pairs = [(a, b, "UNION") for a, b in zip(node.left.selects, node.right.selects, strict=False)]
            for left, right, sign in pairs:
                kinds = family(left.type), family(right.type)
                if all(kinds) and kinds[0] != kinds[1]:
                    text = f"Cannot apply operator: {name_of(left.type)} {sign} {name_of(right.type)}"
                    raise mismatch(text, self.place(node))

    def _mend(self, query: exp.Query) -> None:
        """Say in DuckDB's words what it would understand otherwise, from the inside out."""
        for node in reversed(list(query.walk(bfs=False))):
            if isinstance(node, exp.Pseudocolumn):
                node.type = exp.DataType.build(HIDDEN[node.name.lower()])
            handler = HANDLERS.get(type(node))
            if handler is None:
                continue
            made = handler(node, self.place(node))
            if made is not node:
                made.type = node.type
                node.replace(made)

    def _prune(self, query: exp.Query) -> None:
        """Note conditions that every row of a table must meet and that its partitions decide."""
        by_name = {one.name: one for one in self._references}
        for scope in traverse_scope(query):
            select = scope.expression
            where = select.args.get("where") if isinstance(select, exp.Select) else None
            joins = (select.args.get("joins") or []) if where else []
            if where is None or any(one.side.upper() in {"RIGHT", "FULL"} for one in joins):
                continue
            missing = {one.alias_or_name for one in joins if one.side}
            for alias, source in scope.sources.items():
                if not isinstance(source, exp.Table) or alias in missing or source.name not in by_name:
                    continue
                reference = by_name[source.name]
                reference.alias = alias
                keys = {key.name for key in reference.table.keys}
                reference.conditions = [
                    one.sql("duckdb", comments=False) for one in _conjuncts(where.this) if _about(one, alias, keys)
                ]


def _conjuncts(node: exp.Expr) -> Iterator[exp.Expr]:
    node = node.unnest()
    if isinstance(node, exp.And):
        yield from _conjuncts(node.this)
        yield from _conjuncts(node.expression)
    else:
        yield node


def _about(condition: exp.Expr, alias: str, keys: set[str]) -> bool:
    """Whether a condition is on partition columns of one table, and nothing else."""
    if condition.find(exp.Query, exp.Rand, exp.Pseudocolumn):
        return False
    columns = list(condition.find_all(exp.Column))
    return bool(columns) and all(one.table == alias and one.name in keys for one in columns)


def _excess(node: exp.Expr) -> str:
    """Name what a part of a query has that Athena does not know; empty if nothing."""
    if isinstance(node, exp.Select):
        return ", ".join(
            sorted(key.strip("_") for key, value in node.args.items() if value and key not in SELECT_PARTS)
        )
    if isinstance(node, exp.Star):
        return ", ".join(key.strip("_") for key, value in node.args.items() if value)
    if isinstance(node, exp.Distinct):
        return "ON" if node.args.get("on") else ""
    if isinstance(node, exp.Join):
        known = node.kind.upper() in {"", "INNER", "CROSS", "OUTER"} and not node.method
        return "" if known else f"{node.method} {node.kind} JOIN".strip()
    if isinstance(node, exp.Table):
        odd = {"this", "alias", "db", "catalog", "joins"}
        return ", ".join(key for key, value in node.args.items() if value and key not in odd)
    if isinstance(node, (exp.Max, exp.Min)) and node.expressions:
        return f"more than one argument of {node.key}"
    return ""


def _first_select(query: exp.Expr) -> exp.Select | None:
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    return query if isinstance(query, exp.Select) else None


def _name_outputs(query: exp.Query) -> None:
    """Mark the columns of the result that have no name."""
    select = _first_select(query)
    for number, one in enumerate(select.expressions if select else []):
        if not isinstance(one, (exp.Alias, exp.Column, exp.Star)):
            one.replace(exp.alias_(one.copy(), f"{AUTOMATIC}{number}"))


def _number_outputs(query: exp.Query) -> None:
    """Give the columns without a name Athena's: ``_col0`` for the first, and so on."""
    select = _first_select(query)
    names = {
        one.alias: f"_col{number}"
        for number, one in enumerate(select.expressions if select else [])
        if one.alias.startswith(AUTOMATIC)
    }
    for identifier in query.find_all(exp.Identifier):
        if identifier.name in names:
            identifier.set("this", names[identifier.name])


def _type_decimals(query: exp.Query) -> None:
    """Make numbers with a point decimals, which they are in Trino."""
    for literal in list(query.find_all(exp.Literal)):
        text = literal.name
        if literal.is_string or "." not in text or "e" in text.lower():
            continue
        whole, _, rest = text.partition(".")
        precision = max(len(whole.lstrip("0")) + len(rest), 1)
        literal.replace(exp.cast(exp.Literal.number(text), f"DECIMAL({precision},{len(rest)})", dialect="trino"))
