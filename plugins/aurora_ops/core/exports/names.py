"""Names of exports: pure functions of a snapshot's ARN and of the settings.

RDS: an export task's identifier has 1 to 60 letters, digits and hyphens, begins with a letter, has no double hyphen and none at
the end (``StartExportTask``; longer ones are refused, and cutting one may leave a hyphen at its end). The prefix of an export may
not contain a colon, and an export to one that ends with a slash fails.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, tzinfo

from aurora_ops.core.naming import fit

LONGEST_TASK = 60
_LONGEST_QUEUE = 80
_DIGEST = 12
_MOST_ATTEMPTS = 99
_ATTEMPT = re.compile(r"-a(\d{1,2})$")


def snapshot_of(arn: str) -> str:
    """Read a snapshot's identifier from its ARN; those of automated ones and of AWS Backup contain a colon.

    :param arn: ``arn:aws:rds:<region>:<account>:cluster-snapshot:<identifier>`` or ``...:snapshot:<identifier>``.
    :raises ValueError: it is none.
    """
    parts = arn.split(":", 6)
    if len(parts) != 7 or parts[2] != "rds" or parts[5] not in ("cluster-snapshot", "snapshot") or not parts[6]:
        raise ValueError(f"{arn!r} is not the ARN of a snapshot")
    return parts[6]


def is_of_a_cluster(arn: str) -> bool:
    """Tell whether the ARN of a snapshot is that of a cluster's."""
    return arn.split(":", 6)[5] == "cluster-snapshot"


def task(arn: str, attempt: int = 1) -> str:
    """Name the export task of a snapshot: legal, at most 60 characters, another for each ARN and attempt.

    :param arn: the snapshot's.
    :param attempt: from 1; an identifier is not free again when its task has failed.
    """
    if not 1 <= attempt <= _MOST_ATTEMPTS:
        raise ValueError(f"attempt {attempt}: write 1 to {_MOST_ATTEMPTS}")
    digest = hashlib.sha256(arn.encode()).hexdigest()[:_DIGEST]
    suffix = f"-{digest}" if attempt == 1 else f"-{digest}-a{attempt}"
    stem = snapshot_of(arn).removeprefix("rds:")
    return fit(stem, suffix, LONGEST_TASK)


def attempt_of(task_id: str, arn: str) -> int | None:
    """Tell which attempt a task of ours is; ``None``: it is another's task of the snapshot.

    :param task_id: identifier of an export task.
    :param arn: the snapshot's.
    """
    found = _ATTEMPT.search(task_id)
    attempt = int(found[1]) if found else 1
    return attempt if 1 <= attempt <= _MOST_ATTEMPTS and task(arn, attempt) == task_id else None


def run(arn: str) -> str:
    """Name the DAG run that exports a snapshot because of an event: the same for every event of it."""
    return f"event__{task(arn)}"


def date(moment: datetime, zone: tzinfo) -> str:
    """Write the day of a snapshot as the partition has it.

    :param moment: when it was made.
    :param zone: whose days count.
    """
    return moment.astimezone(zone).strftime("%Y-%m-%d")


def prefix(beginning: str, name: str, day: str) -> str:
    """Make the prefix that RDS is given; it puts the task's identifier behind it.

    :param beginning: ``prefix`` of the settings; may be empty.
    :param name: of the export.
    :param day: as ``date`` writes it.
    """
    return "/".join(part for part in (beginning, f"db={name}", f"snapshot_date={day}") if part)


def glue_name(name: str) -> str:
    """Make a name that Glue and Athena accept without quotes: lower case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9_]", "_", name.lower())


def setup(name: str, account_id: str) -> str:
    """Name the bucket that the setup makes (at most 63 characters); ``alias`` and ``role`` are those of its key and role.

    :param name: of the export.
    :param account_id: account that it is in: names of buckets are one's own all over AWS.
    """
    return fit(f"aurora-ops-export-{name}", f"-{account_id}")


def role(name: str) -> str:
    """Name the role that the setup makes for RDS to write with (at most 64 characters)."""
    return f"aurora-ops-export-{name}"


def alias(name: str) -> str:
    """Name the alias of the key that the setup makes."""
    return f"alias/aurora-ops-export-{name}"


def queue(environment: str) -> str:
    """Name the queue of snapshots' events that the setup makes in each account and region (at most 80 characters).

    :param environment: name of the environment.
    """
    return fit(f"aurora-ops-{environment}", "-snapshot-events", _LONGEST_QUEUE)


ANSWERS = "athena"
"""Beginning of the keys of what Athena answers, in the bucket of an export."""


def workgroup(name: str) -> str:
    """Name the Athena work group that the setup makes."""
    return f"aurora-ops-export-{name}"


def crawler(name: str) -> str:
    """Name the Glue crawler that the setup makes, where the catalogue is made by one."""
    return f"aurora-ops-export-{name}"
