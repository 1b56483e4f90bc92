"""A small operator that changes something of AWS, and the tables and bucket of an operation that is followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import StateError, TransientError
from aurora_ops.core.operation import Operation
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.operations import OperationsHook
from aurora_ops.hooks.parameters import ParametersHook
from aurora_ops.hooks.trail import TrailHook
from aurora_ops.operators.base import RefreshOperator, Result

REGION, RUNS, TRAILS, BUCKET, NAME = "eu-west-1", "runs", "trails", "trails-bucket", "refresh_staging/manual__1"
HOME = {"aws_conn_id": "aws_orchestrator", "region_name": REGION}


class SetParameterOperator(RefreshOperator[ParametersHook]):
    """Set a parameter, then do as it is told."""

    hook_class = ParametersHook
    permissions: ClassVar[tuple[str, ...]] = ("ssm:PutParameter",)
    template_fields: Sequence[str] = RefreshOperator.template_fields

    def __init__(self, *, then: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.then = then

    def take_pass(self, context: Any) -> Result:
        if self.then == "wait" and self.hook.find("/a") is None:
            self.hook.put("/a", "hunter2")
            return self.wait_until(Wait("cluster_available", {"DBClusterIdentifier": "app"}), context)
        self.hook.put("/a", "hunter2")
        match self.then:
            case "skip":
                raise AirflowSkipException("nothing to do")
            case "fail":
                raise StateError("it is not as it should be")
            case "busy":
                raise TransientError("later")
            case "killed":
                raise SystemExit(1)
        return {"set": "/a"}


def task(**given: Any) -> SetParameterOperator:
    """The operator as a step of the operation."""
    return SetParameterOperator(**{"task_id": "put", **HOME, "operation_task": "check", **given})


class Home:
    """Tables and bucket, and what is in them.

    :param session: boto3 session.
    """

    def __init__(self, session: Any) -> None:
        self.session = session
        for table in (RUNS, TRAILS):
            session.client("dynamodb").create_table(
                TableName=table,
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
                BillingMode="PAY_PER_REQUEST",
            )
        place = {"LocationConstraint": REGION}
        session.client("s3").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=True
        )

    def operation(self, **changes: Any) -> Operation:
        """Where the operation keeps its state and its trail."""
        given = {**HOME, "name": NAME, "runs_table": RUNS, "audit_table": TRAILS, "audit_bucket": BUCKET, **changes}
        return Operation(**given)

    def begin(self, ctx: Any, **changes: Any) -> Operation:
        """Begin the operation without a check."""
        operation = self.operation(**changes)
        ctx["ti"].xcoms["check", "operation"] = operation.as_json()
        OperationsHook(**HOME).begin(RUNS, NAME, {"environment": "staging"})
        hook = TrailHook(**HOME)
        hook.put_new(TRAILS, trails.seal(NAME, 1, trails.genesis(NAME), {"kind": trails.BEGUN}))
        return operation

    def state(self) -> dict[str, Any]:
        """The state."""
        return OperationsHook(**HOME).find_state(RUNS, NAME) or {}

    def step(self, name: str = "put") -> dict[str, Any]:
        """The state of a step."""
        found: dict[str, Any] = self.state()["steps"].get(name, {})
        return found

    def events(self) -> list[dict[str, Any]]:
        """The trail, which must be whole."""
        found = TrailHook(**HOME).list_events(TRAILS, NAME)
        assert trails.verify(found).broken is None
        return found

    def told(self) -> list[tuple[Any, ...]]:
        """What the trail says after its beginning, in short."""
        return [
            (event["kind"], event.get("phase") or event.get("outcome"), event.get("task"))
            for event in self.events()[1:]
        ]

    def parameter(self) -> str | None:
        """What was changed."""
        return ParametersHook(**HOME).find("/a")
