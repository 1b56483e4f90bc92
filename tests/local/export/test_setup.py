"""The setup of exports: stacks of CloudFormation in the accounts of the databases, made once, changed when the settings change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from aurora_ops.core.exports import names
from botocore.exceptions import ClientError
from policygen import scopes_export_setup

from devstack.settings import REPO, isolate_this_process
from localcloud.names import PRODUCTION, role_arn
from tests.local.cloud.databases import until
from tests.local.iam.lab import Lab, attach, seeded_lab

pytestmark = [pytest.mark.local, pytest.mark.slow]
DAG_ID = "snapshot_export_setup_staging"
BUCKET = names.setup("shop", PRODUCTION)
EVENTS, SHOP, STOCK = names.events_stack("staging"), names.database_stack("shop"), names.database_stack("stock")
FOUNDING = [("GLACIER", 7), ("DEEP_ARCHIVE", 97)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A seeded cloud, whose roles may do what the night needs."""
    isolate_this_process()
    with seeded_lab(tmp_path_factory.mktemp("setup")) as found:
        found.place_include(along=False)
        attach(found)
        yield found


@pytest.fixture(scope="module")
def powerful(lab: Lab) -> None:
    """The source's role has the policy of the setup, as one attaches it meanwhile."""
    text = (REPO / "include" / "iam" / "staging" / "setup-source.json").read_text()
    lab.admin(PRODUCTION, "iam").put_role_policy(RoleName="aurora-ops-source", PolicyName="setup", PolicyDocument=text)


@pytest.fixture(scope="module")
def refused(lab: Lab) -> Any:
    """A run with the rights of the night."""
    return lab.run(DAG_ID, {})


@pytest.fixture(scope="module")
def shown(lab: Lab, refused: Any, powerful: None) -> Any:
    run = lab.run(DAG_ID, {"dry_run": True})
    assert run.state == "success", run.errors
    return run


@pytest.fixture(scope="module")
def made(lab: Lab, shown: Any) -> Any:
    assert stacks(lab) == {}, "a dry run makes nothing"
    run = lab.run(DAG_ID, {})
    assert run.state == "success", run.errors
    return run


def stacks(lab: Lab) -> dict[str, str]:
    found = lab.admin(PRODUCTION, "cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"]: stack["StackStatus"] for stack in found if stack["StackName"].startswith("aurora-ops-")}


def events(lab: Lab) -> dict[str, int]:
    """Stack to the number of its events: it changes with anything that is done to it."""
    client = lab.admin(PRODUCTION, "cloudformation")
    return {name: len(client.describe_stack_events(StackName=name)["StackEvents"]) for name in stacks(lab)}


def transitions(lab: Lab, bucket: str) -> list[tuple[str, int]]:
    rules = lab.admin(PRODUCTION, "s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    (rule,) = [rule for rule in rules if rule["ID"] == "exports-age"]
    return [(one["StorageClass"], one["Days"]) for one in rule["Transitions"]]


def settle(lab: Lab, *more: dict[str, Any], **first: Any) -> None:
    """Change the first database of the exports, and add others."""
    file = lab.include / "config" / "staging.yaml"
    content = yaml.safe_load(file.read_text())
    content["exports"]["databases"][0] |= first
    content["exports"]["databases"] += more
    file.write_text(yaml.safe_dump(content))


def test_the_rights_of_the_night_are_not_enough(refused) -> None:
    assert refused.state == "failed"
    assert "lacks cloudformation:DescribeStacks" in refused.error("plan_setup")


def test_each_account_has_its_events_and_each_database_its_stack(lab, made) -> None:
    assert stacks(lab) == {EVENTS: "CREATE_COMPLETE", SHOP: "CREATE_COMPLETE"}
    labels = {name: task["label"] for name, task in made.tasks.items() if task["label"]}
    assert labels == {
        "ensure_events[0]": f"{EVENTS} in {PRODUCTION}",
        "ensure_databases[0]": f"{SHOP} in {PRODUCTION}",
    }


def test_what_was_asked_of_the_source_is_in_the_policy_of_the_setup(made) -> None:
    allowed = {action for scope in scopes_export_setup.SCOPES for action in scope.actions}
    asked = {one["action"] for one in made.decisions if one["principal"] == role_arn(PRODUCTION) and not one["via"]}
    assert {action.split(":")[0] for action in asked} >= {
        "cloudformation",
        "s3",
        "kms",
        "iam",
        "sns",
        "sqs",
        "rds",
        "glue",
    }
    assert asked - allowed == set()


def test_the_bucket_is_closed_encrypted_and_ages(lab, made) -> None:
    s3 = lab.admin(PRODUCTION, "s3")
    assert set(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    key = lab.admin(PRODUCTION, "kms").describe_key(KeyId=names.alias("shop"))["KeyMetadata"]
    default = rule["ApplyServerSideEncryptionByDefault"]
    assert (default["SSEAlgorithm"], default["KMSMasterKeyID"]) == ("aws:kms", key["Arn"])
    assert transitions(lab, BUCKET) == FOUNDING
    rules = {one["ID"]: one for one in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]}
    assert rules["exports-age"]["Expiration"] == {"Days": 365}
    assert set(rules) == {"unfinished-uploads", "answers-expire", "exports-age"}
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert {one["Effect"] for one in policy["Statement"]} == {"Deny"}


def test_role_and_key_are_for_exports_of_this_account(lab, made) -> None:
    iam, kms = lab.admin(PRODUCTION, "iam"), lab.admin(PRODUCTION, "kms")
    role = iam.get_role(RoleName=names.role("shop"))["Role"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "export.rds.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": PRODUCTION}
    policy = json.loads(kms.get_key_policy(KeyId=kms.describe_key(KeyId=names.alias("shop"))["KeyMetadata"]["KeyId"],
                                           PolicyName="default")["Policy"])  # fmt: skip
    statements = {one["Sid"]: one for one in policy["Statement"]}
    assert statements["ExportRole"]["Principal"] == {"AWS": role["Arn"]}
    assert statements["GrantsForRds"]["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_athena_has_where_to_look_and_where_to_answer(lab, made) -> None:
    assert lab.admin(PRODUCTION, "glue").get_database(Name="shop")["Database"]["Name"] == "shop"
    group = lab.admin(PRODUCTION, "athena").get_work_group(WorkGroup=names.workgroup("shop"))["WorkGroup"]
    result = group["Configuration"]["ResultConfiguration"]
    assert result["OutputLocation"] == f"s3://{BUCKET}/{names.ANSWERS}/"
    assert group["Configuration"]["EnforceWorkGroupConfiguration"] is True


def test_a_snapshot_is_heard_of_in_the_queue(lab, made) -> None:
    rds, sqs = lab.admin(PRODUCTION, "rds"), lab.admin(PRODUCTION, "sqs")
    url = sqs.get_queue_url(QueueName=names.queue("staging"))["QueueUrl"]
    redrive = json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"].endswith(names.dead_letters("staging"))
    rds.create_db_cluster_snapshot(DBClusterIdentifier="prod-shop", DBClusterSnapshotIdentifier="heard-of")
    heard: list[str] = []

    def told() -> bool:
        heard.extend(
            one["Body"] for one in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        )
        return any("RDS-EVENT-0075" in body and "heard-of" in body for body in heard)

    assert until(told)


def test_a_second_trigger_changes_nothing(lab, made) -> None:
    before = events(lab)
    run = lab.run(DAG_ID, {})
    assert run.state == "success", run.errors
    assert events(lab) == before


def test_a_block_of_yaml_and_a_trigger_add_a_database_and_nothing_else(lab, made) -> None:
    before = events(lab)
    settle(lab, {"name": "stock", "cluster": "prod-stock"})
    run = lab.run(DAG_ID, {})
    assert run.state == "success", run.errors
    assert stacks(lab)[STOCK] == "CREATE_COMPLETE"
    assert {name: count for name, count in events(lab).items() if name != STOCK} == before
    lab.admin(PRODUCTION, "s3").head_bucket(Bucket=names.setup("stock", PRODUCTION))


def test_other_days_are_brought_to_the_bucket(lab, made) -> None:
    settle(lab, retention={"queryable_days": 40, "glacier_after_days": 40, "archived_partitions": "keep"})
    run = lab.run(DAG_ID, {})
    assert run.state == "success", run.errors
    assert "cloudformation:UpdateStack" in run.calls
    assert stacks(lab)[SHOP] == "UPDATE_COMPLETE"
    assert transitions(lab, BUCKET) == [("GLACIER", 40)]


def test_what_cannot_be_made_is_named_and_leaves_nothing_behind(lab, made) -> None:
    s3 = lab.admin(PRODUCTION, "s3")
    taken = names.setup("taken", PRODUCTION)
    s3.create_bucket(Bucket=taken, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    settle(lab, {"name": "taken", "cluster": "prod-taken"})
    run = lab.run(DAG_ID, {})
    assert run.state == "failed"
    (error,) = [text for name, text in run.errors.items() if name.startswith("ensure_databases")]
    assert "ROLLBACK_COMPLETE: Bucket (AWS::S3::Bucket)" in error
    with pytest.raises(ClientError, match="NoSuchEntity"):
        lab.admin(PRODUCTION, "iam").get_role(RoleName=names.role("taken"))
    s3.delete_bucket(Bucket=taken)
    again = lab.run(DAG_ID, {})
    assert again.state == "success", again.errors
    assert stacks(lab)[names.database_stack("taken")] == "CREATE_COMPLETE"
