"""Planning a run of exports, and remembering and telling what became of it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
import yaml
from aurora_ops.core.announcement import NOTE_KEY
from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.core.exports import names
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.export_tasks import ExportTasksHook
from aurora_ops.hooks.states import StatesHook
from aurora_ops.operators.base import ERROR_KEY
from aurora_ops.operators.export_plan import PlanExportsOperator
from aurora_ops.operators.export_record import RecordExportOperator, RecordExportsOperator

from devstack.settings import REPO
from tests.unit.operators.driver import context, drive
from tests.unit.operators.fake_exports import FakeExports, snapshot_arn

AT = {"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1"}
TABLE = "aurora-ops-exports"
NIGHT = datetime(2026, 7, 1, 3, tzinfo=UTC)
DAY = timedelta(days=1)
NEEDED = {"shop": ["export.export_snapshot", "export.verify_export", "export.catalogue_export", "export.prove_export"]}


@pytest.fixture
def fake() -> FakeExports:
    """RDS with export tasks."""
    return FakeExports()


@pytest.fixture
def rds(rds: FakeExports, aws_session, monkeypatch) -> FakeExports:
    """RDS with production's cluster, and a table of states in moto."""
    monkeypatch.setattr(AwsHook, "require_account", lambda *_: None)
    aws_session.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    rds.cluster("prod-shop", refresh=False)
    return rds


def nightly(fake: FakeExports, days: float, **changes) -> str:
    """A snapshot of a day after the first of July; its ARN."""
    name = f"rds:prod-shop-{int(days * 24):04d}"
    about = {"cluster": "prod-shop", "SnapshotType": "automated", "SnapshotCreateTime": NIGHT + days * DAY, **changes}
    return fake.snapshot(name, **about)["DBClusterSnapshotArn"]


@pytest.fixture
def file(tmp_path):
    """The environment's file, to be changed."""
    path = tmp_path / "staging.yaml"
    shutil.copy(REPO / "include" / "config" / "staging.yaml", path)

    def change(**changes):
        content = yaml.safe_load(path.read_text())
        content["exports"] |= changes
        path.write_text(yaml.safe_dump(content))
        return path

    change()
    return change


def planned(file, conf=None, run_type="manual", start=None, end=None, **changes):
    ctx = context(data_interval_start=start, data_interval_end=end)
    ctx["dag_run"].conf, ctx["dag_run"].run_type = conf or {}, run_type
    if run_type == "asset_triggered":
        ctx["dag_run"].logical_date = None
    path = file(**changes)
    return drive(lambda: PlanExportsOperator(task_id="plan_exports", path=str(path), **AT), ctx)


def arns(found) -> list[str]:
    return [one["snapshot_arn"] for one in found["exports"]]


def remember(arn: str, created: datetime, status: str = "exported") -> None:
    item = {"snapshot_arn": arn, "snapshot_time": created.isoformat(), "status": status, "task_id": names.task(arn)}
    StatesHook("aws_orchestrator", "eu-west-1").put(
        TABLE, {"pk": "export#shop", "sk": f"{created.isoformat()}#{arn}", **item}
    )


def test_a_day_of_a_backfill_exports_what_belongs_to_it(rds, file) -> None:
    days = [nightly(rds, n + 0.5) for n in range(3)]
    found = planned(file, run_type="backfill", start=NIGHT + DAY, end=NIGHT + 2 * DAY)
    assert arns(found) == [days[1]]
    (one,) = found["exports"]
    assert one == {
        "conn_id": "aws_source",
        "region": "eu-west-1",
        "account_id": "111111111111",
        "database": "shop",
        "snapshot_arn": days[1],
        "snapshot_time": "2026-07-02T15:00:00+00:00",
        "date": "2026-07-02",
        "bucket": "aurora-ops-export-shop-111111111111",
        "prefix": "exports/db=shop/snapshot_date=2026-07-02",
        "export_task": names.task(days[1]),
    }


def test_a_day_without_a_snapshot_says_so(rds, file) -> None:
    nightly(rds, 0.5)
    found = planned(file, run_type="backfill", start=NIGHT + DAY, end=NIGHT + 2 * DAY)
    assert (found["exports"], [one["what"] for one in found["reports"]]) == ([], ["none"])


def test_the_nightly_run_makes_up_for_what_was_missed(rds, file) -> None:
    days = [nightly(rds, n + 0.5) for n in range(4)]
    remember(days[1], NIGHT + 1.5 * DAY)
    found = planned(file, run_type="scheduled", start=NIGHT + 3 * DAY, end=NIGHT + 4 * DAY)
    assert arns(found) == [days[0], days[2], days[3]]
    assert arns(planned(file, run_type="scheduled", start=NIGHT + 3 * DAY, end=NIGHT + 4 * DAY, reconcile_days=0)) == [
        days[3]
    ]


def test_by_hand_the_newest_and_nothing_twice(rds, file) -> None:
    arn = nightly(rds, 0.5)
    assert arns(planned(file)) == [arn]
    remember(arn, NIGHT + 0.5 * DAY)
    found = planned(file)
    assert (found["exports"], [one["what"] for one in found["reports"]]) == ([], ["done"])


@pytest.mark.parametrize("run_type", ["manual", "asset_triggered"])
def test_a_snapshot_that_was_named(rds, file, run_type) -> None:
    arn = nightly(rds, 0.5, SnapshotType="manual")
    nightly(rds, 1.5)
    assert arns(planned(file, {"database": "shop", "snapshot_arn": arn}, run_type)) == [arn]


def test_only_the_plan(rds, file) -> None:
    nightly(rds, 0.5)
    found = planned(file, {"dry_run": True})
    assert (found["exports"], found["reports"][0]["what"]) == ([], "export")


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ({"datbase": "shop"}, "datbase"),
        ({"database": "other"}, "databases that are exported are"),
        ({"database": 3}, "write a str"),
        ({"again": "yes"}, "write a bool"),
        ({"snapshot_arn": snapshot_arn("x")}, "say of which database"),
        ({"database": "shop", "snapshot_arn": "x"}, "ARN of a snapshot"),
        ({"database": "shop", "snapshot_arn": snapshot_arn("none")}, "is gone"),
        ({"database": "shop", "snapshot_arn": snapshot_arn("of-another")}, "no snapshot of prod-shop"),
    ],
)
def test_wrong_parameters_are_refused(rds, file, conf, says) -> None:
    rds.snapshot("of-another", cluster="other")
    with pytest.raises(PermanentError, match=says):
        planned(file, conf)
    assert rds.mutations == []


def test_a_connection_that_leads_elsewhere(rds, file, monkeypatch) -> None:
    monkeypatch.setattr(
        AwsHook, "require_account", lambda *_: (_ for _ in ()).throw(ConfigError("connection aws_source", "1", "no"))
    )
    monkeypatch.setattr(ExportTasksHook, "list_tasks", lambda _: pytest.fail("asked before it is known whose they are"))
    with pytest.raises(ConfigError, match="connection aws_source"):
        planned(file)


class TestRemembered:
    """One snapshot's export, written down."""

    ARN = snapshot_arn("rds:prod-shop-0001")

    def make(self, **given):
        about = {
            "table": TABLE,
            "database": "shop",
            "snapshot_arn": self.ARN,
            "snapshot_time": "2026-07-01T03:00:00+00:00",
            "date": "2026-07-01",
            "needed": NEEDED,
            **given,
        }
        return lambda: RecordExportOperator(task_id="record_export", **about, **AT)

    @staticmethod
    def ended(ctx, *tasks: str, error: str | None = None):
        results = {
            "export.export_snapshot": {
                "task_id": "t",
                "bucket": "b",
                "path": "p/t/",
                "gib": 1.5,
                "skipped": [],
                "warnings": ["slow"],
                "started_at": None,
                "ended_at": None,
            },
            "export.verify_export": {"tables": 2, "rows": 30, "bytes": 400, "files": 5, "report": "s3://r"},
            "export.catalogue_export": {"drift": ["column added"], "warnings": []},
            "export.prove_export": {"tables": 2, "rows": 30},
        }
        for task in tasks:
            ctx["ti"].xcoms[task, "return_value"] = results[task]
        if error:
            ctx["ti"].xcoms[NEEDED["shop"][len(tasks)], "error"] = error

    @staticmethod
    def items() -> list[dict]:
        return StatesHook("aws_orchestrator", "eu-west-1").list_items(TABLE, "export#shop")

    def test_when_all_has_succeeded_it_is_exported(self, rds) -> None:
        ctx = context()
        self.ended(ctx, *NEEDED["shop"])
        drive(self.make(), ctx)
        (item,) = self.items()
        assert item["sk"] == "2026-07-01T03:00:00Z#rds:prod-shop-0001"
        assert (item["status"], item["tables"], item["rows"], item["task_id"]) == ("exported", 2, 30, "t")
        assert item["warnings"] == ["slow", "column added"]

    @pytest.mark.parametrize("succeeded", [0, 1, 2, 3])
    def test_when_one_has_not_it_has_failed_with_its_cause(self, rds, succeeded) -> None:
        ctx = context()
        self.ended(ctx, *NEEDED["shop"][:succeeded], error="the cause")
        drive(self.make(), ctx)
        (item,) = self.items()
        assert (item["status"], item["cause"]) == ("failed", f"{NEEDED['shop'][succeeded]}: the cause")

    def test_a_failure_later_does_not_undo_it(self, rds) -> None:
        ctx = context()
        self.ended(ctx, *NEEDED["shop"])
        drive(self.make(), ctx)
        drive(self.make(), context())
        assert [item["status"] for item in self.items()] == ["exported"]


class TestTold:
    """A run of exports."""

    PLAN: ClassVar[dict] = {
        "exports": [],
        "reports": [{"database": "shop", "what": "none", "why": "no snapshot", "snapshot": None}],
    }

    @pytest.fixture
    def tell(self, rds, aws_session):
        topic = aws_session.client("sns").create_topic(Name="t")["TopicArn"]
        queue = aws_session.client("sqs").create_queue(QueueName="q")["QueueUrl"]
        aws_session.client("sns").subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:eu-west-1:123456789012:q"
        )

        def tell(plan, items=(), error=None):
            ctx = context()
            ctx["ti"].xcoms["plan_exports", ERROR_KEY] = error
            if plan is not None:
                ctx["ti"].xcoms["plan_exports", "return_value"] = {"dry_run": False, **plan}
            ctx["ti"].xcoms["export.record_export", "return_value"] = list(items)
            found = drive(
                lambda: RecordExportsOperator(
                    task_id="record_exports",
                    environment="staging",
                    namespace="AuroraOps",
                    topic_arn=topic,
                    plan_task="plan_exports",
                    record_task="export.record_export",
                    **AT,
                ),
                ctx,
            )
            told = aws_session.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
            return found, [json.loads(one["Body"]) for one in told], ctx["ti"].xcoms.get(("record_exports", NOTE_KEY))

        return tell

    ITEM: ClassVar[dict] = {
        "database": "shop",
        "date": "2026-07-01",
        "snapshot_arn": "a",
        "status": "exported",
        "tables": 2,
        "rows": 9,
    }

    def test_a_good_run_is_noted_and_announced_to_nobody(self, tell) -> None:
        found, told, note = tell(self.PLAN, [{**self.ITEM, "gib": 1, "lag_s": 5}])
        assert (found["exported"], found["none"], found["rows"], told) == (1, 1, 9, [])
        assert note.startswith("**Exports of staging**: 1 exported, 0 failed")
        assert "no snapshot" in note

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"status": "failed", "cause": "KMS key check failed"}, "KMS key check failed"),
            ({"skipped": ["shop.odd"]}, "shop.odd"),
            ({"warnings": ["one thread"]}, "one thread"),
        ],
    )
    def test_what_is_not_whole_is_announced(self, tell, change, says) -> None:
        _, (told,), _ = tell(self.PLAN, [{**self.ITEM, **change}])
        assert says in told["Message"]

    def test_what_was_given_up_is_announced(self, tell) -> None:
        stopped = {"database": "shop", "what": "stopped", "why": "3 tasks have failed", "snapshot": "s"}
        found, (told,), _ = tell({**self.PLAN, "reports": [stopped]})
        assert (found["stopped"], "3 tasks have failed" in told["Message"]) == (1, True)

    def test_a_run_that_could_not_be_planned_is_announced(self, tell) -> None:
        found, (told,), note = tell(None)
        assert (found["failed"], "could not be planned" in told["Message"]) == (1, True)
        assert note == "**Exports of staging**: the run could not be planned: the log of plan_exports says why\n"

    def test_why_a_run_failed_is_in_its_note(self, tell) -> None:
        _, (told,), note = tell(None, error="ConfigError: database: 'shpo' is not allowed")
        assert all("planned: ConfigError: database: 'shpo' is not allowed" in text for text in (told["Message"], note))
        _, _, note = tell(self.PLAN, [{**self.ITEM, "status": "failed", "cause": "KMS key check failed" + "x" * 999}])
        assert "- shop 2026-07-01: failed, 9 rows of 2 tables: KMS key check failedxxx" in note
        assert len(note) < 400

    def test_a_dry_run_is_silent(self, tell) -> None:
        _, told, note = tell({**self.PLAN, "dry_run": True})
        assert (told, note) == ([], None)
