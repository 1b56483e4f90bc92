"""What uses claims, at 0 while something is done to the claims, and back as it was whatever has become of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator

from aurora_ops.operators.workloads import StartWorkloadsOperator, StopWorkloadsOperator


class Scaled(NamedTuple):
    """Tasks that others refer to.

    :param last: what is over when all is.
    """

    stop: StopWorkloadsOperator
    last: list[BaseOperator]


def scale_workloads(
    inside: dict[str, Any],
    *,
    workloads: Any,
    claims: Any,
    run_key: Any,
    work: list[BaseOperator],
    undo: list[BaseOperator] | None = None,
    lock: Any = None,
) -> Scaled:
    """Place tasks between one that stops workloads and one that starts them.

    Starting is a teardown, so it runs also after a failure, and when somebody ends the run. What follows it stands at the end of
    the branch: it fails with any of the work, of which the teardown would otherwise be the last word, and with the start.

    :param inside: cluster, namespace, connection and region, as operators of Kubernetes take them.
    :param workloads: ``Deployment/<name>`` or ``StatefulSet/<name>`` each; none is nothing to do.
    :param claims: claims that the work is done to.
    :param run_key: the run, as ``refresh_plan.run_key`` writes it.
    :param work: tasks that need the claims unused.
    :param undo: tasks that mend what a failure of these has left, before anything uses the claims again.
    :param lock: what taking the target's lock has left: with it, what a dead run has stopped is started too.
    """
    noted: dict[str, Any] = {"workloads": workloads, "run_key": run_key, **inside}
    stop = StopWorkloadsOperator(task_id="stop_workloads", claims=claims, **noted)
    start = StartWorkloadsOperator(task_id="start_workloads", lock=lock, **noted)
    stop >> work
    [*work, *(undo or [])] >> start.as_teardown()
    return Scaled(stop, [*settle(work, undo, start), start])


def settle(
    work: list[BaseOperator], undo: list[BaseOperator] | None = None, start: BaseOperator | None = None
) -> list[BaseOperator]:
    """Place the end of a branch, which fails where any of it does, although something else comes after a failure.

    :param work: tasks that must succeed.
    :param undo: tasks that run if one of these fails.
    :param start: task that must succeed too.
    :return: the end, and what may be under way when it has failed.
    """
    claims_settled = EmptyOperator(task_id="claims_settled")
    [*work, *([start] if start else [])] >> claims_settled
    return [claims_settled, *(undo or [])]
