"""The reaper, on what dead runs have left in every account, of every kind."""

from __future__ import annotations

import json
import uuid
from typing import Any

from aurora_ops.core import naming
from aurora_ops.core.ownership import KEEP_STOPPED_TAG

from localcloud.names import PRODUCTION, SHARED, STAGING
from tests.local.iam.databases import ARN, FUTURE, LIVE, OLD, RESTORED, available, grant, share, snapshot
from tests.local.iam.files import NAME, PAST
from tests.local.iam.lab import Lab
from tests.local.iam.recording import LOCK, REAPER, Recording, tag_list, until

AGE_H = 24 * 30
DEAD = {"aurora-ops:owner": "aurora-ops", "aurora-ops:run": "refresh_staging/dead", "aurora-ops:expires": PAST}
STAMP = "20260201t000000"


def leave_all(lab: Lab) -> None:
    """Have a dead run's things in every account."""
    leave_in_source(lab)
    leave_databases(lab)
    leave_file_system(lab)
    leave_others(lab)


def leave_in_source(lab: Lab) -> None:
    """A shared snapshot, a share of somebody's snapshot, the use of a key, and a share of the cluster."""
    grant(lab, naming.grant(f"refresh-staging-prod-shop-{STAMP}", STAGING))
    lab.operation("backdate", account=PRODUCTION, hours=AGE_H)
    # from here on grants are young: they end with the shares that they were made for
    share(lab, f"rekeyed-staging-prod-shop-{STAMP}", DEAD, {})
    share(lab, "prod-shop-others", {}, {"run": "refresh_staging/dead", "expires": PAST})
    lab.admin(PRODUCTION, "ram").create_resource_share(
        name="clone-staging-dead",
        resourceArns=[f"arn:aws:rds:eu-west-1:{PRODUCTION}:cluster:prod-shop"],
        principals=[STAGING],
        tags=[{"key": key, "value": value} for key, value in DEAD.items()],
    )


def leave_databases(lab: Lab) -> None:
    """A copy; a stopped cluster with an instance, protected; a cluster that RDS has started after seven days."""
    rds = lab.admin(STAGING, "rds")
    snapshot(lab, STAGING, LIVE, f"copy-staging-prod-shop-{STAMP}", DEAD)
    rds.add_tags_to_resource(ResourceName=f"{ARN}:cluster:{RESTORED}", Tags=tag_list(DEAD))
    rds.modify_db_cluster(DBClusterIdentifier=RESTORED, DeletionProtection=True, ApplyImmediately=True)
    available(lab, RESTORED)
    rds.stop_db_cluster(DBClusterIdentifier=RESTORED)
    rds.start_db_cluster(DBClusterIdentifier=OLD)
    rds.add_tags_to_resource(ResourceName=f"{ARN}:cluster:{OLD}", Tags=tag_list({KEEP_STOPPED_TAG: FUTURE}))
    available(lab, OLD)
    wait_stopped(rds, RESTORED)


def wait_stopped(rds: Any, name: str) -> None:
    """Wait until a cluster is stopped."""
    until(
        lambda: rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Status"] == "stopped",
        f"{name} to be stopped",
    )


def leave_file_system(lab: Lab) -> None:
    """A file system with a mount target and an access point, to which production's is replicated."""
    efs, abroad = lab.admin(STAGING, "efs"), lab.admin(PRODUCTION, "efs")
    made = efs.create_file_system(
        CreationToken="dead", Encrypted=True, Tags=tag_list({"Name": NAME, "refresh": "true", **DEAD})
    )
    name = made["FileSystemId"]

    def is_available() -> bool:
        return bool(efs.describe_file_systems(FileSystemId=name)["FileSystems"][0]["LifeCycleState"] == "available")

    until(is_available, f"file system {name}")
    subnet = lab.admin(STAGING, "ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    efs.create_mount_target(FileSystemId=name, SubnetId=subnet)
    efs.create_access_point(ClientToken="dead", FileSystemId=name, Tags=tag_list(DEAD))
    efs.update_file_system_protection(FileSystemId=name, ReplicationOverwriteProtection="DISABLED")
    allowed = ["CreateReplicationConfiguration", "ReplicationWrite", "DeleteReplicationConfiguration"]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{PRODUCTION}:root"},
        "Action": [f"elasticfilesystem:{action}" for action in allowed],
        "Resource": "*",
    }
    efs.put_file_system_policy(
        FileSystemId=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    until(is_available, f"file system {name}")
    # the source's policy lets staging end it since efs_setup_cross_account_replication
    [source] = [
        one["FileSystemId"] for one in abroad.describe_file_systems()["FileSystems"] if one.get("Name") == "prod-media"
    ]
    abroad.create_replication_configuration(
        SourceFileSystemId=source,
        Destinations=[
            {
                "FileSystemId": made["FileSystemArn"],
                "Region": "eu-west-1",
                "RoleArn": f"arn:aws:iam::{PRODUCTION}:role/prod-media-replication",
            }
        ],
    )


def leave_others(lab: Lab) -> None:
    """Dumped tables, a version of a secret that nobody reads, and a void lock."""
    lab.admin(STAGING, "s3").put_object(
        Bucket=f"aurora-ops-{STAGING}", Key=f"aurora-ops/staging/copy-staging-prod-shop-{STAMP}/shop.t", Body=b"1"
    )
    lab.admin(STAGING, "secretsmanager").put_secret_value(
        SecretId="staging/shop/readonly",
        ClientRequestToken=str(uuid.uuid5(uuid.NAMESPACE_URL, "dead")),
        SecretString="{}",
        VersionStages=["AWSPENDING"],
    )
    lab.operation("backdate", account=STAGING, hours=AGE_H)
    item = {**LOCK, "holder": {"S": "refresh_staging/dead"}, "expires_at": {"N": "1600000000"}}
    lab.admin(SHARED, "dynamodb").put_item(TableName="aurora-ops-runs", Item=item)


RECORDINGS = (
    Recording(
        REAPER,
        {"dry_run": False},
        before=leave_all,
        calls=(
            "rds:DeleteDBCluster",
            "rds:DeleteDBClusterSnapshot",
            "rds:RemoveTagsFromResource",
            "rds:StopDBCluster",
            "ram:DeleteResourceShare",
            "kms:RevokeGrant",
            "s3:DeleteObjects",
            "secretsmanager:UpdateSecretVersionStage",
            "dynamodb:DeleteItem",
            "efs:DeleteFileSystem",
        ),
    ),
)
