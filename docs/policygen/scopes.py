"""Where each action is allowed: statements, narrowed to names and tags as far as AWS supports it.

An action is in a policy because an operator declares it; what is written here is only on which resources and under which
conditions. ``${...}`` are values of the settings, or parameters of a CloudFormation template; a statement with one that has
no value is left out. Resource types and condition keys as in the Service Authorization Reference.
"""

from __future__ import annotations

from dataclasses import replace

from aurora_ops.core.ownership import ARCHIVED_TAG, EXPIRES_TAG
from aurora_ops.core.safety import REFRESH_TAG
from aurora_ops.hooks.kms import SNAPSHOT_OPERATIONS

from policygen import scopes_efs, scopes_export_setup, scopes_exports, scopes_logs, scopes_upkeep
from policygen.scope import HERE, MADE_OURS, MADE_REFRESHABLE, OURS, OWN, REFRESHABLE, Scope
from policygen.scopes_orchestrator import ORCHESTRATOR

RDS = "arn:${Partition}:rds:${Region}:${Account}"
ABROAD = "arn:${Partition}:rds:${SourceRegion}:${SourceAccount}"
SECRET = f"arn:${{Partition}}:secretsmanager:{OWN}:secret"
MASTER_SECRETS = f"{SECRET}:rds!cluster-*"
CLUSTERS = (
    f"{RDS}:cluster:${{TargetCluster}}",
    f"{RDS}:cluster:${{TemporaryCluster}}",
    f"{RDS}:cluster:${{OldCluster}}",
)
THROUGH_RDS = {"kms:ViaService": "rds.${Region}.amazonaws.com"}

SCOPES: dict[str, tuple[Scope, ...]] = {
    "orchestrator": ORCHESTRATOR,
    "source": (
        Scope(
            "ReadDatabases", ("rds:DescribeDBClusters", "rds:DescribeDBInstances"), (f"{RDS}:cluster:*", f"{RDS}:db:*")
        ),
        Scope("ReadSnapshots", ("rds:DescribeDBClusterSnapshots",), (f"{RDS}:cluster-snapshot:*",)),
        Scope(
            "TakeSnapshots",
            ("rds:CreateDBClusterSnapshot",),
            (
                f"{RDS}:cluster:${{SourceCluster}}",
                f"{RDS}:cluster-snapshot:${{FreshSnapshots}}",
                f"{RDS}:cluster-snapshot:${{ManualSnapshots}}",
            ),
        ),
        Scope(
            "RekeySnapshots",
            ("rds:CopyDBClusterSnapshot",),
            (
                f"{RDS}:cluster-snapshot:rds:${{SourceCluster}}-*",
                f"{RDS}:cluster-snapshot:${{SourceCluster}}-*",
                f"{RDS}:cluster-snapshot:${{FreshSnapshots}}",
                f"{RDS}:cluster-snapshot:${{RekeyedSnapshots}}",
            ),
        ),
        Scope(
            "TagOwnSnapshots",
            ("rds:AddTagsToResource",),
            (
                f"{RDS}:cluster-snapshot:${{FreshSnapshots}}",
                f"{RDS}:cluster-snapshot:${{RekeyedSnapshots}}",
                f"{RDS}:cluster-snapshot:${{ManualSnapshots}}",
            ),
            condition=MADE_OURS,
        ),
        Scope(
            "ShareSnapshots",
            ("rds:DescribeDBClusterSnapshotAttributes", "rds:ModifyDBClusterSnapshotAttribute"),
            (
                f"{RDS}:cluster-snapshot:${{SourceCluster}}-*",
                f"{RDS}:cluster-snapshot:${{FreshSnapshots}}",
                f"{RDS}:cluster-snapshot:${{RekeyedSnapshots}}",
                f"{RDS}:cluster-snapshot:${{ManualSnapshots}}",
            ),
        ),
        Scope(
            "MarkShares",
            ("rds:AddTagsToResource", "rds:RemoveTagsFromResource"),
            (f"{RDS}:cluster-snapshot:${{SourceCluster}}-*",),
            condition={"ForAllValues:StringLike": {"aws:TagKeys": ["aurora-ops:share-*"]}},
        ),
        Scope(
            "DeleteOwnSnapshots",
            ("rds:DeleteDBClusterSnapshot",),
            (
                f"{RDS}:cluster-snapshot:${{FreshSnapshots}}",
                f"{RDS}:cluster-snapshot:${{RekeyedSnapshots}}",
                f"{RDS}:cluster-snapshot:${{ManualSnapshots}}",
            ),
            condition=OURS,
        ),
        Scope("ReadKeys", ("kms:DescribeKey",), keys=("SourceKey", "DefaultKey")),
        Scope("GrantKeysToTarget", ("kms:ListGrants", "kms:RevokeGrant"), keys=("SourceKey",)),
        Scope(
            "GrantSnapshotUseToTarget",
            ("kms:CreateGrant",),
            keys=("SourceKey",),
            condition={
                "StringEquals": {"kms:GranteePrincipal": "${TargetRole}"},
                "ForAllValues:StringEquals": {"kms:GrantOperations": list(SNAPSHOT_OPERATIONS)},
            },
        ),
        Scope(
            "UseKeysThroughRds",
            ("kms:CreateGrant",),
            keys=("SourceKey",),
            condition={"StringEquals": THROUGH_RDS, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        Scope("SeeShares", ("ram:GetResourceShares", "ram:GetResourceShareAssociations"), ("*",), condition=HERE),
        Scope(
            "ShareCluster",
            ("ram:CreateResourceShare",),
            ("*",),
            condition={
                "StringEquals": {**MADE_OURS["StringEquals"], "ram:RequestedResourceType": "rds:Cluster"},
                "ForAllValues:StringEquals": {"ram:Principal": ["${TargetAccount}"]},
            },
        ),
        Scope(
            "StopSharingCluster",
            ("ram:DeleteResourceShare",),
            (f"arn:${{Partition}}:ram:{OWN}:resource-share/*",),
            condition=OURS,
        ),
        Scope("ReadSchema", ("secretsmanager:GetSecretValue",), (f"{SECRET}:${{SchemaSecret}}-??????",)),
    ),
    "target": (
        Scope(
            "ReadDatabases",
            ("rds:DescribeDBClusters", "rds:DescribeDBInstances", "rds:DescribeDBClusterSnapshots"),
            (f"{RDS}:cluster:*", f"{RDS}:db:*", f"{RDS}:cluster-snapshot:*"),
        ),
        Scope("SeeSharedSnapshots", ("rds:DescribeDBClusterSnapshots",), (f"{ABROAD}:cluster-snapshot:*",)),
        Scope(
            "ReadGroups",
            ("rds:DescribeDBSubnetGroups", "rds:DescribeDBClusterParameterGroups", "rds:DescribeDBClusterParameters"),
            (f"{RDS}:subgrp:${{SubnetGroup}}", f"{RDS}:cluster-pg:${{ParameterGroup}}"),
        ),
        Scope(
            "SetS3Role",
            ("rds:ModifyDBClusterParameterGroup",),
            (f"{RDS}:cluster-pg:${{ParameterGroup}}",),
        ),
        Scope(
            "ReadOffers",
            (
                "rds:DescribeAccountAttributes",
                "rds:DescribeOrderableDBInstanceOptions",
                "ec2:DescribeSecurityGroups",
                "ram:GetResourceShares",
                "ram:GetResourceShareInvitations",
                "tag:GetResources",
            ),
            ("*",),
            condition=HERE,
        ),
        Scope(
            "CopySnapshots",
            ("rds:CopyDBClusterSnapshot",),
            (
                f"{ABROAD}:cluster-snapshot:${{SourceCluster}}-*",
                f"{ABROAD}:cluster-snapshot:${{FreshSnapshots}}",
                f"{ABROAD}:cluster-snapshot:${{RekeyedSnapshots}}",
                f"{RDS}:cluster-snapshot:${{CopiedSnapshots}}",
            ),
        ),
        Scope(
            "TakeSnapshots",
            ("rds:CreateDBClusterSnapshot",),
            (*CLUSTERS, f"{RDS}:cluster-snapshot:${{ManualSnapshots}}"),
        ),
        Scope(
            "TagOwnSnapshots",
            ("rds:AddTagsToResource",),
            (f"{RDS}:cluster-snapshot:${{CopiedSnapshots}}", f"{RDS}:cluster-snapshot:${{ManualSnapshots}}"),
            condition=MADE_OURS,
        ),
        Scope(
            "DeleteOwnSnapshots",
            ("rds:DeleteDBClusterSnapshot",),
            (f"{RDS}:cluster-snapshot:${{CopiedSnapshots}}", f"{RDS}:cluster-snapshot:${{ManualSnapshots}}"),
            condition=OURS,
        ),
        Scope(
            "ArchiveCopies",
            ("rds:AddTagsToResource", "rds:RemoveTagsFromResource"),
            (f"{RDS}:cluster-snapshot:${{CopiedSnapshots}}",),
            condition={**OURS, "ForAllValues:StringEquals": {"aws:TagKeys": [ARCHIVED_TAG, EXPIRES_TAG]}},
            part="files",
        ),
        Scope(
            "ReadOwnShares",
            ("rds:DescribeDBClusterSnapshotAttributes",),
            (f"{RDS}:cluster-snapshot:${{CopiedSnapshots}}",),
        ),
        Scope(
            "RestoreCluster",
            ("rds:RestoreDBClusterFromSnapshot", "rds:RestoreDBClusterToPointInTime"),
            (
                *CLUSTERS,
                f"{ABROAD}:cluster:${{SourceCluster}}",
                f"{RDS}:cluster-snapshot:*",
                f"{RDS}:subgrp:${{SubnetGroup}}",
                f"{RDS}:cluster-pg:${{ParameterGroup}}",
                f"{RDS}:og:default:*",
            ),
            condition=MADE_REFRESHABLE,
        ),
        Scope(
            "AcceptSharesOfSource",
            ("ram:AcceptResourceShareInvitation",),
            ("arn:${Partition}:ram:${SourceRegion}:${SourceAccount}:resource-share-invitation/*",),
        ),
        Scope(
            "CreateInstances",
            ("rds:CreateDBInstance",),
            (
                f"{RDS}:cluster:${{TemporaryCluster}}",
                f"{RDS}:db:${{Instances}}",
                f"{RDS}:pg:default.*",
                f"{RDS}:og:default:*",
            ),
            condition=MADE_REFRESHABLE,
        ),
        Scope(
            "TagNewDatabases",
            ("rds:AddTagsToResource",),
            (f"{RDS}:cluster:${{TemporaryCluster}}", f"{RDS}:db:${{Instances}}"),
            condition=MADE_REFRESHABLE,
        ),
        Scope(
            "MarkDatabases",
            ("rds:AddTagsToResource", "rds:RemoveTagsFromResource"),
            (*CLUSTERS, f"{RDS}:db:${{Instances}}"),
            condition={**REFRESHABLE, "ForAllValues:StringLike": {"aws:TagKeys": ["aurora-ops:*"]}},
        ),
        Scope("TagByArn", ("tag:TagResources",), ("*",), condition=HERE),
        Scope(
            "TagDatabases",
            ("rds:AddTagsToResource",),
            (*CLUSTERS, f"{RDS}:db:${{Instances}}"),
            # by name alone: instances need not carry the cluster's tag
            condition={"ForAllValues:StringNotLike": {"aws:TagKeys": ["aurora-ops:*", REFRESH_TAG]}},
        ),
        Scope(
            "ChangeClusters",
            (
                "rds:ModifyDBCluster",
                "rds:AddRoleToDBCluster",
                "rds:StartDBCluster",
                "rds:StopDBCluster",
                "rds:DeleteDBCluster",
            ),
            CLUSTERS,
            condition=REFRESHABLE,
        ),
        Scope("TakeFinalSnapshots", ("rds:DeleteDBCluster",), (f"{RDS}:cluster-snapshot:${{ManualSnapshots}}",)),
        Scope("ChangeInstances", ("rds:ModifyDBInstance", "rds:DeleteDBInstance"), (f"{RDS}:db:${{Instances}}",)),
        Scope(
            "AttachS3Role",
            ("iam:PassRole",),
            ("${S3Role}",),
            condition={"StringEquals": {"iam:PassedToService": "rds.amazonaws.com"}},
        ),
        Scope("CreateMasterSecrets", ("secretsmanager:CreateSecret", "secretsmanager:TagResource"), (MASTER_SECRETS,)),
        Scope(
            "UseMasterSecrets",
            ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:RotateSecret"),
            (MASTER_SECRETS,),
            condition={"StringLike": {"aws:ResourceTag/aws:rds:primaryDBClusterArn": list(CLUSTERS)}},
        ),
        Scope(
            "ChangeUserSecrets",
            (
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:ListSecretVersionIds",
                "secretsmanager:PutSecretValue",
                "secretsmanager:UpdateSecretVersionStage",
            ),
            (f"{SECRET}:${{UserSecrets}}",),
        ),
        Scope(
            "ReadRestoreSecrets",
            ("secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"),
            (f"{SECRET}:${{RestoreSecrets}}",),
        ),
        Scope("ReadKeys", ("kms:DescribeKey",), keys=("TargetKey", "MasterSecretKey")),
        Scope(
            "UseKeysThroughRds",
            ("kms:CreateGrant",),
            keys=("TargetKey", "MasterSecretKey"),
            condition={"StringEquals": THROUGH_RDS, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        Scope(
            "EncryptSecrets",
            ("kms:Decrypt", "kms:GenerateDataKey"),
            keys=("MasterSecretKey",),
            condition={"StringEquals": {"kms:ViaService": "secretsmanager.${Region}.amazonaws.com"}},
        ),
        Scope(
            "ReadSourceKeys",
            ("kms:DescribeKey",),
            ("arn:${Partition}:kms:${SourceRegion}:${SourceAccount}:key/*",),
        ),
        Scope(
            "UseSourceKeysThroughRds",
            ("kms:CreateGrant",),
            ("arn:${Partition}:kms:${SourceRegion}:${SourceAccount}:key/*",),
            condition={"StringEquals": THROUGH_RDS, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
        Scope("ListKeptTables", ("s3:ListBucket",), ("arn:${Partition}:s3:::${KeepBucket}",)),
        Scope(
            "KeepTables",
            ("s3:PutObject", "s3:GetObject", "s3:DeleteObject"),
            ("arn:${Partition}:s3:::${KeepBucket}/aurora-ops/${Environment}/*",),
        ),
        Scope("ListSqlScripts", ("s3:ListBucket",), ("arn:${Partition}:s3:::${SqlBucket}",)),
        Scope("ReadSqlScripts", ("s3:GetObject",), ("arn:${Partition}:s3:::${SqlBucket}/*",)),
        Scope(
            "RunSqlFunction",
            ("lambda:InvokeFunction",),
            (f"arn:${{Partition}}:lambda:{OWN}:function:${{SqlFunction}}",),
        ),
        Scope(
            "PublishEndpoint",
            ("ssm:GetParameter", "ssm:PutParameter"),
            (f"arn:${{Partition}}:ssm:{OWN}:parameter/${{EndpointParameter}}",),
        ),
        Scope(
            "ReadEksCluster",
            ("eks:DescribeCluster",),
            (f"arn:${{Partition}}:eks:{OWN}:cluster/${{EksCluster}}",),
            part="files",
        ),
        Scope(
            "ScaleNodegroups",
            ("eks:DescribeNodegroup", "eks:UpdateNodegroupConfig", "eks:TagResource", "eks:UntagResource"),
            (f"arn:${{Partition}}:eks:{OWN}:nodegroup/${{EksCluster}}/${{Nodegroups}}/*",),
            part="files",
        ),
    ),
}

PARTS: dict[str, dict[str, tuple[Scope, ...]]] = {
    "files": {"source": scopes_efs.SOURCE, "target": scopes_efs.TARGET},
    "upkeep": {
        "orchestrator": scopes_upkeep.ORCHESTRATOR,
        "source": scopes_upkeep.SOURCE,
        "target": scopes_upkeep.TARGET,
    },
    "logs": {
        "orchestrator": scopes_logs.ORCHESTRATOR,
        "source": scopes_logs.SOURCE,
        "target": scopes_logs.TARGET,
    },
    "exports": {
        "orchestrator": (*scopes_exports.ORCHESTRATOR, *scopes_export_setup.LOOKS_ORCHESTRATOR),
        "source": (*scopes_exports.SOURCE, *scopes_export_setup.LOOKS),
        "target": (*scopes_exports.TARGET, *scopes_export_setup.LOOKS),
    },
}
"""Policies of a role beside the first, by name and place."""

SCOPES = {
    place: (
        *scopes,
        *(replace(scope, part=part) for part, of_place in PARTS.items() for scope in of_place.get(place, ())),
    )
    for place, scopes in SCOPES.items()
}
