"""The Kubernetes API behind an EKS cluster, through the official client: who may, what is legal, what is listed and changed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from localcloud.client import admin_operation
from localcloud.names import role_arn
from tests.local.cloud.kube_helpers import STAGING, Kube, job, make_cluster, until

pytestmark = pytest.mark.local
NAME = "objects"


@pytest.fixture(scope="module")
def kube(cloud) -> Kube:
    """The cluster's creator."""
    make_cluster(cloud, NAME)
    kube = Kube(cloud, NAME)
    kube.core.create_namespace({"metadata": {"name": "staging"}})
    return kube


@contextmanager
def answered(status: int, reason: str, *words: str):
    """The call inside must be refused with this status."""
    with pytest.raises(ApiException) as caught:
        yield
    assert caught.value.status == status, caught.value
    assert f'"reason": "{reason}"' in caught.value.body, caught.value.body
    for word in words:
        assert word in caught.value.body


def secret(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "stringData": {"password": "not-a-secret"}}


def volume(name: str, handle: str = "fs-1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "efs",
            "csi": {"driver": "efs.csi.aws.com", "volumeHandle": handle},
            **spec,
        },
    }


def claim(name: str, of: str | None, storage_class: str = "efs") -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteMany"], "storageClassName": storage_class, "volumeName": of}
    return {"metadata": {"name": name}, "spec": {**spec, "resources": {"requests": {"storage": "20Gi"}}}}


def phase(kube: Kube, name: str) -> str:
    found: str = kube.core.read_namespaced_persistent_volume_claim(name, "staging").status.phase
    return found


# ---- who -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "k8s-aws-v1.", "k8s-aws-v1.bm90IGEgdXJs", "other"])
def test_a_token_that_is_none_is_refused(cloud, kube, token) -> None:
    with answered(401, "Unauthorized"):
        Kube(cloud, NAME, given=token).core.list_namespace()


def test_a_role_without_an_access_entry_is_refused_and_one_with_a_policy_may_what_it_says(cloud, kube) -> None:
    role = Kube(cloud, NAME, kind="client")
    with answered(401, "Unauthorized"):
        role.core.list_namespaced_secret("staging")
    eks = cloud.admin(STAGING, "eks")
    eks.create_access_entry(clusterName=NAME, principalArn=role_arn(STAGING), kubernetesGroups=["jobs"])
    with answered(403, "Forbidden", "cannot list resource", "staging"):
        role.core.list_namespaced_secret("staging")
    eks.associate_access_policy(
        clusterName=NAME,
        principalArn=role_arn(STAGING),
        policyArn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSEditPolicy",
        accessScope={"type": "namespace", "namespaces": ["staging"]},
    )
    assert role.core.list_namespaced_secret("staging").items == []
    with answered(403, "Forbidden"):
        role.core.list_namespaced_secret("default")
    with answered(403, "Forbidden", "at the cluster scope"):
        role.core.list_node()


def test_a_role_bound_to_a_group_may_what_its_rules_say(cloud, kube) -> None:
    rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    kube.rbac.create_cluster_role({"metadata": {"name": "see-nodes"}, "rules": rules})
    kube.rbac.create_cluster_role_binding(
        {
            "metadata": {"name": "see-nodes"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "see-nodes"},
            "subjects": [{"kind": "Group", "name": "jobs", "apiGroup": "rbac.authorization.k8s.io"}],
        }
    )
    role = Kube(cloud, NAME, kind="client")
    assert role.core.list_node().items == []
    with answered(403, "Forbidden"):
        role.storage.list_storage_class()


# ---- objects ---------------------------------------------------------------------------------------------------------


def test_secrets_are_made_read_and_deleted(kube) -> None:
    made = kube.core.create_namespaced_secret("staging", secret("login"))
    assert made.data == {"password": "bm90LWEtc2VjcmV0"}
    with answered(409, "AlreadyExists", "login"):
        kube.core.create_namespaced_secret("staging", secret("login"))
    kube.core.delete_namespaced_secret("login", "staging")
    with answered(404, "NotFound", "login"):
        kube.core.read_namespaced_secret("login", "staging")


def test_lists_come_in_pages_and_by_labels(kube) -> None:
    for number in range(5):
        kube.core.create_namespaced_secret("staging", secret(f"page-{number}", of="pages"))
    seen, token = [], None
    while True:
        page = kube.core.list_namespaced_secret("staging", label_selector="of=pages", limit=2, _continue=token)
        seen.append([item.metadata.name for item in page.items])
        token = page.metadata._continue
        if not token:
            break
    assert seen == [["page-0", "page-1"], ["page-2", "page-3"], ["page-4"]]
    assert not kube.core.list_namespaced_secret("staging", label_selector="of!=pages,of in (x)").items


@pytest.mark.parametrize("name", ["Upper", "-a", "a_b", "a" * 64])
def test_illegal_names_of_jobs_are_refused(kube, name) -> None:
    with answered(422, "Invalid", "metadata.name"):
        kube.batch.create_namespaced_job("staging", job(name, "true"))


def test_illegal_labels_and_pods_are_refused(kube) -> None:
    with answered(422, "Invalid", "metadata.labels"):
        kube.core.create_namespaced_secret("staging", secret("s", of="x" * 64))
    with answered(422, "Invalid", "restartPolicy"):
        kube.batch.create_namespaced_job("staging", job("j", "true", pod={"restartPolicy": "Always"}))
    with answered(404, "NotFound", "nowhere"):
        kube.batch.create_namespaced_job("nowhere", job("j", "true"))


def test_a_change_of_an_older_version_is_a_conflict(kube) -> None:
    old = kube.core.create_namespaced_secret("staging", secret("version"))
    kube.core.patch_namespaced_secret("version", "staging", {"metadata": {"labels": {"a": "b"}}})
    with answered(409, "Conflict", "modified"):
        kube.core.replace_namespaced_secret("version", "staging", old)


# ---- storage ---------------------------------------------------------------------------------------------------------


def test_a_claim_is_bound_to_the_volume_it_names_and_lets_it_go(kube) -> None:
    kube.core.create_persistent_volume(volume("media"))
    kube.core.create_namespaced_persistent_volume_claim("staging", claim("media", "media"))
    assert phase(kube, "media") == "Pending"
    until(lambda: phase(kube, "media") == "Bound")
    bound = kube.core.read_persistent_volume("media")
    assert (bound.status.phase, bound.spec.claim_ref.name) == ("Bound", "media")
    kube.core.delete_persistent_volume("media")
    assert kube.core.read_persistent_volume("media").metadata.deletion_timestamp  # protected while it is bound
    kube.core.delete_namespaced_persistent_volume_claim("media", "staging")
    until(lambda: not kube.core.list_persistent_volume().items)


def test_a_released_volume_is_not_bound_again(kube) -> None:
    kube.core.create_persistent_volume(volume("kept"))
    kube.core.create_namespaced_persistent_volume_claim("staging", claim("kept", "kept"))
    until(lambda: phase(kube, "kept") == "Bound")
    kube.core.delete_namespaced_persistent_volume_claim("kept", "staging")
    until(lambda: kube.core.read_persistent_volume("kept").status.phase == "Released")
    kube.core.create_namespaced_persistent_volume_claim("staging", claim("kept", "kept"))
    kube.core.create_namespaced_persistent_volume_claim("staging", claim("other", "none"))
    assert [phase(kube, name) for name in ("kept", "other")] == ["Pending", "Pending"]


def test_where_a_volume_points_cannot_be_changed(kube) -> None:
    kube.core.create_persistent_volume(volume("fixed", "fs-1:/a"))
    with answered(422, "Invalid", "immutable"):
        kube.core.patch_persistent_volume(
            "fixed", {"spec": {"csi": {"driver": "efs.csi.aws.com", "volumeHandle": "fs-2"}}}
        )


def test_storage_classes(kube) -> None:
    kube.storage.create_storage_class(client.V1StorageClass(metadata={"name": "efs"}, provisioner="efs.csi.aws.com"))
    with answered(422, "Invalid", "immutable"):
        kube.storage.patch_storage_class("efs", {"provisioner": "other"})
    with answered(409, "AlreadyExists"):
        kube.storage.create_storage_class(client.V1StorageClass(metadata={"name": "efs"}, provisioner="x"))


# ---- record and faults -----------------------------------------------------------------------------------------------


def test_calls_are_recorded_and_can_be_struck(cloud, kube) -> None:
    since = cloud.now()
    rule = admin_operation("faults-add", cloud.config, service="kubernetes", action="CreateSecret")["rule"]
    with answered(429, "TooManyRequests"):
        kube.core.create_namespaced_secret("staging", secret("struck"))
    kube.core.create_namespaced_secret("staging", secret("struck"))
    kube.core.list_namespaced_secret("staging")
    admin_operation("faults-remove", cloud.config, rule=rule)
    calls = [call for call in cloud.calls(since) if call["service"] == "kubernetes"]
    assert [(call["action"], call["status"], call["mutating"]) for call in calls] == [
        ("CreateSecret", 429, True),
        ("CreateSecret", 201, True),
        ("ListSecrets", 200, False),
    ]
    assert calls[1]["parameters"] == {"cluster": NAME, "namespace": "staging", "name": "struck"}
    assert calls[1]["account"] == STAGING
    assert "not-a-secret" not in cloud.config.calls_file.read_text()
