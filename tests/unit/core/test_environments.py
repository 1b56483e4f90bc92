"""Environment files and run parameters: where each value came from, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from aurora_ops.core import environments
from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.core.settings import RUN_PARAMS, RUN_SWITCHES

from devstack.settings import REPO
from tests.unit.core.samples import RAW, raw, settings

MISSING = object()


def test_every_value_knows_its_origin() -> None:
    resolved = environments.resolve(raw(), {"readers": 3, "snapshot": "newest", "old_cluster": None})
    assert resolved.settings.target.instances.readers == 3
    assert resolved.settings.source.snapshot == "newest"
    assert resolved.settings.target.old_cluster == "stop"
    assert resolved.origins["target.instances.readers"] == "param"
    assert resolved.origins["source.snapshot"] == "param"
    assert resolved.origins["target.instances.class"] == "file"
    assert "target.old_cluster" not in resolved.origins


@pytest.mark.parametrize("conf", [None, {}, dict.fromkeys(RUN_PARAMS)])
def test_empty_parameters_leave_the_file(conf) -> None:
    resolved = environments.resolve(raw(), conf)
    assert resolved.settings == settings()
    assert "param" not in resolved.origins.values()


def test_file_and_parameters_are_not_changed() -> None:
    content, conf = raw(), {"keep_tables": ["shop.a"]}
    resolved = environments.resolve(content, conf)
    resolved.settings.database.keep_tables.append("shop.b")
    assert content == RAW
    assert conf == {"keep_tables": ["shop.a"]}


GIVEN = [
    ("source_cluster", "prod-eu", lambda s: s.source.cluster),
    ("snapshot", "rds:prod-shop-2026-07-01-02-00", lambda s: s.source.snapshot),
    ("snapshot_max_age_h", 2.5, lambda s: s.source.snapshot_max_age_h),
    ("target_cluster", "staging-eu", lambda s: s.target.cluster),
    ("target_account_id", "333333333333", lambda s: s.target.account_id),
    ("instance_class", "db.serverless", lambda s: s.target.instances.instance_class),
    ("readers", 0, lambda s: s.target.instances.readers),
    ("old_cluster", "keep", lambda s: s.target.old_cluster),
    ("keep_tables", [], lambda s: s.database.keep_tables),
    ("sensitive_columns", ["shop.a.b"], lambda s: s.database.sensitive_columns),
    ("approval", True, lambda s: s.approval.required),
]


@pytest.mark.parametrize(("name", "value", "found"), GIVEN)
def test_each_parameter_reaches_its_setting(name, value, found) -> None:
    assert found(settings(conf={name: value})) == value


def test_every_parameter_is_tried_above() -> None:
    assert {name for name, _, _ in GIVEN} == set(RUN_PARAMS)


def test_unknown_parameter_is_refused_and_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="is not allowed") as raised:
        environments.resolve(raw(), {"snapshots": "newest"})
    assert raised.value.field == "snapshots"
    assert raised.value.value == "newest"
    assert str(sorted([*RUN_PARAMS, *RUN_SWITCHES])) in raised.value.allowed


@pytest.mark.parametrize(("value", "on"), [(True, {"dry_run"}), (False, set()), (None, set())])
def test_a_switch_is_no_setting(value, on) -> None:
    resolved = environments.resolve(raw(), {"dry_run": value})
    assert resolved.switches == on
    assert resolved.settings == environments.resolve(raw()).settings


@pytest.mark.parametrize("value", ["true", 1, "no", []])
def test_a_switch_is_on_or_off(value) -> None:
    with pytest.raises(ConfigError, match="dry_run"):
        environments.resolve(raw(), {"dry_run": value})


def test_a_person_is_asked_within_the_lease_only() -> None:
    wrong = {"approval": {"required": True, "within_h": 12}}
    with pytest.raises(
        ConfigError, match=r"^approval.within_h: 12.* is not allowed; it must be below orchestrator\.lease_h"
    ):
        environments.resolve({**raw(), **wrong})
    environments.resolve({**raw(), "approval": {"required": False, "within_h": 12}})


def test_unknown_parameter_is_refused_even_if_empty() -> None:
    with pytest.raises(ConfigError, match="snapshots"):
        environments.resolve(raw(), {"snapshots": None})


WRONG = [
    ("schedule", "0 2 * *", "five cron fields"),
    ("schedule", "61 2 * * *", "five cron fields"),
    ("schedule", "0 0 2 * * *", "five cron fields"),
    ("schedule", "@daily", "five cron fields"),
    ("schedule", "nightly at two o clock", "five cron fields"),
    ("timezone", "Mars/Olympus", "IANA time zone"),
    ("timezone", "", "IANA time zone"),
    ("timezone", "/etc/passwd", "IANA time zone"),
    ("environment", "Staging", "pattern"),
    ("source.account_id", "11111111111", "pattern"),
    ("source.account_id", "1111111111111", "pattern"),
    ("source.account_id", 111111111111, "string"),
    ("source.region", "Ireland", "pattern"),
    ("source.cluster", "Prod", "pattern"),
    ("source.cluster", "1prod", "pattern"),
    ("source.cluster", "a" * 64, "at most 63"),
    ("source.cluster", "", "at least 1"),
    ("source.snapshot", "newest one", "pattern"),
    ("source.snapshot_max_age_h", 0, "greater than 0"),
    ("source.snapshot_max_age_h", 9000, "less than or equal"),
    ("source.snapshot_max_age_h", "often", "valid number"),
    ("target.role_arn", "arn:aws:iam::222222222222:user/x", "pattern"),
    ("target.kms_key_id", MISSING, "required"),
    ("target.subnet_group", MISSING, "required"),
    ("target.isolation_security_groups", [], "at least 1"),
    ("target.instances.class", "r6g.large", "pattern"),
    ("target.instances.readers", -1, "greater than or equal to 0"),
    ("target.instances.readers", 16, "less than or equal to 15"),
    ("target.instances.readers", 1.5, "integer"),
    ("target.backup_retention_days", 36, "less than or equal to 35"),
    ("target.log_exports", ["binlog"], "audit"),
    ("target.old_cluster", "burn", "stop"),
    ("database.schemas", [], "at least 1"),
    ("database.keep_tables", ["flags"], "pattern"),
    ("database.keep_tables", "shop.flags", "valid list"),
    ("database.sensitive_columns", ["shop.customers"], "pattern"),
    ("database.users", [{"username": "a b", "secret": "s"}], "pattern"),
    ("database.users", [{"username": "a", "secret": "s", "privileges": {"shop": ["GRANT"]}}], "SELECT"),
    ("orchestrator.lease_h", 0, "greater than 0"),
    ("orchestrator.report_bucket", "Reports", "pattern"),
    ("orchestrator.report_bucket", "s3://reports", "pattern"),
    ("orchestrator.metrics_namespace", "AWS/RDS", "namespace of your own"),
    ("orchestrator.metrics_namespace", "", "pattern"),
    ("orchestrator.audit_table", "a", "pattern"),
    ("orchestrator.audit_table", "aurora-ops-runs", "another table than orchestrator.runs_table"),
    ("orchestrator.audit_bucket", "trails", "needs orchestrator.audit_table"),
    ("orchestrator.audit_kept_days", 30, "needs orchestrator.audit_table"),
    ("orchestrator.audit_kept_days", 0, "greater than or equal to 1"),
    ("orchestrator.audit_lock_days", 7, "needs orchestrator.audit_bucket"),
    ("orchestrator.audit_lock_mode", "FOREVER", "GOVERNANCE"),
    ("late_after_h", 0, "greater than 0"),
    ("late_after_h", 200, "less than or equal"),
    ("safety.protected_accounts", [], "at least 1"),
    ("safety.allowed_clusters", [], "at least 1"),
    ("source", None, "valid dictionary"),
    ("source", "prod", "valid dictionary"),
    ("colour", "blue", "no such setting"),
    ("target.colour", "blue", "no such setting"),
]


@pytest.mark.parametrize(("dotted", "value", "allowed"), WRONG)
def test_wrong_value_is_named_with_field_and_what_is_allowed(dotted, value, allowed) -> None:
    content = raw({dotted: value})
    if value is MISSING:
        node = content
        *parents, last = dotted.split(".")
        for parent in parents:
            node = node[parent]
        del node[last]
    with pytest.raises(ConfigError) as raised:
        environments.resolve(content)
    assert raised.value.field.startswith(dotted)
    assert allowed in raised.value.allowed
    if value is not MISSING and not isinstance(value, list):
        assert raised.value.value == value
        assert repr(value) in str(raised.value)


def test_all_wrong_values_are_said_at_once() -> None:
    content = raw({dotted: value for dotted, value, _ in WRONG[9:18:4]} | {"timezone": "Mars", "schedule": "x"})
    content["safety"]["more"] = 1
    with pytest.raises(PermanentError) as raised:
        environments.resolve(content, {"readers": 99})
    text = str(raised.value)
    for field in ("timezone", "schedule", "source.account_id", "safety.more", "target.instances.readers"):
        assert f"- {field}" in text
    assert text.startswith("7 problems")


def test_all_unknown_parameters_are_said_at_once() -> None:
    with pytest.raises(PermanentError, match="2 problems") as raised:
        environments.resolve(raw(), {"one": 1, "two": 2})
    assert "one: 1" in str(raised.value)
    assert "two: 2" in str(raised.value)


def test_parameter_into_a_section_that_the_file_has_wrong_does_not_hide_it() -> None:
    with pytest.raises(ConfigError) as raised:
        environments.resolve(raw({"target": None}), {"readers": 1})
    assert raised.value.field == "target"


class TestRead:
    """Files on disk."""

    def write(self, folder: Path, text: str, name: str = "staging.yaml") -> Path:
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def test_file_is_read(self, tmp_path: Path) -> None:
        assert environments.read(self.write(tmp_path, yaml.safe_dump(RAW))) == RAW

    @pytest.mark.parametrize(
        ("text", "field", "allowed"),
        [
            ("a: [", "staging.yaml", "valid YAML"),
            ("a: !python/object:os.system x", "staging.yaml", "valid YAML"),
            ("", "staging.yaml", "mapping"),
            ("- a", "staging.yaml", "mapping"),
            ("text", "staging.yaml", "mapping"),
            ("a: 1", "environment", "'staging'"),
            ("environment: production", "environment", "'staging'"),
        ],
    )
    def test_wrong_file_is_refused(self, tmp_path: Path, text, field, allowed) -> None:
        with pytest.raises(ConfigError) as raised:
            environments.read(self.write(tmp_path, text))
        assert raised.value.field == field
        assert allowed in raised.value.allowed
        assert "\n" not in str(raised.value)

    def test_names_are_sorted_and_only_of_yaml_files(self, tmp_path: Path) -> None:
        for name in ("b.yaml", "a.yaml", "c.yml", "README.md"):
            self.write(tmp_path, "", name)
        assert environments.names(tmp_path) == ["a", "b"]
        assert environments.names(tmp_path / "none") == []


@pytest.mark.parametrize("zone", ["Europe", "America"])
def test_folder_of_zones_is_no_zone(zone) -> None:
    with pytest.raises(ConfigError, match="IANA"):
        environments.resolve(raw({"timezone": zone}))


@pytest.mark.parametrize("name", ["staging--shop", "staging-"])
def test_illegal_identifier_is_refused(name) -> None:
    changes = {"target.cluster": name, "safety.allowed_clusters": [name]}
    with pytest.raises(PermanentError):
        environments.resolve(raw(changes))


def test_serverless_range_is_a_range() -> None:
    instances = {"class": "db.serverless", "serverless": {"min_acu": 8, "max_acu": 2}}
    with pytest.raises(ConfigError):
        environments.resolve(raw({"target.instances": instances}))


def test_unknown_parameter_does_not_hide_a_wrong_value() -> None:
    with pytest.raises(PermanentError) as raised:
        environments.resolve(raw(), {"snapshots": "newest", "readers": 99})
    assert "snapshots" in str(raised.value)
    assert "target.instances.readers" in str(raised.value)


def test_a_run_for_another_account_is_not_judged_by_what_is_kept() -> None:
    """So that the guard says what is wrong: the account is protected."""
    content = environments.read(REPO / "include" / "config" / "staging.yaml")
    assert environments.resolve(content).settings.retention is not None
    changed = environments.resolve(content, {"target_account_id": "111111111111"}).settings
    assert (changed.target.account_id, changed.retention) == ("111111111111", None)
