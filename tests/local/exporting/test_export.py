"""Exports of real snapshots: the data, once, proven, and what is told where it cannot be."""

from __future__ import annotations

import pytest

from tests.local.exporting.conftest import BUCKET, PRODUCTION

pytestmark = pytest.mark.local

CLUSTER = "prod-shop"
ODDS = (
    """CREATE TABLE shop.odds (id INT UNSIGNED PRIMARY KEY, words TEXT, amount DECIMAL(20,4), day DATE, at DATETIME(6),
        big BIGINT UNSIGNED)""",
    """INSERT INTO shop.odds VALUES
        (1, '😀 "quoted", comma\\nline', 12345678901234.5678, '2026-02-28', '2026-02-28 23:59:59.123456', 18446744073709551615),
        (2, NULL, NULL, NULL, NULL, NULL),
        (3, '', -0.0001, '1000-01-01', '1970-01-01 00:00:00', 0)""",
    "CREATE TABLE shop.skipped (id INT PRIMARY KEY, `a b` INT)",
    "INSERT INTO shop.skipped VALUES (1, 2)",
)


@pytest.fixture(scope="module")
def whole(lane) -> str:
    """A snapshot with odd values, and a table that RDS skips; its ARN."""
    connection = lane.estate.connect(PRODUCTION, CLUSTER)
    with connection, connection.cursor() as cursor:
        for statement in ODDS:
            cursor.execute(statement)
        connection.commit()
    return lane.snapshot("friday")


def export(lane, arn: str, **conf):
    return lane.play(database="shop", snapshot_arn=arn, **conf)


def test_a_snapshot_becomes_tables_that_athena_answers_as_the_database_does(lane, whole) -> None:
    run = export(lane, whole)
    assert run.state == "success", (run.states, run.errors)
    ((name, task),) = lane.tasks().items()
    assert (task["Status"], task["SourceArn"]) == ("COMPLETE", whole)
    rows = lane.estate.rows(PRODUCTION, CLUSTER, "SELECT id, email FROM shop.customers ORDER BY id")
    table = lane.table(f"{task['S3Prefix']}/{name}/", "shop.customers")
    assert sorted(zip(table["id"].to_pylist(), table["email"].to_pylist(), strict=True)) == list(rows)

    (item,) = lane.items()
    assert (item["status"], item["task_id"], item["snapshot_arn"]) == ("exported", name, whole)
    assert "shop.skipped" in str(item["skipped"])
    day = item["date"]
    assert {run.labels[name] for name in run.labels if name.startswith("export.")} == {f"shop {day}"}
    ((count, total),) = lane.estate.rows(PRODUCTION, CLUSTER, "SELECT COUNT(*), SUM(id) FROM shop.orders")
    assert lane.ask(f"SELECT count(*), sum(id) FROM shop_orders WHERE snapshot_date = '{day}'") == [
        (str(count), str(total))
    ]
    assert lane.ask(
        f"SELECT id, words, amount, day, at, big FROM shop_odds WHERE snapshot_date = '{day}' ORDER BY id"
    ) == [
        (
            "1",
            '😀 "quoted", comma\nline',
            "12345678901234.5678",
            "2026-02-28",
            "2026-02-28 23:59:59.123",
            "18446744073709551615",
        ),
        ("2", None, None, None, None, None),
        ("3", "", "-0.0001", "1000-01-01", "1970-01-01 00:00:00.000", "0"),
    ]
    assert any("shop.skipped" in told["Message"] for told in lane.estate.announcements())

    again = export(lane, whole)
    assert again.state == "success", again.errors
    assert [report["what"] for report in again.plan["reports"]] == ["done"]
    assert len(lane.tasks()) == 1


@pytest.mark.slow
def test_a_failure_is_told_with_rds_s_cause_and_whoever_asks_again_gets_another(lane) -> None:
    arn = lane.snapshot("fails")
    cause = "KMS key check failed. Check the credentials on your KMS key and try again."
    lane.fault(action="StartExportTask", resource="fails", effect="status", becomes="FAILED", message=cause)
    run = export(lane, arn)
    lane.mend()
    assert run.state == "failed"
    assert cause in run.errors["export.export_snapshot[0]"]
    assert "see that the key is enabled" in run.errors["export.export_snapshot[0]"]
    assert any(cause in told["Message"] for told in lane.estate.announcements())
    assert lane.item(arn)["status"] == "failed"

    again = export(lane, arn)
    assert again.state == "success", again.errors
    assert lane.item(arn)["status"] == "exported"
    assert [task["Status"] for name, task in lane.tasks().items() if "fails" in name] == ["FAILED", "COMPLETE"]


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "ends"), [("fail", "IN_PROGRESS"), ("cancel", "CANCELED")])
def test_one_that_runs_too_long_is_left_or_cancelled_as_the_settings_say(lane, policy, ends) -> None:
    arn = lane.snapshot(f"sticks-{policy}")
    lane.settle(deadline_h=0.001, on_deadline=policy)
    lane.fault(action="StartExportTask", resource=f"sticks-{policy}", effect="status", becomes="IN_PROGRESS")
    run = export(lane, arn)
    lane.mend()
    lane.settle()
    assert run.state == "failed"
    assert "exports.deadline_h" in run.errors["export.export_snapshot[0]"]
    (name,) = [name for name in lane.tasks() if f"sticks-{policy}" in name]
    lane.until(lambda: lane.tasks()[name]["Status"] == ends)
    if policy == "fail":
        lane.aws(PRODUCTION, "rds").cancel_export_task(ExportTaskIdentifier=name)
        lane.until(lambda: lane.tasks()[name]["Status"] == "CANCELED")
    stopped = lane.play(database="shop", snapshot_arn=arn)
    assert [report["what"] for report in stopped.plan["reports"]] == ["stopped"]
    assert any("cancelled" in told["Message"] for told in lane.estate.announcements())


@pytest.mark.slow
def test_an_export_that_is_not_whole_is_not_taken_for_one(lane) -> None:
    arn = lane.snapshot("torn")
    lane.fault(service="glue", action="GetDatabase", effect="error", code="AccessDeniedException", status=400, times=0)
    first = export(lane, arn)
    lane.mend()
    assert first.states["export.verify_export[0]"] == "success"
    assert lane.item(arn)["status"] == "failed"
    (path,) = [f"{task['S3Prefix']}/{name}/" for name, task in lane.tasks().items() if "torn" in name]
    s3 = lane.aws(PRODUCTION, "s3")
    parts = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{path}shop/shop.customers/")["Contents"]
    key = next(part["Key"] for part in parts if part["Key"].endswith(".parquet"))
    content = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=key, Body=content[:-20])
    second = export(lane, arn)
    assert second.state == "failed"
    assert "shop.customers" in second.errors["export.verify_export[0]"]
    assert second.states["export.catalogue_export[0]"] == "upstream_failed"


@pytest.mark.slow
def test_fewer_rows_than_the_settings_ask_for(lane, whole) -> None:
    arn = lane.snapshot("few")
    lane.settle(databases=[{"least_rows": {"shop.customers": 10_000_000}}])
    run = export(lane, arn)
    lane.settle()
    assert run.state == "failed"
    assert "10000000" in run.errors["export.verify_export[0]"].replace(",", "")


@pytest.mark.slow
def test_a_copy_is_exported_in_place_of_the_snapshot_and_removed(lane) -> None:
    arn = lane.snapshot("under-another-key")
    before = lane.estate.snapshots(PRODUCTION)
    lane.settle(databases=[{"copy_first": {"kms_key_id": "alias/shop-prod"}}])
    lane.attach()
    run = export(lane, arn)
    lane.settle()
    assert run.state == "success", (run.states, run.errors)
    (task,) = [task for name, task in lane.tasks().items() if "under-another-key" in name]
    assert task["SourceArn"] != arn
    assert lane.estate.snapshots(PRODUCTION) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bucket": "nowhere-at-all"}, "bucket"),
        ({"role_arn": "arn:aws:iam::111111111111:role/aurora-ops-export-none"}, "role_arn"),
        ({"export_only": ["shop.nothing"]}, "export_only"),
    ],
)
def test_what_rds_would_refuse_is_refused_before_it_is_asked(lane, whole, change, says) -> None:
    arn = lane.snapshot(f"refused-{says.replace('_', '-')}")
    lane.settle(databases=[change])
    lane.attach()
    run = export(lane, arn)
    lane.settle()
    assert run.state == "failed"
    assert says in run.errors["export.export_snapshot[0]"]
    assert not [name for name in lane.tasks() if "refused" in name]
