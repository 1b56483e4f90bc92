"""What kind of statement a text is, and the parts that all have in common: tokens, places, parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.hive import Hive
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from localcloud.services.athena.errors import MalformedQueryError

LONGEST = 262_144
HIDDEN = {"$path": "VARCHAR", "$file_size": "BIGINT"}
QUERIES = {"SELECT", "WITH", "VALUES", "(", "TABLE"}
DEFINITIONS = {"CREATE", "ALTER", "DROP", "MSCK"}
UTILITIES = {"SHOW", "DESCRIBE", "DESC"}
# Statements of Athena that localcloud knows by name, to say that it has them not.
OTHERS = {
    "INSERT",
    "DELETE",
    "UPDATE",
    "MERGE",
    "UNLOAD",
    "VACUUM",
    "OPTIMIZE",
    "EXPLAIN",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
}
FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(\w+)", re.DOTALL)
# Tokens that the parser takes and Trino does not.
FOREIGN = {TokenType.DCOLON: "::"}


class Athena(Trino):
    """Trino, with the columns of Athena that no table declares."""

    PSEUDOCOLUMNS = {name.upper() for name in HIDDEN}  # noqa: RUF012 - as sqlglot declares it
    EXCLUDES_PSEUDOCOLUMNS_FROM_STAR = True


class HiveWords(Hive.Tokenizer):
    """Hive's tokens, also of statements that sqlglot leaves whole."""

    COMMANDS: ClassVar[set[TokenType]] = set()


@dataclass(frozen=True)
class Statement:
    """A statement that can be run.

    :param text: as it was sent.
    :param kind: ``DML``, ``DDL`` or ``UTILITY``.
    :param verb: first word.
    :param tokens: of the text.
    """

    text: str
    kind: str
    verb: str
    tokens: tuple[Token, ...]

    @property
    def has_header(self) -> bool:
        """Whether the first row of its result names the columns."""
        return self.kind == "DML"


def read_statement(text: str) -> Statement:
    """Look what a text is.

    :raises MalformedQueryError: it is none, or more than one, or none that Athena knows.
    """
    if len(text.encode()) > LONGEST:
        raise MalformedQueryError(f"Your query is longer than {LONGEST} bytes")
    first = FIRST_WORD.match(text)
    is_hive = first is not None and first[1].upper() in DEFINITIONS | UTILITIES
    try:
        tokens = HiveWords().tokenize(text) if is_hive else Athena().tokenize(text)
    except TokenError as error:
        raise MalformedQueryError(f"line 1:1: {str(error).partition(chr(10))[0]}") from None
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise MalformedQueryError("line 1:1: mismatched input '<EOF>'. Expecting: <query>")
    if any(one.token_type is TokenType.SEMICOLON for one in tokens):
        raise MalformedQueryError(f"Only one sql statement is allowed. Got: {text}")
    verb = tokens[0].text.upper().split()[0]  # Hive's tokens may have several words
    kind = (
        "DML" if verb in QUERIES | OTHERS else "DDL" if verb in DEFINITIONS else "UTILITY" if verb in UTILITIES else ""
    )
    if not kind:
        line, column = place_of(text, tokens[0].start)
        raise MalformedQueryError(f"line {line}:{column}: mismatched input '{tokens[0].text}'. Expecting: <statement>")
    if kind == "DML" and (foreign := next((one for one in tokens if one.token_type in FOREIGN), None)):
        line, column = place_of(text, foreign.start)
        raise MalformedQueryError(f"line {line}:{column}: mismatched input '{FOREIGN[foreign.token_type]}'")
    statement = Statement(text, kind, verb, tuple(tokens))
    if verb in QUERIES:
        parse_query(statement)
    return statement


def parse_query(statement: Statement) -> exp.Query:
    """Read a query.

    :raises MalformedQueryError: it is none.
    """
    try:
        found = sqlglot.parse_one(statement.text, read=Athena)
    except ParseError as error:
        first = error.errors[0]
        highlight = first.get("highlight") or ""
        column = max((first.get("col") or 1) - len(highlight) + 1, 1)
        place = f"line {first.get('line') or 1}:{column}"
        raise MalformedQueryError(f"{place}: mismatched input '{highlight}'. {first.get('description')}") from None
    if isinstance(found, exp.Subquery) and not found.args.get("alias"):
        found = found.unnest()
    if isinstance(found, exp.Values):
        width = len(found.expressions[0].expressions) if isinstance(found.expressions[0], exp.Tuple) else 1
        names = [exp.to_identifier(f"_col{number}") for number in range(width)]
        alias = exp.TableAlias(this=exp.to_identifier("_values"), columns=names)
        found.set("alias", alias)
        found = exp.select("*").from_(found)
    empty = isinstance(found, exp.Query) and next(
        (one for one in found.find_all(exp.Select) if not one.expressions), None
    )
    if not isinstance(found, exp.Query) or empty:
        raise MalformedQueryError("line 1:1: no viable alternative: this is no query")
    return found


def bind(statement: Statement, parameters: list[str]) -> Statement:
    """Put the parameters of an execution, which are literals in SQL, in the places of the question marks.

    :raises MalformedQueryError: there are more or fewer, or one is no literal.
    """
    places = [one for one in statement.tokens if one.token_type is TokenType.PLACEHOLDER]
    if len(places) != len(parameters):
        raise MalformedQueryError(f"Incorrect number of parameters: expected {len(places)} but found {len(parameters)}")
    text = statement.text
    for place, value in reversed(list(zip(places, parameters, strict=True))):
        if not _is_literal(value):
            raise MalformedQueryError(f"the parameter {value} is no literal; a text stands between single quotes")
        text = text[: place.start] + value + text[place.end + 1 :]
    return read_statement(text) if places else statement


def _is_literal(text: str) -> bool:
    try:
        value = sqlglot.parse_one(text, read=Athena)
    except (ParseError, TokenError):
        return False
    while isinstance(value, (exp.Neg, exp.Cast, exp.Paren)):
        value = value.this
    return isinstance(value, (exp.Literal, exp.Boolean, exp.Null))


def place_of(text: str, start: int) -> tuple[int, int]:
    """Line and column, both from 1, of a place in a text."""
    before = text[:start]
    return before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1
