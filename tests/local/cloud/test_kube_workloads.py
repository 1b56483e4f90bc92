"""Workloads keep so many pods, scale, roll over and go; a suspended job waits; what nobody owns any more goes too."""

from __future__ import annotations

import pytest

from localcloud.kube.objects import Objects
from localcloud.kube.patches import merged
from localcloud.names import role_arn
from tests.local.cloud.kube_helpers import (
    STAGING,
    Kube,
    ended,
    job,
    make_cluster,
    make_nodegroup,
    output,
    pod_of,
    pods_of,
    until,
    workload,
)
from tests.local.cloud.test_kube import answered, claim, phase, secret, volume

pytestmark = [pytest.mark.local, pytest.mark.slow]
NAME, NAMESPACE = "workloads", "staging"
STUBBORN = ("sh", "-c", "trap '' TERM; echo up; sleep 600")


@pytest.fixture(scope="module")
def kube(cloud) -> Kube:
    """A cluster with one node that everybody may use."""
    make_cluster(cloud, NAME, nodegroup={"name": "plain", "desired": 1})
    kube = Kube(cloud, NAME)
    kube.core.create_namespace({"metadata": {"name": NAMESPACE}})
    return kube


def deployment(kube: Kube, name: str):
    return kube.apps.read_namespaced_deployment(name, NAMESPACE)


def is_settled(found) -> bool:
    """All replicas ready, none too many, and that said of the latest change."""
    wanted, status = found.spec.replicas, found.status
    counts = (status.replicas or 0, status.ready_replicas or 0)
    return status.observed_generation == found.metadata.generation and counts == (wanted, wanted)


def run(kube: Kube, name: str, *command: str, **more):
    """A Deployment with all its pods."""
    kube.apps.create_namespaced_deployment(NAMESPACE, workload(name, *command, **more))
    return until(lambda: (found := deployment(kube, name)) and is_settled(found) and found)


def scale(kube: Kube, name: str, replicas: int, **annotations: str | None):
    body = {"metadata": {"annotations": annotations}, "spec": {"replicas": replicas}}
    return kube.apps.patch_namespaced_deployment(name, NAMESPACE, body)


def test_a_deployment_has_pods_by_a_replica_set(kube) -> None:
    found = run(kube, "web", replicas=2)
    assert [pod.status.phase for pod in pods_of(kube, "web")] == ["Running", "Running"]
    [pod, _] = pods_of(kube, "web")
    [owner] = pod.metadata.owner_references
    replica_set = kube.apps.read_namespaced_replica_set(owner.name, NAMESPACE)
    [above] = replica_set.metadata.owner_references
    assert (owner.kind, owner.controller) == ("ReplicaSet", True)
    assert (above.kind, above.name, above.uid) == ("Deployment", "web", found.metadata.uid)
    assert pod.metadata.labels["pod-template-hash"] == replica_set.metadata.labels["pod-template-hash"]


def test_one_patch_scales_and_annotates(kube) -> None:
    before = run(kube, "scaled", replicas=2)
    after = scale(kube, "scaled", 0, former="2")
    assert after.metadata.generation == before.metadata.generation + 1
    assert after.metadata.annotations == {"former": "2"}
    until(lambda: not pods_of(kube, "scaled"))
    until(lambda: is_settled(deployment(kube, "scaled")))
    assert deployment(kube, "scaled").status.replicas is None
    after = scale(kube, "scaled", 2, former=None)
    assert not after.metadata.annotations
    until(lambda: is_settled(deployment(kube, "scaled")) and len(pods_of(kube, "scaled")) == 2)
    same = scale(kube, "scaled", 2)
    assert same.metadata.generation == after.metadata.generation, "nothing of its spec has changed"


def test_a_pod_on_its_way_out_holds_its_claim(cloud, kube) -> None:
    made = cloud.admin(STAGING, "efs").create_file_system(CreationToken="workloads")["FileSystemId"]
    (cloud.config.home / "efs" / made).mkdir(parents=True, exist_ok=True)
    kube.core.create_persistent_volume(volume("files", made))
    kube.core.create_namespaced_persistent_volume_claim(NAMESPACE, claim("files", "files"))
    until(lambda: phase(kube, "files") == "Bound")
    run(kube, "holds", *STUBBORN, claim="files", pod={"terminationGracePeriodSeconds": 2})
    scale(kube, "holds", 0)
    [pod] = until(lambda: [pod for pod in pods_of(kube, "holds") if pod.metadata.deletion_timestamp])
    assert (pod.status.phase, pod.metadata.deletion_grace_period_seconds) == ("Running", 2)
    until(lambda: not deployment(kube, "holds").status.ready_replicas)
    kube.core.delete_namespaced_persistent_volume_claim("files", NAMESPACE)
    assert phase(kube, "files") == "Bound"
    assert pods_of(kube, "holds"), "still on its way out"
    until(lambda: not pods_of(kube, "holds"))
    names = lambda: [one.metadata.name for one in kube.core.list_namespaced_persistent_volume_claim(NAMESPACE).items]  # noqa: E731
    until(lambda: "files" not in names())
    scale(kube, "holds", 1)
    [pod] = until(lambda: pods_of(kube, "holds"))
    waiting = until(lambda: (pods_of(kube, "holds")[0].status.container_statuses or [None])[0]).state.waiting
    assert 'persistentvolumeclaim "files" not found' in waiting.message
    kube.core.create_namespaced_persistent_volume_claim(NAMESPACE, claim("files", "files-2"))
    kube.core.create_persistent_volume(volume("files-2", made))
    until(lambda: is_settled(deployment(kube, "holds")))


def test_a_container_that_ends_is_started_again(kube) -> None:
    kube.apps.create_namespaced_deployment(NAMESPACE, workload("crash", "sh", "-c", "exit 3"))
    status = until(lambda: [s for pod in pods_of(kube, "crash") for s in pod.status.container_statuses or ()])[0]
    until(lambda: pods_of(kube, "crash")[0].status.container_statuses[0].restart_count >= 2)
    status = until(lambda: pods_of(kube, "crash")[0].status.container_statuses[0].state.waiting)
    assert status.reason == "CrashLoopBackOff"
    assert pods_of(kube, "crash")[0].status.phase == "Running"
    until(lambda: not deployment(kube, "crash").status.ready_replicas)
    kube.apps.delete_namespaced_deployment("crash", NAMESPACE)
    until(lambda: not pods_of(kube, "crash"))


def test_a_deleted_pod_and_one_whose_node_is_lost_are_replaced(cloud, kube) -> None:
    run(kube, "kept")
    [first] = pods_of(kube, "kept")
    kube.core.delete_namespaced_pod(first.metadata.name, NAMESPACE)
    until(lambda: first.metadata.name not in [pod.metadata.name for pod in pods_of(kube, "kept")])
    until(lambda: is_settled(deployment(kube, "kept")))
    make_nodegroup(cloud, NAME, "short", 1, labels={"life": "short"})
    run(kube, "lost", pod={"nodeSelector": {"life": "short"}})
    cloud.admin(STAGING, "eks").update_nodegroup_config(
        clusterName=NAME, nodegroupName="short", scalingConfig={"desiredSize": 0}
    )
    until(lambda: [pod.status.phase for pod in pods_of(kube, "lost")] == ["Pending"])
    until(lambda: not deployment(kube, "lost").status.ready_replicas)
    kube.apps.delete_namespaced_deployment("lost", NAMESPACE)


@pytest.mark.parametrize("strategy", ["RollingUpdate", "Recreate"])
def test_another_template_rolls_over(kube, strategy) -> None:
    name = strategy.lower()
    run(kube, name, spec={"strategy": {"type": strategy}})
    [before] = pods_of(kube, name)
    container = {"name": "main", "image": "tools:2"}
    kube.apps.patch_namespaced_deployment(
        name, NAMESPACE, {"spec": {"template": {"spec": {"containers": [container]}}}}
    )
    after = until(lambda: [p for p in pods_of(kube, name) if p.spec.containers[0].image == "tools:2"])[0]
    assert after.spec.containers[0].command == ["sleep", "600"], "a strategic patch merges containers by name"
    until(lambda: [p.metadata.name for p in pods_of(kube, name)] == [after.metadata.name])
    until(lambda: is_settled(deployment(kube, name)))
    sets = kube.apps.list_namespaced_replica_set(NAMESPACE, label_selector=f"app={name}").items
    assert sorted(found.spec.replicas for found in sets) == [0, 1]
    assert before.metadata.name != after.metadata.name


def test_pods_of_a_stateful_set_are_numbered_and_have_claims_of_their_own(cloud, kube) -> None:
    made = cloud.admin(STAGING, "efs").create_file_system(CreationToken="numbered")["FileSystemId"]
    template = {"metadata": {"name": "data"}, "spec": claim("x", None)["spec"]}
    manifest = workload("db", replicas=2, spec={"volumeClaimTemplates": [template]})
    kube.apps.create_namespaced_stateful_set(NAMESPACE, manifest)
    names = lambda: [pod.metadata.name for pod in pods_of(kube, "db")]  # noqa: E731
    until(lambda: names() and pods_of(kube, "db")[0].status.container_statuses)
    volumes = [(one.metadata.name, one.status.phase) for one in kube.core.list_persistent_volume().items]
    assert (names(), phase_of_all(kube, "data-db-")) == (["db-0"], ["Pending"]), (
        f"each waits for the one before: {volumes}"
    )
    [pod] = pods_of(kube, "db")
    for number in range(2):
        kube.core.create_persistent_volume(volume(f"data-{number}", made))
    until(lambda: names() == ["db-0", "db-1"])
    assert pod.spec.volumes[0].persistent_volume_claim.claim_name == "data-db-0"
    assert pod.metadata.owner_references[0].kind == "StatefulSet"
    kube.apps.delete_namespaced_stateful_set("db", NAMESPACE)
    until(lambda: not names())
    assert len(phase_of_all(kube, "data-db-")) == 2, "claims outlast it"


def phase_of_all(kube: Kube, prefix: str) -> list[str]:
    found = kube.core.list_namespaced_persistent_volume_claim(NAMESPACE).items
    return [one.status.phase for one in found if one.metadata.name.startswith(prefix)]


def test_a_stateful_set_scales_in_order(kube) -> None:
    kube.apps.create_namespaced_stateful_set(NAMESPACE, workload("queue", replicas=2))
    found = lambda: kube.apps.read_namespaced_stateful_set("queue", NAMESPACE)  # noqa: E731
    until(lambda: is_settled(found()))
    assert [pod.metadata.name for pod in pods_of(kube, "queue")] == ["queue-0", "queue-1"]
    kube.apps.patch_namespaced_stateful_set("queue", NAMESPACE, {"spec": {"replicas": 1}})
    until(lambda: [pod.metadata.name for pod in pods_of(kube, "queue")] == ["queue-0"])
    kube.apps.patch_namespaced_stateful_set("queue", NAMESPACE, {"spec": {"replicas": 0}})
    until(lambda: not pods_of(kube, "queue") and is_settled(found()))
    assert found().status.replicas == 0


WRONG = {
    "labels": ({"selector": {"matchLabels": {"app": "other"}}}, 422, "does not match template"),
    "selector": ({"selector": {}}, 422, "spec.selector"),
    "negative": ({"replicas": -1}, 422, "greater than or equal to 0"),
    "text": ({"replicas": "two"}, 400, "unmarshal"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_what_kubernetes_refuses_of_workloads_is_refused(kube, wrong) -> None:
    spec, status, words = wrong
    with answered(status, "Invalid" if status == 422 else "BadRequest", words):
        kube.apps.create_namespaced_deployment(NAMESPACE, workload("wrong", spec=spec))


def test_changes_that_kubernetes_refuses_are_refused(kube) -> None:
    made = run(kube, "fixed")
    with answered(422, "Invalid", "immutable"):
        selector = {"matchLabels": {"app": "fixed", "more": "x"}}
        labels = {"metadata": {"labels": {"more": "x"}}}
        kube.apps.patch_namespaced_deployment("fixed", NAMESPACE, {"spec": {"selector": selector, "template": labels}})
    with answered(422, "Invalid", "restartPolicy"):
        kube.apps.create_namespaced_deployment(NAMESPACE, workload("never", pod={"restartPolicy": "Never"}))
    with answered(400, "BadRequest", "annotations.former"):
        scale(kube, "fixed", 0, former=2)  # type: ignore[arg-type]
    scale(kube, "fixed", 1, seen="x")
    with answered(409, "Conflict", "modified"):
        body = {"metadata": {"resourceVersion": made.metadata.resource_version}, "spec": {"replicas": 0}}
        kube.apps.patch_namespaced_deployment("fixed", NAMESPACE, body)
    with answered(501, "NotImplemented"):
        kube.apps.create_namespaced_replica_set(NAMESPACE, workload("set"))


def test_a_deployment_goes_with_all_it_owns_unless_told_otherwise(kube) -> None:
    run(kube, "gone")
    kube.apps.delete_namespaced_deployment("gone", NAMESPACE)
    until(lambda: not pods_of(kube, "gone"))
    assert not kube.apps.list_namespaced_replica_set(NAMESPACE, label_selector="app=gone").items
    run(kube, "stays")
    kube.apps.delete_namespaced_deployment("stays", NAMESPACE, propagation_policy="Orphan")
    [left] = kube.apps.list_namespaced_replica_set(NAMESPACE, label_selector="app=stays").items
    assert not left.metadata.owner_references
    assert len(pods_of(kube, "stays")) == 1


def test_a_role_may_ask_what_it_may_do(cloud, kube) -> None:
    def may(who: Kube, verb: str, name: str = "web") -> bool:
        attributes = {"group": "apps", "resource": "deployments", "namespace": NAMESPACE, "verb": verb, "name": name}
        review = who.authorization.create_self_subject_access_review({"spec": {"resourceAttributes": attributes}})
        return bool(review.status.allowed)

    eks = cloud.admin(STAGING, "eks")
    eks.create_access_entry(clusterName=NAME, principalArn=role_arn(STAGING), kubernetesGroups=["scalers"])
    role = Kube(cloud, NAME, kind="client")
    assert not may(role, "patch")
    rules = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"], "resourceNames": ["web"]}]
    kube.rbac.create_namespaced_role(NAMESPACE, {"metadata": {"name": "scale"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "scale"}
    subjects = [{"kind": "Group", "name": "scalers", "apiGroup": "rbac.authorization.k8s.io"}]
    binding = {"metadata": {"name": "scale"}, "roleRef": reference, "subjects": subjects}
    kube.rbac.create_namespaced_role_binding(NAMESPACE, binding)
    since = cloud.now()
    assert [may(role, "patch"), may(role, "delete"), may(role, "patch", "other"), may(kube, "delete")] == [
        True, False, False, True,
    ]  # fmt: skip
    assert cloud.calls(since, mutating=True) == [], "to ask changes nothing"
    with answered(400, "BadRequest", "resourceAttributes"):
        role.authorization.create_self_subject_access_review({"spec": {"nonResourceAttributes": {"path": "/"}}})


# ---- jobs that wait, and garbage -------------------------------------------------------------------------------------


def test_a_suspended_job_makes_no_pod_until_it_is_resumed(kube) -> None:
    made = kube.batch.create_namespaced_job(
        NAMESPACE, job("waits", "echo", "went", suspend=True, activeDeadlineSeconds=20)
    )
    suspended = until(lambda: kube.batch.read_namespaced_job("waits", NAMESPACE).status.conditions)[0]
    assert (suspended.type, suspended.status) == ("Suspended", "True")
    assert not kube.core.list_namespaced_pod(NAMESPACE, label_selector="job-name=waits").items
    kube.batch.patch_namespaced_job("waits", NAMESPACE, {"spec": {"suspend": False}})
    assert ended(kube, "waits")["type"] == "Complete"
    assert output(kube, "waits") == "went\n"
    found = kube.batch.read_namespaced_job("waits", NAMESPACE)
    assert found.metadata.uid == made.metadata.uid
    assert [(one.type, one.status) for one in found.status.conditions] == [("Suspended", "False"), ("Complete", "True")]


def test_a_job_that_is_suspended_loses_its_pods(kube) -> None:
    kube.batch.create_namespaced_job(NAMESPACE, job("stopped", "sleep", "600"))
    until(lambda: pod_of(kube, "stopped").status.phase == "Running")
    kube.batch.patch_namespaced_job("stopped", NAMESPACE, {"spec": {"suspend": True}})
    until(lambda: not kube.core.list_namespaced_pod(NAMESPACE, label_selector="job-name=stopped").items)
    assert kube.batch.read_namespaced_job("stopped", NAMESPACE).status.start_time is None


def owner(found) -> dict[str, str]:
    return {"apiVersion": "batch/v1", "kind": "Job", "name": found.metadata.name, "uid": found.metadata.uid}


def test_what_a_job_owns_goes_with_it(kube) -> None:
    made = kube.batch.create_namespaced_job(NAMESPACE, job("owner", "true", suspend=True))
    kept = secret("owned")
    kept["metadata"]["ownerReferences"] = [owner(made)]
    kube.core.create_namespaced_secret(NAMESPACE, kept)
    gone = secret("of-nobody")
    gone["metadata"]["ownerReferences"] = [{**owner(made), "uid": "another"}]
    kube.core.create_namespaced_secret(NAMESPACE, gone)
    names = lambda: {found.metadata.name for found in kube.core.list_namespaced_secret(NAMESPACE).items}  # noqa: E731
    until(lambda: "of-nobody" not in names())
    assert "owned" in names()
    kube.batch.delete_namespaced_job("owner", NAMESPACE, propagation_policy="Background")
    until(lambda: "owned" not in names())


def test_what_a_job_owns_goes_when_its_time_has_come_and_stays_when_it_is_left_behind(kube) -> None:
    for name in ("expires", "leaves"):
        made = kube.batch.create_namespaced_job(NAMESPACE, job(name, "true", suspend=True, ttlSecondsAfterFinished=0))
        kept = secret(f"of-{name}")
        kept["metadata"]["ownerReferences"] = [owner(made)]
        kube.core.create_namespaced_secret(NAMESPACE, kept)
    kube.batch.delete_namespaced_job("leaves", NAMESPACE)
    kube.batch.patch_namespaced_job("expires", NAMESPACE, {"spec": {"suspend": False}})
    names = lambda: {found.metadata.name for found in kube.core.list_namespaced_secret(NAMESPACE).items}  # noqa: E731
    until(lambda: "of-expires" not in names())
    assert "of-leaves" in names()


# ---- parts of it -----------------------------------------------------------------------------------------------------


def test_merge_patches() -> None:
    old = {"a": {"b": 1, "c": [1, 2]}, "env": [{"name": "x", "value": "1"}, {"name": "y", "value": "2"}]}
    assert merged(old, {"a": {"b": None, "c": [3]}}, strategic=False) == {"a": {"c": [3]}, "env": old["env"]}
    env = [{"name": "y", "value": "3"}, {"name": "z", "value": "4"}]
    assert merged(old, {"env": env}, strategic=False)["env"] == env
    assert merged(old, {"env": env}, strategic=True)["env"] == [{"name": "x", "value": "1"}, *env]


def test_a_cluster_that_was_written_down_before_there_were_workloads_gets_them() -> None:
    objects = Objects(STAGING, "eu-west-1", "old")
    del objects.kept["deployments"]
    objects.know_kinds()
    assert objects.all("deployments") == []
