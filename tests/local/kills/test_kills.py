"""Whatever is killed, at whatever task: the refresh goes on to its end, and a client sees all old or all new data."""

from __future__ import annotations

import pytest

from tests.local.refresh.conftest import PRODUCTION, STAGING

pytestmark = [pytest.mark.local, pytest.mark.walk]

# Victim; at how many tasks at least it must have been struck, and how many must have been tried again for it, for the test to say
# anything. The others' deaths are ridden out: waits are taken over, requests are repeated.
VICTIMS = {
    "worker": (30, 30),
    "scheduler": (30, 15),
    "triggerer": (5, 0),
    "api_server": (15, 0),
    "database": (6, 4),
    "localcloud": (30, 0),
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_the_refresh_survives(killer, stories, victim) -> None:
    story = killer.play(victim)
    stories.append(story)
    failed = {name: state for name, state in story.states.items() if state not in ("success", "skipped")}
    strikes, again = VICTIMS[victim]
    assert len(story.struck) >= strikes, story.struck
    assert len(story.tries) >= again, story.tries
    assert story.seen.wrong() == []
    assert story.run_state == "success", failed
    assert story.changed
    estate = killer.estate
    assert estate.clusters(STAGING) == {"staging-shop", "staging-shop-old"}
    assert estate.snapshots(PRODUCTION) == estate.snapshots(STAGING) == set()
    key = estate.cluster(PRODUCTION, "prod-shop")["KmsKeyId"]
    assert killer.running.aws(PRODUCTION, "kms").list_grants(KeyId=key)["Grants"] == []
    assert [item for item in estate.items() if item["sk"] == "lock"] == []
    for user in ("app", "readonly"):
        secret = estate.secret(STAGING, f"staging/shop/{user}")
        estate.connect(STAGING, "staging-shop", secret["username"], secret["password"]).close()
