"""DuckDB runs a query: bounded memory, no network, no files but the copies of the query's own objects."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from localcloud.services.athena.catalog import Catalog
from localcloud.services.athena.errors import QueryError, unsupported
from localcloud.services.athena.functions import MACROS
from localcloud.services.athena.relations import Reader, quoted
from localcloud.services.athena.translate import plan
from localcloud.services.athena.types import told
from localcloud.services.athena.values import csv_line, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from localcloud.services.athena.asking import Asking
    from localcloud.services.athena.statements import Statement
    from localcloud.services.athena.types import Told

MEMORY = "512MB"
PAGE = 1000
ZONED = "TIMESTAMP WITH TIME ZONE"
CODED = re.compile(r"^(?:\w+ )*(?:Error|Exception): ([A-Z][A-Z_]+: .*)", re.DOTALL)


@dataclass(frozen=True)
class Result:
    """What a statement gives.

    :param content: as it is stored.
    :param rows: without a header.
    :param scanned: bytes read.
    :param input_rows: rows of what was read.
    """

    columns: tuple[Told, ...]
    content: bytes
    rows: int
    scanned: int = 0
    input_rows: int = 0


@contextmanager
def connected(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory that can read one folder and nothing else."""
    connection = duckdb.connect(
        config={
            "threads": "1",
            "memory_limit": MEMORY,
            "temp_directory": str(folder / "spilled"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
    )
    try:
        for macro in MACROS:
            connection.execute(macro)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET allowed_directories = ['{folder}']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def run_query(
    statement: Statement,
    catalog: Catalog,
    asking: Asking,
    scratch: Path,
    started: Callable[[duckdb.DuckDBPyConnection], None],
) -> Result:
    """Run a query over the objects of S3.

    :param scratch: folder for a folder of copies, which is removed.
    :param started: is given the connection, to interrupt it.
    :raises QueryError: it fails.
    """
    translated = plan(statement, catalog.table)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as name, connected(Path(name)) as connection:
        started(connection)
        reader = Reader(connection, Path(name), asking, translated.columns)
        try:
            for reference in translated.references:
                reader.make(reference)
            columns, content, rows = _fetch(connection, translated.sql)
        except duckdb.Error as error:
            raise failure(error) from None
        return Result(columns, content, rows, reader.scanned, reader.rows)


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[tuple[Told, ...], bytes, int]:
    described = connection.execute(f"DESCRIBE {sql}").fetchall()
    columns = []
    for name, kind, *_ in described:
        try:
            columns.append(told(name, kind))
        except LookupError:
            raise unsupported(f"results of type {kind}") from None
    if any(
        kind == ZONED for _, kind, *_ in described
    ):  # what they are in UTC: DuckDB needs a library for Python's zones
        outputs = [
            f"timezone('UTC', {quoted(name)}) AS {quoted(name)}" if kind == ZONED else quoted(name)
            for name, kind, *_ in described
        ]
        sql = f"SELECT {', '.join(outputs)} FROM ({sql})"  # noqa: S608 - translated
    connection.execute(sql)
    lines = [csv_line([one.name for one in columns])]
    rows = 0
    while page := connection.fetchmany(PAGE):
        rows += len(page)
        lines += [csv_line(_texts(row, columns)) for row in page]
    return tuple(columns), b"".join(lines), rows


def _texts(row: tuple[Any, ...], columns: list[Told]) -> list[str | None]:
    texts = [text_of(value, column.kind) for value, column in zip(row, columns, strict=True)]
    return [
        f"{text} UTC" if text is not None and column.kind.endswith("zone") else text
        for text, column in zip(texts, columns, strict=True)
    ]


def failure(error: duckdb.Error) -> QueryError:
    """Say in Athena's words what DuckDB says."""
    text = str(error).strip()
    coded = CODED.match(text)
    if coded:
        code, _, message = coded[1].partition(": ")
        return QueryError(code, message)
    first = text.split("\n")[0].partition(": ")[2] or text
    if "ivision by zero" in text:
        return QueryError("DIVISION_BY_ZERO", "Division by zero")
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryError("EXCEEDED_LOCAL_MEMORY_LIMIT", "Query exhausted resources at this scale factor")
    if isinstance(error, duckdb.OutOfRangeException):
        return QueryError("NUMERIC_VALUE_OUT_OF_RANGE", first)
    if isinstance(error, duckdb.ConversionException):
        return QueryError("INVALID_CAST_ARGUMENT", first)
    if isinstance(error, duckdb.InterruptException):
        return QueryError("", "Query was cancelled")
    if isinstance(error, (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException)):
        return QueryError("SYNTAX_ERROR", first)
    return QueryError("GENERIC_INTERNAL_ERROR", first)
