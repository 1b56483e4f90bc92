"""The plan of snapshot retention: its places, its settings, and how it is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core import environments, retention_plan
from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.core.reaping import Verdict
from aurora_ops.core.retention import Copy
from aurora_ops.core.retention_plan import Holding

from tests.unit.core.samples import raw, settings
from tests.unit.core.test_retention import START, Snap, nightly

CLUSTER = {"account": "target", "cluster": "staging-shop", "keep": {"daily": 2, "weekly": 1, "monthly": 0}}
FAR = {"region": "eu-central-1", "kms_key_id": "alias/far", "keep": {"daily": 1, "weekly": 0, "monthly": 0}}
NOW = datetime(2026, 7, 1, 6, tzinfo=UTC)


def policy(*clusters, **changes):
    return {"retention": {"clusters": list(clusters) or [CLUSTER], **changes}}


def refused(changes) -> ConfigError:
    with pytest.raises(PermanentError) as raised:
        environments.resolve(raw(changes))
    assert isinstance(raised.value, ConfigError)
    return raised.value


class TestSettings:
    """What a policy may say."""

    def test_defaults_change_nothing_by_themselves(self) -> None:
        found = settings(policy({"account": "target", "cluster": "staging-shop"})).retention
        assert (found.dry_run, found.schedule, found.in_protected_accounts) == (True, None, "nothing")
        assert found.clusters[0].keep.model_dump() == {"daily": 7, "weekly": 4, "monthly": 12}
        assert settings().retention is None

    @pytest.mark.parametrize(
        ("changes", "field", "said"),
        [
            (policy({**CLUSTER, "keep": {"daily": 0, "weekly": 0, "monthly": 0}}), "keep", "above 0"),
            (policy({**CLUSTER, "account": "source", "cluster": "prod-shop"}), "clusters.0.account", "in_protected_accounts: ours"),
            (
                policy({**CLUSTER, "account": "source", "name_prefixes": ["nightly-"]}, in_protected_accounts="ours"),
                "clusters.0.name_prefixes",
                "only what this package made",
            ),
            (policy(CLUSTER, CLUSTER), "retention.clusters", "each cluster once"),
            (policy({**CLUSTER, "copy_to": [FAR, FAR]}), "copy_to", "each region once"),
            (policy({**CLUSTER, "copy_to": [{**FAR, "region": "eu-west-1"}]}), "copy_to.keep", "keep says it"),
            (policy({**CLUSTER, "name_prefixes": ["rds:"]}), "name_prefixes.0", "match pattern"),
            (policy({**CLUSTER, "name_prefixes": ["a"]}), "name_prefixes.0", "match pattern"),
            (policy(schedule="at night"), "schedule", "five cron fields"),
            (policy(most_deletions=501), "most_deletions", "less than or equal to 500"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named(self, changes, field, said) -> None:
        problem = refused(changes)
        assert field in problem.field
        assert said in problem.allowed

    def test_a_protected_account_may_be_allowed(self) -> None:
        changes = policy({**CLUSTER, "account": "source", "cluster": "prod-shop"}, in_protected_accounts="ours")
        [[where]] = retention_plan.places(settings(changes))
        assert (where.account_id, where.prefixes) == ("111111111111", ())


class TestPlaces:
    """Where snapshots of a cluster are."""

    def test_the_clusters_own_region_first_then_those_of_copies(self) -> None:
        changes = policy({**CLUSTER, "name_prefixes": ["nightly-"], "copy_to": [FAR]})
        [[home, far]] = retention_plan.places(settings(changes))
        assert (home.prefixes, far.prefixes) == (("nightly-",), ())
        assert (home.region, home.copies, home.keep.daily) == ("eu-west-1", False, 2)
        assert (far.region, far.copies, far.keep.daily, far.kms_key_id) == ("eu-central-1", True, 1, "alias/far")
        assert {home.home, far.home} == {"eu-west-1"}
        assert {home.aws_conn_id, far.aws_conn_id} == {"aws_destination"}

    def test_copies_at_home_are_under_the_policy_of_the_home(self) -> None:
        at_home = {"region": "eu-west-1", "kms_key_id": "alias/shop"}
        [[home]] = retention_plan.places(settings(policy({**CLUSTER, "copy_to": [at_home]})))
        assert (home.copies, home.keep.daily, home.kms_key_id) == (True, 2, "alias/shop")

    def test_a_region_without_a_policy_has_the_clusters(self) -> None:
        copy_to = [{"region": "eu-central-1"}]
        [[_, far]] = retention_plan.places(settings(policy({**CLUSTER, "copy_to": copy_to})))
        assert far.keep.daily == 2

    def test_two_environments_claim_the_same_snapshots(self) -> None:
        mine = retention_plan.claims(settings(policy({**CLUSTER, "copy_to": [FAR]})))
        assert mine == {("222222222222", region, "staging-shop") for region in ("eu-west-1", "eu-central-1")}
        assert retention_plan.claims(settings()) == set()

    @pytest.mark.parametrize(("choice", "names"), [("newest", []), ("fresh", []), ("prod-shop-7", ["prod-shop-7"])])
    def test_what_the_settings_name_is_spared(self, choice, names) -> None:
        assert list(retention_plan.spared(settings({"source.snapshot": choice}))) == names


def holding(*verdicts: str, region="eu-west-1", copies=(), first=0) -> Holding:
    """A place with a snapshot for each verdict, the oldest first."""
    copy_to = [FAR] if region == "eu-central-1" else []
    where = retention_plan.places(settings(policy({**CLUSTER, "copy_to": copy_to})))[0][-1]
    snapshots = [nightly(first + number) for number in range(len(verdicts))]
    told = {
        one.snapshot_id: Verdict(verdict, f"because of {one.snapshot_id}")
        for one, verdict in zip(snapshots, verdicts, strict=True)
    }
    return Holding(where, snapshots, told, copies)


class TestChoice:
    """What one run deletes."""

    def test_the_oldest_over_all_places_go_first(self) -> None:
        near, far = holding("remove", "keep", "remove", first=5), holding("keep", "remove", region="eu-central-1")
        chosen = [(one.where.region, name) for one, name in retention_plan.oldest_first([near, far])]
        assert chosen == [("eu-central-1", "nightly-1"), ("eu-west-1", "nightly-5"), ("eu-west-1", "nightly-7")]

    def test_what_has_no_moment_goes_last(self) -> None:
        here = holding("remove", "remove")
        here.snapshots = [Snap("nightly-0", None), nightly(1)]
        assert [name for _, name in retention_plan.oldest_first([here])] == ["nightly-1", "nightly-0"]

    def test_batches_have_all_that_a_task_needs(self) -> None:
        here = holding(*["remove"] * 45)
        here.doomed = [f"nightly-{number}" for number in range(45)]
        found = retention_plan.batches(here, {"x": "named"})
        assert [len(batch["snapshot_ids"]) for batch in found] == [20, 20, 5]
        assert [name for batch in found for name in batch["snapshot_ids"]] == here.doomed
        assert found[0] | {"snapshot_ids": []} == {
            "aws_conn_id": "aws_destination",
            "region_name": "eu-west-1",
            "cluster_id": "staging-shop",
            "snapshot_ids": [],
            "keep": {"daily": 2, "weekly": 1, "monthly": 0},
            "name_prefixes": [],
            "spared": {"x": "named"},
        }
        assert json.loads(json.dumps(found)) == found

    def test_the_most_that_may_be_asked_for_fits_an_xcom(self) -> None:
        here = holding()
        here.doomed = ["x" * 63] * 500
        assert len(json.dumps(retention_plan.batches(here, {}))) < 48 * 1024


class TestTelling:
    """The same plan as text, page and JSON."""

    @pytest.fixture
    def plan(self) -> list[Holding]:
        copy = Copy(nightly(3), "kept-staging-shop-1", START + timedelta(days=3), "daily 2026-03-04")
        here = holding("remove", "remove", "report", "keep")
        here.doomed = ["nightly-0"]
        return [here, holding("keep", region="eu-central-1", copies=[copy])]

    def test_every_snapshot_and_copy_has_a_line(self, plan) -> None:
        text = retention_plan.text(plan, "Europe/Berlin", dry_run=True)
        assert "a dry run, nothing is changed" in text
        assert "staging-shop in 222222222222 eu-west-1: keep 2 daily, 1 weekly, 0 monthly (Europe/Berlin)" in text
        assert "eu-central-1: keep 1 daily, 0 weekly, 0 monthly (Europe/Berlin); copies are made here" in text
        for line in (
            "| remove | `nightly-0` | 2026-03-01 02:00 | manual | because of nightly-0 |",
            "| later | `nightly-1` | 2026-03-02 02:00 | manual | because of nightly-1 |",
            "| report | `nightly-2` |",
            "| keep | `nightly-3` |",
            "| copy | `kept-staging-shop-1` | 2026-03-04 02:00 | manual | missing: daily 2026-03-04 |",
        ):
            assert line in text
        assert "5 snapshots: 2 kept, 1 to be deleted, 1 in a later run, 1 to look at; 1 copies to be made." in text
        assert "nothing is changed" not in retention_plan.text(plan, "UTC", dry_run=False)

    def test_a_long_plan_is_cut_in_the_log_only(self) -> None:
        plan = [holding(*["keep"] * 1002)]
        assert "... and 2 more." in retention_plan.text(plan, "UTC", dry_run=True)
        data = retention_plan.data("staging", plan, zone="UTC", run="d/r", now=NOW)
        assert len(data["places"][0]["snapshots"]) == 1002

    def test_page_and_data(self, plan) -> None:
        told = {"zone": "UTC", "run": "snapshot_retention_staging/<b>", "now": NOW}
        page = retention_plan.page("staging", plan, **told).decode()
        assert '<th scope="row" class="bad">remove</th><td>nightly-0</td>' in page
        assert '<th scope="row" class="good">copy</th>' in page
        assert "<b>" not in page
        data = retention_plan.data("staging", plan, **told)
        assert json.loads(json.dumps(data)) == data
        assert data["counts"] == {"found": 5, "kept": 2, "to_look_at": 1, "deleted": 1, "later": 1, "copied": 1}
        assert data["places"][0]["snapshots"][0] == {
            "action": "keep", "snapshot": "nightly-3", "taken": "2026-03-04 02:00", "type": "manual", "why": "because of nightly-3",
        }  # fmt: skip

    def test_the_plan_itself_tells_what_this_run_does_not_delete(self, plan) -> None:
        told = retention_plan.summary(plan)
        assert told["counts"] == {"found": 4, "kept": 2, "to_look_at": 1, "expired": 1, "removed": 0, "failed": 0}
        assert told["expired"] == ["snapshot nightly-1 (222222222222 eu-west-1): because of nightly-1"]
        assert told["copies"] == ["kept-staging-shop-1 in eu-central-1: daily 2026-03-04"]
