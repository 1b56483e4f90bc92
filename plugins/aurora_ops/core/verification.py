"""Verification suites: what is checked of a database, what was found, and whether it passes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from aurora_ops.core.environments import problems_of
from aurora_ops.core.errors import ConfigError, PermanentError, VerificationError, report
from aurora_ops.core.section import Folder, Section
from aurora_ops.core.tables import COLUMN_PATTERN, TABLE_PATTERN, Column, Table
from aurora_ops.core.yaml_files import read_yaml

TableName = Annotated[str, Field(pattern=TABLE_PATTERN)]
Percent = Annotated[float, Field(ge=0, le=100)]


class Finding(NamedTuple):
    """What one check found.

    :param kind: kind of check.
    :param name: what was checked.
    :param passed: whether it is as it must be.
    :param detail: counts and names, never a value of the database.
    """

    kind: str
    name: str
    passed: bool
    detail: str = ""


class Rows(Section):
    """How the numbers of rows are compared with the baseline."""

    tolerance_percent: Percent = Field(0, description="difference that is allowed, of what the baseline has")
    tables: dict[TableName, Percent] = Field(default_factory=dict, description="table to another difference")
    ignore: list[TableName] = Field(default_factory=list, description="tables that are not compared")
    minimum: dict[TableName, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="table to rows that it must have at least, whatever the baseline says"
    )


class Freshness(Section):
    """A column that tells how new the data is."""

    column: Annotated[str, Field(pattern=COLUMN_PATTERN)] = Field(description="a date or time, in UTC")
    max_age_h: float = Field(
        gt=0, le=24 * 366, description="hours before the moment of the snapshot that its newest value may be"
    )


class Suite(Section):
    """What is checked of a database."""

    schemas: list[Folder] = Field(min_length=1, description="databases; each must have a table")
    tls: Literal["off", "encrypted", "demanded"] = Field(
        "encrypted",
        description="encrypted: connections are, and a server that demands it refuses others; demanded: no user gets in without",
    )
    rows: Rows = Field(default_factory=lambda: Rows.model_validate({}))
    freshness: list[Freshness] = Field(default_factory=list, description="columns with the newest moment")
    checksums: list[TableName] = Field(
        default_factory=list, description="tables whose content must be that of the baseline"
    )
    foreign_keys: bool = Field(True, description="no row may refer to one that is not there")
    ignore_foreign_keys: list[TableName] = Field(
        default_factory=list, description="constraints that are not checked, schema.name"
    )
    queries: bool = Field(True, description="every query in include/sql/validation/<schema>/ must pass")
    exact_grants: bool = Field(
        False, description="users whose grants are given must have nothing beyond them, and are tried on every table"
    )
    chunk_rows: int = Field(
        200_000, ge=1_000, le=10_000_000, description="rows of a big table that are summed up at once"
    )

    @property
    def tables(self) -> list[Table]:
        """Tables that the suite names."""
        named = [*self.rows.tables, *self.rows.minimum, *self.checksums]
        return [Table.parse(name, "table") for name in dict.fromkeys(named)]


def read_suite(path: Path) -> Suite:
    """Read a suite.

    :param path: ``include/sql/validation/<name>.yaml``.
    :raises ConfigError: there is no such file, or something in it is not allowed; field and value are named.
    :raises PermanentError: several of these.
    """
    where = f"validation/{path.name}"
    if not path.is_file():
        raise ConfigError("suite", path.name, f"write {where}; see docs/how-to/verification.md")
    try:
        suite = Suite.model_validate(read_yaml(path, where))
    except ValidationError as exc:
        report(
            [
                ConfigError(f"{where}:{problem.field}", problem.value, problem.allowed)
                for problem in problems_of(exc)
                if isinstance(problem, ConfigError)
            ]
        )
        raise AssertionError("a model that is refused has problems") from exc
    others: list[PermanentError] = [
        ConfigError(f"{where}:schemas", schema, f"{name} is in {schema}: add it")
        for name, schema in _schemas_of(suite)
        if schema not in suite.schemas
    ]
    report(others)
    return suite


def _schemas_of(suite: Suite) -> list[tuple[str, str]]:
    columns = [Column.parse(each.column, "column") for each in suite.freshness]
    return [*((str(table), table.schema) for table in suite.tables), *((str(c), c.table.schema) for c in columns)]


def compare_rows(
    counts: Mapping[Table, int],
    expected: Mapping[Table, int],
    *,
    tolerance_percent: float = 0,
    tables: Mapping[Table, float] | None = None,
) -> list[Finding]:
    """Compare tables and their numbers of rows: none may be missing, none may be more.

    :param counts: what there is.
    :param expected: what there should be.
    :param tolerance_percent: difference that is allowed.
    :param tables: table to another difference.
    """
    findings = []
    for table in sorted(set(expected) | set(counts)):
        wanted, found = expected.get(table), counts.get(table)
        passed = wanted == found
        if not passed and wanted is not None and found is not None:
            allowed = (tables or {}).get(table, tolerance_percent)
            passed = abs(found - wanted) <= math.floor(wanted * allowed / 100)
        detail = f"{found} rows" if wanted == found else f"expected {wanted}, found {found}"
        findings.append(Finding("rows", f"rows of {table}", passed, detail))
    return findings


def judge(cluster_id: str, findings: Sequence[Finding], where: str = "") -> None:
    """Raise what failed.

    :param cluster_id: what was checked.
    :param findings: what was found.
    :param where: where more can be read.
    :raises VerificationError: at least one check failed.
    """
    failed = [f"{found.name}: {found.detail}" for found in failures(findings)]
    if failed:
        more = f"; the report is {where}" if where else ""
        raise VerificationError(
            f"{len(failed)} of {len(findings)} checks of {cluster_id} failed: " + "; ".join(failed) + more
        )


def failures(findings: Iterable[Finding]) -> list[Finding]:
    """List the checks that failed."""
    return [found for found in findings if not found.passed]
