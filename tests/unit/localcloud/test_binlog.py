"""How far a binary log has to be read for the state of a moment, on logs made up of headers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.mariadb import binlog
from localcloud.mariadb.backups import Backups
from localcloud.mariadb.binlog import Group, Mark, Position
from localcloud.mariadb.errors import EngineError

FORMAT, ROTATE, CHECKPOINT, ROWS, XID = 15, 4, 161, 23, 16
START_S = 1_000


def event(kind: int, when: int, length: int = 40) -> bytes:
    return binlog.HEADER.pack(when, kind, 1, length, 0, 0) + bytes(length - binlog.HEADER.size)


def transaction(when: int, rows: int = 1) -> bytes:
    return event(binlog.GTID, when) + b"".join(event(ROWS, when, 100) for _ in range(rows)) + event(XID, when, 31)


def beginning(when: int = START_S) -> bytes:
    return binlog.MAGIC + event(FORMAT, when) + event(CHECKPOINT, when)


@dataclass(frozen=True)
class Committed:
    """A transaction as it was.

    :param begun: seconds.
    :param committed: seconds, not before ``begun``.
    :param when: what the log says; None is the truth.
    """

    begun: float
    committed: float
    rows: int
    rotates: bool
    when: int | None = None


HISTORY = st.lists(
    st.builds(
        Committed,
        begun=st.floats(0, 5, allow_nan=False),  # before its commit, for now
        committed=st.floats(0, 3, allow_nan=False),  # after the one before, for now
        rows=st.integers(0, 3),
        rotates=st.booleans(),
        when=st.none(),
    ),
    max_size=15,
)
LIES = st.lists(st.none() | st.integers(0, 2 * START_S), min_size=15, max_size=15)


def in_order(history: list[Committed]) -> list[Committed]:
    """Put commits one after the other."""
    now, found = float(START_S), []
    for item in history:
        now += item.committed + 0.001
        found.append(Committed(now - item.begun, now, item.rows, item.rotates))
    return found


def written(folder, history: list[Committed], lies) -> tuple[dict, list[Position], list[Mark]]:
    """Write the history's log; return its files, where each transaction ends, and the marks of every second."""
    contents = {1: beginning()}
    ends, sizes = [], [(float(START_S), Position(1, len(contents[1])))]
    for item, lie in zip(history, lies, strict=False):
        number = max(contents)
        if item.rotates:
            contents[number] += event(ROTATE, int(item.committed))
            number += 1
            contents[number] = beginning(int(item.committed))
        contents[number] += transaction(int(item.begun) if lie is None else lie, item.rows)
        ends.append(Position(number, len(contents[number])))
        sizes.append((item.committed, ends[-1]))
    logs = {number: folder / f"binlog.{number:06}" for number in contents}
    for number, content in contents.items():
        logs[number].write_bytes(content)
    last = int(sizes[-1][0]) + 2
    marks = [
        Mark(second + 0.0005, max(end for time, end in sizes if time <= second + 0.0005))
        for second in range(START_S, last)
    ]
    return logs, ends, marks


@given(HISTORY, st.integers(0, 40))
def test_what_was_committed_by_then_is_in_and_what_began_later_is_not(tmp_path_factory, history, after) -> None:
    history, moment = in_order(history), START_S + after
    logs, ends, marks = written(tmp_path_factory.mktemp("log"), history, itertools.repeat(None))
    end = binlog.reach(logs, Position(1, 0), marks, moment)
    for item, its_end in zip(history, ends, strict=True):
        if item.committed < moment:
            assert its_end <= end
        if item.begun >= moment or item.committed > moment + 0.001:  # the looks are half a millisecond late
            assert its_end > end


@given(HISTORY, LIES, st.integers(0, 40))
def test_a_session_that_sets_its_clock_deceives_by_a_second_at_most(tmp_path_factory, history, lies, after) -> None:
    history, moment = in_order(history), START_S + after
    logs, ends, marks = written(tmp_path_factory.mktemp("log"), history, lies)
    end = binlog.reach(logs, Position(1, 0), marks, moment)
    for item, its_end in zip(history, ends, strict=True):
        if item.committed < moment - 1:
            assert its_end <= end
        if item.committed > moment + 0.001:
            assert its_end > end


def test_it_starts_behind_the_base_and_ends_at_a_transaction(tmp_path) -> None:
    log = tmp_path / "binlog.000001"
    log.write_bytes(beginning() + transaction(1001) + transaction(1002) + transaction(1003))
    first, second, third = binlog.groups(log)
    assert list(binlog.groups(log, second.start)) == [second, third]
    assert binlog.reach({1: log}, Position(1, second.end), [], 1001) == Position(1, second.end)
    assert binlog.reach({1: log}, Position(1, first.end), [], 1003) == Position(1, second.end)


def test_file_of_which_nothing_is_in_is_not_begun(tmp_path) -> None:
    logs = {number: tmp_path / f"binlog.{number:06}" for number in (1, 2)}
    logs[1].write_bytes(beginning() + transaction(1001))
    logs[2].write_bytes(beginning() + transaction(1005))
    marks = [Mark(1002, Position(2, len(beginning())))]
    assert binlog.reach(logs, Position(1, 0), marks, 1002) == Position(2, 0)
    assert binlog.reach(logs, Position(1, 0), marks, 1005) == Position(2, 0)
    assert binlog.reach(logs, Position(1, 0), marks, 1006) == Position(2, len(beginning() + transaction(1005)))


def test_what_is_being_written_is_left_out(tmp_path) -> None:
    log = tmp_path / "binlog.000001"
    whole = beginning() + transaction(1001)
    for length in range(4, len(beginning())):
        log.write_bytes(whole[:length])
        assert list(binlog.groups(log)) == []
    log.write_bytes(whole + event(binlog.GTID, 1002)[:-1])
    assert list(binlog.groups(log)) == [Group(len(beginning()), len(whole), 1001)]
    log.write_bytes(b"")
    assert list(binlog.groups(log)) == []


def test_what_stands_between_transactions_belongs_to_none(tmp_path) -> None:
    log = tmp_path / "binlog.000001"
    log.write_bytes(beginning() + transaction(1001) + event(CHECKPOINT, 1001) + event(ROTATE, 1001))
    (group,) = binlog.groups(log)
    assert group.end == len(beginning() + transaction(1001))


class TestBackups:
    """The files beside a cluster's data."""

    @pytest.fixture
    def source(self, tmp_path):
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "ibdata1").write_text("data")
        return tmp_path / "source"

    @pytest.fixture
    def folder(self, tmp_path):
        return tmp_path / "backups"

    @pytest.fixture
    def backups(self, folder, source) -> Backups:
        found = Backups(folder)
        found.begin(source, 1000.0)
        found.options()
        return found

    def write(self, folder, number: int, content: bytes) -> None:
        with (folder / "log" / f"binlog.{number:06}").open("ab") as file:
            file.write(content)

    def marks(self, folder) -> list[str]:
        return (folder / "marks").read_text().splitlines()

    def test_both_ends_of_a_pause_are_noted_and_nothing_else(self, backups, folder) -> None:
        self.write(folder, 1, beginning())
        size = len(beginning())
        for second in range(1001, 1006):
            backups.follow(second)
        self.write(folder, 1, transaction(1005))
        for second in range(1006, 1009):
            backups.follow(second)
        grown = size + len(transaction(0))
        assert self.marks(folder) == [f"1001.000 1 {size}", f"1005.000 1 {size}", f"1006.000 1 {grown}"]

    def test_it_goes_on_after_a_crash_that_cut_a_line_off(self, backups, folder, tmp_path) -> None:
        self.write(folder, 1, beginning() + transaction(1001))
        backups.follow(1002)
        with (folder / "marks").open("a") as file:
            file.write("1003.000 1 99")
        self.write(folder, 1, transaction(1003))
        again = Backups(folder)
        stretch = again.lend(1003, 1004, tmp_path / "lent")
        assert stretch.last == len(beginning() + transaction(1001)), "cut at the torn line"
        assert again.lend(1004, 1005, tmp_path / "more").last == len(beginning() + transaction(1001) * 2)

    def test_a_moment_before_the_first_base_is_refused(self, backups, tmp_path) -> None:
        with pytest.raises(EngineError, match="no backup from before 999"):
            backups.lend(999, 1001, tmp_path / "lent")

    def test_log_that_begins_anew_leaves_no_base(self, backups, folder) -> None:
        self.write(folder, 1, beginning() + transaction(1001))
        backups.follow(1002)
        assert backups.earliest() == 1000
        (folder / "log" / "binlog.000001").write_bytes(beginning())
        backups.follow(1003)
        assert backups.earliest() is None
        assert backups.due(10**9)
        assert self.marks(folder) == [f"1003.000 1 {len(beginning())}"]
