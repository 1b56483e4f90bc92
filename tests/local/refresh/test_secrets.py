"""No secret is left anywhere after refreshes: not in Airflow's database, its logs, what AWS was asked, what people are told."""

from __future__ import annotations

import io
from collections.abc import Iterator

import psycopg2
import pytest
from aurora_ops.core import masking

from tests.local.refresh.conftest import DAG_ID, PRODUCTION, SHARED, STAGING, planted_secrets

pytestmark = pytest.mark.local

NEVER_SECRET = "staging-shop-restore"


def metadata(stack) -> Iterator[tuple[str, str]]:
    """Every table of Airflow's database: XComs, rendered templates, runs, serialized DAGs, ..."""
    connection = psycopg2.connect(stack.stack.postgres.url().replace("postgresql+psycopg2://", "postgresql://"))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (name,) in cursor.fetchall():
            text = io.StringIO()
            cursor.copy_expert(f'COPY "{name}" TO STDOUT', text)
            yield f"table {name}", text.getvalue()
    connection.close()


def logs(stack) -> Iterator[tuple[str, str]]:
    """Every log of Airflow and localcloud, and the record of calls."""
    for folder in (stack.config.logs, stack.config.cloud_home):
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix in {".log", ".jsonl"}:
                yield f"file {path.name} of {path.parent.name}", path.read_text(errors="replace")


def objects(stack) -> Iterator[tuple[str, str]]:
    """Reports, and whatever else lies in the buckets."""
    for account in (SHARED, PRODUCTION, STAGING):
        s3 = stack.aws(account, "s3")
        for bucket in s3.list_buckets()["Buckets"]:
            for found in s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
                body = s3.get_object(Bucket=bucket["Name"], Key=found["Key"])["Body"].read()
                yield f"object {found['Key']}", body.decode(errors="replace")


def test_no_secret_is_left_anywhere(stack, estate, run_to_end):
    done = [run for run in stack.api.runs(DAG_ID) if run.state == "success" and estate.find_record(run)]
    last = done[-1] if done else run_to_end()
    assert last.state == "success"
    secrets = planted_secrets(stack)
    key = estate.find_record(last)["plan"]["run_key"]
    secrets |= {masking.salt(password, key) for password in secrets}
    assert len(secrets) > 10

    items = repr(estate.items())
    told = repr(estate.announcements())
    haystacks = [*metadata(stack), *logs(stack), *objects(stack), ("table of runs", items), ("announcements", told)]

    assert any(NEVER_SECRET in text for name, text in haystacks if name == "table xcom"), "XComs were looked at"
    assert any(NEVER_SECRET in text for name, text in haystacks if "rendered" in name), "templates were looked at"
    assert any(NEVER_SECRET in text for name, text in haystacks if name.startswith("file attempt=")), (
        "logs were looked at"
    )
    assert any(NEVER_SECRET in text for name, text in haystacks if "calls.jsonl" in name), "calls were looked at"
    assert any(NEVER_SECRET in text for name, text in haystacks if name.startswith("object")), "reports were looked at"
    assert NEVER_SECRET in items
    found = [name for name, text in haystacks if any(secret in text for secret in secrets)]
    assert found == []
