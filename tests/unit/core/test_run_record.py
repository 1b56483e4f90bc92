"""The record of a run says what happened, and what serves now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core import announcement, run_record
from hypothesis import given
from hypothesis import strategies as st

STARTED = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
ENDED = STARTED + timedelta(minutes=42, seconds=1)
DONE = dict.fromkeys(
    [
        "prepare.check",
        "mask.prove_mask",
        "switch.rename_live",
        "switch.rename_restored",
        "switch.verify_serving",
        "publish.publish_cluster",
        "clean_up.revoke_share",
    ],
    "success",
) | {"switch.undo_rename": "skipped", "switch.undo_secrets": "skipped"}


def build(states=None, **changes):
    given = {
        "run": "refresh_staging/manual__1",
        "environment": "staging",
        "target_key": "refresh#222222222222#staging-shop",
        "moment": STARTED,
        "started": STARTED,
        "ended": ENDED,
        "triggered_by": "ann",
        "conf": {"readers": 1},
        "plan": {"source_snapshot_id": "s", "tags": {"a": "b"}, "columns": ["a.b.c"], "rekey_key_arn": None},
        "states": DONE | (states or {}),
        "timings": {},
        "causes": {},
        "best_effort": ("clean_up.",),
        "compensation": ("switch.undo_rename",),
        "keep_days": 10,
    }
    return run_record.build(**{**given, **changes})


def test_success() -> None:
    record = build()
    assert record["outcome"] == "succeeded"
    assert record["failed_step"] is record["cause"] is None
    assert record["serving"] == "new cluster"
    assert record["warnings"] == []
    assert record["rto_s"] == 42 * 60 + 1
    assert record["pk"] == "refresh#222222222222#staging-shop"
    assert record["sk"] == "run#2026-07-01T02:00:00+00:00#manual__1"
    assert record["expires_at"] == int((ENDED + timedelta(days=10)).timestamp())
    assert record["triggered_by"] == "ann"
    assert record["conf"] == {"readers": 1}
    assert record["plan"] == {"source_snapshot_id": "s", "columns": ["a.b.c"]}
    assert announcement.subject(record) == "refresh staging succeeded in 2521 s"


def test_failure_before_the_switch() -> None:
    never = dict.fromkeys(
        ["switch.rename_live", "switch.rename_restored", "switch.verify_serving", "publish.publish_cluster"],
        "upstream_failed",
    )
    causes = {"mask.prove_mask": "original values survived " + "x" * 2000}
    record = build({"mask.prove_mask": "failed", **never}, causes=causes)
    assert record["outcome"] == "failed"
    assert record["failed_step"] == "mask.prove_mask"
    assert record["cause"] == causes["mask.prove_mask"][:1000]
    assert record["serving"] == "old cluster: it was never touched"
    assert announcement.subject(record) == "refresh staging failed: mask.prove_mask; serving: old cluster"


@pytest.mark.parametrize("broken", ["switch.rename_live", "switch.rename_restored", "switch.verify_serving"])
def test_switch_undone(broken) -> None:
    record = build({broken: "failed", "switch.undo_rename": "success", "publish.publish_cluster": "upstream_failed"})
    assert record["outcome"] == "failed"
    assert record["failed_step"] == broken
    assert record["serving"] == "old cluster: the switch was undone"


def test_undo_failed_is_said_loudly() -> None:
    record = build({"switch.rename_restored": "failed", "switch.undo_rename": "failed"})
    assert record["outcome"] == "failed"
    assert record["serving"].startswith("unknown: undoing the switch failed")
    assert announcement.subject(record).endswith("serving: unknown")


def test_undo_failed_says_what_to_do_and_what_stopped_it() -> None:
    causes = {"switch.rename_restored": "refused; try later", "switch.undo_rename": "ModifyDBCluster: AccessDenied"}
    record = build({"switch.rename_restored": "failed", "switch.undo_rename": "failed"}, causes=causes)
    for text in ("clear switch.undo_rename", "start a new run", "switch.undo_rename: ModifyDBCluster: AccessDenied"):
        assert text in record["remedy"]


def test_failure_after_the_switch_leaves_the_new_cluster_serving() -> None:
    record = build({"publish.publish_cluster": "failed"})
    assert record["outcome"] == "failed"
    assert record["serving"] == "new cluster"


def test_failed_clean_up_is_a_warning_only() -> None:
    record = build({"clean_up.revoke_share": "failed", "clean_up.delete": "failed"}, causes={"clean_up.delete": "busy"})
    assert record["outcome"] == "succeeded"
    assert record["warnings"] == ["clean_up.delete: busy", "clean_up.revoke_share: failed"]
    assert announcement.subject(record).endswith(", 2 warnings")


def test_clean_up_blocked_by_another_clean_up_does_not_fail_the_run() -> None:
    record = build({"clean_up.revoke_share": "failed", "clean_up.delete": "upstream_failed"})
    assert record["outcome"] == "succeeded"


def test_a_step_that_was_never_reached_fails_the_run() -> None:
    record = build({"publish.publish_cluster": "upstream_failed"})
    assert record["outcome"] == "failed"
    assert record["failed_step"] is None


def test_states_may_be_enumerations_or_absent() -> None:
    class State:
        def __str__(self) -> str:
            return "failed"

    record = build({"mask.prove_mask": State(), "files.x": None})
    assert record["failed_step"] == "mask.prove_mask"
    assert record["steps"]["files.x"] == {"state": "None"}


def test_steps_have_their_times_by_kind() -> None:
    spans = [
        {"kind": "api", "what": "a", "start": 10.0, "end": 11.0},
        {"kind": "aws_wait", "what": "w", "start": 11.0, "end": 41.5},
        {"kind": "api", "what": "a", "start": 41.5, "end": 42.0},
    ]
    record = build(timings={"prepare.check": {"spans": spans}, "mask.prove_mask": None})
    assert record["steps"]["prepare.check"] == {
        "state": "success",
        "started": 10.0,
        "ended": 42.0,
        "duration_s": 32.0,
        "api_s": 1.5,
        "aws_wait_s": 30.5,
    }
    assert record["steps"]["mask.prove_mask"] == {"state": "success"}


def test_warnings_of_results_and_failed_best_effort_steps_are_listed() -> None:
    results = {
        "mask.scan": {"warnings": ["a", "b"]},
        "mask.prove_mask": {"columns": {}},
        "x": "text",
        "y": {"warnings": "no list"},
    }
    record = build({"clean_up.revoke_share": "failed"}, causes={"clean_up.revoke_share": "busy"}, results=results)
    assert record["warnings"] == ["clean_up.revoke_share: busy", "mask.scan: a", "mask.scan: b"]


@pytest.mark.parametrize(
    ("step", "cause", "said"),
    [
        (
            "prepare.check",
            "source.snapshot: 'x' is not allowed; allowed are a and b",
            "Nothing was changed. Allowed are a and b.",
        ),
        (
            "prepare.check",
            "2 problems:\n- a; b\n- c; d",
            "Nothing was changed. Correct what the message names",
        ),
        ("mask.prove_mask", "survived; mend the script.", "What serves was not touched. Mend the script."),
        ("switch.rename_live", "denied", "See what serves now. If it is the old cluster, mend"),
        (
            "restore.create_writer",
            "rds:x y: AccessDenied: no (grant the role this action; include/iam has the policies)",
            "What serves was not touched. Grant the role this action; include/iam has the policies.",
        ),
        ("publish.publish_cluster", "denied", "The new cluster serves. Clear this task when the cause is mended"),
        (
            "publish.publish_cluster",
            "denied (who lacks it; deploy the policy)",
            "The new cluster serves. Clear this task when the cause is mended: it publishes. Who lacks it; deploy the policy.",
        ),
        ("other.step", "", "What serves was not touched. Mend what the message names"),
    ],
)
def test_remedy(step, cause, said) -> None:
    assert build({step: "failed"}, causes={step: cause})["remedy"].startswith(said)


def test_no_remedy_where_nothing_failed() -> None:
    assert build()["remedy"] is None


class TestFolder:
    """Where the files of a run lie."""

    def folder(self, run_id: str) -> str:
        return run_record.folder("staging", STARTED, f"refresh_staging/{run_id}")

    def test_plain_run_id_stands_as_it_is(self) -> None:
        assert self.folder("event__snap-1") == "aurora-ops/staging/2026/07/01/event__snap-1"

    def test_scheduled_run_id_is_made_safe(self) -> None:
        found = self.folder("scheduled__2026-07-01T02:00:00+00:00")
        assert found.startswith("aurora-ops/staging/2026/07/01/scheduled__2026-07-01T02_00_00_00_00-")

    @given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
    def test_any_run_id_stays_in_the_folder_and_meets_no_other(self, one, two) -> None:
        found = self.folder(one)
        assert re.fullmatch(r"aurora-ops/staging/2026/07/01/[0-9A-Za-z._-]{1,111}", found)
        assert not re.fullmatch(r"[.]+", found.rsplit("/", 1)[1])
        assert (self.folder(two) == found) is (one == two)


def test_rpo_is_the_age_of_the_data() -> None:
    created = (ENDED - timedelta(hours=3)).isoformat()
    assert build(plan={"snapshot_created_at": created})["rpo_s"] == 3 * 3600
    assert build(plan={"snapshot_created_at": None})["rpo_s"] is None
    assert build(plan={})["rpo_s"] is None


def test_refused_at_the_very_first_step() -> None:
    states = dict.fromkeys(DONE, "upstream_failed") | {"prepare.check": "failed", "switch.undo_rename": "skipped"}
    record = build(states, plan={}, causes={"prepare.check": "source.snapshot: 'x' is not allowed"})
    assert record["failed_step"] == "prepare.check"
    assert record["serving"] == "old cluster: it was never touched"
