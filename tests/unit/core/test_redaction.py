"""What may be written down of a call: no secret and no data, whatever it is called and wherever it stands."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from aurora_ops.core import redaction
from aurora_ops.hooks.registry import HOOKS
from hypothesis import given
from hypothesis import strategies as st

SECRET = "hunter2/S3cr3t+Value"
# Names that AWS gives to what is secret, or to data.
SECRET_NAMES = (
    "MasterUserPassword", "SecretString", "SecretBinary", "ExternalId", "ClientRequestToken", "PreSignedUrl", "Payload", "Body",
    "Value", "ZipFile", "Variables", "Policy", "authToken", "AccessKeyId", "SecretAccessKey", "SessionToken", "password",
)  # fmt: skip
unknown = st.text(max_size=20).filter(lambda name: not redaction.is_shown(name))
names = st.sampled_from(SECRET_NAMES) | unknown
containers = st.sampled_from([
    "ServerlessV2ScalingConfiguration", "Tags", "tags", "Delete", "Objects", "VpcConfig", "DBClusterIdentifier", "Metadata", "x",
])  # fmt: skip
planted = st.just(SECRET) | st.text(max_size=5).map(lambda text: f"{text}{SECRET}{text}")
secrets: st.SearchStrategy[Any] = st.recursive(
    planted,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(names, inner, min_size=1, max_size=3)
        | st.dictionaries(containers, st.dictionaries(names, inner, min_size=1, max_size=2), min_size=1, max_size=2)
        | st.dictionaries(containers, st.lists(st.dictionaries(names, inner, min_size=1, max_size=2)), max_size=2)
    ),
    max_leaves=8,
)


@given(st.dictionaries(names, secrets, min_size=1, max_size=4), st.dictionaries(containers, st.none(), max_size=1))
def test_a_planted_secret_is_never_let_through(parameters, others) -> None:
    shown = redaction.shown({**others, **parameters, "DBClusterIdentifier": "staging-shop"})
    assert SECRET not in json.dumps(shown)
    assert shown["DBClusterIdentifier"] == "staging-shop"
    assert redaction.WITHHELD in shown
    assert SECRET not in redaction.subject(shown)


@given(st.dictionaries(unknown, secrets, max_size=3))
def test_a_secret_as_the_key_of_a_map_is_not_let_through_either(parameters) -> None:
    for name in ("Tags", "tags", "Metadata", "Variables", "ServerlessV2ScalingConfiguration", "x"):
        shown = redaction.shown({name: {SECRET: "x", f"{SECRET}Size": True, **parameters}})
        assert SECRET not in json.dumps(shown)


@pytest.mark.parametrize("name", ["DBClusterIdentifier", "SecretId", "Bucket", "ResourceName"])
@pytest.mark.parametrize("value", ["two words", "line\nbreak", '{"password": "x"}', "é", "x" * 1025, "", b"bytes"])
def test_what_does_not_look_like_a_name_is_none(name, value) -> None:
    assert redaction.shown({name: value}) == {redaction.WITHHELD: ["1 others"]}


def test_identifiers_and_settings_are_shown() -> None:
    parameters = {
        "DBClusterIdentifier": "staging-shop",
        "KmsKeyId": "alias/shop",
        "VpcSecurityGroupIds": ["sg-1", "sg-2"],
        "RestoreToTime": datetime(2026, 7, 1, tzinfo=UTC),
        "SkipFinalSnapshot": True,
        "BackupRetentionPeriod": 7,
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "Secret": "x"},
        "Tags": [
            {"Key": "aurora-ops:run", "Value": "a/b"},
            {"Key": "Owner", "Value": "ann"},
            {"Key": "refresh", "Value": "true"},
        ],
        "MasterUserPassword": "x",
        "ManageMasterUserPassword": True,
        "EngineVersion": None,
        "Novelty": "x",
    }
    assert redaction.shown(parameters) == {
        "DBClusterIdentifier": "staging-shop",
        "KmsKeyId": "alias/shop",
        "VpcSecurityGroupIds": ["sg-1", "sg-2"],
        "RestoreToTime": datetime(2026, 7, 1, tzinfo=UTC),
        "SkipFinalSnapshot": True,
        "BackupRetentionPeriod": 7,
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "withheld": ["1 others"]},
        "Tags": {"aurora-ops:run": "a/b", "refresh": "true"},
        "ManageMasterUserPassword": True,
        "withheld": ["MasterUserPassword", "1 others"],
    }


def test_tags_as_a_map_and_lists_that_are_long() -> None:
    assert redaction.shown({"tags": {"aurora-ops:owner": "aurora-ops", "x": "y"}}) == {
        "tags": {"aurora-ops:owner": "aurora-ops"}
    }
    objects = {"Objects": [{"Key": f"k{n}"} for n in range(60)], "Quiet": True}
    shown = redaction.shown({"Bucket": "b", "Delete": objects})
    assert len(shown["Delete"]["Objects"]) == 51
    assert shown["Delete"]["Objects"][-1] == "10 others"


def test_the_subject_names_resources_and_no_key() -> None:
    shown = redaction.shown(
        {"DBClusterIdentifier": "a", "KmsKeyId": "alias/x", "Engine": "aurora-mysql", "ResourceName": "arn:b"}
    )
    assert redaction.subject(shown) == "a arn:b"


def test_what_was_made_is_named_two_levels_deep() -> None:
    answer = {
        "DBCluster": {"DbClusterResourceId": "cluster-A", "DBClusterArn": "arn:a", "MasterUsername": "admin"},
        "GrantToken": "t",
        "VersionId": "two words",
        "Deep": {"er": {"FileSystemId": "fs-1"}},
    }
    assert redaction.made(answer) == {"DbClusterResourceId": "cluster-A", "DBClusterArn": "arn:a"}


SUSPICIOUS = re.compile(r"password|token|secret(string|binary|access)|credential|privatekey|authorization", re.I)

IDS_OF_KEYS = {
    "KeyId",
    "SSEKMSKeyId",
    "KMSMasterKeyID",
    "KmsKeyId",
    "KmsKeyArn",
    "KMSKeyArn",
    "KMSKeyId",
}  # names, though S3 calls them sensitive


def members(shape: Any, seen: set[str]) -> list[tuple[str, Any]]:
    """Every member of a shape, however deep."""
    if shape is None or shape.name in seen:
        return []
    seen.add(shape.name)
    match shape.type_name:
        case "structure":
            return [pair for name, inner in shape.members.items() for pair in [(name, inner), *members(inner, seen)]]
        case "list":
            return members(shape.member, seen)
        case "map":
            return members(shape.value, seen)
    return []


SERVICES = sorted({hook.service for hook in HOOKS.values()} | {"s3", "kms", "ssm", "resourcegroupstaggingapi"})
SERVICES.remove("kubernetes")


@pytest.mark.parametrize("service", SERVICES)
def test_no_parameter_that_aws_itself_calls_sensitive_is_shown(service) -> None:
    model = botocore.session.get_session().get_service_model(service)
    shown = {
        f"{operation}.{name}"
        for operation in model.operation_names
        for name, shape in members(model.operation_model(operation).input_shape, set())
        if shape.type_name in ("string", "blob")
        and (SUSPICIOUS.search(name) or (shape.metadata.get("sensitive") and name not in IDS_OF_KEYS))
        and redaction.is_shown(name)
    }
    assert shown == set()
