"""Stacks of CloudFormation, brought to what a template and its parameters say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import PermanentError, SafetyError, StateError
from aurora_ops.core.ownership import ENVIRONMENT_TAG, OWNER, OWNER_TAG, is_ours
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.stacks import Failure, Operation, Stack, StacksHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.runs import run_name

LOOKS: tuple[str, ...] = ("cloudformation:DescribeStacks",)
CHANGES: tuple[str, ...] = (
    *LOOKS,
    "cloudformation:DescribeStackEvents",
    "cloudformation:CreateStack",
    "cloudformation:UpdateStack",
    "cloudformation:DeleteStack",
)
_MOST_NAMED = 5
_NEVER_MADE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")
_MADE = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
)
_POLICY = (
    "attach its policy setup-*.json of include/iam while things are set up, docs/how-to/snapshot-export.md says how"
)


class EnsureStackOperator(RefreshOperator[StacksHook]):
    """Make a stack of CloudFormation, or change it, so that it is as template and parameters say, and wait until it is.

    The AWS operations are ``CreateStack`` and ``UpdateStack``; ``DeleteStack`` only of a stack that has never been complete, which
    CloudFormation neither changes nor makes again. One that somebody is making or changing is waited for, then looked at. The
    provider's ``CloudFormationCreateStackOperator`` is not used: it fails where the stack exists, cannot change one, and succeeds
    as soon as CloudFormation has been asked.

    What this try has begun is known by a token in the stack's events, so that a failure of its own is told, and an older one is not
    taken for it: that is tried again.

    :param stack_name: name of the stack (templated).
    :param template_path: file of the template.
    :param parameters: the template's (templated).
    :param environment: whose stack it is; one of another environment is refused.
    :param account_id: account that the connection must lead to (templated).
    :param within_s: seconds that making or changing it may take.
    :return: ``{"stack_name", "stack_arn", "status", "outputs"}``.
    :raises SafetyError: there is a stack of that name that this package has not made, or that is another environment's.
    :raises StateError: it could not be made or changed; the resources that failed are named, the first first.
    """

    hook_class = StacksHook
    set_up: ClassVar[bool] = True
    permissions: ClassVar[tuple[str, ...]] = CHANGES
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {"source": CHANGES, "target": CHANGES}
    template_fields: Sequence[str] = (
        *RefreshOperator.template_fields,
        "stack_name",
        "parameters",
        "account_id",
    )

    def __init__(
        self,
        *,
        stack_name: str,
        template_path: str,
        parameters: dict[str, str],
        environment: str,
        account_id: str,
        within_s: int = 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stack_name = stack_name
        self.template_path = template_path
        self.parameters = parameters
        self.environment = environment
        self.account_id = account_id
        self.within_s = within_s

    def take_pass(self, context: Context) -> Result:
        """Look at the stack; make it, change it, clear a dead one away, or wait for whoever does."""
        self.hook.require_account(self.account_id)
        try:
            return self._pass(context)
        except PermanentError as exc:
            if "not authorized" not in str(exc):
                raise
            raise type(exc)(f"{exc}; {_POLICY}") from exc

    def _pass(self, context: Context) -> Result:
        stack, token = self.hook.find_stack(self.stack_name), self._token(context)
        if stack is None:
            self.log.info("making stack %s", self.stack_name)
            self.hook.create_stack(*self._wanted(), token)
            return self.wait_until(self._until(waiter="stack_settled", stack=self.stack_name, lags=True), context)
        refuse_others(stack, self.environment)
        if stack.status == "DELETE_IN_PROGRESS":
            return self.wait_until(self._until(waiter="stack_deleted", stack=stack.arn), context)
        if stack.status == "REVIEW_IN_PROGRESS":
            raise StateError(f"stack {stack.name} is only proposed, by a change set; delete it, then clear this task")
        if stack.status.endswith("_IN_PROGRESS"):
            return self.wait_until(self._until(waiter="stack_settled", stack=stack.arn), context)
        done = self.hook.find_operation(stack.arn, token)
        if done is not None and (done.failures or done.status not in _MADE):
            raise _failed(stack, done)
        if stack.status in _NEVER_MADE:
            return self._clear_away(stack, context)
        if stack.status not in _MADE:
            raise _stuck(stack, self.hook.list_failures(stack.arn))
        if done is None and self.hook.update_stack(*self._wanted(), token):
            self.log.info("changing stack %s: %s", stack.name, stack.differing(self.parameters) or "its template")
            return self.wait_until(self._until(waiter="stack_settled", stack=stack.arn, lags=True), context)
        return {"stack_name": stack.name, "stack_arn": stack.arn, "status": stack.status, "outputs": stack.outputs}

    def _clear_away(self, stack: Stack, context: Context) -> Result:
        """Delete a stack that has never been complete: nothing in it is in use, and nothing else can be done to it."""
        failures = self.hook.list_failures(stack.arn)
        self.log.warning("stack %s was never made: %s; it is made anew", stack.name, _told(failures, stack.reason))
        self.hook.delete_stack(stack.name)
        return self.wait_until(self._until(waiter="stack_deleted", stack=stack.arn), context)

    def _wanted(self) -> tuple[str, str, dict[str, str], dict[str, str]]:
        tags = {OWNER_TAG: OWNER, ENVIRONMENT_TAG: self.environment}
        return self.stack_name, Path(self.template_path).read_text(encoding="utf-8"), self.parameters, tags

    def _until(self, waiter: str, stack: str, *, lags: bool = False) -> Wait:
        """Wait for a stack, by its ARN where that is known: by its name a deleted one is not."""
        shown = "Stacks[].StackStatus"
        return Wait(waiter, {"StackName": stack}, show=shown, within_s=self.within_s, every_s=15, lags=lags)

    def _token(self, context: Context) -> str:
        """Name what this try makes of the stack: legal for CloudFormation, the same in each pass."""
        ti = context["ti"]
        said = json.dumps([run_name(context["dag_run"]), self.task_id, ti.map_index, *self._wanted()], sort_keys=True)
        return f"aurora-ops-{hashlib.sha256(said.encode()).hexdigest()[:24]}-{ti.try_number}"


def refuse_others(stack: Stack, environment: str) -> None:
    """Refuse to touch a stack that somebody else has made.

    :param stack: as it is.
    :param environment: whose it must be.
    :raises SafetyError: it is not.
    """
    if not is_ours(stack.tags):
        raise SafetyError(
            f"stack {stack.name} is not tagged {OWNER_TAG}={OWNER}: this package has not made it; rename or delete it, or tag it"
        )
    if stack.tags.get(ENVIRONMENT_TAG) not in (None, environment):
        raise SafetyError(
            f"stack {stack.name} belongs to environment {stack.tags[ENVIRONMENT_TAG]}, which exports a database of the same "
            f"name to the same account; name this one otherwise in exports.databases"
        )


def _failed(stack: Stack, done: Operation) -> StateError:
    remedy = "correct what it names"
    if stack.status in _NEVER_MADE:
        remedy += "; the stack has never been complete, and is deleted and made anew"
    else:
        remedy += "; the stack is as it was before"
    return StateError(
        f"stack {stack.name} is {stack.status}: {_told(done.failures, stack.reason)} ({remedy} when this task is cleared)"
    )


def _stuck(stack: Stack, failures: Sequence[Failure]) -> StateError:
    return StateError(
        f"stack {stack.name} is {stack.status}: {_told(failures, stack.reason)} (continue its rollback, or delete it, in the "
        f"console of CloudFormation, then clear this task; buckets and keys that are in use outlive it)"
    )


def _told(failures: Sequence[Failure], reason: str) -> str:
    """Name what failed, what failed first before all."""
    more = [f"and {len(failures) - _MOST_NAMED} more"] if len(failures) > _MOST_NAMED else []
    return "; ".join([*map(str, failures[:_MOST_NAMED]), *more]) or reason or "CloudFormation gives no reason"
