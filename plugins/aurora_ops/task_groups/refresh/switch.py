"""The moment at which the refreshed cluster begins to serve."""

from __future__ import annotations

from typing import Any

from aurora_ops.core.settings import Environment
from aurora_ops.task_groups.db.swap_cluster import Swapped, swap_cluster
from aurora_ops.task_groups.typed import Outputs, at


def switch(settings: Environment, plan: Outputs, resource_id: Any, versions: Any) -> Swapped:
    """Swap the clusters of an environment, and its users' secrets with them; on any failure the live one serves again.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    :param resource_id: ``DbClusterResourceId`` of the restored cluster.
    :param versions: secrets that become current with the swap.
    """
    target, database = settings.target, settings.database
    return swap_cluster(
        at(target),
        plan,
        resource_id,
        versions,
        users=[user.model_dump() for user in database.users],
        tls_ca=database.tls_ca,
        deletion_protection=target.deletion_protection,
    )
