"""The refresh with files and jobs: production's files under a new directory, tables kept by jobs, nodes as before, in one run."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
import yaml

from localcloud.client import admin_operation
from localcloud.names import STAGING
from localcloud.seed.apps import EKS_CLUSTER, NAMESPACE, NODEGROUP
from localcloud.seed.files import production_files
from tests.local.cloud.kube_helpers import Kube, job, pod_of, until
from tests.local.refresh.conftest import DAG_ID

pytestmark = pytest.mark.local
ID, SUBPATH = "/staging/shop/files/id", "/staging/shop/files/subpath"
TOLERATION = {"key": "workload", "operator": "Equal", "value": "jobs", "effect": "NoSchedule"}


class Along:
    """What a refresh takes along, as it is now."""

    def __init__(self, workflows) -> None:
        self.workflows, self.estate = workflows, workflows.estate
        self.stack, self.config = workflows.stack, workflows.stack.cloud
        self.kube = Kube(self, EKS_CLUSTER)

    def admin(self, account, service):
        return self.stack.aws(account, service)

    def parameters(self) -> tuple[str, str]:
        found = self.admin(STAGING, "ssm").get_parameters(Names=[ID, SUBPATH])["Parameters"]
        values = {one["Name"]: one["Value"] for one in found}
        return values[ID], values[SUBPATH]

    def shown(self) -> str:
        """Where the claim of the applications points."""
        claim = self.kube.core.read_namespaced_persistent_volume_claim("media", NAMESPACE)
        assert claim.status.phase == "Bound"
        return self.kube.core.read_persistent_volume(claim.spec.volume_name).spec.csi.volume_handle

    def file_systems(self) -> set[str]:
        found = self.admin(STAGING, "efs").describe_file_systems()["FileSystems"]
        return {one["FileSystemId"] for one in found if one["LifeCycleState"] != "deleted"}

    def tags(self, name) -> dict[str, str]:
        [found] = self.admin(STAGING, "efs").describe_file_systems(FileSystemId=name)["FileSystems"]
        return {tag["Key"]: tag["Value"] for tag in found["Tags"]}

    def files(self, name, subpath) -> dict[str, bytes]:
        root = admin_operation("efs-directory", self.config, file_system=name)["directory"]
        return {
            path: file.read_bytes()
            for path in production_files()
            if (file := Path(root, subpath.strip("/"), path)).is_file()
        }

    def nodes(self) -> int:
        found = self.admin(STAGING, "eks").describe_nodegroup(clusterName=EKS_CLUSTER, nodegroupName=NODEGROUP)
        assert not {tag for tag in found["nodegroup"]["tags"] if tag.startswith("aurora-ops:")}
        return int(found["nodegroup"]["scalingConfig"]["desiredSize"])

    def scale(self, desired: int) -> None:
        eks = self.admin(STAGING, "eks")
        scaling = {"desiredSize": desired}
        eks.update_nodegroup_config(clusterName=EKS_CLUSTER, nodegroupName=NODEGROUP, scalingConfig=scaling)
        waiter = eks.get_waiter("nodegroup_active")
        waiter.wait(clusterName=EKS_CLUSTER, nodegroupName=NODEGROUP, WaiterConfig={"Delay": 1, "MaxAttempts": 30})

    def left(self) -> list[str]:
        """What only a run under way has: secrets of jobs, functions, access points that look into files."""
        found = [secret.metadata.name for secret in self.kube.core.list_namespaced_secret(NAMESPACE).items]
        found += [one["FunctionName"] for one in self.admin(STAGING, "lambda").list_functions()["Functions"]]
        points = self.admin(STAGING, "efs").describe_access_points()["AccessPoints"]
        return found + [one["Name"] for one in points if (one.get("Name") or "").startswith("aurora-ops-efs-")]


@pytest.fixture
def along(workflows):
    """The estate of a refresh, with no node for jobs."""
    found = Along(workflows)
    found.scale(0)
    yield found
    found.scale(1)


def test_files_and_kept_tables_go_with_the_database(along, workflows) -> None:
    (former, _), kept = along.parameters(), along.estate.kept()
    cluster = along.estate.cluster(STAGING, "staging-shop")
    run = workflows.stack.wait(workflows.stack.trigger(DAG_ID))
    assert run.state == "success", (workflows.stack.states(run), workflows.stack.api.all_xcoms(run))

    assert along.estate.cluster(STAGING, "staging-shop")["DbClusterResourceId"] != cluster["DbClusterResourceId"]
    name, subpath = along.parameters()
    assert name != former
    assert subpath.startswith("/aws-backup-restore_")
    assert along.files(name, subpath) == production_files()
    assert along.shown() == f"{name}:{subpath}"
    assert former not in along.file_systems(), "by policy it is deleted, once nothing shows it"
    tags = along.tags(name)
    assert "aurora-ops:expires" not in tags
    assert (tags["Name"], tags["refresh"], tags["aurora-ops:replaces"]) == ("staging-media", "true", former)

    assert all(kept.values())
    assert along.estate.kept() == kept
    said = workflows.stack.log(run, "mask.load_kept.eks.run_job")
    assert "loaded shop, and read the same rows again" in said
    assert along.nodes() == 0
    assert along.left() == []
    record = along.estate.record(run)
    assert (record["outcome"], record["serving"], record["warnings"]) == ("succeeded", "new cluster", [])
    objects = along.admin(STAGING, "s3").list_objects_v2(Bucket="aurora-ops-222222222222", Prefix="aurora-ops/")
    assert objects["KeyCount"] == 0


def test_a_run_that_fails_leaves_files_claims_and_nodes_as_they_were(along, workflows) -> None:
    before = along.parameters(), along.shown(), along.file_systems(), along.estate.kept()
    along.estate.fail(
        service="rds",
        action="ModifyDBCluster",
        match='"NewDBClusterIdentifier": "staging-shop"',
        code="InvalidParameterCombination",
        message="a planted refusal",
    )
    run = workflows.stack.wait(workflows.stack.trigger(DAG_ID))
    states = workflows.stack.states(run)
    assert (run.state, states["switch.rename_restored"]) == ("failed", "failed"), states
    assert states["files.proof.verify_files"] == "success"
    assert (along.parameters(), along.shown(), along.file_systems(), along.estate.kept()) == before
    assert along.nodes() == 0
    assert along.left() == []
    assert along.estate.record(run)["serving"].startswith("old cluster")


def test_tables_that_are_not_kept_need_no_job(along, workflows) -> None:
    began = time.time()
    plan = workflows.stack.wait(workflows.stack.trigger(DAG_ID, {"dry_run": True, "keep_tables": []}))
    assert plan.state == "success"
    assert along.estate.mutations(began) == []
    [text] = [
        value for name, key, value in workflows.stack.api.all_xcoms(plan) if (name, key) == ("prepare.check", "plan")
    ]
    assert "by jobs on EKS" not in text
    assert "claim `media` is made anew" in text


def changed(stack, **changes):
    """Lay settings over the environment's file, as its owner would."""
    file = stack.config.include / "config" / "staging.yaml"
    text = file.read_text()
    content = yaml.safe_load(text)
    for name, value in changes.items():
        section, key = name.split("__")
        content[section][key] = value
    file.write_text(yaml.safe_dump(content))
    return file, text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"files__vault": "nowhere", "files__source_file_system": "other-media", "eks__claim": "nothing"},
            ["nowhere", "other-media", "no claim nothing"],
        ),
        ({"files__recovery_point_max_age_h": 0.00001, "eks__cluster": "elsewhere"}, ["younger than", "elsewhere"]),
        ({"files__name": "prod-media"}, ["safety.allowed_file_systems"]),
    ],
    ids=["not there", "too old", "not allowed"],
)
def test_what_is_wrong_is_said_before_anything_is_changed(along, workflows, changes, said) -> None:
    file, text = changed(workflows.stack, **changes)
    began = time.time()
    try:
        run = workflows.stack.wait(workflows.stack.trigger(DAG_ID))
    finally:
        file.write_text(text)
    states = workflows.stack.states(run)
    assert states["prepare.check"] == "failed"
    errors = "\n".join(value for name, key, value in workflows.stack.api.all_xcoms(run) if key == "error")
    assert [text for text in said if text not in errors] == [], errors
    assert along.estate.mutations(began) == []


def test_a_claim_under_running_pods_is_refused(along, workflows) -> None:
    along.scale(1)
    volumes = [{"name": "m", "persistentVolumeClaim": {"claimName": "media"}}]
    pod = {"volumes": volumes, "tolerations": [TOLERATION]}
    along.kube.batch.create_namespaced_job(NAMESPACE, job("user", "sleep", "120", pod=pod))
    user = pod_of(along.kube, "user").metadata.name
    began = time.time()
    try:
        run = workflows.stack.wait(workflows.stack.trigger(DAG_ID))
        errors = [value for name, key, value in workflows.stack.api.all_xcoms(run) if key == "error"]
        assert f"used by ['{user}']" in "\n".join(errors)
        assert along.estate.mutations(began) == []
    finally:
        along.kube.batch.delete_namespaced_job("user", NAMESPACE, propagation_policy="Background")
        until(lambda: not along.kube.core.list_namespaced_pod(NAMESPACE, label_selector="job-name=user").items)


def test_the_dump_is_there_for_whoever_needs_it(along) -> None:
    [tools] = [
        one["FileSystemId"]
        for one in along.admin(STAGING, "efs").describe_file_systems()["FileSystems"]
        if one.get("Name") == "staging-tools"
    ]
    root = admin_operation("efs-directory", along.config, file_system=tools)["directory"]
    folder = Path(root) / "aurora-ops" / "dumps" / "refresh-staging" / "current"
    assert b"INSERT INTO `feature_flags`" in gzip.decompress((folder / "shop.sql.gz").read_bytes())
