"""What every other local test relies on: the fixture ``stack``."""

from __future__ import annotations

import json

import pytest

from devstack.settings import PRODUCTION, SHARED

pytestmark = pytest.mark.local


def test_every_dag_and_plugin_imports(stack):
    stack.api.wait_for_dag("refresh_staging")
    assert stack.api.import_errors() == {}
    assert stack.api.plugin_errors() == {}


def test_accounts_are_seeded(stack):
    clusters = stack.aws(PRODUCTION, "rds").describe_db_clusters()["DBClusters"]
    assert [(cluster["DBClusterIdentifier"], cluster["Status"]) for cluster in clusters] == [("prod-shop", "available")]


def test_calls_since_a_moment_are_shown(stack, since):
    stack.aws(SHARED, "sts").get_caller_identity()
    seen = stack.calls(since=since)
    assert [call["action"] for call in seen] == ["GetCallerIdentity"]
    assert stack.calls(mutating=True, since=since) == []


@pytest.mark.slow
def test_reset_puts_the_accounts_back(stack):
    sqs = stack.aws(SHARED, "sqs")
    sqs.create_queue(QueueName="left-by-a-test")
    stack.reset_data()
    queues = stack.aws(SHARED, "sqs").list_queues()["QueueUrls"]
    assert [url.rpartition("/")[2] for url in queues] == ["aurora-ops-inbox"]


def test_ports_and_folders_are_not_the_demos(stack):
    assert stack.config.airflow_port != 8080
    assert stack.config.home.parts[-3:-1] == (".local", "test")
    ready = json.loads((stack.config.pids / "ready.json").read_text())
    assert ready["airflow"] == stack.config.airflow_url
