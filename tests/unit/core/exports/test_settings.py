"""The settings of exports: wrong ones are refused with field, value and remedy before anything is asked of AWS."""

from __future__ import annotations

import pytest
from aurora_ops.core.environments import problems_of
from aurora_ops.core.settings_exports import Exports
from pydantic import ValidationError

SHOP = {"name": "shop", "cluster": "prod-shop"}


def exports(*databases: dict, **more) -> Exports:
    return Exports.model_validate({"state_table": "aurora-ops-exports", "databases": list(databases or [SHOP]), **more})


def refusal(*databases: dict, **more) -> str:
    with pytest.raises(ValidationError) as caught:
        exports(*databases, **more)
    return "; ".join(str(problem) for problem in problems_of(caught.value))


def test_a_database_takes_two_lines() -> None:
    (shop,) = exports().databases
    assert (shop.database_id, shop.glue_database, shop.frequency) == ("prod-shop", "shop", "daily")
    assert shop.snapshots == ["automated", "manual", "backup"]


def test_the_founding_document_s_retention_is_possible() -> None:
    kept = {"queryable_days": 7, "glacier_after_days": 7, "deep_archive_after_days": 97, "expire_after_days": 365}
    (shop,) = exports({**SHOP, "retention": kept}).databases
    assert shop.retention.readable_days == 7
    assert exports().databases[0].retention.readable_days is None


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"prefix": "exports/"}, "prefix", "slash at either end"),
        ({"prefix": "/exports"}, "prefix", "slash at either end"),
        ({"prefix": "exports/2026-01-01T02:00"}, "prefix", "colon"),
        ({"prefix": "a//b"}, "prefix", "single slashes"),
        ({"export_only": ["shop.customers; drop"]}, "export_only", "database or database.table"),
        ({"export_only": ["shop.a.b"]}, "export_only", "database or database.table"),
        ({"export_only": ["shop", "shop"]}, "export_only", "once"),
        ({"export_only": [f"shop.{'t' * 40}{n:05d}" for n in range(5000)]}, "export_only", "200 KB"),
        ({"instance": "prod-old"}, "cluster", "either a cluster or an instance"),
        ({"cluster": None}, "cluster", "either a cluster or an instance"),
        ({"name": "Shop"}, "name", "pattern"),
        ({"name": "a--b"}, "name", "pattern"),
        ({"name": "a" * 31}, "name", "30"),
        ({"kms_key_id": "alias/aws/rds"}, "kms_key_id", "customer key"),
        ({"kms_key_id": "alias/aws/s3"}, "kms_key_id", "customer key"),
        ({"role_arn": "export-role"}, "role_arn", "pattern"),
        ({"snapshots": []}, "snapshots", "at least 1"),
        ({"snapshots": ["shared"]}, "snapshots", "automated"),
        ({"least_rows": {"customers": 1}}, "least_rows", "database.table"),
        ({"least_rows": {"shop.customers": -1}}, "least_rows", "greater than or equal to 0"),
        (
            {"retention": {"queryable_days": 30, "glacier_after_days": 7}},
            "glacier_after_days",
            "at least queryable_days",
        ),
        (
            {"retention": {"queryable_days": 30, "expire_after_days": 29}},
            "expire_after_days",
            "at least queryable_days",
        ),
        (
            {"retention": {"queryable_days": 7, "glacier_after_days": 7, "deep_archive_after_days": 96}},
            "deep_archive_after_days",
            "at least 97",
        ),
        (
            {"retention": {"queryable_days": 7, "glacier_after_days": 7, "expire_after_days": 7}},
            "expire_after_days",
            "above 7",
        ),
        ({"copy_first": {}}, "kms_key_id", "required"),
        ({"bucket_name": "x"}, "bucket_name", "no such setting"),
    ],
)
def test_a_wrong_value_is_named(change, field, says) -> None:
    told = refusal({**SHOP, **change})
    assert field in told
    assert says in told


@pytest.mark.parametrize(
    ("others", "says"),
    [
        ({**SHOP, "cluster": "other"}, "each name"),
        ({"name": "again", "cluster": "prod-shop"}, "each database"),
        ({"name": "again", "cluster": "other", "catalogue": {"database": "shop"}}, "each Glue database"),
    ],
)
def test_a_database_is_there_once(others, says) -> None:
    assert says in refusal(SHOP, others)


def test_the_same_cluster_name_in_another_account_is_another_database() -> None:
    assert len(exports(SHOP, {"name": "staging", "cluster": "prod-shop", "account": "target"}).databases) == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"schedule": "nightly"}, "schedule"),
        ({"most_running": 0}, "most_running"),
        ({"most_attempts": 0}, "most_attempts"),
        ({"deadline_h": 0}, "deadline_h"),
        ({"on_deadline": "kill"}, "on_deadline"),
        ({"databases": []}, "databases"),
        ({"events": {"queue": "q ueue"}}, "queue"),
    ],
)
def test_wrong_settings_of_all_are_named(change, field) -> None:
    assert field in refusal(**change)
