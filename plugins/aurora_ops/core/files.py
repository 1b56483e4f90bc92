"""Files: which recovery point to restore, which directory a restore has written, and what two accounts must allow each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aurora_ops.core.errors import MissingError, SafetyError
from aurora_ops.core.partitions import of_arn

RESTORE_PREFIX = "aws-backup-restore_"
_RESTORED = re.compile(re.escape(RESTORE_PREFIX) + r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)(?:-(\d{1,6}))?Z?")
_SOURCE_ACTIONS = (
    "elasticfilesystem:DescribeFileSystems",
    "elasticfilesystem:CreateReplicationConfiguration",
    "elasticfilesystem:DescribeReplicationConfigurations",
    "elasticfilesystem:DeleteReplicationConfiguration",
    "elasticfilesystem:ReplicationWrite",
)
_CLIENT_ACTIONS = (
    "elasticfilesystem:ClientMount",
    "elasticfilesystem:ClientWrite",
    "elasticfilesystem:ClientRootAccess",
)
REPLICATION_SID, END_SID, CLIENTS_SID = "AuroraOpsReplication", "AuroraOpsEndReplication", "AuroraOpsClients"


@dataclass(frozen=True)
class RecoveryPoint:
    """What matters of a recovery point."""

    arn: str
    vault: str
    resource_arn: str
    status: str
    created: datetime
    size_bytes: int


def choose_recovery_point(
    points: Iterable[RecoveryPoint], *, now: datetime, max_age_h: float, resource: str
) -> RecoveryPoint:
    """Choose the newest completed recovery point that is young enough.

    :param points: recovery points in any order and any status.
    :param now: present moment.
    :param max_age_h: oldest accepted, in hours.
    :param resource: whose they are, for the error.
    :raises MissingError: there is none; the message says what there is.
    """
    known = sorted(points, key=lambda point: point.created)
    completed = [point for point in known if point.status == "COMPLETED"]
    if completed and completed[-1].created >= now - timedelta(hours=max_age_h):
        return completed[-1]
    others = sorted({point.status for point in known} - {"COMPLETED"})
    newest = f"the newest is of {completed[-1].created.isoformat(timespec='seconds')}" if completed else "there is none"
    raise MissingError(
        f"no completed recovery point of {resource} is younger than {max_age_h:g} h: {newest}"
        + (f", and others are {', '.join(others)}" if others else "")
        + "; look at the backup plan, start a backup job, or raise max_age_h"
    )


def restored_at(directory: str) -> tuple[str, int] | None:
    """Read when AWS Backup wrote a directory, as something that sorts; ``None`` where it did not write it."""
    found = _RESTORED.fullmatch(directory)
    return (found[1], int((found[2] or "0").ljust(6, "0"))) if found else None


def newest_restore_directory(directories: Iterable[str]) -> str | None:
    """Choose the newest of the directories that AWS Backup restores into: each restore makes one."""
    made = {name: moment for name in directories if (moment := restored_at(name))}
    return max(made, key=lambda name: (made[name], name)) if made else None


def is_synced(synced_to: datetime | None, moment: datetime) -> bool:
    """Tell whether a replication has brought over everything that was written before a moment."""
    return synced_to is not None and synced_to >= moment


def replication_policy(policy: str | None, *, file_system_arn: str, source_account: str) -> str | None:
    """Let an account replicate into a file system, beside what its policy says already.

    :param policy: policy of the destination; ``None`` is AWS's default.
    :return: the new policy, ``None`` where nothing is missing.
    """
    return _with(policy, REPLICATION_SID, file_system_arn, source_account, _SOURCE_ACTIONS)


def end_policy(policy: str | None, *, file_system_arn: str, destination_account: str) -> str | None:
    """Let the destination's account end the replication of a source file system, beside what its policy says already.

    :param policy: policy of the source; ``None`` is AWS's default.
    :return: the new policy, ``None`` where nothing is missing.
    """
    actions = ("elasticfilesystem:DeleteReplicationConfiguration",)
    return _with(policy, END_SID, file_system_arn, destination_account, actions)


def _with(policy: str | None, sid: str, arn: str, account: str, actions: tuple[str, ...]) -> str | None:
    document: dict[str, Any] = json.loads(policy) if policy else {"Version": "2012-10-17", "Statement": []}
    given = document.get("Statement") or []
    statements: list[dict[str, Any]] = [given] if isinstance(given, dict) else list(given)
    # Without a policy every client of the network may mount; with the first one, only those that it lets in.
    if not statements:
        statements.append(_clients(arn))
    wanted = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:{of_arn(arn)}:iam::{account}:root"},
        "Action": list(actions),
        "Resource": arn,
    }
    if wanted in statements:
        return None
    kept = [statement for statement in statements if statement.get("Sid") != sid]
    return json.dumps({**document, "Statement": [*kept, wanted]})


def _clients(arn: str) -> dict[str, Any]:
    """Let in whom AWS's default lets in: clients of the network, through a mount target."""
    return {
        "Sid": CLIENTS_SID,
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": list(_CLIENT_ACTIONS),
        "Resource": arn,
        "Condition": {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
    }


def require_changeable(file_system_id: str, tags: Mapping[str, str], allowed: Iterable[str]) -> None:
    """Refuse to change, overwrite or delete a file system that nobody has marked for it, or that is not on the allow-list.

    :param file_system_id: file system about to be changed.
    :param tags: its tags.
    :param allowed: values of the tag ``Name`` in ``safety.allowed_file_systems``.
    :raises SafetyError: it is not tagged ``refresh=true``, or its name is not listed.
    """
    if tags.get("refresh") != "true":
        raise SafetyError(
            f"{file_system_id} is not tagged refresh=true; if it may be overwritten and deleted, tag it so: "
            f"aws efs tag-resource --resource-id {file_system_id} --tags Key=refresh,Value=true"
        )
    names = sorted(allowed)
    if tags.get("Name") not in names:
        raise SafetyError(
            f"{file_system_id} has the name {tags.get('Name')!r}, which is not in safety.allowed_file_systems; "
            f"allowed are {names}"
        )
