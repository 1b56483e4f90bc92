"""Removing what dead runs left: what every kind of leftover has in common, the check before, the record after."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypedDict

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core import environments, reaping
from aurora_ops.core.errors import (
    AuroraOpsError,
    ConfigError,
    MissingError,
    PermanentError,
    StateError,
    WaitFailedError,
    WaitTimeoutError,
    report,
)
from aurora_ops.core.reaping import Leftover, Verdict
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import HookT, RefreshOperator, Result
from aurora_ops.operators.runs import run_conf, run_moment, run_name, run_type, told_by, wrong_parameters

REPORT_KEY, _PROGRESS_KEY = "report", "progress"
_PARAMS: dict[str, tuple[type, ...]] = {"environment": (str,), "dry_run": (bool,), "min_age_h": (int, float)}
_MOST_LOGGED = 200


class Locks(TypedDict):
    """The locks that bar removing anything, in one table of runs."""

    aws_conn_id: str
    region_name: str
    table: str
    keys: list[str]


class ReapOperator(RefreshOperator[HookT]):
    """What the operators that remove leftovers of one kind share.

    A pass finds every leftover and decides on each (``core.reaping.decide``). Where it shall remove, each that has expired is
    looked up and decided on once more, the locks too, and then removed; what takes time is waited for, all at once. What
    cannot be removed does not stop the others: the task fails at its end and names each. The XCom ``report`` tells what the
    last try found and did, however it ended.

    :param policy: ``remove`` or ``report``: what is done where ``report_only`` does not say.
    :param report_only: whether nothing shall be removed; ``None`` leaves it to ``policy`` (templated).
    :param only: environment asked for; a task that serves others only is skipped (templated).
    :param min_age_h: hours; what is younger stays (templated).
    :param environments: environments that this task serves.
    :param locks: where the locks of all targets concerned are.
    """

    # locks are looked at where they are
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"orchestrator": ("dynamodb:GetItem",)}
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "report_only", "only", "min_age_h")

    def __init__(
        self,
        *,
        policy: str,
        environments: list[str],
        locks: list[Locks],
        report_only: bool | None = None,
        only: str | None = None,
        min_age_h: float = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.policy = policy
        self.environments = environments
        self.locks = locks
        self.report_only = report_only
        self.only = only
        self.min_age_h = min_age_h
        self._done: list[str] = []
        self._asked: list[str] = []
        self._failed: dict[str, str] = {}
        self._stays: dict[str, str] = {}
        self._waiting = ""

    @abstractmethod
    def find(self) -> list[Leftover]:
        """List everything of this kind that is ours, expired or not."""

    @abstractmethod
    def look_again(self, item: Leftover) -> Leftover | None:
        """Look a leftover up afresh; ``None`` where it is gone or another has its name."""

    @abstractmethod
    def remove(self, item: Leftover) -> Wait | None:
        """Take one step towards its end; what to wait for, or ``None`` where it is gone at once."""

    @property
    def removes(self) -> bool:
        """Whether this task removes anything."""
        return self.policy == "remove" if self.report_only is None else not self.report_only

    def take_pass(self, context: Context) -> Result:
        """Find, decide, remove; wait; finish when nothing is left to be removed."""
        if self.only and self.only not in self.environments:
            raise AirflowSkipException(f"{self.only} has nothing to do with this account")
        judged = self._judged()
        waits: dict[str, Wait] = {}
        for item, verdict in judged:
            if self.removes and verdict.action == "remove" and item.key not in (*self._done, *self._failed):
                step = self._step(item)
                if step is not None:
                    waits[item.key] = step
        for key, step in waits.items():
            return self._wait(key, step, context)
        return self._finish(judged, context)

    def _judged(self) -> list[tuple[Leftover, Verdict]]:
        items = self.find()
        holders = self._holders() if items else []
        return [(item, self._verdict(item, holders)) for item in items]

    def _verdict(self, item: Leftover, holders: list[str]) -> Verdict:
        return reaping.decide(item, now=datetime.now(UTC), holders=holders, min_age_h=self.min_age_h)

    def _holders(self) -> list[str]:
        """Look up who holds a lock now."""
        items = [
            RunsHook(place["aws_conn_id"], place["region_name"]).find(place["table"], key, "lock")
            for place in self.locks
            for key in place["keys"]
        ]
        return reaping.live_holders(items, datetime.now(UTC))

    def _step(self, item: Leftover) -> Wait | None:
        """Guard once more and take one step; an error is this item's alone."""
        try:
            fresh = self.look_again(item)
            verdict = self._verdict(fresh, self._holders()) if fresh else None
            if fresh is None or verdict is None:
                self._gone(item, "it went meanwhile, or another has its name")
                return None
            if verdict.action != "remove":
                self._stays[item.key] = verdict.reason
                return None
            self.log.info("removing %s: %s", item.key, verdict.reason)
            step = self.remove(fresh)
        except MissingError:
            self._gone(item, "it went meanwhile")
            return None
        except AuroraOpsError as exc:
            self.log.warning("%s cannot be removed: %s", item.key, exc)
            self._failed[item.key] = str(exc)
            return None
        known = self._done if step is None else self._asked
        if item.key not in known:
            known.append(item.key)
        return step

    def _gone(self, item: Leftover, why: str) -> None:
        """Take note of what is not there any more: removed, if this task has asked for it."""
        if item.key in self._asked:
            self._done.append(item.key)
        else:
            self._stays[item.key] = why

    def _wait(self, key: str, step: Wait, context: Context) -> Result:
        self._waiting = key
        progress = {"done": self._done, "asked": self._asked, "failed": self._failed, "waiting": key}
        self._push(context, _PROGRESS_KEY, progress)
        try:
            return self.wait_until(step, context)
        except (WaitFailedError, WaitTimeoutError) as exc:
            self._failed[key] = str(exc)
            return self._next_pass(context)

    def resume(self, context: Context, event: dict[str, Any]) -> Result:
        """Go on after a wait; one that failed is the failure of what it waited for, not of the others."""
        ti = context["ti"]
        earlier = ti.xcom_pull(task_ids=self.task_id, key=_PROGRESS_KEY, map_indexes=ti.map_index) or {}
        self._done = list(earlier.get("done", []))
        self._asked = list(earlier.get("asked", []))
        self._failed = dict(earlier.get("failed", {}))
        if event["status"] != "success":
            self._failed[str(earlier.get("waiting", "?"))] = event["message"]
        return super().resume(context, {**event, "status": "success"})

    def _finish(self, judged: list[tuple[Leftover, Verdict]], context: Context) -> Result:
        """Tell what was found and done; fail if anything could not be removed."""
        present = {item.key for item, _ in judged}
        removed = list(dict.fromkeys([*self._done, *(key for key in self._asked if key not in present)]))
        failed = {key: why for key, why in self._failed.items() if key in present}
        stay = [
            (item, Verdict("keep", self._stays[item.key]) if item.key in self._stays else verdict)
            for item, verdict in judged
            if item.key not in (*self._done, *failed)
        ]
        found = reaping.summary("remove" if self.removes else "report", stay, removed, failed)
        for item, verdict in stay[:_MOST_LOGGED]:
            self.log.info("%-7s %s: %s", verdict.action, item.key, verdict.reason)
        self.log.info("%s", json.dumps(found["counts"]))
        self._push(context, REPORT_KEY, found)
        if failed:
            lines = "\n".join(f"- {key}: {why}" for key, why in sorted(failed.items()))
            raise StateError(f"{len(failed)} could not be removed, the next run tries again:\n{lines}")
        return found


class CheckReapOperator(RefreshOperator[RdsHook]):
    """Check what a run of the reaper was asked for, every environment file, and every account. Changes nothing.

    A wrong file stops the run: the names that must be spared in its accounts are not known.

    :param config_folder: ``include/config``.
    :param places: connection, region and account id of each place that is looked at.
    :return: ``{"report_only", "only", "min_age_h"}``; ``report_only`` is ``None`` where each environment's ``safety.reap`` decides.
    :raises ConfigError: an unknown parameter, a wrong value, a wrong file, or a connection that leads elsewhere.
    """

    hook_class = RdsHook
    permissions: ClassVar[tuple[str, ...]] = ("sts:GetCallerIdentity",)

    def __init__(self, *, config_folder: str, places: list[dict[str, str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config_folder = config_folder
        self.places = places

    def take_pass(self, context: Context) -> Result:
        """Collect what is wrong, say it at once."""
        dag_run = context["dag_run"]
        conf = run_conf(dag_run)
        folder = Path(self.config_folder)
        names = environments.names(folder)
        problems = wrong_parameters(conf, _PARAMS)
        if conf.get("environment", names[0] if names else None) not in names:
            problems.append(ConfigError("environment", conf.get("environment"), f"environments are {names}"))
        for name in names:
            try:
                environments.resolve(environments.read(folder / f"{name}.yaml"))
            except PermanentError as exc:
                problems.append(ConfigError(f"{name}.yaml", str(exc), "mend the file: its accounts cannot be judged"))
        report(problems)
        for place in self.places:
            RdsHook(place["aws_conn_id"], place["region"]).require_account(place["account_id"])
        by_hand = run_type(dag_run) == "manual"
        return {
            "report_only": conf.get("dry_run", True if by_hand else None),
            "only": conf.get("environment"),
            "min_age_h": conf.get("min_age_h", 0),
        }


class RecordReapOperator(RefreshOperator[RunsHook]):
    """Write down what the reaper found and did, one item an account, and announce what a person should know.

    An item (DynamoDB ``PutItem``) has the partition key ``reap#<account>#<region>`` and the sort key ``run#<moment>#<run id>``.
    An announcement (SNS ``Publish``) is made if anything was removed, could not be removed, has expired and was only reported, or
    must be looked at. A dry run asked for by a person writes and announces nothing.

    :param table: table of runs.
    :param topic_arn: topic to announce to; ``None`` announces nothing.
    :param keep_days: days until an item expires.
    :param tasks: partition key to the task ids whose reports belong to it.
    :param report_only: whether a dry run was asked for (templated).
    :return: ``{"recorded", "announced"}``.
    """

    hook_class = RunsHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:PutItem", "sns:Publish")
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "report_only")
    about: ClassVar[str] = "reaper"
    words: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        *,
        table: str,
        topic_arn: str | None,
        keep_days: int,
        tasks: dict[str, list[str]],
        report_only: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.topic_arn = topic_arn
        self.keep_days = keep_days
        self.tasks = tasks
        self.report_only = report_only

    def take_pass(self, context: Context) -> Result:
        """Collect, write, announce."""
        dag_run, now = context["dag_run"], datetime.now(UTC)
        told = {pk: self._reports(context, task_ids) for pk, task_ids in self.tasks.items()}
        told = {pk: reports for pk, reports in told.items() if reports}
        if self.report_only or not told:
            return {"recorded": 0, "announced": False}
        moment = run_moment(dag_run)
        for pk, reports in told.items():
            item = {
                "pk": pk,
                "sk": f"run#{moment.isoformat()}#{dag_run.run_id}",
                "run": run_name(dag_run),
                "ended_at": now.isoformat(),
                "reports": reports,
                "expires_at": int((now + timedelta(days=self.keep_days)).timestamp()),
            }
            self.hook.put(self.table, item)
        counts = {
            key: sum(one["counts"][key] for reports in told.values() for one in reports.values())
            for key in ("removed", "failed", "expired", "to_look_at")
        }
        announced = bool(self.topic_arn and any(counts.values()))
        if announced:
            subject = f"{self.about}: " + ", ".join(
                f"{count} {self.words.get(key, key.replace('_', ' '))}" for key, count in counts.items() if count
            )
            message = json.dumps(told, indent=2)
            TopicsHook(self.aws_conn_id, self.region_name).publish(str(self.topic_arn), subject, message)
        return {"recorded": len(told), "announced": announced}

    def _reports(self, context: Context, task_ids: list[str]) -> dict[str, Any]:
        """Collect what the tasks tell; a mapped one tells several times."""
        found: dict[str, Any] = {}
        for task_id in task_ids:
            several = told_by(context, task_id, REPORT_KEY)
            found |= {task_id if len(several) == 1 else f"{task_id} {n}": one for n, one in enumerate(several, 1)}
        return found
