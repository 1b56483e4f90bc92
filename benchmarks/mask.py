"""Masking techniques side by side: ``make bench-mask`` (``BENCH_ROWS=5000000``).

Each technique masks the same table, fresh. The plan of the package chooses one of them; it must be within 5 % of the fastest and
four times as fast as chunked UPDATE. Wall-clock time decides; the server's CPU time stands beside it, since a busy machine
stretches the one and not the other.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aurora_ops.core import mask_plan, mask_sql
from aurora_ops.core.mask_plan import TablePlan, plan_tables
from aurora_ops.core.mask_rules import ColumnRule, parse_rule
from aurora_ops.core.settings import Masking
from aurora_ops.core.tables import Column, Table
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.hooks.table_facts import read_table_facts
from aurora_ops.operators.mask_crew import Crew

from benchmarks.server import SETTINGS, Running, server

PORT = 3919
TABLE = Table("bench", "people")
PLANTED = b"planted.original"
GOAL_OF_BEST, GOAL_OF_CHUNKED = 0.95, 4.0
SCHEMA = """CREATE TABLE bench.people (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  email VARCHAR(190) NOT NULL,
  full_name VARCHAR(121) NOT NULL,
  phone VARCHAR(32),
  birth_date DATE,
  notes VARCHAR(400),
  balance DECIMAL(12,2) NOT NULL,
  created_at DATETIME NOT NULL,
  KEY ix_email (email),
  KEY ix_name (full_name)
)"""
FILL = """INSERT INTO bench.people
SELECT seq, CONCAT(IF(seq % 100000 = 7, 'planted.original', LEFT(MD5(seq), 16)), seq, '@mail.example.com'),
  CONCAT(ELT(1 + seq % 7, 'Anna', 'Bea', 'Carl', 'Dora', 'Emil', 'Fritz', 'Gerda'), ' ', LEFT(MD5(seq * 7), 12)),
  CONCAT('+44 20 ', LPAD(seq * 7919 % 10000000, 8, '0')), '1950-01-01' + INTERVAL seq % 20000 DAY,
  CONCAT('asked about ', MD5(seq), REPEAT(' and more', seq % 9)), seq % 100000 / 7, '2026-01-01' + INTERVAL seq SECOND
FROM seq_{first}_to_{last}"""
RULES: dict[str, Any] = {"email": "email", "full_name": "full_name", "phone": "phone", "notes": "text"}


@dataclass(frozen=True)
class Variant:
    """A technique with its settings.

    :param late_indexes: whether a rebuild builds secondary indexes when the rows are in.
    """

    name: str
    technique: mask_plan.Technique
    connections: int
    chunk_rows: int
    late_indexes: bool = True


@dataclass(frozen=True)
class Measured:
    """What a variant took."""

    variant: Variant
    seconds: float
    cpu_s: float
    size_mib: float
    originals_left: int


def variants(chosen: TablePlan, defaults: Masking) -> list[Variant]:
    """List what is compared; the first is what the plan would do."""
    rows = defaults.chunk_rows
    return [
        Variant("as the plan chooses", chosen.technique, defaults.connections, rows),
        Variant("rebuild, 1 connection", "rebuild", 1, rows),
        Variant("rebuild, indexes kept", "rebuild", defaults.connections, rows, late_indexes=False),
        Variant("UPDATE in chunks, 1 connection", "update", 1, 10_000),
        Variant("UPDATE in chunks, 2 connections", "update", 2, 10_000),
        Variant("one UPDATE", "single update", 1, rows),
    ]


def chunk_variants() -> list[Variant]:
    """List sizes of ranges, from which the default was chosen: ``python -m benchmarks.mask chunks``."""
    sizes = (10_000, 50_000, 100_000, 250_000)
    return [
        *(Variant(f"rebuild, {size:,} rows", "rebuild", 2, size) for size in sizes),
        *(Variant(f"UPDATE, {size:,} rows", "update", 2, size) for size in sizes),
    ]


def fill(sql: MySqlHook, rows: int) -> None:
    """Make the table that every variant is given a copy of."""
    sql.run("CREATE DATABASE bench CHARACTER SET utf8mb4")
    sql.run("USE bench")
    sql.run(SCHEMA.replace("  KEY ix_email (email),\n  KEY ix_name (full_name)\n", "  KEY later (id)\n"))
    for first in range(1, rows + 1, 500_000):
        sql.run(FILL.format(first=first, last=min(rows, first + 499_999)))
    sql.run("ALTER TABLE bench.people DROP KEY later, ADD KEY ix_email (email), ADD KEY ix_name (full_name)")
    sql.run("ANALYZE TABLE bench.people")


def set_aside(running: Running, sql: MySqlHook) -> Path:
    """Copy the table's file as it is on disk, complete."""
    aside = running.data.parent / "aside"
    aside.mkdir()
    sql.run("FLUSH TABLES bench.people FOR EXPORT")
    for suffix in (".ibd", ".cfg"):
        shutil.copy(running.data / "bench" / f"people{suffix}", aside)
    sql.run("UNLOCK TABLES")
    return aside


def refresh(running: Running, sql: MySqlHook, aside: Path) -> None:
    """Put the original table back, and forget what was done."""
    for statement in (
        "DROP DATABASE IF EXISTS aurora_ops_scratch",
        "CREATE DATABASE aurora_ops_scratch",
        "DROP TABLE bench.people",
        SCHEMA,
        "ALTER TABLE bench.people DISCARD TABLESPACE",
    ):
        sql.run(statement)
    for path in aside.iterdir():
        shutil.copy(path, running.data / "bench")
    sql.run("ALTER TABLE bench.people IMPORT TABLESPACE")
    (running.data / "bench" / "people.cfg").unlink(missing_ok=True)


def measure(running: Running, plan: TablePlan, variant: Variant) -> Measured:
    """Mask the table in one way."""
    chunked = variant.technique in ("rebuild", "update")
    given = replace(
        plan, technique=variant.technique, key=plan.key if chunked else (), walked="PRIMARY" if chunked else None
    )
    crew = Crew(
        running.connect,
        salt="0123456789abcdef" * 4,
        connections=variant.connections,
        chunk_rows=variant.chunk_rows,
        log=lambda *_: None,
    )
    started, cpu = time.monotonic(), running.cpu_s()
    how = mask_sql.empty_copy if variant.late_indexes else _with_indexes
    with patch.object(mask_sql, "empty_copy", how):
        crew.mask([given])
    return Measured(
        variant,
        time.monotonic() - started,
        running.cpu_s() - cpu,
        (running.data / "bench" / "people.ibd").stat().st_size / 2**20,
        left_in_file(running),
    )


def _with_indexes(_: str, name: str) -> mask_sql.Copy:
    return mask_sql.Copy(f"CREATE TABLE IF NOT EXISTS {name} LIKE {TABLE.sql}", ())


def left_in_file(running: Running) -> int:
    """Count planted originals that are still in the table's file."""
    with running.connect() as sql:
        sql.run("FLUSH TABLES bench.people FOR EXPORT")
        content = (running.data / "bench" / "people.ibd").open("rb")
        found, rest = 0, b""
        with content:
            while block := content.read(2**24):
                found += (rest + block).count(PLANTED)
                rest = block[-len(PLANTED) + 1 :]
        sql.run("UNLOCK TABLES")
    (running.data / "bench" / "people.cfg").unlink(missing_ok=True)
    return found


def table(found: Sequence[Measured], rows: int) -> str:
    """Write the figures for people."""
    chunked = next((each for each in found if each.variant.name.startswith("UPDATE in chunks, 1")), found[-1])
    lines = [
        f"{'technique':34} {'s':>7} {'rows/s':>9} {'ratio':>6} {'CPU s':>7} {'ratio':>6} {'MiB':>6} {'originals in file':>18}"
    ]
    lines += [
        f"{each.variant.name:34} {each.seconds:7.1f} {rows / each.seconds:9,.0f} {chunked.seconds / each.seconds:6.2f} "
        f"{each.cpu_s:7.1f} {chunked.cpu_s / each.cpu_s:6.2f} {each.size_mib:6,.0f} {each.originals_left:18}"
        for each in found
    ]
    return "\n".join([*lines, f"ratio: to {chunked.variant.name}"])


def verdict(found: Sequence[Measured]) -> bool:
    """Say whether what the plan chooses is as fast as it must be."""
    chosen = found[0]
    best = min(found, key=lambda each: each.seconds)
    chunked = next(each for each in found if each.variant.name.startswith("UPDATE in chunks, 1"))
    of_best, of_chunked = best.seconds / chosen.seconds, chunked.seconds / chosen.seconds
    print(f"chosen by the plan: {chosen.variant.technique}; {of_best:.2f} of the best ({best.variant.name}), ", end="")
    print(f"{of_chunked:.1f} times chunked UPDATE; wanted: {GOAL_OF_BEST} and {GOAL_OF_CHUNKED}")
    return of_best >= GOAL_OF_BEST and of_chunked >= GOAL_OF_CHUNKED


def rules() -> list[ColumnRule]:
    """Build the rules of the table."""
    return [parse_rule(Column(TABLE, column), rule, column) for column, rule in RULES.items()]


def main(arguments: Sequence[str]) -> int:
    """Run, print, judge."""
    rows = int(os.environ.get("BENCH_ROWS", "5000000"))
    home = Path(os.environ.get("BENCH_HOME", ".local/bench"))
    print(f"{rows:,} rows, masked: {', '.join(RULES)}; MariaDB with {SETTINGS}", flush=True)
    with server(PORT, home) as running, running.connect() as sql:
        started = time.monotonic()
        fill(sql, rows)
        aside = set_aside(running, sql)
        print(f"filled in {time.monotonic() - started:.0f} s", flush=True)
        plans, problems = plan_tables(read_table_facts(sql, ["bench"]), rules())
        if problems:
            raise problems[0]
        compared = chunk_variants() if "chunks" in arguments else variants(plans[0], Masking.model_validate({}))
        found = []
        for variant in compared:
            refresh(running, sql, aside)
            found.append(measure(running, plans[0], variant))
            print(f"  {variant.name}: {found[-1].seconds:.1f} s", flush=True)
    print(table(found, rows))
    return 0 if "chunks" in arguments or verdict(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
