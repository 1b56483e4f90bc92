"""The bucket that a task writes to: in the account of the bucket's owner, encrypted under the task's key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from moto.s3.models import s3_backends

from localcloud.rds.exports.access import find_bucket

if TYPE_CHECKING:
    from localcloud.rds.model import ExportTask

# Characters that RDS replaces in the path of an object.
_REPLACED = re.compile(r'[\\`" ]')


class BucketGoneError(Exception):
    """The bucket was deleted while the task ran."""


def put(task: ExportTask, key: str, content: bytes) -> None:
    """Write an object of a task.

    :param key: below the task's folder.
    :raises BucketGoneError: there is no such bucket any more.
    """
    found = find_bucket(task.bucket)
    if found is None:
        raise BucketGoneError(task.bucket)
    backend: Any = s3_backends[found[0]]["aws"]
    backend.put_object(
        task.bucket, _REPLACED.sub("_", f"{task.path}/{key}"), content, encryption="aws:kms", kms_key_id=task.kms_key_id
    )
