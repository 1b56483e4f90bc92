"""Events of snapshots: heard, stored, decided. Snapshots exported: their tables made, and changed; one cancelled; one copied."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from aurora_ops.core.exports import setup
from aurora_ops.core.settings_exports import ExportedDatabase

from devstack.settings import REGION, REPO
from devstack.snapshot_events import event, make_wires, snapshot_arn
from localcloud.names import PRODUCTION
from tests.local.iam.databases import snapshot, wait
from tests.local.iam.lab import Lab, make_stack
from tests.local.iam.policies import COPIED, COPIED_AND_CRAWLED, documents
from tests.local.iam.recording import EVENTS, EXPORT, Conf, Recording
from tests.local.refresh.conftest import Estate

AT = datetime(2026, 1, 1, tzinfo=UTC)
TRIGGERER = Path(__file__).with_name("triggerer.py")
CLUSTER, INSTANCE = "prod-shop", "prod-books"
FIRST, SECOND, UNWATCHED, STICKS = "first", "second", "unwatched", "sticks"
SNAPSHOTS = (FIRST, SECOND, UNWATCHED, STICKS, COPIED)
LENT = "lent"
AS_IS: tuple[str, ...] = (
    "CREATE TABLE shop.wider (id INT PRIMARY KEY)",
    "INSERT INTO shop.wider VALUES (1)",
    "CREATE TABLE shop.other (id INT PRIMARY KEY, what INT)",
    "INSERT INTO shop.other VALUES (1, 1)",
)
GONE: tuple[str, ...] = ("DROP TABLE shop.wider", "DROP TABLE shop.other")
CHANGED: tuple[str, ...] = (
    "ALTER TABLE shop.wider ADD COLUMN more INT",
    "ALTER TABLE shop.other DROP COLUMN what, ADD COLUMN what DATETIME",
)


def tell(lab: Lab) -> None:
    """Events of a cluster's snapshot and of an instance's, both of which have gone, in the queue."""
    wires = make_wires(lab.admin)
    told = [snapshot_arn("gone"), f"arn:aws:rds:eu-west-1:{PRODUCTION}:snapshot:gone"]
    wires.publish(event(arn, AT, event_id="RDS-EVENT-0075" if "cluster" in arn else "RDS-EVENT-0042") for arn in told)


def listen(lab: Lab) -> None:
    """Store the events as the triggerer does: one message is deleted, one given back."""
    lab.play(TRIGGERER)


def settle(lab: Lab, database: dict[str, Any] | None = None, **changes: Any) -> None:
    """Change the exports of the lab's settings, and their first database.

    :param database: what is different of it.
    """
    file = lab.include / "config" / "staging.yaml"
    exports = yaml.safe_load((REPO / "include" / "config" / "staging.yaml").read_text())["exports"]
    first = {**exports["databases"][0], **(database or {})}
    whole = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**whole, "exports": {**exports, **changes, "databases": [first]}}))
    lab.reread()


def set_up(lab: Lab) -> None:
    """What exports need, a crawler too, as the setup makes it, but the catalogue's database is gone; and a snapshot."""
    about = ExportedDatabase.model_validate({"name": "shop", "cluster": CLUSTER, "catalogue": {"by": "crawler"}})
    wanted = setup.of_database(about, PRODUCTION, REGION, None)
    make_stack(lab, PRODUCTION, wanted.name, wanted.template, wanted.parameters)
    lab.admin(PRODUCTION, "glue").delete_database(Name=about.glue_database)
    write(lab, AS_IS)
    snapshot(lab, PRODUCTION, CLUSTER, FIRST)


def write(lab: Lab, statements: tuple[str, ...]) -> None:
    """Run statements on production's database."""
    connection = Estate(SimpleNamespace(aws=lab.admin, cloud=lab.cloud.config)).connect(PRODUCTION, CLUSTER)
    with connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


def change_tables(lab: Lab) -> None:
    """A later snapshot of that day: a table has a column more, another one a column of another kind."""
    write(lab, CHANGED)
    snapshot(lab, PRODUCTION, CLUSTER, SECOND)


def hold_up(lab: Lab) -> None:
    """An export of one table takes longer than it may, and is then cancelled."""
    snapshot(lab, PRODUCTION, CLUSTER, STICKS)
    settle(lab, {"export_only": ["shop.customers"]}, deadline_h=0.0005, on_deadline="cancel")
    lab.operation("faults-add", service="rds", action="StartExportTask", effect="status", becomes="IN_PROGRESS")


def copy_first(lab: Lab) -> None:
    """Copies are exported, and a crawler makes their tables; the role has what such settings need."""
    snapshot(lab, PRODUCTION, CLUSTER, COPIED)
    settle(lab, COPIED_AND_CRAWLED)
    lend(lab)


def lend(lab: Lab) -> None:
    """Give the source's role what the example leaves out."""
    *_, left_out = documents("source")
    lab.admin(PRODUCTION, "iam").put_role_policy(
        RoleName="aurora-ops-source", PolicyName=LENT, PolicyDocument=json.dumps(left_out)
    )


def take_back(lab: Lab) -> None:
    """Take that from the role, and restore the settings."""
    lab.admin(PRODUCTION, "iam").delete_role_policy(RoleName="aurora-ops-source", PolicyName=LENT)
    settle(lab)


def leave_unwatched(lab: Lab) -> None:
    """The query of the proof does not end, and looking at it is refused."""
    snapshot(lab, PRODUCTION, CLUSTER, UNWATCHED)
    lab.operation("faults-add", service="athena", action="StartQueryExecution", effect="status", becomes="RUNNING")
    lab.fail(service="athena", action="GetQueryExecution", code="AccessDeniedException", status=400)


def of_an_instance(lab: Lab) -> None:
    """A database of its own is exported."""
    rds = lab.admin(PRODUCTION, "rds")
    rds.create_db_instance(
        DBInstanceIdentifier=INSTANCE,
        Engine="mariadb",
        DBInstanceClass="db.t4g.medium",
        AllocatedStorage=20,
        MasterUsername="admin",
        MasterUserPassword="for-nobody-but-this-test",
        DBName="books",
    )
    wait(rds, "db_instance_available", DBInstanceIdentifier=INSTANCE)
    rds.create_db_snapshot(DBInstanceIdentifier=INSTANCE, DBSnapshotIdentifier="books")
    wait(rds, "db_snapshot_available", DBSnapshotIdentifier="books")
    settle(lab, {"cluster": None, "instance": INSTANCE})


def leave_nothing(lab: Lab) -> None:
    """Who comes later meets neither that database nor the tables and snapshots of these recordings."""
    settle(lab)
    rds = lab.admin(PRODUCTION, "rds")
    rds.delete_db_instance(DBInstanceIdentifier=INSTANCE, SkipFinalSnapshot=True)
    for name in SNAPSHOTS:
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    write(lab, GONE)


def of(name: str) -> Callable[[Lab], Conf]:
    """Ask for a snapshot of the cluster."""
    return lambda _lab: {"database": "shop", "snapshot_arn": snapshot_arn(name)}


RECORDINGS: tuple[Recording, ...] = (
    Recording(
        EVENTS,
        before=tell,
        listens=listen,
        calls=(
            "sqs:ReceiveMessage",
            "sqs:DeleteMessageBatch",
            "sqs:ChangeMessageVisibilityBatch",
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBSnapshots",
            "dynamodb:UpdateItem",
        ),
    ),
    Recording(
        EXPORT,
        of(FIRST),
        before=set_up,
        calls=("glue:CreateDatabase", "glue:CreateTable", "glue:BatchCreatePartition", "athena:GetQueryResults"),
    ),
    Recording(
        EXPORT,
        of(SECOND),
        path="of changed tables",
        before=change_tables,
        calls=("glue:UpdateTable", "glue:UpdatePartition", "glue:BatchDeletePartition", "sns:Publish"),
    ),
    Recording(
        EXPORT,
        of(UNWATCHED),
        path="proven by a query that is lost sight of",
        before=leave_unwatched,
        fails="export.prove_export[0]",
        calls=("athena:StopQueryExecution",),
    ),
    Recording(
        EXPORT,
        of(STICKS),
        path="cancelled",
        before=hold_up,
        after=settle,
        fails="export.export_snapshot[0]",
        calls=("rds:CancelExportTask", "secretsmanager:GetSecretValue"),
    ),
    Recording(
        EXPORT,
        of(COPIED),
        path="of a copy, by a crawler",
        before=copy_first,
        after=take_back,
        calls=("rds:CopyDBClusterSnapshot", "rds:DeleteDBClusterSnapshot", "glue:UpdateCrawler", "glue:StartCrawler"),
    ),
    Recording(
        EXPORT,
        {"database": "shop", "snapshot_arn": f"arn:aws:rds:{REGION}:{PRODUCTION}:snapshot:books"},
        path="of an instance",
        before=of_an_instance,
        after=leave_nothing,
        calls=("rds:DescribeDBSnapshots", "rds:StartExportTask"),
    ),
)
