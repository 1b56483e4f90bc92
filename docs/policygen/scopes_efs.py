"""Where actions on file systems, their backups and the functions that look into them are allowed; see ``scopes``."""

from __future__ import annotations

from aurora_ops.core.naming import PROBE_PREFIX
from aurora_ops.core.ownership import OWNER, OWNER_TAG

from policygen.scope import MADE_OURS, MADE_REFRESHABLE, OURS, OWN, REFRESHABLE, Scope

ARN = "arn:${Partition}"
EFS = f"{ARN}:elasticfilesystem:{OWN}"
SYSTEMS, POINTS = f"{EFS}:file-system/*", f"{EFS}:access-point/*"
FUNCTIONS = f"{ARN}:lambda:{OWN}:function:{PROBE_PREFIX}${{Environment}}-*"
RECOVERY_POINTS = f"{ARN}:backup:{OWN}:recovery-point:*"
EC2 = f"{ARN}:ec2:{OWN}"
READ = (
    "elasticfilesystem:DescribeFileSystems",
    "elasticfilesystem:DescribeMountTargets",
    "elasticfilesystem:DescribeMountTargetSecurityGroups",
    "elasticfilesystem:DescribeAccessPoints",
    "elasticfilesystem:DescribeReplicationConfigurations",
    "elasticfilesystem:DescribeFileSystemPolicy",
)
LIFECYCLE = "elasticfilesystem:DescribeLifecycleConfiguration"
COPIES = ("backup:DescribeCopyJob", "backup:ListCopyJobs")
RESTORES = ("backup:DescribeRestoreJob", "backup:ListRestoreJobs", "ec2:DescribeNetworkInterfaces")


def _pass(sid: str, setting: str, service: str) -> Scope:
    return Scope(
        sid,
        ("iam:PassRole",),
        (f"${{{setting}}}",),
        condition={"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}},
    )


def _reads(systems: tuple[str, ...], around: tuple[str, ...]) -> tuple[Scope, ...]:
    everywhere = (
        *around,
        "lambda:ListFunctions",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "ec2:DescribeSecurityGroups",
    )
    here: dict[str, dict[str, str | list[str]]] = {"StringEquals": {"aws:RequestedRegion": "${Region}"}}
    return (
        Scope("ReadFileSystems", systems, (SYSTEMS, POINTS)),
        Scope("ReadAround", everywhere, ("*",), condition=here),
    )


PROBES = (
    Scope("MakeAccessPoints", ("elasticfilesystem:TagResource",), (POINTS,), condition=MADE_OURS),
    Scope("DeleteAccessPoints", ("elasticfilesystem:DeleteAccessPoint",), (POINTS,), condition=OURS),
    Scope(
        "UseProbes",
        (
            "lambda:CreateFunction",
            "lambda:DeleteFunction",
            "lambda:GetFunctionConfiguration",
            "lambda:InvokeFunction",
            "lambda:ListTags",
            "lambda:TagResource",
        ),
        (FUNCTIONS,),
    ),
    _pass("PassProbeRole", "ProbeRole", "lambda"),
)
SOURCE = (
    *_reads(READ, COPIES),
    *PROBES,
    Scope("MakeSourceAccessPoints", ("elasticfilesystem:CreateAccessPoint",), (SYSTEMS,), condition=MADE_OURS),
    Scope(
        "ReplicateFiles",
        ("elasticfilesystem:CreateReplicationConfiguration", "elasticfilesystem:PutFileSystemPolicy"),
        (f"{EFS}:file-system/${{SourceFileSystem}}",),
    ),
    _pass("PassReplicationRole", "ReplicationRole", "elasticfilesystem"),
    Scope("ReadVault", ("backup:ListRecoveryPointsByBackupVault",), (f"{ARN}:backup:{OWN}:backup-vault:${{Vault}}",)),
    Scope("CopyRecoveryPoints", ("backup:StartCopyJob",), (RECOVERY_POINTS,)),
    _pass("PassBackupRole", "BackupRole", "backup"),
)
TARGET = (
    *_reads((*READ, LIFECYCLE), RESTORES),
    *PROBES,
    Scope("MakeFileSystems", ("elasticfilesystem:CreateFileSystem",), ("*",), condition=MADE_REFRESHABLE),
    Scope(
        "TagFileSystems",
        ("elasticfilesystem:TagResource",),
        (SYSTEMS,),
        condition={"StringEquals": {**MADE_REFRESHABLE["StringEquals"], f"aws:RequestTag/{OWNER_TAG}": OWNER}},
    ),
    Scope(
        "MarkFileSystems",
        ("elasticfilesystem:TagResource", "elasticfilesystem:UntagResource"),
        (SYSTEMS,),
        condition={**REFRESHABLE, "ForAllValues:StringLike": {"aws:TagKeys": ["aurora-ops:*"]}},
    ),
    Scope(
        "ChangeFileSystems",
        (
            "elasticfilesystem:CreateAccessPoint",
            "elasticfilesystem:CreateMountTarget",
            "elasticfilesystem:DeleteFileSystem",
            "elasticfilesystem:DeleteMountTarget",
            "elasticfilesystem:PutFileSystemPolicy",
            "elasticfilesystem:PutLifecycleConfiguration",
            "elasticfilesystem:UpdateFileSystemProtection",
        ),
        (SYSTEMS,),
        condition=REFRESHABLE,
    ),
    Scope("EndReplication", ("elasticfilesystem:DeleteReplicationConfiguration",), (SYSTEMS,)),
    Scope(
        "UseNetwork",
        ("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"),
        (f"{EC2}:network-interface/*", f"{EC2}:subnet/*", f"{EC2}:security-group/*"),
    ),
    Scope(
        "UseKeysThroughEfs",
        ("kms:CreateGrant", "kms:DescribeKey"),
        keys=("FilesKey",),
        condition={"StringEquals": {"kms:ViaService": "elasticfilesystem.${Region}.amazonaws.com"}},
    ),
    Scope("SeeVault", ("backup:DescribeBackupVault",), (f"{ARN}:backup:{OWN}:backup-vault:${{Vault}}",)),
    Scope("RestoreRecoveryPoints", ("backup:StartRestoreJob",), (RECOVERY_POINTS,)),
    _pass("PassBackupRole", "BackupRole", "backup"),
    Scope(
        "PublishFiles",
        ("ssm:GetParameter", "ssm:PutParameter", "ssm:DeleteParameter"),
        (f"{ARN}:ssm:{OWN}:parameter/${{FilesParameters}}",),
    ),
)
