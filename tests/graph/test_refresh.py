"""The refresh as a graph: its order, what runs whatever happened, and what can never run after a failure."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk import TriggerRule
from aurora_ops.operators.clusters import ClusterOperator

from tests.graph.conftest import DAGS, mutating, read_dags
from tests.local.include import place_include

# The order of the procedure: (earlier, later), each a direct or indirect dependency.
ORDER = [
    ("prepare.check", "prepare.take_lock"),
    ("prepare.take_lock", "prepare.recover_names"),
    ("prepare.recover_names", "prepare.clear_temporary"),
    ("prepare.recover_names", "prepare.clear_old"),
    ("prepare.take_lock", "source.take_snapshot"),
    ("source.take_snapshot", "source.rekey_snapshot"),
    ("source.rekey_snapshot", "source.share_snapshot"),
    ("source.share_snapshot", "source.see_shared_snapshot"),
    ("source.see_shared_snapshot", "source.copy_snapshot"),
    ("source.copy_snapshot", "restore.restore_cluster"),
    ("prepare.clear_temporary", "restore.restore_cluster"),
    ("restore.restore_cluster", "restore.create_writer"),
    ("restore.create_writer", "restore.enable_master_secret"),
    ("restore.enable_master_secret", "restore.create_readers"),
    ("restore.enable_master_secret", "restore.configure_s3_integration"),
    ("restore.enable_master_secret", "mask.fingerprint_columns"),
    ("mask.fingerprint_columns", "mask.mask_database"),
    ("mask.mask_database", "mask.prove_mask"),
    ("mask.prove_mask", "mask.scan_columns"),
    ("mask.scan_columns", "mask.rotate_master_secret"),
    ("mask.scan_columns", "mask.report_coverage"),
    ("mask.report_coverage", "mask.verify_database"),
    ("mask.rotate_master_secret", "mask.set_users"),
    ("mask.verify_database", "approve.approve_switch"),
    ("restore.create_readers", "approve.approve_switch"),
    ("restore.configure_s3_integration", "approve.approve_switch"),
    ("approve.approve_switch", "switch.open_network"),
    ("switch.open_network", "switch.rename_live"),
    ("prepare.clear_old", "approve.approve_switch"),
    ("switch.rename_live", "switch.rename_restored"),
    ("switch.rename_restored", "switch.move_secrets"),
    ("switch.move_secrets", "switch.verify_serving"),
    ("switch.verify_serving", "publish.publish_cluster"),
    ("switch.undo_rename", "switch.undo_secrets"),
    ("publish.publish_cluster", "clean_up.retire_old_cluster"),
    ("source.copy_snapshot", "clean_up.revoke_share"),
    ("restore.restore_cluster", "clean_up.delete_copied_snapshot"),
    ("clean_up.revoke_share", "clean_up.delete_rekeyed_snapshot"),
    ("clean_up.revoke_share", "clean_up.delete_fresh_snapshot"),
    ("publish.publish_cluster", "clean_up.delete_temporary_cluster"),
    ("publish.publish_cluster", "clean_up.remember_columns"),
    ("switch.undo_secrets", "clean_up.delete_temporary_cluster"),
    # a branch may go on when another has failed: its cluster is not deleted under its hands
    ("prepare.clear_old", "clean_up.delete_temporary_cluster"),
    ("restore.create_readers", "clean_up.delete_temporary_cluster"),
    ("restore.configure_s3_integration", "clean_up.delete_temporary_cluster"),
    ("mask.verify_database", "clean_up.delete_temporary_cluster"),
    ("record.record_run", "record.release_lock"),
]
DUMP, LOAD = "mask.dump_kept.eks.", "mask.load_kept.eks."
ONLY = {
    "alone": [
        ("prepare.take_lock", "files.no_files"),
        ("files.no_files", "approve.approve_switch"),
        ("files.no_files", "clean_up.delete_temporary_cluster"),
        ("restore.enable_master_secret", "mask.dump_kept_tables"),
        ("mask.set_users", "mask.load_kept_tables"),
        ("mask.dump_kept_tables", "mask.load_kept_tables"),
        ("mask.load_kept_tables", "mask.verify_database"),
        ("mask.load_kept_tables", "clean_up.delete_kept_tables"),
    ],
    "along": [
        ("prepare.take_lock", "files.restore.choose_recovery_point"),
        ("files.restore.choose_recovery_point", "files.restore.copy_recovery_point"),
        ("files.restore.copy_recovery_point", "files.restore.restore_file_system"),
        ("files.restore.restore_file_system", "files.restore.ensure_mount_targets"),
        ("files.restore.ensure_mount_targets", "files.restore.ensure_access_points"),
        ("files.restore.ensure_access_points", "files.proof.find_restore_directory"),
        ("files.proof.find_restore_directory", "files.proof.verify_files"),
        ("files.proof.verify_files", "files.proof.remove_probe"),
        ("files.proof.verify_files", "approve.approve_switch"),
        ("restore.enable_master_secret", f"{DUMP}scale_nodegroup"),
        *(
            (f"{group}{earlier}", f"{group}{later}")
            for group in (DUMP, LOAD)
            for earlier, later in (
                ("scale_nodegroup", "run_job"),
                ("run_job", "delete_secret"),
            )
        ),
        ("mask.set_users", f"{LOAD}scale_nodegroup"),
        (f"{DUMP}run_job", f"{LOAD}scale_nodegroup"),
        (f"{LOAD}run_job", f"{LOAD}restore_nodegroup_size"),
        (f"{LOAD}run_job", "mask.verify_database"),
        ("switch.verify_serving", "publish.publish_files"),
        ("publish.publish_files", "publish.stop_workloads"),
        ("publish.stop_workloads", "publish.show_in_media"),
        ("publish.show_in_media", "publish.undo_show_in_media"),
        # workloads start on whatever the claims show in the end
        ("publish.undo_show_in_media", "publish.start_workloads"),
        ("publish.start_workloads", "publish.claims_settled"),
        ("publish.start_workloads", "clean_up.retire_old_file_system"),
        ("publish.claims_settled", "clean_up.discard_file_system"),
        # nothing shows the old one any more, and nothing the new one
        ("publish.publish_cluster", "clean_up.retire_old_file_system"),
        ("publish.show_in_media", "clean_up.retire_old_file_system"),
        ("publish.show_in_media", "clean_up.discard_file_system"),
        ("files.proof.verify_files", "clean_up.discard_file_system"),
        ("switch.undo_secrets", "clean_up.discard_file_system"),
    ],
}
TEARDOWNS = (
    "clean_up.", "record.", "files.proof.remove_", "publish.start_", f"{DUMP}delete_", f"{LOAD}delete_", f"{LOAD}restore_",
)  # fmt: skip
# They look first, and find nothing to do where their run has begun nothing.
MENDS = {"publish.undo_show_in_media", "publish.start_workloads"}
SERVES = {"switch.rename_live", "switch.rename_restored", "switch.move_secrets", "publish.publish_cluster"}


def above(dag, task_id: str) -> set[str]:
    return set(dag.get_task(task_id).get_flat_relative_ids(upstream=True))


def test_order(dag, variant) -> None:
    wrong = [(earlier, later) for earlier, later in [*ORDER, *ONLY[variant]] if earlier not in above(dag, later)]
    assert wrong == []


def test_every_task_has_its_place_in_the_order(dag, variant) -> None:
    named = {name for edge in [*ORDER, *ONLY[variant]] for name in edge} | {"switch.undo_rename", "record.record_run"}
    assert {task.task_id for task in dag.tasks} == named


def test_groups_are_the_steps_of_the_procedure(dag) -> None:
    groups = {task.task_id.split(".")[0] for task in dag.tasks}
    assert groups == {
        "prepare", "source", "restore", "mask", "files", "approve", "switch", "publish", "clean_up", "record",
    }  # fmt: skip


def test_clean_up_and_record_are_teardowns_that_wait_for_no_setup(dag) -> None:
    for task in dag.tasks:
        teardown = task.task_id.startswith(TEARDOWNS)
        assert task.is_teardown is teardown, task.task_id
        assert task.is_setup is False
        if teardown:
            assert not any(dag.get_task(name).is_setup for name in above(dag, task.task_id))
            assert task.trigger_rule == TriggerRule.ALL_DONE_SETUP_SUCCESS
            assert task.on_failure_fail_dagrun is False


def test_record_comes_last(dag) -> None:
    everything = {task.task_id for task in dag.tasks}
    assert above(dag, "record.release_lock") == everything - {"record.release_lock"}
    assert above(dag, "record.record_run") == everything - {"record.release_lock", "record.record_run"}


def test_record_is_told_where_people_look(dag) -> None:
    record = dag.get_task("record.record_run")
    assert record.report_bucket == "aurora-ops-000000000000"
    assert record.metrics_namespace == "AuroraOps"
    assert {link.name for link in record.operator_extra_links} == {"Report", "Record"}


def test_late_runs_are_announced_where_records_are(dag) -> None:
    [deadline] = dag.deadline if isinstance(dag.deadline, list) else [dag.deadline]
    record = dag.get_task("record.record_run")
    assert deadline.interval == timedelta(hours=4)
    for name in ("environment", "topic_arn", "metrics_namespace", "aws_conn_id", "region_name"):
        assert deadline.callback.kwargs[name] == getattr(record, name), name


def test_tasks_on_clusters_and_snapshots_link_to_them(dag) -> None:
    def has(task, name: str) -> bool:
        return name in {link.name for link in task.operator_extra_links}

    for task in dag.tasks:
        on_cluster = isinstance(task, ClusterOperator)
        assert has(task, "RDS cluster") is on_cluster, task.task_id
        assert has(task, "RDS snapshot") is (hasattr(task, "snapshot_id") and not on_cluster), task.task_id


def test_undo_watches_each_step_of_the_switch(dag) -> None:
    undo = dag.get_task("switch.undo_rename")
    assert undo.trigger_rule == TriggerRule.ONE_FAILED
    steps = {name for name in undo.upstream_task_ids if name.startswith("switch.")}
    assert steps == SERVES - {"publish.publish_cluster"} | {"switch.verify_serving"}
    assert "publish.publish_cluster" not in undo.upstream_task_ids


def test_undo_is_given_what_it_undoes(dag) -> None:
    live, restored, undo = (
        dag.get_task(f"switch.{name}") for name in ("rename_live", "rename_restored", "undo_rename")
    )
    assert str(undo.cluster_id) == str(restored.cluster_id)
    assert str(undo.resource_id) == str(live.resource_id)
    assert str(undo.aside_id) == str(dag.get_task("restore.restore_cluster").cluster_id)
    assert str(dag.get_task("switch.undo_secrets").versions) == str(dag.get_task("switch.move_secrets").versions)


def test_recovering_is_given_what_undoing_is_given(dag) -> None:
    undo, recover = dag.get_task("switch.undo_rename"), dag.get_task("prepare.recover_names")
    for name in ("cluster_id", "resource_id", "aside_id", "instance_ids"):
        assert str(getattr(recover, name)) == str(getattr(undo, name)), name


def test_nothing_is_changed_before_the_lock(dag) -> None:
    lock = dag.get_task("prepare.take_lock")
    assert mutating(lock) == {"dynamodb:PutItem"}
    for name in above(dag, lock.task_id):
        assert mutating(dag.get_task(name)) == set(), name
    for task in dag.tasks:
        if mutating(task) and task is not lock:
            assert lock.task_id in above(dag, task.task_id), f"{task.task_id} may change something before the lock"


def test_source_is_only_read_and_shared(dag) -> None:
    allowed = {
        "rds:CreateDBClusterSnapshot", "rds:CopyDBClusterSnapshot", "rds:AddTagsToResource", "rds:DeleteDBClusterSnapshot",
        "rds:ModifyDBClusterSnapshotAttribute", "kms:CreateGrant", "kms:RevokeGrant", "rds:RemoveTagsFromResource",
        "backup:StartCopyJob", "iam:PassRole",
    }  # fmt: skip
    there = [task for task in dag.tasks if getattr(task, "aws_conn_id", "") == "aws_source"]
    assert len(there) >= 5
    for task in there:
        assert mutating(task) <= allowed, task.task_id


def before_the_switch(dag) -> list[str]:
    """Every task up to the switch, those that only clear up aside."""
    found = {"switch.open_network", *above(dag, "switch.open_network")}
    assert len(found) > 24
    return sorted(found)


def test_nothing_that_serves_is_touched_after_a_failure_before_the_switch(dag, simulate) -> None:
    for broken in before_the_switch(dag):
        states = simulate({broken: "failed", "switch.undo_rename": "skipped"})
        published = {name for name in states if name.startswith("publish.")} - MENDS
        assert {name for name in SERVES | published if states[name] in ("success", "failed")} == set(), broken
        assert states["switch.verify_serving"] == "upstream_failed", broken
        assert states["switch.undo_secrets"] == "skipped", broken


def test_clean_up_record_and_lock_run_whatever_happened_and_the_run_is_failed(dag, simulate) -> None:
    for broken in [*before_the_switch(dag), *sorted(SERVES), "switch.verify_serving"]:
        states = simulate({broken: "failed"})
        assert {s for name, s in states.items() if name.startswith(TEARDOWNS)} == {"success"}, broken
        assert run_state(dag, states) == "failed", broken


@pytest.mark.parametrize("broken", [*sorted(SERVES - {"publish.publish_cluster"}), "switch.verify_serving"])
def test_failed_switch_is_undone_and_not_published(simulate, broken) -> None:
    states = simulate({broken: "failed"})
    assert states["switch.undo_rename"] == states["switch.undo_secrets"] == "success"
    assert states["publish.publish_cluster"] == "upstream_failed"


def test_successful_run_undoes_nothing(dag, simulate) -> None:
    states = simulate({})
    assert states["switch.undo_rename"] == states["switch.undo_secrets"] == "skipped"
    assert {s for name, s in states.items() if ".undo_" not in name} == {"success"}
    assert {s for name, s in states.items() if ".undo_" in name} == {"skipped"}
    assert run_state(dag, states) == "success"


def test_failed_clean_up_does_not_fail_the_run_nor_keep_the_lock(dag, simulate) -> None:
    broken = {task.task_id: "failed" for task in dag.tasks if task.task_id.startswith("clean_up.")}
    states = simulate(broken)
    assert states["record.record_run"] == states["record.release_lock"] == "success"
    assert run_state(dag, states) == "success"


def test_failed_undo_still_looks_at_the_secrets(simulate) -> None:
    states = simulate({"switch.rename_restored": "failed", "switch.undo_rename": "failed"})
    assert states["switch.undo_secrets"] == "success"


def test_failed_record_still_gives_the_lock_back(simulate) -> None:
    assert simulate({"record.record_run": "failed"})["record.release_lock"] == "success"


# ---- what uses the claims --------------------------------------------------------------------------------------------


@pytest.fixture
def along(variant) -> None:
    """Only where files go along."""
    if variant != "along":
        pytest.skip("without files there are no claims")


@pytest.mark.parametrize("broken", ["publish.stop_workloads", "publish.show_in_media", "publish.undo_show_in_media"])
def test_workloads_start_again_whatever_became_of_the_claims_and_the_run_is_failed(
    along, dag, simulate, broken
) -> None:
    states = simulate({"publish.show_in_media": "failed", broken: "failed"})
    assert states["publish.start_workloads"] == "success"
    assert states["publish.claims_settled"] == "upstream_failed"
    assert states["publish.undo_show_in_media"] == ("failed" if broken == "publish.undo_show_in_media" else "success")
    assert states["clean_up.retire_old_file_system"] == states["record.record_run"] == "success"
    assert run_state(dag, states) == "failed"


def test_a_workload_that_does_not_come_back_fails_the_run(along, dag, simulate) -> None:
    states = simulate({"publish.start_workloads": "failed"})
    assert states["publish.show_in_media"] == "success"
    assert states["publish.claims_settled"] == "upstream_failed"
    assert run_state(dag, states) == "failed"


def test_what_is_stopped_is_what_is_started(along, dag) -> None:
    stop, start = (dag.get_task(f"publish.{name}_workloads") for name in ("stop", "start"))
    assert stop.workloads == start.workloads == ["Deployment/media-web"]
    assert stop.claims == ["media"]
    assert str(stop.run_key) == str(start.run_key)
    assert start.upstream_task_ids >= {"prepare.check", "prepare.take_lock"}, "the run's key, and that it has the lock"
    assert "take_lock" in str(start.lock)


def test_a_claim_goes_back_only_where_this_run_has_tried_it(along, dag) -> None:
    show, undo = dag.get_task("publish.show_in_media"), dag.get_task("publish.undo_show_in_media")
    assert undo.trigger_rule == TriggerRule.ONE_FAILED
    assert undo.upstream_task_ids >= {"publish.show_in_media", "publish.publish_files"}
    assert "publish_files" in str(undo.tried)
    for name in ("claim_name", "namespace", "cluster_name", "file_system_id", "path"):
        assert str(getattr(undo, name)) == str(getattr(show, name)), name


def test_without_workloads_nothing_is_scaled_and_a_claim_that_fails_still_fails_the_run(tmp_path, monkeypatch) -> None:
    include = place_include(tmp_path / "include", along=True)
    file = include / "config" / "staging.yaml"
    text = file.read_text()
    line = "  workloads: [Deployment/media-web]\n"
    assert text.count(line) == 1
    file.write_text(text.replace(line, ""))
    monkeypatch.setenv("AURORA_OPS_INCLUDE", str(include))
    found = read_dags(DAGS / "refresh").dags["refresh_staging"]
    assert not [task.task_id for task in found.tasks if "workloads" in task.task_id]
    assert found.get_task("publish.show_in_media").upstream_task_ids >= {"publish.publish_files"}
    settled = found.get_task("publish.claims_settled")
    assert (settled.upstream_task_ids, settled.trigger_rule) == ({"publish.show_in_media"}, "all_success")
    assert all(found.get_task(name).is_teardown for name in settled.downstream_task_ids), "the run is judged by it"


def run_state(dag, states: dict[str, str]) -> str:
    """As Airflow judges: by the last tasks that are no teardown."""
    leaves = [
        task.task_id
        for task in dag.tasks
        if not task.is_teardown and all(dag.get_task(name).is_teardown for name in task.downstream_task_ids)
    ]
    return "failed" if {states[name] for name in leaves} & {"failed", "upstream_failed"} else "success"
