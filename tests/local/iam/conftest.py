"""Every DAG recorded once under the policies, and each path of it that needs an action of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devstack.settings import isolate_this_process
from tests.local.iam import audit_logs, databases, exports, files, leftovers, refreshes, restores, upkeep, workloads
from tests.local.iam.lab import Lab, Run, running_lab
from tests.local.iam.policies import PRINCIPALS, Asked, asked_of
from tests.local.iam.recording import Recording

# In this order: each leaves behind what the next one begins with.
RECORDINGS: dict[str, Recording] = {
    recording.name: recording
    for recording in (
        *refreshes.RECORDINGS,
        *databases.SNAPSHOTS,
        *databases.CLUSTERS,
        *workloads.RECORDINGS,
        *files.RECORDINGS,
        *leftovers.RECORDINGS,
        *databases.DELETION,
        *restores.RECORDINGS,
        *upkeep.RECORDINGS,
        *audit_logs.RECORDINGS,
        *exports.RECORDINGS,
        *refreshes.ALONG,
        *upkeep.ALONG,
    )
}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A seeded cloud that enforces the policies of the templates."""
    isolate_this_process()
    with running_lab(tmp_path_factory.mktemp("iam")) as found:
        yield found


@pytest.fixture(scope="session")
def recorded(lab: Lab) -> dict[str, Run]:
    """Every recording, played."""
    found: dict[str, Run] = {}
    along = False
    for name, recording in RECORDINGS.items():
        if recording.along != along:
            along = recording.along
            lab.place_include(along=along)
        found[name] = recording.play(lab)
    return found


@pytest.fixture(scope="session")
def asked(recorded: dict[str, Run]) -> dict[str, Asked]:
    """What recorded runs asked of each principal's policies."""
    decisions = [made for run in recorded.values() for made in run.decisions]
    return {name: asked_of(name, decisions) for name in PRINCIPALS}
