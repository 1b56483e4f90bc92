"""Sensors for snapshots of other accounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import MissingError
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.operators.base import RefreshOperator, Result


class SharedSnapshotSensor(RefreshOperator[RdsHook]):
    """Wait until a snapshot that another account shares can be seen here, and prove that its key can be used.

    It is the destination that asks (``DescribeDBClusterSnapshots`` by ARN with ``IncludeShared``, ``kms:DescribeKey``): what
    the source believes to have shared proves nothing.

    :param snapshot_arn: ARN of the shared snapshot (templated).
    :param within_s: seconds until it must be visible.
    :return: ``{"snapshot_arn", "kms_key_arn"}``.
    :raises MissingError: its key cannot be used from here.
    """

    hook_class = RdsHook
    permissions: ClassVar[tuple[str, ...]] = ("rds:DescribeDBClusterSnapshots", "kms:DescribeKey")
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "snapshot_arn")

    def __init__(self, *, snapshot_arn: str, within_s: int = 900, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot_arn = snapshot_arn
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Look; wait for what is not yet visible."""
        found = self.hook.find_snapshot(self.snapshot_arn)
        if found is None or found.status != "available":
            return self.wait_until(
                Wait(
                    waiter="shared_snapshot_visible",
                    args={"DBClusterSnapshotIdentifier": self.snapshot_arn, "IncludeShared": True},
                    show="DBClusterSnapshots[].Status",
                    within_s=self.within_s,
                    every_s=10,
                ),
                context,
            )
        if found.encrypted and KmsHook(self.aws_conn_id, self.region_name).find_key(found.kms_key_arn) is None:
            raise MissingError(
                f"key {found.kms_key_arn} of {self.snapshot_arn} cannot be used from here; its key policy or a grant must "
                f"allow the role behind {self.aws_conn_id}"
            )
        return {"snapshot_arn": found.arn, "kms_key_arn": found.kms_key_arn}
