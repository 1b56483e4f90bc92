"""
Prove that the backups restore: every week, each configured cluster's newest snapshot, verified, measured, torn down.

A group of tasks for each of `restore.drills` in the files of `include/config/`. Each restores the newest snapshot as
`<live cluster>-restored-drill` in the isolated security groups, as `aurora_restore` does, verifies it, measures RPO (age of
the data) and RTO (wall time until it was verified) against the drill's targets, and files the evidence in the report bucket.
Whatever happens, everything is torn down. Nothing that serves is touched.

**When.** Sundays at 05:00 UTC, and by hand with *Trigger*: there is nothing to fill in.

**Safe to run again?** Yes, at any point: what an earlier drill left is cleared away first.

**Triage.** `file_evidence` red: a target was missed, or the backup was not restored and verified; the message says which, the
alarm is announced. `check` red: there is no snapshot, or a key, group or secret is missing. `delete_restored` red: the drill's
cluster still stands, and costs; clear that task, or leave it to `reap_expired`.
"""

from __future__ import annotations

from airflow.sdk import dag
from aurora_ops.dagkit.defaults import DAG_DEFAULTS
from aurora_ops.dagkit.drills import drilled
from aurora_ops.dagkit.environments import Configured, configured
from aurora_ops.dagkit.schedules import weekly_at


def drill(environments: list[Configured]) -> None:
    """Build the DAG; where no drill is configured there is none."""
    wanted = [
        (known.settings, one) for known in environments if known.settings for one in known.settings.restore.drills
    ]
    if not wanted:
        return

    @dag(
        **DAG_DEFAULTS,
        dag_id="aurora_restore_drill",
        schedule=weekly_at(0, 5),
        description="Prove that the backups restore: newest snapshots restored, verified, measured and torn down",
        doc_md=__doc__,
        tags=["restore", "drill"],
    )
    def aurora_restore_drill() -> None:
        for settings, one in wanted:
            drilled(settings, one)

    aurora_restore_drill()


drill(list(configured()))
