"""Every list is read to its last page, and what is asked for one item alone is nothing that could have several pages."""

from __future__ import annotations

import ast
import re
from typing import Any

import botocore.session
import pytest
from aurora_ops.hooks.base import AwsHook
from botocore.client import BaseClient

from devstack.settings import REPO

PACKAGE = REPO / "plugins" / "aurora_ops"
# Calls that AWS can page, of which one item is wanted: by its identifier, any one at all, so many of the newest, or
# the one page that an answer has.
OF_ONE = {
    ("rds", "describe_db_clusters"), ("rds", "describe_db_instances"), ("rds", "describe_db_cluster_snapshots"),
    ("rds", "describe_db_subnet_groups"), ("rds", "describe_db_cluster_parameter_groups"),
    ("efs", "describe_file_systems"),
    ("efs", "describe_replication_configurations"), ("rds", "describe_orderable_db_instance_options"), ("dynamodb", "query"),
    ("rds", "describe_export_tasks"), ("cloudformation", "describe_stacks"), ("athena", "get_query_results"),
}  # fmt: skip
# Calls with a loop of their own, which counts and keeps markers (test_log_hooks.py).
OWN_LOOP = {("rds", "describe_db_log_files"), ("rds", "download_db_log_file_portion")}


def calls(kind: str) -> list[tuple[str, str, str]]:
    """(service, operation, key of the items) of each ``self.<kind>("operation", "Key", ...)`` of a hook."""
    found = set()
    for path in sorted((PACKAGE / "hooks").glob("*.py")):
        text = path.read_text()
        service = re.search(r'^    service = "(\w+)"', text, re.M)
        for node in ast.walk(ast.parse(text)):
            if service and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                if node.func.attr == kind and names:
                    found.add((service[1], str(names[0]), str(names[1]) if len(names) > 1 else ""))
    return sorted(found)


def paginator(service: str, operation: str) -> dict[str, Any] | None:
    """How botocore pages an operation; ``None`` where it cannot."""
    session = botocore.session.get_session()
    known = {name.lower(): name for name in session.get_service_model(service).operation_names}
    try:
        return dict(session.get_paginator_model(service).get_paginator(known[operation.replace("_", "").lower()]))
    except (ValueError, KeyError, botocore.exceptions.UnknownServiceError, botocore.exceptions.DataNotFoundError):
        return None


@pytest.mark.parametrize(("service", "operation", "key"), calls("pages"))
def test_a_list_is_read_to_its_last_page(service, operation, key, aws_session, monkeypatch) -> None:
    how = paginator(service, operation)
    assert how is not None
    assert how["result_key"] == key or key in how["result_key"]
    given: list[dict[str, Any]] = []
    token = how["output_token"]

    def answer(_client: BaseClient, _operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        given.append(parameters)
        last = len(given) == 3
        page: dict[str, Any] = {key: [{"n": len(given)}]}
        return page if last else {**page, token: f"after {len(given)}", how.get("more_results", "-"): True}

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)

    class Hook(AwsHook):
        pass

    Hook.service = service
    found = Hook("aws_destination", "eu-west-1").pages(operation, key)
    assert found == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [parameters.get(how["input_token"]) for parameters in given] == [None, "after 1", "after 2"]


def test_what_could_have_pages_is_asked_for_one_item_alone() -> None:
    pageable = {(service, operation) for service, operation, _ in calls("call") if paginator(service, operation)}
    assert pageable - OF_ONE - OWN_LOOP == set()


def test_calls_are_found() -> None:
    assert len(calls("pages")) >= 18
