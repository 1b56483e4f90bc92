"""The run itself: who it is, and the lock of its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.operators.base import RefreshOperator, Result


def run_name(dag_run: Any) -> str:
    """Name a run: ``<dag id>/<run id>``."""
    return f"{dag_run.dag_id}/{dag_run.run_id}"


def run_moment(dag_run: Any) -> datetime:
    """Tell which moment a run is for: its logical date, or, where it has none, when it was to run."""
    moment: datetime = dag_run.logical_date or dag_run.run_after
    return moment


def run_type(dag_run: Any) -> str:
    """Name the kind of run; Airflow's enumerations differ in what ``str`` makes of them."""
    return str(getattr(dag_run.run_type, "value", dag_run.run_type))


def run_by(dag_run: Any) -> str:
    """Name who asked for a run: the user, or, where it was nobody, its kind."""
    return str(getattr(dag_run, "triggering_user_name", None) or run_type(dag_run))


def run_conf(dag_run: Any) -> dict[str, Any]:
    """Give what a run was triggered with, without fields of the form that were left empty."""
    return {key: value for key, value in dict(dag_run.conf or {}).items() if value is not None}


def wrong_parameters(conf: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> list[PermanentError]:
    """Find what a run was given that is no parameter of it, or of another type.

    :param conf: from ``run_conf``.
    :param kinds: name of each parameter to its types; the last is the one to ask for.
    """
    problems: list[PermanentError] = []
    for key, value in conf.items():
        if key not in kinds:
            problems.append(ConfigError(key, value, f"known run parameters are {sorted(kinds)}"))
        elif type(value) not in kinds[key]:
            kind = kinds[key][-1]
            problems.append(ConfigError(key, value, f"write a {kind.__name__}" + ", true or false" * (kind is bool)))
    return problems


def told_by(context: Context, task_id: str, key: str = "return_value") -> list[dict[str, Any]]:
    """Read what a task has left under a key, as far as there is anything; a mapped one leaves several."""
    found = context["ti"].xcom_pull(task_ids=task_id, key=key) or []
    return [found] if isinstance(found, dict) else [one for one in found if one]


class RunOperator(RefreshOperator[RunsHook]):
    """What the operators of a run share.

    :param table: table of runs (templated).
    :param target_key: the target, ``refresh#<account>#<cluster>`` (templated).
    """

    hook_class = RunsHook
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "table", "target_key")

    def __init__(self, *, table: str, target_key: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.target_key = target_key

    @staticmethod
    def holder(context: Context) -> str:
        """Name the run, as lock and record do."""
        return run_name(context["dag_run"])


class TakeLockOperator(RunOperator):
    """Take the lock of a target, so that one refresh of it runs at a time.

    A conditional ``PutItem`` with a lease: a run that died does not lock its target for ever, and the same run finds its own lock.

    :param lease_h: hours after which the lock is void.
    :return: ``{"target_key", "holder"}``.
    :raises BusyError: another run has it, which is waited for by retrying, then given up; nothing was changed.
    """

    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:PutItem", "dynamodb:GetItem")

    def __init__(self, *, lease_h: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lease_h = lease_h

    def take_pass(self, context: Context) -> Result:
        """Take it or refuse."""
        if not self.target_key:
            raise PermanentError("there is no target to lock; the check before the run has not named one")
        now = datetime.now(UTC).timestamp()
        holder = self.holder(context)
        self.hook.take_lock(self.table, self.target_key, holder=holder, now=now, expires_at=now + self.lease_h * 3600)
        return {"target_key": self.target_key, "holder": holder}


class ReleaseLockOperator(RunOperator):
    """Give the lock of a target back; the lock of another run is left alone.

    :return: ``{"released": bool}``.
    """

    is_step = False  # it comes after the end
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:DeleteItem",)

    def take_pass(self, context: Context) -> Result:
        """Release what is this run's."""
        released = bool(self.target_key) and self.hook.release_lock(
            self.table, str(self.target_key), self.holder(context)
        )
        return {"released": released}
