"""More records than memory holds come out sorted, by day, each once."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
from aurora_ops.core.audit_logs.sorting import Sorter
from hypothesis import given
from hypothesis import strategies as st

DAY_US = 86_400_000_000
times = st.integers(0, 3 * DAY_US - 1) | st.sampled_from([0, DAY_US - 1, DAY_US, DAY_US + 1])


def rows_of(tables) -> list[tuple[int, int]]:
    return [(row["event_us"], row["sequence"]) for table in tables for row in table.to_pylist()]


@given(st.lists(st.lists(times, max_size=30), max_size=12), st.integers(1, 2000), st.integers(1, 10))
def test_sorted_and_whole(tmp_path_factory, tables, run_bytes, step) -> None:
    sorter, sequence, given_rows = Sorter(tmp_path_factory.mktemp("runs"), run_bytes, step), 0, []
    for column in tables:
        numbers = range(sequence, sequence + len(column))
        sequence += len(column)
        given_rows += list(zip(column, numbers, strict=True))
        sorter.add(
            pa.table({"event_us": pa.array(column, pa.int64()), "sequence": pa.array(list(numbers), pa.int64())})
        )
    found = {day: rows_of(sorter.rows(day)) for day in sorter.days()}
    assert [row for day in sorted(found) for row in found[day]] == sorted(given_rows)
    for day, rows in found.items():
        assert {datetime.fromtimestamp(at // 10**6, UTC).date() for at, _ in rows} == {day}


def test_runs_longer_than_a_step_are_merged_in_order(tmp_path) -> None:
    """Also where all records are of one second: then the order of reading counts."""
    sorter, at = Sorter(tmp_path, run_bytes=200_000), 0
    for number in range(40):
        rows = 1000
        sorter.add(
            pa.table(
                {
                    "event_us": pa.array([7 if number % 2 else row * 7919 % 1000 for row in range(rows)], pa.int64()),
                    "sequence": pa.array(range(at, at + rows), pa.int64()),
                }
            )
        )
        at += rows
    assert len(list(tmp_path.iterdir())) > 1
    assert sorter.days() == [date(1970, 1, 1)]
    steps = list(sorter.rows(date(1970, 1, 1)))
    found = rows_of(steps)
    assert len(steps) > 1
    assert found == sorted(found)
    assert sorted(sequence for _, sequence in found) == list(range(at))
