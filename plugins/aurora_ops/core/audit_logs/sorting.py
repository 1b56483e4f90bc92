"""Sorting more records than fit into memory: sorted runs on disk, one for each day that their records are of, then merged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

ORDER = ("event_us", "sequence")
_RUN_BYTES = 32 * 2**20
_STEP_ROWS = 4096


class Sorter:
    """Takes tables with the columns ``event_us`` and ``sequence``, and gives their rows back by day, sorted by both.

    In memory are one run while it is made, and a step of each run while they are merged.

    :param folder: where runs are kept; it exists, and is the caller's to remove.
    :param run_bytes: bytes of a run.
    :param step_rows: rows of a run that are in memory while it is merged.
    """

    def __init__(self, folder: Path, run_bytes: int = _RUN_BYTES, step_rows: int = _STEP_ROWS) -> None:
        self._folder = folder
        self._run_bytes = run_bytes
        self._step_rows = step_rows
        self._tables: list[pa.Table] = []
        self._bytes = 0
        self._runs: dict[date, list[Path]] = {}

    def add(self, table: pa.Table) -> None:
        """Take rows, in any order; no two have the same ``sequence``."""
        self._tables.append(table)
        self._bytes += table.nbytes
        if self._bytes >= self._run_bytes:
            self._end_run()

    def days(self) -> list[date]:
        """Tell which days there are rows of, in UTC."""
        self._end_run()
        return sorted(self._runs)

    def rows(self, day: date) -> Iterator[pa.Table]:
        """Give the rows of a day, sorted."""
        self._end_run()
        runs = [_Run(path) for path in self._runs.get(day, ())]
        while live := [run for run in runs if run.load()]:
            bound = _bound(live)
            yield _sorted([run.take(bound) for run in live])

    def _end_run(self) -> None:
        """Sort what there is, and write it down, the rows of each day apart."""
        if not self._bytes:
            return
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = _sorted(self._tables)
        self._tables, self._bytes = [], 0
        days = rows["event_us"].cast(pa.timestamp("us")).cast(pa.date32()).combine_chunks()
        runs, start = pc.run_end_encode(days), 0
        for day, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            of_day = self._runs.setdefault(day, [])
            path = self._folder / f"{day}-{len(of_day)}.arrow"
            with pa.ipc.new_file(path, rows.schema) as file:
                file.write_table(rows.slice(start, end - start), max_chunksize=self._step_rows)
            of_day.append(path)
            start = end


class _Run:
    """A sorted run, read step by step."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self._file = pa.ipc.open_file(pa.OSFile(str(path)))
        self._step = 0
        self._rows: Any = None

    def load(self) -> bool:
        """Make sure that the next rows are there; false where there are none."""
        import pyarrow as pa

        while self._rows is None or self._rows.num_rows == 0:
            if self._step == self._file.num_record_batches:
                return False
            self._rows = pa.table(self._file.get_batch(self._step))
            self._step += 1
        return True

    @property
    def last(self) -> tuple[int, int] | None:
        """The last row that is there; ``None`` where none comes after it."""
        if self._step == self._file.num_record_batches:
            return None
        time, sequence = (self._rows[name][-1].as_py() for name in ORDER)
        return time, sequence

    def take(self, bound: tuple[int, int] | None) -> pa.Table:
        """Take the rows up to one; all where that is ``None``."""
        import pyarrow.compute as pc

        count = self._rows.num_rows
        if bound is not None:
            time, sequence = (self._rows[name] for name in ORDER)
            same = pc.and_(pc.equal(time, bound[0]), pc.less_equal(sequence, bound[1]))
            count = pc.sum(pc.or_(pc.less(time, bound[0]), same)).as_py()
        taken, self._rows = self._rows.slice(0, count), self._rows.slice(count)
        return taken


def _bound(runs: list[_Run]) -> tuple[int, int] | None:
    """Tell up to which row none can come any more from what is not there yet."""
    return min((last for run in runs if (last := run.last) is not None), default=None)


def _sorted(tables: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    rows = pa.concat_tables(tables)
    return rows.sort_by([(name, "ascending") for name in ORDER]).combine_chunks()
