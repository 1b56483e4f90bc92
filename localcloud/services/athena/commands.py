"""Statements of Hive that people use beside queries: read here, done in :mod:`localcloud.services.athena.ddl`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError
from sqlglot.tokenizer_core import TokenType

from localcloud.services.athena.errors import MalformedQueryError, QueryError, unsupported
from localcloud.services.athena.parquet import SERDE
from localcloud.services.athena.statements import place_of

if TYPE_CHECKING:
    from sqlglot.tokenizer_core import Token

    from localcloud.services.athena.statements import Statement

KNOWN_PROPERTIES = (
    exp.ExternalProperty,
    exp.SchemaCommentProperty,
    exp.PartitionedByProperty,
    exp.FileFormatProperty,
    exp.LocationProperty,
    exp.RowFormatSerdeProperty,
    exp.SerdeProperties,
    exp.Property,
)


@dataclass(frozen=True)
class Spec:
    """A partition that a statement names.

    :param values: by column.
    :param location: where it is; empty: by its values below the table.
    """

    values: dict[str, str]
    location: str = ""


@dataclass(frozen=True)
class Command:
    """A statement that is no query.

    :param kind: such as ``SHOW TABLES``.
    :param database: empty: that of the execution.
    :param name: of the table or database.
    :param lenient: IF EXISTS, IF NOT EXISTS.
    :param cascade: what is in a database goes too.
    """

    kind: str
    database: str = ""
    name: str = ""
    lenient: bool = False
    cascade: bool = False
    pattern: str = ""
    comment: str = ""
    location: str = ""
    columns: tuple[tuple[str, str, str], ...] = ()
    keys: tuple[tuple[str, str, str], ...] = ()
    properties: dict[str, str] = field(default_factory=dict)
    partitions: tuple[Spec, ...] = ()


def read_command(statement: Statement) -> Command:
    """Read a statement that is no query.

    :raises MalformedQueryError: it is none.
    :raises QueryError: Athena may know it, localcloud does not.
    """
    words = [one.text.upper() for one in statement.tokens[:2]]
    cursor = _Cursor(statement)
    if statement.verb == "CREATE" and words[1:2] in (["DATABASE"], ["SCHEMA"]):
        return _create_database(cursor)
    if statement.verb == "CREATE":
        return _create_table(statement)
    reader = {
        "DROP": _drop,
        "ALTER": _alter,
        "MSCK": _repair,
        "SHOW": _show,
        "DESCRIBE": _describe,
        "DESC": _describe,
    }[statement.verb]
    command = reader(cursor)
    cursor.end()
    return command


class _Cursor:
    """Goes through the tokens of a statement."""

    def __init__(self, statement: Statement) -> None:
        self._statement = statement
        self._next = 0

    def word(self, *wanted: str) -> str:
        """Take the next token if it is one of the words; empty if not."""
        token = self._peek()
        if token is not None and token.token_type is not TokenType.STRING and token.text.upper() in wanted:
            self._next += 1
            return token.text.upper()
        return ""

    def need(self, *wanted: str) -> str:
        """Take the next token, which must be one of the words."""
        found = self.word(*wanted)
        if not found:
            raise self.wrong(" or ".join(wanted))
        return found

    def phrase(self, *words: str) -> bool:
        """Take several words, or none of them."""
        start = self._next
        if all(self.word(one) for one in words):
            return True
        self._next = start
        return False

    def identifier(self) -> str:
        """Take a name."""
        token = self._peek()
        if token is None or token.token_type in {
            TokenType.STRING,
            TokenType.L_PAREN,
            TokenType.R_PAREN,
            TokenType.COMMA,
        }:
            raise self.wrong("a name")
        self._next += 1
        return token.text.lower()

    def name(self) -> tuple[str, str]:
        """Take the name of a table, with its database if it is told."""
        first = self.identifier()
        if self._is(TokenType.DOT):
            self._next += 1
            return first, self.identifier()
        return "", first

    def text(self) -> str:
        """Take a text, or a number as one."""
        token = self._peek()
        if token is None or token.token_type not in {TokenType.STRING, TokenType.NUMBER}:
            raise self.wrong("a text")
        self._next += 1
        return token.text

    def has_text(self) -> bool:
        """Whether a text is next."""
        return self._is(TokenType.STRING)

    def values(self) -> dict[str, str]:
        """Take ``(column = value, ...)``."""
        self.need("(")
        found = {}
        while True:
            column = self.identifier()
            self.need("=")
            found[column] = self.text()
            if not self.word(","):
                self.need(")")
                return found

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self._peek() is not None:
            raise self.wrong("the end")

    def wrong(self, wanted: str) -> MalformedQueryError:
        """Say that the next token is not what is wanted."""
        token = self._peek()
        start = token.start if token else len(self._statement.text)
        line, column = place_of(self._statement.text, start)
        return MalformedQueryError(
            f"line {line}:{column}: mismatched input '{token.text if token else '<EOF>'}'. Expecting: {wanted}"
        )

    def _is(self, kind: TokenType) -> bool:
        token = self._peek()
        return token is not None and token.token_type is kind

    def _peek(self) -> Token | None:
        tokens = self._statement.tokens
        return tokens[self._next] if self._next < len(tokens) else None


def _create_database(cursor: _Cursor) -> Command:
    cursor.need("CREATE")
    cursor.need("DATABASE", "SCHEMA")
    lenient = cursor.phrase("IF", "NOT", "EXISTS")
    name = cursor.identifier()
    comment = cursor.text() if cursor.word("COMMENT") else ""
    location = cursor.text() if cursor.word("LOCATION") else ""
    cursor.end()
    return Command("CREATE DATABASE", name=name, lenient=lenient, comment=comment, location=location)


def _drop(cursor: _Cursor) -> Command:
    cursor.need("DROP")
    kind = cursor.need("TABLE", "DATABASE", "SCHEMA", "VIEW")
    if kind == "VIEW":
        raise unsupported("views")
    lenient = cursor.phrase("IF", "EXISTS")
    if kind == "TABLE":
        database, name = cursor.name()
        return Command("DROP TABLE", database, name, lenient=lenient)
    name = cursor.identifier()
    cascade = cursor.word("CASCADE", "RESTRICT") == "CASCADE"
    return Command("DROP DATABASE", name=name, lenient=lenient, cascade=cascade)


def _alter(cursor: _Cursor) -> Command:
    cursor.need("ALTER")
    cursor.need("TABLE")
    database, name = cursor.name()
    if cursor.word("ADD"):
        lenient = cursor.phrase("IF", "NOT", "EXISTS")
        specs = []
        while cursor.word("PARTITION"):
            values = cursor.values()
            specs.append(Spec(values, cursor.text() if cursor.word("LOCATION") else ""))
        if specs:
            return Command("ADD PARTITION", database, name, lenient=lenient, partitions=tuple(specs))
    elif cursor.word("DROP"):
        lenient = cursor.phrase("IF", "EXISTS")
        specs = []
        while cursor.word("PARTITION"):
            specs.append(Spec(cursor.values()))
            cursor.word(",")
        if specs:
            return Command("DROP PARTITION", database, name, lenient=lenient, partitions=tuple(specs))
    raise unsupported("ALTER TABLE other than ADD PARTITION and DROP PARTITION")


def _repair(cursor: _Cursor) -> Command:
    if not cursor.word("MSCK REPAIR"):
        cursor.need("MSCK")
        cursor.need("REPAIR")
    cursor.need("TABLE")
    database, name = cursor.name()
    return Command("MSCK REPAIR TABLE", database, name)


def _show(cursor: _Cursor) -> Command:
    cursor.need("SHOW")
    kind = cursor.need("TABLES", "DATABASES", "SCHEMAS", "PARTITIONS", "COLUMNS", "VIEWS", "CREATE")
    if kind in {"VIEWS", "CREATE"}:
        raise unsupported(f"SHOW {kind}")
    if kind in {"DATABASES", "SCHEMAS"}:
        return Command("SHOW DATABASES", pattern=cursor.text() if cursor.word("LIKE") or cursor.has_text() else "")
    if kind == "TABLES":
        database = cursor.identifier() if cursor.word("IN", "FROM") else ""
        return Command("SHOW TABLES", database, pattern=cursor.text() if cursor.has_text() else "")
    if kind == "PARTITIONS":
        return Command("SHOW PARTITIONS", *cursor.name())
    cursor.need("IN", "FROM")
    database, name = cursor.name()
    if cursor.word("IN", "FROM"):
        database = cursor.identifier()
    return Command("SHOW COLUMNS", database, name)


def _describe(cursor: _Cursor) -> Command:
    cursor.need("DESCRIBE", "DESC")
    if cursor.word("FORMATTED", "EXTENDED"):
        raise unsupported("DESCRIBE FORMATTED and EXTENDED")
    return Command("DESCRIBE", *cursor.name())


def _create_table(statement: Statement) -> Command:
    try:
        tree = sqlglot.parse_one(statement.text, read="hive")
    except ParseError as error:
        first = error.errors[0]
        raise MalformedQueryError(
            f"line {first.get('line') or 1}:{first.get('col') or 1}: mismatched input '{first.get('highlight')}'"
        ) from None
    if not isinstance(tree, exp.Create) or tree.kind != "TABLE":
        raise unsupported("this CREATE: only CREATE DATABASE and CREATE EXTERNAL TABLE are")
    told = tree.args.get("properties")
    properties = list(told.expressions) if told else []
    if tree.expression is not None or not any(isinstance(one, exp.ExternalProperty) for one in properties):
        raise unsupported("CREATE TABLE other than CREATE EXTERNAL TABLE")
    if not isinstance(tree.this, exp.Schema):
        raise MalformedQueryError("line 1:1: missing the columns of the table")
    for one in properties:
        if not isinstance(one, KNOWN_PROPERTIES):
            raise unsupported(f"{one.sql('hive')} in CREATE TABLE")
    table = tree.this.this
    return Command(
        "CREATE TABLE",
        table.db.lower(),
        table.name.lower(),
        lenient=bool(tree.args.get("exists")),
        columns=_columns(tree.this.expressions),
        keys=_columns(
            next((one.this.expressions for one in properties if isinstance(one, exp.PartitionedByProperty)), [])
        ),
        comment=next((one.this.name for one in properties if isinstance(one, exp.SchemaCommentProperty)), ""),
        location=_location(properties),
        properties={one.name: str(one.args["value"].name) for one in properties if type(one) is exp.Property},
    )


def _location(properties: list[exp.Expr]) -> str:
    """Location of a new table, whose format must be Parquet."""
    formats = [one for one in properties if isinstance(one, exp.FileFormatProperty)]
    serdes = [one.this.name for one in properties if isinstance(one, exp.RowFormatSerdeProperty)]
    is_parquet = SERDE in serdes or (not serdes and any(one.this.name.upper() == "PARQUET" for one in formats))
    if not is_parquet:
        raise unsupported("tables that are not STORED AS PARQUET")
    location = next((one.this.name for one in properties if isinstance(one, exp.LocationProperty)), "")
    if not location:
        raise QueryError("", "FAILED: SemanticException no LOCATION: an external table needs one")
    return location


def _columns(told: list[exp.Expr]) -> tuple[tuple[str, str, str], ...]:
    """Name, type and comment of columns."""
    found = []
    for one in told:
        if not isinstance(one, exp.ColumnDef) or one.kind is None:
            raise MalformedQueryError(
                f"line 1:1: mismatched input '{one.sql('hive')}'. Expecting: a column and its type"
            )
        comment = one.find(exp.CommentColumnConstraint)
        kind = one.kind.sql("hive").lower().replace(", ", ",").replace(": ", ":")
        found.append((one.name.lower(), kind, comment.this.name if comment else ""))
    return tuple(found)
