"""
Refresh an environment with production's data.

One DAG for each file in `include/config/`. Takes or adopts a snapshot of the source, shares it, copies it under the
target's key, restores it isolated beside what serves, masks it and proves it, verifies it, and then lets it serve under
the target's name. The cluster that served before is kept, stopped or deleted by policy.

Where the file has a section `files`, production's files are restored beside that and published after it; where it has one `eks`,
tables that are kept go through jobs, and claims show the restored files.

**When.** Nightly, by the file's `schedule`; by hand with *Trigger*: every field of the form may be left empty. *Dry run* shows
the whole plan and changes nothing. Where approval is asked for, the run waits before the switch for a person's answer
(*Required actions* in the UI).

**Safe to run again?** Yes, at any point: start a new run, which clears away what an earlier one left. Up to the switch
nothing that serves is touched; a failed switch is undone (`switch.undo_rename`).

**Triage.** `prepare.check` red: the message names field, value and what is allowed; nothing was changed.
`mask.prove_mask` red: values survived in the columns named; mend `include/sql/masking`. `mask.scan_columns` red: columns
named hold what looks like personal data; decide about them in `columns.yaml`. `switch.*` red: the record of
the run says what serves now; if `switch.undo_rename` is red too, look at once: mend what it says and clear it, or start a
new run, which first gives the name back (`prepare.recover_names`). `publish.*` red: the new cluster serves; mend what the
message names and clear the task. `files.*` red: the message says what AWS Backup, the vault or the function lacks; nothing
shows the new file system. `mask.dump_kept.*`, `mask.load_kept.*` red: the pod's log is in the task's. `clean_up.*` red:
something is left behind and named in the record's warnings.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.followed import dag_defaults
from aurora_ops.dagkit.lateness import late_alert
from aurora_ops.dagkit.paths import include
from aurora_ops.dagkit.refresh_params import refresh_params
from aurora_ops.dagkit.refused import refused_dag
from aurora_ops.dagkit.schedules import nightly
from aurora_ops.task_groups.db.mask_database import mask_database
from aurora_ops.task_groups.db.obtain_snapshot import obtain_snapshot
from aurora_ops.task_groups.db.restore_database import restore_database
from aurora_ops.task_groups.refresh.approve import approve
from aurora_ops.task_groups.refresh.files import files
from aurora_ops.task_groups.refresh.finish import PLAN_TASK, clean_up, publish, record
from aurora_ops.task_groups.refresh.prepare import prepare_refresh
from aurora_ops.task_groups.refresh.switch import switch
from aurora_ops.task_groups.typed import Outputs


def refresh(environment: Configured) -> None:
    """Build the DAG of an environment."""
    settings, sql, probe = environment.settings, include() / "sql", include() / "functions" / "efs_probe"
    if settings is None:
        refused_dag("refresh", environment, sql)
        return

    @dag(
        **dag_defaults(PLAN_TASK if settings.orchestrator.audit_refreshes else None, environment.name),
        dag_id=f"refresh_{environment.name}",
        schedule=nightly(settings),
        deadline=late_alert(settings),
        params=refresh_params(settings),
        description=f"Production's data in {environment.name}, masked, verified and swapped in",
        doc_md=__doc__,
        tags=["refresh", environment.name],
    )
    def refresh_environment() -> None:
        prepared = prepare_refresh(settings, environment.path, sql)
        plan = prepared.plan
        source = obtain_snapshot(settings, plan)
        restored = restore_database(settings, plan, Outputs(source.copy)["snapshot_id"])
        masked = mask_database(settings, plan, sql, Outputs(restored.credentials)["secret_version"])
        resource_id, restored_files = Outputs(restored.cluster)["resource_id"], files(settings, plan, str(probe))
        approved = approve(settings, plan, resource_id, {**masked.results, **restored_files.results})
        switched = switch(settings, plan, resource_id, Outputs(masked.users)["versions"])
        lock = Outputs(prepared.lock)["holder"]
        published = publish(settings, plan, Outputs(source.first)["snapshot_id"], restored_files, lock)
        cleaned = clean_up(
            settings,
            plan,
            Outputs(source.shareable)["snapshot_id"],
            Outputs(masked.scan)["coverage"],
            replaced_files=published.files.replaces,
            serving=Outputs(switched.verified)["resource_id"],
        )
        recorded, _ = record(settings, plan)

        prepared.lock >> [source.first, restored_files.first]
        prepared.clear_temporary >> restored.cluster
        restored.credentials >> [masked.kept.dump, masked.fingerprint]
        before_switch = [masked.verified, restored.readers, restored.role, restored_files.last, prepared.clear_old]
        before_switch >> approved >> switched.first
        switched.verified >> published.first

        published.cluster >> [cleaned.retire_old, cleaned.remember]
        source.copy >> cleaned.revoke
        restored.cluster >> cleaned.delete_copy
        masked.kept.loaded >> cleaned.delete_kept
        done = [*published.last, switched.undone]
        for task in (cleaned.delete_temporary, *cleaned.files):
            [*done, *before_switch] >> task
        [*done, *masked.kept.last, *restored_files.removed, *cleaned.all] >> recorded

    refresh_environment()


for configured_environment in configured():
    refresh(configured_environment)
