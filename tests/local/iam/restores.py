"""The restore pipeline: a backup of production with secrets of its own, one that is swapped in, and the drill."""

from __future__ import annotations

import json
from datetime import datetime

from aurora_ops.core import run_record, trail

from localcloud.names import SHARED, STAGING
from localcloud.seed.accounts import AUDIT_BUCKET
from tests.local.iam.databases import LIVE, cluster
from tests.local.iam.lab import Lab
from tests.local.iam.recording import Recording

RESTORE = "aurora_restore"
MOMENT = "2026-03-01T00:00:00+00:00"
MASTER, USERS = "aurora-restore/master-credentials", "aurora-restore/app-credentials"


def make_secrets(lab: Lab) -> None:
    """What an owner has written down for restores: a master password under a customer key, and two users."""
    secrets = lab.admin(STAGING, "secretsmanager")
    master = {
        "database": "shop",
        "username": cluster(lab, LIVE)["MasterUsername"],
        "password": "for-nobody-but-this-test",
    }
    users = {
        f"{role}_{key}": value
        for role in ("app", "readonly")
        for key, value in {"username": f"restored_{role}", "password": f"for-nobody-but-{role}"}.items()
    }
    secrets.create_secret(Name=MASTER, SecretString=json.dumps(master), KmsKeyId="alias/shop-staging")
    secrets.create_secret(Name=USERS, SecretString=json.dumps(users))


def take_place(lab: Lab) -> None:
    """Where the audit trail of a run is exported to, there is something else; what it is has to be read."""
    name = run_record.file_name(f"manual__{MOMENT}")
    key = trail.export_key(RESTORE, datetime.fromisoformat(MOMENT), name)
    lab.admin(SHARED, "s3").put_object(Bucket=AUDIT_BUCKET, Key=key, Body=b"something else")


def let_nothing_restore(lab: Lab) -> None:
    """Have no backup restore."""
    lab.fail(service="rds", action="RestoreDBClusterFromSnapshot", code="InvalidRestoreFault")


RECORDINGS = (
    Recording(
        RESTORE,
        {
            "cluster": LIVE,
            "from_account": "source",
            "baseline": "source",
            "master_secret": MASTER,
            "app_secret": USERS,
            "copied_snapshot": "archive",
            "readers": 0,
        },
        path="of production",
        before=make_secrets,
        calls=("rds:CopyDBClusterSnapshot", "rds:RemoveTagsFromResource"),
    ),
    Recording(
        RESTORE,
        {"cluster": LIVE, "label": "friday", "swap": True, "confirm": LIVE, "old_cluster": "delete", "readers": 0},
        path="swapped in",
        before=take_place,
        moment=MOMENT,
        calls=("rds:DeleteDBCluster",),
    ),
    Recording(
        "aurora_restore_drill",
        path="missed",
        before=let_nothing_restore,
        fails="staging-staging-shop.file_evidence",
        calls=("sns:Publish",),
    ),
    Recording("aurora_restore_drill"),
)
