"""Names of audit log files, who they are whatever they are called, and the keys under which their bytes are kept.

Aurora MySQL writes ``audit/audit.log.<stripe>.<yyyy-mm-dd-hh-mm>.<n>``, several at once; a name is never used again. RDS for
MySQL and MariaDB write ``audit/server_audit.log``, which becomes ``.1`` when it is full, what was ``.1`` becomes ``.2``, and so
on: there a file is known by its first record, whatever its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

HEAD_BYTES = 4096
_AURORA = re.compile(r"audit/audit\.log\.(?P<stripe>\d+)\.(?P<time>\d{4}-\d\d-\d\d-\d\d-\d\d)\.(?P<number>\d+)")
_AURORA_PREFIX = "audit/audit.log"
_SHIFTING = re.compile(r"audit/server_audit\.log(?:\.(?P<number>\d+))?")
_TOKEN = re.compile(rb"\\.|'|\n", re.DOTALL)
SUFFIXES = {"zstd": ".log.zst", "gzip": ".log.gz", "none": ".log"}


@dataclass(frozen=True)
class Offered:
    """A log file as an instance lists it.

    :param name: its name now.
    :param size: bytes.
    :param last_written_ms: when it was last written, in milliseconds since 1970.
    """

    name: str
    size: int
    last_written_ms: int


def is_audit_log(name: str) -> bool:
    """Tell whether a log file is an audit log of Aurora MySQL, or of RDS for MySQL and MariaDB."""
    return name.startswith(_AURORA_PREFIX) or shifts(name)


def shifts(name: str) -> bool:
    """Tell whether a file gets another name when logs are rotated."""
    return _SHIFTING.fullmatch(name) is not None


def fixed_identity(name: str) -> str:
    """Give the identity of a file whose name is its own for ever."""
    return name.replace("/", "~")


def identity_of_head(head: bytes) -> str | None:
    """Give the identity of a file whose name shifts; ``None`` while too little of it is written to tell.

    :param head: its first 4 KiB, or all of it where it is shorter.
    """
    head = head[:HEAD_BYTES]
    end = first_record(head)
    if end is None and len(head) < HEAD_BYTES:
        return None
    return f"server_audit-{hashlib.sha256(head if end is None else head[:end]).hexdigest()[:16]}"


def first_record(data: bytes) -> int | None:
    """Find where the first record ends, its newline left out: at the first one outside quotes; ``None`` where there is none."""
    quoted = False
    for token in _TOKEN.finditer(data):
        if token[0] == b"'":
            quoted = not quoted
        elif token[0] == b"\n" and not quoted:
            return token.start()
    return None


def rotated(name: str, others: Iterable[str]) -> bool:
    """Tell whether a file is no longer written to because another one is instead.

    :param name: its name.
    :param others: names of the files of the same instance.
    """
    if (shifting := _SHIFTING.fullmatch(name)) is not None:
        return shifting["number"] is not None
    own = _AURORA.fullmatch(name)
    return own is not None and any(
        other["stripe"] == own["stripe"] and _order(other) > _order(own)
        for other in map(_AURORA.fullmatch, others)
        if other is not None
    )


def _order(name: re.Match[str]) -> tuple[str, int]:
    return name["time"], int(name["number"])


def partition(account_id: str, region: str, resource_id: str) -> str:
    """Give the partition key under which an instance's files are kept in the table of states."""
    return f"logs#{account_id}#{region}#{resource_id}"


def register(account_id: str, region: str) -> str:
    """Give the partition key under which the instances of a region are kept."""
    return f"logs#{account_id}#{region}"


def folder(prefix: str, account_id: str, region: str, cluster: str, resource_id: str) -> str:
    """Give the beginning of the keys of an instance's objects, with a slash at the end.

    :param prefix: of the settings, without a slash at the end; empty: none.
    :param account_id: account of the instance.
    :param region: its region.
    :param cluster: its cluster; empty: it has none.
    :param resource_id: its resource id (``db-...``), which is never used again.
    """
    path = f"account={account_id}/region={region}/cluster={cluster or 'none'}/instance={resource_id}/"
    return f"{prefix}/{path}" if prefix else path


def object_key(folder_of_instance: str, date: str, identity: str, begin: int, end: int, compression: str) -> str:
    """Name an object: the same bytes of the same file have the same key, however often they are read.

    :param folder_of_instance: from ``folder``.
    :param date: day on which the file was first seen, ``yyyy-mm-dd`` in UTC.
    :param identity: of the file.
    :param begin: offset of its first byte in the file.
    :param end: offset after its last byte.
    :param compression: ``zstd``, ``gzip`` or ``none``.
    """
    return f"{folder_of_instance}date={date}/{identity}/{begin:015d}-{end:015d}{SUFFIXES[compression]}"
