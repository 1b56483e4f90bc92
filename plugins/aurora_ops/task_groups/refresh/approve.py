"""A person is asked before anything that serves changes, where the settings or the run want it."""

from __future__ import annotations

from typing import Any

from aurora_ops.core.settings import Environment
from aurora_ops.operators.approval import ApproveSwitchOperator
from aurora_ops.task_groups.typed import Outputs, at, group


@group("approve")
def approve(settings: Environment, plan: Outputs, resource_id: Any, results: dict[str, Any]) -> ApproveSwitchOperator:
    """Ask whether the switch may happen.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    :param resource_id: ``DbClusterResourceId`` of the restored cluster.
    :param results: what the verifying steps returned, by name.
    """
    orchestrator = settings.orchestrator
    return ApproveSwitchOperator(
        task_id="approve_switch",
        required=plan["approval_required"],
        resource_id=resource_id,
        plan=plan.all,
        results=results,
        windows=plan["windows"],
        within_h=settings.approval.within_h,
        approvers=settings.approval.approvers,
        topic_arn=orchestrator.topic_arn,
        **at(orchestrator),
    )
