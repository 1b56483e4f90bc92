"""EKS with its rules: what is refused in which status, sizes that fit, access entries, Auto Scaling groups."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, cast

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.eks.exceptions import (
    InvalidParameterException,
    ResourceInUseException,
    ResourceNotFoundException,
)
from moto.eks.models import EKSBackend, paginated_list

from localcloud.eks.models import DELETE, FAILURES, UPDATE, AccessEntry, Clock, LocalCluster, LocalNodegroup, Update

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.cloud import Cloud

ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
POLICIES = frozenset(
    f"arn:aws:eks::aws:cluster-access-policy/AmazonEKS{name}Policy"
    for name in ("ClusterAdmin", "Admin", "Edit", "View")
)


class LocalEksBackend(EKSBackend):
    """EKS of one account and region."""

    __module__ = "moto.eks.models"
    cloud: ClassVar[Cloud]
    endpoint_of: ClassVar[Callable[[str, str, str], tuple[str, str]]]

    def create_cluster(self, name: str, **given: Any) -> Any:  # type: ignore[override]
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html."""
        self.settle()
        access = given.pop("access_config", None) or {}
        cluster = cast("LocalCluster", super().create_cluster(name, **given))
        cluster.access_config |= access
        cluster.becomes = self._ends_in("ACTIVE")
        cluster.endpoint, authority = type(self).endpoint_of(self.account_id, self.region_name, name)
        cluster.certificate_authority = {"data": authority}
        if cluster.access_config["bootstrapClusterCreatorAdminPermissions"]:
            principal = self.cloud.caller.principal_arn
            entry = AccessEntry(principal, principal, [], time.time())
            entry.policies[ADMIN_POLICY] = {"type": "cluster", "namespaces": []}
            cluster.entries[principal] = entry
        return cluster

    def create_nodegroup(self, cluster_name: str, **given: Any) -> Any:  # type: ignore[override]
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html."""
        self.settle()
        given["scaling_config"] = {"minSize": 1, "maxSize": 2, "desiredSize": 2} | (given.get("scaling_config") or {})
        _check_sizes(given["scaling_config"])
        nodegroup = cast("LocalNodegroup", super().create_nodegroup(cluster_name, **given))
        nodegroup.becomes = self._ends_in("ACTIVE")
        self._create_asg(nodegroup)
        return nodegroup

    def describe_cluster(self, name: str) -> Any:
        """Read a cluster; its endpoint is that of this server, which has another port after a restart."""
        self.settle()
        cluster = super().describe_cluster(name)
        cluster.endpoint, authority = type(self).endpoint_of(self.account_id, self.region_name, name)
        cluster.certificate_authority = {"data": authority}
        return cluster

    def list_clusters(self, max_results: int, next_token: str | None) -> Any:
        """List the names of clusters."""
        self.settle()
        return super().list_clusters(max_results, next_token)

    def describe_nodegroup(self, cluster_name: str, nodegroup_name: str) -> Any:
        """Read a node group."""
        self.settle()
        return super().describe_nodegroup(cluster_name, nodegroup_name)

    def list_nodegroups(self, cluster_name: str, max_results: int, next_token: str | None) -> Any:
        """List the names of node groups; a wrong cluster is an error, not a crash."""
        self.describe_cluster(cluster_name)
        return super().list_nodegroups(cluster_name, max_results, next_token)

    def update_nodegroup_config(self, cluster_name: str, nodegroup_name: str, **given: Any) -> Any:  # type: ignore[override]
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupConfig.html."""
        nodegroup = cast("LocalNodegroup", self.describe_nodegroup(cluster_name, nodegroup_name))
        if nodegroup.status not in {"ACTIVE", "DEGRADED"}:
            raise ResourceInUseException(
                clusterName=cluster_name,
                nodegroupName=nodegroup_name,
                addonName=None,
                message="Nodegroup cannot be updated as it is currently not in Active State",
            )
        sizes = nodegroup.scaling_config | (given.get("scaling_config") or {})
        _check_sizes(sizes)
        done = super().update_nodegroup_config(cluster_name, nodegroup_name, **given)
        ends_in = self._ends_in("ACTIVE")
        update = Update(done["params"], time.time(), Clock.after(UPDATE), fails=ends_in != "ACTIVE")
        nodegroup.change(update, ends_in)
        if ends_in == "ACTIVE":
            nodegroup.scale()
        self._update_asg(nodegroup)
        return update.view()

    def describe_update(self, name: str, update_id: str, nodegroup_name: str | None) -> dict[str, Any]:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeUpdate.html."""
        self.describe_cluster(name)
        updates = self.describe_nodegroup(name, nodegroup_name).updates if nodegroup_name else {}
        if update_id not in updates:
            raise ResourceNotFoundException(message=f"No update found for ID: {update_id}")
        return cast("Update", updates[update_id]).view()

    def delete_nodegroup(self, cluster_name: str, nodegroup_name: str) -> Any:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteNodegroup.html."""
        nodegroup = cast("LocalNodegroup", self.describe_nodegroup(cluster_name, nodegroup_name))
        nodegroup.status, nodegroup.until = "DELETING", Clock.after(DELETE)
        nodegroup.scaling_config |= {"desiredSize": 0}
        nodegroup.scale()
        with self.cloud.lock("autoscaling"), self.cloud.lock("ec2"):
            autoscaling_backends[self.account_id][self.region_name].delete_auto_scaling_group(nodegroup.asg_name)
        return nodegroup

    def delete_cluster(self, name: str) -> Any:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html."""
        self.describe_cluster(name)
        cluster = cast("LocalCluster", super().delete_cluster(name))
        self.clusters[name] = cluster
        self.cluster_count += 1
        cluster.status, cluster.until = "DELETING", Clock.after(DELETE)
        return cluster

    def tag_resource(self, resource_arn: str, tags: dict[str, str]) -> None:
        """Tag a cluster or node group."""
        self._tags(resource_arn).update(tags)

    def untag_resource(self, resource_arn: str, tag_keys: list[str]) -> None:
        """Take tags off a cluster or node group."""
        tags = self._tags(resource_arn)
        for key in tag_keys:
            tags.pop(key, None)

    def list_tags_for_resource(self, resource_arn: str) -> dict[str, str]:
        """List the tags of a cluster or node group."""
        return self._tags(resource_arn)

    def _tags(self, arn: str) -> dict[str, str]:
        self.settle()
        found: list[Any] = [
            *self.clusters.values(),
            *(group for one in self.clusters.values() for group in one.nodegroups.values()),
        ]
        for resource in found:
            if resource.arn == arn:
                tags: dict[str, str] = resource.tags
                return tags
        raise ResourceNotFoundException(message="Resource was not found")

    # ---- access entries --------------------------------------------------------------------------------------------

    def create_access_entry(
        self, name: str, principal_arn: str, groups: list[str], username: str | None, tags: dict[str, str]
    ) -> AccessEntry:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAccessEntry.html."""
        cluster = cast("LocalCluster", self.describe_cluster(name))
        if principal_arn in cluster.entries:
            raise ResourceInUseException(
                clusterName=name, message="The specified access entry resource is already in use on this cluster."
            )
        for group in groups:
            if group.startswith(("system:", "eks:", "aws:", "amazon:", "iam:")):
                raise InvalidParameterException(message=f"The kubernetes group name {group} is invalid.")
        entry = AccessEntry(principal_arn, username or principal_arn, groups, time.time(), tags)
        cluster.entries[principal_arn] = entry
        return entry

    def access_entry(self, name: str, principal_arn: str) -> AccessEntry:
        """Entry of a principal.

        :raises ResourceNotFoundException: there is none.
        """
        cluster = cast("LocalCluster", self.describe_cluster(name))
        if principal_arn not in cluster.entries:
            raise ResourceNotFoundException(
                message=f"The specified principalArn could not be found: {principal_arn}", clusterName=name
            )
        return cluster.entries[principal_arn]

    def list_access_entries(self, name: str, max_results: int, next_token: str | None) -> tuple[list[str], Any]:
        """List the principals that have an entry."""
        cluster = cast("LocalCluster", self.describe_cluster(name))
        return paginated_list(list(cluster.entries), max_results, next_token)

    def delete_access_entry(self, name: str, principal_arn: str) -> None:
        """Remove an entry."""
        self.access_entry(name, principal_arn)
        del cast("LocalCluster", self.describe_cluster(name)).entries[principal_arn]

    def associate_access_policy(self, name: str, principal_arn: str, policy_arn: str, scope: dict[str, Any]) -> None:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_AssociateAccessPolicy.html."""
        if policy_arn not in POLICIES:
            raise ResourceNotFoundException(message=f"The policyArn {policy_arn} could not be found.")
        if scope.get("type") == "namespace" and not scope.get("namespaces"):
            raise InvalidParameterException(message="At least one namespace must be specified.")
        self.access_entry(name, principal_arn).policies[policy_arn] = scope

    # ---- inside ----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Let every cluster be what the clock says."""
        for name, cluster in list(self.clusters.items()):
            if isinstance(cluster, LocalCluster) and not cluster.settle():
                del self.clusters[name]
                self.cluster_count -= 1

    def end(self, name: str, nodegroup_name: str | None, status: str) -> None:
        """Put a cluster or node group into a status of failure; an unknown one is left to the call."""
        self.settle()
        cluster = self.clusters.get(name)
        found = cluster.nodegroups.get(nodegroup_name) if cluster and nodegroup_name else cluster
        if found is not None:
            found.status = status

    def _ends_in(self, otherwise: str) -> str:
        ends_in = self.cloud.ends_in
        return ends_in if ends_in in FAILURES else otherwise

    def _create_asg(self, nodegroup: LocalNodegroup) -> None:
        tags = [
            {"key": key, "value": value, "resource_id": nodegroup.asg_name, "propagate_at_launch": "true"}
            for key, value in (
                ("eks:cluster-name", nodegroup.cluster_name),
                ("eks:nodegroup-name", nodegroup.nodegroup_name),
            )
        ]
        sizes = nodegroup.scaling_config
        with self.cloud.lock("autoscaling"), self.cloud.lock("ec2"):
            template = ec2_backends[self.account_id][self.region_name].create_launch_template(
                nodegroup.asg_name, "", {"ImageId": "ami-12c6146b", "InstanceType": nodegroup.instance_types[0]}, {}
            )
            autoscaling_backends[self.account_id][self.region_name].create_auto_scaling_group(
                name=nodegroup.asg_name,
                availability_zones=[],
                desired_capacity=sizes["desiredSize"],
                max_size=sizes["maxSize"],
                min_size=sizes["minSize"],
                launch_config_name="",
                launch_template={"LaunchTemplateId": template.id, "Version": "1"},
                vpc_zone_identifier=",".join(nodegroup.subnets),
                default_cooldown=None,
                health_check_period=None,
                health_check_type=None,
                load_balancers=[],
                target_group_arns=[],
                placement_group=None,
                termination_policies=[],
                tags=tags,
            )

    def _update_asg(self, nodegroup: LocalNodegroup) -> None:
        sizes = nodegroup.scaling_config
        with self.cloud.lock("autoscaling"), self.cloud.lock("ec2"):
            autoscaling_backends[self.account_id][self.region_name].update_auto_scaling_group(
                name=nodegroup.asg_name,
                availability_zones=[],
                desired_capacity=sizes["desiredSize"],
                max_size=sizes["maxSize"],
                min_size=sizes["minSize"],
                launch_config_name="",
                launch_template={},
                vpc_zone_identifier="",
                health_check_period=0,
                health_check_type="",
            )


def _check_sizes(sizes: dict[str, int]) -> None:
    low, wanted, high = sizes["minSize"], sizes["desiredSize"], sizes["maxSize"]
    for wrong, message in (
        (low < 0, f"Minimum capacity {low} can't be negative"),
        (high < 1, f"Maximum capacity {high} must be at least 1"),
        (low > wanted, f"Minimum capacity {low} can't be greater than desired size {wanted}"),
        (wanted > high, f"Desired capacity {wanted} can't be greater than max size {high}"),
    ):
        if wrong:
            raise InvalidParameterException(message=message)
