"""The DAGs as Airflow sees them, without Airflow's processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
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


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``include`` that DAGs are read with."""
    copied = tmp_path / "include"
    shutil.copytree(REPO / "include", copied)
    monkeypatch.setenv("AURORA_OPS_INCLUDE", str(copied))
    return copied


def write_environment(include: Path, name: str, **changes: Any) -> None:
    """Write one more environment: the example's with other sections."""
    content = yaml.safe_load((REPO / "include/config/staging.yaml").read_text())
    (include / "config" / f"{name}.yaml").write_text(yaml.safe_dump({**content, "environment": name, **changes}))


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
    """How a refresh ends if some tasks end otherwise than by success."""
    return simulator(dag)


def simulator(dag: DAG) -> Callable[..., dict[str, str]]:
    """How a run ends if some tasks end otherwise than by success; only trigger rules are played.

    What is given to it: task to state, and of a branch the task that it chooses, ``None`` for none.
    """

    def play(outcomes: dict[str, str], chosen: dict[str, str | None] | None = None) -> dict[str, str]:
        states: dict[str, str] = {}
        passed_by = {
            name
            for branch, way in (chosen or {}).items()
            for name in dag.get_task(branch).downstream_task_ids
            if name != way and name not in (above_all(way) if way else set())
        }
        for task in dag.topological_sort():
            above = {states[name] for name in task.upstream_task_ids}
            by_rule = state(task.trigger_rule.value, above)
            skipped = "skipped" if task.task_id in passed_by and by_rule is None else None
            states[task.task_id] = by_rule or skipped or outcomes.get(task.task_id, "success")
        return states

    def above_all(way: str) -> set[str]:
        return set(dag.get_task(way).get_flat_relative_ids(upstream=False))

    def state(rule: str, above: set[str]) -> str | None:
        failed, skipped = bool(above & {"failed", "upstream_failed"}), "skipped" in above
        match rule:
            case "all_success":
                return "upstream_failed" if failed else "skipped" if skipped else None
            case "none_failed_min_one_success":
                return "upstream_failed" if failed else None if "success" in above else "skipped"
            case "none_failed":
                return "upstream_failed" if failed else None
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
