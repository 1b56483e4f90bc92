"""What a prerequisite must be like: each judgement with its remedy, and the table."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from aurora_ops.core import preflight
from aurora_ops.core.preflight import Finding, Row
from hypothesis import given
from hypothesis import strategies as st

HERE = "eu-west-1"
V8 = "8.0.mysql_aurora.3.08.2"
LOGIN = ("username", "password")
ROLE = "arn:aws:sts::222222222222:assumed-role/aurora-ops-destination/airflow"
KEY = "arn:aws:kms:eu-west-1:222222222222:key/k"
NOW = datetime(2026, 7, 1, 6, tzinfo=UTC)


def rule(source="sg-1", port=3306, protocol="tcp", part="UserIdGroupPairs", name="GroupId", to=None) -> dict:
    return {"IpProtocol": protocol, "FromPort": port, "ToPort": to or port, part: [{name: source}]}


def world(part="IpRanges", name="CidrIp", source="0.0.0.0/0", **more) -> dict:
    return rule(source, part=part, name=name, **more)


def group(*rules: dict, name="db") -> dict:
    return {"GroupId": "sg-0", "GroupName": name, "IpPermissions": list(rules)}


def table(*keys: tuple[str, str, str], status="ACTIVE") -> dict:
    return {
        "TableStatus": status,
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind, _ in keys],
        "KeySchema": [{"AttributeName": name, "KeyType": role} for name, _, role in keys],
    }


PK, SK = ("pk", "S", "HASH"), ("sk", "S", "RANGE")
ALL_BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
ZONE = {name: {"SubnetAvailabilityZone": {"Name": f"eu-west-1{name}"}} for name in "abc"}


@pytest.mark.parametrize(
    ("finding", "status", "found", "remedy"),
    [
        (preflight.identity(("2", ROLE), "aws_x"), "pass", ROLE, ""),
        (preflight.identity(("2", "arn:aws:iam::2:user/airflow"), "aws_x"), "warn", "user/airflow", "give aws_x a role_arn"),
        (preflight.account(("2", ROLE), "2", "aws_x"), "pass", "2", ""),
        (preflight.account(("1", ROLE), "2", "aws_x"), "fail", "1", "it must be 2: create the connection aws_x"),
        (preflight.role(("2", ROLE), "arn:aws:iam::2:role/aurora-ops-destination"), "pass", "aurora-ops-destination", ""),
        (preflight.role(("2", ROLE), "arn:aws:iam::2:role/path/other"), "fail", "aurora-ops-destination", "make it other"),
        (preflight.role(("2", "arn:aws:iam::2:user/u"), "arn:aws:iam::2:role/r"), "fail", "user/u", "make it r"),
        (preflight.trails(["org", "all"]), "pass", "all, org", ""),
        (preflight.trails([]), "warn", "none is on", "switch a trail of CloudTrail on"),
        (preflight.quota((10, 40), 2), "pass", "10 of 40 used", ""),
        (preflight.quota((32, 40), 2), "warn", "32 of 40 used", "raise the quota before it is full"),
        (preflight.quota((38, 40), 2), "warn", "38 of 40 used", "raise"),
        (preflight.quota((39, 40), 2), "fail", "39 of 40 used", "a run needs 2 more"),
        (preflight.quota(None, 2), "warn", "AWS does not tell", "see that 2 more are allowed"),
        (preflight.copies(4), "pass", "4 of 5 under way", ""),
        (preflight.copies(5), "warn", "5 of 5 under way", "refuses a further one"),
        (preflight.key(None, region=HERE), "fail", "there is none", "create it"),
        (preflight.key({"Arn": KEY}, region=HERE), "pass", KEY, ""),
        (preflight.key({"Arn": KEY}, region="eu-central-1"), "fail", "of another region", "name a key of eu-central-1"),
        (preflight.key({"Arn": KEY, "Enabled": False, "KeyState": "Disabled"}, region=HERE), "fail", "is Disabled", "enable it"),
        (preflight.key({"Arn": KEY, "KeyState": "PendingDeletion"}, region=HERE), "fail", "is PendingDeletion", "cancel"),
        (preflight.key({"Arn": KEY, "KeyUsage": "SIGN_VERIFY"}, region=HERE), "fail", "SIGN_VERIFY", "symmetric"),
        (preflight.key({"Arn": KEY, "KeySpec": "RSA_2048"}, region=HERE), "fail", "RSA_2048", "symmetric"),
        (preflight.key({"Arn": KEY, "KeyManager": "AWS"}, region=HERE), "warn", "managed by AWS", "use a customer key"),
        (preflight.secret(None, LOGIN), "fail", "there is none", "create it, as JSON with username and password"),
        (preflight.secret({"username": "u"}, LOGIN), "fail", "without password", "write password into it"),
        (preflight.secret({"username": "", "password": 7}, LOGIN), "fail", "without username, password", "write"),
        (preflight.secret({"username": "u", "password": "p", "host": "h"}, LOGIN), "pass", "username, password", ""),
        (preflight.salt({"salt": "x" * 15}), "fail", "its salt is short", "at least 16"),
        (preflight.salt({"salt": "x" * 16}), "pass", "salt", ""),
        (preflight.salt({}), "fail", "without salt", "write salt into it"),
        (preflight.salt(None), "fail", "there is none", "create it"),
        (preflight.subnet_group({"Subnets": [ZONE["b"], ZONE["a"], ZONE["a"]]}), "pass", "zones: eu-west-1a, eu-west-1b", ""),
        (preflight.subnet_group({"Subnets": [ZONE["a"], ZONE["a"]]}), "fail", "zones: eu-west-1a", "two zones"),
        (preflight.subnet_group({}), "fail", "zones: none", "two zones"),
        (preflight.subnet_group({"Subnets": [*ZONE.values()], "SubnetGroupStatus": "Invalid"}), "fail", "it is Invalid", "mend"),
        (preflight.parameter_group({"DBParameterGroupFamily": "aurora-mysql8.0"}, V8), "pass", "8.0", ""),
        (preflight.parameter_group({"DBParameterGroupFamily": "aurora-mysql5.7"}, V8), "fail", "5.7", "mysql8.0"),
        (preflight.parameter_group({"DBParameterGroupFamily": "aurora-mysql8.0"}, ""), "warn", "8.0", "not known"),
        (preflight.table_keys(table(PK, SK)), "pass", "ACTIVE, keys pk and sk", ""),
        (preflight.table_keys(table(PK, SK, status="CREATING")), "fail", "it is CREATING", "wait"),
        (preflight.table_keys(table(PK)), "fail", "keys: pk (S, HASH)", "sort key sk"),
        (preflight.table_keys(table(PK, ("sk", "N", "RANGE"))), "fail", "sk (N, RANGE)", "both strings"),
        (preflight.table_lifetime({"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}), "pass", "on expires_at", ""),
        (preflight.table_lifetime({"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}), "fail", "on ttl", "set it on"),
        (preflight.table_lifetime({"TimeToLiveStatus": "DISABLED"}), "fail", "it is DISABLED", "expires_at"),
        (preflight.table_lifetime({}), "fail", "it is off", "expires_at"),
        (preflight.table_encryption({"SSEDescription": {"KMSMasterKeyArn": KEY}}), "pass", KEY, ""),
        (preflight.table_encryption({}), "warn", "under a key that AWS owns", "KMS"),
        (preflight.table_recovery({"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}), "pass", "on", ""),
        (preflight.table_recovery({}), "warn", "off", "switch point-in-time recovery on"),
        (preflight.topic(["arn:aws:sns:1", "PendingConfirmation"]), "pass", "1 subscribed", ""),
        (preflight.topic(["PendingConfirmation"]), "warn", "1 asked to confirm", "have them confirm"),
        (preflight.topic([]), "warn", "nobody is subscribed", "subscribe somebody"),
        (preflight.bucket_encryption([{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]), "pass", "aws:kms", ""),
        (preflight.bucket_encryption([]), "fail", "none", "SSE-S3"),
        (preflight.public_access(ALL_BLOCKED), "pass", "blocked", ""),
        (preflight.public_access({**ALL_BLOCKED, "BlockPublicPolicy": False}), "fail", "without BlockPublicPolicy", "block"),
        (preflight.public_access(None), "fail", "without BlockPublicAcls, IgnorePublicAcls", "block"),
        (preflight.versioning("Enabled"), "pass", "on", ""),
        (preflight.versioning("Suspended"), "warn", "suspended", "switch versioning on"),
        (preflight.versioning(None), "warn", "off", "switch versioning on"),
    ],
)  # fmt: skip
def test_judgements(finding, status, found, remedy) -> None:
    assert finding.status == status
    assert found in finding.found
    assert remedy in finding.remedy
    assert bool(finding.remedy) is (status != "pass"), "a remedy for what is not right, and for nothing else"


@pytest.mark.parametrize(
    ("rules", "isolated", "serving"),
    [
        ([rule()], "pass", "pass"),
        ([world(source="10.0.0.0/8")], "pass", "pass"),
        ([rule("pl-1", part="PrefixListIds", name="PrefixListId")], "pass", "pass"),
        ([world()], "fail", "warn"),
        ([world(part="Ipv6Ranges", name="CidrIpv6", source="::/0")], "fail", "warn"),
        ([rule(), world()], "fail", "warn"),
        ([world(protocol="-1", port=-1)], "fail", "warn"),
        ([world(port=0, to=65535)], "fail", "warn"),
        ([world(port=3300, to=3310)], "fail", "warn"),
        ([world(port=443), rule()], "pass", "pass"),
        ([world(protocol="udp"), rule()], "pass", "pass"),
        ([world(port=443)], "warn", "warn"),
        ([], "warn", "warn"),
    ],
)
def test_who_is_let_in(rules, isolated, serving) -> None:
    assert preflight.security_group(group(*rules), 3306, isolated=True).status == isolated
    assert preflight.security_group(group(*rules), 3306, isolated=False).status == serving


def test_the_default_group_is_nobodys() -> None:
    assert preflight.security_group(group(rule(), name="default"), 3306, isolated=False).status == "fail"


def test_who_is_let_in_is_told() -> None:
    found = preflight.security_group(group(rule("sg-2"), rule("sg-1")), 3306, isolated=True)
    assert found.found == "on 3306: sg-1, sg-2"


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(min_size=3), st.integers(), st.none())))
def test_what_is_in_a_secret_is_never_told(value) -> None:
    told = " ".join(preflight.secret(value, ("username", "password")))
    for inner in value.values():
        if isinstance(inner, str) and inner not in "pass fail without username, password write and into it, as text":
            assert inner not in told


@pytest.mark.parametrize(
    ("version", "family"),
    [("8.0.mysql_aurora.3.08.2", "aurora-mysql8.0"), ("5.7.mysql_aurora.2.11.6", "aurora-mysql5.7"), ("15.4", None), ("", None)],
)  # fmt: skip
def test_family_of_a_version(version, family) -> None:
    assert preflight.engine_family(version) == family


ROWS = [
    Row("target", "key", "alias/a|b", Finding("pass", "arn:key")),
    Row("source", "snapshots", "prod", Finding("fail", "'x'", "take one")),
    Row("orchestrator", "topic", "<b>", Finding("warn", "nobody", "subscribe")),
]


def test_the_table_has_failures_first() -> None:
    text = preflight.text("staging", ROWS)
    lines = text.splitlines()
    assert lines[0] == "# Preflight of staging: 1 fail, 1 warn, 1 pass"
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| fail", "| warn", "| pass"]
    assert lines[4] == "| fail | source | snapshots | `prod` | 'x' | take one |"
    assert "`alias/a\\|b`" in lines[6]


def test_only_failures_are_named_in_the_error() -> None:
    assert preflight.failures(ROWS) == "- source, snapshots of prod: 'x'; take one"
    assert preflight.failures(ROWS[:1]) == ""


def test_page_and_data() -> None:
    page = preflight.page("staging", ROWS, run="preflight/r", now=NOW).decode()
    assert '<th scope="row" class="bad">fail</th><td>source</td>' in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    data = preflight.data("staging", ROWS, run="preflight/r", now=NOW)
    assert json.loads(json.dumps(data)) == data
    assert data["counts"] == {"fail": 1, "warn": 1, "pass": 1}
    assert data["rows"][1] == {
        "status": "fail", "where": "source", "check": "snapshots", "of": "prod", "found": "'x'", "remedy": "take one",
    }  # fmt: skip
