"""What a run leaves for people: record, report, metrics, announcement, note and links, in the real Airflow."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from devstack import waiting
from tests.local.refresh.conftest import SHARED, TARGET_KEY, planted_secrets

pytestmark = [pytest.mark.local, pytest.mark.slow]

BUCKET = "aurora-ops-000000000000"
CONSOLE = "https://eu-west-1.console.aws.amazon.com"


class Page(HTMLParser):
    """Elements and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)

    def handle_data(self, data) -> None:
        self.words.append(data)


def report(stack, record) -> tuple[str, dict[str, Any]]:
    """Read the page and the JSON where the record says they are."""
    assert record["report"].startswith(f"s3://{BUCKET}/aurora-ops/staging/")
    key = record["report"].removeprefix(f"s3://{BUCKET}/")
    s3 = stack.aws(SHARED, "s3")
    page = s3.get_object(Bucket=BUCKET, Key=key)
    assert page["ContentType"] == "text/html; charset=utf-8"
    data = s3.get_object(Bucket=BUCKET, Key=key.replace(".html", ".json"))
    assert data["ContentType"] == "application/json"
    assert s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    return page["Body"].read().decode(), json.loads(data["Body"].read())


def links(stack, run, task_id) -> dict[str, str | None]:
    """Read the links of a task, as the UI does."""
    path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}/links"
    return stack.api.request("GET", path)["extra_links"]


def note(stack, run) -> str:
    return stack.api.request("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}")["note"]


def test_a_run_that_succeeds(stack, estate, refreshed):
    run = refreshed.run
    record = estate.record(run)
    assert (record["outcome"], record["warnings"]) == ("succeeded", [])
    assert record["steps"]["mask.mask_database"]["sql_s"] > 0
    assert record["steps"]["restore.restore_cluster"]["aws_wait_s"] > 0
    assert record["steps"]["prepare.check"]["tries"] == 1
    assert "duration_s" in record["steps"]["approve.approve_switch"], "Airflow's own steps have a duration too"
    assert record["critical_path"][0] == "prepare.check"
    assert set(record["time_s"]) >= {"sql", "aws_wait", "api", "airflow"}
    assert set(record["groups"]) >= {"prepare", "source", "restore", "mask", "switch", "publish", "clean_up"}

    html, data = report(stack, record)
    page = Page(html)
    assert "Refresh of staging succeeded" in page.text
    assert "0 original values survived" in page.text
    assert "shop.customers.email" in page.text
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert page.tags.count("svg") == 1
    assert data["schema_version"] == 1
    assert data["masking"]["survivors"] == 0
    assert set(data["steps"]) == set(record["steps"])
    assert data["results"]["mask.verify_database"]["rows"] > 0
    assert data["versions"]["apache-airflow"].startswith("3.")

    [announced] = refreshed.announced
    assert announced["Subject"].startswith("refresh staging succeeded in ")
    message = json.loads(announced["Message"])
    assert message["report"] == record["report"]
    attributes = {name: value["Value"] for name, value in announced["MessageAttributes"].items()}
    assert attributes == {"environment": "staging", "outcome": "succeeded", "warnings": "no"}

    said = note(stack, run)
    assert said.startswith("**Refresh of staging succeeded** in ")
    assert f"[Report]({CONSOLE}/s3/object/{BUCKET}" in said

    links_of_record = waiting.until(
        lambda: (found := links(stack, run, "record.record_run")) and all(found.values()) and found,
        what="links", timeout_s=20,
    )  # fmt: skip
    assert set(links_of_record) == {"Report", "Record"}
    assert links_of_record["Report"].startswith(f"{CONSOLE}/s3/object/{BUCKET}?")
    assert "table=aurora-ops-runs" in links_of_record["Record"]
    cluster = f"{CONSOLE}/rds/home?region=eu-west-1#database:id="
    assert links(stack, run, "restore.restore_cluster") == {
        "RDS cluster": f"{cluster}staging-shop-restore;is-cluster=true"
    }
    assert links(stack, run, "switch.verify_serving") == {"RDS cluster": f"{cluster}staging-shop;is-cluster=true"}
    copied = links(stack, run, "source.copy_snapshot")["RDS snapshot"]
    assert copied.startswith(f"{CONSOLE}/rds/home?region=eu-west-1#db-snapshot:engine=aurora-mysql;id=copy-staging-")
    secret = links(stack, run, "mask.rotate_master_secret")["Master secret"]
    assert secret.startswith(f"{CONSOLE}/secretsmanager/secret?name=")

    assert estate.statistic("RefreshSucceeded", Environment="staging") >= refreshed.succeeded + 1
    assert estate.statistic("StepGroupDuration", Environment="staging", StepGroup="mask") > 0

    everything = html + json.dumps([data, record, announced, said, links_of_record], default=str)
    assert not [secret for secret in planted_secrets(stack) if secret in everything]


def test_a_run_that_fails_says_why_and_what_to_do(stack, estate, run_to_end):
    before = estate.statistic("RefreshFailed", Environment="staging")
    estate.fail(
        service="rds",
        action="CopyDBClusterSnapshot",
        code="KMSKeyNotAccessibleFault",
        message="<b>a planted refusal</b>",
    )
    run = run_to_end()
    assert run.state == "failed"
    record = estate.record(run)
    assert record["failed_step"] == "source.rekey_snapshot"
    assert "a planted refusal" in record["cause"]
    assert record["remedy"].startswith("What serves was not touched.")
    html, data = report(stack, record)
    assert "<b>a planted refusal" not in html
    assert "&lt;b&gt;a planted refusal" in html
    assert "failed at source.rekey_snapshot" in Page(html).text
    assert data["masking"]["survivors"] is None
    [announced] = estate.announcements()
    assert announced["Subject"] == "refresh staging failed: source.rekey_snapshot; serving: old cluster"
    assert json.loads(announced["Message"])["cause"] == record["cause"]
    assert announced["MessageAttributes"]["outcome"]["Value"] == "failed"
    assert note(stack, run).startswith("**Refresh of staging failed at `source.rekey_snapshot`**")
    assert estate.statistic("RefreshFailed", Environment="staging") == before + 1
    assert links(stack, run, "restore.restore_cluster") == {"RDS cluster": None}, "it never ran, so it knows no cluster"


def test_a_report_that_cannot_be_written_is_a_warning(stack, estate, run_to_end):
    estate.fail(service="rds", action="CopyDBClusterSnapshot", code="KMSKeyNotAccessibleFault", message="planted")
    estate.fail(service="s3", action="PutObject", match=BUCKET, code="AccessDenied", message="a planted refusal")
    run = run_to_end()
    assert stack.states(run)["record.record_run"] == "success"
    record = estate.record(run)
    assert record["pk"] == TARGET_KEY
    assert "report" not in record
    [warning] = [warning for warning in record["warnings"] if "the report was not written" in warning]
    assert "a planted refusal" in warning
    [announced] = estate.announcements()
    assert warning in json.loads(announced["Message"])["warnings"]
    assert links(stack, run, "record.record_run")["Report"] is None
