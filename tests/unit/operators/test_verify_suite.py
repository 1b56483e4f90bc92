"""Suites and baselines as tasks: what they ask of AWS, where they write, and what is refused before anything is asked."""

from __future__ import annotations

import json

import pytest
import yaml
from aurora_ops.core.errors import ConfigError, MissingError, StateError, VerificationError
from aurora_ops.operators.baseline import TakeBaselineOperator
from aurora_ops.operators.verify_suite import SUMMARY_KEY, VerifySuiteOperator

from tests.unit.operators.driver import context, drive
from tests.unit.operators.test_sql import AT, server  # noqa: F401 - a fixture

FOLDER = "aurora-ops/restore/2026/07/01/manual__1"
KNOWN = {"cluster_id": "prod", "taken_at": "2026-07-01T00:00:00Z", "tables": {"shop.customers": {"rows": 3}}}


@pytest.fixture
def cluster(home, server):  # noqa: F811
    """A cluster behind a server with one table and no foreign key, and a bucket for reports."""
    server.answer("SHOW SESSION STATUS", (("Ssl_cipher", "TLS_X"), ("Ssl_version", "TLSv1.3")))
    server.answer("KEY_COLUMN_USAGE", ())
    server.answer("USE ", ())
    server.answer("SELECT 'a query'", (("a query", 1, "fine"),))
    server.said.clear()
    return server


@pytest.fixture
def suite(tmp_path):
    """Write a suite."""

    def write(**more) -> str:
        (tmp_path / "shop").mkdir(exist_ok=True)
        (tmp_path / "shop" / "010.sql").write_text("SELECT 'a query', 1, 'fine'")
        path = tmp_path / "s.yaml"
        path.write_text(yaml.safe_dump({"schemas": ["shop"], "foreign_keys": False, **more}))
        return str(path)

    return write


def task(kind, path, **more):
    given = {**AT, "suite": path, "environment": "restore", "report_bucket": "reports", **more}
    return lambda: kind(task_id="verify.suite", **given)


def verify(path, ctx=None, **more):
    return drive(task(VerifySuiteOperator, path, **{"users": [], **more}), ctx)


def test_report_is_written_and_linked(cluster, home, suite, calls) -> None:
    ctx = context()
    made = []
    operator = task(VerifySuiteOperator, suite(), users=[])
    result = drive(lambda: made.append(operator()) or made[-1], ctx)
    assert result["report_uri"] == f"s3://reports/{FOLDER}/verification-app-suite.html"
    assert {key: result[key] for key in ("checks", "failed", "tables", "rows")} == {
        "checks": 4, "failed": 0, "tables": 1, "rows": 3,
    }  # fmt: skip
    kind, page = home.stored(f"{FOLDER}/verification-app-suite.html")
    assert kind.startswith("text/html")
    assert b"Verification of app" in page
    kind, body = home.stored(f"{FOLDER}/verification-app-suite.json")
    assert (kind, json.loads(body)["outcome"]) == ("application/json", "passed")
    assert "verification-app-suite.html" in made[-1].links["Report"]
    assert ctx["ti"].xcoms["verify.suite", SUMMARY_KEY] == result
    elsewhere = VerifySuiteOperator.permissions_elsewhere["orchestrator"]
    assert set(calls) <= {*VerifySuiteOperator.permissions, *elsewhere}
    assert "hunter2" not in "".join(cluster.said) + page.decode() + json.dumps(list(ctx["ti"].xcoms.values()))


def test_failure_leaves_report_and_summary(cluster, home, suite) -> None:
    ctx = context()
    with pytest.raises(VerificationError) as raised:
        verify(suite(rows={"minimum": {"shop.customers": 4}}), ctx)
    said = "1 of 5 checks of app failed: least rows of shop.customers: 3 rows, 4 at least; the report is s3://reports/"
    assert str(raised.value).startswith(f"{said}{FOLDER}")
    assert json.loads(home.stored(f"{FOLDER}/verification-app-suite.json")[1])["failed"] == 1
    assert ctx["ti"].xcoms["verify.suite", SUMMARY_KEY]["failed"] == 1


def test_without_a_bucket_there_is_no_report(cluster, suite, calls) -> None:
    assert verify(suite(), report_bucket=None)["report_uri"] is None
    assert "s3:PutObject" not in calls


def test_baseline_is_read_from_the_bucket(cluster, aws_session, suite, calls) -> None:
    s3 = aws_session.client("s3")
    s3.put_object(Bucket="reports", Key="b.json", Body=json.dumps(KNOWN))
    assert verify(suite(), baseline="s3://reports/b.json")["checks"] == 4
    more = KNOWN["tables"] | {"shop.gone": {"rows": 1}, "other.table": {"rows": 1}}
    s3.put_object(Bucket="reports", Key="b.json", Body=json.dumps(KNOWN | {"tables": more}))
    with pytest.raises(VerificationError, match=r"1 of 5 .*rows of shop\.gone: expected 1, found None"):
        verify(suite(), baseline="s3://reports/b.json")
    with pytest.raises(MissingError):
        verify(suite(), baseline="s3://reports/none.json")
    assert set(calls) <= {*VerifySuiteOperator.permissions, "s3:GetObject", "s3:PutObject"}


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"suite": "/none.yaml"}, "suite: 'none.yaml'"),
        ({"baseline": "nowhere"}, "baseline: 'nowhere'"),
        ({"moment": "noon"}, "moment: 'noon'"),
    ],
)
def test_wrong_input_is_refused_before_the_server_is_asked(cluster, suite, more, why) -> None:
    path = more.pop("suite", None) or suite()
    with pytest.raises(ConfigError, match=why):
        verify(path, **more)
    assert cluster.said == []


def test_baseline_is_taken_from_the_reader_and_written_once(cluster, home, suite, calls, monkeypatch) -> None:
    hosts = []
    connect = cluster.connect
    monkeypatch.setattr("pymysql.connect", lambda **given: hosts.append(given["host"]) or connect(**given))
    result = drive(task(TakeBaselineOperator, suite()))
    assert set(calls) <= {*TakeBaselineOperator.permissions, "s3:PutObject"}
    assert result["uri"] == f"s3://reports/{FOLDER}/baseline.json"
    assert (result["tables"], result["rows"], result["checksums"]) == (1, 3, 0)
    assert json.loads(home.stored(f"{FOLDER}/baseline.json")[1])["tables"] == {"shop.customers": {"rows": 3}}
    assert hosts == ["app.cluster-ro-x.rds"]
    drive(task(TakeBaselineOperator, suite(), endpoint="writer"))
    assert hosts[1:] == ["app.cluster-x.rds"]
    assert not cluster.saw("INSERT|UPDATE|DELETE|CREATE|DROP|BEGIN")


def test_untagged_cluster_may_be_looked_at(cluster, rds, suite) -> None:
    rds.clusters["app"]["TagList"] = []
    drive(task(TakeBaselineOperator, suite()))
    verify(suite())
    assert rds.mutations == []


def test_cluster_must_be_available(cluster, rds, suite) -> None:
    rds.clusters["app"]["Status"] = "creating"
    for kind, more in ((TakeBaselineOperator, {}), (VerifySuiteOperator, {"users": []})):
        with pytest.raises(StateError, match="app is creating"):
            drive(task(kind, suite(), **more))
    assert cluster.said == []
