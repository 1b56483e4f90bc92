"""What tests of masking share: the operator's work on a real server, as Aurora's master user, without AWS around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aurora_ops.hooks.mysql import Login
from aurora_ops.operators.mask_tables import MaskDatabaseOperator

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.mariadb.engine import Engine

MASTER, PASSWORD = "admin", "master-password"


def serve(engine: Engine, key: str, address: str, port: int) -> Login:
    """Start a cluster and give the login of its master user."""
    if not engine.running(key):
        engine.start(key)
    engine.set_master(key, MASTER, PASSWORD)
    engine.expose(key, {address})
    return Login(address, port, MASTER, PASSWORD)


def operator(*folders: Path, run_key: str = "run", **masking: Any) -> MaskDatabaseOperator:
    """The task that masks."""
    return MaskDatabaseOperator(
        task_id="mask_database",
        aws_conn_id="none",
        cluster_id="none",
        run_key=run_key,
        folders=[str(folder) for folder in folders],
        masking=masking,
    )


def mask(login: Login, *folders: Path, run_key: str = "run", **masking: Any) -> dict[str, Any]:
    """Mask as the task does once it has found its cluster."""
    task = operator(*folders, run_key=run_key, **masking)
    with task.connect(login) as sql:
        task._prepare(sql, login)
        return task.step(sql)
