"""The record of a run, its report, its metrics, its announcement: always written, each as far as it can be."""

from __future__ import annotations

import json

import jinja2
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from aurora_ops.core import report
from aurora_ops.core.errors import MissingError
from aurora_ops.hooks.metrics import MetricsHook
from aurora_ops.operators.record import RecordRunOperator

from tests.unit.operators.conftest import RUN
from tests.unit.operators.driver import FakeTaskInstance, context, drive

FOLDER = "aurora-ops/staging/2026/07/01/manual__1"


@pytest.fixture(autouse=True)
def address(monkeypatch):
    """Airflow knows its own address."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")


class TestRecord:
    """Always written, always announced."""

    def record(self, home, **given):
        return lambda: RecordRunOperator(
            task_id="record.record_run",
            **{
                **RUN,
                "topic_arn": home.topic_arn,
                "environment": "staging",
                "plan_task": "prepare.check",
                "snapshot_task": "source.take_snapshot",
                "best_effort": ("clean_up.",),
                "compensation": ("switch.undo_rename",),
                "keep_days": 1,
                "report_bucket": "reports",
                "metrics_namespace": "AuroraOps",
                **given,
            },
        )

    @pytest.fixture
    def finished(self):
        states = {
            "prepare.check": "success",
            "source.take_snapshot": "success",
            "publish.publish_cluster": "success",
            "switch.undo_rename": "skipped",
            "clean_up.revoke_share": "failed",
            "record.record_run": "running",
            "record.release_lock": None,
        }
        ctx = context(ti=FakeTaskInstance(states))
        ctx["ti"].xcoms |= {
            ("prepare.check", "return_value"): {"run_key": "k", "snapshot_created_at": None, "tags": {"a": "b"}},
            ("source.take_snapshot", "return_value"): {"created_at": "2026-07-01T00:00:00+00:00"},
            ("clean_up.revoke_share", "error"): "throttled",
            ("prepare.check", "timing"): {"spans": [{"kind": "api", "what": "x", "start": 1.0, "end": 2.5}]},
        }
        return ctx

    def test_success(self, home, finished, calls) -> None:
        result = drive(self.record(home), finished)
        assert result["outcome"] == "succeeded"
        assert result["warnings"] == ["clean_up.revoke_share: throttled"]
        item = home.item(result["sk"])
        assert item["run"] == "refresh_staging/manual__1"
        assert item["triggered_by"] == "ann"
        assert item["rpo_s"] > 0
        assert float(item["steps"]["prepare.check"]["api_s"]) == 1.5
        assert "record.record_run" not in item["steps"]
        (heard,) = home.heard()
        assert heard["Subject"].startswith("refresh staging succeeded in ")
        assert heard["Subject"].endswith("1 warnings")
        assert json.loads(heard["Message"])["outcome"] == "succeeded"
        assert heard["MessageAttributes"]["environment"]["Value"] == "staging"
        assert heard["MessageAttributes"]["outcome"]["Value"] == "succeeded"
        assert set(calls) - {"sqs:ReceiveMessage", "dynamodb:GetItem"} <= set(RecordRunOperator.permissions)

    def test_failure_is_announced_with_step_and_what_serves(self, home, finished) -> None:
        finished["ti"].states |= {"switch.rename_restored": "failed", "switch.undo_rename": "success"}
        result = drive(self.record(home), finished)
        assert result["outcome"] == "failed"
        assert home.heard()[0]["Subject"] == "refresh staging failed: switch.rename_restored; serving: old cluster"

    def test_twice_writes_one_item(self, home, finished) -> None:
        first = drive(self.record(home), finished)
        assert drive(self.record(home), finished)["sk"] == first["sk"]

    def test_announced_even_if_the_table_is_gone(self, home, finished) -> None:
        with pytest.raises(MissingError):
            drive(self.record(home, table="none"), finished)
        assert len(home.heard()) == 1

    def test_no_topic(self, home, finished, calls) -> None:
        drive(self.record(home, topic_arn=None), finished)
        assert "sns:Publish" not in calls

    def test_check_that_refused_what_a_person_typed_touches_nothing(self, home, finished, calls) -> None:
        finished["ti"].states["prepare.check"] = "failed"
        with pytest.raises(AirflowSkipException, match="nothing to record"):
            drive(self.record(home), finished)
        assert calls == []

    def test_check_that_refused_a_nightly_run_is_recorded(self, home, finished) -> None:
        finished["ti"].states["prepare.check"] = "failed"
        finished["ti"].xcoms.pop(("prepare.check", "return_value"))
        finished["ti"].xcoms["prepare.check", "error"] = "the snapshot is too old"
        finished["dag_run"].run_type = "scheduled"
        result = drive(self.record(home, target_key=None), finished)
        assert (result["outcome"], result["pk"]) == ("failed", "refresh#staging")
        assert json.loads(home.heard()[0]["Message"])["cause"] == "the snapshot is too old"

    def test_run_without_logical_date_or_start(self, home, finished) -> None:
        finished["dag_run"].logical_date = finished["dag_run"].start_date = None
        assert drive(self.record(home), finished)["sk"].startswith("run#2026-07-01T02:00:00+00:00#")

    def test_report_metrics_and_links(self, home, finished) -> None:
        finished["ti"].durations = {"switch.undo_rename": 0.25, "prepare.check": 9.0, "publish.publish_cluster": None}
        result = drive(self.record(home), finished)
        assert result["report"] == f"s3://reports/{FOLDER}/report.html"
        kind, body = home.stored(f"{FOLDER}/report.html")
        assert kind == "text/html; charset=utf-8"
        assert b"clean_up.revoke_share: throttled" in body
        kind, body = home.stored(f"{FOLDER}/report.json")
        assert kind == "application/json"
        content = json.loads(body)
        assert content["report"] == result["report"]
        assert content["steps"]["switch.undo_rename"] == {"state": "skipped", "duration_s": 0.25}
        item = home.item(result["sk"])
        assert item["report"] == result["report"]
        assert set(item["links"]) == {"Airflow run", "Record", "Report"} == set(content["links"])
        metrics = home.metrics()
        assert metrics["RefreshSucceeded"] == [{"Name": "Environment", "Value": "staging"}]
        assert {"Name": "StepGroup", "Value": "prepare"} in metrics["StepGroupDuration"]
        note = finished["ti"].xcoms["record.record_run", "run_note"]
        assert note.startswith("**Refresh of staging succeeded** in ")
        assert item["links"]["Report"] in note

    def test_links_of_the_task(self, home, finished) -> None:
        task = self.record(home)()
        finished["ti"].task_id = task.task_id
        assert [link.get_link(task, ti_key=None) for link in task.operator_extra_links] == ["", ""]
        task.execute(finished)
        report, record = (link.get_link(task, ti_key=None) for link in task.operator_extra_links)
        assert report.startswith("https://eu-west-1.console.aws.amazon.com/s3/object/reports?")
        assert record.startswith("https://eu-west-1.console.aws.amazon.com/dynamodbv2/")

    @pytest.mark.parametrize(
        ("given", "warned"),
        [
            ({"report_bucket": "none"}, "the report was not written: s3:put_object none"),
            ({"metrics_namespace": "AWS/Mine"}, "metrics were not sent: cloudwatch:put_metric_data"),
        ],
    )
    def test_failed_report_or_metrics_are_a_warning(self, home, finished, monkeypatch, given, warned) -> None:
        if "metrics_namespace" in given:
            monkeypatch.setattr(MetricsHook, "put", lambda self, *_: self.call("put_metric_data", Namespace=1))
        result = drive(self.record(home, **given), finished)
        assert result["outcome"] == "succeeded"
        assert any(warned in warning for warning in result["warnings"])
        assert any(warned in warning for warning in home.item(result["sk"])["warnings"])
        (heard,) = home.heard()
        assert heard["Subject"].endswith("2 warnings")
        assert (result["report"] is None) is ("report_bucket" in given)
        assert ("Report" in json.loads(heard["Message"])["links"]) is ("report_bucket" not in given)

    def test_a_template_that_breaks_is_a_warning(self, home, finished, monkeypatch) -> None:
        def broken(*_, **__):
            raise jinja2.UndefinedError("a planted mistake")

        monkeypatch.setattr(report, "as_html", broken)
        result = drive(self.record(home), finished)
        assert any("a planted mistake" in warning for warning in result["warnings"])
        assert home.item(result["sk"])["outcome"] == "succeeded"

    def test_a_mistake_in_the_report_is_red_but_recorded_and_announced(self, home, finished, monkeypatch) -> None:
        def broken(*_, **__):
            raise ZeroDivisionError

        monkeypatch.setattr(report, "data", broken)
        with pytest.raises(ZeroDivisionError):
            drive(self.record(home), finished)
        assert len(home.heard()) == 1
        assert home.item("run#2026-07-01T02:00:00+00:00#manual__1")["outcome"] == "succeeded"

    def test_neither_report_nor_metrics(self, home, finished, calls) -> None:
        result = drive(self.record(home, report_bucket=None, metrics_namespace=None), finished)
        assert result["report"] is None
        assert result["warnings"] == ["clean_up.revoke_share: throttled"]
        assert not {"s3:PutObject", "cloudwatch:PutMetricData"} & set(calls)

    def test_warnings_of_results_are_listed(self, home, finished) -> None:
        finished["ti"].states["mask.scan_columns"] = "success"
        finished["ti"].xcoms["mask.scan_columns", "return_value"] = {"warnings": ["shop.a.b: 2 look like e-mails"]}
        assert "mask.scan_columns: shop.a.b: 2 look like e-mails" in drive(self.record(home), finished)["warnings"]

    def test_ten_thousand_steps_and_warnings_fit_everywhere(self, home, finished) -> None:
        names = [f"mask.a_step_with_quite_a_long_name_{number:05d}" for number in range(10_000)]
        finished["ti"].states |= dict.fromkeys(names, "failed")
        finished["ti"].states |= dict.fromkeys(names[::2], "success")
        finished["ti"].xcoms |= {(name, "return_value"): {"warnings": ["w" * 500]} for name in names[::2]}
        result = drive(self.record(home, report_bucket=None), finished)
        assert result["outcome"] == "failed"
        assert len(json.dumps(result)) < 48 * 1024
        item = home.item(result["sk"])
        assert len(item["steps"]) + item["steps_left_out"] == 10_000 + 6
        assert item["warnings"][-1] == "... and 4951 more"
        (heard,) = home.heard()
        assert heard["Subject"].startswith("refresh staging failed")

    def test_report_bucket_may_be_where_the_region_is_unknown(self, home, finished) -> None:
        result = drive(self.record(home, region_name=None), finished)
        assert set(home.item(result["sk"])["links"]) == {"Airflow run"}
