"""A restored database: its users set, everything about it verified."""

from __future__ import annotations

from typing import Any, NamedTuple

from aurora_ops.operators.baseline import TakeBaselineOperator
from aurora_ops.operators.recovery import MarkVerifiedOperator
from aurora_ops.operators.users import SetUsersOperator
from aurora_ops.operators.verify_suite import VerifySuiteOperator
from aurora_ops.task_groups.typed import Outputs, Plan, group


class Verified(NamedTuple):
    """Tasks of the group that others refer to."""

    first: SetUsersOperator
    suite: VerifySuiteOperator
    marked: MarkVerifiedOperator


@group("verify")
def verify_restored(plan: Plan, at_target: dict[str, Any]) -> Verified:
    """Set the users of a restored database, verify it by its suite, and mark it as verified.

    :param plan: what ``CheckRestoreOperator`` decided.
    :param at_target: connection and region of the cluster.
    """
    login = {"secret_id": plan["master_secret"], "tls_ca": plan["tls_ca"], **at_target}
    report = {
        "suite": plan["suite_file"],
        "environment": plan["environment"],
        "report_bucket": plan["report_bucket"],
        "report_conn_id": plan["orchestrator_conn_id"],
        "report_region": plan["orchestrator_region"],
    }
    baseline = TakeBaselineOperator(
        task_id="take_baseline",
        cluster_id=plan["baseline_cluster"],
        known=plan["known_baseline"],
        secret_id=plan["baseline_secret"],
        tls_ca=plan["tls_ca"],
        aws_conn_id=plan["chosen_conn_id"],
        region_name=plan["chosen_region"],
        **report,
    )
    users = SetUsersOperator(
        task_id="set_users",
        cluster_id=plan["restored_cluster"],
        users=plan["database_users"],
        drop_others=plan["drop_others"],
        exact=True,
        run_key=plan["run_key"],
        serving_id=plan["cluster"],
        serving_host=plan["serving_host"],
        **login,
    )
    suite = VerifySuiteOperator(
        task_id="verify_suite",
        cluster_id=plan["restored_cluster"],
        users=plan["database_users"],
        baseline=Outputs(baseline)["uri"],
        moment=plan["data_at"],
        needs_baseline=False,
        **report,
        **login,
    )
    mark = MarkVerifiedOperator(
        task_id="mark_verified", cluster_id=plan["restored_cluster"], run_key=plan["run_key"], **at_target
    )
    users >> suite
    baseline >> suite
    return Verified(users, suite, mark)
