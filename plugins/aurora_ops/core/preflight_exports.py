"""Judging what exports of snapshots need, before anything depends on it; as ``core.preflight``, which has what others need too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aurora_ops.core.preflight import Finding

_FEWEST_RECEIVES = 5


def queue(attributes: Mapping[str, str] | None, remedy: str) -> Finding:
    """Judge the queue of events: what cannot be stored must go somewhere, and not too soon.

    :param attributes: as SQS tells them; ``None`` where there is no such queue.
    :param remedy: what makes one.
    """
    if attributes is None:
        return Finding("fail", "there is none", remedy)
    waiting = f"{attributes.get('ApproximateNumberOfMessages', '?')} messages wait"
    redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
    if not redrive.get("deadLetterTargetArn"):
        return Finding("warn", f"{waiting}; no dead letters", f"give it a redrive policy, or {remedy}")
    if int(redrive.get("maxReceiveCount", 0)) < _FEWEST_RECEIVES:
        found = f"{waiting}; dead letters after {redrive.get('maxReceiveCount')} receives"
        return Finding("warn", found, f"raise maxReceiveCount to {_FEWEST_RECEIVES} at least, or {remedy}")
    if attributes.get("SqsManagedSseEnabled", "false") != "true" and not attributes.get("KmsMasterKeyId"):
        return Finding("warn", f"{waiting}; not encrypted", "switch SSE on")
    return Finding("pass", f"{waiting}; dead letters go to {redrive['deadLetterTargetArn'].rpartition(':')[2]}")


def workgroup(raw: Mapping[str, Any] | None, remedy: str) -> Finding:
    """Judge an Athena work group.

    :param raw: ``WorkGroup``; ``None`` where there is none.
    :param remedy: what makes one.
    """
    if raw is None:
        return Finding("fail", "there is none", remedy)
    if raw.get("State", "ENABLED") != "ENABLED":
        return Finding("fail", f"it is {raw['State']}", "enable it")
    about = raw.get("Configuration", {})
    result = about.get("ResultConfiguration", {})
    where = str(result.get("OutputLocation", ""))
    if not where:
        return Finding("fail", "it has no place for answers", f"set its output location, or {remedy}")
    if not about.get("EnforceWorkGroupConfiguration"):
        return Finding("warn", where, "enforce its configuration: whoever asks may have answers written elsewhere")
    if not result.get("EncryptionConfiguration"):
        return Finding("warn", f"{where}, as the bucket encrypts", "have it encrypt answers")
    return Finding("pass", where)


def tasks(running: int, most: int, region: str) -> Finding:
    """Judge how many export tasks run in an account and region.

    :param running: tasks that count against the limit, whoever started them.
    :param most: how many may run.
    :param region: the region.
    """
    if running >= most:
        return Finding(
            "warn", f"{running} of {most} run in {region}", "exports wait for their turn until one has ended"
        )
    return Finding("pass", f"{running} of {most} run")
