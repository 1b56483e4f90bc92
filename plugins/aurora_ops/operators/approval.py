"""A person who may say no before anything that serves changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context, Param

from aurora_ops.core import approval
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import PermanentError
from aurora_ops.core.people import span
from aurora_ops.core.windows import require_open
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import ERROR_KEY, TIMING_KEY, Result
from aurora_ops.operators.following import operation_of, trail_of

ASKED_KEY = "asked_at"


class ApproveSwitchOperator(ApprovalOperator):
    """Ask a person whether the switch may happen, where this is asked for; else go on at once.

    Airflow's human-in-the-loop approval (*Required actions* in the UI, or ``PATCH .../hitlDetails``), with the results of the
    verification in its body. While it waits it takes no slot and no triggerer. The provider's operator lets a run in which
    somebody said no succeed; here a no, and no answer in time, fail the run: what was asked for did not happen. What serves is
    untouched, and what was restored is cleared away.

    An answer is kept in the task's state store together with the cluster that it was given about, so that a worker that dies
    after it does not ask again; another cluster is asked about anew.

    :param required: whether to ask (templated).
    :param resource_id: ``DbClusterResourceId`` of what shall serve (templated).
    :param plan: what was decided before (templated).
    :param results: what the verifying steps returned, by name (templated).
    :param windows: maintenance windows, one of which must be open when the switch may happen; none: any time (templated).
    :param within_h: hours in which somebody must answer.
    :param approvers: Airflow user ids that may answer; none: whoever may edit the run.
    :param topic_arn: topic on which people are told that they are asked.
    :param aws_conn_id: connection of the topic's account (templated).
    :param region_name: its region.
    :param operation_task: task that begins the operation whose audit trail shall have the answer; ``None``: there is none.
    :return: ``{"approved": True, "by": who, "reason": what they wrote}``.
    :raises PermanentError: rejected, not answered in time, or no maintenance window is open.
    """

    permissions: ClassVar[tuple[str, ...]] = ("sns:Publish",)
    template_fields: Sequence[str] = (
        *ApprovalOperator.template_fields,
        "required",
        "resource_id",
        "plan",
        "results",
        "windows",
        "aws_conn_id",
    )

    def __init__(
        self,
        *,
        required: bool,
        resource_id: str,
        plan: dict[str, Any],
        results: dict[str, Any],
        windows: list[str],
        within_h: float,
        approvers: list[str],
        topic_arn: str | None,
        aws_conn_id: str,
        region_name: str | None = None,
        operation_task: str | None = None,
        **kwargs: Any,
    ) -> None:
        # Airflow hands the parameters of the run on to every operator; the form of the answer has one field of its own.
        kwargs["params"] = {"reason": Param("", type="string", title="Reason", description="Stands in the log.")}
        super().__init__(
            subject="Let the restored cluster serve?",
            response_timeout=timedelta(hours=within_h),
            assigned_users=[{"id": name, "name": name} for name in approvers] or None,
            multiple_outputs=True,
            **kwargs,
        )
        self.required = required
        self.resource_id = resource_id
        self.plan = plan
        self.results = results
        self.windows = windows
        self.within_h = within_h
        self.topic_arn = topic_arn
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.operation_task = operation_task

    def execute(self, context: Context) -> Result:
        """Ask, unless nobody is to be asked."""
        if not self.required:
            self._require_window(context)
            return {"approved": True, "by": None, "reason": "nobody had to be asked"}
        if earlier := self._earlier(context):
            self.log.info("this was answered before this try")
            self._note(context, earlier)
            return self._decided(context, earlier)
        self.subject = approval.subject(self.plan)
        self.body = approval.body(self.plan, self.results)
        context["ti"].xcom_push(key=ASKED_KEY, value=time.time())
        self._tell(context)
        super().execute(context)
        raise AssertionError("the provider's operator parks the task")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Result:
        """Go on after the answer."""
        asked_at = context["ti"].xcom_pull(task_ids=self.task_id, key=ASKED_KEY) or time.time()
        waited = {"kind": "approval", "what": "a person's answer", "start": asked_at, "end": time.time()}
        context["ti"].xcom_push(key=TIMING_KEY, value={"spans": [waited], "deferrals": 0, "deferred_at": None})
        answer = self._read(event)
        if answer is not None and (store := context.get("task_state_store")) is not None:
            store.set(self._kept_as, answer)
        self._note(context, answer)
        return self._decided(context, answer)

    def _note(self, context: Context, answer: Result | None) -> None:
        """Write into the audit trail who said what about which cluster; without that nobody has said it."""
        if self.operation_task is None:
            return
        trail = trail_of(operation_of(context, self.operation_task), context)
        if trail is not None:
            said = answer or {"approved": False, "reason": "nobody answered in time"}
            trail.append(trails.APPROVAL, {**said, "about": self.resource_id})

    @property
    def _kept_as(self) -> str:
        return f"answered:{self.resource_id}"

    def _earlier(self, context: Context) -> Result | None:
        """Find the answer that an earlier try was given about the same cluster."""
        store = context.get("task_state_store")
        return None if store is None else cast("Result | None", store.get(self._kept_as))

    def _read(self, event: dict[str, Any]) -> Result | None:
        """Read who answered what; ``None`` where nobody did in time."""
        try:
            if "error" in event:
                self.process_trigger_event_error(event)
        except HITLTimeoutError:
            return None
        chosen = event["chosen_options"]
        self.validate_chosen_options(chosen)
        return {
            "approved": chosen == [self.APPROVE],
            "by": (event.get("responded_by_user") or {}).get("name") or "somebody",
            "reason": str((event.get("params_input") or {}).get("reason") or "").strip(),
        }

    def _decided(self, context: Context, answer: Result | None) -> Result:
        """Go on with a yes.

        :raises PermanentError: a no, or no answer.
        """
        if answer is None:
            cause = (
                f"nobody answered within {span(self.within_h * 3600)} whether the switch may happen; nothing was switched. "
                f"Start a new run, or raise approval.within_h"
            )
        elif answer["approved"]:
            self.log.info("%s approved the switch%s", answer["by"], f": {answer['reason']}" if answer["reason"] else "")
            self._require_window(context)
            return answer
        else:
            reason = f": {answer['reason']}" if answer["reason"] else ""
            cause = f"{answer['by']} rejected the switch{reason}; nothing was switched"
        context["ti"].xcom_push(key=ERROR_KEY, value=cause)
        raise PermanentError(cause)

    def _require_window(self, context: Context) -> None:
        """See that what serves may change now; the window may have closed since the run began."""
        try:
            require_open(self.windows, datetime.now(UTC))
        except PermanentError as exc:
            context["ti"].xcom_push(key=ERROR_KEY, value=f"{exc}; nothing was switched")
            raise

    def _tell(self, context: Context) -> None:
        if not self.topic_arn:
            return
        try:
            where = self.generate_link_to_ui_from_context(context=context)
        except ValueError:  # [api] base_url is not set
            where = "in Airflow, under Required actions"
        TopicsHook(self.aws_conn_id, self.region_name).publish(
            self.topic_arn,
            f"approval asked: {self.subject}",
            f"{self.subject}\n\nAnswer within {span(self.within_h * 3600)}: {where}\n\n{self.body}\n",
        )
