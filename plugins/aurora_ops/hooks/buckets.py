"""Amazon S3: the objects in which tables wait for their new cluster."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO

from aurora_ops.core.errors import PermanentError
from aurora_ops.hooks.base import AwsHook, aws_errors

_MOST_KEYS = 1000


class BucketsHook(AwsHook):
    """Buckets of one account and region."""

    service = "s3"

    def require_bucket(self, bucket: str) -> None:
        """Make sure that a bucket exists and can be reached (``HeadBucket``).

        :raises MissingError: it does not.
        """
        self.call("head_bucket", Bucket=bucket)

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
