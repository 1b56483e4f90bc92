"""AWS Backup for file systems: vaults, recovery points, and jobs that back up, copy and restore.

https://docs.aws.amazon.com/aws-backup/latest/devguide/restoring-efs.html and create-cross-account-backup.html
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from localcloud import policy
from localcloud.accounts import role_trusts_service
from localcloud.efs import core as state
from localcloud.efs import files, views
from localcloud.efs.core import new_uuid, page
from localcloud.efs.errors import BackupError, EfsError, no_backup_thing
from localcloud.efs.model import Job, RecoveryPoint, Vault

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.efs.core import Core
    from localcloud.efs.file_systems import FileSystems
    from localcloud.efs.model import FileSystem, Params, Region

Answer = dict[str, Any]
SERVICE = "backup.amazonaws.com"
DEFAULT_VAULT = "Default"
COPY_INTO = "backup:CopyIntoBackupVault"
RESTORABLE = {"COMPLETED", "PARTIAL", "AVAILABLE"}


class Backups:
    """Operations of AWS Backup.

    :param core: state.
    :param systems: makes the file systems that are restored.
    """

    def __init__(self, core: Core, systems: FileSystems) -> None:
        self.core = core
        self.systems = systems

    # ---- vaults --------------------------------------------------------------------------------------------------------

    def create_backup_vault(self, here: Region, params: Params) -> Answer:
        """CreateBackupVault."""
        name = params["BackupVaultName"]
        if name in here.vaults:
            raise BackupError("AlreadyExistsException", f"Backup vault with the same name already exists: {name}")
        made = Vault(
            account=here.account,
            region=here.name,
            name=name,
            key_arn=self.core.key(here, params.get("EncryptionKeyArn"), "backup", BackupError),
            created=time.time(),
            tags=dict(params.get("BackupVaultTags") or {}),
        )
        here.vaults[name] = made
        return {"BackupVaultName": name, "BackupVaultArn": made.arn, "CreationDate": views.moment(made.created)}

    def describe_backup_vault(self, here: Region, params: Params) -> Answer:
        """DescribeBackupVault."""
        vault = self._vault(here, params["BackupVaultName"])
        return views.vault(vault, sum(point.vault == vault.name for point in here.points.values()))

    def list_backup_vaults(self, here: Region, params: Params) -> Answer:
        """ListBackupVaults."""
        items, token = _page(list(here.vaults.values()), params)
        shown = [
            views.vault(vault, sum(point.vault == vault.name for point in here.points.values())) for vault in items
        ]
        return {"BackupVaultList": shown, "NextToken": token}

    def delete_backup_vault(self, here: Region, params: Params) -> Answer:
        """DeleteBackupVault."""
        vault = self._vault(here, params["BackupVaultName"])
        if any(point.vault == vault.name for point in here.points.values()):
            raise BackupError("InvalidRequestException", f"Backup vault {vault.name} has recovery points.")
        del here.vaults[vault.name]
        return {}

    def put_backup_vault_access_policy(self, here: Region, params: Params) -> Answer:
        """PutBackupVaultAccessPolicy."""
        vault = self._vault(here, params["BackupVaultName"])
        try:
            policy.statements(params["Policy"])
        except policy.MalformedPolicyError as error:
            raise BackupError("InvalidParameterValueException", str(error)) from None
        vault.policy = params["Policy"]
        return {}

    def get_backup_vault_access_policy(self, here: Region, params: Params) -> Answer:
        """GetBackupVaultAccessPolicy."""
        vault = self._vault(here, params["BackupVaultName"])
        if not vault.policy:
            raise no_backup_thing("The access policy of vault", vault.name)
        return {"BackupVaultName": vault.name, "BackupVaultArn": vault.arn, "Policy": vault.policy}

    def delete_backup_vault_access_policy(self, here: Region, params: Params) -> Answer:
        """DeleteBackupVaultAccessPolicy."""
        self._vault(here, params["BackupVaultName"]).policy = ""
        return {}

    # ---- recovery points -----------------------------------------------------------------------------------------------

    def list_recovery_points_by_backup_vault(self, here: Region, params: Params) -> Answer:
        """ListRecoveryPointsByBackupVault: in the order of their ids, which tells nothing about their age."""
        vault = self._vault(here, params["BackupVaultName"])
        found = [
            point
            for point in sorted(here.points.values(), key=lambda point: point.point_id)
            if point.vault == vault.name
            and params.get("ByResourceArn") in (None, point.resource_arn)
            and params.get("ByResourceType") in (None, "EFS")
            and _between(point.created, params)
        ]
        items, token = _page(found, params)
        return {"RecoveryPoints": [views.point(point) for point in items], "NextToken": token}

    def list_recovery_points_by_resource(self, here: Region, params: Params) -> Answer:
        """ListRecoveryPointsByResource."""
        found = [
            point
            for point in sorted(here.points.values(), key=lambda point: point.point_id)
            if point.resource_arn == params["ResourceArn"]
        ]
        items, token = _page(found, params)
        shown = [
            {
                "RecoveryPointArn": point.arn,
                "CreationDate": views.moment(point.created),
                "Status": point.status,
                "EncryptionKeyArn": point.key_arn,
                "BackupSizeBytes": point.size_bytes,
                "BackupVaultName": point.vault,
            }
            for point in items
        ]
        return {"RecoveryPoints": shown, "NextToken": token}

    def describe_recovery_point(self, here: Region, params: Params) -> Answer:
        """DescribeRecoveryPoint."""
        return views.point(self._point(here, params["RecoveryPointArn"], params["BackupVaultName"]))

    def get_recovery_point_restore_metadata(self, here: Region, params: Params) -> Answer:
        """GetRecoveryPointRestoreMetadata."""
        point = self._point(here, params["RecoveryPointArn"], params["BackupVaultName"])
        vault = self._vault(here, point.vault)
        return {
            "BackupVaultArn": vault.arn,
            "RecoveryPointArn": point.arn,
            "RestoreMetadata": point.restore_metadata,
            "ResourceType": "EFS",
        }

    def delete_recovery_point(self, here: Region, params: Params) -> Answer:
        """DeleteRecoveryPoint."""
        self.core.drop(self._point(here, params["RecoveryPointArn"], params["BackupVaultName"]))
        return {}

    # ---- jobs ----------------------------------------------------------------------------------------------------------

    def start_backup_job(self, here: Region, params: Params) -> Answer:
        """StartBackupJob. The files are taken as they are now."""
        vault = self._vault(here, params["BackupVaultName"])
        self._role(params["IamRoleArn"], here)
        system = self._file_system(here, params["ResourceArn"])
        job = self._again(here, "backup", params) or self._begin_backup(here, vault, system, params)
        point = here.points.get(job.makes)
        return {
            "BackupJobId": job.job_id,
            "RecoveryPointArn": point.arn if point else None,
            "CreationDate": views.moment(job.created),
        }

    def _begin_backup(self, here: Region, vault: Vault, system: FileSystem, params: Params) -> Job:
        source = self.core.directory(system.file_system_id)
        point = RecoveryPoint(
            status="CREATING",
            account=here.account,
            region=here.name,
            point_id=new_uuid(),
            vault=vault.name,
            resource_arn=system.arn,
            role_arn=params["IamRoleArn"],
            created=time.time(),
            size_bytes=files.size_bytes(source),
            key_arn=vault.key_arn,
            restore_metadata={
                "file-system-id": system.file_system_id,
                "Encrypted": str(system.encrypted).lower(),
                "PerformanceMode": system.performance_mode,
                **({"KmsKeyId": system.kms_key_id} if system.kms_key_id else {}),
            },
        )
        files.copy(source, self.core.point_directory(point.point_id))
        here.points[point.point_id] = point
        return self._begin(
            here, "backup", "RUNNING", state.BACKUP, params, makes=point.point_id, makes_in=(here.account, here.name)
        )

    def describe_backup_job(self, here: Region, params: Params) -> Answer:
        """DescribeBackupJob."""
        job = self._job(here, "backup", params["BackupJobId"])
        point = here.points.get(job.makes)
        return {
            **views.job(job),
            "BackupJobId": job.job_id,
            "BackupVaultName": job.given["BackupVaultName"],
            "RecoveryPointArn": point.arn if point else None,
            "ResourceArn": job.given["ResourceArn"],
            "State": job.status,
        }

    def start_copy_job(self, here: Region, params: Params) -> Answer:
        """StartCopyJob: into a vault of this or another account."""
        point = self._point(here, params["RecoveryPointArn"], params["SourceBackupVaultName"])
        self._role(params["IamRoleArn"], here)
        job = self._again(here, "copy", params) or self._begin_copy(here, point, params)
        return {"CopyJobId": job.job_id, "CreationDate": views.moment(job.created)}

    def _begin_copy(self, here: Region, point: RecoveryPoint, params: Params) -> Job:
        arn = params["DestinationBackupVaultArn"]
        parts = arn.split(":")
        there = self.core.region(parts[4], parts[3]) if len(parts) == 7 else here
        vault = there.vaults.get(parts[-1])
        if vault is None or vault.arn != arn:
            raise no_backup_thing("Backup vault", arn)
        if vault.name == DEFAULT_VAULT and there.account != here.account:
            raise BackupError("InvalidRequestException", "The default vault takes no copies of other accounts.")
        if there.account != here.account and not self.core.allows(vault.policy, COPY_INTO, here.account):
            message = (
                f"Access Denied trying to call AWS Backup service: the policy of {arn} does not allow {COPY_INTO}."
            )
            raise BackupError("InvalidRequestException", message)
        if point.status not in RESTORABLE:
            raise BackupError("InvalidRequestException", f"{point.arn} is {point.status}.")
        copy = RecoveryPoint(
            status="CREATING",
            account=there.account,
            region=there.name,
            point_id=new_uuid(),
            vault=vault.name,
            resource_arn=point.resource_arn,
            source_vault_arn=f"arn:aws:backup:{here.name}:{here.account}:backup-vault:{point.vault}",
            role_arn=params["IamRoleArn"],
            created=time.time(),
            size_bytes=point.size_bytes,
            key_arn=vault.key_arn,
            restore_metadata=dict(point.restore_metadata),
        )
        there.points[copy.point_id] = copy
        return self._begin(
            here,
            "copy",
            "RUNNING",
            state.COPY,
            params,
            makes=copy.point_id,
            makes_in=(there.account, there.name),
            point_id=point.point_id,
            point_of=(point.account, point.region),
        )

    def describe_copy_job(self, here: Region, params: Params) -> Answer:
        """DescribeCopyJob."""
        return {"CopyJob": self._copy_job(self._job(here, "copy", params["CopyJobId"]))}

    def list_copy_jobs(self, here: Region, params: Params) -> Answer:
        """ListCopyJobs."""
        filters = {
            "ByResourceArn": "ResourceArn",
            "ByDestinationVaultArn": "DestinationBackupVaultArn",
            "BySourceRecoveryPointArn": "SourceRecoveryPointArn",
            "ByState": "State",
        }
        shown = [
            view
            for job in _newest_first(here, "copy")
            if _between(job.created, params)
            and all(
                params.get(name) in (None, view.get(key))
                for view in [self._copy_job(job)]
                for name, key in filters.items()
            )
            for view in [self._copy_job(job)]
        ]
        items, token = _page(shown, params)
        return {"CopyJobs": items, "NextToken": token}

    def _copy_job(self, job: Job) -> Answer:
        made = self.core.region(*job.makes_in).points.get(job.makes)
        shown = made or self.core.region(*job.point_of).points.get(job.point_id)
        return {
            **views.job(job),
            "CopyJobId": job.job_id,
            "SourceBackupVaultArn": f"arn:aws:backup:{job.region}:{job.account}:backup-vault:"
            f"{job.given['SourceBackupVaultName']}",
            "SourceRecoveryPointArn": job.given["RecoveryPointArn"],
            "DestinationBackupVaultArn": job.given["DestinationBackupVaultArn"],
            "DestinationRecoveryPointArn": made.arn if made else None,
            "ResourceArn": shown.resource_arn if shown else None,
            "State": job.status,
        }

    def start_restore_job(self, here: Region, params: Params) -> Answer:
        """StartRestoreJob: into a new file system, or one that is there; never over files that are there."""
        point = self._point(here, params["RecoveryPointArn"])
        self._role(params["IamRoleArn"], here)
        job = self._again(here, "restore", params) or self._begin_restore(here, point, params)
        return {"RestoreJobId": job.job_id}

    def _begin_restore(self, here: Region, point: RecoveryPoint, params: Params) -> Job:
        if point.status not in RESTORABLE:
            raise BackupError("InvalidRequestException", f"{point.arn} is {point.status}; it cannot be restored.")
        metadata = params.get("Metadata") or {}
        if missing := [name for name in ("file-system-id", "newFileSystem") if not metadata.get(name)]:
            raise BackupError("InvalidParameterValueException", f"Restore metadata lacks {', '.join(missing)}.")
        try:
            items = json.loads(metadata.get("ItemsToRestore") or metadata.get("itemsToRestore") or "null")
        except ValueError:
            raise BackupError("InvalidParameterValueException", "ItemsToRestore is not a JSON list.") from None
        system = self._target(here, metadata)
        due_of_target = system.due if system.turns_to else 0.0
        job = self._begin(
            here,
            "restore",
            "RUNNING",
            state.RESTORE,
            {**params, "items": items},
            makes=system.arn,
            point_id=point.point_id,
            folder=state.restore_folder(time.time()),
        )
        job.due = max(job.due, due_of_target)
        return job

    def _target(self, here: Region, metadata: dict[str, str]) -> FileSystem:
        if metadata["newFileSystem"].lower() != "true":
            return self._file_system(here, metadata["file-system-id"])
        if not metadata.get("CreationToken"):
            raise BackupError("InvalidParameterValueException", "A new file system needs a CreationToken.")
        encrypted = metadata.get("Encrypted", "false").lower() == "true"
        try:
            return self.systems.make(
                here,
                {
                    "CreationToken": metadata["CreationToken"],
                    "Encrypted": encrypted,
                    "KmsKeyId": metadata.get("KmsKeyId"),
                    "PerformanceMode": metadata.get("PerformanceMode"),
                },
            )
        except EfsError as error:
            raise BackupError("InvalidParameterValueException", f"{error.code}: {error.message}") from None

    def describe_restore_job(self, here: Region, params: Params) -> Answer:
        """DescribeRestoreJob."""
        return self._restore_job(here, self._job(here, "restore", params["RestoreJobId"]))

    def list_restore_jobs(self, here: Region, params: Params) -> Answer:
        """ListRestoreJobs."""
        found = [
            self._restore_job(here, job)
            for job in _newest_first(here, "restore")
            if _between(job.created, params)
            and params.get("ByStatus") in (None, job.status)
            and params.get("ByResourceType") in (None, "EFS")
        ]
        items, token = _page(found, params)
        return {"RestoreJobs": items, "NextToken": token}

    def _restore_job(self, here: Region, job: Job) -> Answer:
        point = here.points.get(job.point_id)
        done = job.completed is not None
        return {
            **views.job(job),
            "RestoreJobId": job.job_id,
            "RecoveryPointArn": job.given["RecoveryPointArn"],
            "SourceResourceArn": point.resource_arn if point else None,
            "Status": job.status,
            "PercentDone": "100.00%" if done else "0.00%",
            "CreatedResourceArn": job.makes,
        }

    # ---- what happens without a call ------------------------------------------------------------------------------------

    def change_point(self, parameters: Params) -> Answer:
        """Let a recovery point be older or in another status (``backup-recovery-point``).

        :param parameters: account, region, arn; status, created (epoch seconds): what changes.
        """
        with self.core.lock:
            self.core.settle()
            here = self.core.region(parameters["account"], parameters["region"])
            point = self._point(here, parameters["arn"])
            point.status = parameters.get("status", point.status)
            point.created = point.completed = float(parameters.get("created", point.created))
            return {"status": point.status, "created": point.created}

    # ---- inside --------------------------------------------------------------------------------------------------------

    def _begin(self, here: Region, kind: str, status: str, factor: float, params: Params, **made: Any) -> Job:
        ends = self.core.ends("COMPLETED")
        job = Job(
            status=status,
            due=self.core.soon(factor),
            turns_to=ends,
            kind=kind,
            job_id=new_uuid(),
            account=here.account,
            region=here.name,
            token=params.get("IdempotencyToken") or "",
            given=params,
            created=time.time(),
            message="" if ends == "COMPLETED" else f"a fault rule lets this {kind} end so",
            **made,
        )
        here.jobs[job.job_id] = job
        return job

    def _again(self, here: Region, kind: str, params: Params) -> Job | None:
        token = params.get("IdempotencyToken")
        found = (job for job in here.jobs.values() if job.kind == kind and token and job.token == token)
        return next(found, None)

    def _vault(self, here: Region, name: str) -> Vault:
        if name not in here.vaults:
            raise no_backup_thing("Backup vault", name)
        return here.vaults[name]

    def _point(self, here: Region, arn: str, vault: str | None = None) -> RecoveryPoint:
        found = here.points.get(arn.rpartition(":")[2])
        if found is None or found.arn != arn or vault not in (None, found.vault):
            raise no_backup_thing("Recovery point", arn)
        return found

    def _job(self, here: Region, kind: str, name: str) -> Job:
        found = here.jobs.get(name)
        if found is None or found.kind != kind:
            raise no_backup_thing(f"{kind.capitalize()} job", name)
        return found

    def _file_system(self, here: Region, name: str) -> FileSystem:
        try:
            found = self.core.file_system(here, name)
        except EfsError:
            raise no_backup_thing("Resource", name) from None
        if found.status not in ("available", "updating"):
            raise BackupError("InvalidRequestException", f"{name} is {found.status}.")
        return found

    def _role(self, arn: str, here: Region) -> None:
        if arn.split(":")[4:5] != [here.account] or not role_trusts_service(arn, SERVICE):
            raise BackupError("InvalidParameterValueException", f"The role {arn} cannot be assumed by AWS Backup.")


def _newest_first(here: Region, kind: str) -> list[Job]:
    return sorted((job for job in here.jobs.values() if job.kind == kind), key=lambda job: -job.created)


def _between(created: float, params: Params) -> bool:
    """Whether a time is within ByCreatedAfter and ByCreatedBefore."""
    read: Callable[[str, float], float] = lambda name, default: (  # noqa: E731 - used twice, here
        params[name].timestamp() if params.get(name) is not None else default
    )
    return read("ByCreatedAfter", 0.0) <= created <= read("ByCreatedBefore", float("inf"))


def _page(items: list[Any], params: Params) -> tuple[list[Any], str | None]:
    try:
        return page(items, params.get("MaxResults"), params.get("NextToken"), 1000)
    except ValueError:
        raise BackupError("InvalidParameterValueException", "NextToken is none.") from None
