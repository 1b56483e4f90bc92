"""What the template of the bucket for audit logs promises: legal, closed, versioned, and kept as the parameters say."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from aurora_ops.core import environments
from aurora_ops.core.settings_audit_compaction import Compaction
from aurora_ops.core.settings_audit_logs import AuditLogs
from cfnlint.api import lint

from devstack.settings import REPO
from tests.contracts.cfn import Loader, evaluated

PATH = REPO / "include" / "templates" / "audit-logs.yaml"


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return yaml.load(PATH.read_text(), Loader)


@pytest.fixture(scope="module")
def bucket(template) -> dict[str, Any]:
    return template["Resources"]["Bucket"]["Properties"]


@pytest.fixture(scope="module")
def statements(template) -> dict[str, dict[str, Any]]:
    found = template["Resources"]["Policy"]["Properties"]["PolicyDocument"]["Statement"]
    return {one["Sid"]: one for one in found}


def rules(template, bucket, **given: Any) -> dict[str, dict[str, Any]]:
    found = evaluated(template, bucket["LifecycleConfiguration"]["Rules"], BucketName="b", **given)
    return {one["Id"]: one for one in found}


def test_cfn_lint_finds_nothing() -> None:
    assert [str(found) for found in lint(PATH.read_text())] == []


def test_cfn_lint_would_find_something() -> None:
    assert lint(PATH.read_text().replace("AWS::S3::BucketPolicy", "AWS::S3::BucketPolizei"))


def test_defaults_are_those_of_the_settings(template) -> None:
    defaults = {name: one.get("Default") for name, one in template["Parameters"].items()}
    compaction = Compaction.model_validate({})
    assert defaults["LogPrefix"] == AuditLogs.model_fields["prefix"].default
    assert (defaults["RecordPrefix"], defaults["DatabaseName"]) == (compaction.prefix, compaction.database)
    settings = environments.resolve(environments.read(REPO / "include" / "config" / "staging.yaml")).settings
    assert settings.audit_logs is not None
    assert settings.audit_logs.compaction is not None


def test_bucket_is_closed_versioned_encrypted_and_outlives_the_stack(template, bucket) -> None:
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    whole = template["Resources"]["Bucket"]
    assert whole["DeletionPolicy"] == whole["UpdateReplacePolicy"] == "Retain"
    encryption = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]
    plain = evaluated(template, encryption)["ServerSideEncryptionByDefault"]
    assert plain == {"SSEAlgorithm": "AES256", "KMSMasterKeyID": None}
    keyed = evaluated(template, encryption, KmsKeyArn="arn:k")["ServerSideEncryptionByDefault"]
    assert keyed == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:k"}


def test_nobody_comes_without_tls_deletes_logs_or_puts_over_them(statements) -> None:
    assert {one["Effect"] for one in statements.values()} == {"Deny"}
    assert {one["Principal"] for one in statements.values()} == {"*"}
    for sid in ("OnlyEncryptedConnections", "OnlyModernTls"):
        assert statements[sid]["Action"] == "s3:*"
        assert statements[sid]["Resource"] == [["GetAtt", "Bucket.Arn"], ["Sub", "${Bucket.Arn}/*"]]
    logs = ["Sub", "${Bucket.Arn}/${LogPrefix}/*"]
    assert statements["NobodyDeletesLogs"]["Resource"] == statements["NothingIsPutOverLogs"]["Resource"] == logs
    assert set(statements["NobodyDeletesLogs"]["Action"]) == {"s3:DeleteObject", "s3:DeleteObjectVersion"}
    assert "Condition" not in statements["NobodyDeletesLogs"]


@pytest.mark.parametrize(("kind", "days"), [("production", 2557), ("staging", 366), ("development", 31)])
def test_what_expires_follows_from_the_environment(template, bucket, kind, days) -> None:
    found = rules(template, bucket, EnvironmentKind=kind)
    assert {found[name]["ExpirationInDays"] for name in ("logs-expire", "records-expire")} == {days}
    assert {found[name]["Status"] for name in ("logs-expire", "records-expire")} == {"Enabled"}
    assert found["logs-expire"]["Prefix"] == "audit-logs/"
    assert found["records-expire"]["Prefix"] == "audit-records/"
    assert found["logs-to-cheaper-storage"]["Status"] == ("Enabled" if kind == "production" else "Disabled")


def test_days_may_be_named_and_a_hold_keeps_everything(template, bucket) -> None:
    assert rules(template, bucket, KeepDays=90)["logs-expire"]["ExpirationInDays"] == 90
    held = rules(template, bucket, Hold="yes")
    assert {held[name]["Status"] for name in ("logs-expire", "records-expire")} == {"Disabled"}


def test_objects_can_be_locked_or_held(template, bucket) -> None:
    assert bucket["ObjectLockEnabled"] is True
    lock = bucket["ObjectLockConfiguration"]
    assert evaluated(template, lock)["Rule"] is None
    locked = evaluated(template, lock, ObjectLock="COMPLIANCE", LockDays=10)["Rule"]
    assert locked == {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 10}}
