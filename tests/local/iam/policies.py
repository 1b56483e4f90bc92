"""The policies under test, and what recorded calls asked of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from aurora_ops.core import environments
from aurora_ops.core.settings import Environment
from aurora_ops.core.settings_exports import ExportedDatabase
from policygen.minimal import without_repetition
from policygen.policies import FILES, statements
from policygen.scopes import SCOPES
from policygen.values import of_environment

from devstack.settings import REPO
from localcloud.cloud import Caller
from localcloud.iam.access import judge
from localcloud.iam.model import Need
from localcloud.names import AIRFLOW_USER_ARN, PRODUCTION, SHARED, STAGING, role_arn
from localcloud.policy import Decision

POLICIES = REPO / "include" / "iam" / "staging"
PRINCIPALS = {
    "orchestrator": role_arn(SHARED),
    "source": role_arn(PRODUCTION),
    "destination": role_arn(STAGING),
    "worker": AIRFLOW_USER_ARN,
}
SQL_FUNCTION = "run-sql"
LOG_KEY = "alias/audit-logs"
COPIED = "copied"
"""Snapshot of which a copy is exported."""
COPIED_AND_CRAWLED: dict[str, Any] = {
    "copy_first": {"kms_key_id": "alias/shop-prod"},
    "catalogue": {"by": "crawler"},
}
"""What the settings say of a database, snapshots of which are copied first, and whose tables a crawler makes."""
Document = dict[str, Any]
Asked = dict[str, list[tuple[str, str, Need]]]
"""Action to region, call and need."""


def documents(name: str) -> list[Document]:
    """Read all generated policies of one principal, and write what the example leaves out, since it names no such thing."""
    files = [POLICIES / f"{name}.json", *sorted(POLICIES.glob(f"{name}-*.json"))]
    found = [json.loads(file.read_text()) for file in files]
    more = left_out(name, [one for document in found for one in document["Statement"]])
    return [*found, *([{**found[0], "Statement": more}] if more else [])]


def left_out(name: str, there: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the statements that are not there, for an environment with all that the example does without."""
    places = {file: place for place, file in FILES.items()}
    if name not in places:
        return []
    values = of_environment(with_more(environment()), places[name])
    if values["ExportCopied"]:  # the whole pattern, any snapshot, would make other statements needless
        values["ExportCopied"] = [COPIED, *values["ExportCopies"]]
    missing = [scope for scope in SCOPES[places[name]] if scope.sid not in {one["Sid"] for one in there}]
    more = [one for scope in missing for one in statements(scope, list(scope.actions), values)]
    reduced = without_repetition([*there, *more])[len(there) :]  # what the others allow already is not missing
    return [one for one in reduced if one["Action"]]


def with_more(settings: Environment) -> Environment:
    """Have a function run SQL, audit logs under a key, copies of snapshots exported, and a crawler make their tables."""
    database = settings.database.model_copy(update={"sql_function": SQL_FUNCTION})
    assert settings.audit_logs is not None
    assert settings.exports is not None
    storage = settings.audit_logs.storage.model_copy(update={"kms_key_id": LOG_KEY})
    logs = settings.audit_logs.model_copy(update={"storage": storage})
    (first,) = settings.exports.databases
    exported = ExportedDatabase.model_validate({**first.model_dump(exclude_unset=True), **COPIED_AND_CRAWLED})
    exports = settings.exports.model_copy(update={"databases": [exported]})
    return settings.model_copy(update={"database": database, "audit_logs": logs, "exports": exports})


def environment() -> Environment:
    """Read the settings that the policies are made from."""
    return environments.resolve(environments.read(REPO / "include" / "config" / "staging.yaml")).settings


def every_action() -> list[tuple[str, str, str]]:
    """List every action of every statement of every principal."""
    return [
        (name, statement["Sid"], action)
        for name in PRINCIPALS
        for document in documents(name)
        for statement in document["Statement"]
        for action in statement["Action"]
    ]


def without(policies: Iterable[Document], sid: str, action: str) -> list[Document]:
    """Take an action out of a statement."""
    reduced = copy.deepcopy(list(policies))
    for document in reduced:
        for statement in document["Statement"]:
            if statement["Sid"] == sid:
                statement["Action"].remove(action)
        document["Statement"] = [statement for statement in document["Statement"] if statement["Action"]]
    return [document for document in reduced if document["Statement"]]


def asked_of(name: str, decisions: Iterable[dict[str, Any]]) -> Asked:
    """Sort everything that was asked of one principal's policies, each once."""
    found: dict[str, dict[str, tuple[str, str, Need]]] = {}
    for made in decisions:
        if made["principal"] == PRINCIPALS[name]:
            context = {k: tuple(v) if isinstance(v, list) else v for k, v in made["context"].items()}
            need = Need(made["action"], made["resource"], context, made["by_resource"], made["via"])
            found.setdefault(made["action"], {})[repr((made["region"], need))] = (made["region"], made["call"], need)
    return {action: list(one.values()) for action, one in found.items()}


def denied(name: str, policies: Iterable[Document], asked: Asked, action: str | None = None) -> list[str]:
    """Name the calls that policies would refuse.

    :param action: only what asks for this action.
    """
    caller = Caller(PRINCIPALS[name].split(":")[4], PRINCIPALS[name], PRINCIPALS[name])
    texts = [json.dumps(document) for document in policies]
    needs = asked.get(action, []) if action else [one for found in asked.values() for one in found]
    return [
        f"{call}: {need.action} on {need.resource}"
        for region, call, need in needs
        if judge([texts], caller, region, need) is not Decision.ALLOWED
    ]
