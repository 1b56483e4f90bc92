"""Objects of S3 that a query reads and writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moto.core.exceptions import ServiceException
from moto.s3.models import FakeKey, s3_backends

from localcloud.services.athena.errors import QueryError

if TYPE_CHECKING:
    from pathlib import Path

    from moto.s3.models import FakeBucket

    from localcloud.services.athena.asking import Asking

LOCATION = re.compile(r"s3[an]?://([^/]+)/?(.*)")
# Athena passes over objects that would have to be restored first.
ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}
PIECE = 1024 * 1024


@dataclass(frozen=True)
class Object:
    """An object that holds rows.

    :param size: bytes.
    """

    bucket: str
    key: str
    size: int
    source: FakeKey

    @property
    def path(self) -> str:
        """What ``"$path"`` gives."""
        return f"s3://{self.bucket}/{self.key}"


def split(location: str) -> tuple[str, str]:
    """Bucket and key, or prefix, of a location.

    :raises QueryError: it is none of S3.
    """
    match = LOCATION.fullmatch(location)
    if match is None:
        raise QueryError(
            "HIVE_INVALID_METADATA", f"Table is missing storage descriptor location, or it is not S3: {location!r}"
        )
    return match[1], match[2]


def bucket_of(name: str) -> FakeBucket | None:
    """Find a bucket of any account; None if there is none."""
    owner = s3_backends.bucket_accounts.get(name)
    return s3_backends[owner[1]][owner[0]].buckets.get(name) if owner else None


def listed(location: str, asking: Asking, *, restored: bool = False) -> list[Object]:
    """List the objects with rows below a location, in all folders: not hidden, not empty, not archived.

    :param restored: whether archived objects that have been restored are read.
    :raises QueryError: there is no such bucket, or it may not be listed.
    """
    name, prefix = split(location)
    prefix = prefix.rstrip("/") + "/" if prefix.rstrip("/") else ""
    bucket = bucket_of(name)
    if bucket is None:
        raise QueryError("HIVE_FILESYSTEM_ERROR", f"The specified bucket does not exist: {name}")
    if asking.may("s3:ListBucket", f"arn:aws:s3:::{name}", s3__prefix=prefix):
        raise denied(location)
    found = []
    for key, source in list(bucket.keys.items()):
        if not isinstance(source, FakeKey) or not key.startswith(prefix) or key.endswith("/"):
            continue
        if any(part.startswith(("_", ".")) for part in key[len(prefix) :].split("/")) or not source.size:
            continue
        if source.storage_class in ARCHIVED and not (restored and source.expiry_date):
            continue
        found.append(Object(name, key, int(source.size), source))
    return sorted(found, key=lambda one: one.key)


def fetch(item: Object, path: Path, asking: Asking) -> None:
    """Copy an object to a file, a piece at a time.

    :raises QueryError: it may not be read, or is encrypted with a key that may not be used.
    """
    refusal = asking.may("s3:GetObject", f"arn:aws:s3:::{item.bucket}/{item.key}")
    if refusal is None and item.source.encryption == "aws:kms" and item.source.kms_key_id:
        refusal = asking.may_use_key(item.source.kms_key_id, ("Decrypt",))
    if refusal is not None:
        raise denied(item.path)
    place = 0
    with path.open("wb") as file:
        while True:
            with item.source.lock:
                buffer = item.source._value_buffer  # noqa: SLF001 - `value` reads all of it
                buffer.seek(place)
                piece = buffer.read(PIECE)
            if not piece:
                return
            file.write(piece)
            place += len(piece)


def put(location: str, content: bytes, asking: Asking, encryption: dict[str, str] | None = None) -> None:
    """Write a result.

    :param encryption: ``EncryptionConfiguration`` of the result.
    :raises QueryError: it may not be written.
    """
    name, key = split(location)
    kind, kms_key = (encryption or {}).get("EncryptionOption"), (encryption or {}).get("KmsKey")
    bucket = bucket_of(name)
    refusal = asking.may("s3:PutObject", f"arn:aws:s3:::{name}/{key}")
    if refusal is None and kind == "SSE_KMS" and kms_key:
        refusal = asking.may_use_key(kms_key, ("GenerateDataKey", "Decrypt"))
    if refusal is not None or bucket is None:
        raise QueryError("", f"Access denied when writing output to url: {location} . {WRITING}")
    owner = s3_backends.bucket_accounts[name]
    try:
        s3_backends[owner[1]][owner[0]].put_object(
            name,
            key,
            content,
            encryption={"SSE_KMS": "aws:kms", "SSE_S3": "AES256"}.get(kind or ""),
            kms_key_id=kms_key,
        )
    except ServiceException as error:
        raise QueryError("", f"Access denied when writing output to url: {location} : {error}") from None
    asking.cloud.store.save("s3")


WRITING = (
    "Please ensure you are allowed to access the S3 bucket. If you are encrypting query results with KMS key, please ensure"
    " you are allowed to access your KMS key"
)


def denied(location: str) -> QueryError:
    """Say that S3 refuses."""
    return QueryError(
        "PERMISSION_DENIED", f"Access denied on S3 path: {location} (Service: Amazon S3; Status Code: 403)"
    )
