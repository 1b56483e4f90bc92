"""Amazon S3: buckets, and the objects in which tables wait for their new cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from aurora_ops.core.errors import AuroraOpsError, MissingError, PermanentError
from aurora_ops.hooks.base import AwsHook, aws_errors

_MOST_KEYS = 1000


@dataclass(frozen=True)
class Stored:
    """An object.

    :param content: what is in it.
    :param version_id: its version; ``None`` where the bucket keeps none.
    """

    content: bytes
    version_id: str | None


class BucketsHook(AwsHook):
    """Buckets of one account and region."""

    service = "s3"

    def require_bucket(self, bucket: str) -> None:
        """Make sure that a bucket exists and can be reached (``HeadBucket``).

        :raises MissingError: it does not.
        """
        self.call("head_bucket", Bucket=bucket)

    def region_of(self, bucket: str) -> str:
        """Tell which region a bucket is in (``HeadBucket``).

        :raises MissingError: it does not exist.
        """
        found = self.call("head_bucket", Bucket=bucket)
        headers = found["ResponseMetadata"].get("HTTPHeaders", {})
        return str(found.get("BucketRegion") or headers.get("x-amz-bucket-region") or "us-east-1")

    def encryption(self, bucket: str) -> list[dict[str, Any]]:
        """Read the rules of a bucket's default encryption (``GetBucketEncryption``); none where it has none."""
        try:
            found = self.call("get_bucket_encryption", Bucket=bucket)
        except MissingError:
            return []
        return list(found["ServerSideEncryptionConfiguration"]["Rules"])

    def public_access_block(self, bucket: str) -> dict[str, bool] | None:
        """Read what of public access a bucket itself blocks (``GetPublicAccessBlock``); ``None`` where it says nothing."""
        try:
            return dict(self.call("get_public_access_block", Bucket=bucket)["PublicAccessBlockConfiguration"])
        except MissingError:
            return None

    def versioning(self, bucket: str) -> str | None:
        """Tell whether a bucket keeps versions (``GetBucketVersioning``): ``Enabled``, ``Suspended`` or ``None``."""
        return self.call("get_bucket_versioning", Bucket=bucket).get("Status")

    def upload(self, bucket: str, key: str, body: BinaryIO) -> None:
        """Upload a stream, in parts where it is long; memory stays at some parts of 8 MiB."""
        with aws_errors(f"s3:upload {bucket}/{key}"):
            self.conn.upload_fileobj(body, bucket, key)

    def put(self, bucket: str, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Write a small object whole (``PutObject``); it is encrypted as the bucket says.

        :param bucket: bucket.
        :param key: key of the object.
        :param body: its content.
        :param content_type: what a browser takes it for.
        """
        self.call("put_object", Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def put_new(
        self,
        bucket: str,
        key: str,
        body: bytes,
        content_type: str,
        *,
        locked_until: datetime | None = None,
        lock_mode: str = "GOVERNANCE",
    ) -> Stored | None:
        """Write a small object whole, unless there is one of that key (``PutObject``, ``If-None-Match``).

        :param bucket: bucket.
        :param key: key of the object.
        :param body: its content.
        :param content_type: what a browser takes it for.
        :param locked_until: until when Object Lock keeps it as it is; ``None``: as the bucket says.
        :param lock_mode: ``GOVERNANCE``, which some may lift, or ``COMPLIANCE``, which nobody may.
        :return: what was written; ``None`` where the key is taken.
        """
        locked = locked_until is not None
        try:
            answer = self.call(
                "put_object",
                Bucket=bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                IfNoneMatch="*",
                ObjectLockMode=lock_mode if locked else None,
                ObjectLockRetainUntilDate=locked_until,
            )
        except AuroraOpsError as exc:
            if "PreconditionFailed" not in str(exc):
                raise
            return None
        return Stored(body, answer.get("VersionId"))

    def find(self, bucket: str, key: str, version_id: str | None = None) -> Stored | None:
        """Read a small object whole (``GetObject``); ``None`` where there is none.

        :param bucket: bucket.
        :param key: key of the object.
        :param version_id: which version; ``None``: the newest.
        """
        try:
            answer = self.call("get_object", Bucket=bucket, Key=key, VersionId=version_id)
        except MissingError:
            return None
        with aws_errors(f"s3:get_object {bucket}/{key}"):
            return Stored(answer["Body"].read(), answer.get("VersionId"))

    def open(self, bucket: str, key: str) -> BinaryIO:
        """Open an object for streaming."""
        with aws_errors(f"s3:get_object {bucket}/{key}"):
            body: BinaryIO = self.conn.get_object(Bucket=bucket, Key=key)["Body"]
        return body

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        """List the keys below a prefix, all pages."""
        with aws_errors(f"s3:list_objects_v2 {bucket}/{prefix}"):
            pages = self.conn.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def list_ages(self, bucket: str, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Give each key below a prefix with the time it was written, page by page."""
        with aws_errors(f"s3:list_objects_v2 {bucket}/{prefix}"):
            for page in self.conn.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for item in page.get("Contents", []):
                    yield item["Key"], item["LastModified"]

    def delete_keys(self, bucket: str, keys: list[str]) -> None:
        """Delete objects, a thousand a call."""
        for start in range(0, len(keys), _MOST_KEYS):
            batch = [{"Key": key} for key in keys[start : start + _MOST_KEYS]]
            refused = self.call("delete_objects", Bucket=bucket, Delete={"Objects": batch, "Quiet": True}).get("Errors")
            if refused:  # the call itself succeeds
                raise PermanentError(
                    f"s3:delete_objects {bucket}: {len(refused)} of {len(batch)} keys not deleted, the first is "
                    f"{refused[0].get('Key')}: {refused[0].get('Code')}; allow s3:DeleteObject on them"
                )
