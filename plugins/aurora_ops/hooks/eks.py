"""Amazon EKS: clusters, managed node groups, and tokens for a cluster's Kubernetes API."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from botocore.signers import RequestSigner

from aurora_ops.core.errors import MissingError, StateError
from aurora_ops.hooks.base import AwsHook, aws_errors

_TOKEN_PREFIX = "k8s-aws-v1."  # noqa: S105 - of every token
_SIGNED_FOR_S = 60
_CLUSTER_HEADER = "x-k8s-aws-id"


@dataclass(frozen=True)
class Nodegroup:
    """A managed node group.

    :param sizes: ``{"minSize", "maxSize", "desiredSize"}``, in nodes.
    :param taints: as EKS writes them, effect ``NO_SCHEDULE``.
    :param issues: what EKS says is wrong with it.
    """

    name: str
    arn: str
    status: str
    sizes: dict[str, int]
    labels: dict[str, str]
    taints: list[dict[str, str]]
    tags: dict[str, str]
    issues: list[str]


@dataclass(frozen=True)
class Endpoint:
    """Where a cluster's Kubernetes API answers.

    :param authority: certificate of its authority, PEM.
    """

    url: str
    authority: str


class EksHook(AwsHook):
    """Clusters and node groups of one account and region."""

    service = "eks"

    def require_endpoint(self, cluster: str) -> Endpoint:
        """Find a cluster's API (``DescribeCluster``).

        :raises MissingError: there is no such cluster.
        :raises StateError: it is not active, so it has none.
        """
        try:
            found = self.call("describe_cluster", name=cluster)["cluster"]
        except MissingError as exc:
            raise MissingError(f"no EKS cluster {cluster} behind {self.aws_conn_id}; correct eks.cluster") from exc
        if found["status"] not in ("ACTIVE", "UPDATING"):
            raise StateError(f"EKS cluster {cluster} is {found['status']}; it must be ACTIVE")
        return Endpoint(found["endpoint"], base64.b64decode(found["certificateAuthority"]["data"]).decode("ascii"))

    def token(self, cluster: str) -> str:
        """Make a token for a cluster's API: a presigned ``sts:GetCallerIdentity`` that names the cluster.

        EKS accepts it for 15 minutes after it was signed, and as long as the credentials live that signed it.
        """
        with aws_errors(f"eks:token {cluster}"):
            session = self.get_session(region_name=self.region_name)
            sts: Any = session.client("sts", region_name=self.region_name)
            credentials = session.get_credentials()
            region = sts.meta.region_name
            signer = RequestSigner(sts.meta.service_model.service_id, region, "sts", "v4", credentials, sts.meta.events)
            url = signer.generate_presigned_url(
                {
                    "method": "GET",
                    "url": f"{sts.meta.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15",
                    "body": {},
                    "headers": {_CLUSTER_HEADER: cluster},
                    "context": {},
                },
                region_name=region,
                expires_in=_SIGNED_FOR_S,
                operation_name="",
            )
        return _TOKEN_PREFIX + base64.urlsafe_b64encode(url.encode()).decode("ascii").rstrip("=")

    def find_nodegroup(self, cluster: str, name: str) -> Nodegroup | None:
        """Read a node group (``DescribeNodegroup``); ``None`` where there is none."""
        try:
            found = self.call("describe_nodegroup", clusterName=cluster, nodegroupName=name)["nodegroup"]
        except MissingError:
            return None
        issues = (found.get("health") or {}).get("issues") or []
        return Nodegroup(
            name=found["nodegroupName"],
            arn=found["nodegroupArn"],
            status=found["status"],
            sizes={key: int(found["scalingConfig"][key]) for key in ("minSize", "maxSize", "desiredSize")},
            labels=found.get("labels") or {},
            taints=found.get("taints") or [],
            tags=found.get("tags") or {},
            issues=[f"{issue.get('code')}: {issue.get('message')}" for issue in issues],
        )

    def scale_nodegroup(self, cluster: str, name: str, sizes: dict[str, int]) -> None:
        """Change the sizes of a node group (``UpdateNodegroupConfig``).

        :param sizes: any of ``minSize``, ``maxSize``, ``desiredSize``, in nodes.
        :raises BusyError: it is being changed.
        """
        self.call("update_nodegroup_config", clusterName=cluster, nodegroupName=name, scalingConfig=sizes)

    def tag(self, arn: str, tags: dict[str, str]) -> None:
        """Tag a node group (``TagResource``)."""
        self.call("tag_resource", resourceArn=arn, tags=tags)

    def untag(self, arn: str, keys: list[str]) -> None:
        """Take tags off a node group (``UntagResource``)."""
        self.call("untag_resource", resourceArn=arn, tagKeys=keys)
