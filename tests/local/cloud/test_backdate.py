"""What has no tags is made older, so that what judges it by its age can be tested."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from localcloud.client import AdminError, admin_operation
from localcloud.names import PRODUCTION, STAGING, role_arn

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local

HOURS = 48
THEN = datetime.now(UTC) - timedelta(hours=HOURS)
A_MOMENT = timedelta(minutes=10)


def test_grants_objects_and_versions_become_older_in_their_account_only(cloud: LocalCloud) -> None:
    name = f"age-{uuid4()}"
    made = {}
    for account in (PRODUCTION, STAGING):
        kms, s3, secrets = (cloud.client(account, service) for service in ("kms", "s3", "secretsmanager"))
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_grant(KeyId=key, GranteePrincipal=role_arn(STAGING), Operations=["Decrypt"])
        bucket = f"{name}-{account}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        secrets.create_secret(Name=name, SecretString="x")
        made[account] = (kms, key, s3, bucket, secrets)

    changed = admin_operation("backdate", cloud.config, account=STAGING, hours=HOURS)

    assert all(number >= 1 for number in changed.values())
    for account, expected in ((STAGING, THEN), (PRODUCTION, THEN + timedelta(hours=HOURS))):
        kms, key, s3, bucket, secrets = made[account]
        dates = [
            kms.list_grants(KeyId=key)["Grants"][0]["CreationDate"],
            s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"],
            secrets.list_secret_version_ids(SecretId=name)["Versions"][0]["CreatedDate"],
        ]
        assert [date for date in dates if abs(date - expected) > A_MOMENT] == []


@pytest.mark.parametrize("hours", [0, -1, "long"])
def test_only_into_the_past(cloud: LocalCloud, hours: object) -> None:
    with pytest.raises(AdminError, match="positive number"):
        admin_operation("backdate", cloud.config, account=STAGING, hours=hours)
