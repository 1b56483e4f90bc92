"""Deciding what is exported because of events of snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from airflow.sdk import Asset, Context

from aurora_ops.core import environments
from aurora_ops.core.errors import AuroraOpsError, ConfigError
from aurora_ops.core.exports import events, names, snapshots
from aurora_ops.core.exports.decisions import Decision, Told, item
from aurora_ops.core.exports.events import Event, Unreadable
from aurora_ops.core.exports.position import Position
from aurora_ops.core.exports.snapshots import Snapshot
from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from aurora_ops.hooks.export_decisions import ExportDecisionsHook
from aurora_ops.hooks.exports import ExportsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.runs import run_conf

POSITION_KEY = "position"
DECIDED_KEY = "decided"
MOST_DECISIONS = 200
"""Decisions after which a run takes no further message. A message of the greatest length names fewer snapshots than 800, so that a
run's exports always can be mapped over (``[core] max_map_length`` is 1024)."""

GIVE_UP_AFTER = timedelta(hours=24)
_LOOKS: tuple[str, ...] = ("rds:DescribeDBClusterSnapshots", "rds:DescribeDBSnapshots")
_IN_THE_MAKING = frozenset({"creating", "copying", "modifying", "backing-up"})


class DecideExportsOperator(RefreshOperator[ExportDecisionsHook]):
    """Decide for each new event of snapshots whether one is to be exported, and write each decision down.

    New are the events of the asset that no earlier run has handled (``core.exports.position``), whichever of them this run was
    started by: some start none. Nobody but ``max_active_runs=1`` keeps two runs from handling the same ones, which would change
    nothing: an event is decided once.

    An event is one thing that RDS said: its number, the snapshot and the moment. The same said in two messages is one event, whose
    item in ``exports.state_table`` (``events#<day>``, for 90 days) names both; a message that is delivered twice leaves no trace at
    all. Two events of one snapshot (a copy that was created, 0042, and that has finished, 0197) are two decisions and one export,
    since the run's id is made of the snapshot.

    A snapshot is exported if it is of a database of the settings, of a kind that is exported, available, and the first of its day,
    week or month where the settings say so. One that is still made, or that RDS cannot be asked for now, is left to the next run,
    for a day at most; the others are decided all the same.

    :param path: environment file.
    :param asset: asset whose events are read; it must be among the task's inlets.
    :return: arguments of the runs to start, a list: only a whole result can be mapped over, and another task that gives it is a
        second between the event and the run. The XCom ``decided`` has ``{"decisions", "left", "failed", "position"}``: what was
        decided, events that are left for later with the reason, how many of them because of an error, and the position to keep
        once the runs are there.
    :raises PermanentError: the file is wrong, the run was given parameters, or the table is not there.
    """

    hook_class = ExportDecisionsHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:UpdateItem",)
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": _LOOKS, "target": _LOOKS}

    def __init__(self, *, path: str, asset: Asset, **kwargs: Any) -> None:
        super().__init__(**kwargs, inlets=[asset], multiple_outputs=False)
        self.path = path
        self.asset = asset

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Decide; give the runs to start, and leave the rest beside them."""
        decided: Result = super().execute(context)
        exports: list[dict[str, Any]] = decided.pop("export")
        self._push(context, DECIDED_KEY, decided)
        return exports

    def take_pass(self, context: Context) -> Result:
        """Read what is new, decide, write down."""
        settings, about = self._settings(run_conf(context["dag_run"]))
        position = Position.read(context["asset_state_store"][self.asset].get(POSITION_KEY))
        heard = self._heard(context, position)
        judge = _Judge(settings, about, datetime.now(UTC))
        done = [(one.number, one.at) for one in heard if one.number in position.handled]
        new = [one for one in heard if one.number not in position.handled]
        left: list[_Heard] = []
        decisions: list[Decision] = []
        for number, one in enumerate(new):
            if len(decisions) >= MOST_DECISIONS:
                left += new[number:]
                self.log.info("%d messages are left to the next run", len(new) - number)
                break
            decided = [judge.decide(told) for told in one.told]
            made = [decision for decision in decided if decision is not None]
            self._write_down(about, made)
            decisions += made
            if len(made) < len(decided):
                left.append(one)
            else:
                done.append((one.number, one.at))
        return {
            "export": _runs(decisions),
            "decisions": [decision.as_json() for decision in decisions],
            "left": judge.left,
            "failed": judge.failed,
            "position": position.moved(done, [(one.number, one.at) for one in left]).as_json(),
        }

    def _settings(self, conf: Mapping[str, Any]) -> tuple[Environment, Exports]:
        if conf:
            raise ConfigError("conf", sorted(conf), "this DAG takes no parameters: trigger snapshot_export")
        settings: Environment = environments.resolve(environments.read(Path(self.path))).settings
        if settings.exports is None or settings.exports.events is None:
            raise ConfigError("exports.events", None, "the file has no such section any more; switch the DAG off")
        return settings, settings.exports

    def _heard(self, context: Context, position: Position) -> list[_Heard]:
        """Read the asset's events from the position on; enough for what this run may handle, however many are handled already."""
        asked = len(position.handled) + position.left + MOST_DECISIONS + 1
        found = context["inlet_events"][self.asset].after(position.after.isoformat()).ascending().limit(asked)
        return [_Heard.read(one) for one in found]

    def _write_down(self, about: Exports, decisions: Sequence[Decision]) -> None:
        now = datetime.now(UTC)
        for one in decisions:
            new = self.hook.keep(about.state_table, one.told.key, item(one, now), one.told.message_id)
            self.log.info(
                "%s of %s: %s: %s%s",
                one.event_id or "message",
                one.source_arn[:300] or one.told.message_id,
                one.outcome,
                one.why,
                "" if new else " (told before)",
            )


@dataclass(frozen=True)
class _Heard:
    """An event of the asset: a message.

    :param number: of the asset's event.
    :param at: when it was stored.
    :param told: events of RDS in it.
    """

    number: int
    at: datetime
    told: list[Told]

    @classmethod
    def read(cls, event: Any) -> _Heard:
        """Read what the trigger stored; an event that somebody else made of the asset is told as what it is."""
        payload = (event.extra or {}).get("payload")
        if not isinstance(payload, Mapping) or "body" not in payload:
            why = Unreadable("it was not received from a queue")
            return cls(event.id, event.timestamp, [Told(why, f"asset-event-{event.id}", 0, event.timestamp)])
        sent = datetime.fromtimestamp(int(payload["sent_at_ms"]) / 1000, UTC)
        return cls(
            event.id,
            event.timestamp,
            [
                Told(one, str(payload["message_id"]), number, sent)
                for number, one in enumerate(events.read(str(payload["body"])))
            ],
        )


@dataclass
class _Judge:
    """Decides; asks RDS for each snapshot and each database at most once.

    :param settings: of the environment.
    :param about: their section of exports.
    :param now: present moment.
    """

    settings: Environment
    about: Exports
    now: datetime
    left: list[dict[str, Any]] = field(default_factory=list)
    failed: int = 0
    _known: dict[str, Snapshot | None] = field(default_factory=dict)
    _of_database: dict[str, list[Snapshot]] = field(default_factory=dict)
    _hooks: dict[str, ExportsHook] = field(default_factory=dict)

    def decide(self, told: Told) -> Decision | None:
        """Decide what becomes of an event; ``None``: that is to be seen later."""
        event = told.event
        why = events.refusal(event, frozenset(self._places()))
        if why is not None or isinstance(event, Unreadable):
            return Decision(told, "skip", str(why))
        patient = self.now - told.sent < GIVE_UP_AFTER
        try:
            snapshot = self._snapshot(event.source_arn)
            if snapshot is not None and snapshot.status in _IN_THE_MAKING and patient:
                self._leave(event, f"it is {snapshot.status}")
                return None
            return self._judged(told, event, snapshot)
        except AuroraOpsError as exc:
            if not patient:
                return Decision(told, "skip", f"RDS could not be asked for a day: {str(exc)[:500]}")
            self.failed += 1
            self._leave(event, str(exc)[:500])
            return None

    def _judged(self, told: Told, event: Event, snapshot: Snapshot | None) -> Decision:
        if snapshot is None:
            return Decision(told, "skip", "the snapshot is not there any more")
        database = self._database(snapshot)
        if database is None:
            return Decision(told, "skip", f"{snapshot.database_id} is not among exports.databases")
        if snapshot.kind not in database.snapshots:
            kinds = " and ".join(database.snapshots)
            return Decision(
                told, "skip", f"it is {snapshot.kind or 'shared'}: {kinds} ones are exported", database.name
            )
        if snapshot.status != "available":
            return Decision(told, "skip", f"its status is {snapshot.status}", database.name)
        zone = ZoneInfo(self.settings.timezone)
        due = snapshots.due(self._all_of(database, snapshot), database.snapshots, database.frequency, zone)
        if snapshot.arn not in {one.arn for one in due}:
            return Decision(told, "skip", f"another one is exported: frequency is {database.frequency}", database.name)
        return Decision(told, "export", events.CREATED[event.event_id], database.name)

    def _leave(self, event: Event, why: str) -> None:
        self.left.append({"event_id": event.event_id, "source_arn": event.source_arn, "why": why})

    def _places(self) -> dict[tuple[str, str], str]:
        """Account and region to the section of the settings that leads there."""
        found = {one.account: getattr(self.settings, one.account) for one in self.about.databases}
        return {(place.account_id, place.region): name for name, place in found.items()}

    def _hook(self, arn: str) -> ExportsHook:
        _, _, _, region, account, *_ = arn.split(":", 6)
        section = self._places()[account, region]
        if section not in self._hooks:
            hook = ExportsHook(getattr(self.settings, section).aws_conn_id, region)
            hook.require_account(account)
            self._hooks[section] = hook
        return self._hooks[section]

    def _snapshot(self, arn: str) -> Snapshot | None:
        if arn not in self._known:
            self._known[arn] = self._hook(arn).find_snapshot(arn)
        return self._known[arn]

    def _database(self, snapshot: Snapshot) -> ExportedDatabase | None:
        _, _, _, region, account, *_ = snapshot.arn.split(":", 6)
        of_cluster = names.is_of_a_cluster(snapshot.arn)
        for one in self.about.databases:
            place = getattr(self.settings, one.account)
            if (place.account_id, place.region, one.cluster if of_cluster else one.instance) == (
                account,
                region,
                snapshot.database_id,
            ):
                return one
        return None

    def _all_of(self, database: ExportedDatabase, one: Snapshot) -> list[Snapshot]:
        """List all snapshots of a database; those of a burst are then known without asking for each."""
        if database.name not in self._of_database:
            found = self._hook(one.arn).list_snapshots(cluster=database.cluster, instance=database.instance)
            self._of_database[database.name] = found
            self._known.update({snapshot.arn: snapshot for snapshot in found})
        listed = self._of_database[database.name]
        return listed if any(other.arn == one.arn for other in listed) else [*listed, one]


def _runs(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """Make what the tasks that start runs are given: one for each snapshot."""
    wanted = {one.source_arn: one.database for one in decisions if one.outcome == "export"}
    return [
        {"trigger_run_id": names.run(arn), "conf": {"database": database, "snapshot_arn": arn}}
        for arn, database in wanted.items()
    ]
