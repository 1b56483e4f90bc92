"""Sensors for replications of file systems."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import ConfigError, MissingError, StateError, VerificationError
from aurora_ops.core.files import is_synced
from aurora_ops.hooks.efs import EfsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.file_replication import replication_enabled


class ReplicationSyncedSensor(RefreshOperator[EfsHook]):
    """Wait until a replication has brought over everything that was written before a moment, or only tell whether it has.

    ``LastReplicatedTimestamp`` of ``DescribeReplicationConfigurations`` is compared with the moment: what was written to the
    source before that time is on the destination.

    :param file_system_id: source or destination of the replication (templated).
    :param since: the moment, ISO 8601 with its zone; the latest of several counts, ``None`` among them does not (templated).
    :param waits: wait for it; otherwise what is not synchronised is an error at once (templated).
    :param within_s: seconds until it must be.
    :return: ``{"source_file_system_id", "destination_file_system_id", "synced_to", "since", "lag_s"}``.
    :raises MissingError: the file system is part of no replication.
    :raises StateError: replication is in error, paused or ending.
    :raises VerificationError: it is not synchronised to the moment, and is not waited for.
    """

    hook_class = EfsHook
    permissions: ClassVar[tuple[str, ...]] = ("elasticfilesystem:DescribeReplicationConfigurations",)
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "file_system_id", "since", "waits")

    def __init__(
        self,
        *,
        file_system_id: str,
        since: Sequence[str | None],
        waits: bool = True,
        within_s: int = 6 * 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.file_system_id = file_system_id
        self.since = since
        self.waits = waits
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Look; wait for what is not yet over."""
        moment = self._moment()
        found = self.hook.find_replication(self.file_system_id)
        if found is None:
            raise MissingError(
                f"{self.file_system_id} is part of no replication; efs_setup_cross_account_replication sets one up"
            )
        if found.status not in ("ENABLED", "ENABLING"):
            raise StateError(
                f"replication of {self.file_system_id} is {found.status}: {found.message}; see the EFS console"
            )
        if found.status == "ENABLED" and found.synced_to is not None and is_synced(found.synced_to, moment):
            return {
                "source_file_system_id": found.source_id,
                "destination_file_system_id": found.destination_id,
                "synced_to": found.synced_to.isoformat(),
                "since": moment.isoformat(),
                "lag_s": round(max(0.0, (datetime.now(UTC) - found.synced_to).total_seconds())),
            }
        if not self.waits:
            raise VerificationError(
                f"{found.destination_id} has what {found.source_id} had at {found.synced_to or 'no moment yet'} "
                f"({found.status}), not at {moment.isoformat()}; efs_wait_replication_complete waits for it"
            )
        return self.wait_until(replication_enabled(self.file_system_id, self.within_s, moment.isoformat()), context)

    def _moment(self) -> datetime:
        given = [text for text in self.since if text]
        try:
            moments = [datetime.fromisoformat(text) for text in given]
        except ValueError:
            raise ConfigError("since", given, "write ISO 8601 with a zone, such as 2026-07-01T02:00:00+00:00") from None
        if not moments or any(moment.tzinfo is None for moment in moments):
            raise ConfigError("since", given, "write ISO 8601 with a zone, such as 2026-07-01T02:00:00+00:00")
        return max(moments)
