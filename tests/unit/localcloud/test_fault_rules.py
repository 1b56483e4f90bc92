"""Which calls a fault rule strikes, and which rules are refused."""

from __future__ import annotations

import dataclasses
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud import __main__ as cli
from localcloud.faults import COUNTERS, EFFECTS, TERMINAL, Faults, Rule, RuleError, parse, read_file

ACCOUNT = "222222222222"
RESTORE = {
    "DBClusterIdentifier": "staging-shop-restore",
    "SnapshotIdentifier": "arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:Daily-1",
    "Tags": [{"Key": "owner", "Value": "somebody"}],
}


def struck(faults: Faults, calls: int, **call: object) -> list[int]:
    """The numbers, from 1, of the calls that were struck."""
    what = {"account": ACCOUNT, "service": "rds", "action": "DescribeDBClusters", "parameters": {}, **call}
    return [number for number in range(1, calls + 1) if faults.strike(**what)]  # type: ignore[arg-type]


def a_rule(**changes: object) -> dict[str, object]:
    return {"service": "rds", "action": "DescribeDBClusters", **changes}


@given(nth=st.integers(1, 12), calls=st.integers(0, 20))
def test_nth_strikes_that_call_alone(nth: int, calls: int) -> None:
    faults = Faults()
    faults.add(a_rule(nth=nth))
    assert struck(faults, calls) == ([nth] if nth <= calls else [])


@given(after=st.integers(0, 8), times=st.integers(0, 8), calls=st.integers(0, 20))
def test_after_and_times_are_a_window(after: int, times: int, calls: int) -> None:
    faults = Faults()
    faults.add(a_rule(after=after, times=times))
    last = after + times if times else calls
    assert struck(faults, calls) == list(range(after + 1, min(last, calls) + 1))
    [rule] = faults.list({})["rules"].values()
    assert rule["seen"] == calls
    assert rule["hits"] == max(0, min(last, calls) - after)


@given(first=st.integers(0, 4), second=st.integers(1, 4), calls=st.integers(0, 12), pause=st.integers(0, 12))
def test_counts_survive_a_dump(first: int, second: int, calls: int, pause: int) -> None:
    whole, broken = Faults(), Faults()
    for faults in (whole, broken):
        faults.add(a_rule(after=first, times=second))
    before = struck(broken, min(pause, calls))
    again = Faults()
    again.load(broken.dump())
    rest = struck(again, calls - min(pause, calls))
    assert struck(whole, calls) == before + [number + min(pause, calls) for number in rest]
    assert again.add(a_rule())["rule"] == 2


def test_two_rules_strike_one_after_the_other() -> None:
    faults = Faults()
    faults.add(a_rule(times=1))
    faults.add(a_rule(times=2, effect="slow"))
    what = (ACCOUNT, "rds", "DescribeDBClusters", {})
    strikes = [faults.strike(*what) for _ in range(4)]
    assert [strike and strike.number for strike in strikes] == [1, 2, 2, None]


@pytest.mark.parametrize(
    ("field", "value", "matches"),
    [
        ("service", "r*", True),
        ("service", "s3", False),
        ("action", "*Restore*", True),
        ("action", "Restore?BClusterFromSnapshot", True),
        ("action", "restoredbclusterfromsnapshot", False),
        ("account", ACCOUNT, True),
        ("account", "111111111111", False),
        ("match", '"owner"', True),
        ("match", '"Owner"', False),
        ("resource", "staging-shop-restore", True),
        ("resource", "staging-*", True),
        ("resource", "staging-shop", False),
        ("resource", "daily-*", True),
        ("resource", "arn:aws:rds:*:111111111111:*", True),
        ("resource", "DBClusterIdentifier", False),
    ],
)
def test_a_rule_is_about_these_calls(field: str, value: str, matches: bool) -> None:
    rule = Rule(**{"service": "rds", "action": "*", field: value})
    assert rule.matches(ACCOUNT, "rds", "RestoreDBClusterFromSnapshot", RESTORE) is matches


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"action": "DescribeDBClusters"}, ["service is missing", "pattern"]),
        (a_rule(wrong=1), ["'wrong'", "nth"]),
        (a_rule(times="2"), ["times='2'", "whole number"]),
        (a_rule(times=True), ["times=True", "whole number"]),
        (a_rule(times=-1), ["times=-1", "below 0"]),
        (a_rule(nth=2, times=3), ["nth=2", "excludes"]),
        (a_rule(account="12"), ["account='12'", "12 digits"]),
        (a_rule(service="RDS"), ["service='RDS'", "boto3"]),
        (a_rule(action="DescribeDBclusters"), ["action='DescribeDBclusters'", "DescribeDBClusters"]),
        (a_rule(effect="explode"), ["effect='explode'", *EFFECTS]),
        (a_rule(effect="error"), ["code is missing"]),
        (a_rule(effect="hang", code="X"), ["code='X'", "error, not hang"]),
        (a_rule(effect="hang", hang_s=9999), ["hang_s=9999", "3600"]),
        (a_rule(code="X", status=200), ["status=200", "400 to 599"]),
        (a_rule(effect="status"), ["becomes=''", *sorted(TERMINAL)]),
        (a_rule(effect="status", becomes="sad"), ["becomes='sad'", "incompatible-restore"]),
        (a_rule(effect="status", becomes="FAILED"), ["becomes='FAILED'", "failed"]),
        (a_rule(action="StartExportTask", effect="status", becomes="failed"), ["becomes='failed'", "IN_PROGRESS"]),
        (a_rule(effect="status", becomes="failed", message="why"), ["message='why'", "export task"]),
        ({"service": "s3", "action": "*", "effect": "status", "becomes": "failed"}, ["service='s3'", "only rds"]),
    ],
)
def test_a_wrong_rule_is_refused_by_field_value_and_what_is_allowed(rule: dict, words: list[str]) -> None:
    with pytest.raises(RuleError) as caught:
        parse(rule)
    for word in words:
        assert word in str(caught.value)


def test_a_throttle_has_the_code_of_its_service() -> None:
    rule = parse({"service": "*", "action": "*"})
    answers = {service: rule.answer(service)[::2] for service in ("rds", "s3", "ec2", "ssm", "kms", "sts", "dynamodb")}
    assert answers == {
        "rds": ("Throttling", 400),
        "s3": ("SlowDown", 503),
        "ec2": ("RequestLimitExceeded", 503),
        "ssm": ("ThrottlingException", 400),
        "kms": ("ThrottlingException", 400),
        "sts": ("Throttling", 400),
        "dynamodb": ("ProvisionedThroughputExceededException", 400),
    }


def test_the_file_is_read_again_when_it_changes_and_a_wrong_one_changes_nothing(tmp_path) -> None:
    path = tmp_path / "faults.yaml"
    faults = Faults(path)
    faults.add(a_rule(action="CopyDBClusterSnapshot"))
    assert struck(faults, 1) == []
    path.write_text("- {service: rds, action: Describe*, times: 0}\n")
    assert struck(faults, 2) == [1, 2]
    path.write_text("- {service: rds, action: Describe*, effect: explode}\n")
    os.utime(path, ns=(1, 1))
    assert struck(faults, 2) == [1, 2]
    assert "rule 1: effect='explode'" in faults.list({})["file_problem"]
    path.unlink()
    assert struck(faults, 2) == []
    assert [rule["source"] for rule in faults.list({})["rules"].values()] == ["http"]


@pytest.mark.parametrize("text", ["service: rds", "- [", "- 3"])
def test_a_file_that_is_no_list_of_rules_is_refused(tmp_path, text: str) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(RuleError, match=r"faults\.yaml"):
        read_file(path)


def test_the_command_line_knows_every_field() -> None:
    assert set(cli.FAULT_FIELDS) == {field.name for field in dataclasses.fields(Rule)} - COUNTERS
