"""A fortnight of three databases, backfilled with one command in the real Airflow, while somebody else exports too."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace

import pytest
from boto3.dynamodb.types import TypeDeserializer

from devstack.backfill import DAG_ID, DATABASES, Backfill, most_at_once, repeated, settle
from devstack.settings import PRODUCTION, SHARED
from devstack.snapshot_events import TABLE
from devstack.snapshot_exports import provide
from tests.local.conftest import RunningStack, running_stack
from tests.local.iam.lab import attach

pytestmark = pytest.mark.local

DAYS, LIMIT, OTHERS = 14, 5, 2
POLL_S = 2


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """A stack on which three databases are exported; that Athena answers from them is shown in ``exporting``."""
    with running_stack(along=False, settle=partial(settle, proof=False), poll_s=POLL_S) as found:
        provide(found.aws)
        attach(SimpleNamespace(include=found.config.include, admin=found.aws))
        yield found


def test_a_fortnight_is_exported_once_within_the_account_s_limit_though_all_is_killed_twice(stack) -> None:
    backfill = Backfill(stack.stack, stack.aws, DAYS)
    backfill.prepare()
    backfill.take_slots(OTHERS)
    backfill.create()
    backfill.wait(kills=2, within_s=600)

    runs = stack.api.runs(DAG_ID)
    assert {run.state for run in runs} == {"success"}, [(run.run_id, run.state) for run in runs]
    tasks = backfill.tasks()
    assert len(tasks) == DAYS * len(DATABASES)
    assert {task["Status"] for task in tasks} == {"COMPLETE"}
    assert repeated(tasks) == []
    spans = backfill.spans()
    assert len(spans) == len(tasks)
    assert most_at_once(spans) <= LIMIT - OTHERS

    read = TypeDeserializer().deserialize
    pages = stack.aws(SHARED, "dynamodb").get_paginator("scan").paginate(TableName=TABLE)
    items = [{key: read(value) for key, value in item.items()} for page in pages for item in page["Items"]]
    exported = [item for item in items if item["pk"].startswith("export#")]
    assert [item["status"] for item in exported] == ["exported"] * len(tasks)
    assert not [item for item in items if item["pk"].startswith("queue#")]
    glue = stack.aws(PRODUCTION, "glue")
    for name in DATABASES:
        partitions = glue.get_partitions(DatabaseName=name, TableName="shop_customers")["Partitions"]
        assert sorted(one["Values"][0] for one in partitions) == sorted(f"{day:%Y-%m-%d}" for day in backfill.days)
