"""The demo's report, as text: pure functions of what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devstack.evidence import Masked, State
from devstack.timings import ALLOWED, DEFERRAL_S, TASK_S, Split


@dataclass(frozen=True)
class Proof:
    """One claim of the demo, whether it holds, and what was seen."""

    claim: str
    holds: bool
    seen: str


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lay out rows under a head; numbers to the right with thousands separated."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    right = [all(_numeric(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in [list(head), ["-" * width for width in widths], *cells]:
        parts = (
            cell.rjust(w) if to_right else cell.ljust(w) for cell, w, to_right in zip(row, widths, right, strict=True)
        )
        lines.append("  " + "  ".join(parts).rstrip())
    return lines


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value)


def _numeric(cell: str) -> bool:
    return cell == "-" or cell.replace(",", "").isdigit()


def rows_per_table(production: State, before: State, after: State, kept: Sequence[str]) -> list[str]:
    """Lay out the rows of each table, three columns."""
    names = sorted({*production.rows, *before.rows, *after.rows})
    return table(
        ("table", "production", "staging before", "staging after", ""),
        [
            (
                name,
                production.rows.get(name),
                before.rows.get(name),
                after.rows.get(name),
                "kept" if name in kept else "",
            )
            for name in names
        ],
    )


def mask_proof(columns: Sequence[Masked]) -> list[str]:
    """Lay out the proof of each masked column."""
    return table(
        ("masked column", "distinct values in production", "of these in staging"),
        [(f"{item.table}.{item.column}", item.values, item.survivors) for item in columns],
    )


def durations(split: Split) -> list[str]:
    """Lay out where the time of the run went."""
    limit = split.floor_s * ALLOWED
    path = f"{len(split.path)} tasks x {TASK_S} s + {split.deferrals} deferrals x {DEFERRAL_S:g} s"
    verdict = "within" if split.overhead_s <= limit else "ABOVE"
    return [
        f"  run                    {split.wall_s:7.1f} s",
        f"    SQL                  {split.sql_s:7.1f} s",
        f"    waits for AWS        {split.aws_s:7.1f} s",
        f"    calls to AWS         {split.api_s:7.1f} s",
        f"    Airflow's overhead   {split.overhead_s:7.1f} s  {verdict} {ALLOWED:g} x floor = {limit:.1f} s",
        f"  floor                  {split.floor_s:7.1f} s  longest path: {path}",
        f"  slot-seconds waiting   {split.slot_wait_s:7.1f} s  worker slots held while waiting for AWS",
    ]


def proofs(items: Sequence[Proof]) -> list[str]:
    """Lay out the claims."""
    return [f"  {'ok  ' if item.holds else 'FAIL'}  {item.claim}: {item.seen}" for item in items]


def judge(
    production: State, before: State, after: State, kept: Sequence[str], columns: Sequence[Masked]
) -> list[Proof]:
    """Judge what the databases show.

    :param kept: tables that staging keeps.
    :return: one proof per claim.
    """
    wrong = {name for name, rows in production.rows.items() if name not in kept and after.rows.get(name) != rows}
    survivors = sum(item.survivors for item in columns)
    values = sum(item.values for item in columns)
    same_address = (before.endpoint.address, before.endpoint.port) == (after.endpoint.address, after.endpoint.port)
    changed = [name for name in kept if before.kept.get(name) != after.kept.get(name)]
    fresh = before.endpoint.resource_id != after.endpoint.resource_id
    address = f"{after.endpoint.address}:{after.endpoint.port}"
    return [
        Proof(
            "staging has production's rows",
            not wrong and bool(after.rows),
            f"differ: {', '.join(sorted(wrong))}" if wrong else f"{len(production.rows) - len(kept)} tables equal",
        ),
        Proof(
            "no masked column kept a value",
            survivors == 0 and values > 0,
            f"{values:,} distinct values of {len(columns)} columns checked, {survivors:,} found in staging",
        ),
        Proof(
            "the endpoint is the same and answers with the new cluster",
            same_address and fresh,
            f"{address}, cluster {before.endpoint.resource_id} before, {after.endpoint.resource_id} now",
        ),
        Proof(
            "staging kept its own tables",
            not changed and all(name in after.kept for name in kept),
            f"changed: {', '.join(changed)}" if changed else f"{', '.join(kept)} are as before",
        ),
    ]
