"""Jobs really run: where a pod is placed, what it is given, how it ends, and what is left of it."""

from __future__ import annotations

import base64

import pytest

from tests.local.cloud.kube_helpers import (
    STAGING,
    Kube,
    ended,
    job,
    make_cluster,
    make_nodegroup,
    output,
    pod_of,
    until,
)
from tests.local.cloud.rds_helpers import watch
from tests.local.cloud.test_kube import claim, phase, volume

pytestmark = [pytest.mark.local, pytest.mark.slow]
NAME = "jobs"


@pytest.fixture(scope="module")
def kube(cloud) -> Kube:
    """A cluster with one node that everybody may use."""
    make_cluster(cloud, NAME, nodegroup={"name": "plain", "desired": 1})
    kube = Kube(cloud, NAME)
    kube.core.create_namespace({"metadata": {"name": "staging"}})
    return kube


@pytest.fixture(scope="module")
def files(cloud, kube):
    """A file system with a directory ``restored`` in it, claimed as ``media``; its root on this machine."""
    efs = cloud.admin(STAGING, "efs")
    file_system = efs.create_file_system(CreationToken="jobs")["FileSystemId"]
    root = cloud.config.home / "efs" / file_system
    (root / "restored").mkdir(parents=True, exist_ok=True)
    kube.core.create_persistent_volume(volume("media", f"{file_system}:/restored"))
    kube.core.create_namespaced_persistent_volume_claim("staging", claim("media", "media"))
    until(lambda: phase(kube, "media") == "Bound")
    return root


def run(kube: Kube, name: str, *command: str, **spec) -> dict[str, str]:
    kube.batch.create_namespaced_job("staging", job(name, *command, **spec))
    return ended(kube, name)


def test_a_command_runs_and_its_output_is_the_log(kube) -> None:
    assert run(kube, "hello", "sh", "-c", "echo one; echo two >&2")["type"] == "Complete"
    assert output(kube, "hello") == "one\ntwo\n"
    assert output(kube, "hello", tail_lines=1) == "two\n"
    stamp, text = output(kube, "hello", timestamps=True, tail_lines=1).split()
    assert stamp.endswith("Z")
    assert text == "two"
    assert pod_of(kube, "hello").status.container_statuses[0].state.terminated.exit_code == 0


def test_a_failing_command_fails_its_job_after_its_retries(kube) -> None:
    assert run(kube, "once", "sh", "-c", "exit 3")["reason"] == "BackoffLimitExceeded"
    assert pod_of(kube, "once").status.container_statuses[0].state.terminated.exit_code == 3
    assert run(kube, "twice", "false", backoffLimit=1)["reason"] == "BackoffLimitExceeded"
    assert len(kube.core.list_namespaced_pod("staging", label_selector="job-name=twice").items) == 2


def test_a_deadline_ends_a_job(kube) -> None:
    assert run(kube, "late", "sleep", "60", activeDeadlineSeconds=1)["reason"] == "DeadlineExceeded"


def test_a_job_goes_when_its_time_has_come(kube) -> None:
    kube.batch.create_namespaced_job("staging", job("brief", "true", ttlSecondsAfterFinished=0))
    until(lambda: "brief" not in [found.metadata.name for found in kube.batch.list_namespaced_job("staging").items])
    assert not kube.core.list_namespaced_pod("staging", label_selector="job-name=brief").items


def test_logs_are_followed(kube) -> None:
    kube.batch.create_namespaced_job("staging", job("slow", "sh", "-c", "echo first; sleep 1; echo last"))
    until(lambda: pod_of(kube, "slow").status.phase == "Running")
    lines = kube.core.read_namespaced_pod_log(
        pod_of(kube, "slow").metadata.name, "staging", follow=True, _preload_content=False
    )
    assert b"".join(lines.stream()).split() == [b"first", b"last"]


def test_a_deleted_job_takes_its_pods_along_only_if_told_to(kube) -> None:
    kube.batch.create_namespaced_job("staging", job("left", "sleep", "60"))
    left = pod_of(kube, "left")
    kube.batch.delete_namespaced_job("left", "staging")
    assert kube.core.read_namespaced_pod(left.metadata.name, "staging").metadata.owner_references in (None, [])
    kube.core.delete_namespaced_pod(left.metadata.name, "staging")
    kube.batch.create_namespaced_job("staging", job("taken", "sleep", "60"))
    pod_of(kube, "taken")
    kube.batch.delete_namespaced_job("taken", "staging", propagation_policy="Background")
    until(lambda: not kube.core.list_namespaced_pod("staging", label_selector="job-name=taken").items)


def test_environment_and_files_come_from_secrets(kube) -> None:
    kube.core.create_namespaced_secret(
        "staging", {"metadata": {"name": "login"}, "data": {"password": base64.b64encode(b"p w'd").decode()}}
    )
    container = {
        "env": [
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
            {"name": "NAMED", "value": "as $(PASSWORD)"},
        ],
        "volumeMounts": [{"name": "login", "mountPath": "/secrets"}],
    }
    pod = {"volumes": [{"name": "login", "secret": {"secretName": "login"}}]}
    result = run(kube, "env", "sh", "-c", 'echo "$NAMED"; cat /secrets/password', container=container, pod=pod)
    assert result["type"] == "Complete"
    assert output(kube, "env") == "as p w'd\np w'd\n"


def test_a_missing_secret_keeps_the_container_from_starting(kube) -> None:
    container = {"envFrom": [{"secretRef": {"name": "none"}}]}
    kube.batch.create_namespaced_job("staging", job("unset", "true", container=container, activeDeadlineSeconds=30))
    waiting = until(lambda: (pod_of(kube, "unset").status.container_statuses or [None])[0]).state.waiting
    assert waiting.reason == "CreateContainerConfigError"
    kube.batch.delete_namespaced_job("unset", "staging", propagation_policy="Background")


def test_an_image_that_cannot_be_pulled(kube) -> None:
    kube.batch.create_namespaced_job("staging", job("pull", "true", container={"image": "registry.invalid/tools:1"}))
    waiting = until(lambda: (pod_of(kube, "pull").status.container_statuses or [None])[0]).state.waiting
    assert waiting.reason == "ImagePullBackOff"
    kube.batch.delete_namespaced_job("pull", "staging", propagation_policy="Background")


def test_files_are_those_of_the_file_system(kube, files) -> None:
    (files / "restored" / "in.txt").write_text("content")
    pod = {"volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": "media"}}]}
    mounts = [{"name": "m", "mountPath": "/refresh"}, {"name": "m", "mountPath": "/refresh-out", "subPath": "a/b"}]
    script = "cp /refresh/in.txt /refresh-out/out.txt && echo /refreshed $DIR"
    container = {"volumeMounts": mounts, "env": [{"name": "DIR", "value": "/refresh-out/x"}]}
    assert run(kube, "copy", "sh", "-c", script, container=container, pod=pod)["type"] == "Complete"
    assert (files / "restored" / "a" / "b" / "out.txt").read_text() == "content"
    assert output(kube, "copy") == f"/refreshed {files}/restored/a/b/x\n"


def test_a_directory_that_is_not_there_cannot_be_mounted(kube, files) -> None:
    kube.core.create_persistent_volume(volume("gone", f"{files.name}:/none"))
    kube.core.create_namespaced_persistent_volume_claim("staging", claim("gone", "gone"))
    until(lambda: phase(kube, "gone") == "Bound")
    pod = {"volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": "gone"}}]}
    container = {"volumeMounts": [{"name": "m", "mountPath": "/m"}]}
    kube.batch.create_namespaced_job("staging", job("unmounted", "true", container=container, pod=pod))
    waiting = until(lambda: (pod_of(kube, "unmounted").status.container_statuses or [None])[0]).state.waiting
    assert "No such file or directory" in waiting.message
    kube.core.delete_namespaced_persistent_volume_claim("gone", "staging")
    assert kube.core.read_namespaced_persistent_volume_claim("gone", "staging").metadata.deletion_timestamp
    kube.batch.delete_namespaced_job("unmounted", "staging", propagation_policy="Background")
    until(lambda: kube.core.read_persistent_volume("gone").status.phase == "Released")


def test_pods_go_where_labels_and_taints_let_them(cloud, kube) -> None:
    taint = {"key": "jobs", "value": "only", "effect": "NO_SCHEDULE"}
    make_nodegroup(cloud, NAME, "special", 1, labels={"role": "jobs"}, taints=[taint])
    selector = {"nodeSelector": {"role": "jobs"}}
    kube.batch.create_namespaced_job("staging", job("intolerant", "true", pod=selector))

    def told() -> bool:
        conditions = pod_of(kube, "intolerant").status.conditions or []
        return any("untolerated taint {jobs: only}" in (found.message or "") for found in conditions)

    until(told)
    tolerations = [{"key": "jobs", "operator": "Equal", "value": "only", "effect": "NoSchedule"}]
    assert run(kube, "tolerant", "true", pod={**selector, "tolerations": tolerations})["type"] == "Complete"
    kube.batch.delete_namespaced_job("intolerant", "staging", propagation_policy="Background")


def test_mysqldump_and_mysql_reach_a_real_database(cloud, kube) -> None:
    rds = cloud.admin(STAGING, "rds")
    rds.create_db_cluster(
        DBClusterIdentifier="for-jobs",
        Engine="aurora-mysql",
        MasterUsername="admin",
        MasterUserPassword="only-for-tests-1",
    )
    watch(lambda: rds.describe_db_clusters(DBClusterIdentifier="for-jobs")["DBClusters"][0]["Status"], "available")
    rds.create_db_instance(
        DBInstanceIdentifier="for-jobs-1",
        DBClusterIdentifier="for-jobs",
        Engine="aurora-mysql",
        DBInstanceClass="db.t4g.medium",
    )
    watch(
        lambda: rds.describe_db_instances(DBInstanceIdentifier="for-jobs-1")["DBInstances"][0]["DBInstanceStatus"],
        "available",
    )
    cluster = rds.describe_db_clusters(DBClusterIdentifier="for-jobs")["DBClusters"][0]
    env = [{"name": "MYSQL_PWD", "value": "only-for-tests-1"}]
    at = f"-h {cluster['Endpoint']} -P {cluster['Port']} -u admin"
    script = f"mysql {at} -e 'CREATE DATABASE d; CREATE TABLE d.t (a INT); INSERT INTO d.t VALUES (42)' && mysqldump {at} d t"
    assert run(kube, "dump", "sh", "-ec", script, container={"env": env})["type"] == "Complete"
    assert "INSERT INTO `t` VALUES" in output(kube, "dump")
