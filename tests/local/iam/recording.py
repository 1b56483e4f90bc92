"""What is recorded: a run of a DAG, what it shall meet, and how it must end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devstack import waiting
from localcloud.names import SHARED, STAGING
from tests.local.iam.lab import Lab, Run

LOCK = {"pk": {"S": f"refresh#{STAGING}#staging-shop"}, "sk": {"S": "lock"}}
REFRESH, REAPER, RETENTION = "refresh_staging", "reap_expired", "snapshot_retention_staging"
AUDIT_LOGS = tuple(f"audit_log_{what}_staging" for what in ("backup", "compact", "verify"))
EVENTS, EXPORT = "snapshot_export_events_staging", "snapshot_export_staging"
OF_ALL = (
    REFRESH,
    REAPER,
    RETENTION,
    "aurora_restore_drill",
    *AUDIT_LOGS,
    EVENTS,
    EXPORT,
)  # no environment is asked for
READY_S = 60
Conf = Mapping[str, Any]


@dataclass(frozen=True)
class Recording:
    """A run that is recorded.

    :param dag_id: what runs.
    :param conf: its parameters, or what makes them of the cloud as it is then.
    :param path: what is particular about it, where it is not the only one of its DAG.
    :param before: prepares what it shall meet.
    :param after: takes back what others shall not meet.
    :param listens: what the triggerer does, under the policies, before it runs.
    :param fails: the task that must fail; empty where the run must succeed.
    :param calls: calls that it must make, or it has not taken the path that it is here for.
    :param along: an environment whose refresh takes files and jobs along; others are quicker without.
    :param moment: when the run is for, where its id must be known before.
    """

    dag_id: str
    conf: Conf | Callable[[Lab], Conf] = field(default_factory=dict)
    path: str = ""
    before: Callable[[Lab], None] | None = None
    after: Callable[[Lab], None] | None = None
    listens: Callable[[Lab], None] | None = None
    fails: str = ""
    calls: tuple[str, ...] = ()
    along: bool = False
    moment: str | None = None

    @property
    def name(self) -> str:
        """Name it in tests."""
        return f"{self.dag_id}, {self.path}" if self.path else self.dag_id

    def play(self, lab: Lab) -> Run:
        """Prepare, run, and leave no fault rule and no lock behind."""
        lab.operation("faults-clear")
        if self.before is not None:
            self.before(lab)
        conf = dict(self.conf(lab) if callable(self.conf) else self.conf)
        if self.dag_id not in OF_ALL:
            conf["environment"] = "staging"
        began = time.time()
        if self.listens is not None:
            self.listens(lab)
        found = lab.run(self.dag_id, conf, self.moment, since=began)
        lab.operation("faults-clear")
        if self.after is not None:
            self.after(lab)
        lab.admin(SHARED, "dynamodb").delete_item(TableName="aurora-ops-runs", Key=LOCK)
        return found


def until(ready: Callable[[], Any], what: str) -> None:
    """Wait until something is as it shall be."""
    waiting.until(lambda: ready() or None, what=what, timeout_s=READY_S)


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Write tags as most APIs take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
