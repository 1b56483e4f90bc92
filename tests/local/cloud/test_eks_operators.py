"""Operators on node groups and storage, against localcloud: what EKS and Kubernetes have afterwards, and what is refused."""

from __future__ import annotations

import pytest
from aurora_ops.core.errors import ConfigError, SafetyError, StateError, WaitFailedError
from aurora_ops.operators.kubernetes_storage import (
    CreateStorageOperator,
    DeleteStorageOperator,
    ManageStorageOperator,
)
from aurora_ops.operators.nodegroups import (
    ManageNodegroupOperator,
    RestoreNodegroupSizeOperator,
    ScaleNodegroupOperator,
)
from kubernetes.client.exceptions import ApiException

from localcloud.client import admin_operation
from localcloud.seed.apps import NAMESPACE, NODEGROUP
from tests.local.cloud.eks_operators import INSIDE, PLACING, RUN, SCALING, connect, context, make_apps
from tests.local.cloud.kube_helpers import STAGING, job, pod_of, until

pytestmark = [pytest.mark.local, pytest.mark.slow]
CLASS = "efs-for-tests"


@pytest.fixture(scope="module")
def seeded(cloud):
    """The seeded cluster."""
    return make_apps(cloud)


@pytest.fixture
def apps(seeded, cloud, monkeypatch):
    """The seeded cluster, reached by this process's connections."""
    connect(monkeypatch, cloud)
    return seeded


# ---- node groups -----------------------------------------------------------------------------------------------------


def scale(count=2, run_key=RUN, **more):
    task = ScaleNodegroupOperator(task_id="scale", count=count, run_key=run_key, **{**SCALING, **PLACING, **more})
    return task.execute(context())


def restore(run_key=RUN, **more):
    return RestoreNodegroupSizeOperator(task_id="restore", run_key=run_key, **{**SCALING, **more}).execute(context())


def desired(apps) -> int:
    return int(apps.nodegroup()["scalingConfig"]["desiredSize"])


def ready(apps) -> int:
    nodes = apps.kube.core.list_node(label_selector=f"eks.amazonaws.com/nodegroup={NODEGROUP}").items
    return sum(node.status.conditions[0].status == "True" for node in nodes)


def test_nodes_come_and_the_former_size_is_restored(apps) -> None:
    apps.settled(0)
    result = scale(2)
    assert result["nodegroup"] == NODEGROUP
    assert result["former"] == {"minSize": 0, "maxSize": 3, "desiredSize": 0}
    assert (desired(apps), ready(apps)) == (2, 2)
    assert apps.quiet(lambda: scale(2))["former"]["desiredSize"] == 0
    assert restore()["restored"] == {NODEGROUP: {"minSize": 0, "maxSize": 3, "desiredSize": 0}}
    assert desired(apps) == 0
    assert not [tag for tag in apps.nodegroup()["tags"] if tag.startswith("aurora-ops:")]
    assert apps.quiet(restore)["restored"] == {}


def test_enough_nodes_are_left_alone_and_fewer_only_if_meant(apps) -> None:
    apps.settled(2)
    until(lambda: ready(apps) == 2)
    assert apps.quiet(lambda: scale(1))["changed"] is False
    assert scale(1, shrink=True)["former"]["desiredSize"] == 2
    assert desired(apps) == 1
    restore()


def test_the_note_of_a_dead_run_is_taken_over(apps) -> None:
    apps.settled(0)
    scale(1, run_key="dead/run")
    assert scale(2)["former"]["desiredSize"] == 0
    assert restore("dead/run")["restored"] == {}
    assert restore()["restored"][NODEGROUP]["desiredSize"] == 0
    assert desired(apps) == 0


def test_restore_for_any_run_by_the_workflow(apps) -> None:
    apps.settled(0)
    arguments = {**SCALING, **PLACING, "run_key": "other/run", "nodegroup": NODEGROUP}
    ManageNodegroupOperator(task_id="m", action="scale", count=1, **arguments).execute(context())
    result = ManageNodegroupOperator(task_id="m", action="restore", **{**arguments, "run_key": "x"}).execute(context())
    assert (result["restored"][NODEGROUP]["desiredSize"], desired(apps)) == (0, 0)


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"tolerations": []}, ConfigError, "none fits"),
        ({"node_selector": {"workload": "other"}}, ConfigError, "none fits"),
        ({"nodegroup": "others"}, SafetyError, "allowed are"),
        ({"count": 4}, StateError, "outside the bounds"),
    ],
)
def test_what_does_not_fit_is_refused(apps, more, error, words) -> None:
    with pytest.raises(error, match=words):
        apps.quiet(lambda: scale(**more))


def test_two_that_fit_need_a_name(apps) -> None:
    arguments = {"allowed_nodegroups": [NODEGROUP, "twin"]}
    group = apps.nodegroup()
    names = {key: group[key] for key in ("clusterName", "nodeRole", "subnets", "labels", "taints")}
    apps.eks.create_nodegroup(
        nodegroupName="twin", scalingConfig={"minSize": 0, "maxSize": 1, "desiredSize": 0}, **names
    )
    with pytest.raises(ConfigError, match=r"\['jobs', 'twin'\] fit"):
        scale(1, **arguments)
    apps.eks.delete_nodegroup(clusterName=group["clusterName"], nodegroupName="twin")


def test_a_node_group_that_breaks_fails_the_task_with_its_reason(apps, cloud) -> None:
    apps.settled(0)
    rule = {"service": "eks", "action": "UpdateNodegroupConfig", "effect": "status", "becomes": "DEGRADED"}
    admin_operation("faults-add", cloud.config, **rule)
    with pytest.raises(WaitFailedError, match="nodegroup_changed"):
        scale(1)
    with pytest.raises(StateError, match="AsgInstanceLaunchFailures"):
        scale(1)
    admin_operation("faults-clear", cloud.config)
    apps.settled(0)


# ---- storage ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file_system(cloud) -> str:
    """A file system with two restored directories."""
    made = cloud.admin(STAGING, "efs").create_file_system(CreationToken="storage")["FileSystemId"]
    for name in ("monday", "tuesday"):
        (cloud.config.home / "efs" / made / name).mkdir(parents=True, exist_ok=True)
    return str(made)


def storage(file_system: str, path: str = "/monday", **more):
    arguments = {
        **INSIDE,
        "claim_name": "media",
        "file_system_id": file_system,
        "path": path,
        "within_s": 20,
        "storage_class_name": CLASS,
        **more,
    }
    return CreateStorageOperator(task_id="create", **arguments).execute(context())


def delete_storage(**more):
    arguments = {**INSIDE, "claim_name": "media", "storage_class_name": CLASS, "within_s": 20, **more}
    return DeleteStorageOperator(task_id="delete", **arguments).execute(context())


def bound(apps, claim="media") -> tuple[str, str]:
    """Phase of the claim, and where its volume points."""
    found = apps.kube.core.read_namespaced_persistent_volume_claim(claim, NAMESPACE)
    volume = apps.kube.core.read_persistent_volume(found.spec.volume_name)
    return found.status.phase, volume.spec.csi.volume_handle


def volumes(apps) -> list[str]:
    found = apps.kube.core.list_persistent_volume().items
    return [volume.metadata.name for volume in found if volume.spec.storage_class_name == CLASS]


def test_storage_is_made_moved_to_another_directory_and_deleted(apps, file_system) -> None:
    first = storage(file_system)
    assert bound(apps) == ("Bound", f"{file_system}:/monday")
    assert apps.kube.storage.read_storage_class(CLASS).provisioner == "efs.csi.aws.com"
    assert apps.quiet(lambda: storage(file_system)) == first
    second = storage(file_system, "/tuesday")
    assert bound(apps) == ("Bound", f"{file_system}:/tuesday")
    assert volumes(apps) == [second["volume"]], "the former volume is gone"
    assert storage(file_system)["volume"] == first["volume"], "back again: a new volume of the same name"
    assert delete_storage()["storage_class_deleted"] is True
    assert volumes(apps) == []
    with pytest.raises(ApiException):
        apps.kube.storage.read_storage_class(CLASS)
    assert apps.quiet(delete_storage)["storage_class_deleted"] is True


def test_a_released_volume_is_made_anew(apps, file_system) -> None:
    made = storage(file_system)["volume"]
    apps.kube.core.delete_namespaced_persistent_volume_claim("media", NAMESPACE)
    until(lambda: apps.kube.core.read_persistent_volume(made).status.phase == "Released")
    storage(file_system)
    assert bound(apps)[0] == "Bound"
    delete_storage()


def test_a_claim_under_running_pods_is_not_moved(apps, file_system) -> None:
    storage(file_system)
    pod = {
        "volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": "media"}}],
        "tolerations": PLACING["tolerations"],
    }
    apps.kube.batch.create_namespaced_job(NAMESPACE, job("user", "sleep", "60", pod=pod))
    user = pod_of(apps.kube, "user").metadata.name
    with pytest.raises(StateError, match=f"is used by .*{user}"):
        apps.quiet(lambda: delete_storage())
    with pytest.raises(StateError, match="scale what runs them to 0"):
        storage(file_system, "/tuesday")
    assert bound(apps) == ("Bound", f"{file_system}:/monday")
    apps.kube.batch.delete_namespaced_job("user", NAMESPACE, propagation_policy="Background")
    until(lambda: not apps.kube.core.list_namespaced_pod(NAMESPACE, label_selector="job-name=user").items)
    delete_storage()


def test_what_others_made_is_left_alone(apps, file_system) -> None:
    spec = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "other",
    }
    apps.kube.core.create_namespaced_persistent_volume_claim(NAMESPACE, {"metadata": {"name": "theirs"}, "spec": spec})
    with pytest.raises(SafetyError, match="kubectl label persistentvolumeclaims theirs"):
        storage(file_system, claim_name="theirs")
    with pytest.raises(SafetyError, match="managed-by"):
        apps.quiet(lambda: delete_storage(claim_name="theirs"))
    apps.kube.core.delete_namespaced_persistent_volume_claim("theirs", NAMESPACE)
    delete_storage(claim_name="theirs")
    apps.kube.storage.create_storage_class({"metadata": {"name": "disks"}, "provisioner": "ebs.csi.aws.com"})
    with pytest.raises(StateError, match=r"ebs\.csi\.aws\.com"):
        apps.quiet(lambda: storage(file_system, storage_class_name="disks"))


def test_a_claim_that_is_not_bound_in_time_is_waited_for_again(apps, file_system, cloud) -> None:
    admin_operation("faults-add", cloud.config, service="kubernetes", action="GetPersistentVolumeClaim", times=0)
    with pytest.raises(Exception, match="try again later"):
        storage(file_system)
    admin_operation("faults-clear", cloud.config)
    storage(file_system)
    delete_storage()


def test_the_workflow_chooses(apps, file_system) -> None:
    arguments = {
        **INSIDE,
        "claim_name": "chosen",
        "file_system_id": file_system,
        "within_s": 20,
        "storage_class_name": CLASS,
    }
    ManageStorageOperator(task_id="m", action="create", **arguments).execute(context())
    assert bound(apps, "chosen")[0] == "Bound"
    ManageStorageOperator(task_id="m", action="delete", **arguments).execute(context())
    assert volumes(apps) == []
