"""The engine behind clusters: real servers, physical snapshots, movable endpoints."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pymysql
import pytest

from localcloud.mariadb import binaries, server
from localcloud.mariadb.engine import Engine, end_orphans
from localcloud.mariadb.errors import EngineError, MariaDBNotFoundError
from localcloud.mariadb.files import file_name
from localcloud.mariadb.tls import Authority
from localcloud.seed import shop
from tests.local.cloud.databases import REPOSITORY, connect, free_port, in_background, on, rows, until, value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymysql.connections import Connection

ADDRESSES = ("127.78.1.1", "127.78.1.2", "127.78.1.3")
PASSWORD = 'it\'s 100% "secret"'
FILLER_ROWS = 400_000
SHOP_TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' AND table_type = 'BASE TABLE'"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=free_port())
    yield engine
    engine.close()


@pytest.fixture
def cluster(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Clusters of a test; removed after it."""
    made: list[str] = []

    def make(name: str, *, snapshot: str | None = None, addresses: set[str] | None = None) -> str:
        key = f"{request.node.name}-{name}"
        made.append(key)
        engine.restore(snapshot, key) if snapshot else engine.create(key)
        engine.start(key)
        engine.set_master(key, "admin", PASSWORD)
        engine.expose(key, addresses or set())
        return key

    yield make
    for key in made:
        engine.delete(key)


def master(engine: Engine, address: str = ADDRESSES[0], **more: object) -> Connection:
    return connect(address, engine._relay._port, "admin", PASSWORD, **more)


def note(engine: Engine, key: str, text: str) -> None:
    """Leave a mark in a cluster that tells it from others."""
    on(engine, key, "CREATE DATABASE IF NOT EXISTS notes")
    on(engine, key, "CREATE TABLE IF NOT EXISTS notes.notes (text VARCHAR(40))")
    on(engine, key, f"INSERT INTO notes.notes VALUES ('{text}')")


def notes(engine: Engine, key: str) -> list[str]:
    return sorted(text for (text,) in on(engine, key, "SELECT text FROM notes.notes"))


def processes_with(text: str) -> list[str]:
    listing = subprocess.run(["ps", "-eo", "pid,stat,args", "-ww"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if text in line and " Z" not in line]


# --- life cycle


def test_start_stop_and_delete_may_be_said_twice(engine: Engine) -> None:
    engine.create("twice")
    assert not engine.running("twice")
    engine.start("twice")
    pid = engine.pid("twice")
    engine.start("twice")
    assert (engine.running("twice"), engine.pid("twice")) == (True, pid)
    note(engine, "twice", "kept")
    engine.stop("twice")
    engine.stop("twice")
    assert not engine.running("twice")
    engine.start("twice")
    assert notes(engine, "twice") == ["kept"]
    engine.delete("twice")
    engine.delete("twice")
    assert not engine.running("twice")
    assert engine.size_bytes("twice") == 0
    with pytest.raises(EngineError, match="no cluster twice"):
        engine.start("twice")


def test_a_key_is_used_once(engine: Engine, cluster: Callable[..., str]) -> None:
    key = cluster("one")
    engine.snapshot(key, "once")
    with pytest.raises(EngineError, match="already"):
        engine.create(key)
    with pytest.raises(EngineError, match="already"):
        engine.restore("once", key)
    with pytest.raises(EngineError, match="already"):
        engine.snapshot(key, "once")
    assert engine.running(key)


def test_keys_that_are_no_file_names_stay_apart(engine: Engine, cluster: Callable[..., str]) -> None:
    note(engine, key := cluster("one"), "one")
    snapshots = ["rds:prod/shop:1", "rds:prod-shop-1", "arn:aws:rds:eu-west-1:1:cluster-snapshot:" + "x" * 300]
    for snapshot in snapshots:
        engine.snapshot(key, snapshot)
    engine.delete_snapshot(snapshots[0])
    assert [engine.size_bytes(snapshot) > 0 for snapshot in snapshots] == [False, True, True]


def test_killed_server_is_noticed_and_starts_again_with_all_that_was_committed(
    engine: Engine, cluster: Callable[..., str]
) -> None:
    key = cluster("one", addresses={ADDRESSES[0]})
    note(engine, key, "committed")
    pid = engine.pid(key)
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: not engine.running(key))
    with pytest.raises(pymysql.err.OperationalError):
        master(engine)
    engine.start(key)
    assert notes(engine, key) == ["committed"]
    with master(engine) as connection:
        assert value(connection, "SELECT COUNT(*) FROM notes.notes") == 1


def test_server_outlives_the_thread_that_started_it(engine: Engine) -> None:
    """The kernel's "end me with my parent" means the parent's thread."""
    engine.create("threaded")
    starter = threading.Thread(target=engine.start, args=("threaded",))
    starter.start()
    starter.join()
    note(engine, "threaded", "first")
    assert not until(lambda: not engine.running("threaded"), timeout_s=0.5)
    assert notes(engine, "threaded") == ["first"]
    engine.delete("threaded")


def test_server_that_cannot_start_says_why(engine: Engine) -> None:
    engine.create("broken")
    (engine._root / "clusters" / "broken" / "data" / "ibdata1").write_bytes(b"not a table space")
    with pytest.raises(EngineError, match=r"(?s)ended at once.*ibdata1"):
        engine.start("broken")
    assert not engine.running("broken")
    engine.delete("broken")


# --- users


def test_only_the_administrator_is_there_besides_the_master(engine: Engine, cluster: Callable[..., str]) -> None:
    key = cluster("one")
    users = on(engine, key, "SELECT user, host FROM mysql.global_priv WHERE JSON_VALUE(priv, '$.is_role') IS NULL")
    assert sorted(users) == [("admin", "%"), ("mariadb.sys", "localhost"), ("rdsadmin", "localhost")]


@pytest.mark.parametrize(
    "statement",
    ["SET GLOBAL max_connections = 5", "SHUTDOWN", "SELECT 1 INTO OUTFILE '/tmp/never'", "GRANT SUPER ON *.* TO admin"],
)
def test_master_may_not_what_aurora_forbids(engine: Engine, cluster: Callable[..., str], statement: str) -> None:
    cluster("one", addresses={ADDRESSES[0]})
    with master(engine) as connection, pytest.raises(pymysql.MySQLError) as refused:
        rows(connection, statement)
    assert refused.value.args[0] in {1045, 1227}


def test_master_may_what_a_refresh_needs(engine: Engine, cluster: Callable[..., str]) -> None:
    cluster("one", addresses={ADDRESSES[0]})
    with master(engine) as connection:
        for statement in (
            "CREATE DATABASE d",
            "CREATE TABLE d.t (a INT PRIMARY KEY)",
            "CREATE DEFINER = somebody@`%` TRIGGER d.g BEFORE INSERT ON d.t FOR EACH ROW SET NEW.a = NEW.a + 1",
            "CREATE DEFINER = somebody@`%` PROCEDURE d.p() SELECT 1",
            "CREATE DEFINER = somebody@`%` VIEW d.v AS SELECT * FROM d.t",
            "CREATE USER app@`%` IDENTIFIED BY 'x'",
            "GRANT SELECT, INSERT, EXECUTE ON d.* TO app@`%`",
            "ALTER USER app@`%` IDENTIFIED BY 'y'",
            "GRANT AWS_LOAD_S3_ACCESS TO app@`%`",
            "FLUSH TABLES",
            "DROP USER app@`%`",
        ):
            rows(connection, statement)
        with master(engine) as other:
            rows(connection, "CALL mysql.rds_kill(%s)", (other.thread_id(),))
            assert until(lambda: not alive(other))
        assert value(connection, "SELECT CURRENT_USER()") == "admin@%"


def test_master_password_can_be_changed(engine: Engine, cluster: Callable[..., str]) -> None:
    key = cluster("one", addresses={ADDRESSES[0]})
    engine.set_master(key, "admin", "another")
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        master(engine)
    connect(ADDRESSES[0], engine._relay._port, "admin", "another").close()
    with pytest.raises(EngineError, match="reserved"):
        engine.set_master(key, "rdsadmin", "mine")
    engine.stop(key)
    with pytest.raises(EngineError, match="does not run"):
        engine.set_master(key, "admin", PASSWORD)


def test_server_uses_the_character_set_and_modes_of_aurora(engine: Engine, cluster: Callable[..., str]) -> None:
    key = cluster("one")
    ((charset, collation, zone, mode),) = on(
        engine, key, "SELECT @@character_set_server, @@collation_server, @@time_zone, @@sql_mode"
    )
    assert (charset, collation, zone) == ("utf8mb4", "utf8mb4_unicode_ci", "+00:00")
    assert {"ONLY_FULL_GROUP_BY", "STRICT_TRANS_TABLES"} <= set(mode.split(","))


# --- endpoints


def alive(connection: Connection) -> bool:
    try:
        connection.ping(reconnect=False)
    except pymysql.MySQLError:
        return False
    return True


def test_endpoints_follow_the_server(engine: Engine, cluster: Callable[..., str]) -> None:
    key = cluster("one", addresses={ADDRESSES[0], ADDRESSES[1]})
    before = master(engine)
    assert value(before, "SELECT SUBSTRING_INDEX(USER(), '@', -1)") == "127.0.0.1"
    engine.stop(key)
    assert not alive(before)
    for address in ADDRESSES:
        with pytest.raises(pymysql.err.OperationalError, match="refused"):
            master(engine, address)
    engine.start(key)
    for address in ADDRESSES[:2]:
        master(engine, address).close()
    engine.expose(key, {ADDRESSES[1]})
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        master(engine, ADDRESSES[0])
    engine.delete(key)
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        master(engine, ADDRESSES[1])


def test_exposed_while_stopped_is_served_from_the_start(engine: Engine, cluster: Callable[..., str]) -> None:
    key = cluster("one")
    engine.stop(key)
    engine.expose(key, {ADDRESSES[0]})
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        master(engine)
    engine.start(key)
    master(engine).close()


def test_swap_of_names_moves_the_endpoint_and_drops_old_connections(
    engine: Engine, cluster: Callable[..., str]
) -> None:
    live, old, temporary = ADDRESSES
    staging = cluster("staging", addresses={live})
    restored = cluster("restored", addresses={temporary})
    note(engine, staging, "old data")
    note(engine, restored, "new data")
    before, bystander = master(engine, live), master(engine, temporary)
    assert value(before, "SELECT text FROM notes.notes") == "old data"

    engine.expose(staging, {old})
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        master(engine, live)
    engine.expose(restored, {live})

    assert not alive(before)
    assert not alive(bystander)
    for address, expected in ((live, "new data"), (old, "old data")):
        with master(engine, address) as connection:
            assert value(connection, "SELECT text FROM notes.notes") == expected


def test_address_taken_over_leads_to_its_new_owner_only(engine: Engine, cluster: Callable[..., str]) -> None:
    one = cluster("one", addresses={ADDRESSES[0], ADDRESSES[1]})
    two = cluster("two", addresses={ADDRESSES[0]})
    note(engine, two, "two")
    engine.stop(one)
    engine.start(one)
    with master(engine) as connection:
        assert value(connection, "SELECT text FROM notes.notes") == "two"
    engine.delete(one)
    assert master(engine).open


def test_endpoint_is_verified_by_its_address(engine: Engine, cluster: Callable[..., str], tmp_path: Path) -> None:
    key = cluster("one", addresses={ADDRESSES[0]})
    engine.expose(key, {ADDRESSES[0], ADDRESSES[1]})
    for address in ADDRESSES[:2]:
        with master(engine, address, ssl={"ca": str(engine.ca_file)}) as connection:
            assert rows(connection, "SHOW STATUS LIKE 'Ssl_version'") == [("Ssl_version", "TLSv1.3")]
    engine._authority.write_server_certificate(engine._root / "clusters" / key / "server-cert.pem", {ADDRESSES[2]})
    on(engine, key, "FLUSH SSL")
    with pytest.raises(pymysql.err.OperationalError, match="certificate verify failed"):
        master(engine, ssl={"ca": str(engine.ca_file)})
    engine.expose(key, {ADDRESSES[0]})
    with pytest.raises(pymysql.err.OperationalError, match="certificate verify failed"):
        master(engine, ssl={"ca": str(Authority(tmp_path).ca_file)})


# --- snapshots


def rewrite(engine: Engine, key: str) -> Callable[[threading.Event], None]:
    """Change pages all over a large table, and let the server write them out at once: a careless copy mixes ages."""

    def work(stop: threading.Event) -> None:
        with engine.admin(key) as connection:
            while not stop.is_set():
                first = random.randrange(FILLER_ROWS)
                rows(connection, f"UPDATE load_test.filler SET v = v + 1 WHERE id BETWEEN {first} AND {first + 2000}")

    return work


def visit(engine: Engine, key: str) -> Callable[[threading.Event], None]:
    def work(stop: threading.Event) -> None:
        with engine.admin(key) as connection:
            assert shop.write_load(connection, stop=stop) > 0

    return work


def test_snapshot_under_heavy_writing_is_consistent(engine: Engine, cluster: Callable[..., str]) -> None:
    key = cluster("source")
    with engine.admin(key) as connection:
        shop.seed_production(connection, rows=20_000, passwords={})
    seeded = on(engine, key, "SELECT COUNT(*) FROM shop.orders")[0][0]
    for statement in (
        "CREATE DATABASE load_test",
        "CREATE TABLE load_test.filler (id INT PRIMARY KEY, v INT, text CHAR(200) CHARACTER SET ascii, KEY (v))",
        f"INSERT INTO load_test.filler SELECT seq, 0, REPEAT('x', 200) FROM shop.seq_1_to_{FILLER_ROWS}",
        "SET GLOBAL innodb_max_dirty_pages_pct = 0",
        "SET GLOBAL innodb_io_capacity = 20000",
    ):
        on(engine, key, statement)
    with in_background(visit(engine, key), threads=2), in_background(rewrite(engine, key), threads=2):
        assert until(lambda: on(engine, key, "SELECT COUNT(*) FROM shop.orders")[0][0] > seeded + 20)
        before = on(engine, key, "SELECT COUNT(*) FROM shop.orders")[0][0]
        engine.snapshot(key, "busy")
        after = on(engine, key, "SELECT COUNT(*) FROM shop.orders")[0][0]
    copy = cluster("copy", snapshot="busy")
    tables = [name for (name,) in on(engine, copy, SHOP_TABLES)]
    assert len(tables) == 12
    checked_tables = ", ".join(["load_test.filler", *(f"shop.{table}" for table in tables)])
    checks = on(engine, copy, f"CHECK TABLE {checked_tables} EXTENDED")
    # purge may not have come yet to index entries of rows that were deleted while the copy was made
    purged = [(kind, text) for _, _, kind, text in checks if "Clustered index record not found" not in text]
    assert set(purged) == {("status", "OK")}
    log = (engine._root / "clusters" / file_name(copy) / "error.log").read_text()
    assert [line for line in log.splitlines() if "ERROR" in line] == []
    assert before <= on(engine, copy, "SELECT COUNT(*) FROM shop.orders")[0][0] <= after
    assert after > before, "nothing was written while the snapshot was taken: the test shows nothing"
    (checked,) = on(engine, copy, (REPOSITORY / "include/sql/validation/shop/020_order_totals.sql").read_text())
    assert checked == ("order totals", 1, "0 orders differ from their items")


def test_restored_cluster_is_independent(engine: Engine, cluster: Callable[..., str]) -> None:
    source = cluster("source")
    note(engine, source, "both")
    engine.snapshot(source, "independent")
    first = cluster("first", snapshot="independent")
    note(engine, first, "first only")
    note(engine, source, "source only")
    engine.delete(source)
    second = cluster("second", snapshot="independent")
    engine.delete_snapshot("independent")
    engine.delete_snapshot("independent")
    assert notes(engine, first) == ["both", "first only"]
    assert notes(engine, second) == ["both"]
    with pytest.raises(EngineError, match="no snapshot independent"):
        engine.restore("independent", "third")


def test_copy_of_a_snapshot_outlives_it(engine: Engine, cluster: Callable[..., str]) -> None:
    source = cluster("source")
    note(engine, source, "both")
    engine.snapshot(source, "original")
    engine.copy_snapshot("original", "copied")
    assert engine.size_bytes("copied") == engine.size_bytes("original") > 10_000_000
    used = cluster("used", snapshot="original")
    note(engine, used, "written after the copy")
    engine.delete_snapshot("original")
    assert notes(engine, cluster("restored", snapshot="copied")) == ["both"]
    with pytest.raises(EngineError, match="no snapshot original"):
        engine.copy_snapshot("original", "again")


def test_stopped_cluster_has_snapshots_too(engine: Engine, cluster: Callable[..., str]) -> None:
    source = cluster("source")
    note(engine, source, "kept")
    engine.stop(source)
    engine.snapshot(source, "stopped")
    assert notes(engine, cluster("restored", snapshot="stopped")) == ["kept"]


def test_failed_snapshot_leaves_nothing(engine: Engine, cluster: Callable[..., str], tmp_path: Path) -> None:
    source = cluster("source")
    with pytest.raises(EngineError, match="no cluster nobody"):
        engine.snapshot("nobody", "failed")
    real = engine._binaries
    full_disk = tmp_path / "mariadb-backup"
    full_disk.write_text(
        f'#!/bin/sh\ncase "$*" in *--prepare*) echo no space left >&2; exit 1;; esac\nexec {real.backup} "$@"\n'
    )
    full_disk.chmod(0o755)
    engine._binaries = dataclasses.replace(real, backup=full_disk)
    try:
        with pytest.raises(EngineError, match="mariadb-backup --prepare failed: no space left"):
            engine.snapshot(source, "failed")
    finally:
        engine._binaries = real
    assert engine.size_bytes("failed") == 0
    engine.snapshot(source, "failed")
    assert engine.size_bytes("failed") > 0


# --- the process


def test_one_home_one_engine(engine: Engine) -> None:
    with pytest.raises(EngineError, match="python -m localcloud down"):
        Engine(engine._root.parent, db_port=free_port())


def test_nothing_is_left_after_close(tmp_path: Path) -> None:
    home = tmp_path / ("a deep folder " * 8)
    one = Engine(home, db_port=free_port())
    for key in ("one", "two"):
        one.create(key)
        one.start(key)
    one.expose("one", {ADDRESSES[0]})
    sockets = one._sockets
    assert len(processes_with(str(home))) == 2
    assert all(len(str(path)) < 100 for path in sockets.iterdir())
    one.close()
    assert processes_with(str(home)) == []
    assert not sockets.exists()
    with pytest.raises(pymysql.err.OperationalError, match="refused"):
        connect(ADDRESSES[0], one._relay._port, "admin", PASSWORD)
    again = Engine(home, db_port=free_port())
    again.start("two")
    again.close()


HALF_INSTALLED = """#!/bin/sh
for option; do case "$option" in
    --tmpdir=*) : > "${option#*=}/#sql-temptable";;
    --datadir=*) mkdir -p "${option#*=}/mysql";;
esac; done
echo "cut short in $*" >&2
exit 1
"""


def test_first_cluster_is_made_after_an_attempt_that_failed(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "home", db_port=free_port())
    real = engine._binaries
    cut_short = tmp_path / "install-db"
    cut_short.write_text(HALF_INSTALLED)
    cut_short.chmod(0o755)
    try:
        engine._binaries = dataclasses.replace(real, install_db=cut_short)
        # what a MariaDB leaves in a folder of temporary tables that others have too, the next one that starts there deletes
        with pytest.raises(EngineError, match=rf"cut short in .*--tmpdir={engine._sockets}/"):
            engine.create("one")
        engine._binaries = real
        engine.create("one")
        engine.start("one")
    finally:
        engine.close()


CRASH = """
import os, signal, sys
from pathlib import Path
from localcloud.mariadb.engine import Engine
engine = Engine(Path(sys.argv[1]), db_port=int(sys.argv[2]))
engine.create("one")
engine.start("one")
engine.admin("one").cursor().execute("CREATE DATABASE survivor")
print(engine.pid("one"), engine._sockets, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_crash_of_localcloud_leaves_no_server_and_no_damage(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CRASH, str(tmp_path), str(free_port())]
    crashed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert crashed.returncode == -signal.SIGKILL, crashed.stderr
    pid, sockets = crashed.stdout.split()
    if sys.platform == "linux":
        assert until(lambda: not Path(f"/proc/{pid}").exists())
    one = Engine(tmp_path, db_port=free_port())
    assert not Path(sockets).exists()
    one.start("one")
    assert ("survivor",) in on(one, "one", "SHOW DATABASES")
    one.close()


def test_server_left_behind_is_found_by_its_pid_file_and_ended(tmp_path: Path) -> None:
    one = Engine(tmp_path, db_port=free_port())
    one.create("left")
    one.start("left")
    assert end_orphans(tmp_path) == 1
    assert processes_with(str(tmp_path)) == []
    assert end_orphans(tmp_path) == 0
    one.close()


def test_pid_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mariadb" / "clusters" / "old"
    folder.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        server.pid_file(folder).write_text(str(stranger.pid))
        assert end_orphans(tmp_path) == 0
        assert stranger.poll() is None
        stranger.kill()


def test_missing_mariadb_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MARIADB_PREFIX", raising=False)
    monkeypatch.setattr(binaries, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(binaries, "DEFAULT_PREFIX", tmp_path / "default")
    with pytest.raises(MariaDBNotFoundError, match=r"(?s)no mariadbd.*on PATH.*default.*make install"):
        Engine(tmp_path / "home", db_port=free_port(), prefix=tmp_path / "given")


def test_installed_mariadb_is_found_without_a_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("mariadbd", "mysql_install_db", "mariabackup", "mysqlbinlog", "mysql"):
        shutil.copy("/bin/true", tmp_path / name)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("MARIADB_PREFIX", raising=False)
    found = binaries.find()
    assert (found.server, found.layout) == (tmp_path / "mariadbd", ())
