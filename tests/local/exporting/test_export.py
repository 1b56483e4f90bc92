"""Exports of real snapshots: the data, once, told and remembered."""

from __future__ import annotations

import pytest

from tests.local.exporting.conftest import PRODUCTION

pytestmark = pytest.mark.local


def test_the_newest_snapshot_becomes_parquet_with_the_rows_of_the_database(lane) -> None:
    arn = lane.snapshot("friday")
    run = lane.play(database="shop", snapshot_arn=arn)
    assert run.state == "success", (run.states, run.errors)
    ((name, task),) = lane.tasks().items()
    assert task["Status"] == "COMPLETE"
    assert task["SourceArn"] == arn
    path = f"{task['S3Prefix']}/{name}/"
    rows = lane.estate.rows(PRODUCTION, "prod-shop", "SELECT id, email FROM shop.customers ORDER BY id")
    table = lane.table(path, "shop.customers")
    assert sorted(zip(table["id"].to_pylist(), table["email"].to_pylist(), strict=True)) == list(rows)
    (item,) = lane.items()
    assert (item["status"], item["task_id"], item["snapshot_arn"]) == ("exported", name, arn)

    again = lane.play(database="shop", snapshot_arn=arn)
    assert again.state == "success", again.errors
    assert [report["what"] for report in again.plan["reports"]] == ["done"]
    assert len(lane.tasks()) == 1
