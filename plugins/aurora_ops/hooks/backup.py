"""AWS Backup: recovery points of file systems, and the jobs that copy and restore them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aurora_ops.core.files import RecoveryPoint
from aurora_ops.hooks.base import AwsHook


@dataclass(frozen=True)
class CopyJob:
    """What matters of a copy job."""

    job_id: str
    status: str
    copy_arn: str
    created: datetime | None
    message: str

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> CopyJob:
        """Read a ``CopyJob`` of the Backup API."""
        return cls(
            job_id=raw["CopyJobId"],
            status=raw["State"],
            copy_arn=raw.get("DestinationRecoveryPointArn") or "",
            created=raw.get("CreationDate"),
            message=raw.get("StatusMessage") or "",
        )


@dataclass(frozen=True)
class RestoreJob:
    """What matters of a restore job."""

    job_id: str
    status: str
    point_arn: str
    created_arn: str
    created: datetime | None
    message: str

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> RestoreJob:
        """Read a restore job as it is described or listed."""
        return cls(
            job_id=raw["RestoreJobId"],
            status=raw["Status"],
            point_arn=raw.get("RecoveryPointArn") or "",
            created_arn=raw.get("CreatedResourceArn") or "",
            created=raw.get("CreationDate"),
            message=raw.get("StatusMessage") or "",
        )


class BackupHook(AwsHook):
    """Vaults of one account and region."""

    service = "backup"

    def require_vault(self, vault: str) -> None:
        """See that a vault is there (``DescribeBackupVault``).

        :raises MissingError: there is none of that name.
        """
        self.call("describe_backup_vault", BackupVaultName=vault)

    def list_recovery_points(self, vault: str, resource_arn: str | None = None) -> list[RecoveryPoint]:
        """List the recovery points of a vault, all pages, whatever their status.

        :param resource_arn: only those of this file system.
        """
        found = self.pages(
            "list_recovery_points_by_backup_vault", "RecoveryPoints", BackupVaultName=vault, ByResourceArn=resource_arn
        )
        return [
            RecoveryPoint(
                arn=raw["RecoveryPointArn"],
                vault=vault,
                resource_arn=raw.get("ResourceArn") or "",
                status=raw["Status"],
                created=raw["CreationDate"],
                size_bytes=int(raw.get("BackupSizeInBytes") or 0),
            )
            for raw in found
        ]

    def list_copy_jobs(self, point_arn: str, vault_arn: str) -> list[CopyJob]:
        """List the jobs that copy or have copied a recovery point into a vault, all pages."""
        found = self.pages(
            "list_copy_jobs", "CopyJobs", BySourceRecoveryPointArn=point_arn, ByDestinationVaultArn=vault_arn
        )
        return [CopyJob.of(raw) for raw in found]

    def find_copy_job(self, job_id: str) -> CopyJob:
        """Look a copy job up (``DescribeCopyJob``).

        :raises MissingError: there is none.
        """
        return CopyJob.of(self.call("describe_copy_job", CopyJobId=job_id)["CopyJob"])

    def start_copy(self, point_arn: str, *, vault: str, to_vault_arn: str, role_arn: str, token: str) -> str:
        """Copy a recovery point into another vault (``StartCopyJob``), asked in the account that has it; the job's id."""
        return str(
            self.call(
                "start_copy_job",
                RecoveryPointArn=point_arn,
                SourceBackupVaultName=vault,
                DestinationBackupVaultArn=to_vault_arn,
                IamRoleArn=role_arn,
                IdempotencyToken=token,
            )["CopyJobId"]
        )

    def list_restore_jobs(self) -> list[RestoreJob]:
        """List the restore jobs of file systems, all pages."""
        return [RestoreJob.of(raw) for raw in self.pages("list_restore_jobs", "RestoreJobs", ByResourceType="EFS")]

    def start_restore(self, point_arn: str, *, metadata: Mapping[str, str], role_arn: str, token: str) -> str:
        """Restore a recovery point of this account (``StartRestoreJob``); the job's id."""
        return str(
            self.call(
                "start_restore_job",
                RecoveryPointArn=point_arn,
                Metadata=dict(metadata),
                IamRoleArn=role_arn,
                IdempotencyToken=token,
                ResourceType="EFS",
            )["RestoreJobId"]
        )
