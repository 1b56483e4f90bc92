"""What the templates of exports promise: closed, encrypted, kept as the settings say, for RDS of this account only."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from aurora_ops.core import environments
from aurora_ops.core.exports import names, setup
from aurora_ops.core.settings_exports import ExportedDatabase
from aurora_ops.triggers.queue_messages import VISIBILITY_S
from cfnlint.api import lint
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from policygen import scopes_export_setup

from devstack.settings import REPO
from tests.contracts.cfn import Loader, evaluated, holds
from tests.contracts.test_policies import REFERENCE, fits

TEMPLATES = REPO / "include" / "templates"
ACCOUNT, REGION = "111111111111", "eu-west-1"
PROPERTIES = "Properties"
KEPT = "arn:aws:kms:eu-west-1:111111111111:key/1"
FOUNDING = {"queryable_days": 7, "glacier_after_days": 7, "deep_archive_after_days": 97, "expire_after_days": 365}
each_template = pytest.mark.parametrize("name", [setup.EVENTS_TEMPLATE, setup.DATABASE_TEMPLATE])


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((TEMPLATES / name).read_text(), Loader)
    return found


@pytest.fixture(scope="module")
def events() -> dict[str, Any]:
    return read(setup.EVENTS_TEMPLATE)


@pytest.fixture(scope="module")
def database() -> dict[str, Any]:
    return read(setup.DATABASE_TEMPLATE)


def given(**settings: Any) -> dict[str, Any]:
    """Parameters as the setup gives them; numbers as CloudFormation compares them."""
    wanted = ExportedDatabase.model_validate({"name": "shop", "cluster": "prod-shop", **settings})
    found = setup.of_database(wanted, ACCOUNT, REGION, KEPT if wanted.kms_key_id else None).parameters
    return {name: int(value) if name.endswith("Days") else value for name, value in found.items()}


def properties(template: dict[str, Any], resource: str, **parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = evaluated(template, template["Resources"][resource][PROPERTIES], **parameters)
    return found


def lifecycle(template: dict[str, Any], **retention: Any) -> dict[str, dict[str, Any]]:
    found = properties(template, "Bucket", **given(retention=retention))["LifecycleConfiguration"]["Rules"]
    return {rule["Id"]: rule for rule in found}


def made(template: dict[str, Any], **settings: Any) -> set[str]:
    """Resources that are made with these settings."""
    parameters = given(**settings)
    return {
        name
        for name, one in template["Resources"].items()
        if "Condition" not in one or holds(template, one["Condition"], **parameters)
    }


@each_template
def test_cfn_lint_finds_nothing(name) -> None:
    assert [str(found) for found in lint((TEMPLATES / name).read_text())] == []


@each_template
def test_fits_into_a_call(name) -> None:
    assert len((TEMPLATES / name).read_bytes()) < 51_200


def test_the_setup_gives_every_parameter_that_has_no_default(events, database) -> None:
    settings = environments.resolve(environments.read(REPO / "include/config/staging.yaml")).settings
    assert settings.exports is not None
    (of_events,) = setup.of_events(settings, settings.exports, list(settings.exports.databases))
    for template, parameters in ((events, of_events.parameters), (database, given())):
        needed = {name for name, one in template["Parameters"].items() if "Default" not in one}
        assert needed <= set(parameters) <= set(template["Parameters"])
        for name, value in parameters.items():
            pattern = template["Parameters"][name].get("AllowedPattern", ".*")
            assert re.fullmatch(pattern, str(value)), name


# ---- bucket --------------------------------------------------------------------------------------------------------


def test_the_founding_documents_days(database) -> None:
    rule = lifecycle(database, **FOUNDING)["exports-age"]
    assert rule["Transitions"] == [
        {"StorageClass": "GLACIER", "TransitionInDays": 7},
        {"StorageClass": "DEEP_ARCHIVE", "TransitionInDays": 97},
    ]
    assert (rule["ExpirationInDays"], rule["Prefix"], rule["Status"]) == (365, "exports/db=shop/", "Enabled")


@pytest.mark.parametrize(
    ("retention", "transitions", "expiry"),
    [
        ({"expire_after_days": 400}, None, 400),
        ({"glacier_after_days": 400}, [("GLACIER", 400)], None),
        ({"deep_archive_after_days": 400, "expire_after_days": 500}, [("DEEP_ARCHIVE", 400)], 500),
    ],
)
def test_each_part_of_the_retention_may_be_left_out(database, retention, transitions, expiry) -> None:
    rule = lifecycle(database, **retention)["exports-age"]
    found = rule["Transitions"]
    assert (found and [(one["StorageClass"], one["TransitionInDays"]) for one in found]) == transitions
    assert rule["ExpirationInDays"] == expiry


def test_without_a_retention_exports_stay_and_what_is_left_over_goes(database) -> None:
    rules = lifecycle(database)
    assert set(rules) == {"unfinished-uploads", "answers-expire"}
    assert rules["unfinished-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert (rules["answers-expire"]["Prefix"], rules["answers-expire"]["ExpirationInDays"]) == ("athena/", 7)


def test_a_prefix_may_be_empty(database) -> None:
    assert given(prefix="")["ExportPrefix"] == "db=shop/"
    assert not given(prefix="")["ExportPrefix"].startswith(names.ANSWERS)


def test_bucket_is_closed_encrypted_under_the_key_and_outlives_the_stack(database) -> None:
    bucket = properties(database, "Bucket", **given())
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    for settings, key in (({}, ["GetAtt", "Key.Arn"]), ({"kms_key_id": "alias/mine"}, KEPT)):
        found = properties(database, "Bucket", **given(**settings))["BucketEncryption"]
        (rule,) = found["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        assert rule["BucketKeyEnabled"] is True
    for name in ("Bucket", "Key"):
        whole = database["Resources"][name]
        assert whole["DeletionPolicy"] == whole["UpdateReplacePolicy"] == "Retain"


def test_nobody_comes_without_tls(database) -> None:
    statements = database["Resources"]["BucketPolicy"][PROPERTIES]["PolicyDocument"]["Statement"]
    assert {one["Effect"] for one in statements} == {"Deny"}
    for one in statements:
        assert (one["Principal"], one["Action"]) == ("*", "s3:*")
        assert one["Resource"] == [["GetAtt", "Bucket.Arn"], ["Sub", "${Bucket.Arn}/*"]]
    assert {json.dumps(one["Condition"]) for one in statements} == {
        '{"Bool": {"aws:SecureTransport": "false"}}',
        '{"NumericLessThan": {"s3:TlsVersion": "1.2"}}',
    }


# ---- role, key -----------------------------------------------------------------------------------------------------


def test_rds_assumes_the_role_for_this_account_only_and_may_write_there_only(database) -> None:
    (trust,) = database["Resources"]["Role"][PROPERTIES]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "export.rds.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ["Ref", "AWS::AccountId"]},
        "ArnLike": {"aws:SourceArn": ["Sub", "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:*"]},
    }
    policy = properties(database, "RolePolicy", **given())["PolicyDocument"]["Statement"]
    allowed = {action for one in policy for action in one["Action"] if action.startswith("s3:")}
    assert allowed == {"s3:PutObject*", "s3:GetObject*", "s3:ListBucket", "s3:DeleteObject*", "s3:GetBucketLocation"}
    bucket = f"arn:${{AWS::Partition}}:s3:::aurora-ops-export-shop-{ACCOUNT}"
    assert [one["Resource"] for one in policy] == [bucket, f"{bucket}/*", ["GetAtt", "Key.Arn"]]


def test_the_key_is_for_the_account_its_role_and_grants_for_rds(database) -> None:
    key = properties(database, "Key", **given())
    found = {one["Sid"]: one for one in key["KeyPolicy"]["Statement"]}
    assert key["EnableKeyRotation"] is True
    assert set(found) == {"Account", "ExportRole", "GrantsForRds"}
    assert found["ExportRole"]["Principal"] == {"AWS": ["GetAtt", "Role.Arn"]}
    assert found["GrantsForRds"]["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    assert found["GrantsForRds"]["Condition"]["StringEquals"]["kms:CallerAccount"] == "<AWS::AccountId>"
    assert found["GrantsForRds"]["Condition"]["StringEquals"]["kms:ViaService"] == [
        "rds.${AWS::Region}.${AWS::URLSuffix}"
    ]
    role = "arn:aws:iam::111111111111:role/mine"
    named = properties(database, "Key", **given(role_arn=role))["KeyPolicy"]["Statement"]
    assert {one["Sid"]: one for one in named}["ExportRole"]["Principal"] == {"AWS": role}


@pytest.mark.parametrize(
    ("settings", "absent"),
    [
        ({}, set()),
        ({"bucket": "mine"}, {"Bucket", "BucketPolicy"}),
        ({"kms_key_id": "alias/mine"}, {"Key", "Alias"}),
        ({"role_arn": "arn:aws:iam::111111111111:role/mine"}, {"Role", "RolePolicy"}),
        ({"catalogue": {"workgroup": "mine"}}, {"Workgroup"}),
    ],
)
def test_what_the_settings_name_is_not_made(database, settings, absent) -> None:
    crawls = {"Crawler", "CrawlerRole"}
    assert made(database, **settings) == set(database["Resources"]) - crawls - absent


def test_a_crawler_is_made_where_one_makes_the_tables(database) -> None:
    assert made(database, catalogue={"by": "crawler"}) == set(database["Resources"])
    (target,) = database["Resources"]["Crawler"][PROPERTIES]["Targets"]["S3Targets"]
    assert target["Exclusions"] == ["**.json", "**/_SUCCESS"]


def test_answers_of_athena_are_encrypted_in_a_place_of_their_own(database) -> None:
    group = properties(database, "Workgroup", **given())["WorkGroupConfiguration"]
    assert group["EnforceWorkGroupConfiguration"] is True
    result = group["ResultConfiguration"]
    assert result["OutputLocation"] == f"s3://aurora-ops-export-shop-{ACCOUNT}/athena/"
    assert result["EncryptionConfiguration"] == {"EncryptionOption": "SSE_KMS", "KmsKey": ["GetAtt", "Key.Arn"]}


# ---- events --------------------------------------------------------------------------------------------------------


def test_rds_alone_tells_the_topic_and_the_topic_alone_the_queue(events) -> None:
    def allowed(resource: str) -> list[dict[str, Any]]:
        found = events["Resources"][resource][PROPERTIES]["PolicyDocument"]["Statement"]
        return [one for one in found if one["Effect"] == "Allow"]

    (topic,) = allowed("TopicPolicy")
    assert (topic["Principal"], topic["Action"]) == ({"Service": "events.rds.amazonaws.com"}, "sns:Publish")
    assert topic["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ["Ref", "AWS::AccountId"]},
        "ArnLike": {"aws:SourceArn": ["Sub", "arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:*"]},
    }
    (queue,) = allowed("QueuePolicy")
    assert (queue["Principal"], queue["Action"]) == ({"Service": "sns.amazonaws.com"}, "sqs:SendMessage")
    assert queue["Condition"] == {"ArnEquals": {"aws:SourceArn": ["Ref", "Topic"]}}


def test_the_topic_is_under_a_key_that_rds_may_use(events) -> None:
    assert events["Resources"]["Topic"][PROPERTIES]["KmsMasterKeyId"] == ["GetAtt", "TopicKey.Arn"]
    found = {one["Sid"]: one for one in events["Resources"]["TopicKey"][PROPERTIES]["KeyPolicy"]["Statement"]}
    assert found["EventsOfRds"]["Principal"] == {"Service": "events.rds.amazonaws.com"}
    assert set(found["EventsOfRds"]["Action"]) == {"kms:GenerateDataKey*", "kms:Decrypt"}


def test_messages_wait_and_what_cannot_be_stored_is_kept_apart(events) -> None:
    queue, dead = (events["Resources"][name][PROPERTIES] for name in ("Queue", "DeadLetters"))
    assert queue["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == 14 * 86400
    assert queue["SqsManagedSseEnabled"] is dead["SqsManagedSseEnabled"] is True
    assert queue["VisibilityTimeout"] == VISIBILITY_S
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == ["GetAtt", "DeadLetters.Arn"]
    assert events["Parameters"]["MostReceives"]["Default"] >= 10, "a database may be away for some minutes"


def test_events_of_every_kind_of_snapshot_are_subscribed_to(events) -> None:
    found = {
        (one[PROPERTIES]["SourceType"], *one[PROPERTIES]["EventCategories"])
        for one in events["Resources"].values()
        if one["Type"] == "AWS::RDS::EventSubscription"
    }
    assert found == {
        ("db-cluster-snapshot", "backup"),
        ("db-cluster-snapshot", "notification"),
        ("db-snapshot", "creation"),
        ("db-snapshot", "notification"),
    }


# ---- who may make all that -----------------------------------------------------------------------------------------

# What handlers of CloudFormation name for what our templates do not do.
NOT_DONE = re.compile(
    r"s3tables:|lakeformation:|glue:\w*Connection|iam:(Create\w*Linked\w*|\w*Boundary|\w+(Group|User)Policy|(At|De)tachRolePolicy)"
    r"|s3:(Delete(Bucket(Analytics|Cors|Encryption|Lifecycle|Metrics|Replication|Website)\w*|Object)|\w*MetadataT?\w*"
    r"|\w*Abac|\w*(Accelerate|Analytics|Intelligent|Inventory|Metrics|Replication)\w*|Put\w*(Acl|CORS|Logging|Notification"
    r"|ObjectLock\w*|Versioning|Website)|(Tag|Untag|ListTagsFor)\w*|ListAllMyBuckets)"
    r"|sns:(PutDataProtectionPolicy|ListTopics|ListSubscriptions$)|rds:\w+SourceIdentifier\w*|kms:(En|Dis)ableKey$"
    r"|sqs:ListQueues|kms:(ListKeys|GenerateDataKey|Decrypt)|athena:ListWorkGroups|glue:(GetDatabases|ListCrawlers)|iam:ListRoles"
)
# An answer of Athena is written by whoever asks.
OF_WHO_ASKS = {"s3:AbortMultipartUpload", "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:PutObject",
               "s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts"}  # fmt: skip
HANDLED = ("create", "read", "update", "delete")


def handled(kind: str) -> set[str]:
    """Actions that CloudFormation calls for a type, as its registry says."""
    handlers = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema["handlers"]
    return {action for name in HANDLED for action in handlers.get(name, {}).get("permissions", [])}


def types() -> list[str]:
    found = [read(name)["Resources"].values() for name in (setup.EVENTS_TEMPLATE, setup.DATABASE_TEMPLATE)]
    return sorted({one["Type"] for resources in found for one in resources})


@pytest.mark.parametrize("kind", types())
def test_the_policy_of_the_setup_has_what_cloudformation_needs(kind) -> None:
    allowed = {action for scope in scopes_export_setup.SCOPES for action in scope.actions}
    needed = {action for action in handled(kind) if not NOT_DONE.match(action)}
    if kind == "AWS::Athena::WorkGroup":
        needed -= OF_WHO_ASKS
    assert needed <= allowed


def test_and_nothing_else() -> None:
    needed = set().union(*(handled(kind) for kind in types()))
    of_resources = {action for scope in scopes_export_setup.RESOURCES for action in scope.actions}
    assert of_resources <= needed | {"kms:TagResource"}


def test_the_nights_role_cannot_make_roles() -> None:
    folder = REPO / "include" / "iam" / "staging"
    powers = ("iam:CreateRole", "iam:PutRolePolicy", "cloudformation:", "s3:CreateBucket", "kms:CreateKey")
    for path in folder.glob("*.json"):
        assert path.name.startswith("setup-") == any(power in path.read_text() for power in powers), path.name


def test_the_policy_of_the_setup_is_legal_small_and_through_cloudformation_only() -> None:
    (path,) = (REPO / "include" / "iam" / "staging").glob("setup-*.json")
    statements = json.loads(path.read_text())["Statement"]
    assert len(re.sub(r"\s", "", path.read_text())) < 6_144
    directly = {scope.sid for scope in scopes_export_setup.STACKS}
    for one in statements:
        called = one.get("Condition", {}).get("ForAnyValue:StringEquals", {}).get("aws:CalledVia")
        assert (called == ["cloudformation.amazonaws.com"]) is (one["Sid"] not in directly), one["Sid"]
        formats = []
        for action in one["Action"]:
            service, name = action.split(":")
            known = {key.lower(): value for key, value in REFERENCE[service]["Actions"].items()}
            assert name.lower() in known, action
            formats += [arn for kind in REFERENCE[service]["Resources"].values() for arn in kind.get("ARNFormats", [])]
        for resource in one["Resource"]:
            assert resource == "*" or any(fits(resource, arn) for arn in formats), resource
