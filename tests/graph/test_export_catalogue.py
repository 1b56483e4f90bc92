"""An export verified, catalogued, proven: inside a mapped task group, of databases of both accounts, by manifest or by crawler."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import DAG, task, task_group
from airflow.serialization.serialized_objects import DagSerialization
from aurora_ops.core import environments
from aurora_ops.core.settings_exports import Exports
from aurora_ops.operators.export_catalogue import CATALOGUES
from aurora_ops.operators.export_crawl import CRAWLS
from aurora_ops.operators.export_proof import QUERIES
from aurora_ops.operators.export_verification import READS
from aurora_ops.task_groups.export.catalogue import accounts_of, catalogue_export
from policygen.needs import needs_of

from devstack.settings import REPO
from tests.graph.conftest import simulator


@pytest.fixture(scope="module")
def settings():
    return environments.resolve(environments.read(REPO / "include" / "config" / "staging.yaml")).settings


def exports(*catalogues: dict) -> Exports:
    databases = [
        {"name": f"db{number}", "cluster": f"prod-{number}", "catalogue": one} for number, one in enumerate(catalogues)
    ]
    return Exports.model_validate({"state_table": "states", "databases": databases})


def dag_of(settings, about: Exports) -> tuple[DAG, list[str]]:
    """A DAG in which the function is used as it is meant to be."""
    ends: list[str] = []

    @task
    def plan() -> list[dict[str, Any]]:
        return []

    @task
    def export_snapshot(planned: dict[str, Any]) -> dict[str, Any]:
        return planned

    with DAG("snapshot_export_staging", schedule=None) as dag:

        @task_group
        def export(planned: Any) -> None:
            ends.extend(one.task_id for one in catalogue_export(settings, about, export_snapshot(planned)))

        export.expand(planned=plan())
    return dag, ends


def test_one_after_the_other(settings) -> None:
    dag, ends = dag_of(settings, exports({}))
    assert ends == ["export.prove_export"]
    below = {one.task_id.removeprefix("export."): sorted(one.downstream_task_ids) for one in dag.tasks}
    assert below["verify_export"] == ["export.catalogue_export"]
    assert below["catalogue_export"] == ["export.prove_export"]
    assert "export.verify_export" in below["export_snapshot"]


@pytest.mark.parametrize("failed", ["verify_export", "catalogue_export"])
def test_nothing_is_catalogued_or_proven_of_what_is_not_whole(settings, failed) -> None:
    dag, _ = dag_of(settings, exports({}))
    assert simulator(dag)({f"export.{failed}": "failed"})["export.prove_export"] == "upstream_failed"


def test_there_is_a_task_for_each_way_that_some_database_takes(settings) -> None:
    both, ends = dag_of(settings, exports({}, {"by": "crawler"}))
    assert sorted(ends) == ["export.crawl_export", "export.prove_export"]
    states = simulator(both)({"export.catalogue_export": "skipped"})
    assert states["export.prove_export"] == "skipped"
    assert states["export.crawl_export"] == "success"
    _, ends = dag_of(settings, exports({"by": "crawler"}))
    assert ends == ["export.crawl_export"]
    _, ends = dag_of(settings, exports({"proof": False}))
    assert ends == ["export.catalogue_export"]


def test_tasks_are_told_where_accounts_are_and_no_more_than_names(settings) -> None:
    dag, _ = dag_of(settings, exports({}, {"by": "crawler"}))
    assert accounts_of(settings)["source"] == {"aws_conn_id": "aws_source", "region": settings.source.region}
    for name in ("verify_export", "catalogue_export", "prove_export", "crawl_export"):
        one: Any = dag.get_task(f"export.{name}")
        assert one.accounts == accounts_of(settings)
        assert "exported" in one.template_fields
        assert json.dumps(one.settings)


def test_it_can_be_serialized_and_is_read_back(settings) -> None:
    dag, _ = dag_of(settings, exports({}, {"by": "crawler"}))
    seen = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert set(seen.task_ids) == set(dag.task_ids)


def test_permissions_are_found_in_each_account(settings) -> None:
    dag, _ = dag_of(settings, exports({}, {"by": "crawler"}))
    needs = needs_of([dag], settings)
    expected = {*READS, *CATALOGUES, *CRAWLS, *QUERIES}
    assert expected <= set(needs["source"])
    assert expected <= set(needs["target"])
    assert set(needs["orchestrator"]) == {"s3:PutObject"}
