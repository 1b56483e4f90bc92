"""Runs that lack one action: what is taken away, and which task must say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.local.iam.databases import LIVE
from tests.local.iam.refreshes import MANUAL


@dataclass(frozen=True)
class Denial:
    """A workflow whose role lacks an action.

    :param name: the role's policies.
    :param sid: statement that the action is taken out of; of the role's first policy.
    :param task_id: the task that must fail.
    """

    name: str
    sid: str
    action: str
    dag_id: str
    task_id: str
    conf: Mapping[str, Any] = field(default_factory=dict)


DENIALS = (
    Denial("destination", "ReadOffers", "ec2:DescribeSecurityGroups", "utils_prepare_refresh", "plan_refresh"),
    Denial("orchestrator", "RecordRuns", "dynamodb:PutItem", "db_rotate_secrets", "take_lock", {"cluster": LIVE}),
    Denial(
        "source", "TakeSnapshots", "rds:CreateDBClusterSnapshot", "db_create_manual_snapshot", "create_manual_snapshot"
    ),
    Denial(
        "source",
        "GrantSnapshotUseToTarget",
        "kms:CreateGrant",
        "db_share_snapshot",
        "share.share_snapshot",
        {"snapshot": MANUAL},
    ),
)
