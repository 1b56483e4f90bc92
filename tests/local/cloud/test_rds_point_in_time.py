"""Restoring a cluster to a moment: what was committed by then is there, what came later is not."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.client import admin_operation
from tests.local.cloud import rds_helpers as h
from tests.local.cloud.databases import in_background, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.cloud.conftest import LocalCloud

pytestmark = [pytest.mark.local, pytest.mark.slow]
NAMES = "SELECT name FROM shop.items ORDER BY id"
COUNT = "SELECT COUNT(*) FROM shop.visits"


@pytest.fixture(scope="module")
def rds(cloud: LocalCloud) -> Any:
    return cloud.client(h.PRODUCTION, "rds")


def moment() -> datetime:
    """A full second that has just begun."""
    begun = int(time.time()) + 1
    assert until(lambda: time.time() >= begun)
    return datetime.fromtimestamp(begun, UTC)


def restorable(rds: Any, name: str, to: datetime | None = None) -> tuple[datetime, datetime]:
    """Earliest and latest restorable time, once there are, and the latest has come to a moment."""

    def there() -> bool:
        found = h.cluster(rds, name)
        return "LatestRestorableTime" in found and (to is None or found["LatestRestorableTime"] >= to)

    assert until(there)
    found = h.cluster(rds, name)
    return found["EarliestRestorableTime"], found["LatestRestorableTime"]


def restore(rds: Any, source: str, to: datetime, name: str = "moment-restored") -> dict[str, Any]:
    """Restore, with an instance; return the cluster."""
    restorable(rds, source, to)
    made = rds.restore_db_cluster_to_point_in_time(
        DBClusterIdentifier=name, SourceDBClusterIdentifier=source, RestoreToTime=to
    )["DBCluster"]
    assert made["Status"] == "creating"
    h.wait_cluster(rds, name)
    h.create_instance(rds, f"{name}-1", name)
    return h.cluster(rds, name)


@contextmanager
def restored(rds: Any, source: str, to: datetime) -> Iterator[dict[str, Any]]:
    made = restore(rds, source, to)
    yield made
    h.delete_cluster(rds, made["DBClusterIdentifier"])


def run(cluster: dict[str, Any], *statements: str) -> None:
    for statement in statements:
        h.query(cluster["Endpoint"], cluster["Port"], statement)


def names(cluster: dict[str, Any]) -> list[str]:
    return [name for (name,) in h.query(cluster["Endpoint"], cluster["Port"], NAMES)]


@contextmanager
def source(rds: Any, name: str) -> Iterator[dict[str, Any]]:
    """A cluster with tables; deleted at the end, if it is there, whatever it is called then."""
    h.create_cluster(rds, name, DatabaseName="shop")
    h.create_instance(rds, f"{name}-1", name)
    made = h.cluster(rds, name)
    run(
        made,
        "CREATE TABLE shop.items (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40))",
        "CREATE TABLE shop.visits (id INT PRIMARY KEY AUTO_INCREMENT, page INT)",
    )
    yield made
    resource = made["DbClusterResourceId"]
    for left in rds.describe_db_clusters()["DBClusters"]:
        if left["DbClusterResourceId"] == resource:
            h.delete_cluster(rds, left["DBClusterIdentifier"])


def test_a_moment_under_load_through_stop_start_and_rename(rds: Any, cloud: LocalCloud) -> None:
    with source(rds, "moments") as live:

        def visits(stop: threading.Event) -> None:
            with h.connect(live["Endpoint"], live["Port"]) as connection, connection.cursor() as cursor:
                while not stop.is_set():
                    cursor.execute("INSERT INTO shop.visits (page) VALUES (1)")

        with (
            in_background(visits, threads=2),
            h.connect(live["Endpoint"], live["Port"]) as opened,
            opened.cursor() as cursor,
        ):
            run(live, "INSERT INTO shop.items (name) VALUES ('before'), ('changed later')")
            # both begin before the moment, and are committed after it
            cursor.execute("START TRANSACTION")
            cursor.execute("INSERT INTO shop.items (name) VALUES ('committed later')")
            slow = threading.Thread(
                target=run, args=(live, "INSERT INTO shop.items (name) SELECT 'took long' FROM (SELECT SLEEP(2.5)) s")
            )
            slow.start()
            early = moment()
            cursor.execute("COMMIT")
            run(
                live,
                "UPDATE shop.items SET name = 'changed' WHERE name = 'changed later'",
                "ALTER TABLE shop.items ADD COLUMN price INT DEFAULT 7, ADD KEY (name)",
                "CREATE TABLE shop.new (id INT PRIMARY KEY)",
                "CREATE FUNCTION shop.seven() RETURNS INT RETURN 7",
                "CREATE USER later@'%' IDENTIFIED BY 'only-for-tests-2'",
            )
            slow.join()
            late = moment()
            run(live, "DROP TABLE shop.new", "DELETE FROM shop.items")
            before = h.query(live["Endpoint"], live["Port"], COUNT)[0][0]
            with restored(rds, "moments", late) as found:
                assert sorted(names(found)) == ["before", "changed", "committed later", "took long"]
                assert h.query(
                    found["Endpoint"], found["Port"], "SELECT price, shop.seven() FROM shop.items LIMIT 1"
                ) == ((7, 7),)
                assert h.query(found["Endpoint"], found["Port"], "SELECT COUNT(*) FROM shop.new") == ((0,),)
                assert 0 < h.query(found["Endpoint"], found["Port"], COUNT)[0][0] <= before
                assert found["BackupRetentionPeriod"] == live["BackupRetentionPeriod"]
            assert names(live) == []
            assert h.query(live["Endpoint"], live["Port"], COUNT)[0][0] > before, "it goes on meanwhile"

        rds.stop_db_cluster(DBClusterIdentifier="moments")
        h.wait_cluster(rds, "moments", "stopped")
        rds.start_db_cluster(DBClusterIdentifier="moments")
        h.wait_cluster(rds, "moments")
        admin_operation("engine-kill", cloud.config, account=h.PRODUCTION, cluster="moments")

        def back() -> bool:
            engines = admin_operation("engines", cloud.config)["engines"]
            return any(engine["cluster"] == "moments" and engine["restarts"] for engine in engines)

        assert until(back)
        run(live, "INSERT INTO shop.items (name) VALUES ('after it was away')")
        rds.modify_db_cluster(
            DBClusterIdentifier="moments", NewDBClusterIdentifier="moments-old", ApplyImmediately=True
        )
        h.watch(lambda: str(h.code_of(lambda: h.cluster(rds, "moments-old"))), "None")
        h.wait_cluster(rds, "moments-old")
        with restored(rds, "moments-old", early) as found:
            assert names(found) == ["before", "changed later"]
            columns = h.query(found["Endpoint"], found["Port"], "SHOW COLUMNS FROM shop.items")
            assert [column[0] for column in columns] == ["id", "name"]
            tables = h.query(found["Endpoint"], found["Port"], "SHOW TABLES FROM shop")
            assert {name for (name,) in tables} == {"items", "visits"}
            users = h.query(found["Endpoint"], found["Port"], "SELECT user FROM mysql.user WHERE user = 'later'")
            assert users == ()


def test_a_restored_cluster_begins_with_itself_and_is_restored_too(rds: Any) -> None:
    with source(rds, "moments-first") as first:
        run(first, "INSERT INTO shop.items (name) VALUES ('of the first')")
        its_own = moment()
        run(first, "INSERT INTO shop.items (name) VALUES ('too late')")
        with restored(rds, "moments-first", its_own) as second:
            begins, _ = restorable(rds, "moment-restored")
            assert begins > its_own
            with h.refused("InvalidParameterValue", "earlier than", f"{begins:%Y-%m-%dT%H:%M:%SZ}"):
                restore(rds, "moment-restored", its_own, "moment-never")
            run(second, "INSERT INTO shop.items (name) VALUES ('of the second')")
            later = moment()
            run(second, "DELETE FROM shop.items")
            restorable(rds, "moment-restored", later)
            made = rds.restore_db_cluster_to_point_in_time(
                DBClusterIdentifier="moment-third",
                SourceDbClusterResourceId=second["DbClusterResourceId"],
                RestoreToTime=later,
            )["DBCluster"]
            h.wait_cluster(rds, "moment-third")
        h.create_instance(rds, "moment-third-1", "moment-third")
        assert names(made) == ["of the first", "of the second"]
        h.delete_cluster(rds, "moment-third")


def test_a_cluster_from_a_snapshot_begins_anew(rds: Any, cloud: LocalCloud) -> None:
    base = h.base(cloud)
    rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier="moments-copy", SnapshotIdentifier="rds-base", Engine=h.ENGINE
    )
    h.wait_cluster(rds, "moments-copy")
    h.create_instance(rds, "moments-copy-1", "moments-copy")
    copy = h.cluster(rds, "moments-copy")
    begins, _ = restorable(rds, "moments-copy")
    assert begins > h.snapshot(rds, "rds-base")["SnapshotCreateTime"]
    # nothing else is written, so that only the length of its log tells that this is committed after the moment
    slow = threading.Thread(target=run, args=(copy, "INSERT INTO shop.items SELECT 4 FROM (SELECT SLEEP(2.5)) s"))
    slow.start()
    sleeps = "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'"
    assert until(lambda: h.query(copy["Endpoint"], copy["Port"], sleeps) == ((1,),))
    there = moment()
    slow.join()
    with restored(rds, "moments-copy", there) as found:
        assert h.query(found["Endpoint"], found["Port"], "SELECT id FROM shop.items") == ((1,), (2,), (3,))
        assert found["KmsKeyId"] == base.key
    h.delete_cluster(rds, "moments-copy")


def test_the_window_is_told_moves_on_and_is_enforced(rds: Any) -> None:
    h.create_cluster(rds, "moments-window", DatabaseName="shop")
    h.create_instance(rds, "moments-window-1", "moments-window")
    earliest, latest = restorable(rds, "moments-window")
    assert abs(latest.timestamp() - time.time()) < 5
    assert h.cluster(rds, "moments-window")["ClusterCreateTime"] <= earliest <= latest
    assert restorable(rds, "moments-window", latest + timedelta(seconds=2))[0] == earliest
    ask = {"DBClusterIdentifier": "moment-never", "SourceDBClusterIdentifier": "moments-window"}
    for code, word, more in (
        ("InvalidParameterValue", "earlier than", {"RestoreToTime": earliest - timedelta(seconds=1)}),
        ("InvalidParameterValue", "later than", {"RestoreToTime": datetime.now(UTC) + timedelta(minutes=5)}),
        ("InvalidParameterCombination", "one of", {"RestoreToTime": latest, "UseLatestRestorableTime": True}),
        ("InvalidParameterCombination", "one of", {"UseLatestRestorableTime": False}),
        ("InvalidParameterCombination", "copy-on-write", {"RestoreToTime": latest, "RestoreType": "copy-on-write"}),
    ):
        with h.refused(code, word):
            rds.restore_db_cluster_to_point_in_time(**ask, **more)
    assert h.code_of(lambda: h.cluster(rds, "moment-never")) == "DBClusterNotFoundFault"
    # the first moment there is
    with restored(rds, "moments-window", earliest) as found:
        assert h.query(found["Endpoint"], found["Port"], "SHOW TABLES FROM shop") == ()
    h.delete_cluster(rds, "moments-window")


def test_backups_outlive_their_cluster_if_they_are_to(rds: Any) -> None:
    with source(rds, "moments-gone") as live:
        run(live, "INSERT INTO shop.items (name) VALUES ('before')")
        there = moment()
        run(live, "INSERT INTO shop.items (name) VALUES ('after')")
        key = live["DbClusterResourceId"]
        restorable(rds, "moments-gone", there)
        (backup,) = rds.describe_db_cluster_automated_backups(DbClusterResourceId=key)["DBClusterAutomatedBackups"]
        assert backup["Status"] == "active"
        with h.refused("InvalidDBClusterAutomatedBackupStateFault", "active"):
            rds.delete_db_cluster_automated_backup(DbClusterResourceId=key)
        rds.delete_db_instance(DBInstanceIdentifier="moments-gone-1")
        rds.delete_db_cluster(DBClusterIdentifier="moments-gone", SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
        h.wait_cluster(rds, "moments-gone", "gone")
        (backup,) = rds.describe_db_cluster_automated_backups(Filters=[{"Name": "status", "Values": ["retained"]}])[
            "DBClusterAutomatedBackups"
        ]
        assert (backup["DbClusterResourceId"], backup["DBClusterIdentifier"]) == (key, "moments-gone")
        assert backup["RestoreWindow"]["EarliestTime"] <= there <= backup["RestoreWindow"]["LatestTime"]
        ask = {"DBClusterIdentifier": "moment-restored", "SourceDbClusterResourceId": key}
        with h.refused("DBClusterNotFoundFault"):
            rds.restore_db_cluster_to_point_in_time(
                DBClusterIdentifier="moment-never", SourceDBClusterIdentifier="moments-gone", RestoreToTime=there
            )
        for wrong in ({"UseLatestRestorableTime": True}, {"RestoreToTime": there}):
            with h.refused("InvalidParameterCombination", "copy-on-write"):
                rds.restore_db_cluster_to_point_in_time(**ask, **wrong, RestoreType="copy-on-write")
        with h.refused("InvalidParameterValue", "later than"):
            rds.restore_db_cluster_to_point_in_time(**ask, RestoreToTime=datetime.now(UTC) + timedelta(minutes=1))
        for asked, found in (
            ({"RestoreToTime": there}, ["before"]),
            ({"UseLatestRestorableTime": True}, ["before", "after"]),
        ):
            made = rds.restore_db_cluster_to_point_in_time(**ask, **asked)["DBCluster"]
            h.wait_cluster(rds, "moment-restored")
            h.create_instance(rds, "moment-restored-1", "moment-restored")
            assert names(made) == found
            h.delete_cluster(rds, "moment-restored")
        rds.delete_db_cluster_automated_backup(DbClusterResourceId=key)
        for call in (
            lambda: rds.delete_db_cluster_automated_backup(DbClusterResourceId=key),
            lambda: rds.describe_db_cluster_automated_backups(DbClusterResourceId=key),
        ):
            assert h.code_of(call) == "DBClusterAutomatedBackupNotFoundFault"
        with h.refused("DBClusterNotFoundFault"):
            rds.restore_db_cluster_to_point_in_time(**ask, RestoreToTime=there)


def test_a_cluster_without_instances_has_its_one_state_at_any_moment(rds: Any) -> None:
    h.create_cluster(rds, "moments-bare", DatabaseName="shop")
    with restored(rds, "moments-bare", moment()) as found:
        assert h.query(found["Endpoint"], found["Port"], "SHOW DATABASES LIKE 'shop'") == (("shop",),)
    h.delete_cluster(rds, "moments-bare")
