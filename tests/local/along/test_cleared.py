"""A refresh with files in the real Airflow, which fails where its claims are made anew, and is cleared there as people do."""

from __future__ import annotations

import pytest

from tests.local.along.estate import Along
from tests.local.conftest import running_stack
from tests.local.refresh.conftest import DAG_ID
from tests.local.workflows.conftest import Workflows

pytestmark = [pytest.mark.local, pytest.mark.long]


def test_it_goes_on_where_it_failed() -> None:
    with running_stack(along=True) as stack:
        along = Along(Workflows(stack))
        along.scale(0)
        (former, _) = along.parameters()
        along.estate.fail(service="kubernetes", action="CreatePersistentVolumeClaim", code="Forbidden", status=403)
        run = stack.wait(stack.trigger(DAG_ID))
        assert (run.state, stack.states(run)["publish.show_in_media"]) == ("failed", "failed")
        assert former in along.file_systems()

        body = {"dag_run_id": run.run_id, "task_ids": ["publish.stop_workloads"], "include_downstream": True}
        body |= {"dry_run": False, "only_failed": False, "reset_dag_runs": True}
        stack.api.request("POST", f"/dags/{run.dag_id}/clearTaskInstances", body)
        run = stack.wait(run)
        assert run.state == "success", stack.states(run)
        along.assert_replaced(former)
