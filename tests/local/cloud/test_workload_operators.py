"""Workloads on claims, by operators against localcloud: on the new directory with the count they had, or on the old one."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core.errors import PermanentError, StateError, TransientError
from aurora_ops.core.settings import Eks
from aurora_ops.hooks.base import Look
from aurora_ops.hooks.kubernetes import KubernetesHook
from aurora_ops.operators import prepare_files
from aurora_ops.operators.kubernetes_storage import CreateStorageOperator, DeleteStorageOperator, UndoStorageOperator
from aurora_ops.operators.workloads import StartWorkloadsOperator, StopWorkloadsOperator

from localcloud.client import admin_operation
from localcloud.seed.apps import EKS_CLUSTER, GROUP, NAMESPACE, NAMESPACE_RULES
from tests.local.cloud.eks_operators import INSIDE, connect, context, make_apps
from tests.local.cloud.kube_helpers import STAGING, job, pod_of, pods_of, until, workload

pytestmark = [pytest.mark.local, pytest.mark.slow]
CLASS, CLAIM = "efs-of-workloads", "shown"
NAMES = ["Deployment/reader", "StatefulSet/store"]
RUN, OTHER = "refresh_staging/monday", "refresh_staging/tuesday"
COUNTS = {"Deployment/reader": 2, "StatefulSet/store": 1}
READS = ("sh", "-c", "ls /files; exec sleep 600")


@pytest.fixture(scope="module")
def seeded(cloud):
    """The seeded cluster; the second of its node groups takes everybody's pods."""
    return make_apps(cloud)


@pytest.fixture(scope="module")
def file_system(cloud) -> str:
    """A file system with two directories, a file in each."""
    made = str(cloud.admin(STAGING, "efs").create_file_system(CreationToken="of-workloads")["FileSystemId"])
    for name in ("monday", "tuesday"):
        folder = cloud.config.home / "efs" / made / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"of-{name}").touch()
    return made


class Shop:
    """A Deployment with two pods and a StatefulSet with one on a claim that shows ``monday``."""

    def __init__(self, apps: Any, file_system: str) -> None:
        self.kube, self.file_system, self.quiet = apps.kube, file_system, apps.quiet

    def show(self, path: str, operator: Any = CreateStorageOperator, **more: Any) -> Any:
        arguments = {"claim_name": CLAIM, "storage_class_name": CLASS, "within_s": 20, **INSIDE, **more}
        task = operator(task_id="t", file_system_id=self.file_system, path=f"/{path}", **arguments)
        return task.execute(context())

    def undo(self, path: str) -> Any:
        return self.show(path, UndoStorageOperator, tried=self.file_system)

    def stop(self, run: str | None = RUN, **more: Any) -> Any:
        arguments = {"workloads": NAMES, "claims": [CLAIM], "run_key": run, "within_s": 30, **INSIDE, **more}
        return StopWorkloadsOperator(task_id="stop_workloads", **arguments).execute(context())

    def start(self, run: str | None = RUN, **more: Any) -> Any:
        arguments = {"workloads": NAMES, "run_key": run, "within_s": 30, **INSIDE, **more}
        return StartWorkloadsOperator(task_id="start_workloads", **arguments).execute(context())

    def found(self, name: str) -> Any:
        if name == "reader":
            return self.kube.apps.read_namespaced_deployment(name, NAMESPACE)
        return self.kube.apps.read_namespaced_stateful_set(name, NAMESPACE)

    def counts(self) -> dict[str, int]:
        """Pods that are wanted and ready, of each."""
        found = {text: self.found(text.split("/")[1]) for text in NAMES}
        ready = {text: (one.spec.replicas, one.status.ready_replicas or 0) for text, one in found.items()}
        return {text: wanted if wanted == now else -1 for text, (wanted, now) in ready.items()}

    def annotations(self) -> list[dict[str, str]]:
        return [self.found(text.split("/")[1]).metadata.annotations or {} for text in NAMES]

    def pods(self) -> list[Any]:
        return [*pods_of(self.kube, "reader"), *pods_of(self.kube, "store")]

    def seen(self) -> set[str]:
        """What the pods have seen in their files."""
        read = partial(self.kube.core.read_namespaced_pod_log, namespace=NAMESPACE, _preload_content=False)
        return {line for pod in self.pods() for line in read(pod.metadata.name).data.decode().split()}


@pytest.fixture
def shop(seeded, file_system, cloud, monkeypatch):
    """The workloads, running."""
    connect(monkeypatch, cloud)
    found = Shop(seeded, file_system)
    found.show("monday")
    manifests = (workload("reader", *READS, replicas=2, claim=CLAIM), workload("store", *READS, claim=CLAIM))
    found.kube.apps.create_namespaced_deployment(NAMESPACE, manifests[0])
    found.kube.apps.create_namespaced_stateful_set(NAMESPACE, manifests[1])
    until(lambda: found.counts() == COUNTS)
    yield found
    admin_operation("faults-clear", cloud.config)
    found.kube.apps.delete_namespaced_deployment("reader", NAMESPACE)
    found.kube.apps.delete_namespaced_stateful_set("store", NAMESPACE)
    until(lambda: not found.pods())
    arguments = {"claim_name": CLAIM, "storage_class_name": CLASS, "within_s": 20, **INSIDE}
    DeleteStorageOperator(task_id="delete", **arguments).execute(context())


def test_workloads_come_back_on_another_directory_with_the_count_they_had(shop) -> None:
    until(lambda: shop.seen() == {"of-monday"})
    assert shop.stop() == {"stopped": COUNTS}
    assert shop.pods() == []
    assert shop.annotations() == [
        {"aurora-ops/replicas": str(count), "aurora-ops/run": RUN} for count in COUNTS.values()
    ]
    assert shop.quiet(shop.stop) == {"stopped": COUNTS}
    assert shop.show("tuesday")["volume_handle"] == f"{shop.file_system}:/tuesday"
    assert shop.start() == {"started": COUNTS}
    assert (shop.counts(), shop.annotations()) == (COUNTS, [{}, {}])
    until(lambda: shop.seen() == {"of-tuesday"})
    assert shop.quiet(shop.start) == {"started": {}}


def test_workloads_come_back_on_the_former_directory_where_the_claim_could_not_be_made_anew(shop, cloud) -> None:
    shop.stop()
    rule = {"service": "kubernetes", "action": "CreatePersistentVolumeClaim", "code": "Forbidden", "status": 403}
    admin_operation("faults-add", cloud.config, times=0, **rule)
    with pytest.raises(PermanentError, match="lacks this right"):
        shop.show("tuesday")
    with pytest.raises(PermanentError, match="lacks this right"):
        shop.undo("tuesday")
    admin_operation("faults-clear", cloud.config)
    assert shop.undo("tuesday")["shows"] == f"{shop.file_system}:/monday"
    assert shop.quiet(lambda: shop.undo("tuesday"))["shows"] == f"{shop.file_system}:/monday"
    assert shop.start() == {"started": COUNTS}
    until(lambda: shop.seen() == {"of-monday"})
    shop.stop()
    shop.show("tuesday")
    shop.start()
    until(lambda: shop.seen() == {"of-tuesday"})


def test_a_worker_that_dies_while_pods_end_or_start_loses_no_count(shop, monkeypatch) -> None:
    with monkeypatch.context() as early:
        early.setattr(KubernetesHook, "look", lambda *_: Look.PENDING)  # pods may end before the first look
        with pytest.raises(TaskDeferred):
            shop.stop(deferrable=True)
    assert shop.stop() == {"stopped": COUNTS}
    with pytest.raises(TaskDeferred):
        shop.start(deferrable=True)
    assert [set(found) for found in shop.annotations()] == [{"aurora-ops/run"}] * 2
    assert shop.start() == {"started": COUNTS}
    assert (shop.counts(), shop.annotations()) == (COUNTS, [{}, {}])


@pytest.mark.parametrize("action", ["PatchDeployment", "PatchStatefulSet"])
def test_an_answer_that_was_lost_loses_no_count(shop, cloud, action) -> None:
    for act in (shop.stop, shop.start):
        admin_operation("faults-add", cloud.config, service="kubernetes", action=action, effect="lost")
        with pytest.raises(TransientError):
            act()
        act()
    assert (shop.counts(), shop.annotations()) == (COUNTS, [{}, {}])


def test_what_somebody_changed_meanwhile_is_looked_at_again(shop, cloud) -> None:
    rule = {"service": "kubernetes", "action": "PatchDeployment", "code": "Conflict", "status": 409}
    admin_operation("faults-add", cloud.config, **rule)
    assert shop.stop() == {"stopped": COUNTS}
    admin_operation("faults-add", cloud.config, **rule)
    assert shop.start() == {"started": COUNTS}


def test_another_run_takes_over_what_a_dead_one_has_stopped(shop) -> None:
    shop.stop()
    assert shop.stop(OTHER) == {"stopped": COUNTS}
    for run in (RUN, None):
        assert shop.quiet(lambda run=run: shop.start(run)) == {"started": {}}
    assert shop.start(OTHER) == {"started": COUNTS}


def test_pods_of_others_are_named_and_nothing_is_stopped(shop) -> None:
    pod = {"volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": CLAIM}}]}
    shop.kube.batch.create_namespaced_job(NAMESPACE, job("copies", "sleep", "60", pod=pod))
    name = pod_of(shop.kube, "copies").metadata.name
    with pytest.raises(StateError, match=rf"\['shown by {name} \(Job/copies\)'\]"):
        shop.quiet(shop.stop)
    shop.kube.batch.delete_namespaced_job("copies", NAMESPACE, propagation_policy="Background")
    until(lambda: not shop.kube.core.list_namespaced_pod(NAMESPACE, label_selector="job-name=copies").items)


def test_the_check_asks_for_rights_and_changes_nothing(shop) -> None:
    eks = Eks.model_validate(
        {
            "cluster": EKS_CLUSTER,
            "namespace": NAMESPACE,
            "image": "t:1",
            "nodegroups": ["jobs"],
            "claim": "d",
            "workloads": NAMES,
        }
    )
    api = KubernetesHook("aws_destination", "eu-west-1").api(EKS_CLUSTER)
    check = lambda: prepare_files._check_workloads(api, eks, [CLAIM])  # noqa: E731
    assert shop.quiet(check) == COUNTS
    scaling = [rule for rule in NAMESPACE_RULES if rule["apiGroups"] == ["apps"]]
    assert len(scaling) == 2
    shop.kube.rbac.patch_namespaced_role(GROUP, NAMESPACE, {"rules": [r for r in NAMESPACE_RULES if r not in scaling]})
    try:
        with pytest.raises(PermanentError, match=r"get deployments reader, patch deployments reader, get replicasets"):
            shop.quiet(check)
    finally:
        shop.kube.rbac.patch_namespaced_role(GROUP, NAMESPACE, {"rules": NAMESPACE_RULES})
    assert check() == COUNTS


def test_pods_that_take_their_time_to_end_are_waited_for(shop) -> None:
    patch = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1, "containers": [
        {"name": "main", "command": ["sh", "-c", "trap '' TERM; ls /files; sleep 600"]}
    ]}}}}  # fmt: skip
    shop.kube.apps.patch_namespaced_deployment("reader", NAMESPACE, patch)
    until(lambda: len(pods_of(shop.kube, "reader")) == 2 and shop.counts() == COUNTS)
    shop.stop()
    assert shop.pods() == []
    shop.show("tuesday")
    shop.start()
