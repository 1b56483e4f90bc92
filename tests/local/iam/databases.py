"""Workflows on clusters and snapshots, and the utilities for databases."""

from __future__ import annotations

from typing import Any

import yaml
from aurora_ops.core import naming
from aurora_ops.core.ownership import KEEP_STOPPED_TAG

from localcloud.names import PRODUCTION, STAGING
from tests.local.iam.lab import Lab
from tests.local.iam.recording import Recording, tag_list, until

LIVE, RESTORED, OLD = "staging-shop", "staging-shop-restore", "staging-shop-old"
S3_ROLE = f"arn:aws:iam::{STAGING}:role/staging-shop-aurora-s3"
ARN = f"arn:aws:rds:eu-west-1:{STAGING}"
FUTURE = "2099-01-01T00:00:00+00:00"


def wait(rds: Any, waiter: str, **which: str) -> None:
    """Wait as boto3 does, but with shorter pauses."""
    rds.get_waiter(waiter).wait(**which, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})


def available(lab: Lab, cluster: str) -> None:
    """Wait until a cluster of staging can be changed."""
    wait(lab.admin(STAGING, "rds"), "db_cluster_available", DBClusterIdentifier=cluster)


def snapshot(lab: Lab, account: str, cluster: str, name: str, tags: dict[str, str] | None = None) -> None:
    """Take a snapshot."""
    rds = lab.admin(account, "rds")
    rds.create_db_cluster_snapshot(
        DBClusterIdentifier=cluster, DBClusterSnapshotIdentifier=name, Tags=tag_list(tags or {})
    )
    wait(rds, "db_cluster_snapshot_available", DBClusterSnapshotIdentifier=name)


def manual_snapshot(lab: Lab) -> str:
    """Find the snapshot that the workflow has taken of the source."""
    rds = lab.admin(PRODUCTION, "rds")
    taken = rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    [found] = [
        name
        for one in taken
        if (name := one["DBClusterSnapshotIdentifier"]).startswith("manual-") and naming.is_snapshot_of_a_run(name)
    ]
    return str(found)


def keep_old_stopped(lab: Lab) -> None:
    """The old cluster is protected, and was to be kept stopped."""
    rds = lab.admin(STAGING, "rds")
    rds.modify_db_cluster(DBClusterIdentifier=OLD, DeletionProtection=True, ApplyImmediately=True)
    rds.add_tags_to_resource(ResourceName=f"{ARN}:cluster:{OLD}", Tags=tag_list({KEEP_STOPPED_TAG: FUTURE}))
    available(lab, OLD)


def leave_snapshots(lab: Lab) -> None:
    """A refresh that has died has left a shared snapshot, its copy, and a share of somebody's; old clusters are kept for days."""
    moment = "20260101t000000"
    ours = {"aurora-ops:owner": "aurora-ops", "aurora-ops:run": "refresh_staging/dead", "aurora-ops:expires": FUTURE}
    share(lab, f"refresh-staging-prod-shop-{moment}", ours, {})
    share(lab, "prod-shop-somebodys", {}, {"run": "refresh_staging/dead", "expires": FUTURE})
    snapshot(lab, STAGING, LIVE, f"copy-staging-prod-shop-{moment}", ours)
    change_environment(lab, "target", "old_cluster_kept_days", 3)


def share(lab: Lab, name: str, tags: dict[str, str], marks: dict[str, str]) -> None:
    """Take a snapshot of the source, and share it with staging, its key too, as a run does.

    :param marks: what its tags say of the share.
    """
    rds = lab.admin(PRODUCTION, "rds")
    marked = {f"aurora-ops:share-{key}:{STAGING}": value for key, value in marks.items()}
    snapshot(lab, PRODUCTION, "prod-shop", name, {**tags, **marked})
    rds.modify_db_cluster_snapshot_attribute(
        DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=[STAGING]
    )
    grant(lab, naming.grant(name, STAGING))


def grant(lab: Lab, name: str) -> None:
    """Let staging use the source's key."""
    kms = lab.admin(PRODUCTION, "kms")
    kms.create_grant(
        KeyId=kms.describe_key(KeyId="alias/shop-prod")["KeyMetadata"]["Arn"],
        GranteePrincipal=f"arn:aws:iam::{STAGING}:role/aurora-ops-destination",
        Operations=["Decrypt"],
        Name=name,
    )


def change_environment(lab: Lab, section: str, setting: str, value: Any) -> None:
    """Change a setting of the environment, as its owner would."""
    file = lab.include / "config" / "staging.yaml"
    content = yaml.safe_load(file.read_text())
    content[section][setting] = value
    file.write_text(yaml.safe_dump(content))


def own_password(lab: Lab) -> None:
    """The master password of the restored cluster is nobody's secret."""
    rds = lab.admin(STAGING, "rds")
    rds.modify_db_cluster(
        DBClusterIdentifier=RESTORED,
        ManageMasterUserPassword=False,
        MasterUserPassword="for-nobody-but-this-test",
        ApplyImmediately=True,
    )
    until(lambda: "MasterUserSecret" not in cluster(lab, RESTORED), "the secret to be gone")
    available(lab, RESTORED)


def detach_role(lab: Lab) -> None:
    """The restored cluster has no role for S3."""
    rds = lab.admin(STAGING, "rds")
    rds.remove_role_from_db_cluster(DBClusterIdentifier=RESTORED, RoleArn=S3_ROLE)
    until(lambda: not cluster(lab, RESTORED)["AssociatedRoles"], "the role to be detached")


def cluster(lab: Lab, name: str) -> dict[str, Any]:
    """Describe a cluster of staging."""
    [found] = lab.admin(STAGING, "rds").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    return dict(found)


SNAPSHOTS = (
    Recording("db_create_manual_snapshot", {"account": "source", "keep_days": 3}),
    Recording("db_create_manual_snapshot", {"account": "target"}, path="of the target"),
    Recording("db_share_snapshot", lambda lab: {"snapshot": manual_snapshot(lab)}),
    Recording("db_list_shared_snapshots", {"source_account": PRODUCTION}),
    Recording("db_share_snapshot", lambda lab: {"snapshot": manual_snapshot(lab), "action": "revoke"}, path="revoked"),
)
CLUSTERS = (
    Recording("db_restore_cluster", {"cluster": LIVE, "readers": 0}, path="from a snapshot"),
    Recording("db_rename_cluster", {"cluster": LIVE, "check_users": True}),
    Recording("db_rotate_secrets", {"cluster": LIVE}),
    Recording(
        "db_stop_cluster",
        {"cluster": OLD, "confirm": OLD},
        before=keep_old_stopped,
        calls=("rds:StopDBCluster", "rds:RemoveTagsFromResource"),
    ),
    Recording(
        "utils_cleanup_and_stop",
        {"cluster": LIVE, "old_cluster": "stop", "stop_live": True, "keep_stopped_days": 2, "confirm": LIVE},
        before=leave_snapshots,
        calls=("rds:StopDBCluster", "rds:DeleteDBClusterSnapshot", "kms:RevokeGrant"),
    ),
    Recording("db_ensure_cluster_available", {"cluster": LIVE}, calls=("rds:StartDBCluster",)),
    Recording(
        "db_restore_cluster",
        {"cluster": LIVE, "restore_type": "point_in_time", "readers": 0},
        path="to a moment",
    ),
    Recording("db_create_instance", {"cluster": RESTORED, "first": 2}, calls=("rds:CreateDBInstance",)),
    Recording("db_enable_master_secret", {"cluster": RESTORED}, before=own_password, calls=("rds:ModifyDBCluster",)),
    Recording(
        "db_configure_s3_integration",
        {"cluster": RESTORED},
        before=detach_role,
        calls=("rds:AddRoleToDBCluster",),
    ),
    Recording("db_ensure_cluster_not_exists", {"cluster": RESTORED}),
    Recording(
        "db_restore_cluster",
        {"cluster": LIVE, "restore_type": "shared_clone", "readers": 0},
        path="a shared clone",
    ),
    Recording(
        "utils_tag_resources",
        {"resource_arns": [f"{ARN}:cluster:{LIVE}", f"{ARN}:db:{LIVE}-1"], "tags": {"cost-centre": "4711"}},
    ),
    Recording("utils_notify", {"subject": "staging is closed", "message": "until noon", "outcome": "warning"}),
)
DELETION = (Recording("db_delete_cluster", {"cluster": OLD, "confirm": OLD}, calls=("rds:StartDBCluster",)),)
