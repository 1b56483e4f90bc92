"""Workflows on EKS, in a real Airflow: nodes, objects, files and tables afterwards, a second run, and what is refused."""

from __future__ import annotations

import gzip
import time

import pytest

from localcloud.seed.apps import EKS_CLUSTER, MEDIA_APP, MEDIA_REPLICAS, NAMESPACE, NODEGROUP
from tests.local.cloud.kube_helpers import Kube, pods_of, until
from tests.local.refresh.conftest import SHARED, STAGING, TARGET_KEY

pytestmark = [pytest.mark.local, pytest.mark.slow]
LIVE, CLAIM = "staging-shop", "aurora-ops-dumps"
TABLES = ["shop.feature_flags", "shop.api_endpoints"]


class Cluster:
    """The EKS cluster of staging and the stack's clients, as :class:`Kube` wants them."""

    def __init__(self, workflows) -> None:
        self.workflows, self.stack, self.config = workflows, workflows.stack, workflows.stack.cloud
        self.kube = Kube(self, EKS_CLUSTER)

    def admin(self, account: str, service: str):
        return self.stack.aws(account, service)

    def sizes(self) -> int:
        found = self.admin(STAGING, "eks").describe_nodegroup(clusterName=EKS_CLUSTER, nodegroupName=NODEGROUP)
        return int(found["nodegroup"]["scalingConfig"]["desiredSize"])

    def volume_of(self, claim: str) -> tuple[str, str]:
        """Phase of a claim, and where its volume points."""
        found = self.kube.core.read_namespaced_persistent_volume_claim(claim, NAMESPACE)
        return found.status.phase, self.kube.core.read_persistent_volume(found.spec.volume_name).spec.csi.volume_handle

    def app(self) -> tuple[int, int, dict[str, str]]:
        """Pods of the application on the claim that are wanted and ready, and what is noted on it."""
        found = self.kube.apps.read_namespaced_deployment(MEDIA_APP, NAMESPACE)
        return found.spec.replicas, found.status.ready_replicas or 0, found.metadata.annotations or {}

    def has_app(self, replicas: int) -> None:
        """Scale the application on the claim, as its owners do."""
        self.kube.apps.patch_namespaced_deployment(MEDIA_APP, NAMESPACE, {"spec": {"replicas": replicas}})
        until(lambda: len(pods_of(self.kube, MEDIA_APP, NAMESPACE)) == replicas)
        until(lambda: self.app() == (replicas, replicas, {}))

    def kept(self) -> dict[str, list]:
        """Rows of the tables."""
        return {name: self.workflows.estate.rows(STAGING, LIVE, f"SELECT * FROM {name} ORDER BY 1") for name in TABLES}


@pytest.fixture
def cluster(workflows):
    return Cluster(workflows)


@pytest.fixture
def files(cluster):
    """A file system with two directories; its root on this machine."""
    efs = cluster.admin(STAGING, "efs")
    found = efs.describe_file_systems(CreationToken="workflows")["FileSystems"]
    made = found[0]["FileSystemId"] if found else efs.create_file_system(CreationToken="workflows")["FileSystemId"]
    root = cluster.config.home / "efs" / made
    for name in ("first", "second"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return root


@pytest.fixture
def claim(workflows, files):
    """The claim for dumps, by the workflow."""
    workflows.run("eks_manage_storage", claim=CLAIM, file_system_id=files.name)
    return files


def scaled(cluster, desired: int) -> None:
    eks = cluster.admin(STAGING, "eks")
    eks.update_nodegroup_config(
        clusterName=EKS_CLUSTER, nodegroupName=NODEGROUP, scalingConfig={"desiredSize": desired}
    )
    waiter = eks.get_waiter("nodegroup_active")
    waiter.wait(clusterName=EKS_CLUSTER, nodegroupName=NODEGROUP, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


@pytest.fixture
def unused(cluster):
    """The claim ``media`` without pods on it, and at the end as before."""
    before = cluster.volume_of("media")[1]
    cluster.has_app(0)
    yield
    if cluster.kube.apps.read_namespaced_deployment(MEDIA_APP, NAMESPACE).spec.replicas == 0:
        file_system, _, path = before.partition(":")
        cluster.workflows.run("eks_manage_storage", claim="media", file_system_id=file_system, path=path or "/")
        cluster.has_app(MEDIA_REPLICAS)


def test_manage_storage_under_an_application(workflows, cluster, files) -> None:
    cluster.has_app(MEDIA_REPLICAS)
    began = time.time()
    before = cluster.volume_of("media")[1]
    assert f"used by ['{MEDIA_APP}-" in workflows.fails(
        "eks_manage_storage", claim="media", file_system_id=files.name, path="/first"
    )
    assert cluster.volume_of("media")[1] == before
    assert "PatchDeployment" not in workflows.mutations(began)
    for path in ("/first", "/second"):
        run = workflows.run(
            "eks_manage_storage", claim="media", file_system_id=files.name, path=path, scale_workloads=True
        )
        assert cluster.volume_of("media") == ("Bound", f"{files.name}:{path}")
        assert workflows.result(run, "start_workloads")["started"] == {f"Deployment/{MEDIA_APP}": MEDIA_REPLICAS}
        assert cluster.app() == (MEDIA_REPLICAS, MEDIA_REPLICAS, {})
    workflows.estate.fail(
        service="kubernetes", action="DeletePersistentVolumeClaim", code="Forbidden", status=403, times=0
    )
    said = workflows.fails(
        "eks_manage_storage", claim="media", file_system_id=files.name, path="/first", scale_workloads=True
    )
    assert "lacks this right" in said
    assert cluster.volume_of("media") == ("Bound", f"{files.name}:/second")
    assert cluster.app() == (MEDIA_REPLICAS, MEDIA_REPLICAS, {}), "whatever became of the claim"


def test_manage_storage(workflows, cluster, files, unused) -> None:
    run = workflows.run("eks_manage_storage", claim="media", file_system_id=files.name, path="/first")
    assert cluster.volume_of("media") == ("Bound", f"{files.name}:/first")
    assert workflows.record(run)["outcome"] == "succeeded"
    began = time.time()
    workflows.run("eks_manage_storage", claim="media", file_system_id=files.name, path="/first")
    assert workflows.mutations(began) == []
    workflows.run("eks_manage_storage", claim="media", file_system_id=files.name, path="/second")
    assert cluster.volume_of("media") == ("Bound", f"{files.name}:/second")
    workflows.run("eks_manage_storage", claim="media", action="delete", confirm="media")
    names = [found.metadata.name for found in cluster.kube.core.list_persistent_volume().items]
    assert not [name for name in names if name.startswith("media")]
    began = time.time()
    workflows.run("eks_manage_storage", claim="media", action="delete", confirm="media")
    assert workflows.mutations(began) == []


def test_manage_storage_refuses(workflows) -> None:
    workflows.refuses("eks_manage_storage", [
        ({"claim": "others", "file_system_id": "fs-01234567"}, ["claim", "eks.claims"]),
        ({"claim": "media"}, ["file_system_id"]),
        ({"claim": "media", "file_system_id": "fs-01234567", "path": "/a/../b"}, ["path", ".."]),
        ({"claim": "media", "file_system_id": "not-one"}, ["file_system_id", "not-one"]),
        ({"claim": "media", "action": "delete", "confirm": "medium"}, ["confirm", "media"]),
        ({"claim": "media", "action": "delete", "confirm": "media", "scale_workloads": True}, ["scale_workloads"]),
        ({"claims": "media"}, ["claim"]),
        ({"claim": "media", "file_system_id": "fs-01234567", "namespace": "kube-system"}, ["namespace"]),
    ])  # fmt: skip


def test_scale_nodegroup(workflows, cluster) -> None:
    scaled(cluster, 0)
    run = workflows.run("eks_scale_nodegroup_asg", nodes=2)
    assert workflows.result(run, "scale_nodegroup")["former"]["desiredSize"] == 0
    nodes = cluster.kube.core.list_node(label_selector=f"eks.amazonaws.com/nodegroup={NODEGROUP}").items
    assert [node.status.conditions[0].status for node in nodes] == ["True", "True"]
    began = time.time()
    workflows.run("eks_scale_nodegroup_asg", nodes=2)
    assert "UpdateNodegroupConfig" not in workflows.mutations(began)
    workflows.run("eks_scale_nodegroup_asg", action="restore")
    assert cluster.sizes() == 0
    scaled(cluster, 1)


def test_scale_nodegroup_refuses(workflows) -> None:
    workflows.refuses("eks_scale_nodegroup_asg", [
        ({"nodegroup": "others"}, ["nodegroup", "eks.nodegroups"]),
        ({"nodes": -1}, ["nodes"]),
        ({"action": "remove"}, ["action", "remove"]),
        ({"node": 1}, ["node", "known run parameters"]),
    ])  # fmt: skip


def test_scale_nodegroup_beyond_its_bounds_changes_nothing(workflows) -> None:
    began = time.time()
    assert "outside the bounds" in workflows.fails("eks_scale_nodegroup_asg", nodes=50)
    assert workflows.mutations(began) == []


def test_dump_and_import(workflows, cluster, claim) -> None:
    """From no node to no node; what was dumped comes back byte for byte."""
    scaled(cluster, 0)
    before = cluster.kept()
    run = workflows.run("db_run_mysqldump_on_eks", cluster=LIVE, tables=TABLES)
    assert cluster.sizes() == 0, "the former size is restored"
    assert not cluster.kube.core.list_namespaced_secret(NAMESPACE).items
    folder = claim / "aurora-ops" / "dumps" / "kept" / "current"
    assert b"CREATE TABLE `feature_flags`" in gzip.decompress((folder / "shop.sql.gz").read_bytes())
    assert "dumped shop" in workflows.stack.log(run, "eks.run_job")
    assert workflows.record(run)["outcome"] == "succeeded"
    assert workflows.estate.items() is not None
    dynamodb = workflows.stack.aws(SHARED, "dynamodb")
    key = {"pk": {"S": TARGET_KEY}, "sk": {"S": "lock"}}
    assert "Item" not in dynamodb.get_item(TableName="aurora-ops-runs", Key=key)

    with workflows.estate.connect(STAGING, LIVE) as database, database.cursor() as sql:
        for name in TABLES:
            sql.execute(f"DELETE FROM {name}")
        database.commit()
    assert cluster.kept() != before
    for _ in range(2):
        workflows.run("db_run_mysqlimport_on_eks", cluster=LIVE, databases=["shop"])
        assert cluster.kept() == before
    assert cluster.sizes() == 0
    scaled(cluster, 1)


def test_a_job_that_fails_leaves_nothing_but_its_log(workflows, cluster, claim) -> None:
    scaled(cluster, 0)
    said = workflows.fails("db_run_mysqldump_on_eks", cluster=LIVE, tables=["shop.none"], dump="broken")
    assert "failed: BackoffLimitExceeded" in said
    assert cluster.sizes() == 0
    assert not cluster.kube.core.list_namespaced_secret(NAMESPACE).items
    scaled(cluster, 1)


def test_jobs_refuse(workflows) -> None:
    workflows.refuses_each([
        ("db_run_mysqldump_on_eks", {"cluster": "other-shop", "tables": TABLES}, ["cluster", "allowed_clusters"]),
        ("db_run_mysqldump_on_eks", {"cluster": LIVE, "tables": ["shop.a; rm -rf /"]}, ["tables"]),
        ("db_run_mysqldump_on_eks", {"cluster": LIVE, "tables": []}, ["tables"]),
        ("db_run_mysqldump_on_eks", {"cluster": LIVE, "tables": TABLES, "dump": "../up"}, ["dump", "../up"]),
        ("db_run_mysqldump_on_eks", {"cluster": LIVE}, ["tables"]),
        ("db_run_mysqlimport_on_eks", {"cluster": "other-shop", "databases": ["shop"]}, ["cluster", "other-shop"]),
        ("db_run_mysqlimport_on_eks", {"cluster": LIVE, "databases": ["a b"]}, ["databases"]),
        ("db_run_mysqlimport_on_eks", {"cluster": LIVE}, ["databases"]),
        ("utils_run_archive_job", {"cluster": "other-shop"}, ["cluster", "allowed_clusters"]),
        ("utils_run_archive_job", {}, ["cluster"]),
        ("utils_run_archive_job", {"cluster": LIVE, "command": ["sh"]}, ["command", "known run parameters"]),
    ])  # fmt: skip


def test_archive(workflows, cluster, claim) -> None:
    for _ in range(2):
        workflows.run("utils_run_archive_job", cluster=LIVE)
    archives = sorted(
        (claim / "aurora-ops" / "dumps" / "archive" / "archives" / "staging" / LIVE).glob("*/databases.sql.gz")
    )
    assert len(archives) == 2
    assert b"CREATE TABLE `feature_flags`" in gzip.decompress(archives[0].read_bytes())
