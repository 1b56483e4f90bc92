"""Which stacks an environment's exports need, and what would be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import environments
from aurora_ops.core.announcement import LONGEST_NOTE, NOTE_KEY, SETUP_MARK
from aurora_ops.core.errors import ConfigError, report
from aurora_ops.core.exports import setup
from aurora_ops.core.exports.setup import WantedStack
from aurora_ops.core.settings import Environment, Source, Target
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.stacks import Stack, StacksHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.export_plan import export_region, place_of
from aurora_ops.operators.runs import run_conf, wrong_parameters
from aurora_ops.operators.stacks import LOOKS, refuse_others

_PARAMS: dict[str, tuple[type, ...]] = {"database": (str,), "dry_run": (bool,)}
_LOOKS: tuple[str, ...] = (*LOOKS, "cloudformation:GetTemplate", "kms:DescribeKey")


@dataclass(frozen=True)
class _Found:
    """A stack that is wanted, and what it is now."""

    wanted: WantedStack
    place: Source | Target
    change: str
    differing: dict[str, tuple[str | None, str]]


class PlanExportSetupOperator(RefreshOperator[StacksHook]):
    """Decide which stacks exports need, look what they are now, and say what will be changed. Changes nothing.

    One stack of events in each account and region; one for each database, without what the settings name themselves: bucket, role,
    key, work group. Stacks are looked at with ``DescribeStacks`` and ``GetTemplate``, a key that the settings name with
    ``DescribeKey``. Where Athena loses sight of data that the catalogue lists, and whatever else a person should know, is warned
    of in the log, in the result, and in the note of the run.

    :param path: environment file.
    :param templates: folder of the templates.
    :return: ``{"events", "databases", "stacks", "warnings", "dry_run"}``: what the tasks that make stacks are given, none in a dry
        run; each stack as ``{"stack", "database", "region", "change", "parameters", "differing"}``; warnings.
    :raises PermanentError: an unknown parameter, a wrong file, a key that is not there, a stack that is somebody else's, or a
        connection that leads elsewhere.
    """

    hook_class = StacksHook
    set_up: ClassVar[bool] = True
    permissions: ClassVar[tuple[str, ...]] = ("sts:GetCallerIdentity",)
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": _LOOKS, "target": _LOOKS}

    def __init__(self, *, path: str, templates: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.templates = templates

    def take_pass(self, context: Context) -> Result:
        """Check what was asked for, decide, look, tell."""
        conf = run_conf(context["dag_run"])
        settings, about = self._settings(conf)
        chosen = [one for one in about.databases if conf.get("database") in (None, one.name)]
        for account in sorted({one.account for one in chosen}):
            place: Source | Target = getattr(settings, account)
            StacksHook(place.aws_conn_id, place.region).require_account(place.account_id)
        events = [self._look(settings, one) for one in setup.of_events(settings, about, chosen)]
        databases = [self._look(settings, self._wanted(settings, one)) for one in chosen]
        warnings = [f"{one.name}: {text}" for one in chosen for text in setup.warnings_of(one)]
        if about.events and about.events.queue:
            warnings.append(
                f"queue {about.events.queue}, its topic and subscriptions are named in the settings, and not made"
            )
        for warning in warnings:
            self.log.warning("%s", warning)
        dry_run = bool(conf.get("dry_run", False))
        found = [*events, *databases]
        self._push(context, NOTE_KEY, _note(settings, found, warnings, dry_run=dry_run))
        return {
            "events": [] if dry_run else [_given(one) for one in events],
            "databases": [] if dry_run else [_given(one) for one in databases],
            "stacks": [self._told(one) for one in found],
            "warnings": warnings,
            "dry_run": dry_run,
        }

    def _settings(self, conf: Mapping[str, Any]) -> tuple[Environment, Exports]:
        problems = wrong_parameters(conf, _PARAMS)
        settings = environments.resolve(environments.read(Path(self.path))).settings
        if settings.exports is None:
            raise ConfigError("exports", None, "the environment's file must have this section")
        known = [one.name for one in settings.exports.databases]
        if isinstance(conf.get("database"), str) and conf["database"] not in known:
            problems.append(ConfigError("database", conf["database"], f"databases that are exported are {known}"))
        report(problems)
        return settings, settings.exports

    def _wanted(self, settings: Environment, database: ExportedDatabase) -> WantedStack:
        place = place_of(settings, database)
        region, key_arn = export_region(database, place), None
        if database.kms_key_id:
            key = KmsHook(place.aws_conn_id, region).find_key(database.kms_key_id)
            if key is None:
                raise ConfigError(
                    "exports.databases.kms_key_id",
                    database.kms_key_id,
                    f"there is no such key in {region}; make it, or leave it out, and one is made",
                )
            key_arn = str(key["Arn"])
        return setup.of_database(database, place.account_id, region, key_arn)

    def _look(self, settings: Environment, wanted: WantedStack) -> _Found:
        place: Source | Target = getattr(settings, wanted.account)
        hook = StacksHook(place.aws_conn_id, wanted.region)
        stack = hook.find_stack(wanted.name)
        if stack is None:
            return _Found(wanted, place, "make", {name: (None, value) for name, value in wanted.parameters.items()})
        refuse_others(stack, settings.environment)
        differing = stack.differing(wanted.parameters)
        return _Found(wanted, place, self._change(hook, stack, wanted, bool(differing)), differing)

    def _change(self, hook: StacksHook, stack: Stack, wanted: WantedStack, differs: bool) -> str:
        if stack.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_IN_PROGRESS"):
            return "make anew"
        if stack.status.endswith("_IN_PROGRESS"):
            return "wait, then look again"
        template = (Path(self.templates) / wanted.template).read_text(encoding="utf-8")
        there = hook.template(stack.name)
        if there is not None and there.strip() != template.strip():
            return "change, by a new template"
        return "change" if differs else "none"

    def _told(self, one: _Found) -> dict[str, Any]:
        self.log.info("%s in %s: %s: %s", one.wanted.name, one.wanted.region, one.change, one.wanted.parameters)
        for name, (before, after) in one.differing.items():
            self.log.info("%s: %s: %r -> %r", one.wanted.name, name, before, after)
        return {
            "stack": one.wanted.name,
            "database": one.wanted.database,
            "region": one.wanted.region,
            "change": one.change,
            "parameters": one.wanted.parameters,
            "differing": {name: list(values) for name, values in one.differing.items()},
        }


def _given(one: _Found) -> dict[str, Any]:
    """Say what the task is given that makes a stack."""
    return {
        "aws_conn_id": one.place.aws_conn_id,
        "region_name": one.wanted.region,
        "account_id": one.place.account_id,
        "stack_name": one.wanted.name,
        "parameters": one.wanted.parameters,
    }


def _note(settings: Environment, found: list[_Found], warnings: list[str], *, dry_run: bool) -> str:
    """Write the note of the run; warnings before all else, since it may be cut."""
    head = f"{SETUP_MARK}{settings.environment}**{': nothing was changed' if dry_run else ''}"
    lines = [*(f"- warning: {one}" for one in warnings), *(f"- {one.wanted.name}: {one.change}" for one in found)]
    return "\n".join([head, "", *lines])[:LONGEST_NOTE]
