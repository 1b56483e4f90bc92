"""Making things older than they are: what has no tags is judged by its age, and tests cannot wait for a day to pass."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.kms.models import kms_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import FakeSecret, secretsmanager_backends

from localcloud.services.kms import LocalGrant

if TYPE_CHECKING:
    from localcloud.cloud import Cloud


def install(cloud: Cloud) -> None:
    """Offer the admin operation ``backdate``."""
    cloud.on_admin("backdate", partial(_backdate, cloud))


def _backdate(cloud: Cloud, parameters: dict[str, Any]) -> dict[str, Any]:
    """Let KMS grants, S3 objects and versions of secrets have been made earlier.

    :param parameters: account; hours: by how much.
    :return: how many of each.
    :raises ValueError: hours is not a positive number.
    """
    account, hours = parameters["account"], parameters["hours"]
    if not isinstance(hours, (int, float)) or hours <= 0:
        raise ValueError(f"hours is {hours!r}; give a positive number")
    region, seconds = cloud.config.region, int(hours * 3600)
    with cloud.lock("secretsmanager"), cloud.lock("kms"):
        found = [grant for key in kms_backends[account][region].keys.values() for grant in key.grants.values()]
        grants = [grant for grant in found if isinstance(grant, LocalGrant)]
        for grant in grants:
            grant.creation_date -= seconds
        secrets = secretsmanager_backends[account][region].secrets.values()
        versions = [made for one in secrets if isinstance(one, FakeSecret) for made in one.versions.values()]
        for version in versions:
            version["createdate"] -= seconds
    objects = [item for bucket in s3_backends[account]["aws"].buckets.values() for item in bucket.keys.values()]
    for item in objects:
        item.last_modified -= timedelta(hours=hours)
    for service in ("kms", "secretsmanager", "s3"):
        cloud.store.save(service)
    return {"grants": len(grants), "objects": len(objects), "versions": len(versions)}
