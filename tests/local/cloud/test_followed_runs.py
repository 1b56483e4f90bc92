"""Runs that are followed, under real Airflow without its services: what state, trail and record say of them afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aurora_ops import audit
from aurora_ops.core import trail as trails
from aurora_ops.hooks.operations import OperationsHook
from aurora_ops.hooks.trail import TrailHook

from devstack.settings import REPO
from localcloud.client import admin_operation
from localcloud.names import STAGING
from localcloud.seed.accounts import AUDIT_TABLE, RUNS_TABLE, _shared
from tests.local.cloud.conftest import LocalCloud
from tests.local.cloud.eks_operators import connect
from tests.local.cloud.rds_helpers import watch
from tests.local.dag_process import DagProcess
from tests.local.iam.lab import airflow_environment

pytestmark = [pytest.mark.local, pytest.mark.slow]

AT = {"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1"}
CLUSTER = "staging-shop"
DENIED = {"effect": "error", "code": "AccessDeniedException"}
FOLLOWED = ("db/db_create_manual_snapshot.py", "utils/utils_tag_resources.py")


class Runs(DagProcess):
    """One process that runs workflows of this repository, made to be followed."""

    def __init__(self, cloud: LocalCloud, home: Path) -> None:
        dags = home / "dags"
        dags.mkdir()
        for file in FOLLOWED:
            text = (REPO / "dags" / file).read_text()
            assert "@workflow(__doc__)" in text
            (dags / Path(file).name).write_text(text.replace("@workflow(__doc__)", "@workflow(__doc__, audits=True)"))
        env = airflow_environment(cloud.config, home, REPO / "include") | {"AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
        super().__init__(env, home / "driver.log")

    def follow(self, dag_id: str, **conf: Any) -> dict[str, Any]:
        """Run a workflow of staging to its end."""
        return self.run(dag_id, {"environment": "staging", **conf})


@pytest.fixture(scope="module")
def runs(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """A cluster with one instance, tables, buckets, and the process."""
    _shared(cloud.config, lambda _: None)
    rds = cloud.admin(STAGING, "rds")
    rds.create_db_cluster(
        DBClusterIdentifier=CLUSTER,
        Engine="aurora-mysql",
        MasterUsername="admin",
        ManageMasterUserPassword=True,
        Tags=[{"Key": "refresh", "Value": "true"}],
    )
    watch(lambda: rds.describe_db_clusters(DBClusterIdentifier=CLUSTER)["DBClusters"][0]["Status"], "available")
    rds.create_db_instance(
        DBInstanceIdentifier=f"{CLUSTER}-1",
        DBClusterIdentifier=CLUSTER,
        Engine="aurora-mysql",
        DBInstanceClass="db.t4g.medium",
    )
    instance = {"DBInstanceIdentifier": f"{CLUSTER}-1"}
    watch(lambda: rds.describe_db_instances(**instance)["DBInstances"][0]["DBInstanceStatus"], "available")
    found = Runs(cloud, tmp_path_factory.mktemp("followed"))
    try:
        yield found
    finally:
        found.close()
        rds.delete_db_instance(**instance)
        rds.delete_db_cluster(DBClusterIdentifier=CLUSTER, SkipFinalSnapshot=True)


@pytest.fixture(autouse=True)
def connected(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    connect(monkeypatch, cloud)
    admin_operation("faults-clear", cloud.config)
    yield
    admin_operation("faults-clear", cloud.config)


def left(name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """State and trail of an operation."""
    return (
        OperationsHook(**AT).find_state(RUNS_TABLE, name) or {},
        TrailHook(**AT).list_events(AUDIT_TABLE, name),
    )


def tag(runs: Runs, value: str) -> dict[str, Any]:
    arn = f"arn:aws:rds:eu-west-1:{STAGING}:cluster:{CLUSTER}"
    return runs.follow("utils_tag_resources", resource_arns=[arn], tags={"cost-centre": value})


def test_a_run_with_a_wait(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    run = runs.follow("db_create_manual_snapshot", account="target")
    assert run["state"] == "success", {task: found["error"] for task, found in run["tasks"].items()}
    name = f"db_create_manual_snapshot/{run['run_id']}"
    state, events = left(name)
    assert {step: found["status"] for step, found in state["steps"].items()} == {
        task: "succeeded" for task in run["tasks"] if task != "record"
    }
    assert state["outcome"] == "succeeded"
    assert state["expires_at"]
    first, before, after, last = events
    assert (first["kind"], last["kind"], last["outcome"]) == ("begun", "finished", "succeeded")
    assert json.loads(first["conf"])["account"] == "target"
    assert before["what"].startswith("rds:CreateDBClusterSnapshot")
    assert before["caller"].startswith(f"arn:aws:sts::{STAGING}:assumed-role/aurora-ops-destination/")
    assert (after["of"], after["outcome"]) == (2, "done")
    assert after["made"]["DBClusterSnapshotArn"]
    table = ["--conn-id", "aws_orchestrator", "--region", "eu-west-1"]
    assert audit.main([name, *table]) == 0
    assert audit.main([f"s3://{state['trail']['bucket']}/{state['trail']['key']}", *table]) == 0
    assert capsys.readouterr().out.count("whole: 4 events") == 2


def test_a_run_that_is_refused_leaves_nothing(runs: Runs) -> None:
    run = runs.follow("utils_tag_resources", resource_arns=["arn:aws:rds:eu-west-1:1:x"], tags={"a": "b"})
    assert run["state"] == "failed"
    assert left(f"utils_tag_resources/{run['run_id']}") == ({}, [])


def test_no_trail_no_change(runs: Runs, cloud: LocalCloud) -> None:
    """The table of trails refuses from the second event on: the first is the check's."""
    before = cloud.now()
    admin_operation("faults-add", cloud.config, **DENIED, service="dynamodb", action="PutItem", after=1, times=0)
    run = tag(runs, "1")
    assert run["state"] == "failed"
    assert "dynamodb:put_item" in str(run["tasks"]["tag_resources"]["error"])
    changed = [call["action"] for call in cloud.calls(before, mutating=True) if call["account"] == STAGING]
    assert changed == []


def test_a_change_that_aws_refuses(runs: Runs, cloud: LocalCloud) -> None:
    admin_operation("faults-add", cloud.config, **DENIED, service="resourcegroupstaggingapi", action="TagResources")
    run = tag(runs, "2")
    state, events = left(f"utils_tag_resources/{run['run_id']}")
    assert (run["state"], state["outcome"], state["failed_step"]) == ("failed", "failed", "tag_resources")
    assert state["steps"]["tag_resources"]["status"] == "failed"
    assert events[2]["outcome"] == "refused"
    assert events[2]["error"] == "AccessDeniedException"
    assert trails.verify(events).broken is None


def test_a_state_that_cannot_be_written_is_a_warning(runs: Runs, cloud: LocalCloud) -> None:
    admin_operation("faults-add", cloud.config, **DENIED, service="dynamodb", action="UpdateItem", after=1, times=2)
    run = tag(runs, "3")
    assert run["state"] == "success", {task: found["error"] for task, found in run["tasks"].items()}
    state, events = left(f"utils_tag_resources/{run['run_id']}")
    assert state["steps"]["tag_resources"]["status"] == "succeeded"
    assert events[-1]["kind"] == trails.FINISHED
    records = OperationsHook(**AT).list_records(RUNS_TABLE, "workflow#utils_tag_resources", most=20)
    [record] = [record for record in records if record["run"] == f"utils_tag_resources/{run['run_id']}"]
    assert record["warnings"] == ["tag_resources: its state was not written while it ran, see its log"]
    assert record["trail"]["head"] == events[-1]["hash"]
