"""The refresh with files and jobs: production's files under a new directory, tables kept by jobs, nodes as before, in one run."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import pytest
import yaml

from localcloud.client import admin_operation
from localcloud.names import STAGING
from localcloud.seed.apps import MEDIA_APP, MEDIA_REPLICAS, NAMESPACE
from localcloud.seed.files import production_files
from tests.local.along.estate import AS_BEFORE, SERVES_ALL
from tests.local.cloud.kube_helpers import job, pod_of, until
from tests.local.refresh.conftest import DAG_ID

pytestmark = pytest.mark.local
TOLERATION = {"key": "workload", "operator": "Equal", "value": "jobs", "effect": "NoSchedule"}


def test_files_and_kept_tables_go_with_the_database(along, workflows) -> None:
    (former, _), kept, pods = along.parameters(), along.estate.kept(), along.pods()
    assert along.serving() != SERVES_ALL
    cluster = along.estate.cluster(STAGING, "staging-shop")
    run = workflows.stack.wait(workflows.stack.trigger(DAG_ID))
    assert run.state == "success", (workflows.stack.states(run), workflows.stack.api.all_xcoms(run))

    assert along.estate.cluster(STAGING, "staging-shop")["DbClusterResourceId"] != cluster["DbClusterResourceId"]
    name, subpath = along.parameters()
    assert name != former
    assert subpath.startswith("/aws-backup-restore_")
    assert along.files(name, subpath) == production_files()
    assert along.shown() == f"{name}:{subpath}"
    assert along.app() == AS_BEFORE
    assert not along.pods() & pods, "they could not have gone on"
    until(lambda: along.serving() == SERVES_ALL)
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


@pytest.mark.slow
def test_a_run_that_fails_leaves_files_claims_and_nodes_as_they_were(along, workflows) -> None:
    before = along.parameters(), along.shown(), along.file_systems(), along.estate.kept(), along.pods()
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
    after = along.parameters(), along.shown(), along.file_systems(), along.estate.kept(), along.pods()
    assert after == before
    assert along.nodes() == 0
    assert along.left() == []
    assert along.estate.record(run)["serving"].startswith("old cluster")


@pytest.mark.slow
def test_a_claim_that_cannot_be_made_anew_goes_back_and_so_does_what_uses_it(along, workflows) -> None:
    """The claim is gone and cannot be made, once: scaled to 0 already, the application comes back on the former files."""
    (former, _), shown = along.parameters(), along.shown()
    along.estate.fail(service="kubernetes", action="CreatePersistentVolumeClaim", code="Forbidden", status=403)
    run = workflows.stack.wait(workflows.stack.trigger(DAG_ID))
    states = workflows.stack.states(run)
    got = {name: states[f"publish.{name}"] for name in (
        "stop_workloads", "show_in_media", "undo_show_in_media", "start_workloads", "claims_settled",
    )}  # fmt: skip
    assert (run.state, list(got.values())) == (
        "failed", ["success", "failed", "success", "success", "upstream_failed"],
    ), states  # fmt: skip
    assert (along.shown(), along.app()) == (shown, AS_BEFORE)
    assert former in along.file_systems(), "the application uses it"
    record = along.estate.record(run)
    assert (record["outcome"], record["failed_step"]) == ("failed", "publish.show_in_media")
    assert record["serving"] == "new cluster"
    assert "lacks this right" in record["cause"]

    run = workflows.stack.wait(workflows.stack.trigger(DAG_ID))
    assert run.state == "success", workflows.stack.states(run)
    name, subpath = along.parameters()
    assert name != former
    assert (along.shown(), along.app()) == (f"{name}:{subpath}", AS_BEFORE)


@pytest.mark.slow
def test_a_count_survives_a_worker_that_dies_while_pods_end(along, workflows) -> None:
    """As if: the worker's answer is lost right after the application was scaled to 0."""
    along.estate.fail(service="kubernetes", action="PatchDeployment", effect="lost", times=2)
    run = workflows.stack.wait(workflows.stack.trigger(DAG_ID))
    assert run.state == "success", workflows.stack.states(run)
    assert along.app() == AS_BEFORE
    until(lambda: along.serving() == SERVES_ALL)


@pytest.mark.slow
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
    assert f"`Deployment/{MEDIA_APP}` is scaled to 0, from {MEDIA_REPLICAS} pods" in text
    assert f"`Deployment/{MEDIA_APP}` is scaled back to {MEDIA_REPLICAS}" in text


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
        ({"eks__workloads": []}, ["eks.workloads []", "media-web"]),
        (
            {"eks__workloads": ["Deployment/media-web", "StatefulSet/none"]},
            ["no StatefulSet/none in namespace staging"],
        ),
    ],
    ids=["not there", "too old", "not allowed", "pods of nobody", "no such workload"],
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


def test_a_claim_under_pods_of_others_is_refused(along, workflows) -> None:
    along.scale(1)
    volumes = [{"name": "m", "persistentVolumeClaim": {"claimName": "media"}}]
    pod = {"volumes": volumes, "tolerations": [TOLERATION]}
    along.kube.batch.create_namespaced_job(NAMESPACE, job("user", "sleep", "120", pod=pod))
    user = pod_of(along.kube, "user").metadata.name
    began = time.time()
    try:
        run = workflows.stack.wait(workflows.stack.trigger(DAG_ID))
        errors = [value for name, key, value in workflows.stack.api.all_xcoms(run) if key == "error"]
        assert f"['media by {user} (Job/user)']" in "\n".join(errors)
        assert along.app() == AS_BEFORE
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
