"""The plan as people read it: every name, key, table and deletion of a run, and what it will take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from aurora_ops.core import environments
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.estimate import Estimate, costs, estimate, expected_s, read_prices, spent
from aurora_ops.core.plan_text import changes, deletions, plan_text
from aurora_ops.core.settings import Instances

from devstack.settings import REPO
from tests.unit.core import samples

PLAN = {
    "source_cluster": "prod-shop", "target_cluster": "staging-shop", "temporary_cluster": "staging-shop-restore",
    "old_cluster": "staging-shop-old", "fresh_snapshot_id": "fresh-1", "rekeyed_snapshot_id": "rekeyed-1",
    "copy_snapshot_id": "copy-1", "source_snapshot_id": "newest-1", "snapshot_created_at": "2026-07-01T00:00:00+00:00",
    "snapshot_is_fresh": False, "snapshot_was_shared": False, "windows": [], "rekey_key_arn": None, "target_key_arn": "arn:key",
    "parameter_group": "group", "isolation_security_groups": ["sg-1"], "live_resource_id": "cluster-A", "live_is_stranded": False,
    "live_instance_ids": ["staging-shop-1"], "old_cluster_policy": "stop", "keep_tables": [], "keep_prefix": "p/",
    "approval_required": False, "columns": ["a", "b"],
}  # fmt: skip
UNKNOWN = Estimate(None, 0, None, "nothing")
PRICES = yaml.safe_load((REPO / "include" / "prices.yaml").read_text())


def text(tables=None, leftovers=(), took=UNKNOWN, settings=None, **plan) -> str:
    return plan_text(
        settings or samples.settings(), {**PLAN, **plan},
        tables=tables, tables_from="production", leftovers=leftovers, estimate=took,
    )  # fmt: skip


class TestSnapshot:
    def test_newest(self) -> None:
        assert "`newest-1`, " in text()
        assert "the newest, and at most 30 h old" in text()

    def test_named(self) -> None:
        assert "named in `source.snapshot`" in text(settings=samples.settings(conf={"snapshot": "newest-1"}))

    def test_fresh_as_asked(self) -> None:
        settings = samples.settings(conf={"snapshot": "fresh"})
        assert "A fresh one is taken, as `source.snapshot` says" in text(snapshot_is_fresh=True, settings=settings)

    def test_fresh_for_want_of_a_young_one(self) -> None:
        assert "none is at most 30 h old" in text(snapshot_is_fresh=True)


@pytest.mark.parametrize(
    ("plan", "changed", "deleted"),
    [
        pytest.param(
            {"snapshot_is_fresh": True}, "`fresh-1` of `prod-shop` is taken", "`fresh-1` in account 1111", id="fresh"
        ),
        pytest.param(
            {"rekey_key_arn": "arn:k"}, "copied under `arn:k` as `rekeyed-1`", "`rekeyed-1` in account 1111", id="rekey"
        ),
        pytest.param({}, "shared with account 222222222222", "the share of the snapshot", id="share"),
        pytest.param({"keep_tables": ["s.t"]}, "as they are, through S3: `s.t`", "under `p/`", id="kept tables"),
        pytest.param(
            {"old_cluster_policy": "delete"},
            "`staging-shop-old` is deleted",
            "`staging-shop-old` once",
            id="delete old",
        ),
    ],
)
def test_what_is_made_is_removed(plan, changed, deleted) -> None:
    settings = samples.settings()
    assert any(changed in line for line in changes(settings, {**PLAN, **plan}))
    assert any(deleted in line for line in deletions(settings, {**PLAN, **plan}, []))
    if plan:
        assert not any(changed in line for line in changes(settings, PLAN))
        assert not any(deleted in line for line in deletions(settings, PLAN, []))


def test_share_of_somebody_else_stays() -> None:
    plan = {**PLAN, "snapshot_was_shared": True}
    assert not any("share" in line for line in changes(samples.settings(), plan))
    assert not any("the share" in line for line in deletions(samples.settings(), plan, []))


def test_first_refresh_renames_and_retires_nothing() -> None:
    plan = {**PLAN, "live_resource_id": "", "live_instance_ids": []}
    assert not any("staging-shop-old" in line for line in changes(samples.settings(), plan))
    assert "nothing: first refresh" in text(live_resource_id="")


def test_failed_cluster_is_deleted_unless_kept() -> None:
    kept = samples.settings({"safety.keep_failed_cluster": True})
    assert any(
        "if the run fails: cluster `staging-shop-restore`" in line for line in deletions(samples.settings(), PLAN, [])
    )
    assert not any("if the run fails" in line for line in deletions(kept, PLAN, []))


def test_what_uses_claims_is_scaled_to_0_and_back() -> None:
    settings = environments.resolve(environments.read(REPO / "include/config/staging.yaml")).settings
    found = {"Deployment/media-web": 2, "StatefulSet/idle": 0}
    steps = changes(settings, {**PLAN, "files_backed_up_at": "2026-07-01T00:00:00+00:00", "scaled_workloads": found})
    [to_zero] = [number for number, step in enumerate(steps) if "`Deployment/media-web` is scaled to 0, from 2" in step]
    [claim] = [number for number, step in enumerate(steps) if "claim `media` is made anew" in step]
    [back] = [number for number, step in enumerate(steps) if "`Deployment/media-web` is scaled back to 2" in step]
    assert to_zero < claim < back
    assert not [step for step in steps if "idle" in step], "it has no pods, and will have none"


def test_leftovers_go_first() -> None:
    assert deletions(samples.settings(), PLAN, ["staging-shop-old"])[0].startswith(
        "cluster `staging-shop-old`, left by"
    )


def test_person_is_announced() -> None:
    assert any(
        "a person is asked, and has 8.0 h" in line
        for line in changes(samples.settings(), {**PLAN, "approval_required": True})
    )


class TestTables:
    def line(self, name: str, rows: int) -> SimpleNamespace:
        return SimpleNamespace(table=name, technique="rebuild", rows=rows, why="a|b")

    def test_biggest_first_with_technique_and_reason(self) -> None:
        shown = text([self.line("s.small", 5), self.line("s.big", 5_000_000)])
        assert shown.index("| `s.big` | rebuild | 5,000,000 | a\\|b |") < shown.index("| `s.small` | rebuild | 5 |")

    def test_ten_thousand_stay_readable(self) -> None:
        shown = text([self.line(f"s.t{number}", number) for number in range(10_000)])
        assert "... and 9800 smaller tables" in shown
        assert len(shown) < 30_000

    def test_unknown_is_said(self) -> None:
        assert "not known before the restore; name `source.schema_secret`" in text(None)


class TestEstimate:
    def of(self, durations, **instances) -> Estimate:
        wanted = Instances.model_validate({"class": "db.r6g.large", "readers": 1, **instances})
        return estimate(wanted, size_gib=730, durations_s=durations, prices=PRICES)

    def test_median_of_the_last_five(self) -> None:
        assert expected_s([10, 30, 20, 1000, 5, 9999]) == (20, 5)
        assert expected_s([]) == (None, 0)

    def test_instances_and_storage_by_the_hour(self) -> None:
        assert self.of([3600]).dollars == pytest.approx(2 * 0.26 + 0.10 + 0.021)

    def test_at_least_ten_minutes_of_an_instance(self) -> None:
        assert self.of([60]).dollars == pytest.approx(2 * 0.26 / 6 + 0.121 / 60, abs=1e-4)

    def test_serverless_by_its_highest_capacity(self) -> None:
        capacity = {"class": "db.serverless", "readers": 0, "serverless": {"min_acu": 1, "max_acu": 4}}
        assert self.of([3600], **capacity).dollars == pytest.approx(4 * 0.12 + 0.121)

    def test_unknown_price_is_not_guessed(self) -> None:
        found = self.of([3600], **{"class": "db.x9.huge"})
        assert found.dollars is None
        assert "db.x9.huge" in found.basis

    def test_unknown_time_leaves_the_price_of_an_hour(self) -> None:
        found = self.of([])
        assert (found.seconds, found.dollars) == (None, None)
        assert "USD 0.52 an hour" in found.basis

    def test_what_was_spent_by_the_time_it_took(self) -> None:
        wanted = Instances.model_validate({"class": "db.r6g.large", "readers": 1})
        about = costs(wanted, size_gib=730, copied_gib=730, prices=PRICES)
        noted = f"list prices of {PRICES['region']}, noted {PRICES['noted']}"
        assert spent(about, 7200) == f"730 GiB copied, 4.00 instance hours, about USD 1.28 ({noted})"
        assert "0.33 instance hours" in spent(about, 1), "ten minutes are billed at least"
        unknown = costs(
            wanted.model_copy(update={"instance_class": "db.x9.huge"}), size_gib=0, copied_gib=0, prices=PRICES
        )
        assert spent(unknown, 3600) == f"0 GiB copied, 2.00 instance hours, cost not known ({noted})"

    def test_is_in_the_text(self) -> None:
        assert "Time: 60 min, the median of the last 1" in text(took=self.of([3600]))
        assert "about USD 0.64" in text(took=self.of([3600]))
        assert "no refresh of this target has succeeded yet" in text()


class TestPrices:
    def write(self, tmp_path: Path, **changes) -> Path:
        path = tmp_path / "prices.yaml"
        path.write_text(yaml.safe_dump({**PRICES, **changes}))
        return path

    def test_ours_can_be_read(self) -> None:
        assert read_prices(REPO / "include" / "prices.yaml") == PRICES

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"acu_hour": "cheap"}, "prices.yaml:acu_hour"),
            ({"instance_hour": {"db.t3.medium": -1}}, "prices.yaml:db.t3.medium"),
            ({"storage": 1}, "its fields are"),
        ],
    )
    def test_wrong_one_is_named(self, tmp_path, changes, said) -> None:
        with pytest.raises(ConfigError, match=said):
            read_prices(self.write(tmp_path, **changes))

    def test_no_file(self, tmp_path) -> None:
        with pytest.raises(ConfigError, match=r"prices\.yaml"):
            read_prices(tmp_path / "prices.yaml")
