"""What generated policies and templates promise: current, legal, small, narrow, and made of what operators declare."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cfnlint
import generate
import pytest
import yaml
from aurora_ops.core import environments, naming
from aurora_ops.core.settings_retention import Retention
from cfnlint.api import lint
from cfnlint.decode import cfn_yaml
from policygen import policies
from policygen.errors import GenerationError
from policygen.needs import needs_of, task_needs
from policygen.page import unused_scopes
from policygen.scope import OURS, Scope
from policygen.scopes import SCOPES
from policygen.values import of_environment

from devstack.settings import REPO
from tests.graph.conftest import read_dags

INCLUDE = REPO / "include"
POLICIES = sorted((INCLUDE / "iam").rglob("*.json"))
ROLES = [
    path for path in POLICIES if path.stem.partition("-")[0] in {"orchestrator", "source", "destination", "worker"}
]
TEMPLATES = sorted((INCLUDE / "templates").glob("iam-*.yaml"))
# Characters of a role's inline policies, and of a managed policy; white space left out.
LONGEST_INLINE_POLICY, LONGEST_MANAGED_POLICY = 10_240, 6_144
# The Service Authorization Reference as cfn-lint carries it.
REFERENCE: dict[str, Any] = json.loads(
    (Path(cfnlint.__file__).parent / "data" / "AdditionalSpecs" / "Policies.json").read_text()
)
each_role = pytest.mark.parametrize("path", ROLES, ids=lambda path: f"{path.parent.name}-{path.stem}")


@pytest.fixture(scope="module")
def settings():
    return environments.resolve(environments.read(INCLUDE / "config" / "staging.yaml")).settings


@pytest.fixture(scope="module")
def dags():
    bag = read_dags()
    return list(bag.dags.values())


def statements(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["Statement"]
    return found


def test_the_files_are_there() -> None:
    assert len(ROLES) == 14 * len(list((INCLUDE / "config").glob("*.yaml")))
    assert len(TEMPLATES) == 3


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_templates_policies_are_few_and_none_is_empty(path) -> None:
    """AWS attaches 10 managed policies to a role, unless somebody has asked it for more, and refuses one without statements."""
    resources = cfn_yaml.load(str(path))["Resources"].values()
    managed = [one for one in resources if one["Type"] == "AWS::IAM::ManagedPolicy"]
    assert len(managed) <= 10
    documents = [
        one["Properties"]["PolicyDocument"] for one in resources if "PolicyDocument" in one.get("Properties", {})
    ]
    assert all(document["Statement"] for document in documents)


def test_everything_generated_is_current() -> None:
    stale = [
        str(path.relative_to(REPO))
        for path, text in generate.pages().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run make docs"


@each_role
def test_actions_are_spelled_out_and_known_to_aws(path) -> None:
    for statement in statements(path):
        assert statement["Effect"] == "Allow"
        assert len(set(statement["Action"])) == len(statement["Action"])
        for action in statement["Action"]:
            service, name = action.split(":")
            assert "*" not in action
            assert name.lower() in {known.lower() for known in REFERENCE[service]["Actions"]}, action


@each_role
def test_statements_have_names_of_their_own(path) -> None:
    sids = [statement["Sid"] for statement in statements(path)]
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]+", sid) for sid in sids)


@each_role
def test_everything_means_only_what_has_no_resources(path) -> None:
    for statement in statements(path):
        assert statement["Resource"]
        if "*" not in statement["Resource"]:
            continue
        for action in statement["Action"]:
            service, name = action.split(":")
            known = {key.lower(): value for key, value in REFERENCE[service]["Actions"].items()}
            narrowed = "cloudwatch:namespace" in str(statement.get("Condition"))  # a metric has no ARN, but a namespace
            assert narrowed or not known[name.lower()].get("Resources"), f"{action} can be narrowed to resources"


@each_role
def test_each_resource_is_one_of_a_type_the_action_knows(path) -> None:
    """An ARN of another type would never match, or match by chance."""
    for statement in statements(path):
        for action in statement["Action"]:
            service, name = action.split(":")
            known = {key.lower(): value for key, value in REFERENCE[service]["Actions"].items()}
            kinds = known[name.lower()].get("Resources", [])
            types = {kind.lower(): value for kind, value in REFERENCE[service]["Resources"].items()}
            formats = [arn for kind in kinds for arn in types[kind.lower()]["ARNFormats"]]
            for resource in statement["Resource"]:
                if resource != "*" and len(statement["Action"]) == 1:
                    assert any(fits(resource, arn) for arn in formats), f"{action} {resource}"
        for resource in statement["Resource"]:
            assert resource == "*" or any(
                fits(resource, arn)
                for action in statement["Action"]
                for kind in REFERENCE[action.split(":")[0]]["Resources"].values()
                for arn in kind["ARNFormats"]
            )


def fits(resource: str, arn_format: str) -> bool:
    """Whether an ARN begins as a format does, up to its first variable after the account."""
    pattern = re.sub(r"\$\{[A-Za-z]+\}", "[^:]*", arn_format)
    return re.fullmatch(pattern, resource) is not None


@each_role
def test_a_role_can_carry_its_policy(path) -> None:
    longest = LONGEST_MANAGED_POLICY if "-" in path.stem else LONGEST_INLINE_POLICY
    assert len(re.sub(r"\s", "", path.read_text())) < longest


def test_the_source_is_only_read_snapshotted_and_shared() -> None:
    changing = {
        action
        for path in ROLES
        if path.stem == "source"
        for statement in statements(path)
        for action in statement["Action"]
        if not action.split(":")[1].startswith(("Describe", "List", "Get"))
    }
    assert changing == {
        "rds:CreateDBClusterSnapshot",
        "rds:CopyDBClusterSnapshot",
        "rds:ModifyDBClusterSnapshotAttribute",
        "rds:DeleteDBClusterSnapshot",
        "rds:AddTagsToResource",
        "rds:RemoveTagsFromResource",
        "kms:CreateGrant",
        "kms:RevokeGrant",
        "ram:CreateResourceShare",
        "ram:DeleteResourceShare",
    }


def test_files_of_the_source_are_only_read_copied_and_replicated() -> None:
    """Beside that there are functions and access points of ours, which look into them."""
    changing = {
        action
        for path in ROLES
        if path.stem == "source-files"
        for statement in statements(path)
        for action in statement["Action"]
        if not action.split(":")[1].startswith(("Describe", "List", "Get"))
    }
    assert changing == {
        "backup:StartCopyJob",
        "elasticfilesystem:CreateReplicationConfiguration",
        "elasticfilesystem:PutFileSystemPolicy",
        "elasticfilesystem:CreateAccessPoint",
        "elasticfilesystem:DeleteAccessPoint",
        "elasticfilesystem:TagResource",
        "iam:PassRole",
        "lambda:CreateFunction",
        "lambda:DeleteFunction",
        "lambda:InvokeFunction",
        "lambda:TagResource",
    }


def test_deletion_is_bound_to_a_tag_or_a_name() -> None:
    for path in ROLES:
        for statement in statements(path):
            for action in statement["Action"]:
                its_final_snapshot = all(":cluster-snapshot:" in arn for arn in statement["Resource"])
                if statement["Sid"] == "DeletePrefixedSnapshots":  # somebody else's, named in the settings
                    assert all(
                        re.search(r":cluster-snapshot:[a-z][a-z0-9-]{2,}\*$", arn) for arn in statement["Resource"]
                    )
                elif action == "rds:DeleteDBClusterSnapshot" or (
                    action == "rds:DeleteDBCluster" and not its_final_snapshot
                ):
                    assert "aws:ResourceTag" in json.dumps(statement["Condition"])
                if action.split(":")[1].startswith("Delete"):
                    assert not any(re.search(r":\*$|^\*$", resource) for resource in statement["Resource"])


def test_trust_needs_the_external_id() -> None:
    found = [path for path in POLICIES if path.stem.startswith("trust-")]
    assert found
    for path in found:
        [statement] = statements(path)
        assert statement["Condition"] == {"StringEquals": {"sts:ExternalId": "${ExternalId}"}}
        assert statement["Principal"] == {"AWS": "${TrustedPrincipalArn}"}


def test_no_account_or_secret_of_the_example_is_in_a_template() -> None:
    """Only defaults of parameters name them."""
    for path in TEMPLATES:
        resources = path.read_text().split("\nResources:\n")[1]
        assert not re.search(r"\d{12}", resources)
        assert "staging" not in resources


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_cfn_lint_finds_nothing(path) -> None:
    assert [str(found) for found in lint(path.read_text())] == []


def test_cfn_lint_would_find_something() -> None:
    text = TEMPLATES[0].read_text().replace("Type: AWS::IAM::Role", "Type: AWS::IAM::Rolle")
    assert lint(text)


def test_no_statement_allows_what_nobody_declares(dags, settings) -> None:
    unused = unused_scopes(needs_of(dags, settings))
    # a crawler makes tables by choice only: then there is a task for it
    assert [one for one in unused if "CrawlExports" not in one] == []


def test_an_action_without_a_scope_stops_the_generation(settings) -> None:
    needs = {"orchestrator": {}, "source": {"rds:DeleteDBCluster": {"DropProductionOperator"}}, "target": {}}
    with pytest.raises(
        GenerationError, match=r"DropProductionOperator needs rds:DeleteDBCluster in the account of source"
    ):
        policies.role_policies("source", needs, of_environment(settings, "source"))


def operator(**attributes: Any) -> Any:
    """A task of a class with these attributes."""
    own = {"aws_conn_id": attributes.pop("aws_conn_id", None)}
    made = type("SomeOperator", (), attributes)()
    made.__dict__.update(own, task_id="t", dag=SimpleNamespace(dag_id="d"))
    return made


def test_a_task_needs_its_permissions_where_its_connection_leads(settings) -> None:
    found = task_needs(operator(aws_conn_id="aws_source", permissions=("rds:A",)), settings)
    assert found == {"source": ("rds:A",)}


def test_a_task_may_need_something_elsewhere_too(settings) -> None:
    task = operator(aws_conn_id="aws_destination", permissions=("rds:A",), permissions_elsewhere={"source": ("rds:B",)})
    assert task_needs(task, settings) == {"target": ("rds:A",), "source": ("rds:B",)}


def test_a_task_may_need_less_in_one_kind_of_account(settings) -> None:
    attributes = {"permissions": ("rds:A", "rds:B"), "permissions_in": {"source": ("rds:A",)}}
    assert task_needs(operator(aws_conn_id="aws_source", **attributes), settings) == {"source": ("rds:A",)}
    assert task_needs(operator(aws_conn_id="aws_destination", **attributes), settings) == {"target": ("rds:A", "rds:B")}


def test_what_aws_allows_everybody_needs_no_statement(settings) -> None:
    task = operator(aws_conn_id="aws_source", permissions=("sts:GetCallerIdentity",))
    assert task_needs(task, settings) == {"source": ()}


def test_a_connection_chosen_at_run_time_must_be_declared(settings) -> None:
    with pytest.raises(GenerationError, match="permissions_elsewhere on SomeOperator"):
        task_needs(operator(aws_conn_id="{{ params.conn }}", permissions=("rds:A",)), settings)


def test_a_task_with_a_connection_and_no_permissions_is_refused(settings) -> None:
    with pytest.raises(GenerationError, match="declares no permissions"):
        task_needs(operator(aws_conn_id="aws_source"), settings)


def test_a_task_without_a_connection_needs_nothing(settings) -> None:
    assert task_needs(operator(), settings) == {}


def test_a_setting_without_a_value_leaves_its_statement_out(settings) -> None:
    values = {**of_environment(settings, "target"), "KeepBucket": []}
    scope = next(scope for scope in SCOPES["target"] if scope.sid == "KeepTables")
    assert policies.statements(scope, ["s3:GetObject"], values) == []


def test_keys_are_named_by_alias_and_by_arn(settings) -> None:
    arn = "arn:aws:kms:eu-west-1:222222222222:key/1"
    values = {**of_environment(settings, "target"), "TargetKey": ["alias/a"], "MasterSecretKey": [arn]}
    scope = Scope("Keys", ("kms:DescribeKey",), keys=("TargetKey", "MasterSecretKey"))
    by_alias, by_arn = policies.statements(scope, ["kms:DescribeKey"], values)
    assert by_alias["Resource"] == ["arn:aws:kms:eu-west-1:222222222222:key/*"]
    assert by_alias["Condition"] == {"ForAnyValue:StringEquals": {"kms:ResourceAliases": ["alias/a"]}}
    assert by_arn["Resource"] == [arn]
    assert "Condition" not in by_arn


def test_snapshots_under_a_policy_are_deleted_by_tag_or_by_the_names_of_the_settings(dags, settings) -> None:
    """In each account that has some, and in no other."""
    clusters = [
        {"account": "source", "cluster": "prod-shop", "copy_to": [{"region": "eu-north-1", "kms_key_id": "key-1"}]},
        {"account": "target", "cluster": "staging-shop", "name_prefixes": ["nightly-"]},
    ]
    wanted = Retention.model_validate({"in_protected_accounts": "ours", "clusters": clusters})
    changed = settings.model_copy(update={"retention": wanted})
    documents = policies.files(changed, needs_of(dags, changed))
    found = {
        name: {one["Sid"]: one for one in documents[f"{name}-upkeep.json"]["Statement"]}
        for name in ("source", "destination")
    }
    assert found["source"]["DeleteRetainedSnapshots"]["Condition"] == OURS
    assert found["source"]["UseNamedKeysOfCopies"]["Resource"] == ["arn:aws:kms:eu-north-1:111111111111:key/key-1"]
    assert "DeletePrefixedSnapshots" not in found["source"]
    assert found["destination"]["DeletePrefixedSnapshots"]["Resource"] == [
        "arn:aws:rds:eu-west-1:222222222222:cluster-snapshot:nightly-*"
    ]
    assert "CopyRetainedSnapshots" not in found["destination"], "no copies are asked for there"
    without = policies.files(settings.model_copy(update={"retention": None}), needs_of(dags, settings))
    told = [one["Sid"] for document in without.values() for one in document["Statement"]]
    assert not [sid for sid in told if "Retained" in sid or "Prefixed" in sid or "KeysOfCopies" in sid]


def test_copies_that_are_exported_and_crawlers_are_allowed_where_the_settings_want_them(tmp_path, monkeypatch) -> None:
    """In the region of the copy, under its key too."""
    shutil.copytree(INCLUDE, tmp_path / "include")
    file = tmp_path / "include" / "config" / "staging.yaml"
    content = yaml.safe_load(file.read_text())
    copied = {"region": "eu-central-1", "kms_key_id": "alias/copies"}
    more = {"name": "stock", "cluster": "prod-stock", "copy_first": copied, "catalogue": {"by": "crawler"}}
    content["exports"]["databases"].append(more)
    file.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("AURORA_OPS_INCLUDE", str(tmp_path / "include"))
    changed = environments.resolve(environments.read(file)).settings
    documents = policies.files(changed, needs_of(read_dags().dags.values(), changed))
    every = [documents[f"source-exports{part}.json"] for part in ("", "-2")]
    assert all(len(re.sub(r"\s", "", json.dumps(one))) < LONGEST_MANAGED_POLICY for one in every)
    found = {one["Sid"]: one for document in every for one in document["Statement"]}
    assert found["CrawlExports"]["Resource"] == [
        f"arn:aws:glue:{region}:111111111111:crawler/aurora-ops-export-stock"
        for region in ("eu-west-1", "eu-central-1")
    ]
    assert found["RemoveExportCopies"]["Condition"] == OURS
    assert found["CopyForExports"]["Action"] == ["rds:CopyDBClusterSnapshot"]
    for sid in ("LookAtExportKey", "LetRdsEncryptExports"):
        assert "arn:aws:kms:eu-central-1:111111111111:key/*" in found[sid]["Resource"]
        assert "alias/copies" in found[sid]["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"]
    assert "destination-exports.json" not in documents


def test_what_a_managed_policy_cannot_hold_is_divided_and_one_statement_that_is_too_long_is_refused(settings) -> None:
    def generated(count: int) -> dict[str, Any]:
        (one,) = settings.exports.databases
        many = [one.model_copy(update={"name": f"db{n}", "cluster": f"prod-db{n}"}) for n in range(count)]
        exports = settings.exports.model_copy(update={"databases": many})
        changed = settings.model_copy(update={"exports": exports})
        return policies.files(changed, needs_of(read_dags().dags.values(), settings))

    found = generated(12)
    parts = [document for name, document in found.items() if name.startswith("source-exports")]
    assert len(parts) > 1
    assert all(len(re.sub(r"\s", "", json.dumps(one))) < LONGEST_MANAGED_POLICY for one in parts)
    sids = [one["Sid"] for document in parts for one in document["Statement"]]
    assert len(set(sids)) == len(sids)
    assert {"StartExportTask"} <= {
        action.split(":")[1] for document in parts for one in document["Statement"] for action in one["Action"]
    }
    with pytest.raises(GenerationError, match="names 200 resources, more than a managed policy may hold"):
        generated(200)


def test_long_names_are_covered_as_the_package_makes_them(settings) -> None:
    name = "staging-" + "x" * 55
    target = settings.target.model_copy(update={"cluster": name})
    safety = settings.safety.model_copy(update={"allowed_clusters": [name]})
    values = of_environment(settings.model_copy(update={"target": target, "safety": safety}), "target")
    [temporary] = values["TemporaryCluster"]
    for restored in (
        naming.temporary_cluster(name),
        naming.restored_cluster(name),
        naming.restored_cluster(name, "friday"),
    ):
        assert restored.startswith(temporary.removesuffix("*")), restored
    for cluster in (name, naming.temporary_cluster(name), naming.restored_cluster(name, "b"), naming.old_cluster(name)):
        for number in (1, 9, 10, 16):
            made = naming.instance(cluster, number)
            assert any(made.startswith(pattern.removesuffix("*")) for pattern in values["Instances"]), made


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_other_partitions_are_named_in_every_arn(dags, settings, region, partition) -> None:
    text = json.dumps(environments.read(INCLUDE / "config" / "staging.yaml"))
    for old, new in (("eu-west-1", region), ("eu-central-1", region), ("arn:aws:", f"arn:{partition}:")):
        text = text.replace(old, new)
    moved = json.loads(text)
    moved.pop("retention")
    documents = policies.files(environments.resolve(moved).settings, needs_of(dags, settings))
    arns = set(re.findall(r"arn:[a-z-]+:", json.dumps(documents)))
    assert arns == {f"arn:{partition}:"}
