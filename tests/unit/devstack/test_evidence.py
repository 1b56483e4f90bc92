"""What the demo takes out of AWS."""

from __future__ import annotations

import boto3
import pytest
from moto import mock_aws

from devstack import evidence
from devstack.evidence import Evidence
from devstack.settings import StackConfig

KEY = "aurora-ops/staging/2026/07/01/manual__1"


@pytest.fixture
def run(monkeypatch):
    """A record, and the files that it names."""
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="reports")
        for suffix in ("html", "json"):
            s3.put_object(Bucket="reports", Key=f"{KEY}/report.{suffix}", Body=suffix.encode())
        monkeypatch.setattr(evidence, "admin_client", lambda *_: s3)
        items = [{"sk": {"S": "lock"}}, {"report": {"S": f"s3://reports/{KEY}/report.html"}}]
        monkeypatch.setattr(Evidence, "run_record", lambda *_: items)
        yield items


def test_report_is_copied_with_its_json(run, tmp_path) -> None:
    page = Evidence(StackConfig.from_env({})).save_report("manual__1", tmp_path)
    assert page == tmp_path / "manual__1" / "report.html"
    assert {path.name: path.read_text() for path in page.parent.iterdir()} == {
        "report.html": "html",
        "report.json": "json",
    }


def test_a_record_without_a_report(run, tmp_path) -> None:
    del run[1]
    assert Evidence(StackConfig.from_env({})).save_report("manual__1", tmp_path) is None
    assert list(tmp_path.iterdir()) == []
