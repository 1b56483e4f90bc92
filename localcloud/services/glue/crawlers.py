"""Crawlers: made, changed, started and followed; what a crawl does is in :mod:`localcloud.services.glue.crawls`."""

from __future__ import annotations

import json
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from moto.core.responses import ActionResult, EmptyResult
from moto.glue.exceptions import CrawlerNotRunningException, CrawlerRunningException
from moto.glue.models import FakeCrawler, GlueBackend, glue_backends

from localcloud.accounts import role_trusts_service
from localcloud.cloud import Caller
from localcloud.services.athena.asking import Asking
from localcloud.services.athena.errors import QueryError
from localcloud.services.athena.objects import split
from localcloud.services.glue.catalog import InvalidInput, LocalGlueResponse
from localcloud.services.glue.crawls import Changes, Crawl, CrawlError

if TYPE_CHECKING:
    from localcloud.cloud import Cloud

log = logging.getLogger(__name__)

SERVICE = "glue.amazonaws.com"
# In units of LOCALCLOUD_WAIT_S: when a crawler stops at the earliest, and for how long it does.
RUNS, STOPS = 1.0, 0.5
POLICY = {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DEPRECATE_IN_DATABASE"}
BEHAVIOURS = {
    "UpdateBehavior": {"LOG", "UPDATE_IN_DATABASE"},
    "DeleteBehavior": {"LOG", "DELETE_FROM_DATABASE", "DEPRECATE_IN_DATABASE"},
}
NAME = re.compile(r"[^\x00-\x1f]{1,255}")
CHANGEABLE = {
    "Role": "role",
    "DatabaseName": "database_name",
    "Description": "description",
    "Targets": "targets",
    "Schedule": "schedule",
    "Classifiers": "classifiers",
    "TablePrefix": "table_prefix",
    "SchemaChangePolicy": "schema_change_policy",
    "RecrawlPolicy": "recrawl_policy",
    "LineageConfiguration": "lineage_configuration",
    "Configuration": "configuration",
    "CrawlerSecurityConfiguration": "crawler_security_configuration",
}


BY_RULE = "Internal Service Exception: a fault rule let the crawl end so"
OUTCOMES = {"FAILED": "FAILED", "CANCELLED": "STOPPED"}  # of statuses that a rule may want


class Crawling:
    """One run of a crawler, as it is told.

    :ivar ended: when it was over, seconds since the epoch; None: it is not.
    :ivar outcome: ``COMPLETED``, ``FAILED`` or ``STOPPED``.
    """

    def __init__(self, crawler: str, wait_s: float) -> None:
        self.crawl_id = str(uuid4())
        self.crawler = crawler
        self.start_time = datetime.now(UTC).replace(tzinfo=None)
        self.began = time.time()
        self.wait_s = wait_s
        self.ended: float | None = None
        self.outcome = ""
        self.message = ""
        self.changes = Changes()

    def finish(self, outcome: str, message: str = "") -> None:
        """Note how it ended, unless it has been stopped before."""
        if self.ended is None:
            self.ended, self.outcome, self.message = time.time(), outcome, message

    @property
    def stops(self) -> float | None:
        """When it begins to stop."""
        if self.ended is None:
            return None
        return self.ended if self.outcome == "STOPPED" else max(self.ended, self.began + RUNS * self.wait_s)

    @property
    def over(self) -> float | None:
        """When the crawler is ready again."""
        return None if self.stops is None else self.stops + STOPS * self.wait_s

    @property
    def state(self) -> str:
        """State of the crawler on account of it: ``RUNNING``, ``STOPPING``, ``READY``."""
        now = time.time()
        if self.stops is None or now < self.stops:
            return "RUNNING"
        return "STOPPING" if self.over is not None and now < self.over else "READY"

    @property
    def status(self) -> str:
        """State of the crawl, by which moto filters."""
        return self.outcome if self.state == "READY" else "RUNNING"

    @property
    def end_time(self) -> datetime | None:
        """When it was over."""
        return (
            datetime.fromtimestamp(self.over, UTC).replace(tzinfo=None) if self.over and self.state == "READY" else None
        )

    def advance(self) -> None:
        """Nothing: time does it."""

    def as_dict(self) -> dict[str, Any]:
        """``CrawlerHistory``."""
        told: dict[str, Any] = {
            "CrawlId": self.crawl_id,
            "State": self.status,
            "StartTime": self.start_time,
            "LogGroup": "/aws-glue/crawlers",
            "LogStream": self.crawler,
            "MessagePrefix": self.crawl_id,
            "DPUHour": round(self.seconds / 3600 * 2, 3),
        }
        if self.end_time:
            told["EndTime"] = self.end_time
            told["Summary"] = json.dumps(
                {
                    "TABLE": {
                        "ADD": self.changes.created,
                        "UPDATE": self.changes.updated,
                        "DELETE": self.changes.deleted,
                    },
                    "PARTITION": {"ADD": self.changes.partitions},
                }
            )
            if self.message:
                told["ErrorMessage"] = self.message
        return told

    @property
    def seconds(self) -> float:
        """How long it took, or takes so far."""
        return (self.over if self.over and self.state == "READY" else time.time()) - self.began

    def last(self) -> dict[str, Any]:
        """``LastCrawl``."""
        names = {"COMPLETED": "SUCCEEDED", "FAILED": "FAILED", "STOPPED": "CANCELLED"}
        told = {
            "Status": names[self.outcome],
            "LogGroup": "/aws-glue/crawlers",
            "LogStream": self.crawler,
            "MessagePrefix": self.crawl_id,
            "StartTime": self.start_time,
        }
        return {**told, "ErrorMessage": self.message} if self.message else told


class LocalCrawler(FakeCrawler):
    """A crawler that crawls."""

    __module__ = "moto.glue.models"
    cloud: ClassVar[Cloud]
    crawls: list[Crawling]  # type: ignore[assignment]

    @property
    def policy(self) -> dict[str, str]:
        """What it does to tables that have changed or are gone."""
        given = {**POLICY, **(self.schema_change_policy or {})}
        if (self.recrawl_policy or {}).get("RecrawlBehavior") == "CRAWL_NEW_FOLDERS_ONLY":
            return dict.fromkeys(given, "LOG")
        return given

    @property
    def status(self) -> str:
        """``READY``, ``RUNNING`` or ``STOPPING``."""
        return self.crawls[-1].state if self.crawls else "READY"

    @property
    def done(self) -> list[Crawling]:
        """Crawls that are over."""
        return [one for one in self.crawls if one.state == "READY"]

    def as_dict(self) -> dict[str, Any]:
        """``Crawler``."""
        crawls, self.crawls = self.crawls, []
        try:
            told: dict[str, Any] = super().as_dict()
        finally:
            self.crawls = crawls
        told["State"] = self.status
        told["SchemaChangePolicy"] = {**POLICY, **(self.schema_change_policy or {})}
        told["RecrawlPolicy"] = self.recrawl_policy or {"RecrawlBehavior": "CRAWL_EVERYTHING"}
        told["LineageConfiguration"] = self.lineage_configuration or {"CrawlerLineageSettings": "DISABLE"}
        told["Classifiers"] = self.classifiers or []
        told["CrawlElapsedTime"] = int(self.crawls[-1].seconds * 1000) if self.status != "READY" else 0
        if self.done:
            told["LastCrawl"] = self.done[-1].last()
        return {key: value for key, value in told.items() if value is not None}

    def metrics(self) -> dict[str, Any]:
        """``CrawlerMetrics``."""
        done = self.done
        changes = done[-1].changes if done else Changes()
        return {
            "CrawlerName": self.name,
            "TimeLeftSeconds": 0.0,
            "StillEstimating": self.status != "READY",
            "LastRuntimeSeconds": done[-1].seconds if done else 0.0,
            "MedianRuntimeSeconds": median(one.seconds for one in done) if done else 0.0,
            "TablesCreated": changes.created,
            "TablesUpdated": changes.updated,
            "TablesDeleted": changes.deleted,
        }

    def start_crawler(self) -> None:
        """Start a crawl.

        :raises CrawlerRunningException: one is under way.
        """
        if self.status != "READY":
            raise CrawlerRunningException(f"Crawler with name {self.name} has already started")
        crawling = Crawling(self.name, self.cloud.config.wait_s)
        self.crawls.append(crawling)
        if self.cloud.ends_in:
            crawling.finish(OUTCOMES[self.cloud.ends_in], BY_RULE)
            return
        CrawlerResponse.pool.submit(self.crawl, crawling)

    def stop_crawler(self) -> None:
        """Stop the crawl that is under way.

        :raises CrawlerNotRunningException: none is.
        """
        if self.status != "RUNNING":
            raise CrawlerNotRunningException(f"Crawler with name {self.name} isn't running")
        crawling = self.crawls[-1]
        crawling.ended = None
        crawling.finish("STOPPED")

    def crawl(self, crawling: Crawling) -> None:
        """Crawl, and note how it ended."""
        session = f"arn:aws:sts::{self.backend.account_id}:assumed-role/{self.role_arn.rpartition('/')[2]}/AWS-Crawler"
        caller = Caller(self.backend.account_id, session, self.role_arn)
        crawl = Crawl(self, Asking(self.cloud, caller, self.backend.region_name))
        try:
            found = crawl.look(self.cloud.config.home / "athena")
            with self.cloud.lock("glue"):
                if crawling.ended is None:
                    crawl.note(found)
                    crawling.changes = crawl.changes
                    crawling.finish("COMPLETED")
        except CrawlError as error:
            crawling.finish("FAILED", str(error))
        except Exception:
            log.exception("the crawl of %s crashed", self.name)
            crawling.finish("FAILED", "Internal Service Exception: localcloud crashed; the traceback is in server.log")
        self.cloud.store.save("glue")

    @property
    def role_arn(self) -> str:
        """Role as which it reads and writes."""
        return arn_of(self.role, self.backend.account_id)


class CrawlerResponse(LocalGlueResponse):
    """Calls about crawlers."""

    pool: ClassVar[ThreadPoolExecutor]

    def create_crawler(self) -> ActionResult:
        """CreateCrawler."""
        given = self.parameters
        if not NAME.fullmatch(given["Name"]):
            raise InvalidInput(f"Crawler name {given['Name']!r} is not legal")
        check(given, self.current_account)
        if not given.get("DatabaseName"):
            raise InvalidInput("Database name cannot be empty or null")
        return super().create_crawler()

    def update_crawler(self) -> ActionResult:
        """UpdateCrawler."""
        given = self.parameters
        crawler = self._crawler(given["Name"])
        if crawler.status != "READY":
            raise CrawlerRunningException(f"Crawler with name {crawler.name} has already started")
        merged = {name: getattr(crawler, attribute) for name, attribute in CHANGEABLE.items()}
        check({**merged, **given}, self.current_account)
        for name, attribute in CHANGEABLE.items():
            if name in given:
                setattr(crawler, attribute, given[name])
        crawler.version += 1
        crawler.last_updated = datetime.now(UTC).replace(tzinfo=None)
        return EmptyResult()

    def delete_crawler(self) -> ActionResult:
        """DeleteCrawler."""
        crawler = self._crawler(self.parameters["Name"])
        if crawler.status != "READY":
            raise CrawlerRunningException(f"Crawler with name {crawler.name} has already started")
        return super().delete_crawler()

    def get_crawler_metrics(self) -> ActionResult:
        """GetCrawlerMetrics."""
        wanted = self.parameters.get("CrawlerNameList")
        found = [one for one in self.glue_backend.get_crawlers() if wanted is None or one.name in wanted]
        return ActionResult({"CrawlerMetricsList": [one.metrics() for one in found if isinstance(one, LocalCrawler)]})

    def _crawler(self, name: str) -> LocalCrawler:
        crawler = self.glue_backend.get_crawler(name)
        assert isinstance(crawler, LocalCrawler)
        return crawler


def check(given: dict[str, Any], account: str) -> None:
    """Make sure that a crawler can be what is wanted.

    :raises InvalidInput: it cannot.
    :raises NotImplementedError: localcloud cannot do it.
    """
    role = arn_of(str(given.get("Role") or ""), account)
    if not role_trusts_service(role, SERVICE, account):
        raise InvalidInput(f"Service is unable to assume provided role {role}. Please verify role's TrustPolicy")
    targets = given.get("Targets") or {}
    if others := [name for name, value in targets.items() if value and name != "S3Targets"]:
        raise NotImplementedError(f"localcloud's crawlers crawl S3 only, not {', '.join(others)}")
    if not targets.get("S3Targets"):
        raise InvalidInput("Crawler targets cannot be empty")
    for target in targets["S3Targets"]:
        try:
            split(target.get("Path") or "")
        except QueryError:
            raise InvalidInput(f"The S3 path is not valid: {target.get('Path')!r}") from None
    for name, value in (given.get("SchemaChangePolicy") or {}).items():
        if value not in BEHAVIOURS.get(name, set()):
            raise InvalidInput(f"{name} is {value!r}; give one of {', '.join(sorted(BEHAVIOURS.get(name, ())))}")
    recrawl = (given.get("RecrawlPolicy") or {}).get("RecrawlBehavior")
    if recrawl == "CRAWL_EVENT_MODE":
        raise NotImplementedError("localcloud's crawlers do not follow events")
    policy = {**POLICY, **(given.get("SchemaChangePolicy") or {})}
    if recrawl == "CRAWL_NEW_FOLDERS_ONLY" and set(policy.values()) != {"LOG"}:
        raise InvalidInput("The SchemaChangePolicy for 'Crawl new folders only' crawlers must be LOG")
    try:
        json.loads(given.get("Configuration") or "{}")
    except ValueError:
        raise InvalidInput("Configuration is no JSON") from None


def arn_of(role: str, account: str) -> str:
    """ARN of a role that is told by its name or ARN."""
    return role if role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"


def end(account: str, region: str, parameters: dict[str, Any], status: str) -> None:
    """Let the crawl of the crawler that a call names end so at once, as a fault rule wants."""
    found = glue_backends[account][region].crawlers.get(str(parameters.get("Name")))
    if isinstance(found, LocalCrawler) and found.crawls:
        found.crawls[-1].finish(OUTCOMES[status], BY_RULE)


def resume(backend: GlueBackend) -> None:
    """Begin anew what an earlier server left unfinished."""
    for crawler in backend.crawlers.values():
        if isinstance(crawler, LocalCrawler) and crawler.crawls and crawler.crawls[-1].ended is None:
            CrawlerResponse.pool.submit(crawler.crawl, crawler.crawls[-1])
