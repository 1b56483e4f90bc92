"""What a person, or another system, wants written down and told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import AuroraOpsError, PermanentError, TransientError
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.runs import run_by, run_moment, run_name


class NotifyOperator(RefreshOperator[RunsHook]):
    """Write a notice down, and announce it. Each is attempted whatever becomes of the other.

    The AWS operations are DynamoDB ``PutItem`` (keys ``notice#<environment>`` and ``run#<moment>#<run id>``, so that a further try
    writes the same item) and SNS ``Publish``.

    :param table: table of runs (templated).
    :param topic_arn: topic; ``None`` announces nothing (templated).
    :param environment: environment that it is about (templated).
    :param subject: one line (templated).
    :param message: text (templated).
    :param outcome: for filters of subscriptions (templated).
    :param cause: why, where something failed (templated).
    :param duration_s: seconds that it is about took (templated).
    :param keep_days: days until the item expires (templated).
    :return: ``{"pk", "sk", "announced"}``.
    :raises AuroraOpsError: one of the two was refused; both are named if both were.
    """

    hook_class = RunsHook
    permissions: ClassVar[tuple[str, ...]] = ("dynamodb:PutItem", "sns:Publish")
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "table",
        "topic_arn",
        "environment",
        "subject",
        "message",
        "outcome",
        "cause",
        "duration_s",
        "keep_days",
    )

    def __init__(
        self,
        *,
        table: str,
        topic_arn: str | None,
        environment: str,
        subject: str,
        message: str,
        outcome: str,
        keep_days: int,
        cause: str | None = None,
        duration_s: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.topic_arn = topic_arn
        self.environment = environment
        self.subject = subject
        self.message = message
        self.outcome = outcome
        self.cause = cause
        self.duration_s = duration_s
        self.keep_days = keep_days

    def take_pass(self, context: Context) -> Result:
        """Write, announce, then say what failed."""
        dag_run = context["dag_run"]
        now = datetime.now(UTC)
        keys = {
            "pk": f"notice#{self.environment}",
            "sk": f"run#{run_moment(dag_run).isoformat()}#{dag_run.run_id}",
        }
        about = {
            "subject": self.subject,
            "message": self.message,
            "outcome": self.outcome,
            "cause": self.cause,
            "duration_s": None if self.duration_s is None else float(self.duration_s),
            "run": run_name(dag_run),
            "by": run_by(dag_run),
        }
        failed = [
            error
            for error in (
                self._attempt(lambda: self._write({**keys, **about}, now)),
                self._attempt(lambda: self._announce(about)),
            )
            if error is not None
        ]
        if failed:
            kind = TransientError if any(isinstance(error, TransientError) for error in failed) else PermanentError
            raise kind("; ".join(str(error) for error in failed))
        return {**keys, "announced": bool(self.topic_arn)}

    @staticmethod
    def _attempt(act: Any) -> AuroraOpsError | None:
        try:
            act()
        except AuroraOpsError as exc:
            return exc
        return None

    def _write(self, item: dict[str, Any], now: datetime) -> None:
        expires = int((now + timedelta(days=int(self.keep_days))).timestamp())
        self.hook.put(
            self.table, {**item, "environment": self.environment, "at": now.isoformat(), "expires_at": expires}
        )

    def _announce(self, about: dict[str, Any]) -> None:
        if not self.topic_arn:
            return
        rows = [
            ("Cause", about["cause"]),
            ("Duration", None if about["duration_s"] is None else f"{about['duration_s']:g} s"),
            ("Environment", self.environment),
            ("By", about["by"]),
            ("Run", about["run"]),
        ]
        text = "\n".join([self.message, "", *(f"{name}: {value}" for name, value in rows if value)]) + "\n"
        TopicsHook(self.aws_conn_id, self.region_name).publish(
            self.topic_arn, self.subject, text, {"environment": self.environment, "outcome": self.outcome}
        )
