"""What a refresh takes along beside databases, as it is now: files, the claim that shows them, the application on it, nodes."""

from __future__ import annotations

from pathlib import Path

from localcloud.client import admin_operation
from localcloud.names import STAGING
from localcloud.seed.apps import EKS_CLUSTER, MEDIA_APP, MEDIA_REPLICAS, NAMESPACE, NODEGROUP
from localcloud.seed.files import production_files
from tests.local.cloud.kube_helpers import Kube, pods_of

ID, SUBPATH = "/staging/shop/files/id", "/staging/shop/files/subpath"
AS_BEFORE = (MEDIA_REPLICAS, MEDIA_REPLICAS, {})
SERVES_ALL = [f"serving {len(production_files())} files"] * MEDIA_REPLICAS


class Along:
    """What a refresh takes along, as it is now."""

    def __init__(self, workflows) -> None:
        self.workflows, self.estate = workflows, workflows.estate
        self.stack, self.config = workflows.stack, workflows.stack.cloud
        self.kube = Kube(self, EKS_CLUSTER)

    def assert_replaced(self, former: str) -> None:
        """See that other files than the former ones are shown, and that those are gone."""
        name, subpath = self.parameters()
        assert name != former
        assert (self.shown(), self.app()) == (f"{name}:{subpath}", AS_BEFORE)
        assert former not in self.file_systems()

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

    def app(self) -> tuple[int, int, dict[str, str]]:
        """Pods of the application on the claim that are wanted and ready, and what is noted on it."""
        found = self.kube.apps.read_namespaced_deployment(MEDIA_APP, NAMESPACE)
        return found.spec.replicas, found.status.ready_replicas or 0, found.metadata.annotations or {}

    def pods(self) -> set[str]:
        return {pod.metadata.name for pod in pods_of(self.kube, MEDIA_APP, NAMESPACE)}

    def serving(self) -> list[str]:
        """What each pod of the application said when it began."""
        read = self.kube.core.read_namespaced_pod_log
        return [read(name, NAMESPACE, _preload_content=False).data.decode().strip() for name in sorted(self.pods())]

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
