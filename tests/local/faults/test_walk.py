"""Every AWS call of a refresh goes wrong, one way after another: it finishes, or what served before serves and nothing is left.

Where neither can be, ``UNUSUAL`` says why; then the run says what to do, and the next refresh puts it right.

The walk is long: ``make test-faults``.
"""

from __future__ import annotations

import pytest

from tests.local.faults.conftest import Case
from tests.local.faults.recording import Call, recorded

pytestmark = [pytest.mark.local, pytest.mark.walk]

DENIED = {"effect": "error", "code": "AccessDenied", "message": "denied by the walk", "status": 403}
OLD, FINISHED = frozenset({"old"}), frozenset({"finished"})
# Where neither can be. Each says why, and what the record must tell whoever has to act; the next refresh must put it right.
UNPUBLISHED = {
    "outcomes": frozenset({"unpublished"}),
    "why": "the switch is done and verified when the last step, which says so, is refused: going back would cost another gap",
    "says": ("The new cluster serves.", "Clear this task"),
}
STRANDED = {
    "outcomes": frozenset({"stranded"}),
    "why": "AWS permits the first rename of the swap and none after it, so that undoing it is refused as well",
    "says": ("Look at once what serves", "switch.undo_rename", "start a new run"),
}
LOCKED_OUT = {
    "outcomes": frozenset({"locked out"}),
    "why": "AWS permits the secret of one user to move and none after it, so that moving it back is refused as well",
    "says": ("Look at once what serves", "switch.undo_secrets", "start a new run"),
}
UNUSUAL = {
    "222222222222 rds:AddTagsToResource from #1 on": UNPUBLISHED,
    "222222222222 rds:RemoveTagsFromResource from #1 on": UNPUBLISHED,
    "222222222222 rds:RemoveTagsFromResource from #2 on": UNPUBLISHED,
    "222222222222 rds:RemoveTagsFromResource from #3 on": UNPUBLISHED,
    "222222222222 ssm:GetParameter from #1 on": UNPUBLISHED,
    "222222222222 rds:ModifyDBCluster from #5 on": STRANDED,
    "222222222222 secretsmanager:UpdateSecretVersionStage from #2 on": LOCKED_OUT,
}
CALLS = recorded()
ON_THE_OLD = ("StartDBCluster", "DeleteDBInstance", "DeleteDBCluster")
LONG_THROTTLED = ("CreateGrant", "RestoreDBClusterFromSnapshot", "ModifyDBCluster", "PutSecretValue")


def rule(call: Call, **effect) -> dict:
    return {"account": call.account, "service": call.service, "action": call.action, **effect}


def denied() -> list[Case]:
    """Each changing call, at each time it is made, and each reading one, at first and halfway, is refused for good."""
    found = []
    for call in CALLS:
        moments = range(call.count) if call.mutating else sorted({0, call.count // 2} if call.count > 4 else {0})
        for after in moments:
            name = f"{call} from #{after + 1} on"
            struck = (rule(call, after=after, times=0, **DENIED),)
            # the seeded staging has one instance, a refreshed one two: only then are four renamed
            needs_old = call.action in ON_THE_OLD or (call.action, after) == ("ModifyDBInstance", 3)
            found.append(Case(f"{name}: denied", struck, needs_old=needs_old, **UNUSUAL.get(name, {})))
    return found


def throttled() -> list[Case]:
    """A call of each kind is throttled for good, which is retried for a while and then given up."""
    return [
        Case(f"{call}: throttled for good", (rule(call, effect="throttle", times=0),))
        for call in CALLS
        if call.action in LONG_THROTTLED
    ]


def terminal() -> list[Case]:
    """What is being made ends in a status from which nothing comes back."""
    made = [
        ("111111111111", "CopyDBClusterSnapshot", "failed", {}),
        ("111111111111", "CreateDBClusterSnapshot", "failed", {"snapshot": "fresh"}),
        ("222222222222", "CopyDBClusterSnapshot", "failed", {}),
        ("222222222222", "RestoreDBClusterFromSnapshot", "incompatible-restore", {}),
        ("222222222222", "RestoreDBClusterFromSnapshot", "inaccessible-encryption-credentials", {}),
        ("222222222222", "CreateDBInstance", "incompatible-network", {}),
        ("222222222222", "CreateDBInstance", "failed", {}),
        ("222222222222", "CreateDBInstance", "storage-full", {}),
    ]
    return [
        Case(
            f"{account} rds:{action}: ends {status}",
            ({"account": account, "service": "rds", "action": action, "effect": "status", "becomes": status},),
            OLD,
            conf,
        )
        for account, action, status, conf in made
    ]


ONCE = [
    Case("every call throttled once", tuple(rule(call, effect="throttle") for call in CALLS), FINISHED),
    Case(
        "every changing call's answer lost once",
        tuple(rule(call, effect="lost") for call in CALLS if call.mutating),
        FINISHED,
    ),
    Case(
        "every call hangs once, then its connection breaks",
        tuple(rule(call, effect="hang", hang_s=0.2) for call in CALLS),
        FINISHED,
    ),
    Case(
        "every call slow", ({"service": "*", "action": "*", "effect": "slow", "delay_s": 0.05, "times": 0},), FINISHED
    ),
    Case(
        "every call fails inside AWS once",
        tuple(rule(call, effect="error", code="InternalFailure", status=500) for call in CALLS),
        FINISHED,
    ),
]
CASES = {case.name: case for case in [*ONCE, *denied(), *throttled(), *terminal()]}


def judge(outcome, case: Case) -> None:
    story = f"{outcome.what}; failed: {outcome.step}; {outcome.errors}"
    assert outcome.hits, "nothing was struck: record the refresh anew (python -m tests.local.faults.recording)"
    assert outcome.what in case.outcomes, story
    assert outcome.wrong == [], story
    assert outcome.locked_out == [] or outcome.what == "locked out", outcome.locked_out
    assert outcome.healed == ("finished" if outcome.what in ("unpublished", "stranded", "locked out") else ""), story
    assert [text for text in case.says if text not in outcome.record.get("remedy", "")] == [], outcome.record
    assert outcome.left_after_reaper == [], story


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_every_call(walk, case) -> None:
    judge(walk.outcome(case), case)
