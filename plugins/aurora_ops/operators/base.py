"""What every operator here shares: the account it acts in, how it waits, and what it tells of itself."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, cast

from airflow.sdk import BaseOperator, Context
from airflow.sdk.definitions.param import ParamsDict
from structlog.contextvars import bound_contextvars

from aurora_ops.core import errors
from aurora_ops.core.timing import Timing
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.base import AwsHook, Look
from aurora_ops.operators.following import followed
from aurora_ops.triggers.wait import WaitTrigger

HookT = TypeVar("HookT", bound=AwsHook)
Result = dict[str, Any]

TIMING_KEY, ERROR_KEY = "timing", "error"
ENVIRONMENT_MACRO = "environment"
_MOST_PASSES = 40
_GRACE_S = 600


class RefreshOperator(BaseOperator, Generic[HookT]):
    """Bring one resource to a goal, in passes.

    A pass (``take_pass``) looks at the resource. Goal reached: it returns the result. Otherwise it makes the one call that
    leads towards the goal and returns ``wait_until(...)``, after which the next pass looks again. Nothing is remembered
    between passes, so a retry, a cleared task and a killed worker all do the same thing.

    Beside its result a task leaves the XCom ``timing`` (spans of SQL, calls and waits) and, when it fails, ``error`` (its
    message), from which the record of the run is written.

    Where the defaults of a DAG's tasks name an ``operation_task``, what a task does is followed (``operators.following``): its
    state is written, and no change is made whose event is not in the audit trail.

    :param aws_conn_id: connection of the account to act in; it carries the role to assume.
    :param region_name: region, where it is not the connection's own.
    :param deferrable: wait in the triggerer (default) instead of in the worker.
    :param operation_task: task that begins the operation which this one is a step of; ``None``: it is not followed.
    """

    is_step: ClassVar[bool] = True
    """Whether it is a step of an operation; what begins, records and ends one is not."""

    set_up: ClassVar[bool] = False
    """Whether what it needs is in a policy of its own, which a role has only while things are set up."""

    hook_class: ClassVar[type[AwsHook]]
    permissions: ClassVar[tuple[str, ...]]
    # Policies are made from all three, by section of the settings: what is needed in other accounts than the connection's, and
    # what is needed instead of ``permissions`` where the connection leads to that section's account.
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    permissions_in: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    template_fields: Sequence[str] = ("aws_conn_id", "region_name")
    ui_color = "#eef4fb"

    def __init__(
        self,
        *,
        aws_conn_id: str,
        region_name: str | None = None,
        deferrable: bool = True,
        operation_task: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.deferrable = deferrable
        self.operation_task = operation_task if self.is_step else None
        self._forget_params_of_the_dag()

    @cached_property
    def hook(self) -> HookT:
        """AWS API of the account in ``aws_conn_id``."""
        return cast("HookT", self.hook_class(self.aws_conn_id, self.region_name))

    @cached_property
    def timing(self) -> Timing:
        """Where the time of this try goes."""
        return Timing()

    @abstractmethod
    def take_pass(self, context: Context) -> Result:
        """Look; return the result, or make one call and ``return self.wait_until(...)``."""

    def execute(self, context: Context) -> Any:
        """Take passes until the goal is reached or a wait is handed to the triggerer."""
        return self._accounted(context)

    def resume(self, context: Context, event: dict[str, Any]) -> Result:
        """Go on after a wait.

        :param context: Airflow's context.
        :param event: what the trigger saw.
        """
        earlier = context["ti"].xcom_pull(task_ids=self.task_id, key=TIMING_KEY, map_indexes=context["ti"].map_index)
        if earlier:
            self.timing.spans = list(earlier["spans"])
            self._deferrals = int(earlier["deferrals"])
            self.timing.add("aws_wait", event["message"][:80], earlier["deferred_at"], event.get("at", time.time()))
        return self._accounted(context, event)

    def wait_until(self, until: Wait, context: Context, hook: AwsHook | None = None) -> Result:
        """Wait, then take the next pass. The only way to wait in this package.

        The state is looked at once before a slot in the triggerer is asked for, unless it lags: a deferral costs about 3 s.

        :param until: what to wait for.
        :param context: Airflow's context.
        :param hook: the service to look at, where it is not the operator's own.
        """
        hook = hook or self.hook
        if not until.lags and hook.look(until) is Look.REACHED:
            return self._next_pass(context)
        if not self.deferrable:
            self._wait_here(until, hook)
            return self._next_pass(context)
        self.log.info("waiting for %s %s, at most %d s", until.waiter, until.args, until.within_s)
        self._deferred_at = time.time()
        self._waits_for = f"{until.waiter} of {', '.join(str(value) for value in until.args.values())}"[:200]
        self._deferrals += 1
        self.defer(
            trigger=WaitTrigger(
                service=hook.waits_as or hook.service,
                until=until.as_json(),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
            ),
            method_name="resume",
            timeout=timedelta(seconds=until.within_s + _GRACE_S),
        )
        raise AssertionError("defer() does not return")

    _deferred_at: float | None = None
    _waits_for: str | None = None
    _deferrals = 0
    _passes = 0

    def _next_pass(self, context: Context) -> Result:
        self._passes += 1
        if self._passes > _MOST_PASSES:
            raise errors.StateError(
                f"{self.task_id}: {_MOST_PASSES} passes did not reach the goal; a waiter and the goal disagree"
            )
        return self.take_pass(context)

    def _wait_here(self, until: Wait, hook: AwsHook) -> None:
        with self.timing.span("aws_wait_in_worker", until.waiter):
            for _ in range(until.attempts):
                time.sleep(until.interval_s)  # noqa: TID251 - this is the wait that others are told to use
                if hook.look(until) is Look.REACHED:
                    return
        raise errors.WaitTimeoutError(f"{until.waiter} {until.args}: not within {until.within_s} s")

    def _accounted(self, context: Context, event: dict[str, Any] | None = None) -> Result:
        """Take a pass, its log lines marked, and leave behind where its time went and, if it failed, why."""
        with bound_contextvars(**self._log_fields(context)):
            return self._timed(context, event)

    def _log_fields(self, context: Context) -> dict[str, str]:
        """Say of which run, step and environment a log line is; the environment as far as run or DAG are for one."""
        fields, dag_run = {"step": self.task_id}, context.get("dag_run")
        if dag_run is not None:
            fields["operation_id"] = f"{dag_run.dag_id}/{dag_run.run_id}"
        dag = self.get_dag()
        of_dag = (getattr(dag, "user_defined_macros", None) or {}).get(ENVIRONMENT_MACRO)
        environment = (context.get("params") or {}).get("environment") or of_dag
        return {**fields, "environment": str(environment)} if environment else fields

    def _timed(self, context: Context, event: dict[str, Any] | None) -> Result:
        started = time.time()
        try:
            with self._followed(context):
                if event is not None and event["status"] == "timeout":
                    raise errors.WaitTimeoutError(event["message"])
                if event is not None and event["status"] != "success":
                    raise errors.WaitFailedError(event["message"])
                return self._next_pass(context)
        except errors.AuroraOpsError as exc:
            self._push(context, ERROR_KEY, str(exc)[:2000])
            raise
        finally:
            self.timing.add("api", self.task_id, started, time.time())
            self._push(
                context,
                TIMING_KEY,
                {
                    "spans": self.timing.spans,
                    "deferrals": self._deferrals,
                    "deferred_at": self._deferred_at,
                    "waits_for": self._waits_for,
                    "try": int(getattr(context.get("ti"), "try_number", 1)),
                },
            )

    def _followed(self, context: Context) -> AbstractContextManager[None]:
        if self.operation_task is None:
            return nullcontext()
        return followed(self.operation_task, context, lambda: (self._deferrals, self._waits_for))

    def _forget_params_of_the_dag(self) -> None:
        """Drop the copies of the DAG's params that Airflow gives each task; a run is given the DAG's own anyway.

        Airflow checks every task's params whenever it serializes a DAG: for 40 tasks that was nine tenths of the time.
        """
        if not self.has_dag():  # type: ignore[no-untyped-call]
            return
        params, given = cast("ParamsDict", self.params), self.dag.params
        for name in [name for name in params if name in given]:
            own, of_the_dag = params.get_param(name), given.get_param(name)
            if (own.value, own.schema) == (of_the_dag.value, of_the_dag.schema):
                del params[name]

    def _push(self, context: Context, key: str, value: Any) -> None:
        if "ti" in context:
            context["ti"].xcom_push(key=key, value=value)
