"""Amazon S3: objects that hold parts of log files, written once and never put over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from aurora_ops.core.errors import AuroraOpsError, MissingError
from aurora_ops.hooks.base import AwsHook

PART_BYTES = 5 * 2**20
"""The least that S3 takes; each file that is read at the same time holds one part in memory."""


@dataclass(frozen=True)
class Keeping:
    """How objects are kept.

    :param kms_key_id: key that they are encrypted with; ``None``: as the bucket says.
    :param storage_class: storage class.
    :param locked_until: until when Object Lock keeps them; ``None``: as the bucket says.
    :param lock_mode: ``GOVERNANCE`` or ``COMPLIANCE``.
    """

    kms_key_id: str | None = None
    storage_class: str | None = None
    locked_until: datetime | None = None
    lock_mode: str = "GOVERNANCE"

    def as_arguments(self) -> dict[str, Any]:
        """Write it as S3 takes it; what is ``None`` is left out by whoever calls."""
        return {
            "ServerSideEncryption": "aws:kms" if self.kms_key_id else None,
            "SSEKMSKeyId": self.kms_key_id,
            "StorageClass": self.storage_class,
            "ObjectLockMode": self.lock_mode if self.locked_until else None,
            "ObjectLockRetainUntilDate": self.locked_until,
        }


class LogObjectsHook(AwsHook):
    """Objects of one account and region."""

    service = "s3"
    audited = False

    def put_new(
        self, bucket: str, key: str, body: BinaryIO, size: int, metadata: Mapping[str, str], keeping: Keeping
    ) -> bool:
        """Write an object unless there is one of that key (``PutObject`` or a multipart upload, ``If-None-Match``).

        :param bucket: bucket.
        :param key: key of the object.
        :param body: its content, from the beginning; at most one part of it is in memory.
        :param size: bytes of it.
        :param metadata: of the object.
        :param keeping: how it is kept.
        :return: whether it was written; not where the key is taken.
        """
        about = {"Bucket": bucket, "Key": key}
        made = {"Metadata": dict(metadata), "ContentType": "application/octet-stream", **keeping.as_arguments()}
        try:
            if size <= PART_BYTES:
                self.call("put_object", **about, **made, Body=body.read(), IfNoneMatch="*")
            else:
                self._in_parts(about, made, body)
        except AuroraOpsError as exc:
            if "PreconditionFailed" not in str(exc):
                raise
            return False
        return True

    def find_metadata(self, bucket: str, key: str) -> tuple[dict[str, str], int] | None:
        """Read the metadata of an object, and how many bytes it has (``HeadObject``); ``None`` where there is none."""
        try:
            answer = self.call("head_object", Bucket=bucket, Key=key)
        except MissingError:
            return None
        return dict(answer.get("Metadata") or {}), int(answer["ContentLength"])

    def _in_parts(self, about: Mapping[str, str], made: Mapping[str, Any], body: BinaryIO) -> None:
        upload = {**about, "UploadId": self.call("create_multipart_upload", **about, **made)["UploadId"]}
        try:
            parts = []
            for number, part in enumerate(iter(lambda: body.read(PART_BYTES), b""), 1):
                sent = self.call("upload_part", **upload, PartNumber=number, Body=part)
                checks = {name: value for name, value in sent.items() if name.startswith("Checksum")}
                parts.append({"PartNumber": number, "ETag": sent["ETag"], **checks})
            self.call("complete_multipart_upload", **upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
        except AuroraOpsError:
            self._abort(upload)
            raise

    def _abort(self, upload: Mapping[str, str]) -> None:
        try:
            self.call("abort_multipart_upload", **upload)
        except AuroraOpsError as exc:  # a lifecycle rule of the bucket takes it away
            self.log.warning("an upload was not ended: %s", exc)
