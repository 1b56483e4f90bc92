"""Addresses of pages, in the console of the region's partition."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from aurora_ops.core import console
from hypothesis import given
from hypothesis import strategies as st


def test_pages() -> None:
    base = "https://eu-west-1.console.aws.amazon.com/"
    assert console.cluster("eu-west-1", "app") == f"{base}rds/home?region=eu-west-1#database:id=app;is-cluster=true"
    snapshot = f"{base}rds/home?region=eu-west-1#db-snapshot:engine=aurora-mysql;id=rds%3Aprod-2026"
    assert console.snapshot("eu-west-1", "rds:prod-2026") == snapshot
    assert console.snapshot("eu-west-1", "arn:aws:rds:eu-west-1:1:cluster-snapshot:rds:prod-2026") == snapshot
    secret = f"{base}secretsmanager/secret?name=staging%2Fshop%2Fapp&region=eu-west-1"
    assert console.secret("eu-west-1", "staging/shop/app") == secret
    assert console.secret("eu-west-1", "arn:aws:secretsmanager:eu-west-1:1:secret:staging/shop/app-AbCdEf") == secret
    assert console.airflow_run("https://a.example/", "d", "m__2026-07-01T02:00:00+00:00") == (
        "https://a.example/dags/d/runs/m__2026-07-01T02%3A00%3A00%2B00%3A00"
    )


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("us-east-1", "us-east-1.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_partitions(region, host) -> None:
    for page in (
        console.cluster(region, "c"),
        console.stored_object(region, "b", "k"),
        console.item(region, "t", "p", "s"),
    ):
        assert urlsplit(page).hostname == host


@given(st.text(min_size=1, max_size=80))
def test_nothing_in_a_name_changes_the_address(name) -> None:
    page = urlsplit(console.stored_object("eu-west-1", "bucket", name.encode("utf-8", "replace").decode()))
    assert (page.hostname, page.path, page.fragment) == ("eu-west-1.console.aws.amazon.com", "/s3/object/bucket", "")
    assert set(parse_qs(page.query)) == {"region", "prefix"}
    item = console.item("eu-west-1", "runs", "refresh#1#a", f"run#{name.encode('utf-8', 'replace').decode()}")
    assert item.count("#") == 1
    assert item.count("&") == 4
