"""Each step of a restore is refused a call: what serves goes on, what is left is said, and the same run ends well in the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.client import admin_operation
from localcloud.names import STAGING
from tests.local.faults.poller import Poller
from tests.local.restore.conftest import LIVE, OLD, RESTORE, RestoreLane
from tests.local.restore.steps import Step, play_and_read

pytestmark = [pytest.mark.local, pytest.mark.long]

LABEL = "step"
RESTORED = f"{LIVE}-restored-{LABEL}"
OF_BOTH = {"environment": "staging", "cluster": LIVE, "label": LABEL, "readers": 1}
WAYS: dict[str, dict[str, Any]] = {
    "beside": {**OF_BOTH, "from_account": "source"},
    "swap": {**OF_BOTH, "suite": "own", "snapshot": "steps", "swap": True, "confirm": LIVE},
}
# What they cannot do, they cannot write down: the check begins the operation, the others end it.
UNTOLD = {"check", "record", "release_lock"}
UNMASKED = "unmasked data on a new server"  # it is staging's own, which no refresh has made


@pytest.fixture(scope="module")
def walked(running: RestoreLane) -> Iterator[RestoreLane]:
    """A backup of what serves."""
    running.snapshot("steps")
    yield running
    running.aws(STAGING, "rds").delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="steps")


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_at_any_step_leaves_one_that_serves(walked: RestoreLane, way: str) -> None:
    steps = play_and_read(walked, WAYS[way])
    for cluster in (RESTORED, OLD):
        walked.remove(cluster)
    wrong = {str(step): found for step in steps if (found := list(refused(walked, step, WAYS[way])))}
    assert wrong == {}


def refused(lane: RestoreLane, step: Step, conf: dict[str, Any]) -> Iterator[str]:
    """Refuse the step its call, run the same run again, and say what is wrong; afterwards all is as before."""
    before, shares, moment = lane.serving(), lane.shares(), datetime.now(UTC).isoformat()
    lane.estate.announcements()
    with Poller(lane.estate) as poller:
        lane.estate.fail(**step.rule, code="AccessDenied", message="a planted refusal")
        run = lane.play(RESTORE, conf, moment)
        [rule] = admin_operation("faults-list", lane.cloud)["rules"].values()
        lane.clear_faults()
    if not rule["hits"]:
        yield "the call was not made"
    yield from (text for text in poller.seen.wrong() if UNMASKED not in text)
    if run.errors and step.task not in UNTOLD:
        yield from unsaid(lane, run)
    if not conf.get("swap") and lane.serving() != before:
        yield "another cluster serves"
    if step.task != "release_lock" and lane.locks():
        yield f"{lane.locks()} are held"
    if run.errors:  # of what tears down too
        swapped, again = lane.serving() != before, lane.play(RESTORE, conf, moment)
        # after the swap only what failed is cleared: the check, run anew, sees the old cluster where it would put one
        if again.state != "success" and not (swapped and "free it first" in again.errors.get("check", "")):
            yield f"again: {again.errors}"
    if (lane.serving() != before) != bool(conf.get("swap")):
        yield "in the end the wrong one serves"
    if not conf.get("swap") and lane.estate.cluster(STAGING, RESTORED) is None:
        yield "nothing was restored in the end"
    if lane.shares() != shares:
        yield f"{lane.shares()} are shared"
    if more := lane.estate.snapshots(STAGING) - {"steps"}:
        yield f"snapshots {sorted(more)} are left"
    for cluster in (RESTORED, OLD):
        lane.remove(cluster)


def unsaid(lane: RestoreLane, run: SimpleNamespace) -> Iterator[str]:
    """Say what record and announcement of a failed run do not tell."""
    record = lane.estate.find_record(run)
    if record is None:
        yield "there is no record"
        return
    if run.states.get(record["failed_step"]) != "failed":
        yield f"the record names {record['failed_step']}, {sorted(run.errors)} have failed"
    told = " ".join(record["facts"].get("left", []))
    yield from (
        f"{name} is left, and not said"
        for name in (RESTORED, OLD)
        if lane.estate.cluster(STAGING, name) and name not in told
    )
    if len(lane.estate.announcements()) != 1:
        yield "it was not announced once"
