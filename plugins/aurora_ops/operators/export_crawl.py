"""Making an export's tables known to Athena by a Glue crawler, where the settings choose one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, NoReturn

from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import BaseTrigger

from aurora_ops.core.errors import BusyError, StateError, WaitFailedError, WaitTimeoutError
from aurora_ops.core.exports import names
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.base import aws_errors
from aurora_ops.operators.exported import BY_DATABASE, place_of, snapshot_of
from aurora_ops.triggers.wait import WaitTrigger

CRAWLS: tuple[str, ...] = ("glue:GetCrawler", "glue:UpdateCrawler", "glue:StartCrawler")
EXCLUSIONS = ["**.json", "**/_SUCCESS"]

_READY, _SUCCEEDED = "READY", "SUCCEEDED"
_WITHIN_S = 4 * 3600
_EVERY_S = 30
_GRACE_S = 600


class CrawlExportOperator(GlueCrawlerRunOperator):
    """Let the setup's crawler make the tables of one export, and prove that it did.

    The AWS operations are ``GetCrawler``, ``UpdateCrawler`` and ``StartCrawler``. The crawler is pointed at the export's folder,
    without the JSON files and ``_SUCCESS``, of which it would make tables too; the tables' names begin with the snapshot's date, so
    no export's tables are another's, and none is dropped when objects expire. It is the same one for all exports of a database,
    so it is pointed and started only when it is READY; if not, this is tried again.

    Traps of the provider's operators that this one mends: ``GlueCrawlerOperator`` points a crawler elsewhere whatever it is doing
    and is deprecated; a crawler that is READY again has not necessarily crawled this: here the last crawl must have succeeded, have
    begun after the export's end, and the crawler must still point there; deferred, the wait is bounded and needs no aiobotocore.

    Skips itself where the settings do not have a crawler do this.

    :param settings: ``core.settings_exports.Exports`` as a dictionary.
    :param accounts: ``source`` and ``target`` to ``aws_conn_id`` and ``region`` of each.
    :param exported: result of ``export_snapshot`` (templated).
    :return: ``{"database", "crawler", "prefix"}``: the tables' names begin with ``prefix``.
    :raises BusyError: the crawler is at something else, or was pointed elsewhere meanwhile.
    :raises StateError: the crawl did not succeed.
    """

    permissions: ClassVar[tuple[str, ...]] = CRAWLS
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": CRAWLS, "target": CRAWLS}
    template_fields: Sequence[str] = (*GlueCrawlerRunOperator.template_fields, "exported")

    def __init__(
        self, *, settings: dict[str, Any], accounts: dict[str, dict[str, str]], exported: Any, **kwargs: Any
    ) -> None:
        given = {"aws_conn_id": BY_DATABASE, "crawler_name": "", "deferrable": True, "multiple_outputs": True, **kwargs}
        super().__init__(**given)
        self.settings = settings
        self.accounts = accounts
        self.exported = exported

    def execute(self, context: Context) -> Any:
        """Look whether it has been crawled; if not, point the crawler there, start it, wait."""
        about = self._go_there()
        if about.catalogue.by != "crawler":
            raise AirflowSkipException(f"catalogue.by of {about.name} is {about.catalogue.by}")
        wanted = self._wanted(about)
        with aws_errors(f"glue:get_crawler {self.crawler_name}"):
            found = self.hook.get_crawler(self.crawler_name)
        if self._is_done(found, wanted):
            return self._told(about)
        if found["State"] != _READY:
            raise BusyError(f"glue: crawler {self.crawler_name} is {found['State']} (retried until it is free)")
        with aws_errors(f"glue:update_crawler {self.crawler_name}"):
            self.hook.update_crawler(**wanted)
        with aws_errors(f"glue:start_crawler {self.crawler_name}"):
            super().execute(context)
        return self._proven(about)

    def defer(
        self,
        *,
        trigger: BaseTrigger,
        method_name: str,
        kwargs: dict[str, Any] | None = None,
        timeout: timedelta | float | None = None,
    ) -> NoReturn:
        """Wait as everything here does, instead of as the provider does."""
        until = Wait(
            waiter="crawler_ended",
            args={"Name": self.crawler_name},
            show="Crawler.[State, LastCrawl.Status]",
            within_s=_WITHIN_S,
            every_s=_EVERY_S,
            lags=True,
        )
        super().defer(
            trigger=WaitTrigger(
                service="glue", until=until.as_json(), aws_conn_id=str(self.aws_conn_id), region_name=self.region_name
            ),
            method_name="resume",
            kwargs=None,
            timeout=timedelta(seconds=_WITHIN_S + _GRACE_S),
        )

    def resume(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on after the wait.

        :param context: Airflow's context.
        :param event: what the trigger saw.
        """
        about = self._go_there()
        if event["status"] == "timeout":
            raise WaitTimeoutError(event["message"])
        if event["status"] != "success":
            raise WaitFailedError(event["message"])
        return self._proven(about)

    def _proven(self, about: ExportedDatabase) -> dict[str, Any]:
        """Look what the crawler has really done."""
        with aws_errors(f"glue:get_crawler {self.crawler_name}"):
            found = self.hook.get_crawler(self.crawler_name)
        wanted = self._wanted(about)
        if self._is_done(found, wanted):
            return self._told(about)
        last = found.get("LastCrawl", {})
        if not self._points_there(found, wanted) or found["State"] != _READY:
            raise BusyError(f"glue: crawler {self.crawler_name} is at something else meanwhile (retried)")
        raise StateError(
            f"glue: the crawl of {wanted['Targets']['S3Targets'][0]['Path']} by {self.crawler_name} has not succeeded: "
            f"{last.get('Status', 'there was none')} {last.get('ErrorMessage', '')}; look at its log group "
            f"{last.get('LogGroup', '/aws-glue/crawlers')}"
        )

    def _is_done(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
        last = found.get("LastCrawl", {})
        begun: datetime | None = last.get("StartTime")
        return (
            self._points_there(found, wanted)
            and found["State"] == _READY
            and last.get("Status") == _SUCCEEDED
            and begun is not None
            and begun >= snapshot_of(self.exported).exported_at
        )

    @staticmethod
    def _points_there(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
        targets = found.get("Targets", {}).get("S3Targets", [])
        return [one.get("Path") for one in targets] == [one["Path"] for one in wanted["Targets"]["S3Targets"]]

    def _wanted(self, about: ExportedDatabase) -> dict[str, Any]:
        """Describe the crawler for this export; its role is that of the setup."""
        path = f"s3://{self.exported['bucket']}/{self.exported['path']}"
        return {
            "Name": self.crawler_name,
            "DatabaseName": about.glue_database,
            "TablePrefix": self._prefix(),
            "Targets": {"S3Targets": [{"Path": path, "Exclusions": list(EXCLUSIONS)}]},
            "SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG"},
            "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
        }

    def _prefix(self) -> str:
        return names.glue_name(f"s{self.exported['date']}_")

    def _told(self, about: ExportedDatabase) -> dict[str, Any]:
        return {"database": about.glue_database, "crawler": self.crawler_name, "prefix": self._prefix()}

    def _go_there(self) -> ExportedDatabase:
        """Find out whose export it is."""
        about = Exports.model_validate(self.settings).database(self.exported["database"])
        self.aws_conn_id, self.region_name = place_of(about, self.accounts)
        self.crawler_name = names.crawler(about.name)
        return about
