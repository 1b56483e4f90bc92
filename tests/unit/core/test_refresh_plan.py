"""The plan: which snapshot, which names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core import naming, refresh_plan
from aurora_ops.core.errors import ConfigError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.samples import settings

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Facts:
    snapshot_id: str
    status: str = "available"
    created: datetime | None = NOW - timedelta(hours=1)


def aged(name: str, hours: float, status: str = "available") -> Facts:
    return Facts(name, status, NOW - timedelta(hours=hours))


def choose(choice: str, snapshots, max_age_h: float = 30):
    return refresh_plan.choose_snapshot(choice, snapshots, now=NOW, max_age_h=max_age_h)


@pytest.mark.parametrize("choice", ["newest", "newest_or_fresh"])
def test_newest_available_one_is_chosen_whatever_the_order(choice) -> None:
    old, new = aged("old", 20), aged("new", 2)
    creating, undated = aged("creating", 0.1, "creating"), Facts("undated", created=None)
    for order in ([old, new, creating, undated], [undated, creating, new, old]):
        assert choose(choice, order) is new


def test_fresh_takes_none_that_is_there() -> None:
    assert choose("fresh", [aged("new", 0)]) is None


@pytest.mark.parametrize("snapshots", [[], [Facts("undated", created=None)], [aged("failed", 1, "failed")]])
def test_none_usable(snapshots) -> None:
    assert choose("newest_or_fresh", snapshots) is None
    with pytest.raises(ConfigError, match="the youngest is none") as raised:
        choose("newest", snapshots)
    assert raised.value.field == "source.snapshot"
    assert raised.value.value == "newest"


def test_too_old_is_refused_with_its_age_and_the_setting_to_raise() -> None:
    with pytest.raises(ConfigError, match=r"31\.0 h old.*snapshot_max_age_h=30 h.*newest_or_fresh") as raised:
        choose("newest", [aged("a", 40), aged("b", 31)])
    assert raised.value.value == "b"
    assert choose("newest_or_fresh", [aged("b", 31)]) is None


def test_exactly_as_old_as_allowed_is_accepted() -> None:
    edge = aged("edge", 30)
    assert choose("newest", [edge]) is edge


def test_taken_in_the_future_of_a_clock_that_is_behind_is_young() -> None:
    ahead = aged("ahead", -1)
    assert choose("newest", [ahead, aged("b", 1)]) is ahead


def test_named_one_is_chosen_even_if_younger_ones_exist() -> None:
    named = aged("rds:prod-2026", 5)
    assert choose("rds:prod-2026", [aged("new", 1), named]) is named


def test_named_one_that_does_not_exist_or_is_not_available() -> None:
    snapshots = [aged(f"s{n}", n) for n in range(10)] + [aged("x", 1, "creating")]
    for name in ("y", "x"):
        with pytest.raises(ConfigError, match="available ones of the source are") as raised:
            choose(name, snapshots)
        assert raised.value.value == name
        assert "'s0'" in raised.value.allowed
        assert "'s9'" not in raised.value.allowed


def test_named_one_must_be_young_enough_too() -> None:
    with pytest.raises(ConfigError, match=r"40\.0 h old"):
        choose("old", [aged("old", 40), aged("new", 1)])


def test_ten_thousand_snapshots() -> None:
    snapshots = [aged(f"s{n}", (n * 7919) % 10_000 + 1) for n in range(10_000)]
    chosen = choose("newest", snapshots)
    assert chosen == aged("s0", 1)


@given(
    st.lists(st.tuples(st.floats(-5, 100), st.sampled_from(["available", "creating"])), max_size=12),
    st.floats(0.1, 90),
)
def test_chosen_is_the_newest_that_is_usable(ages, max_age_h) -> None:
    snapshots = [aged(f"s{n}", hours, status) for n, (hours, status) in enumerate(ages)]
    usable = [s for s in snapshots if s.status == "available" and NOW - s.created <= timedelta(hours=max_age_h)]
    chosen = choose("newest_or_fresh", snapshots, max_age_h)
    if not usable:
        assert chosen is None
    else:
        assert chosen in usable
        assert chosen.created == max(s.created for s in usable)


@given(dag_id=st.text(max_size=150), run_id=st.text(max_size=250))
def test_run_key_can_stand_in_a_tag(dag_id, run_id) -> None:
    key = refresh_plan.run_key(dag_id, run_id)
    assert 1 <= len(key) <= 256
    assert re.fullmatch(r"[\w\s.:/=+@-]+", key, re.ASCII)


def test_run_key_of_a_real_run_is_as_it_is() -> None:
    run_id = "scheduled__2026-07-01T02:00:00+00:00"
    assert refresh_plan.run_key("refresh_staging", run_id) == f"refresh_staging/{run_id}"


def test_names_of_a_run_are_legal_and_all_different() -> None:
    for cluster in ("shop", "x" + "y" * 62):
        changes = {"source.cluster": cluster, "target.cluster": cluster, "safety.allowed_clusters": [cluster]}
        names = refresh_plan.names(settings(changes), NOW)
        assert names["target_cluster"] == cluster
        assert all(naming.is_identifier(name) for name in names.values())
        assert len(set(names.values())) == len(names) == 6
        assert refresh_plan.names(settings(changes), NOW) == names
        later = refresh_plan.names(settings(changes), NOW + timedelta(seconds=1))
        changed = {key for key in names if names[key] != later[key]}
        assert changed == {"fresh_snapshot_id", "rekeyed_snapshot_id", "copy_snapshot_id"}
