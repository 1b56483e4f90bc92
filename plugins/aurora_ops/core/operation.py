"""An operation: what a run that is followed leaves while it goes on, and where.

Its state is one item, ``pk = operation#<dag id>/<run id>``, ``sk = state``. A step in it only moves forward: a later try beats an
earlier one, and within a try the steps that ended stay as they ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from aurora_ops.core.trail import Head, head_in

STATE_KEY = "state"
SCHEMA_VERSION = 1
OPERATION_KEY = "operation"

RUNNING, DEFERRED, SUCCEEDED, FAILED, SKIPPED = "running", "deferred", "succeeded", "failed", "skipped"
ENDED = (SUCCEEDED, FAILED, SKIPPED)
LAST_POSITION = 1_000_000
# What Airflow calls the ends of tasks.
_OF_AIRFLOW = {
    "success": SUCCEEDED,
    "failed": FAILED,
    "skipped": SKIPPED,
    "upstream_failed": "upstream_failed",
    "removed": "removed",
}
LockMode = Literal["GOVERNANCE", "COMPLIANCE"]


@dataclass(frozen=True)
class Operation:
    """Where a run keeps its state and its trail; what the task that began it leaves for the others.

    :param name: ``<dag id>/<run id>``.
    :param aws_conn_id: connection of the account that has the tables.
    :param region_name: its region.
    :param runs_table: table of the state.
    :param audit_table: table of the trail; ``None``: there is no trail.
    :param audit_bucket: bucket that trails are exported to; ``None``: they are not.
    :param lock_days: days that an exported trail can be neither changed nor deleted; ``None``: as the bucket says.
    :param lock_mode: how Object Lock holds it.
    :param expires_at: epoch seconds at which the events of the trail end; ``None``: never.
    """

    name: str
    aws_conn_id: str
    region_name: str
    runs_table: str
    audit_table: str | None = None
    audit_bucket: str | None = None
    lock_days: int | None = None
    lock_mode: LockMode = "GOVERNANCE"
    expires_at: int | None = None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Operation:
        """Read what ``as_json`` has written."""
        return cls(**{field.name: raw[field.name] for field in fields(cls) if field.name in raw})

    def as_json(self) -> dict[str, Any]:
        """Write it for other tasks; it names tables and a bucket, no secret."""
        return asdict(self)


@dataclass(frozen=True)
class Progress:
    """How far a try of a step has come.

    :param status: one of ``running``, ``deferred``, ``succeeded``, ``failed``, ``skipped``.
    :param tries: which try.
    :param deferrals: how often it has waited.
    :param at: when, ISO 8601.
    :param waits_for: what it waits for.
    :param head: where the audit trail ended after its last event; ``None`` where it has written none.
    """

    status: str
    tries: int
    deferrals: int
    at: str
    waits_for: str | None = None
    head: Head | None = None

    @property
    def position(self) -> int:
        """A number that grows within a try."""
        if self.status in ENDED:
            return LAST_POSITION
        return 2 * self.deferrals + (self.status == RUNNING)

    def entry(self) -> dict[str, Any]:
        """Write the step as it is first heard of."""
        return {"first_start": self.at, **self.changes()}

    def changes(self) -> dict[str, Any]:
        """Write what changes in the step; ``None`` removes."""
        return {
            "status": self.status,
            "tries": self.tries,
            "position": self.position,
            "changed_at": self.at,
            "ended_at": self.at if self.status in ENDED else None,
            "waits_for": self.waits_for,
            **({"trail": {"events": self.head.sequence, "head": self.head.hash}} if self.head else {}),
        }


def partition(name: str) -> str:
    """Name the partition of an operation's state.

    :param name: ``<dag id>/<run id>``.
    """
    return f"operation#{name}"


def step_name(task_id: str, map_index: int | None) -> str:
    """Name a step as Airflow names the states of tasks.

    :param task_id: its task.
    :param map_index: which of its instances; -1 or ``None`` where it is not mapped.
    """
    return task_id if map_index is None or map_index < 0 else f"{task_id}_{map_index}"


def seen_heads(state: Mapping[str, Any]) -> list[Head]:
    """List where the audit trail ended when steps had written into it.

    :param state: state of an operation.
    """
    return [head_in(step["trail"]) for step in (state.get("steps") or {}).values() if "trail" in step]


def ends(states: Mapping[str, Any]) -> dict[str, str]:
    """Say how steps ended, in the words of the state; those that have not are left out.

    :param states: task to Airflow's state.
    """
    return {task: _OF_AIRFLOW[str(state)] for task, state in states.items() if str(state) in _OF_AIRFLOW}
