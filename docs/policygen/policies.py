"""IAM policies of an environment: ``include/iam/<environment>/*.json``."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from aurora_ops.core.partitions import of_region
from aurora_ops.core.settings import Environment, Orchestrator, Source

from policygen import scopes_export_setup
from policygen.errors import GenerationError
from policygen.minimal import without_repetition
from policygen.needs import Needs
from policygen.scope import Scope
from policygen.scopes import SCOPES
from policygen.values import ROLE_NAMES, Values, of_environment

FILES = {"orchestrator": "orchestrator", "source": "source", "target": "destination"}
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
VERSION = "2012-10-17"
LONGEST_MANAGED_POLICY = 6_144
"""Characters of a managed policy, white space left out (IAM's quotas)."""
KEY_ARN = "arn:${Partition}:kms:${Region}:${Account}:key/"
Document = dict[str, Any]


def role_policies(place: str, needs: Needs, values: Values, uncertain: Collection[str] = ()) -> dict[str, Document]:
    """Write the policies of a role: the first, whose name is empty, and those of its parts that say anything.

    :param place: whose account it is for.
    :param needs: actions that operators declare.
    :param values: what placeholders stand for.
    :param uncertain: Sids of statements that may be left out where the policies are deployed.
    :raises GenerationError: an action has no statement.
    """
    wanted = needs[place]
    if missing := sorted(set(wanted) - {action for scope in SCOPES[place] for action in scope.actions}):
        users = ", ".join(sorted({operator for action in missing for operator in wanted[action]}))
        raise GenerationError(
            f"{users} needs {', '.join(missing)} in the account of {place}: say on which resources, in docs/policygen/scopes.py"
        )
    every = [
        (scope.part, statement)
        for scope in SCOPES[place]
        if (actions := [action for action in scope.actions if action in wanted])
        for statement in statements(scope, actions, values)
    ]
    reduced = without_repetition([statement for _, statement in every], uncertain)
    found: dict[str, Document] = {"": {"Version": VERSION, "Statement": []}}
    for (part, _), statement in zip(every, reduced, strict=True):
        if statement["Action"]:
            found.setdefault(part, {"Version": VERSION, "Statement": []})["Statement"].append(statement)
    return found


def setup_policy(place: str, needs: Needs, values: Values) -> Document | None:
    """Write the policy that a role has only while things are set up; ``None`` where nothing is exported.

    :param place: whose account it is for.
    :param needs: actions that operators declare which set things up.
    :param values: what placeholders stand for.
    :raises GenerationError: an action has no statement.
    """
    allowed = {action for scope in scopes_export_setup.STACKS for action in scope.actions}
    if missing := sorted(set(needs[place]) - allowed):
        raise GenerationError(
            f"{place}: say where {', '.join(missing)} is allowed, in docs/policygen/scopes_export_setup.py"
        )
    if not (needs[place] and values["ExportRegion"]):
        return None
    found = [one for scope in scopes_export_setup.SCOPES for one in statements(scope, list(scope.actions), values)]
    return {"Version": VERSION, "Statement": found}


def statements(scope: Scope, actions: list[str], values: Values) -> list[Document]:
    """Write the statement of a scope; two where some keys are known by alias and some by ARN; none without values."""
    condition = {
        operator: {key: filled_value(value, values) for key, value in tests.items()}
        for operator, tests in scope.condition.items()
    }
    if any(value in ([], "") for tests in condition.values() for value in tests.values()):
        return []
    if not scope.keys:
        return _statement(scope.sid, actions, filled(scope.resources, values), condition)
    names = list(dict.fromkeys(_key_name(name) for setting in scope.keys for name in values[setting]))
    aliases = [name for name in names if name.startswith(("alias/", "${"))]
    key_arn = KEY_ARN.replace("${Region}", f"${{{scope.key_region}}}")
    arns = [name if name.startswith("arn:") else key_arn + name for name in names if name not in aliases]
    # An alias is no resource of a policy; a key is known by its aliases through a condition.
    by_alias = {**condition, "ForAnyValue:StringEquals": {"kms:ResourceAliases": aliases}}
    return [
        *(_statement(scope.sid, actions, filled([key_arn + "*"], values), by_alias) if aliases else []),
        *_statement(f"{scope.sid}ByArn", actions, filled(arns, values), condition),
    ]


def _key_name(name: str) -> str:
    """Reduce the ARN of an alias to the alias."""
    return name[name.index(":alias/") + 1 :] if ":alias/" in name else name


def _statement(sid: str, actions: list[str], resources: list[str], condition: Mapping[str, Any]) -> list[Document]:
    if not resources:
        return []
    statement: Document = {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resources}
    return [{**statement, "Condition": dict(condition)} if condition else statement]


def filled(templates: tuple[str, ...] | list[str], values: Values) -> list[str]:
    """Fill placeholders in; every combination of their values, none for a placeholder without a value."""
    found = []
    for template in templates:
        names = list(dict.fromkeys(PLACEHOLDER.findall(template)))
        for chosen in itertools.product(*(values[name] for name in names)):
            given = dict(zip(names, chosen, strict=True))
            found.append(PLACEHOLDER.sub(lambda match, given=given: given[match[1]], template))  # type: ignore[misc]
    return list(dict.fromkeys(found))


def filled_value(value: str | list[str], values: Values) -> str | list[str]:
    """Fill in the value of a condition; one stays one."""
    if isinstance(value, list):
        return filled(value, values)
    several = filled([value], values)
    return several[0] if len(several) == 1 else several


def trust_policy() -> Document:
    """Write the trust of every role: one principal, and only with the ExternalId. Both are filled in when it is deployed."""
    return {
        "Version": VERSION,
        "Statement": [
            {
                "Sid": "Airflow",
                "Effect": "Allow",
                "Principal": {"AWS": "${TrustedPrincipalArn}"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:ExternalId": "${ExternalId}"}},
            }
        ],
    }


def role_arn_of(place: Source | Orchestrator, name: str) -> str:
    """Write the ARN of the role that a template makes."""
    return f"arn:{of_region(place.region)}:iam::{place.account_id}:role/{ROLE_NAMES[name]}"


def worker_policy(settings: Environment) -> Document:
    """Write the policy of the identity that Airflow's workers and triggerer run as: it may become each role, nothing else."""
    roles = [
        role_arn_of(settings.orchestrator, "orchestrator"),
        role_arn_of(settings.source, "source"),
        settings.target.role_arn,
    ]
    statement = {"Sid": "BecomeRoles", "Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": roles}
    return {"Version": VERSION, "Statement": [statement]}


def key_policy(place: str, allowed: list[Document], role_arn: str) -> Document:
    """Write the statements that a key's policy needs, where it does not leave that to IAM as KMS's default does.

    :param allowed: the role's own statements, of which those on keys of the account are said here from the key's side.
    """
    found = []
    for statement in allowed:
        actions = [action for action in statement["Action"] if action.startswith("kms:")]
        account = role_arn.split(":")[4]
        if not actions or not any(f":{account}:key/" in resource for resource in statement["Resource"]):
            continue
        condition = {
            operator: tests
            for operator, tests in statement.get("Condition", {}).items()
            if "kms:ResourceAliases" not in tests
        }
        found.append(
            {
                "Sid": statement["Sid"],
                "Effect": "Allow",
                "Principal": {"AWS": role_arn},
                "Action": actions,
                "Resource": "*",
                **({"Condition": condition} if condition else {}),
            }
        )
    return {"Version": VERSION, "Id": f"aurora-ops-{place}", "Statement": found}


def files(settings: Environment, needs: Needs, setup_needs: Needs | None = None) -> dict[str, Document]:
    """Write every policy of an environment: file name to document.

    :param settings: of the environment.
    :param needs: what operators declare, by account.
    :param setup_needs: what those declare that set things up; ``None``: their policies are left out.
    """
    role_arns = {
        "source": role_arn_of(settings.source, "source"),
        "target": settings.target.role_arn,
    }
    found = {"worker.json": worker_policy(settings)}
    for place, name in FILES.items():
        values = of_environment(settings, place)
        policies = role_policies(place, needs, values)
        for part, policy in policies.items():
            if not part:
                found[f"{name}.json"] = policy
                continue
            for number, piece in enumerate(_divided(policy), 1):
                found[f"{name}-{part}{f'-{number}' if number > 1 else ''}.json"] = piece
        found[f"trust-{name}.json"] = trust_policy()
        if setup_needs and (setup := setup_policy(place, setup_needs, values)):
            found[f"setup-{name}.json"] = setup
        if place in role_arns:
            every = [statement for policy in policies.values() for statement in policy["Statement"]]
            found[f"key-{name}.json"] = key_policy(name, every, role_arns[place])
    return found


def _divided(policy: Document) -> list[Document]:
    """Divide a policy that is longer than a managed one may be: an environment may name ever so many databases.

    :raises GenerationError: one statement alone is too long.
    """
    found: list[Document] = []
    for statement in policy["Statement"]:
        whole = {"Version": VERSION, "Statement": [*(found[-1]["Statement"] if found else []), statement]}
        if found and _length(whole) < LONGEST_MANAGED_POLICY:
            found[-1] = whole
            continue
        alone = {"Version": VERSION, "Statement": [statement]}
        if _length(alone) >= LONGEST_MANAGED_POLICY:
            raise GenerationError(
                f"{statement['Sid']} names {len(statement['Resource'])} resources, more than a managed policy may hold: write a "
                "policy with patterns of names in its place, or divide the environment"
            )
        found.append(alone)
    return found


def _length(policy: Document) -> int:
    return len(re.sub(r"\s", "", json.dumps(policy)))
