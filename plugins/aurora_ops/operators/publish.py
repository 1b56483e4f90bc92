"""Publishing where the database is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.ownership import EXPIRES_TAG, PUBLISHED_TAG
from aurora_ops.core.safety import require_refreshable
from aurora_ops.hooks.parameters import ParametersHook
from aurora_ops.hooks.rds import Instance, RdsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.clusters import ClusterOperator


class PublishClusterOperator(ClusterOperator):
    """Write a cluster's endpoint where applications look, and tag it with what it holds.

    It is not temporary any more: it and its instances lose their expiry. The AWS operations are ``ssm:PutParameter``,
    ``rds:AddTagsToResource`` and ``rds:RemoveTagsFromResource``.

    :param parameter: SSM parameter; ``None`` writes none (templated).
    :param run_key: names the run that made it (templated).
    :param snapshot_id: source snapshot of its data (templated).
    :return: ``{"cluster_id", "endpoint", "parameter"}``.
    :raises SafetyError: the cluster is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBInstances",
        "rds:AddTagsToResource",
        "rds:RemoveTagsFromResource",
        "ssm:GetParameter",
        "ssm:PutParameter",
    )
    template_fields: Sequence[str] = (*ClusterOperator.template_fields, "parameter", "run_key", "snapshot_id")

    def __init__(self, *, parameter: str | None, run_key: str, snapshot_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parameter = parameter
        self.run_key = run_key
        self.snapshot_id = snapshot_id

    def take_pass(self, context: Context) -> Result:
        """Write what differs."""
        hook: RdsHook = self.hook
        cluster = hook.require_cluster(self.cluster_id)
        require_refreshable(self.cluster_id, cluster.tags)
        for instance in map(Instance.of, hook.list_instances(self.cluster_id)):
            if EXPIRES_TAG in instance.tags:
                hook.remove_tags(instance.arn, [EXPIRES_TAG])
        if EXPIRES_TAG in cluster.tags:
            hook.remove_tags(cluster.arn, [EXPIRES_TAG])
        if self.parameter:
            parameters = ParametersHook(self.aws_conn_id, self.region_name)
            if parameters.find(self.parameter) != cluster.endpoint:
                parameters.put(self.parameter, cluster.endpoint)
        # last: by this mark the cluster that served before may go
        wanted = {PUBLISHED_TAG: self.run_key, "aurora-ops:snapshot": self.snapshot_id}
        if any(cluster.tags.get(key) != value for key, value in wanted.items()):
            hook.set_tags(cluster.arn, wanted)
        return {"cluster_id": cluster.cluster_id, "endpoint": cluster.endpoint, "parameter": self.parameter}
