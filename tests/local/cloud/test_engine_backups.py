"""The engine's backups: copies of a moment, bounded logs and bases, and what goes wrong."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from typing import TYPE_CHECKING

import pymysql
import pytest

from localcloud.mariadb import copies
from localcloud.mariadb.engine import Engine
from localcloud.mariadb.errors import EngineError
from tests.local.cloud.databases import connect, free_port, in_background, on, rows, until

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from localcloud.mariadb.backups import Stretch

pytestmark = [pytest.mark.local, pytest.mark.slow]
ADDRESS, PASSWORD = "127.78.2.1", "only-for-tests-1"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=free_port())
    yield engine
    engine.close()


@pytest.fixture
def key(engine: Engine, request: pytest.FixtureRequest) -> Iterator[str]:
    """A cluster with a table of names."""
    name = f"{request.node.name}-source"
    engine.create(name)
    engine.start(name)
    on(engine, name, "CREATE DATABASE d")
    on(engine, name, "CREATE TABLE d.names (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40))")
    yield name
    engine.delete(name)


def add(engine: Engine, key: str, name: str) -> None:
    on(engine, key, f"INSERT INTO d.names (name) VALUES ('{name}')")


def moment(engine: Engine, key: str) -> float:
    """A full second that has just begun, and the log followed up to it."""
    begun = int(time.time()) + 1
    assert until(lambda: time.time() >= begun)
    engine.follow(key)
    return float(begun)


def names_at(engine: Engine, key: str, when: float) -> list[str]:
    """Names in a cluster restored to a moment."""
    copy = f"{key}-copy"
    engine.snapshot_at(key, copy, when)
    engine.restore(copy, copy)
    engine.start(copy)
    try:
        return [name for (name,) in on(engine, copy, "SELECT name FROM d.names ORDER BY id")]
    finally:
        engine.delete(copy)
        engine.delete_snapshot(copy)


def backups(engine: Engine, key: str) -> Path:
    return engine._cluster_folder(key) / "backups"


def logs(engine: Engine, key: str) -> list[str]:
    return sorted(path.name for path in (backups(engine, key) / "log").glob("binlog.0*"))


def test_logs_and_bases_are_bounded_and_the_earliest_moment_follows(engine: Engine, key: str) -> None:
    limit = 100_000
    begun = engine.earliest(key)
    assert begun is not None
    add(engine, key, "first")
    assert not engine.backup_due(key, limit)
    first = moment(engine, key)
    seen: list[float] = []
    for number in range(1, 7):
        on(engine, key, f"INSERT INTO d.names (name) SELECT REPEAT('{number}', 40) FROM d.seq_1_to_1000")
        on(engine, key, "FLUSH BINARY LOGS")
        while engine.backup_due(key, limit):
            engine.renew_backup(key, limit)
        earliest = engine.earliest(key)
        assert earliest is not None
        seen.append(earliest)
        kept = sum(path.stat().st_size for path in (backups(engine, key) / "log").glob("binlog.0*"))
        assert kept < 2 * limit
        assert len(list((backups(engine, key) / "bases").iterdir())) <= 3
    assert seen == sorted(seen)
    assert seen[0] == begun
    assert seen[-1] > first
    assert logs(engine, key)[0] != "binlog.000001"
    add(engine, key, "last")
    then = moment(engine, key)
    add(engine, key, "too late")
    found = names_at(engine, key, then)
    assert (found[0], len(found), found[-1]) == ("first", 6002, "last")
    with pytest.raises(EngineError, match="no backup from before"):
        names_at(engine, key, first)


def test_what_is_restored_does_not_need_its_source_any_more(
    engine: Engine, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(engine, key, "there")
    then = moment(engine, key)
    real = copies.replay

    def without_source(binaries: object, login: Path, server: object, stretch: Stretch) -> None:
        engine.delete(key)
        real(binaries, login, server, stretch)  # type: ignore[arg-type]

    monkeypatch.setattr(copies, "replay", without_source)
    assert names_at(engine, key, then) == ["there"]
    assert [path.name for path in (engine._root / "clusters").glob(f"{engine._cluster_folder(key).name}*")] == []
    assert list((engine._root / "replays").iterdir()) == []


def test_a_replay_that_fails_says_why_and_leaves_nothing(engine: Engine, key: str) -> None:
    add(engine, key, "there")
    then = moment(engine, key)
    base = backups(engine, key) / "bases" / "1" / "data"
    # a base that has what the log makes
    (base / "d").mkdir()
    with pytest.raises(EngineError, match=r"replaying the binary log failed: (?s:.*)database exists"):
        names_at(engine, key, then)
    (base / "d").rmdir()
    real = engine._binaries
    engine._binaries = dataclasses.replace(real, binlog=real.server.parent / "absent")
    try:
        with pytest.raises(FileNotFoundError):
            names_at(engine, key, then)
    finally:
        engine._binaries = real
    assert list((engine._root / "replays").iterdir()) == []
    assert names_at(engine, key, then) == ["there"]


def test_log_that_its_master_resets_is_begun_anew_from_a_new_base(engine: Engine, key: str) -> None:
    engine.set_master(key, "admin", PASSWORD)
    engine.expose(key, {ADDRESS})
    add(engine, key, "before")
    moment(engine, key)
    with connect(ADDRESS, engine._relay._port, "admin", PASSWORD) as connection:
        rows(connection, "RESET MASTER")
        for statement in ("PURGE BINARY LOGS BEFORE NOW()", "SET sql_log_bin = 0"):
            with pytest.raises(pymysql.MySQLError, match="1227"):
                rows(connection, statement)
    add(engine, key, "between")
    lost = moment(engine, key)
    assert engine.earliest(key) is None
    with pytest.raises(EngineError, match="no backup"):
        names_at(engine, key, lost)
    assert engine.backup_due(key, 10**9)
    engine.renew_backup(key, 10**9)
    then = moment(engine, key)
    add(engine, key, "too late")
    assert names_at(engine, key, then) == ["before", "between"]


def test_snapshot_of_a_server_that_has_died_has_all_that_was_committed(engine: Engine, key: str) -> None:
    def write(stop: threading.Event) -> None:
        with engine.admin(key) as connection:
            while not stop.is_set():
                try:
                    rows(connection, "INSERT INTO d.names (name) VALUES ('x')")
                except pymysql.MySQLError:
                    return

    with in_background(write, threads=4):
        assert until(lambda: on(engine, key, "SELECT COUNT(*) FROM d.names")[0][0] > 500)
        before = on(engine, key, "SELECT COUNT(*) FROM d.names")[0][0]
        pid = engine.pid(key)
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: not engine.running(key))
    engine.snapshot(key, "dead")
    assert engine.running(key), "it is started again, for its log tells what was committed"
    engine.restore("dead", "of-dead")
    engine.start("of-dead")
    assert on(engine, "of-dead", "SELECT COUNT(*) FROM d.names")[0][0] >= before
    engine.delete("of-dead")
    engine.delete_snapshot("dead")


def test_nobody_else_reads_the_log_and_a_cluster_takes_it_along(engine: Engine, key: str) -> None:
    folder = backups(engine, key)
    assert folder.stat().st_mode & 0o777 == 0o700
    size = engine.size_bytes(key)
    on(engine, key, "INSERT INTO d.names (name) SELECT REPEAT('x', 40) FROM d.seq_1_to_100")
    engine.renew_backup(key, 10**9)
    assert engine.size_bytes(key) < size + 1_000_000, "backups are not the cluster's data"
    engine.delete(key)
    assert not folder.exists()
