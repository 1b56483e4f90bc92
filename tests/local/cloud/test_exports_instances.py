"""Snapshots of RDS instances: with data of their own, events, and exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localcloud.client import admin_operation
from tests.local.cloud.event_helpers import Inbox, make_inbox
from tests.local.cloud.export_helpers import make_place
from tests.local.cloud.rds_helpers import PASSWORD, PRODUCTION, connect, instance, refused, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.cloud.conftest import LocalCloud
    from tests.local.cloud.export_helpers import Place

pytestmark = [pytest.mark.local, pytest.mark.slow]

REGION = "eu-west-1"
AT = {"account": PRODUCTION, "region": REGION, "instance": "ledger"}


@pytest.fixture(scope="module")
def place(cloud: LocalCloud) -> Place:
    return make_place(cloud, PRODUCTION, "instances")


@pytest.fixture(scope="module")
def rds(cloud: LocalCloud) -> Iterator[Any]:
    rds = cloud.client(PRODUCTION, "rds")
    rds.create_db_instance(
        DBInstanceIdentifier="ledger",
        Engine="mariadb",
        DBInstanceClass="db.t4g.medium",
        AllocatedStorage=20,
        MasterUsername="admin",
        MasterUserPassword=PASSWORD,
        DBName="books",
    )
    write(rds, "CREATE TABLE books.entries (id INT PRIMARY KEY)")
    write(rds, "INSERT INTO books.entries VALUES (1), (2)")
    yield rds
    if "ledger" in {one["DBInstanceIdentifier"] for one in rds.describe_db_instances()["DBInstances"]}:
        rds.delete_db_instance(DBInstanceIdentifier="ledger", SkipFinalSnapshot=True)


@pytest.fixture(scope="module")
def inbox(cloud: LocalCloud, rds: Any) -> Inbox:
    inbox = make_inbox(cloud, PRODUCTION, "instance-events")
    rds.create_event_subscription(SubscriptionName="instances", SnsTopicArn=inbox.topic, SourceType="db-snapshot")
    return inbox


def write(rds: Any, statement: str) -> None:
    """Run a statement on the instance."""
    at = instance(rds, "ledger")["Endpoint"]
    with connect(at["Address"], at["Port"]) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def wait(rds: Any, name: str) -> dict[str, Any]:
    """Wait until a snapshot is available."""

    def find() -> dict[str, Any]:
        found: dict[str, Any] = rds.describe_db_snapshots(DBSnapshotIdentifier=name)["DBSnapshots"][0]
        return found

    watch(lambda: str(find()["Status"]), "available")
    return find()


def test_a_manual_snapshot_is_exported_as_it_was(rds: Any, place: Place, inbox: Inbox) -> None:
    made = rds.create_db_snapshot(DBInstanceIdentifier="ledger", DBSnapshotIdentifier="entries")["DBSnapshot"]
    with refused("InvalidExportSourceState", "creating"):
        place.start("early", made["DBSnapshotArn"])
    arn = wait(rds, "entries")["DBSnapshotArn"]
    write(rds, "INSERT INTO books.entries VALUES (3)")
    task = place.run("entries", arn)
    assert (task["Status"], task["SourceType"]) == ("COMPLETE", "SNAPSHOT")
    assert place.table("entries/books/books.entries").column("id").to_pylist() == [1, 2]
    assert inbox.wait_for("0161") == ["0040", "0042", "0161"]
    assert {item["Event Source"] for item in inbox.messages} == {"db-snapshot"}
    assert {item["Source ARN"] for item in inbox.messages} == {arn}


def test_automated_copied_and_of_aws_backup(cloud: LocalCloud, rds: Any, place: Place, inbox: Inbox) -> None:
    inbox.messages.clear()
    name = admin_operation("rds-automated-snapshot", cloud.config, **AT, created=1767225600)["DBSnapshotIdentifier"]
    assert name == "rds:ledger-2026-01-01-00-00"
    assert wait(rds, name)["SnapshotCreateTime"].timestamp() == 1767225600
    assert inbox.wait_for("0091") == ["0090", "0091"]
    arn = rds.copy_db_snapshot(SourceDBSnapshotIdentifier=name, TargetDBSnapshotIdentifier="copied")["DBSnapshot"][
        "DBSnapshotArn"
    ]
    inbox.wait_for("0196", "0197")
    assert place.run("copied", arn)["Status"] == "COMPLETE"
    assert place.table("copied/books/books.entries").num_rows == 3
    inbox.messages.clear()
    backup = admin_operation("rds-backup-snapshot", cloud.config, **AT)["DBSnapshotIdentifier"]
    assert wait(rds, backup)["SnapshotType"] == "awsbackup"
    assert {"0042", "0197"} < set(inbox.wait_for("0042", "0197"))
    rds.delete_db_snapshot(DBSnapshotIdentifier="copied")
    inbox.wait_for("0041")
    with refused("DBSnapshotNotFound"):
        place.start("gone", arn)


def test_the_last_snapshot_has_the_data_too(rds: Any, place: Place, inbox: Inbox) -> None:
    rds.delete_db_instance(DBInstanceIdentifier="ledger", FinalDBSnapshotIdentifier="last")
    arn = f"arn:aws:rds:{REGION}:{PRODUCTION}:snapshot:last"
    assert place.run("last", arn)["Status"] == "COMPLETE"
    assert place.table("last/books/books.entries").num_rows == 3
    rds.delete_event_subscription(SubscriptionName="instances")


def test_a_snapshot_without_data_cannot_be_exported(cloud: LocalCloud, place: Place) -> None:
    rds = cloud.client(PRODUCTION, "rds")
    rds.create_db_instance(DBInstanceIdentifier="hollow", Engine="postgres", DBInstanceClass="db.t4g.medium")
    made = rds.create_db_snapshot(DBInstanceIdentifier="hollow", DBSnapshotIdentifier="hollow")["DBSnapshot"]
    assert made["Status"] == "available"
    with refused("InvalidParameterCombination", "no data"):
        place.start("hollow", made["DBSnapshotArn"])
    rds.delete_db_snapshot(DBSnapshotIdentifier="hollow")
    rds.delete_db_instance(DBInstanceIdentifier="hollow", SkipFinalSnapshot=True)
