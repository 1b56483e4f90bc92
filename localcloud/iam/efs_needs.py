"""What calls to EFS, AWS Backup and Lambda need, and what these do in the caller's name.

Resource types as in the Service Authorization Reference (amazonelasticfilesystem, awsbackup, awslambda).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.iam.model import ANY, Call, Need
from localcloud.iam.rds_needs import key_needs, request_tags, resource_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.iam.facts import Facts
    from localcloud.policy import Values

PREFIX = "elasticfilesystem"
# Operations on something that belongs to a file system, and are allowed by that file system.
OF_MOUNT_TARGET = {"DeleteMountTarget", "DescribeMountTargetSecurityGroups", "ModifyMountTargetSecurityGroups"}
ON_ACCESS_POINT = {"DeleteAccessPoint"}
BACKUP_ANY = {
    "DescribeBackupJob",
    "DescribeCopyJob",
    "DescribeRestoreJob",
    "ListBackupJobs",
    "ListCopyJobs",
    "ListRestoreJobs",
    "ListRecoveryPointsByResource",
    "ListBackupVaults",
}
ON_RECOVERY_POINT = {
    "DescribeRecoveryPoint",
    "DeleteRecoveryPoint",
    "GetRecoveryPointRestoreMetadata",
    "StartCopyJob",
    "StartRestoreJob",
}
PASSES_ROLE = {"StartBackupJob", "StartCopyJob", "StartRestoreJob"}


def efs(call: Call, facts: Facts) -> Iterator[Need]:
    """Say what a call to EFS needs."""
    action = f"{PREFIX}:{call.action}"
    asked = _asked(call)
    if call.action == "CreateFileSystem":
        yield Need(action, ANY, asked)
        if asked:
            yield Need(f"{PREFIX}:TagResource", call.arn(PREFIX, "file-system/fs-00000000000000000"), asked, via="efs")
        if call.text("KmsKeyId"):
            yield from key_needs(call, facts, call.text("KmsKeyId"), ("DescribeKey", "CreateGrant"), via=PREFIX)
        return
    arn = _efs_arn(call, facts)
    context = {**asked, **resource_tags(facts.efs_tags(arn))}
    yield Need(action, arn, context)
    if call.action == "CreateAccessPoint" and asked:
        yield Need(f"{PREFIX}:TagResource", call.arn(PREFIX, "access-point/fsap-00000000000000000"), asked, via="efs")
    if call.action == "CreateMountTarget":  # EFS makes a network interface in the caller's name
        yield Need("ec2:DescribeSubnets", via="efs")
        yield Need("ec2:DescribeNetworkInterfaces", via="efs")
        for resource in ("network-interface/*", "security-group/*", f"subnet/{call.text('SubnetId')}"):
            yield Need("ec2:CreateNetworkInterface", call.arn("ec2", resource), via="efs")
    if call.action == "DeleteMountTarget":
        yield Need("ec2:DeleteNetworkInterface", call.arn("ec2", "network-interface/*"), via="efs")
    if call.action == "CreateReplicationConfiguration":
        for wanted in call.parameters.get("Destinations") or []:
            if wanted.get("RoleArn"):
                yield _pass(wanted["RoleArn"], "elasticfilesystem.amazonaws.com", "efs")


def _efs_arn(call: Call, facts: Facts) -> str:
    point = call.text("AccessPointId")
    if point and (call.action in ON_ACCESS_POINT or call.action.startswith("Describe")):
        return call.arn(PREFIX, f"access-point/{point}")
    target = call.text("MountTargetId")
    if target:
        system = facts.file_system_of(call.account, call.region, "mount-target", target)
        return call.arn(PREFIX, f"file-system/{system or '*'}")
    name = call.text("FileSystemId") or call.text("SourceFileSystemId")
    if call.text("ResourceId"):
        name = call.text("ResourceId")
        if name.startswith("fsap-"):
            return call.arn(PREFIX, f"access-point/{name}")
    return call.arn(PREFIX, name if name.startswith("arn:") else f"file-system/{name or '*'}")


def backup(call: Call, facts: Facts) -> Iterator[Need]:
    """Say what a call to AWS Backup needs."""
    action = f"backup:{call.action}"
    vault = call.text("BackupVaultName") or call.text("backupVaultName")
    point = call.text("RecoveryPointArn") or call.text("recoveryPointArn")
    if call.action in BACKUP_ANY:
        yield Need(action)
    elif call.action in ON_RECOVERY_POINT:
        yield Need(action, point or ANY)
    else:
        yield Need(action, call.arn("backup", f"backup-vault:{vault}") if vault else ANY)
    if call.action in PASSES_ROLE:
        yield _pass(call.text("IamRoleArn"), "backup.amazonaws.com", "backup")
    if call.action == "CreateBackupVault" and call.text("EncryptionKeyArn"):
        yield from key_needs(call, facts, call.text("EncryptionKeyArn"), ("DescribeKey", "CreateGrant"), via="backup")


def functions(call: Call, facts: Facts) -> Iterator[Need]:
    """Say what a call to Lambda needs."""
    given = call.text("FunctionName") or call.text("Resource")
    name = given.rpartition(":function:")[2] or given
    action = "lambda:InvokeFunction" if call.action == "Invoke" else f"lambda:{call.action}"
    if not name:
        yield Need(action)
        return
    tags = call.parameters.get("Tags")
    asked = request_tags(dict(tags)) if isinstance(tags, dict) else {}
    held = resource_tags(facts.function_tags(call.account, call.region, name))
    yield Need(action, call.arn("lambda", f"function:{name}"), {**asked, **held})
    if call.action == "CreateFunction":
        if asked:
            yield Need("lambda:TagResource", call.arn("lambda", f"function:{name}"), asked, via="lambda")
        yield _pass(call.text("Role"), "lambda.amazonaws.com", "lambda")
        vpc = call.parameters.get("VpcConfig") or {}
        if vpc.get("SubnetIds"):  # Lambda looks at the network in the caller's name
            for looked in ("DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"):
                yield Need(f"ec2:{looked}", via="lambda")
        for config in call.parameters.get("FileSystemConfigs") or []:
            tags = resource_tags(facts.efs_tags(config["Arn"]))
            yield Need(f"{PREFIX}:DescribeMountTargets", config["Arn"], tags, via="lambda")


def _pass(role: str, service: str, via: str) -> Need:
    return Need("iam:PassRole", role or ANY, {"iam:PassedToService": service}, via=via)


def _asked(call: Call) -> dict[str, Values]:
    """Condition keys of the tags that a call sets or removes."""
    tags = call.parameters.get("Tags")
    if isinstance(tags, list):
        return request_tags({tag["Key"]: tag.get("Value", "") for tag in tags})
    keys = call.parameters.get("tagKeys") or call.parameters.get("TagKeys")
    if keys:
        return {"aws:TagKeys": tuple([keys] if isinstance(keys, str) else keys)}
    return {}
