"""Copies of snapshots that RDS cannot export themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import naming
from aurora_ops.core.exports import names
from aurora_ops.core.settings_exports import Exports
from aurora_ops.operators.base import Result
from aurora_ops.operators.snapshots import CopySnapshotOperator, DeleteSnapshotOperator


class CopyForExportOperator(CopySnapshotOperator):
    """Copy a snapshot under a customer key, or to a region that exports, where its database's settings ask for that.

    :param settings: section ``exports`` of the settings, as JSON.
    :param database: name of the export (templated).
    :param environment: environment, for the copy's name.
    :param source_regions: name of an export to the region of its snapshots.
    :return: as ``CopySnapshotOperator``, and ``remove_id``, the copy; where none is asked for the snapshot as it is, and no copy.
    """

    permissions: ClassVar[tuple[str, ...]] = CopySnapshotOperator.permissions
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = dict.fromkeys(("source", "target"), permissions)
    template_fields = (*CopySnapshotOperator.template_fields, "database")

    def __init__(
        self,
        *,
        settings: dict[str, Any],
        database: str,
        environment: str,
        source_regions: dict[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"snapshot_id": "", "kms_key_id": None, **kwargs})
        self.settings = settings
        self.database = database
        self.environment = environment
        self.source_regions = source_regions

    def take_pass(self, context: Context) -> Result:
        """Give the snapshot back, or copy it."""
        database = Exports.model_validate(self.settings).database(self.database)
        if database.copy_first is None:
            return {"snapshot_id": None, "snapshot_arn": self.source, "copied": False, "remove_id": None}
        task = names.task(self.source)
        self.kms_key_id = database.copy_first.kms_key_id
        self.snapshot_id = naming.fit(f"export-{self.environment}-{task}", "")
        self.source_region = self.source_regions[database.name]
        found = super().take_pass(context)
        return {**found, "remove_id": found["snapshot_id"]}


class DeleteExportCopyOperator(DeleteSnapshotOperator):
    """Delete the copy again, in whichever account it is, and wait until it is gone; see ``DeleteSnapshotOperator``.

    :return: ``{"snapshot_id", "status": "absent"}``; ``snapshot_id`` is ``None`` where nothing was copied.
    """

    permissions: ClassVar[tuple[str, ...]] = DeleteSnapshotOperator.permissions
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = dict.fromkeys(("source", "target"), permissions)
