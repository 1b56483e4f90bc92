"""Every workflow of the predecessor has a DAG, and every DAG a test that runs it."""

from __future__ import annotations

import capabilities
import pytest

from devstack.settings import REPO

WORKFLOWS = sorted(path.stem for path in (REPO / "dags").rglob("*.py") if path.parent.name in capabilities.SOURCES)


@pytest.mark.parametrize("dag_id", capabilities.dag_ids())
def test_each_workflow_has_a_file_and_a_row(dag_id) -> None:
    assert dag_id in WORKFLOWS
    page = (REPO / "docs" / "reference" / "capabilities.md").read_text()
    assert f"| `{dag_id}` |" in page


@pytest.mark.parametrize("dag_id", WORKFLOWS)
def test_each_dag_is_run_by_a_test(dag_id) -> None:
    assert any(path.startswith("tests/local/") for path in capabilities.tests_of(dag_id, REPO / "tests"))
