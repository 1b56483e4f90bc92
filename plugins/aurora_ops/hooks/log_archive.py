"""Amazon S3: stored parts of log files read as streams, and what is made of them written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aurora_ops.core.errors import MissingError
from aurora_ops.hooks.base import aws_errors
from aurora_ops.hooks.buckets import BucketsHook

_PIECE_BYTES = 64 * 2**10
_DIGEST = "sha256"


class LogArchiveHook(BucketsHook):
    """Objects of one account and region."""

    def pieces(self, bucket: str, key: str) -> Iterator[bytes]:
        """Read an object in pieces (``GetObject``).

        :param bucket: bucket.
        :param key: key of the object.
        :raises MissingError: there is none.
        """
        body = self.open(bucket, key)
        with aws_errors(f"s3:get_object {bucket}/{key}"):
            while piece := body.read(_PIECE_BYTES):
                yield piece

    def versions(self, bucket: str, key: str) -> list[bytes]:
        """Read every version of a small object, the newest first (``ListObjectVersions``, ``GetObject``); none where it is deleted.

        :param bucket: bucket.
        :param key: key of the object.
        """
        with aws_errors(f"s3:list_object_versions {bucket}/{key}"):
            pages = self.conn.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
            found = [page.get(kind, []) for page in pages for kind in ("Versions", "DeleteMarkers")]
        mine = [one for some in found for one in some if one["Key"] == key]
        newest = next((one for one in mine if one["IsLatest"]), None)
        if newest is None or "Size" not in newest:
            return []
        older = sorted((one for one in mine if "Size" in one), key=lambda one: one["LastModified"], reverse=True)
        ordered = [newest, *(one for one in older if one is not newest)]
        read = [self.find(bucket, key, str(one["VersionId"])) for one in ordered]
        return [one.content for one in read if one is not None]

    def put_file(self, bucket: str, key: str, path: Path, sha256: str) -> bool:
        """Write a file, over what is there; not if that is the same (``HeadObject``, ``PutObject`` or a multipart upload).

        :param bucket: bucket.
        :param key: key of the object.
        :param path: the file.
        :param sha256: of its bytes, kept with the object.
        :return: whether it was written.
        """
        try:
            if self.call("head_object", Bucket=bucket, Key=key).get("Metadata", {}).get(_DIGEST) == sha256:
                return False
        except MissingError:
            pass
        with aws_errors(f"s3:upload {bucket}/{key}"):
            self.conn.upload_file(str(path), bucket, key, ExtraArgs={"Metadata": {_DIGEST: sha256}})
        return True
