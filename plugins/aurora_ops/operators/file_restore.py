"""Files out of a backup: a recovery point chosen, copied into the account that needs it, and restored there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import naming, ownership
from aurora_ops.core.errors import SafetyError, StateError
from aurora_ops.core.files import RecoveryPoint, choose_recovery_point, require_changeable
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.backup import BackupHook, RestoreJob
from aurora_ops.hooks.efs import EfsHook, FileSystem
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.file_systems import REFRESH_TAGS, available, find_file_system

RUNNING = ("CREATED", "PENDING", "RUNNING")


def newest_recovery_point(
    hook: BackupHook, file_system: str, vault: str, *, now: datetime, max_age_h: float
) -> tuple[FileSystem, RecoveryPoint]:
    """Look up a file system, and choose the newest completed recovery point of it.

    :param hook: account and region of both.
    :param file_system: by id or tag ``Name``.
    :param vault: backup vault.
    :param now: present moment.
    :param max_age_h: hours that it may be old.
    :raises MissingError: there is none; the message says what there is.
    """
    system = find_file_system(EfsHook(hook.aws_conn_id or "", hook.region_name), file_system)
    chosen = choose_recovery_point(
        hook.list_recovery_points(vault, system.arn),
        now=now,
        max_age_h=max_age_h,
        resource=f"{system.file_system_id} in vault {vault}",
    )
    return system, chosen


class ChooseRecoveryPointOperator(RefreshOperator[BackupHook]):
    """Choose the newest completed recovery point of a file system that is young enough, by its time.

    The AWS operation is ``ListRecoveryPointsByBackupVault``, all pages: their order says nothing about their age.

    :param file_system: file system, by id or tag ``Name`` (templated).
    :param vault: backup vault (templated).
    :param max_age_h: oldest accepted, in hours (templated).
    :return: ``{"recovery_point_arn", "vault", "file_system_id", "created", "age_h", "size_bytes"}``.
    :raises MissingError: there is none; the message says what there is.
    """

    hook_class = BackupHook
    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeFileSystems",
        "backup:ListRecoveryPointsByBackupVault",
    )
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "file_system", "vault", "max_age_h")

    def __init__(self, *, file_system: str, vault: str, max_age_h: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_system = file_system
        self.vault = vault
        self.max_age_h = max_age_h

    def take_pass(self, context: Context) -> Result:
        """Look."""
        now = datetime.now(UTC)
        system, chosen = newest_recovery_point(
            self.hook, self.file_system, self.vault, now=now, max_age_h=float(self.max_age_h)
        )
        return {
            "recovery_point_arn": chosen.arn,
            "vault": chosen.vault,
            "file_system_id": system.file_system_id,
            "created": chosen.created.isoformat(timespec="seconds"),
            "age_h": round((now - chosen.created).total_seconds() / 3600, 2),
            "size_bytes": chosen.size_bytes,
        }


class CopyRecoveryPointOperator(RefreshOperator[BackupHook]):
    """Copy a recovery point into a vault of another account, and wait for the copy.

    It is asked in the account that has the recovery point (``StartCopyJob``); the other vault's access policy must allow it. A
    copy that is there, or under way, is adopted. A recovery point that is in the wanted account already is left where it is.

    :param recovery_point_arn: recovery point (templated).
    :param vault: vault that it is in (templated).
    :param to_vault: vault that it is copied into (templated).
    :param to_account_id: account of that vault (templated).
    :param to_region: region of that vault (templated).
    :param role_arn: role that AWS Backup assumes to copy (templated).
    :param within_s: seconds that the copy may take.
    :return: ``{"recovery_point_arn", "copied"}``: the one to restore in the other account.
    """

    hook_class = BackupHook
    permissions: ClassVar[tuple[str, ...]] = (
        "backup:ListCopyJobs",
        "backup:StartCopyJob",
        "backup:DescribeCopyJob",
        "iam:PassRole",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "recovery_point_arn",
        "vault",
        "to_vault",
        "to_account_id",
        "to_region",
        "role_arn",
    )

    def __init__(
        self,
        *,
        recovery_point_arn: str,
        vault: str,
        to_vault: str,
        to_account_id: str,
        to_region: str,
        role_arn: str,
        within_s: int = 6 * 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.recovery_point_arn = recovery_point_arn
        self.vault = vault
        self.to_vault = to_vault
        self.to_account_id = to_account_id
        self.to_region = to_region
        self.role_arn = role_arn
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Look for a copy; start one; wait."""
        hook: BackupHook = self.hook
        parts = self.recovery_point_arn.split(":")
        if parts[3:5] == [self.to_region, self.to_account_id]:
            return {"recovery_point_arn": self.recovery_point_arn, "copied": False}
        vault_arn = f"arn:{parts[1]}:backup:{self.to_region}:{self.to_account_id}:backup-vault:{self.to_vault}"
        jobs = hook.list_copy_jobs(self.recovery_point_arn, vault_arn)
        done = next((job for job in jobs if job.status == "COMPLETED" and job.copy_arn), None)
        if done is not None:
            return {"recovery_point_arn": done.copy_arn, "copied": True}
        running = next((job.job_id for job in jobs if job.status in RUNNING), None)
        if running is None:
            failed = len(jobs)  # a job that failed keeps its token, so another try needs another one
            running = hook.start_copy(
                self.recovery_point_arn,
                vault=self.vault,
                to_vault_arn=vault_arn,
                role_arn=self.role_arn,
                token=naming.backup_job(f"{vault_arn}#{failed}", self.recovery_point_arn),
            )
        return self.wait_until(
            Wait(
                waiter="copy_completed",
                args={"CopyJobId": running},
                show="CopyJob.[State, StatusMessage]",
                within_s=self.within_s,
                every_s=30,
            ),
            context,
        )


class RestoreFileSystemOperator(RefreshOperator[BackupHook]):
    """Restore a recovery point into a new file system, and wait for it; AWS Backup writes into a directory of its own.

    The creation token decides: the same token adopts the file system and the job that an earlier try has started
    (``StartRestoreJob``). Nothing that is there is ever written over.

    :param recovery_point_arn: recovery point of this account (templated).
    :param source_file_system_id: file system that was backed up (templated).
    :param created_as: creation token, from ``core.naming`` (templated).
    :param name: tag ``Name`` of the new file system, which must be on the allow-list (templated).
    :param allowed_names: values of the tag ``Name`` in ``safety.allowed_file_systems`` (templated).
    :param role_arn: role that AWS Backup assumes to restore (templated).
    :param kms_key_id: key that encrypts the new file system (templated).
    :param items: paths to restore; ``None`` is everything (templated).
    :param run_key: the run that makes it (templated).
    :param expires_h: hours after which it may be removed unless it is published; ``None``: never unasked (templated).
    :param within_s: seconds that the restore may take.
    :return: ``{"file_system_id", "arn", "restore_job_id"}``.
    :raises StateError: the restore has failed, been aborted, or its job is not to be found.
    :raises SafetyError: the name is not on the allow-list.
    """

    hook_class = BackupHook
    permissions: ClassVar[tuple[str, ...]] = (
        "elasticfilesystem:DescribeFileSystems",
        "elasticfilesystem:TagResource",
        "backup:ListRestoreJobs",
        "backup:StartRestoreJob",
        "backup:DescribeRestoreJob",
        "iam:PassRole",
    )
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "recovery_point_arn",
        "source_file_system_id",
        "created_as",
        "name",
        "allowed_names",
        "role_arn",
        "kms_key_id",
        "items",
        "run_key",
        "expires_h",
    )

    def __init__(
        self,
        *,
        recovery_point_arn: str,
        source_file_system_id: str,
        created_as: str,
        name: str,
        allowed_names: Sequence[str],
        role_arn: str,
        kms_key_id: str,
        items: Sequence[str] | None = None,
        run_key: str | None = None,
        expires_h: float | None = None,
        within_s: int = 12 * 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.recovery_point_arn = recovery_point_arn
        self.source_file_system_id = source_file_system_id
        self.created_as = created_as
        self.name = name
        self.allowed_names = allowed_names
        self.role_arn = role_arn
        self.kms_key_id = kms_key_id
        self.items = items
        self.run_key = run_key
        self.expires_h = expires_h
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Look by token; start the restore, wait, mark the file system."""
        hook, files = self.hook, EfsHook(self.aws_conn_id, self.region_name)
        marks = ownership.temporary(self.run_key, self.expires_h, datetime.now(UTC))
        tags = {"Name": self.name, **REFRESH_TAGS, **marks}
        require_changeable("the new file system", tags, self.allowed_names)
        system = files.find_file_system_by_token(self.created_as)
        job = self._job(system)
        if system is None and job is None:
            job_id = hook.start_restore(
                self.recovery_point_arn,
                metadata=self._metadata(),
                role_arn=self.role_arn,
                token=naming.backup_job(self.created_as, self.recovery_point_arn),
            )
            return self._wait(job_id, context)
        if job is None:
            raise StateError(
                f"{system.file_system_id if system else self.created_as} was made under this run's token, but not by a restore "
                f"of {self.recovery_point_arn}; look at it, delete it with efs_delete_filesystem, and run this again"
            )
        if job.status in RUNNING:
            return self._wait(job.job_id, context)
        if job.status != "COMPLETED" or system is None:
            raise StateError(
                f"restore job {job.job_id} is {job.status}: {job.message}; delete "
                f"{system.file_system_id if system else 'what it has made'} with efs_delete_filesystem, and start a new run"
            )
        return self._mark(files, system, tags, job, context)

    def _mark(
        self, files: EfsHook, system: FileSystem, tags: dict[str, str], job: RestoreJob, context: Context
    ) -> Result:
        """Tag what AWS Backup has made; it comes without tags of ours."""
        if system.status in ("creating", "updating"):
            return self.wait_until(available(system.file_system_id, self.within_s), context, files)
        if system.tags.get("Name") not in (None, "", self.name):
            raise SafetyError(f"{system.file_system_id} has the name {system.name!r}; it is not what this run restores")
        if any(system.tags.get(key) != value for key, value in tags.items() if key != ownership.EXPIRES_TAG):
            files.set_tags(system.file_system_id, tags)
        return {"file_system_id": system.file_system_id, "arn": system.arn, "restore_job_id": job.job_id}

    def _metadata(self) -> dict[str, str]:
        quoted = ",".join(f'"{item}"' for item in self.items or [])
        return {
            "file-system-id": self.source_file_system_id,
            "newFileSystem": "true",
            "Encrypted": "true",
            "KmsKeyId": self.kms_key_id,
            "PerformanceMode": "generalPurpose",
            "CreationToken": self.created_as,
            **({"ItemsToRestore": f"[{quoted}]"} if quoted else {}),
        }

    def _job(self, system: FileSystem | None) -> RestoreJob | None:
        """Find this restore's job: by the file system it makes, or, before AWS names that, by its recovery point."""
        mine = [job for job in self.hook.list_restore_jobs() if job.point_arn == self.recovery_point_arn]
        if system is not None:
            by_system = next((job for job in mine if job.created_arn == system.arn), None)
            if by_system is not None:
                return by_system
        return next((job for job in mine if not job.created_arn and job.status in RUNNING), None)

    def _wait(self, job_id: str, context: Context) -> Result:
        return self.wait_until(
            Wait(
                waiter="restore_completed",
                args={"RestoreJobId": job_id},
                show="[Status, PercentDone, StatusMessage]",
                within_s=self.within_s,
                every_s=30,
            ),
            context,
        )
