"""Links from a task to what it works on: pages of AWS's console, and the files of a run.

Airflow asks for a link in the process of the task when a try ends or waits, and keeps the answer as an XCom; the API server
never calls these classes. So a link is made of what the task knows: its rendered parameters, or ``links`` that it filled in.
A parameter that could not be rendered, because the task before it failed, gives no link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperatorLink

from aurora_ops.core import console

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


def _text(operator: Any, name: str) -> str:
    value = getattr(operator, name, None)
    return value if isinstance(value, str) else ""


class ClusterLink(BaseOperatorLink):
    """To the cluster in ``cluster_id``."""

    name: ClassVar[str] = "RDS cluster"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Build the address from the task's region and cluster."""
        region, cluster_id = _text(operator, "region_name"), _text(operator, "cluster_id")
        return console.cluster(region, cluster_id) if region and cluster_id else ""


class SnapshotLink(BaseOperatorLink):
    """To the snapshot in ``snapshot_id``."""

    name: ClassVar[str] = "RDS snapshot"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Build the address from the task's region and snapshot."""
        region, snapshot_id = _text(operator, "region_name"), _text(operator, "snapshot_id")
        return console.snapshot(region, snapshot_id) if region and snapshot_id else ""


class SecretLink(BaseOperatorLink):
    """To the secret in ``secret_arn``, which the task learns while it works."""

    name: ClassVar[str] = "Master secret"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Build the address from the task's region and secret."""
        region, secret_arn = _text(operator, "region_name"), _text(operator, "secret_arn")
        return console.secret(region, secret_arn) if region and secret_arn else ""


class _KnownLink(BaseOperatorLink):
    """One of the addresses in the task's ``links``."""

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Look the address up."""
        return str(getattr(operator, "links", {}).get(self.name, ""))


class ReportLink(_KnownLink):
    """To the report of the run."""

    name: ClassVar[str] = "Report"


class RecordLink(_KnownLink):
    """To the record of the run."""

    name: ClassVar[str] = "Record"


class ExportLink(BaseOperatorLink):
    """To the objects of an export, in S3, below ``prefix`` of ``bucket``."""

    name: ClassVar[str] = "Export in S3"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002
        """Build the address from the task's region, bucket and prefix."""
        region, bucket, prefix = (_text(operator, name) for name in ("region_name", "bucket", "prefix"))
        return console.stored_folder(region, bucket, prefix + "/") if region and bucket and prefix else ""


ALL = (ClusterLink(), SnapshotLink(), SecretLink(), ReportLink(), RecordLink(), ExportLink())
