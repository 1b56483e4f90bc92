"""Links that tasks show: made of what the task knows, nothing where it does not know."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from aurora_ops.links import console
from aurora_ops.operators.clusters import AttachRoleOperator
from aurora_ops.operators.credentials import ManageMasterSecretOperator
from aurora_ops.operators.snapshots import DeleteSnapshotOperator

REGION = "eu-west-1"
SECRET = "arn:aws:secretsmanager:eu-west-1:1:secret:rds!cluster-1-AbCdEf"


@pytest.mark.parametrize(
    ("link", "known", "expected"),
    [
        (console.ClusterLink(), {"cluster_id": "app"}, "#database:id=app;is-cluster=true"),
        (console.SnapshotLink(), {"snapshot_id": "s"}, "#db-snapshot:engine=aurora-mysql;id=s"),
        (console.SecretLink(), {"secret_arn": SECRET}, "secret?name=rds%21cluster-1&region=eu-west-1"),
        (console.ReportLink(), {"links": {"Report": "https://x/report"}}, "https://x/report"),
        (console.RecordLink(), {"links": {"Record": "https://x/record"}}, "https://x/record"),
    ],
)
def test_link(link, known, expected) -> None:
    assert link.get_link(SimpleNamespace(region_name=REGION, **known), ti_key=None).endswith(expected)
    assert link.get_link(SimpleNamespace(), ti_key=None) == ""


@pytest.mark.parametrize("unknown", [None, "", object()])
def test_no_link_where_the_task_does_not_know(unknown) -> None:
    """An upstream task that failed leaves a parameter unrendered."""
    for link, name in ((console.ClusterLink(), "cluster_id"), (console.SnapshotLink(), "snapshot_id")):
        assert link.get_link(SimpleNamespace(region_name=REGION, **{name: unknown}), ti_key=None) == ""
        assert link.get_link(SimpleNamespace(region_name=unknown, **{name: "x"}), ti_key=None) == ""


def test_names_and_keys_are_unique() -> None:
    assert len({link.name for link in console.ALL}) == len({link.xcom_key for link in console.ALL}) == len(console.ALL)


def test_airflow_knows_the_links_of_tasks() -> None:
    """By name and XCom key only: the API server reads the address that the task left."""
    at = {"aws_conn_id": "a", "region_name": REGION}
    with DAG("d", schedule=None) as dag:
        AttachRoleOperator(task_id="cluster", cluster_id="c", role_arn="r", **at)
        DeleteSnapshotOperator(task_id="snapshot", snapshot_id="s", **at)
        ManageMasterSecretOperator(task_id="secret", cluster_id="c", **at)
    seen = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    links = {task.task_id: {link.name: link.xcom_key for link in task.operator_extra_links} for task in seen.tasks}
    assert links == {
        "cluster": {"RDS cluster": "_link_ClusterLink"},
        "snapshot": {"RDS snapshot": "_link_SnapshotLink"},
        "secret": {"RDS cluster": "_link_ClusterLink", "Master secret": "_link_SecretLink"},
    }
