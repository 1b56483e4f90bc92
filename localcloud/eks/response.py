"""Answers of EKS: what moto lacks, in AWS's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from moto.core.responses import ActionResult, EmptyResult
from moto.eks.responses import DEFAULT_MAX_RESULTS, EKSResponse

if TYPE_CHECKING:
    from localcloud.eks.backend import LocalEksBackend
    from localcloud.eks.models import AccessEntry

ROUTES = (
    "{0}/clusters/(?P<name>[^/]+)/updates/(?P<updateId>[^/]+)$",
    "{0}/clusters/(?P<name>[^/]+)/access-entries$",
    "{0}/clusters/(?P<name>[^/]+)/access-entries/(?P<rest>.+)$",
)


class Response(EKSResponse):
    """EKS with updates and access entries."""

    @property
    def local(self) -> LocalEksBackend:
        """Backend of the caller's account and region."""
        return cast("LocalEksBackend", self.eks_backend)

    def create_cluster(self) -> ActionResult:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html."""
        cluster = self.local.create_cluster(
            self._get_param("name"),
            version=self._get_param("version"),
            role_arn=self._get_param("roleArn"),
            resources_vpc_config=self._get_param("resourcesVpcConfig"),
            access_config=self._get_param("accessConfig"),
            tags=self._get_param("tags"),
        )
        return ActionResult({"cluster": cluster})

    def describe_update(self) -> ActionResult:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeUpdate.html."""
        update = self.local.describe_update(
            self._get_param("name"), self._get_param("updateId"), self._get_param("nodegroupName")
        )
        return ActionResult({"update": update})

    def untag_resource(self) -> ActionResult:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_UntagResource.html; moto takes the first key only."""
        self.local.untag_resource(self._extract_arn_from_path(), self.querystring.get("tagKeys", []))
        return EmptyResult()

    def create_access_entry(self) -> ActionResult:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAccessEntry.html."""
        entry = self.local.create_access_entry(
            self._cluster,
            self._get_param("principalArn"),
            self._get_param("kubernetesGroups") or [],
            self._get_param("username"),
            self._get_param("tags") or {},
        )
        return ActionResult({"accessEntry": self._entry(entry)})

    def describe_access_entry(self) -> ActionResult:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeAccessEntry.html."""
        return ActionResult({"accessEntry": self._entry(self.local.access_entry(self._cluster, self._principal))})

    def list_access_entries(self) -> ActionResult:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_ListAccessEntries.html."""
        entries, token = self.local.list_access_entries(
            self._cluster, self._get_int_param("maxResults", DEFAULT_MAX_RESULTS), self._get_param("nextToken")
        )
        return ActionResult({"accessEntries": entries, "nextToken": token})

    def delete_access_entry(self) -> ActionResult:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteAccessEntry.html."""
        self.local.delete_access_entry(self._cluster, self._principal)
        return EmptyResult()

    def associate_access_policy(self) -> ActionResult:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_AssociateAccessPolicy.html."""
        principal, policy = self._principal, self._get_param("policyArn")
        scope = self._get_param("accessScope")
        self.local.associate_access_policy(self._cluster, principal, policy, scope)
        return ActionResult(
            {
                "clusterName": self._cluster,
                "principalArn": principal,
                "associatedAccessPolicy": {"policyArn": policy, "accessScope": scope},
            }
        )

    def list_associated_access_policies(self) -> ActionResult:
        """https://docs.aws.amazon.com/eks/latest/APIReference/API_ListAssociatedAccessPolicies.html."""
        principal = self._principal
        policies = self.local.access_entry(self._cluster, principal).policies
        return ActionResult(
            {
                "clusterName": self._cluster,
                "principalArn": principal,
                "associatedAccessPolicies": [
                    {"policyArn": arn, "accessScope": scope} for arn, scope in policies.items()
                ],
            }
        )

    @property
    def _cluster(self) -> str:
        return str(self._get_param("name"))

    @property
    def _principal(self) -> str:
        """Principal in the path, where it is encoded: an ARN has slashes."""
        return str(self._get_param("principalArn") or self._get_param("rest")).removesuffix("/access-policies")

    def _entry(self, entry: AccessEntry) -> dict[str, Any]:
        return {
            "clusterName": self._cluster,
            "principalArn": entry.principal_arn,
            "kubernetesGroups": entry.groups,
            "username": entry.username,
            "createdAt": entry.created,
            "tags": entry.tags,
            "type": "STANDARD",
        }
