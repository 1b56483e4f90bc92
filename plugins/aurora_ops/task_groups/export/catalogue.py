"""From an export that is complete to tables that Athena answers: verified, catalogued, proven."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_exports import Exports
from aurora_ops.operators.export_catalogue import CatalogueExportOperator
from aurora_ops.operators.export_crawl import CrawlExportOperator
from aurora_ops.operators.export_proof import ProveExportOperator
from aurora_ops.operators.export_verification import VerifyExportOperator
from aurora_ops.task_groups.typed import Outputs, Place


def catalogue_export(settings: Environment, about: Exports, exported: Any) -> list[BaseOperator]:
    """Verify one export; put it into the catalogue; prove that it can be asked. For a mapped task group, of any database.

    Which database an export is of shows when it runs only. So where any database has a crawler make its tables, there is a task for
    that too, and of the two tasks the one that is not chosen skips itself; so is the proof, which counts tables of the manifest.

    :param settings: settings of the environment.
    :param about: their section of exports.
    :param exported: result of ``export_snapshot``.
    :return: tasks that end it.
    """
    home = settings.orchestrator
    given: dict[str, Any] = {
        "settings": about.model_dump(mode="json"),
        "accounts": accounts_of(settings),
        "exported": exported,
        "map_index_template": "{{ task.exported.database }} {{ task.exported.date }}",
    }
    verified = VerifyExportOperator(
        task_id="verify_export",
        environment=settings.environment,
        home_conn_id=home.aws_conn_id,
        home_region=home.region,
        report_bucket=home.report_bucket,
        **given,
    )
    last: list[BaseOperator] = []
    makers = {one.catalogue.by for one in about.databases}
    if "manifest" in makers:
        catalogued = CatalogueExportOperator(task_id="catalogue_export", verified=Outputs(verified).all, **given)
        verified >> catalogued
        end: BaseOperator = catalogued
        if any(one.catalogue.proof for one in about.databases):
            proven = ProveExportOperator(task_id="prove_export", smoke=Outputs(catalogued)["smoke"], **given)
            catalogued >> proven
            end = proven
        last.append(end)
    if "crawler" in makers:
        crawled = CrawlExportOperator(task_id="crawl_export", **given)
        verified >> crawled
        last.append(crawled)
    return last


def accounts_of(settings: Environment) -> dict[str, dict[str, str]]:
    """Say by which connection and in which region each account is reached, for tasks that find out when they run which it is."""
    places: dict[str, Place] = {"source": settings.source, "target": settings.target}
    return {name: {"aws_conn_id": place.aws_conn_id, "region": place.region} for name, place in places.items()}
