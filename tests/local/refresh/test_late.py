"""A run that is late is announced while it goes on, by the real scheduler and triggerer; others are not."""

from __future__ import annotations

import json

import psycopg2
import pytest

from devstack import waiting

pytestmark = [pytest.mark.local, pytest.mark.slow]

DEADLINES = """
SELECT run.dag_id, deadline.missed, callback.state, callback.output
FROM deadline JOIN callback ON callback.id = deadline.callback_id JOIN dag_run run ON run.id = deadline.dagrun_id
WHERE run.run_id IN %s
"""


def deadlines(stack, runs) -> dict[str, tuple]:
    """What Airflow did about the deadlines of runs, by DAG."""
    url = stack.stack.postgres.url().replace("+psycopg2", "")
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(DEADLINES, (tuple(run.run_id for run in runs),))
            return {dag_id: tuple(rest) for dag_id, *rest in cursor.fetchall()}
    finally:
        connection.close()


def test_late_runs_are_announced_with_what_they_wait_for(stack, estate):
    failed, in_time, late = (stack.trigger(f"probe_late_{name}") for name in ("fails", "in_time", "waits"))
    assert stack.wait(failed).state == "failed"
    assert stack.wait(in_time).state == "success"

    def called() -> dict[str, tuple] | None:
        found = deadlines(stack, (failed, in_time, late))
        done = [state for _, state, _ in found.values() if state in ("success", "failed")]
        return found if len(done) == 2 else None

    found = waiting.until(called, what="the deadlines to pass", timeout_s=120, every_s=0.5)
    assert "probe_late_in_time" not in found, "Airflow drops the deadline of a run that succeeds in time"
    assert found["probe_late_fails"][1:] == ("success", f"{failed.run_id} has failed; its end was announced")
    assert found["probe_late_waits"][0] is True
    assert "see_snapshot (deferred): shared_snapshot_visible of arn:aws:rds" in found["probe_late_waits"][2]

    [announced] = estate.announcements()
    assert announced["Subject"].startswith(
        "refresh staging late: see_snapshot (deferred): shared_snapshot_visible of arn:"
    )
    assert announced["MessageAttributes"]["outcome"]["Value"] == "late"
    message = json.loads(announced["Message"])
    assert message["run"] == f"probe_late_waits/{late.run_id}"
    assert message["link"].startswith(f"{stack.config.airflow_url}/dags/probe_late_waits/runs/")
    [waited_for] = message["waiting_for"]
    assert "cluster-snapshot:never-shared" in waited_for
    metrics = stack.aws("000000000000", "cloudwatch").list_metrics(Namespace="AuroraOps", MetricName="RefreshLate")
    assert metrics["Metrics"][0]["Dimensions"] == [{"Name": "Environment", "Value": "staging"}]
    stack.api.request("PATCH", f"/dags/{late.dag_id}/dagRuns/{late.run_id}", {"state": "failed"})
