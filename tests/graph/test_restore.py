"""The restore pipeline and its drill as graphs: their order, what runs whatever happened, what can never run after a failure."""

from __future__ import annotations

import pytest
from airflow.sdk import TriggerRule

from tests.graph.conftest import mutating, simulator

WAYS = {
    "share": "source.rekey_snapshot",
    "copy": "source.copy_snapshot",
    "local": "restore.restore_cluster",
}
# The order of the procedure: (earlier, later), each a direct or indirect dependency.
ORDER = [
    ("check", "take_lock"),
    ("take_lock", "clear_name"),
    ("clear_name", "choose_way"),
    ("choose_way", "source.rekey_snapshot"),
    ("source.rekey_snapshot", "source.share_snapshot"),
    ("source.share_snapshot", "source.see_shared_snapshot"),
    ("source.see_shared_snapshot", "source.copy_snapshot"),
    ("source.copy_snapshot", "restore.restore_cluster"),
    ("restore.restore_cluster", "restore.create_writer"),
    ("restore.create_writer", "restore.enable_master_secret"),
    ("restore.enable_master_secret", "restore.create_readers"),
    ("restore.enable_master_secret", "restore.configure_s3_integration"),
    ("restore.enable_master_secret", "verify.mark_verified"),
    ("restore.create_readers", "verify.mark_verified"),
    ("restore.configure_s3_integration", "verify.mark_verified"),
    ("verify.mark_verified", "choose_swap"),
    ("choose_swap", "switch.open_network"),
    ("switch.open_network", "switch.rename_live"),
    ("switch.rename_live", "switch.rename_restored"),
    ("switch.rename_restored", "switch.move_secrets"),
    ("switch.move_secrets", "switch.verify_serving"),
    ("switch.undo_rename", "switch.undo_secrets"),
    ("switch.verify_serving", "publish_cluster"),
    ("publish_cluster", "retire_old_cluster"),
    # a copy that something may still be restored from is not deleted
    ("verify.mark_verified", "clean_up.settle_copied_snapshot"),
    ("source.copy_snapshot", "clean_up.revoke_share"),
    ("clean_up.revoke_share", "clean_up.delete_rekeyed_snapshot"),
    ("retire_old_cluster", "clean_up.delete_unverified_cluster"),
    ("switch.undo_secrets", "clean_up.delete_unverified_cluster"),
    ("verify.mark_verified", "clean_up.delete_unverified_cluster"),
    ("clean_up.delete_unverified_cluster", "clean_up.look_at_outcome"),
    ("clean_up.settle_copied_snapshot", "clean_up.look_at_outcome"),
    ("clean_up.look_at_outcome", "record"),
    ("clean_up.look_at_outcome", "release_lock"),
]
SERVES = {
    "switch.open_network",
    "switch.rename_live",
    "switch.rename_restored",
    "switch.move_secrets",
    "publish_cluster",
}
TEARDOWNS = {
    "clean_up.revoke_share", "clean_up.delete_rekeyed_snapshot", "clean_up.delete_unverified_cluster",
    "clean_up.look_at_outcome", "record", "release_lock",
}  # fmt: skip
SWAPPED = {"choose_way": WAYS["local"], "choose_swap": "switch.open_network"}


@pytest.fixture
def restore(bag):
    return bag.dags["aurora_restore"]


@pytest.fixture
def drill(bag):
    return bag.dags["aurora_restore_drill"]


def above(dag, task_id: str) -> set[str]:
    return set(dag.get_task(task_id).get_flat_relative_ids(upstream=True))


def test_order(restore) -> None:
    assert [(earlier, later) for earlier, later in ORDER if earlier not in above(restore, later)] == []


def test_a_drill_has_the_same_order_and_tears_down(drill) -> None:
    groups = {task.task_id.split(".")[0] for task in drill.tasks}
    assert groups == {"staging-staging-shop"}
    [group] = groups
    for earlier, later in [
        *ORDER,
        ("clean_up.look_at_outcome", "file_evidence"),
        ("clean_up.look_at_outcome", "delete_restored"),
    ]:
        assert f"{group}.{earlier}" in above(drill, f"{group}.{later}"), (earlier, later)
    assert drill.get_task(f"{group}.file_evidence").trigger_rule == TriggerRule.ALL_DONE
    assert drill.get_task(f"{group}.delete_restored").is_teardown
    assert drill.get_task(f"{group}.delete_restored").on_failure_fail_dagrun
    assert drill.timetable.expression == "0 5 * * 0"


def test_teardowns(restore) -> None:
    assert {task.task_id for task in restore.tasks if task.is_teardown} == TEARDOWNS


def test_nothing_is_changed_before_the_lock(restore) -> None:
    for task in restore.tasks:
        if mutating(task) and task.task_id not in ("check", "take_lock"):
            assert "take_lock" in above(restore, task.task_id), task.task_id
    # the beginning of the operation is written down
    assert mutating(restore.get_task("check")) <= {"dynamodb:PutItem", "dynamodb:UpdateItem"}


@pytest.mark.parametrize(("mode", "first"), WAYS.items())
def test_each_way_a_backup_comes(restore, mode, first) -> None:
    states = simulator(restore)({}, {"choose_way": first, "choose_swap": None})
    ran = {name for name in states if name.startswith("source.") and states[name] == "success"}
    wanted = {"share": 4, "copy": 1, "local": 0}[mode]
    assert len(ran) == wanted
    assert states["restore.restore_cluster"] == states["verify.mark_verified"] == states["record"] == "success"
    assert {states[name] for name in SERVES} == {"skipped"}
    assert states["switch.undo_rename"] == states["switch.undo_secrets"] == "skipped"


def test_nothing_serves_after_a_failure_before_the_swap(restore) -> None:
    play = simulator(restore)
    for broken in above(restore, "choose_swap") - {"choose_way"}:
        states = play({broken: "failed"}, {"choose_way": WAYS["share"], "choose_swap": "switch.open_network"})
        assert {states[name] for name in SERVES} == {"upstream_failed"}, broken
        assert {states[name] for name in TEARDOWNS} == {"success"}, broken
        assert states["clean_up.settle_copied_snapshot"] == "upstream_failed", broken


@pytest.mark.parametrize(
    "broken", ["switch.rename_live", "switch.rename_restored", "switch.move_secrets", "switch.verify_serving"]
)
def test_a_failed_swap_is_undone(restore, broken) -> None:
    states = simulator(restore)({broken: "failed"}, SWAPPED)
    assert states["switch.undo_rename"] == states["switch.undo_secrets"] == states["isolate_again"] == "success"
    assert states["publish_cluster"] == states["retire_old_cluster"] == "upstream_failed"


def test_a_swap_that_succeeds_is_published_and_the_old_cluster_retired(restore) -> None:
    states = simulator(restore)({}, SWAPPED)
    assert {states[name] for name in SERVES | {"retire_old_cluster"}} == {"success"}
    assert states["switch.undo_rename"] == states["isolate_again"] == "skipped"


def test_undo_is_given_what_it_undoes(restore) -> None:
    live, renamed, undo = (
        restore.get_task(f"switch.{name}") for name in ("rename_live", "rename_restored", "undo_rename")
    )
    assert str(undo.cluster_id) == str(renamed.cluster_id)
    assert str(undo.resource_id) == str(live.resource_id)
    assert str(undo.aside_id) == str(restore.get_task("restore.restore_cluster").cluster_id)
