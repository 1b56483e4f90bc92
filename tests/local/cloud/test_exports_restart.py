"""Exports and messages over a restart of localcloud: tasks go on, nothing is there twice, subscriptions stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from localcloud.client import admin_operation
from tests.local.cloud.event_helpers import make_inbox
from tests.local.cloud.export_helpers import make_place
from tests.local.cloud.rds_helpers import PRODUCTION, base, wait_cluster
from tests.local.cloud.test_restart import own, restart

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = [pytest.mark.local, pytest.mark.slow]

__all__ = ["own"]


def test_tasks_go_on_after_a_kill_and_write_the_same_objects(own: LocalCloud) -> None:
    arn = base(own).arn
    rds = own.client(PRODUCTION, "rds")
    place = make_place(own, PRODUCTION, "kept")
    inbox = make_inbox(own, PRODUCTION, "kept")
    rds.create_event_subscription(SubscriptionName="kept", SnsTopicArn=inbox.topic, SourceType="db-cluster-snapshot")
    assert place.run("ended", arn)["Status"] == "COMPLETE"
    inbox.wait_for("0164")
    admin_operation(
        "faults-add",
        own.config,
        service="rds",
        action="StartExportTask",
        resource="sticks",
        effect="status",
        becomes="IN_PROGRESS",
    )
    place.start("sticks", f"arn:aws:rds:eu-west-1:{PRODUCTION}:cluster:rds-base")
    place.wait("sticks", "IN_PROGRESS")
    place.start("starting", arn)
    restart(own)
    assert place.wait("starting")["Status"] == "COMPLETE"
    parts = [key for key in place.objects("starting/") if key.endswith(".parquet")]
    assert len(parts) == 1
    assert place.table("starting/shop/shop.items").num_rows == 3
    assert json.loads(place.read("starting/export_info_starting.json"))["status"] == "COMPLETE"
    assert place.describe("ended")["Status"] == "COMPLETE"
    assert inbox.wait(lambda messages: len(messages) >= 2)[-1]["Event ID"].endswith("0164")
    assert place.describe("sticks")["Status"] == "IN_PROGRESS"
    rds.cancel_export_task(ExportTaskIdentifier="sticks")
    place.wait("sticks", "CANCELED")
    restart(own)
    wait_cluster(rds, "rds-base")
    tasks = {task["ExportTaskIdentifier"]: task["Status"] for task in rds.describe_export_tasks()["ExportTasks"]}
    assert tasks == {"ended": "COMPLETE", "starting": "COMPLETE", "sticks": "CANCELED"}
