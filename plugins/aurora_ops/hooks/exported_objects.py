"""Amazon S3: the objects of an export, of which only names, sizes and ends are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aurora_ops.core.errors import VerificationError
from aurora_ops.core.exports import footers
from aurora_ops.core.exports.contents import Contents, Part
from aurora_ops.core.exports.footers import Footer
from aurora_ops.hooks.base import aws_errors
from aurora_ops.hooks.buckets import BucketsHook

_RANGE = re.compile(r"bytes \d+-\d+/(\d+)")


@dataclass(frozen=True)
class Ending:
    """The end of a Parquet file, and how the object is encrypted.

    :param footer: what the file has.
    :param encryption: ``aws:kms``, ``aws:kms:dsse``, ``AES256``, or empty.
    :param kms_key_id: ARN of the key; empty where it is none of KMS.
    """

    footer: Footer
    encryption: str
    kms_key_id: str


class ExportedObjectsHook(BucketsHook):
    """Exports in the buckets of one account and region."""

    def contents(self, bucket: str, path: str) -> Contents:
        """List what is below an export's path, page by page (``ListObjectsV2``).

        :param bucket: bucket of the export.
        :param path: ``<prefix>/<task>/``.
        """
        found = Contents(path)
        for key, size in self.list_sizes(bucket, path):
            found.add(key, size)
        return found

    def list_sizes(self, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
        """Give each key below a prefix with the bytes of its object (``ListObjectsV2``)."""
        with aws_errors(f"s3:list_objects_v2 {bucket}/{prefix}"):
            for page in self.conn.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for item in page.get("Contents", []):
                    yield item["Key"], int(item["Size"])

    def ending(self, bucket: str, part: Part) -> Ending:
        """Read the end of a Parquet file (``GetObject`` of its last 64 KiB, and once more where its footer is longer).

        :param bucket: bucket of the export.
        :param part: the file.
        :raises VerificationError: it is no Parquet, was cut off, or is not the object that was listed.
        :raises MissingError: it is not there.
        """
        try:
            return self._ending(bucket, part)
        except ValueError as exc:
            raise VerificationError(f"s3://{bucket}/{part.key}: {exc}") from None

    def _ending(self, bucket: str, part: Part) -> Ending:
        if not part.size:
            raise ValueError("it is empty")  # S3 gives no range of nothing
        tail, encryption, key_id = self._tail(bucket, part, footers.TAIL_BYTES)
        needed = footers.needed_bytes(tail, part.size)
        if needed > len(tail):
            tail, _, _ = self._tail(bucket, part, needed)
        return Ending(footers.read(tail, part.size), encryption, key_id)

    def _tail(self, bucket: str, part: Part, length: int) -> tuple[bytes, str, str]:
        """Read the last bytes of an object; also how it is encrypted and by which key."""
        answer = self.call("get_object", Bucket=bucket, Key=part.key, Range=f"bytes=-{length}")
        with aws_errors(f"s3:get_object {bucket}/{part.key}"):
            content: bytes = answer["Body"].read()
        whole = _RANGE.fullmatch(str(answer.get("ContentRange", "")))
        size = int(whole[1]) if whole else len(content)
        if size != part.size:
            raise ValueError(f"it has {size} bytes, {part.size} were listed")
        return content, str(answer.get("ServerSideEncryption", "")), str(answer.get("SSEKMSKeyId", ""))
