"""The coverage report, and the memory that tells the next run what is new."""

from __future__ import annotations

import json

import pytest
from aurora_ops.core import coverage
from aurora_ops.core.coverage import Covered
from aurora_ops.core.errors import VerificationError
from aurora_ops.operators.coverage import RememberColumnsOperator, ReportCoverageOperator

from tests.unit.operators.driver import FakeTaskInstance, context, drive

TARGET = "refresh#222222222222#staging-shop"
RUN = {"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1", "table": "runs", "target_key": TARGET}
PUBLISHED = "publish.publish_cluster"
BEFORE = [Covered("s.t.a", "text", "clean"), Covered("s.t.b", "text", "masked", "email, proof: values", decided=True)]
AFTER = [*BEFORE, Covered("s.t.c", "text", "clean"), Covered("s.t.d", "int", "clean", decided=True)]


@pytest.fixture
def home(rds, aws_session, calls):
    """The table of runs, and a bucket."""
    aws_session.client("dynamodb").create_table(
        TableName="runs",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    s3 = aws_session.client("s3")
    s3.create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    calls.clear()
    return s3


def report(covered, undecided="warn", **given):
    return drive(
        lambda: ReportCoverageOperator(
            task_id="c",
            covered=coverage.packed(covered),
            undecided=undecided,
            environment="staging",
            **{**RUN, **given},
        )
    )


def remember(covered, state="success", **given):
    ctx = context(ti=FakeTaskInstance({PUBLISHED: state}))
    packed = None if covered is None else coverage.packed(covered)
    return drive(
        lambda: RememberColumnsOperator(task_id="m", covered=packed, published_task=PUBLISHED, **{**RUN, **given}), ctx
    )


def test_first_run_calls_nothing_new(home, calls) -> None:
    found = report(AFTER)
    assert (found["columns"], found["new"], found["warnings"], found["report"]) == (4, [], [], None)
    assert set(calls) <= set(ReportCoverageOperator.permissions)


def test_new_columns_are_called_out_and_undecided_ones_warned_of(home, calls) -> None:
    assert remember(BEFORE) == {"remembered": 2}
    assert set(calls) <= set(RememberColumnsOperator.permissions)
    found = report(AFTER)
    assert found["new"] == ["s.t.c", "s.t.d"]
    assert len(found["warnings"]) == 1
    assert "s.t.c" in found["warnings"][0]
    assert "s.t.d" not in found["warnings"][0], "a number holds no text that somebody must decide about"
    assert report(AFTER, "allow")["warnings"] == []
    with pytest.raises(VerificationError, match=r"1 columns are new .* s\.t\.c; .*columns\.yaml"):
        report(AFTER, "fail")


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped", None])
def test_failed_run_does_not_hide_what_is_new_from_the_next(home, state) -> None:
    remember(BEFORE)
    assert remember(AFTER, state) == {"remembered": 0}
    assert report(AFTER)["new"] == ["s.t.c", "s.t.d"]
    remember(AFTER)
    assert report(AFTER)["new"] == []


def test_run_that_ended_before_the_scan_remembers_nothing(home) -> None:
    assert remember(None) == {"remembered": 0}
    assert remember(BEFORE, target_key=None) == {"remembered": 0}


def test_ever_so_many_columns_are_remembered(home) -> None:
    many = [Covered(f"s.t.c{n}", "text", "clean") for n in range(60_000)]
    assert remember(many) == {"remembered": 60_000}
    assert report(many)["new_count"] == 0
    assert report([*many, Covered("s.t.x", "text", "clean")])["new"] == ["s.t.x"]


def test_report_is_written_for_machines_and_people(home, calls) -> None:
    remember(BEFORE)
    calls.clear()
    url = report(AFTER, report_bucket="reports")["report"]
    assert set(calls) == set(ReportCoverageOperator.permissions)
    assert url == "s3://reports/aurora-ops/staging/2026/07/01/manual__1/coverage.json"
    key = url.removeprefix("s3://reports/")
    written = json.loads(home.get_object(Bucket="reports", Key=key)["Body"].read())
    assert [c["column"] for c in written["coverage"] if c["new"]] == ["s.t.c", "s.t.d"]
    text = home.get_object(Bucket="reports", Key=key.replace(".json", ".txt"))["Body"].read().decode()
    assert text.splitlines()[0].split()[:3] == ["s.t.c", "new", "clean"]
