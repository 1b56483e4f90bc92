"""The DAGs as Airflow sees them, without Airflow's processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from devstack.settings import REPO
from tests import guards
from tests.local.include import place_include

DAGS = REPO / "dags"


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No sleep, no network."""
    with guards.no_sleep_no_network(monkeypatch):
        yield


def read_dags(folder: Path = DAGS) -> DagBag:
    """Every DAG of the folder, parsed anew."""
    return DagBag(folder)


@pytest.fixture(scope="session")
def bag() -> DagBag:
    """The DAGs of this repository."""
    return read_dags()


@pytest.fixture(scope="session", params=["along", "alone"])
def variant(request: pytest.FixtureRequest) -> str:
    """Whether the refresh takes files and jobs along, as the example does, or leaves them alone."""
    return str(request.param)


@pytest.fixture(scope="session")
def dag(variant: str, bag: DagBag, tmp_path_factory: pytest.TempPathFactory) -> DAG:
    """The nightly refresh of staging."""
    if variant == "along":
        return bag.dags["refresh_staging"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "AURORA_OPS_INCLUDE", str(place_include(tmp_path_factory.mktemp("alone") / "include", along=False))
        )
        return read_dags(DAGS / "refresh").dags["refresh_staging"]


@pytest.fixture(scope="session")
def simulate(dag: DAG) -> Callable[..., dict[str, str]]:
    """How a run ends if some tasks end otherwise than by success; only trigger rules are played."""

    def play(outcomes: dict[str, str]) -> dict[str, str]:
        states: dict[str, str] = {}
        for task in dag.topological_sort():
            above = {states[name] for name in task.upstream_task_ids}
            states[task.task_id] = state(task.trigger_rule.value, above) or outcomes.get(task.task_id, "success")
        return states

    def state(rule: str, above: set[str]) -> str | None:
        failed, skipped = bool(above & {"failed", "upstream_failed"}), "skipped" in above
        match rule:
            case "all_success":
                return "upstream_failed" if failed else "skipped" if skipped else None
            case "one_failed":
                return None if failed else "skipped"
            case "none_skipped":
                return "skipped" if skipped else None
            case "all_done_setup_success" | "all_done":
                return None
            case _:
                raise AssertionError(f"teach the simulation the rule {rule}")

    return play


def mutating(task: Any) -> set[str]:
    """Actions of a task that change something."""
    return {
        action
        for action in getattr(task, "permissions", ())
        if not action.split(":")[1].startswith(("Describe", "Get", "List", "Query", "Decrypt"))
    }
