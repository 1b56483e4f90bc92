"""Events of snapshots: decided, runs started, the position kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Asset, TriggerRule, task

from aurora_ops.core.errors import StateError
from aurora_ops.core.settings import Environment
from aurora_ops.operators.export_events import DECIDED_KEY, POSITION_KEY, DecideExportsOperator
from aurora_ops.task_groups.typed import Outputs, at

# The next run begins in some minutes and goes on where this one is: waiting longer than that helps nobody.
_RETRIES: dict[str, Any] = {"retries": 3, "max_retry_delay": timedelta(minutes=1)}


@task
def _kept(decided: dict[str, Any], asset_state_store: Any = None) -> None:
    """Keep how far events are handled, and tell what could not be."""
    asset_state_store.set(POSITION_KEY, decided["position"])
    if decided["failed"]:
        lines = "\n".join(f"- {one['event_id']} {one['source_arn']}: {one['why']}" for one in decided["left"])
        raise StateError(f"{decided['failed']} events are left to the next run, which looks again:\n{lines}")


def export_on_events(settings: Environment, asset: Asset, environment_file: Path) -> None:
    """Decide what new events are for; start a run for each snapshot; then move past those events.

    :param settings: settings of the environment.
    :param asset: whose events are read.
    :param environment_file: where the settings stand; they are read again when it is decided.
    """
    decided = DecideExportsOperator(
        task_id="decide_exports",
        path=str(environment_file),
        asset=asset,
        **at(settings.orchestrator),
        **_RETRIES,
    )
    started = TriggerDagRunOperator.partial(
        task_id="start_exports",
        map_index_template="{{ task.trigger_run_id }}",
        trigger_dag_id=f"snapshot_export_{settings.environment}",
        logical_date=None,
        skip_when_already_exists=True,
        **_RETRIES,
    ).expand_kwargs(Outputs(decided).all)
    kept = _kept.override(task_id="keep_position", inlets=[asset], trigger_rule=TriggerRule.NONE_FAILED)(
        Outputs(decided)[DECIDED_KEY]
    )
    started >> kept
