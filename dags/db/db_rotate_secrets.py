"""
Give database users of the environment new passwords, in the database and in their secrets.

For each user: a new version of its secret, the password set in the cluster and proven, then the version made current. Needs
no rotation Lambda. Other users of the cluster are left alone.

**When.** By hand, from the trigger form in Airflow, after somebody has seen a password; the refresh does it by itself.

**Safe to run again?** Yes. Clearing a run's tasks uses the same passwords again; a new run makes new ones.

**Triage.** `check` red: the message names field, value and what is allowed; nothing was changed. `set_users` red: the user
is missing in the cluster. `verify` red: the new login does not work; what was current is *AWSPREVIOUS*.
"""

from __future__ import annotations

from typing import Any

from aurora_ops.dagkit.workflows import Job, workflow
from aurora_ops.operators.cluster_power import FindClusterOperator
from aurora_ops.operators.credentials import MoveSecretsOperator
from aurora_ops.operators.users import SetUsersOperator
from aurora_ops.operators.verify import VerifyServingOperator
from aurora_ops.task_groups.typed import Outputs


@workflow(__doc__, locks=True)
def db_rotate_secrets(job: Job) -> None:
    """Place its tasks."""
    at_target = job.at("target")
    sql: dict[str, Any] = {"cluster_id": job["cluster"], "tls_ca": job["tls_ca"], **at_target}
    cluster = FindClusterOperator(task_id="find_cluster", cluster_id=job["cluster"], **at_target)
    set_users = SetUsersOperator(
        task_id="set_users",
        users=job["users"],
        run_key=job["run_key"],
        serving_id=job["cluster"],
        serving_host=Outputs(cluster)["endpoint"],
        drop_others=False,
        **sql,
    )
    move = MoveSecretsOperator(task_id="move_secrets", versions=Outputs(set_users)["versions"], **at_target)
    verify = VerifyServingOperator(
        task_id="verify", resource_id=Outputs(cluster)["resource_id"], users=job["users"], **sql
    )
    cluster >> set_users >> move >> verify
