"""Marks on what a refresh makes: whose it is, which run made it, and when it may be removed if that run is dead.

Tags of AWS: ``aurora-ops:owner``, ``aurora-ops:run`` and ``aurora-ops:expires`` are set when a temporary resource is created. A
cluster that is published loses its expiry; one that is retired gets a new one, if the environment says how long it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from aurora_ops.core.safety import REFRESH_TAG

OWNER_TAG, OWNER = "aurora-ops:owner", "aurora-ops"
RUN_TAG = "aurora-ops:run"
EXPIRES_TAG = "aurora-ops:expires"
PUBLISHED_TAG = "aurora-ops:published"
RETIRED_TAG = "aurora-ops:retired"
VERIFIED_TAG = "aurora-ops:verified"
ARCHIVED_TAG = "aurora-ops:archived"
REPLACES_TAG = "aurora-ops:replaces"
TAKEN_TAG = "aurora-ops:taken-at"
COPY_OF_TAG = "aurora-ops:copy-of"
ENVIRONMENT_TAG = "aurora-ops:environment"
KEEP_STOPPED_TAG = "aurora-ops:keep-stopped-until"


def expiry(now: datetime, hours: float) -> str:
    """Write the moment ``hours`` from now as the tag has it: ISO 8601, UTC, to the second."""
    return (now.astimezone(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds")


def parse_expiry(text: str | None) -> datetime | None:
    """Read an expiry; ``None`` where it is missing, unreadable, or does not say its zone."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def temporary(run: str | None, hours: float | None, now: datetime) -> dict[str, str]:
    """Make the tags of a temporary resource.

    :param run: the run that makes it, as ``refresh_plan.run_key`` writes it; ``None`` where it is no run's.
    :param hours: hours until it may be removed; ``None`` sets no expiry, so it is never removed unasked.
    :param now: present moment.
    """
    tags = {OWNER_TAG: OWNER, RUN_TAG: run} if run else {OWNER_TAG: OWNER}
    return tags if hours is None else {**tags, EXPIRES_TAG: expiry(now, hours)}


def is_ours(tags: Mapping[str, str]) -> bool:
    """Tell whether tags say that this package made it."""
    return tags.get(OWNER_TAG) == OWNER


def kept_copy(taken: datetime, source_arn: str) -> dict[str, str]:
    """Make the tags that tell of a copy which is kept what its data is; the owner's are ``temporary`` without hours.

    :param taken: moment of the data: AWS shows when the copy was made.
    :param source_arn: snapshot that it is a copy of.
    """
    return {TAKEN_TAG: taken.astimezone(UTC).isoformat(timespec="seconds"), COPY_OF_TAG: source_arn}


def is_guarded(key: str) -> bool:
    """Tell whether a tag decides what may be overwritten or deleted, so that only this package or an administrator sets it."""
    return key == REFRESH_TAG or key.startswith("aurora-ops:")


def share_tags(account_id: str) -> tuple[str, str]:
    """Name the two tags of somebody else's snapshot while a run shares it: the run, and the share's expiry."""
    return f"aurora-ops:share-run:{account_id}", f"aurora-ops:share-expires:{account_id}"
