"""Audit trails and states of operations under real concurrency, and under the orchestrator's own policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aurora_ops import audit
from aurora_ops.core import environments
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import PermanentError
from aurora_ops.core.operation import DEFERRED, RUNNING, SUCCEEDED, Operation, Progress
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.operations import OperationsHook
from aurora_ops.hooks.trail import Trail, TrailHook
from aurora_ops.operators import operations
from botocore.exceptions import ClientError
from policygen.policies import role_policies
from policygen.scopes import SCOPES
from policygen.values import of_environment

from devstack.settings import REPO
from localcloud.client import admin_operation, role_client
from localcloud.names import AIRFLOW_USER, ROLES, SHARED
from localcloud.seed.accounts import AUDIT_BUCKET, AUDIT_TABLE, RUNS_TABLE, _shared
from tests.local.cloud.conftest import LocalCloud
from tests.local.cloud.eks_operators import connect
from tests.unit.operators.driver import FakeTaskInstance, context

pytestmark = [pytest.mark.local, pytest.mark.slow]

REGION = "eu-west-1"
AT = {"aws_conn_id": "aws_orchestrator", "region_name": REGION}
WRITERS, EACH = 8, 12


@pytest.fixture(scope="module")
def seeded(cloud: LocalCloud) -> None:
    """Tables and buckets of shared services."""
    _shared(cloud.config, lambda _: None)


@pytest.fixture
def name(seeded: None, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> str:
    """An operation of this test's own."""
    connect(monkeypatch, cloud)
    return f"aurora_restore/manual__{uuid4().hex[:8]}"


def at_once(work: Any) -> list[Any]:
    """Do the same in many threads, each with a hook and so a connection of its own."""
    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(work, range(WRITERS)))


def test_parallel_tasks_make_one_whole_chain_and_lose_nothing(name: str) -> None:
    Trail(TrailHook(**AT), AUDIT_TABLE, name).append(trails.BEGUN, {})

    def write(number: int) -> list[int]:
        trail = Trail(TrailHook(**AT), AUDIT_TABLE, name, task=f"t{number}", tries=1)
        return [trail.append(trails.MUTATION, {"number": each}) for each in range(EACH)]

    places = at_once(write)
    events = TrailHook(**AT).list_events(AUDIT_TABLE, name)
    assert trails.verify(events).broken is None
    assert sorted(place for own in places for place in own) == list(range(2, 2 + WRITERS * EACH))
    for number, own in enumerate(places):
        mine = [event for event in events if event.get("task") == f"t{number}"]
        assert [event["sequence"] for event in mine] == own
        assert [event["number"] for event in mine] == list(range(EACH))


def test_parallel_steps_do_not_undo_each_other(name: str) -> None:
    OperationsHook(**AT).begin(RUNS_TABLE, name, {})

    def walk(number: int) -> bool:
        hook, done = OperationsHook(**AT), True
        for deferrals in range(3):
            for status in (RUNNING, DEFERRED):
                waited = deferrals + (status == DEFERRED)
                done &= hook.put_step(RUNS_TABLE, name, f"t{number}", Progress(status, 1, waited, f"at {deferrals}"))
        return done & hook.put_step(RUNS_TABLE, name, f"t{number}", Progress(SUCCEEDED, 1, 3, "at the end"))

    assert at_once(walk) == [True] * WRITERS
    steps = OperationsHook(**AT).find_state(RUNS_TABLE, name)["steps"]
    assert {step: found["status"] for step, found in steps.items()} == {f"t{n}": SUCCEEDED for n in range(WRITERS)}


def test_whoever_is_late_a_step_that_ended_stays_ended(name: str) -> None:
    OperationsHook(**AT).begin(RUNS_TABLE, name, {})

    def write(number: int) -> None:
        status = SUCCEEDED if number == 3 else (RUNNING, DEFERRED)[number % 2]
        hook = OperationsHook(**AT)
        for _ in range(5):
            hook.put_step(RUNS_TABLE, name, "t", Progress(status, 1, number, f"at {number}"))

    at_once(write)
    assert OperationsHook(**AT).find_state(RUNS_TABLE, name)["steps"]["t"]["status"] == SUCCEEDED


@pytest.fixture
def policy(cloud: LocalCloud, name: str) -> Iterator[None]:
    """The policy of the orchestrator's role in force, with every action of its scopes."""
    settings = environments.resolve(environments.read(REPO / "include" / "config" / "staging.yaml")).settings
    needs: Any = {"orchestrator": {action: {"X"} for scope in SCOPES["orchestrator"] for action in scope.actions}}
    document = role_policies("orchestrator", needs, of_environment(settings, "orchestrator"))[""]
    iam, role = cloud.admin(SHARED, "iam"), ROLES[SHARED]
    become = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    iam.put_role_policy(RoleName=role, PolicyName="trail", PolicyDocument=json.dumps(document))
    iam.put_user_policy(
        UserName=AIRFLOW_USER,
        PolicyName="trail",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [become]}),
    )
    admin_operation("iam-enforce", cloud.config, on=True)
    yield
    admin_operation("iam-enforce", cloud.config, on=False)
    iam.delete_role_policy(RoleName=role, PolicyName="trail")
    iam.delete_user_policy(UserName=AIRFLOW_USER, PolicyName="trail")


def test_the_orchestrators_role_may_add_and_read_and_nothing_else(cloud: LocalCloud, name: str, policy: None) -> None:
    trail, hook = Trail(TrailHook(**AT), AUDIT_TABLE, name), OperationsHook(**AT)
    hook.begin(RUNS_TABLE, name, {})
    trail.append(trails.BEGUN, {})
    assert hook.put_step(RUNS_TABLE, name, "t", Progress(RUNNING, 1, 0, "now"))
    assert len(TrailHook(**AT).list_events(AUDIT_TABLE, name)) == 1
    stored = BucketsHook(**AT).put_new(AUDIT_BUCKET, f"audit/{name}.jsonl", b"x", "text/plain")
    assert stored is not None
    assert stored.version_id

    mine = role_client(SHARED, "dynamodb", cloud.config)
    event = {"pk": {"S": trails.partition(name)}, "sk": {"S": trails.sort_key(1)}}
    state = {"pk": {"S": f"operation#{name}"}, "sk": {"S": "state"}}
    update = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "a"}}}
    other = {"pk": {"S": "workflow#x"}, "sk": {"S": "run#1"}}
    for call in (
        lambda: mine.delete_item(TableName=AUDIT_TABLE, Key=event),
        lambda: mine.update_item(TableName=AUDIT_TABLE, Key=event, **update),
        lambda: mine.put_item(TableName=AUDIT_TABLE, Item={**event, "pk": {"S": "elsewhere"}}),
        lambda: mine.scan(TableName=AUDIT_TABLE),
        lambda: mine.delete_item(TableName=RUNS_TABLE, Key=state),
        lambda: mine.update_item(TableName=RUNS_TABLE, Key=other, **update),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()
    mine.delete_item(TableName=RUNS_TABLE, Key={"pk": {"S": "refresh#1#a"}, "sk": {"S": "lock"}})
    with pytest.raises(PermanentError, match="AccessDenied"):
        BucketsHook(**AT).put_new(AUDIT_BUCKET, "elsewhere", b"x", "text/plain")
    objects = role_client(SHARED, "s3", cloud.config)
    with pytest.raises(ClientError, match="AccessDenied"):
        objects.delete_object(Bucket=AUDIT_BUCKET, Key=f"audit/{name}.jsonl")


def test_an_operation_from_its_first_event_to_the_command_that_checks_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through AssumeRole, the table and the bucket of localcloud; then everything is done to it that can be done."""
    settings = environments.resolve(environments.read(REPO / "include" / "config" / "staging.yaml")).settings
    ctx = context(ti=FakeTaskInstance({"check": "success", "a": "success"}))
    ctx["dag_run"].dag_id, ctx["dag_run"].run_id = name.split("/")
    raw = operations.begin(ctx, settings, request={})
    operation = Operation.of(raw)
    trail = Trail(TrailHook(**AT), AUDIT_TABLE, name, task="a", tries=1)
    change: Any = SimpleNamespace(
        service="rds", operation="DeleteDBCluster", region=REGION, parameters={}, through="x", who=lambda: ("1", "arn")
    )
    trail.after(trail.before(change), "done", duration_ms=1, error=None, answer={})
    told = {"outcome": "succeeded", "failed_step": None, "cause": None, "states": ctx["ti"].states, "steps": []}
    closed = operations.close(ctx, operation, keep_days=1, **told)
    assert (closed.error, closed.warnings) == (None, [])
    where = [name, "--conn-id", "aws_orchestrator", "--region", REGION]
    url = f"s3://{AUDIT_BUCKET}/{closed.trail['key']}"
    for target in (name, url, f"{url}?versionId={closed.trail['version_id']}"):
        assert audit.main([target, *where[1:]]) == 0
        assert "whole: 4 events" in capsys.readouterr().out
