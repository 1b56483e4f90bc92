"""A crawler is pointed at one export at a time, and is believed only if it crawled that, after its end, with success."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.glue_crawler import GlueCrawlerHook
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from aurora_ops.core.errors import BusyError, MissingError, StateError, WaitFailedError, WaitTimeoutError
from aurora_ops.hooks.catalogue import CatalogueHook
from aurora_ops.operators.export_crawl import CrawlExportOperator
from botocore.exceptions import ClientError

from tests.unit.operators.driver import context
from tests.unit.operators.stored_exports import ACCOUNTS, settings

EXPORTED = {
    "database": "shop",
    "snapshot_arn": "arn",
    "snapshot_time": "2026-06-01T02:00:00+00:00",
    "date": "2026-06-01",
    "task_id": "task",
    "bucket": "exported",
    "path": "exports/db=shop/snapshot_date=2026-06-01/task/",
    "ended_at": "2026-06-01T03:00:00+00:00",
}
PATH = "s3://exported/exports/db=shop/snapshot_date=2026-06-01/task/"
TOLD = {"database": "shop", "crawler": "aurora-ops-export-shop", "prefix": "s2026_06_01_"}


class FakeCrawler:
    """A crawler; each crawl takes no time and ends as it is told to."""

    def __init__(self) -> None:
        self.about: dict[str, Any] = {
            "Name": "aurora-ops-export-shop",
            "State": "READY",
            "Role": "setup",
            "Targets": {},
        }
        self.ends = "SUCCEEDED"
        self.calls: list[str] = []

    def get(self, name: str) -> dict[str, Any]:
        if name != self.about["Name"]:
            raise ClientError({"Error": {"Code": "EntityNotFoundException", "Message": name}}, "GetCrawler")
        return self.about

    def update(self, **wanted: Any) -> bool:
        self.calls.append("update")
        self.about = {**self.about, **wanted}
        return True

    def start(self, name: str) -> None:
        self.calls.append("start")
        self.about["LastCrawl"] = {
            "Status": self.ends,
            "StartTime": datetime(2026, 6, 1, 4, tzinfo=UTC),
            "ErrorMessage": "no",
        }


@pytest.fixture
def crawler(monkeypatch) -> FakeCrawler:
    fake = FakeCrawler()
    monkeypatch.setattr(GlueCrawlerHook, "get_crawler", lambda self, name: fake.get(name))
    monkeypatch.setattr(GlueCrawlerHook, "update_crawler", lambda self, **wanted: fake.update(**wanted))
    monkeypatch.setattr(GlueCrawlerHook, "start_crawler", lambda self, name: fake.start(name))
    monkeypatch.setattr(GlueCrawlerHook, "wait_for_crawler_completion", lambda self, **_: fake.ends)
    monkeypatch.setattr(CatalogueHook, "conn", None)
    return fake


def make(deferrable: bool = False, by: str = "crawler") -> CrawlExportOperator:
    return CrawlExportOperator(
        task_id="crawl_export",
        settings=settings(catalogue={"by": by}),
        accounts=ACCOUNTS,
        exported=EXPORTED,
        deferrable=deferrable,
    )


def test_it_is_pointed_at_the_export_without_what_is_no_data(crawler) -> None:
    assert make().execute(context()) == TOLD
    assert crawler.calls == ["update", "start"]
    assert crawler.about["Targets"] == {"S3Targets": [{"Path": PATH, "Exclusions": ["**.json", "**/_SUCCESS"]}]}
    assert crawler.about["SchemaChangePolicy"]["DeleteBehavior"] == "LOG", "no table is dropped when objects expire"
    assert crawler.about["TablePrefix"] == "s2026_06_01_"
    assert crawler.about["Role"] == "setup"


def test_what_was_crawled_is_not_crawled_again(crawler) -> None:
    make().execute(context())
    assert make().execute(context()) == TOLD
    assert crawler.calls == ["update", "start"]


def test_a_crawl_before_the_export_ended_does_not_count(crawler) -> None:
    make().execute(context())
    crawler.about["LastCrawl"]["StartTime"] = datetime(2026, 6, 1, 2, 59, tzinfo=UTC)
    make().execute(context())
    assert crawler.calls == ["update", "start"] * 2


@pytest.mark.parametrize("state", ["RUNNING", "STOPPING"])
def test_it_is_left_alone_while_it_is_busy(crawler, state) -> None:
    crawler.about["State"] = state
    with pytest.raises(BusyError, match=state):
        make().execute(context())
    assert crawler.calls == []


def test_a_crawl_that_failed_fails(crawler) -> None:
    crawler.ends = "FAILED"
    with pytest.raises(StateError, match=f"crawl of {PATH} by aurora-ops-export-shop has not succeeded: FAILED no"):
        make().execute(context())


def test_it_waits_without_a_slot_and_looks_when_it_comes_back(crawler) -> None:
    with pytest.raises(TaskDeferred) as caught:
        make(deferrable=True).execute(context())
    deferred = caught.value
    assert deferred.trigger.service == "glue"
    assert deferred.trigger.until["lags"] is True
    assert make().resume(context(), {"status": "success", "message": ""}) == TOLD
    with pytest.raises(WaitTimeoutError):
        make().resume(context(), {"status": "timeout", "message": "late"})
    with pytest.raises(WaitFailedError):
        make().resume(context(), {"status": "failed", "message": "FAILED"})


def test_one_that_was_pointed_elsewhere_meanwhile_is_asked_again(crawler) -> None:
    with pytest.raises(TaskDeferred):
        make(deferrable=True).execute(context())
    crawler.about["Targets"] = {"S3Targets": [{"Path": "s3://exported/other/"}]}
    with pytest.raises(BusyError, match="something else"):
        make().resume(context(), {"status": "success", "message": ""})


def test_one_that_is_not_there_is_named(crawler) -> None:
    crawler.about["Name"] = "other"
    with pytest.raises(MissingError, match="aurora-ops-export-shop"):
        make().execute(context())


def test_by_choice_only(crawler) -> None:
    with pytest.raises(AirflowSkipException, match="manifest"):
        make(by="manifest").execute(context())
    assert crawler.calls == []
