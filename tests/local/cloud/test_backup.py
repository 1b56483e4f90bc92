"""AWS Backup of file systems: recovery points, copies between accounts, restores into a directory of their own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.client import admin_operation
from localcloud.names import PRODUCTION, STAGING
from tests.local.cloud.conftest import LocalCloud
from tests.local.cloud.efs_helpers import REGION, arn, directory, document, file_system, role, tree, unique, until

pytestmark = [pytest.mark.local, pytest.mark.slow]

FOLDER = re.compile(r"aws-backup-restore_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z")


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


@pytest.fixture(scope="module")
def roles(cloud: LocalCloud) -> dict[str, str]:
    return {account: role(cloud, account, "backup.amazonaws.com") for account in (PRODUCTION, STAGING)}


def vault(cloud: LocalCloud, account: str, *, takes_from: str | None = None) -> str:
    backup, name = cloud.admin(account, "backup"), unique("vault")
    backup.create_backup_vault(BackupVaultName=name)
    if takes_from:
        allow = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{takes_from}:root"},
            "Action": "backup:CopyIntoBackupVault",
            "Resource": "*",
        }
        backup.put_backup_vault_access_policy(BackupVaultName=name, Policy=document(allow))
    return name


def backed_up(cloud: LocalCloud, name: str, into: str, role_arn: str) -> str:
    """ARN of a completed recovery point of production."""
    backup = cloud.admin(PRODUCTION, "backup")
    started = backup.start_backup_job(BackupVaultName=into, ResourceArn=arn(PRODUCTION, name), IamRoleArn=role_arn)
    job = started["BackupJobId"]
    until(lambda: backup.describe_backup_job(BackupJobId=job)["State"], "COMPLETED")
    return str(started["RecoveryPointArn"])


def test_a_backup_is_copied_to_another_account_and_restored_there(cloud, roles) -> None:
    source = file_system(cloud, PRODUCTION)
    folder = directory(cloud, source)
    (folder / "a").mkdir()
    (folder / "a" / "b.txt").write_bytes(b"then")
    mine, theirs = vault(cloud, PRODUCTION), vault(cloud, STAGING, takes_from=PRODUCTION)
    point = backed_up(cloud, source, mine, roles[PRODUCTION])
    (folder / "a" / "b.txt").write_bytes(b"now")

    production, staging = cloud.admin(PRODUCTION, "backup"), cloud.admin(STAGING, "backup")
    job = production.start_copy_job(
        RecoveryPointArn=point,
        SourceBackupVaultName=mine,
        DestinationBackupVaultArn=f"arn:aws:backup:{REGION}:{STAGING}:backup-vault:{theirs}",
        IamRoleArn=roles[PRODUCTION],
    )["CopyJobId"]
    until(lambda: production.describe_copy_job(CopyJobId=job)["CopyJob"]["State"], "COMPLETED")
    copy = production.describe_copy_job(CopyJobId=job)["CopyJob"]["DestinationRecoveryPointArn"]
    assert production.list_copy_jobs(BySourceRecoveryPointArn=point)["CopyJobs"][0]["CopyJobId"] == job
    assert production.list_copy_jobs(BySourceRecoveryPointArn=copy)["CopyJobs"] == []
    listed = staging.list_recovery_points_by_backup_vault(BackupVaultName=theirs)["RecoveryPoints"]
    assert [(one["RecoveryPointArn"], one["Status"], one["ResourceArn"]) for one in listed] == [
        (copy, "COMPLETED", arn(PRODUCTION, source))
    ]

    with refused("ResourceNotFoundException"):  # only the copy is of this account
        restore(staging, point, roles[STAGING], source)
    restored = restore(staging, copy, roles[STAGING], source)
    until(lambda: staging.describe_restore_job(RestoreJobId=restored)["Status"], "COMPLETED")
    made = staging.describe_restore_job(RestoreJobId=restored)["CreatedResourceArn"]
    ((path, content),) = tree(directory(cloud, made)).items()
    assert FOLDER.fullmatch(path.split("/")[0])
    assert (path.split("/", 1)[1], content) == ("a/b.txt", b"then")
    assert [one["RestoreJobId"] for one in staging.list_restore_jobs(ByResourceType="EFS")["RestoreJobs"]][:1] == [
        restored
    ]


def restore(backup: Any, point: str, role_arn: str, source: str, **metadata: str) -> str:
    given = {"file-system-id": source, "newFileSystem": "true", "CreationToken": unique("t"), "Encrypted": "true"}
    started = backup.start_restore_job(
        RecoveryPointArn=point, Metadata={**given, **metadata}, IamRoleArn=role_arn, ResourceType="EFS"
    )
    return str(started["RestoreJobId"])


def test_each_restore_into_one_that_is_there_gets_a_directory_and_items_may_be_chosen(cloud, roles) -> None:
    source = file_system(cloud, PRODUCTION)
    for name in ("a/1", "b/2", "c"):
        path = directory(cloud, source) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    point = backed_up(cloud, source, vault(cloud, PRODUCTION), roles[PRODUCTION])
    backup = cloud.admin(PRODUCTION, "backup")
    for items in ('["/a", "/c"]', '["/b/2"]'):
        job = restore(backup, point, roles[PRODUCTION], source, newFileSystem="false", ItemsToRestore=items)
        until(lambda job=job: backup.describe_restore_job(RestoreJobId=job)["Status"], "COMPLETED")
    found = tree(directory(cloud, source))
    folders = sorted({path.split("/")[0] for path in found if path.startswith("aws-backup")})
    assert len(folders) == 2
    assert {path.split("/", 1)[1] for path in found if path.startswith(folders[0])} == {"a/1", "c"}
    assert {path.split("/", 1)[1] for path in found if path.startswith(folders[1])} == {"b/2"}
    assert found["a/1"] == b"a/1"


def test_what_copies_need(cloud, roles) -> None:
    source = file_system(cloud, PRODUCTION)
    mine = vault(cloud, PRODUCTION)
    point = backed_up(cloud, source, mine, roles[PRODUCTION])
    production = cloud.admin(PRODUCTION, "backup")

    def copy(to: str, role_arn: str = roles[PRODUCTION]) -> Any:
        return production.start_copy_job(
            RecoveryPointArn=point, SourceBackupVaultName=mine, DestinationBackupVaultArn=to, IamRoleArn=role_arn
        )

    place = f"arn:aws:backup:{REGION}:{STAGING}:backup-vault:"
    with refused("InvalidRequestException"):
        copy(place + vault(cloud, STAGING))
    with refused("ResourceNotFoundException"):
        copy(place + "none")
    with refused("InvalidParameterValueException"):
        copy(place + vault(cloud, STAGING, takes_from=PRODUCTION), role(cloud, PRODUCTION, "ec2.amazonaws.com"))


def test_recovery_points_are_listed_by_pages_and_expire(cloud, roles) -> None:
    source, mine = file_system(cloud, PRODUCTION), vault(cloud, PRODUCTION)
    points = [backed_up(cloud, source, mine, roles[PRODUCTION]) for _ in range(3)]
    backup = cloud.admin(PRODUCTION, "backup")
    pages = list(
        backup.get_paginator("list_recovery_points_by_backup_vault").paginate(
            BackupVaultName=mine, PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["RecoveryPoints"]) for page in pages] == [2, 1]
    admin_operation(
        "backup-recovery-point",
        cloud.config,
        account=PRODUCTION,
        region=REGION,
        arn=points[0],
        status="EXPIRED",
        created=9,
    )
    shown = backup.describe_recovery_point(BackupVaultName=mine, RecoveryPointArn=points[0])
    assert (shown["Status"], shown["CreationDate"].timestamp()) == ("EXPIRED", 9)
    assert len(backup.list_recovery_points_by_resource(ResourceArn=arn(PRODUCTION, source))["RecoveryPoints"]) == 3
    with refused("InvalidRequestException"):
        restore(backup, points[0], roles[PRODUCTION], source)
    with refused("InvalidRequestException"):
        backup.delete_backup_vault(BackupVaultName=mine)


def test_a_job_may_end_badly_by_rule(cloud, roles) -> None:
    source = file_system(cloud, PRODUCTION)
    point = backed_up(cloud, source, vault(cloud, PRODUCTION), roles[PRODUCTION])
    backup = cloud.admin(PRODUCTION, "backup")
    admin_operation(
        "faults-add", cloud.config, service="backup", action="StartRestoreJob", effect="status", becomes="ABORTED"
    )
    try:
        job = restore(backup, point, roles[PRODUCTION], source)
        until(lambda: backup.describe_restore_job(RestoreJobId=job)["Status"], "ABORTED")
    finally:
        admin_operation("faults-clear", cloud.config)
    assert "fault rule" in backup.describe_restore_job(RestoreJobId=job)["StatusMessage"]


def test_an_idempotency_token_starts_one_job(cloud, roles) -> None:
    source, mine = file_system(cloud, PRODUCTION), vault(cloud, PRODUCTION)
    backup, token = cloud.admin(PRODUCTION, "backup"), unique("t")
    started = [
        backup.start_backup_job(
            BackupVaultName=mine,
            ResourceArn=arn(PRODUCTION, source),
            IamRoleArn=roles[PRODUCTION],
            IdempotencyToken=token,
        )["BackupJobId"]
        for _ in range(2)
    ]
    assert started[0] == started[1]
