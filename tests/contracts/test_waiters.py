"""Waiters: well formed against the service, able to fail as well as to succeed; and all that are used exist."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import boto3
import botocore.session
import jmespath
import pytest
from aurora_ops.core.errors import WaitFailedError
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.base import AwsHook, Look
from aurora_ops.hooks.kubernetes import CONDITIONS, KubernetesHook
from aurora_ops.hooks.registry import HOOKS
from botocore.stub import Stubber
from botocore.waiter import WaiterModel

from tests.contracts.conftest import PACKAGE

FILES = sorted((PACKAGE / "waiters").glob("*.json"))
WAITERS = [(path.stem, name) for path in FILES for name in json.loads(path.read_text())["waiters"]]
every_waiter = pytest.mark.parametrize(("service", "name"), WAITERS, ids=[f"{s}-{n}" for s, n in WAITERS])
VERSION = "11111111-2222-3333-4444-555555555555"
PARAMETERS = {"version_id": VERSION}
# What AWS answers so that a computed condition holds.
ANSWERS = {
    "length(DBClusterSnapshots[]) == `0`": {"DBClusterSnapshots": []},
    "length(DBClusters[]) == `0`": {"DBClusters": []},
    "length(DBInstances[]) == `0`": {"DBInstances": []},
    "DBClusters[0].MasterUserSecret.SecretStatus == 'active' && DBClusters[0].Status == 'available'": {
        "DBClusters": [{"Status": "available", "MasterUserSecret": {"SecretStatus": "active"}}]
    },
    "DBClusters[0].MasterUserSecret.SecretStatus == 'impaired'": {
        "DBClusters": [{"Status": "available", "MasterUserSecret": {"SecretStatus": "impaired"}}]
    },
    f"contains(VersionIdsToStages.\"{VERSION}\" || `[]`, 'AWSCURRENT')": {
        "VersionIdsToStages": {VERSION: ["AWSPREVIOUS"]}
    },
    "nodegroup.status == 'ACTIVE'": {"nodegroup": {"status": "ACTIVE"}},
    'contains(`["DEGRADED", "CREATE_FAILED", "DELETING", "DELETE_FAILED"]`, nodegroup.status)': {
        "nodegroup": {"status": "DEGRADED"}
    },
}
# Conditions on a state: what AWS answers while it is so.
for _path, _states in {
    "CopyJob.State": ("COMPLETED", "FAILED", "PARTIAL"),
    "Status": ("COMPLETED", "FAILED", "ABORTED"),
    "State": ("Active", "Failed"),
    "QueryExecution.Status.State": ("SUCCEEDED", "FAILED", "CANCELLED"),
    "Crawler.State": ("READY",),
}.items():
    for _state in _states:
        _answer: object = _state
        for _name in reversed(_path.split(".")):
            _answer = {_name: _answer}
        ANSWERS[f"{_path} == '{_state}'"] = _answer
for _state in ("FAILED", "CANCELLED"):
    ANSWERS[f"Crawler.State == 'READY' && Crawler.LastCrawl.Status == '{_state}'"] = {
        "Crawler": {"State": "READY", "LastCrawl": {"Status": _state}}
    }
ANSWERS["length(ExportTasks[]) == `0`"] = {"ExportTasks": []}
ANSWERS["length(MountTargets[]) == `0`"] = {"MountTargets": []}
# What an item must have besides, so that botocore takes it for an answer; and what a look needs.
REQUIRED = {"DescribeCopyJob": {"CopyJobId": "j"}, "DescribeRestoreJob": {"RestoreJobId": "j"}}
REQUIRED |= {"DescribeNodegroup": {"clusterName": "c", "nodegroupName": "n"}}
REQUIRED |= {"GetFunctionConfiguration": {"FunctionName": "f"}, "DescribeSecret": {"SecretId": "s"}}
REQUIRED |= {
    "GetResourceShares": {"resourceOwner": "SELF"},
    "GetResourceShareAssociations": {"associationType": "RESOURCE"},
}
REQUIRED |= {"GetQueryExecution": {"QueryExecutionId": "q"}, "GetCrawler": {"Name": "c"}}
NOT_YET = {
    "rds": {
        "DBClusters": [{"Status": "modifying", "MasterUserSecret": {"SecretStatus": "creating"}}],
        "DBInstances": [{"DBInstanceStatus": "modifying"}],
        "DBClusterSnapshots": [{"Status": "creating"}],
        "ExportTasks": [{"Status": "IN_PROGRESS"}],
    },
    "ram": {
        "resourceShareAssociations": [{"status": "ASSOCIATING"}],
        "resourceShares": [{"status": "PENDING"}],
    },
    "secretsmanager": {"VersionIdsToStages": {VERSION: ["AWSCURRENT"]}},
    "efs": {
        "FileSystems": [{"LifeCycleState": "updating"}],
        "MountTargets": [{"LifeCycleState": "creating"}],
        "AccessPoints": [{"LifeCycleState": "creating"}],
        "Replications": [{"Destinations": [{"Status": "ENABLING"}]}],
    },
    "backup": {"CopyJob": {"State": "RUNNING"}, "Status": "PENDING"},
    "lambda": {"State": "Pending"},
    "eks": {"nodegroup": {"status": "UPDATING"}},
    "cloudformation": {"Stacks": [{"StackStatus": "UPDATE_ROLLBACK_IN_PROGRESS"}]},
    "athena": {"QueryExecution": {"Status": {"State": "QUEUED"}}},
    "glue": {"Crawler": {"State": "STOPPING", "LastCrawl": {"Status": "FAILED"}}},
}


def config(service: str, name: str) -> dict:
    text = (PACKAGE / "waiters" / f"{service}.json").read_text()
    for key, value in PARAMETERS.items():
        text = text.replace("{{ " + key + " }}", value)
    return json.loads(text)["waiters"][name]


def model(service: str):
    return botocore.session.get_session().get_service_model(service)


def answer(acceptor: dict) -> dict | None:
    """A response that fits an acceptor; ``None`` where it is an error."""
    if acceptor["matcher"] == "error":
        return None
    if acceptor["argument"] in ANSWERS:
        return ANSWERS[acceptor["argument"]]
    path = re.fullmatch(r"(\w+)\[(?:0|)\](?:\.(\w+)\[\])?\.(\w+)", acceptor["argument"])
    assert path, f"add to ANSWERS what AWS answers so that this holds: {acceptor['argument']}"
    outer, inner, leaf = path.groups()
    item = {leaf: acceptor["expected"]}
    return {outer: [{inner: [item]} if inner else item]}


def complete(shape, value):
    """A response with everything in it that botocore wants to be there."""
    if shape.type_name == "list":
        return [complete(shape.member, item) for item in value]
    if shape.type_name != "structure":
        return value
    blank = {"string": "x" * 20, "integer": 1, "long": 1, "timestamp": datetime(2026, 1, 1, tzinfo=UTC)}
    found = {key: complete(shape.members[key], item) for key, item in value.items()}
    for key in shape.required_members:
        member = shape.members[key]
        found.setdefault(
            key, complete(member, {}) if member.type_name == "structure" else blank.get(member.type_name, [])
        )
    return found


def seen(service: str, name: str, response: dict | None, error: str = "") -> Look:
    """Look once at a scripted answer."""
    hook = HOOKS[service]("aws_destination", "eu-west-1")
    operation = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=DB)(?=[A-Z][a-z])", "_", config(service, name)["operation"]).lower()
    with Stubber(hook.conn) as stub:
        if response is None:
            stub.add_client_error(operation, error)
        else:
            shape = model(service).operation_model(config(service, name)["operation"]).output_shape
            stub.add_response(operation, complete(shape, response))
        parameters = PARAMETERS if "{{" in (PACKAGE / "waiters" / f"{service}.json").read_text() else {}
        args = REQUIRED.get(config(service, name)["operation"], {})
        return hook.look(Wait(name, args, parameters))


@pytest.fixture(scope="module")
def clients():
    session = boto3.session.Session(region_name="eu-west-1")
    return {hook.service: session.client(hook.service) for hook in HOOKS.values() if hook is not KubernetesHook}


@pytest.fixture(autouse=True)
def one_client(monkeypatch, clients) -> None:
    monkeypatch.setattr(AwsHook, "conn", property(lambda self: clients[self.service]))
    monkeypatch.setattr(AwsHook, "_client", property(lambda self: clients[self.service]))


def test_each_service_with_waiters_can_be_waited_for() -> None:
    assert {path.stem for path in FILES} == {hook.service for hook in HOOKS.values()} - {KubernetesHook.service}


@every_waiter
def test_is_well_formed(service, name) -> None:
    waiter = config(service, name)
    WaiterModel({"version": 2, "waiters": {name: waiter}}).get_waiter(name)
    operation = model(service).operation_model(waiter["operation"])
    errors = {shape.metadata.get("error", {}).get("code", shape.name) for shape in operation.error_shapes}
    errors |= {shape.name for shape in operation.error_shapes}
    for acceptor in waiter["acceptors"]:
        assert set(acceptor) == {"state", "matcher", "argument", "expected"}
        assert acceptor["state"] in ("success", "failure", "retry")
        assert acceptor["matcher"] in ("path", "pathAll", "pathAny", "error")
        if acceptor["matcher"] == "error":
            assert acceptor["expected"] in errors, f"{waiter['operation']} does not answer {acceptor['expected']}"
        else:
            jmespath.compile(acceptor["argument"])
            fields = set(
                re.findall(r"\b[A-Za-z]\w+\b(?!\()", re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "", acceptor["argument"]))
            )
            assert fields <= members(operation.output_shape), acceptor["argument"]
        if acceptor["matcher"] == "path":
            assert isinstance(acceptor["expected"], bool)


def members(shape, seen=()) -> set[str]:
    """Names of all fields of a response."""
    if shape.name in seen:
        return set()
    if shape.type_name == "list":
        return members(shape.member, seen)
    if shape.type_name != "structure":
        return set()
    found = set(shape.members)
    for inner in shape.members.values():
        found |= members(inner, (*seen, shape.name))
    return found


@every_waiter
def test_can_succeed_and_can_fail(service, name) -> None:
    states = {acceptor["state"] for acceptor in config(service, name)["acceptors"]}
    assert {"success", "failure"} <= states


@every_waiter
def test_each_acceptor_is_reachable(service, name) -> None:
    for acceptor in config(service, name)["acceptors"]:
        response = answer(acceptor)
        if acceptor["state"] == "failure":
            with pytest.raises(WaitFailedError, match=name):
                seen(service, name, response, acceptor["expected"])
        else:
            expected = Look.REACHED if acceptor["state"] == "success" else Look.PENDING
            assert seen(service, name, response, acceptor["expected"]) is expected, acceptor


@every_waiter
def test_goes_on_waiting_meanwhile(service, name) -> None:
    operation = model(service).operation_model(config(service, name)["operation"])
    response = {key: value for key, value in NOT_YET[service].items() if key in operation.output_shape.members}
    assert seen(service, name, response) is Look.PENDING


@every_waiter
def test_throttling_is_no_end(service, name) -> None:
    assert seen(service, name, None, "ThrottlingException") is Look.PENDING


def literals(pattern: str) -> set[str]:
    """First groups of a pattern over the package."""
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    return set(re.findall(pattern, text))


def test_each_waiter_that_is_waited_for_exists_and_none_is_idle() -> None:
    used = literals(r'waiter="(\w+)"') | literals(r'wait_for\(\s*"(\w+)"') | literals(r'_wait_for_instance\("(\w+)"')
    used |= literals(r'until = "(\w+)"') | literals(r'else "(cluster_\w+)"')
    used |= literals(r'wait_for_object\(\s*"(\w+)"') | literals(r'_until\("(\w+)"')
    assert used == {name for _, name in WAITERS} | set(CONDITIONS)


def test_what_waits_show_in_the_log_can_be_read() -> None:
    shown = literals(r'show="([^"]+)"')
    assert len(shown) >= 5
    for expression in shown:
        jmespath.compile(expression)


def calls_of_hooks() -> list[tuple[str, str, str]]:
    """(service, call or pages, boto3 operation) for each call that a hook makes by name."""
    found = []
    for path in sorted((PACKAGE / "hooks").glob("*.py")):
        service = re.search(r'^    service = "(\w+)"', path.read_text(), re.M)
        for node in ast.walk(ast.parse(path.read_text())):
            if service and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                if node.func.attr in ("call", "pages", "get_paginator") and isinstance(first, ast.Constant):
                    found.append((service[1], node.func.attr, first.value))
    return found


@pytest.mark.parametrize(("service", "how", "operation"), calls_of_hooks())
def test_each_call_of_a_hook_is_an_operation_of_its_service(service, how, operation) -> None:
    names = {re.sub(r"_", "", name).lower() for name in [operation]}
    known = {name.lower(): name for name in model(service).operation_names}
    assert names <= set(known)
    if how != "call":
        pages = botocore.session.get_session().get_paginator_model(service)
        pages.get_paginator(known[names.pop()])


def test_hooks_are_found() -> None:
    assert len(calls_of_hooks()) > 30
    assert Path(PACKAGE, "hooks", "rds.py").exists()
