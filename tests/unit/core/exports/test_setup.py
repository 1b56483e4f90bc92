"""What exports need: stacks, parameters, and what a person is warned of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aurora_ops.core.exports import names, setup
from aurora_ops.core.settings_exports import ExportedDatabase, Exports
from hypothesis import given
from hypothesis import strategies as st

ACCOUNT, REGION = "111111111111", "eu-west-1"
LATER = {"queryable_days": 40, "glacier_after_days": 40}
SOON = {"queryable_days": 7, "glacier_after_days": 7, "deep_archive_after_days": 97, "expire_after_days": 365}


def database(**changes: Any) -> ExportedDatabase:
    return ExportedDatabase.model_validate({"name": "shop", "cluster": "prod-shop", **changes})


def exports(*databases: dict[str, Any], **changes: Any) -> Exports:
    return Exports.model_validate({"state_table": "states", "events": {}, "databases": list(databases), **changes})


def settings(**changes: Any) -> Any:
    source = SimpleNamespace(account_id=ACCOUNT, region=REGION)
    target = SimpleNamespace(account_id="222222222222", region=REGION)
    return SimpleNamespace(**{"environment": "staging", "source": source, "target": target, **changes})


def warned(**changes: Any) -> list[str]:
    return list(setup.warnings_of(database(**changes)))


def test_there_is_one_stack_of_events_in_each_account_and_region() -> None:
    about = exports(
        {"name": "a", "cluster": "a"},
        {"name": "b", "cluster": "b"},
        {"name": "c", "cluster": "c", "account": "target"},
    )
    found = setup.of_events(settings(), about, about.databases)
    assert [(one.account, one.name) for one in found] == [
        ("source", "aurora-ops-staging-snapshot-events"),
        ("target", "aurora-ops-staging-snapshot-events"),
    ]
    assert found[0].parameters["QueueName"] == names.queue("staging")
    one_place = settings(target=settings().source)
    assert len(setup.of_events(one_place, about, about.databases)) == 1


@pytest.mark.parametrize("changes", [{"events": None}, {"events": {"queue": "mine"}}])
def test_there_is_none_without_events_or_with_a_queue_of_ones_own(changes) -> None:
    about = exports({"name": "a", "cluster": "a"}, **changes)
    assert setup.of_events(settings(), about, about.databases) == []


def test_what_the_settings_leave_out_is_made_under_the_names_that_exports_use() -> None:
    found = setup.of_database(database(), ACCOUNT, REGION, None).parameters
    assert found["BucketName"] == names.setup("shop", ACCOUNT)
    assert (found["RoleName"], found["KeyAlias"]) == (names.role("shop"), names.alias("shop"))
    assert (found["MakeBucket"], found["KeyArn"], found["RoleArn"]) == ("yes", "", "")
    assert (found["WorkgroupName"], found["CrawlerName"]) == (names.workgroup("shop"), "")
    assert set(map(type, found.values())) == {str}, "CloudFormation takes texts"


@given(st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True).filter(lambda name: len(name) <= 30))
def test_every_name_of_an_export_makes_legal_names(name) -> None:
    found = setup.of_database(database(name=name), ACCOUNT, REGION, None)
    assert len(found.name) <= 128
    assert len(found.parameters["BucketName"]) <= 63
    assert max(len(found.parameters[key]) for key in ("RoleName", "CrawlerRoleName")) <= 64
    assert found.name.replace("-", "").isalnum()


@given(st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True))
def test_every_name_of_an_environment_makes_legal_names(environment) -> None:
    longest = {
        names.queue: 80,
        names.dead_letters: 80,
        names.topic: 63,
        names.events_stack: 128,
    }
    for make, most in longest.items():
        assert len(make(environment)) <= most
        assert make(environment).replace("-", "").isalnum(), "a stack's name has no underscore"
    assert names.dead_letters(environment) == names.queue(environment) + "-dead"


def test_nothing_is_warned_of_where_athena_sees_everything() -> None:
    assert warned() == warned(retention=LATER) == []


def test_partitions_that_stay_without_objects_are_warned_of() -> None:
    (found,) = warned(retention={**LATER, "archived_partitions": "keep"})
    assert "for 40 days, but its partition stays in the catalogue" in found
    assert warned(retention={"archived_partitions": "keep"}) == [], "nothing is ever moved"


def test_tables_of_a_crawler_stay_whatever_becomes_of_partitions() -> None:
    (found,) = warned(retention=LATER, catalogue={"by": "crawler"})
    assert "tables that the crawler makes" in found


def test_seven_days_leave_little() -> None:
    (found,) = warned(retention=SOON)
    assert "the last 7 days only" in found


@pytest.mark.parametrize(("frequency", "period"), [("weekly", 7), ("monthly", 31)])
def test_no_export_at_all_between_two_is_warned_of(frequency, period) -> None:
    (found,) = warned(retention=SOON, frequency=frequency)
    assert f"the next one comes after {period}: at times there is none" in found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bucket": "mine"}, "readable for 365 days"),
        ({"role_arn": "arn:aws:iam::111111111111:role/mine"}, "export.rds.amazonaws.com may assume it"),
        ({"kms_key_id": "alias/mine"}, "its policy lets the role use it"),
        ({"catalogue": {"workgroup": "mine"}}, "its answers are encrypted"),
    ],
)
def test_what_is_named_is_not_made_and_that_is_said(changes, words) -> None:
    (found,) = warned(**changes)
    assert "neither made nor changed" in found
    assert words in found
