"""Refreshes: a re-keyed automated snapshot, a manual one and a switch that is undone, a target that does not exist, files too."""

from __future__ import annotations

from aurora_ops.core.ownership import EXPIRES_TAG

from localcloud.names import PRODUCTION, SHARED, STAGING
from tests.local.iam.databases import ARN, FUTURE, LIVE, available, snapshot, wait
from tests.local.iam.lab import Lab
from tests.local.iam.recording import LOCK, REFRESH, Recording, tag_list
from tests.local.iam.workloads import scale

MANUAL = "prod-shop-manual"


def serve_by_hand(lab: Lab) -> None:
    """What serves has been restored and swapped in by hand, so that it has an expiry and nothing is published."""
    lab.admin(STAGING, "ssm").delete_parameter(Name="/staging/shop/database/endpoint")
    tags = tag_list({EXPIRES_TAG: FUTURE})
    lab.admin(STAGING, "rds").add_tags_to_resource(ResourceName=f"{ARN}:cluster:{LIVE}", Tags=tags)


def refuse_second_secret(lab: Lab) -> None:
    """A snapshot that somebody took; a user's secret under a customer key; of two secrets the second cannot be moved."""
    snapshot(lab, PRODUCTION, "prod-shop", MANUAL)
    lab.admin(STAGING, "secretsmanager").update_secret(SecretId="staging/shop/app", KmsKeyId="alias/shop-staging")
    lab.fail(
        service="secretsmanager",
        action="UpdateSecretVersionStage",
        match="staging/shop/readonly",
        code="InvalidParameterException",
    )


def hold_lock(lab: Lab) -> None:
    """Another run refreshes the target."""
    item = {**LOCK, "holder": {"S": "refresh_other/run-1"}, "expires_at": {"N": "4000000000"}}
    lab.admin(SHARED, "dynamodb").put_item(TableName="aurora-ops-runs", Item=item)


def remove_target(lab: Lab) -> None:
    """Nothing serves yet."""
    rds = lab.admin(STAGING, "rds")
    clusters = rds.describe_db_clusters()["DBClusters"]
    members = [member["DBInstanceIdentifier"] for cluster in clusters for member in cluster["DBClusterMembers"]]
    for member in members:
        rds.delete_db_instance(DBInstanceIdentifier=member, SkipFinalSnapshot=True)
    for member in members:
        wait(rds, "db_instance_deleted", DBInstanceIdentifier=member)
    names = [cluster["DBClusterIdentifier"] for cluster in clusters]
    for name in names:
        rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    for name in names:
        wait(rds, "db_cluster_deleted", DBClusterIdentifier=name)


def cut_restores_short(lab: Lab) -> None:
    """What AWS Backup has restored cannot be tagged, and the database cannot be restored either."""
    lab.fail(service="efs", action="TagResource", code="BadRequest")
    lab.fail(service="rds", action="RestoreDBClusterFromSnapshot", code="InvalidParameterCombination")


def refuse_claim(lab: Lab) -> None:
    """The claim is gone and cannot be made anew, once."""
    lab.fail(service="kubernetes", action="CreatePersistentVolumeClaim", code="Forbidden", status=403)


def protect_live(lab: Lab) -> None:
    """The live cluster cannot simply be deleted; jobs have no node."""
    rds = lab.admin(STAGING, "rds")
    rds.modify_db_cluster(DBClusterIdentifier=LIVE, DeletionProtection=True, ApplyImmediately=True)
    available(lab, LIVE)
    scale(lab, 0)


RECORDINGS = (
    Recording(REFRESH, path="nightly", before=serve_by_hand, calls=("rds:CopyDBClusterSnapshot",)),
    Recording(
        REFRESH,
        {"snapshot": MANUAL},
        path="undone",
        before=refuse_second_secret,
        fails="switch.move_secrets",
        calls=("rds:DescribeDBClusterSnapshotAttributes", "rds:StartDBCluster"),
    ),
    Recording(REFRESH, path="locked", before=hold_lock, fails="prepare.take_lock"),
    Recording(REFRESH, {"keep_tables": []}, path="first", before=remove_target),
)
ALONG = (
    Recording("utils_prepare_refresh", {"readers": 2}, along=True),
    Recording(
        REFRESH,
        path="cut short",
        before=cut_restores_short,
        fails="files.restore.restore_file_system",
        calls=("efs:DeleteFileSystem",),
        along=True,
    ),
    Recording(
        REFRESH,
        {"snapshot": "fresh", "old_cluster": "delete"},
        path="with files",
        before=protect_live,
        calls=("rds:CreateDBClusterSnapshot", "rds:DeleteDBCluster", "backup:StartRestoreJob"),
        along=True,
    ),
    Recording(REFRESH, path="claim undone", before=refuse_claim, fails="publish.show_in_media", along=True),
)
