"""What keeps an environment in order: the preflight, and snapshots that are copied and superseded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aurora_ops.core import naming, ownership

from localcloud.names import PRODUCTION, SHARED, STAGING
from tests.local.iam.databases import LIVE, available, snapshot
from tests.local.iam.lab import Lab
from tests.local.iam.recording import RETENTION, Recording

IRELAND = {"LocationConstraint": "eu-west-1"}


def take_superseded(lab: Lab) -> None:
    """An automated snapshot, which is to be copied, and two kept ones of one day, of which the newer one stays."""
    available(lab, LIVE)
    lab.operation("rds-automated-snapshot", account=STAGING, region="eu-west-1", cluster=LIVE, created=None)
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
    for moment in (noon, noon + timedelta(hours=1)):
        tags = {ownership.OWNER_TAG: ownership.OWNER, **ownership.kept_copy(moment, "arn:aws:rds:eu-west-1:1:x")}
        available(lab, LIVE)
        snapshot(lab, STAGING, LIVE, naming.snapshot(LIVE, "staging", moment, "kept"), tags)


def record_calls(lab: Lab) -> None:
    """A trail of CloudTrail in each account."""
    for account in (SHARED, PRODUCTION, STAGING):
        lab.admin(account, "s3").create_bucket(Bucket=f"trail-{account}", CreateBucketConfiguration=IRELAND)
        trails = lab.admin(account, "cloudtrail")
        trails.create_trail(Name="all", S3BucketName=f"trail-{account}")
        trails.start_logging(Name="all")


RECORDINGS = (
    Recording("preflight", {"write_report": True}, before=record_calls),
    Recording(
        RETENTION,
        {"dry_run": False},
        before=take_superseded,
        calls=("rds:CopyDBClusterSnapshot", "rds:DeleteDBClusterSnapshot"),
    ),
)
# With files and jobs, which are looked at too.
ALONG = (Recording("preflight", path="with files", along=True),)
