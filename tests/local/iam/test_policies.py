"""The policies are enough for every workflow and for the refresh, and nothing in them can be left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from aurora_ops.operators.export_crawl import CrawlExportOperator
from aurora_ops.operators.export_proof import ProveExportOperator
from aurora_ops.operators.following import PERMISSIONS as FOLLOWED
from aurora_ops.operators.operations import PERMISSIONS as ENDED
from policygen import scopes_export_setup, scopes_exports, scopes_upkeep
from policygen.minimal import without_repetition
from policygen.needs import FREE, needs_of
from policygen.policies import FILES
from policygen.scopes import SCOPES

from devstack.settings import REPO
from tests.contracts.conftest import CONCRETE
from tests.graph.conftest import read_dags
from tests.local.iam.conftest import RECORDINGS
from tests.local.iam.denials import DENIALS
from tests.local.iam.lab import PLACES, Lab, Run
from tests.local.iam.policies import (
    COPIED_AND_CRAWLED,
    PRINCIPALS,
    denied,
    documents,
    environment,
    every_action,
    without,
)

pytestmark = [pytest.mark.local, pytest.mark.long]

OF_PROVIDERS: tuple[type[Any], ...] = (CrawlExportOperator, ProveExportOperator)
CLASSES: dict[str, type[Any]] = {operator.__name__: operator for operator in (*CONCRETE, *OF_PROVIDERS)}
OF_EXPORTS = (*scopes_exports.TARGET, *scopes_export_setup.LOOKS)
# The example keeps snapshots of the target only, under keys with an alias; tests/contracts and tests/local/upkeep have the others.
UNSET = {
    # Who reads databases sees instances
    "source": {*(scope.sid for scope in scopes_upkeep.RETENTION), "SeeLogInstances"},
    # ... and files under the key of databases; whoever sees all shares sees those of copies
    "target": {
        "DeletePrefixedSnapshots",
        "ReadNamedKeysOfCopies",
        "UseNamedKeysOfCopies",
        "ReadKeysOfFiles",
        "ReadOwnShares",
        "SeeLogInstances",
        # ... none of whose databases is exported: the source has the same statements
        *(scope.sid for scope in OF_EXPORTS),
    },
}
# Its tasks set things up; their policy is one of its own, which tests/local/export/test_setup.py compares with what they ask.
NOT_RECORDED = {"snapshot_export_setup_staging"}
# It waits for a person's answer, which nobody gives here; it announces as the record of a run does.
ASKS_A_PERSON = "ApproveSwitchOperator"


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_path_is_allowed(recorded, name) -> None:
    run, recording = recorded[name], RECORDINGS[name]
    failed = {task_id for task_id, task in run.tasks.items() if task["state"] == "failed"}
    assert run.state == ("failed" if recording.fails else "success"), run.errors
    assert not recording.fails or recording.fails in failed, run.errors
    assert run.refused == []
    assert set(recording.calls) <= run.calls, "it has not taken the path that it is here for"


def test_every_dag_is_recorded(lab: Lab, recorded: dict[str, Run]) -> None:
    assert {RECORDINGS[name].dag_id for name in recorded} == set(lab.dag_ids) - NOT_RECORDED


def test_a_switch_that_fails_was_undone(recorded) -> None:
    tasks = recorded["refresh_staging, undone"].tasks
    assert tasks["switch.undo_secrets"]["state"] == tasks["switch.undo_rename"]["state"] == "success"


def test_statements_have_names_of_their_own_and_none_is_missing() -> None:
    """An action is known by the name of its statement; what the example leaves out is looked at too."""
    for name, place in {file: place for place, file in FILES.items()}.items():
        sids = [statement["Sid"] for document in documents(name) for statement in document["Statement"]]
        assert len(set(sids)) == len(sids)
        assert {scope.sid for scope in SCOPES[place]} - UNSET.get(place, set()) <= set(sids)


def test_the_roles_of_the_templates_have_the_policies_of_the_files(lab: Lab) -> None:
    """What is deployed from a template with its defaults is what stands in ``include/iam``."""
    for name, account in PLACES.items():
        iam, role = lab.admin(account, "iam"), f"aurora-ops-{name}"
        texts = [
            iam.get_role_policy(RoleName=role, PolicyName=inline)["PolicyDocument"]
            for inline in iam.list_role_policies(RoleName=role)["PolicyNames"]
        ]
        for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
            found = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)
            texts.append(found["PolicyVersion"]["Document"])
        deployed = [statement for text in texts for statement in text["Statement"]]
        for statement in deployed:  # two parameters may name one key
            aliases = statement.get("Condition", {}).get("ForAnyValue:StringEquals", {})
            aliases.update({key: list(dict.fromkeys(names)) for key, names in aliases.items()})
        every = [statement for document in documents(name) for statement in document["Statement"]]
        wanted = [statement for statement in every if statement["Sid"] not in NOT_IN_TEMPLATES]
        for statement in wanted:
            statement["Resource"] = IN_TEMPLATES.get(statement["Sid"], statement["Resource"])
        reduced = [statement for statement in without_repetition(by_sid(deployed)) if statement["Action"]]
        assert by_sid(reduced) == by_sid(wanted)


# Copies are exported, and crawlers make tables, by the settings only: who wants that takes the files.
NOT_IN_TEMPLATES = {"CopyForExports", "TagExportCopies", "RemoveExportCopies", "CrawlExports"}
# Of these a template has one pattern.
IN_TEMPLATES = {
    "ReadRestoreSecrets": ["arn:aws:secretsmanager:eu-west-1:222222222222:secret:aurora-restore/*"],
    "ChangeUserSecrets": ["arn:aws:secretsmanager:eu-west-1:222222222222:secret:staging/shop/*"],
    "PublishFiles": ["arn:aws:ssm:eu-west-1:222222222222:parameter/staging/shop/files/*"],
}


def by_sid(statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(statements, key=lambda statement: statement["Sid"])


@pytest.mark.parametrize("name", PRINCIPALS)
def test_the_files_allow_all_that_was_asked(asked, name) -> None:
    assert denied(name, documents(name), asked[name]) == []


@pytest.mark.parametrize(
    ("name", "sid", "action"), [pytest.param(*found, id="-".join(found)) for found in every_action()]
)
def test_without_any_one_action_a_call_is_denied(asked, name, sid, action) -> None:
    reduced = without(documents(name), sid, action)
    assert denied(name, reduced, asked[name], action), f"nothing needs {action} of {sid}"


@pytest.fixture
def more_include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DAGs are read with a further database, whose snapshots are copied first, and whose tables a crawler makes."""
    shutil.copytree(REPO / "include", tmp_path / "include")
    file = tmp_path / "include" / "config" / "staging.yaml"
    content = yaml.safe_load(file.read_text())
    content["exports"]["databases"].append({"name": "more", "cluster": "prod-more", **COPIED_AND_CRAWLED})
    file.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("AURORA_OPS_INCLUDE", str(tmp_path / "include"))


def unset(place: str) -> set[str]:
    """Actions that only statements allow which the example leaves out."""
    allowed = {scope.sid: set(scope.actions) for scope in SCOPES[place]}
    left_out = UNSET.get(place, set())
    here = [actions for sid, actions in allowed.items() if sid not in left_out]
    return set().union(*(allowed[sid] for sid in left_out)) - set().union(*here)


def test_operators_declare_what_they_use_and_nothing_else(recorded, more_include) -> None:
    """In each account. An operator that takes its passes, or its declaration, from another one may use what that one uses.

    What writing down a followed step needs is declared once for all of them, and so is what ending an operation does. The target
    has no database that is exported: what exports need there is looked at in the source.
    """
    declared: dict[tuple[str, str], set[str]] = {}
    for place, actions in needs_of(read_dags().dags.values(), environment()).items():
        for action, operators in actions.items():
            for operator in operators & CLASSES.keys() - {ASKS_A_PERSON}:  # a trigger is none
                declared.setdefault((operator, place), set()).add(action)
    used = uses(recorded)
    lacking, superfluous = {}, {}
    for operator, place in used.keys() | declared.keys():
        there, here = declared.get((operator, place), set()), used.get((operator, place), set())
        related = (used.get((other, place), set()) for other in CLASSES if takes_passes(operator, other))
        alike = (found for (other, _), found in used.items() if home(other) is home(operator))
        if place == "target" and is_for_exports(operator):
            alike = (*alike, used.get((operator, "source"), set()))
        shared = (set(once) for once in (FOLLOWED, ENDED) if place == "orchestrator" and there >= set(once))
        if here - there:
            lacking[operator, place] = sorted(here - there)
        if more := there - set().union(unset(place), *shared, *related, *alike):
            superfluous[operator, place] = sorted(more)
    assert lacking == {}
    assert superfluous == {}


def uses(recorded: dict[str, Run]) -> dict[tuple[str, str], set[str]]:
    """Tell what each operator used in which account."""
    places = {PRINCIPALS[file]: place for place, file in FILES.items()}
    found: dict[tuple[str, str], set[str]] = {}
    for made in (made for run in recorded.values() for made in run.decisions):
        if made["operator"] and made["principal"] in places:
            found.setdefault((made["operator"], places[made["principal"]]), set()).add(made["action"])
    return found


def takes_passes(operator: str, other: str) -> bool:
    return issubclass(CLASSES[operator], CLASSES[other]) or issubclass(CLASSES[other], CLASSES[operator])


def is_for_exports(operator: str) -> bool:
    """Tell whether an operator declares for the target's account what exports need there."""
    elsewhere = getattr(CLASSES[operator], "permissions_elsewhere", {})
    return not {action for scope in OF_EXPORTS for action in scope.actions}.isdisjoint(elsewhere.get("target", ()))


def home(operator: str) -> type:
    """Return the class that declares an operator's permissions."""
    return next(kind for kind in CLASSES[operator].__mro__ if "permissions" in vars(kind))


def test_every_operator_that_reaches_aws_is_recorded(recorded) -> None:
    ran = {task["operator"] for run in recorded.values() for task in run.tasks.values()} & set(CLASSES)
    free = {name for name in ran if set(CLASSES[name].permissions) <= FREE}
    assert ran - free - {name for name, _ in uses(recorded)} == set()


@pytest.mark.parametrize("denial", DENIALS, ids=lambda denial: denial.action)
def test_a_missing_permission_is_named_with_its_remedy(lab, recorded, denial) -> None:
    whole = documents(denial.name)[0]
    put(lab, denial.name, without([whole], denial.sid, denial.action)[0])
    try:
        run = lab.run(denial.dag_id, {"environment": "staging", **denial.conf})
    finally:
        put(lab, denial.name, whole)
    assert run.state == "failed"
    error = run.error(denial.task_id)
    assert f"role aurora-ops-{denial.name} lacks {denial.action} on " in error
    assert "include/iam" in error


def put(lab: Lab, name: str, document: dict[str, Any]) -> None:
    """Give a role a policy in place of its first one."""
    role = f"aurora-ops-{name}"
    iam = lab.admin(PLACES[name], "iam")
    iam.put_role_policy(RoleName=role, PolicyName=role, PolicyDocument=json.dumps(document))
