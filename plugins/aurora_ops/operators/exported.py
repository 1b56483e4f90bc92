"""What the operators share that look at an export which has ended: whose it is, where, and what is there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from airflow.sdk import Context

from aurora_ops.core.errors import AuroraOpsError, VerificationError
from aurora_ops.core.exports import contents, manifest
from aurora_ops.core.exports.catalogue import Snapshot
from aurora_ops.core.exports.contents import Contents, Exported
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from aurora_ops.hooks.exported_objects import ExportedObjectsHook
from aurora_ops.operators.base import HookT, RefreshOperator, Result

THREADS = 10
"""Calls at a time: as many connections as a client of boto3 keeps."""

BY_DATABASE = "chosen by the export's database"
"""Connection of a task that finds out itself which it is."""

_AT_ONCE = 1000

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Whole:
    """What is there of an export, and what its manifest says.

    :param tables: tables of the manifest with their objects.
    :param contents: everything below its path.
    """

    tables: list[Exported]
    contents: Contents


class OneExportOperator(RefreshOperator[HookT]):
    """Look at one export, which the task before has made.

    The account and region to act in follow from the export's database, so a task mapped over exports of several databases acts in
    each one's own.

    :param settings: ``core.settings_exports.Exports`` as a dictionary.
    :param accounts: ``source`` and ``target`` to ``aws_conn_id`` and ``region`` of each.
    :param exported: result of ``export_snapshot``: ``database``, ``snapshot_arn``, ``snapshot_time``, ``date``, ``task_id``,
        ``bucket``, ``path``, ``skipped``, ``ended_at`` (templated).
    """

    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "exported")

    def __init__(
        self, *, settings: dict[str, Any], accounts: dict[str, dict[str, str]], exported: Any, **kwargs: Any
    ) -> None:
        kwargs.setdefault("aws_conn_id", BY_DATABASE)
        super().__init__(**kwargs)
        self.settings = settings
        self.accounts = accounts
        self.exported = exported

    def take_pass(self, context: Context) -> Result:
        """Find out whose export it is, then look at it."""
        about = Exports.model_validate(self.settings).database(self.exported["database"])
        self.aws_conn_id, self.region_name = place_of(about, self.accounts)
        _ = self.hook.conn  # made before threads use it
        return self.look(about, context)

    @abstractmethod
    def look(self, about: ExportedDatabase, context: Context) -> Result:
        """Do what the operator is for.

        :param about: settings of the export.
        :param context: Airflow's context.
        """


def place_of(about: ExportedDatabase, accounts: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    """Say by which connection and in which region an export's bucket, tables and work group are."""
    place = accounts[about.account]
    copied_to = about.copy_first.region if about.copy_first else None
    return place["aws_conn_id"], copied_to or place["region"]


def snapshot_of(exported: Mapping[str, Any]) -> Snapshot:
    """Say what the catalogue needs to know of an export."""
    return Snapshot(
        export=exported["database"],
        arn=exported["snapshot_arn"],
        time=_moment(exported["snapshot_time"]),
        date=exported["date"],
        task_id=exported["task_id"],
        exported_at=_moment(exported["ended_at"]),
        bucket=exported["bucket"],
        path=exported["path"],
    )


def read_whole(hook: ExportedObjectsHook, exported: Mapping[str, Any]) -> Whole:
    """List an export's objects, and read its manifest.

    :raises VerificationError: there are none, or the manifest is not whole.
    """
    bucket, path = exported["bucket"], exported["path"]
    found = hook.contents(bucket, path)
    files = {name: stored.content for name in found.manifests if (stored := hook.find(bucket, f"{path}{name}"))}
    try:
        statuses = manifest.read(exported["task_id"], files)
    except VerificationError as exc:
        raise VerificationError(f"manifest of s3://{bucket}/{path}: {exc}") from None
    return Whole(contents.assign(statuses, found), found)


def each(
    call: Callable[[Given], Made], given: Iterable[Given], threads: int = THREADS
) -> Iterator[tuple[Given, Made | AuroraOpsError]]:
    """Call a function in threads; what it raises of our errors is given back in place of its result.

    In memory are the results of a thousand calls at most.

    :param call: the function.
    :param given: what it is called with, each by itself.
    :param threads: how many calls at a time.
    """

    def attempt(one: Given) -> Made | AuroraOpsError:
        try:
            return call(one)
        except AuroraOpsError as exc:
            return exc

    left = iter(given)
    with ThreadPoolExecutor(threads) as pool:
        while some := list(islice(left, _AT_ONCE)):
            yield from zip(some, pool.map(attempt, some), strict=True)


def bounded(texts: Sequence[str], most: int) -> list[str]:
    """Give the first of some texts, and how many more there are."""
    return list(texts) if len(texts) <= most else [*texts[:most], f"and {len(texts) - most} more"]


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
