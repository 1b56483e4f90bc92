"""What becomes of a leftover: only what is ours, expired and of no use to anybody goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core import naming, ownership, reaping
from aurora_ops.core.reaping import Leftover, Verdict, decide
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.samples import settings

NOW = datetime(2026, 7, 2, 15, tzinfo=UTC)
RUN = "refresh_staging/scheduled__1"
PAST, FUTURE = (NOW + timedelta(hours=hours) for hours in (-1, 1))

moments = st.floats(0, 4e9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
expiries = st.one_of(moments.map(datetime.isoformat), st.text(max_size=30), st.just("2020-01-01T00:00:00"))
leftovers = st.builds(
    Leftover,
    kind=st.sampled_from(["cluster", "snapshot", "grant"]),
    name=st.just("x"),
    run=st.sampled_from(["", RUN]),
    expires=expiries,
    created=st.none() | moments,
    needs_run=st.booleans(),
    barred=st.sampled_from(["", "it serves"]),
)


def gone(**changes) -> Leftover:
    return Leftover(**{"kind": "cluster", "name": "x", "run": RUN, "expires": PAST.isoformat(), **changes})


@given(leftovers, st.lists(st.sampled_from([RUN, "refresh_dev/2"])), st.floats(0, 1000))
def test_what_goes_is_expired_ours_unbarred_old_and_of_no_use_to_a_run(item, holders, min_age_h) -> None:
    verdict = decide(item, now=NOW, holders=holders, min_age_h=min_age_h)
    assert verdict.reason
    if verdict.action == "remove":
        expires = ownership.parse_expiry(item.expires)
        assert expires is not None
        assert expires <= NOW
        assert item.run or not item.needs_run
        assert not holders
        assert not item.barred
        assert not min_age_h or NOW - item.created >= timedelta(hours=min_age_h)


@given(leftovers)
def test_what_is_in_doubt_is_reported_and_what_is_in_order_is_not(item) -> None:
    readable = ownership.parse_expiry(item.expires) is not None and (item.run or not item.needs_run)
    action = decide(item, now=NOW, holders=[]).action
    if not readable:
        assert action == "report"
    elif datetime.fromisoformat(item.expires) > NOW:
        assert action == "keep"


@pytest.mark.parametrize(
    ("item", "verdict"),
    [
        (gone(), Verdict("remove", f"it expired {PAST.isoformat()}")),
        (gone(expires=FUTURE.isoformat()), Verdict("keep", f"it expires {FUTURE.isoformat()}")),
        (gone(expires=""), Verdict("report", "it has no expiry")),
        (gone(expires="soon"), Verdict("report", "its expiry 'soon' cannot be read")),
        (gone(expires="2020-01-01T00:00:00"), Verdict("report", "its expiry '2020-01-01T00:00:00' cannot be read")),
        (gone(run=""), Verdict("report", "no tag says which run made it")),
        (gone(run="", needs_run=False), Verdict("remove", f"it expired {PAST.isoformat()}")),
        (gone(barred="it serves"), Verdict("report", "it serves")),
        (gone(barred="it serves", expires=FUTURE.isoformat()), Verdict("keep", f"it expires {FUTURE.isoformat()}")),
    ],
)
def test_verdicts(item, verdict) -> None:
    assert decide(item, now=NOW, holders=[]) == verdict


def test_a_live_lock_spares_everything_it_could_concern() -> None:
    for holder in (RUN, "refresh_staging/another"):
        verdict = decide(gone(), now=NOW, holders=[holder])
        assert verdict.action == "keep"
        assert holder in verdict.reason


def test_a_lock_is_live_until_its_lease_is_over_and_for_ever_without_one() -> None:
    ends = int(NOW.timestamp())
    locks = [None, {"holder": "a", "expires_at": ends}, {"holder": "b", "expires_at": ends - 1}, {"holder": "c"}]
    assert reaping.live_holders(locks, NOW) == ["a", "c"]


def test_age_that_is_not_known_is_no_age() -> None:
    assert decide(gone(), now=NOW, holders=[], min_age_h=2).action == "keep"
    old, young = (gone(created=NOW - timedelta(hours=hours)) for hours in (2, 1.9))
    assert decide(old, now=NOW, holders=[], min_age_h=2).action == "remove"
    assert decide(young, now=NOW, holders=[], min_age_h=2).action == "keep"


@given(moments, st.floats(0.5, 1000), st.text(min_size=1, max_size=40))
def test_an_expiry_that_is_written_is_read_back(now, hours, run) -> None:
    tags = ownership.temporary(run, hours, now)
    assert ownership.is_ours(tags)
    assert tags[ownership.RUN_TAG] == run
    read = ownership.parse_expiry(tags[ownership.EXPIRES_TAG])
    assert abs(read - now - timedelta(hours=hours)) <= timedelta(seconds=1)


@given(st.from_regex(r"[a-z][a-z0-9-]{0,80}", fullmatch=True), st.sampled_from(["refresh", "rekeyed", "copy"]), moments)
def test_names_that_runs_make_are_told_from_others(source, purpose, moment) -> None:
    name = naming.snapshot(source, "staging", moment, purpose)
    assert naming.is_snapshot_of_a_run(name)
    assert not naming.is_snapshot_of_a_run(f"annes-{name}")
    assert not naming.is_snapshot_of_a_run(name + "x")
    assert naming.parse_grant(naming.grant(name, "222222222222")) == ("222222222222", name)
    assert naming.is_secret_version_of_a_run(naming.secret_version("run", source))


@pytest.mark.parametrize("name", ["somebody-elses", "aurora-ops-22-x", "aurora-ops-222222222222-"])
def test_other_grants_are_not_ours(name) -> None:
    assert naming.parse_grant(name) is None


@pytest.mark.parametrize(
    "version", ["EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", "0b0cc1d8-7c4e-4d6f-9f5e-1a6a4b2c3d4e", ""]
)
def test_other_versions_are_not_ours(version) -> None:
    assert not naming.is_secret_version_of_a_run(version)


class TestPlaces:
    """Accounts and regions, each once."""

    def two(self):
        dev = {"environment": "dev", "target.cluster": "dev-shop", "safety.allowed_clusters": ["dev-shop", "dev-old"]}
        return [settings(), settings(dev)]

    def test_accounts_shared_by_environments_are_looked_at_once(self) -> None:
        target, source = reaping.places(self.two())
        assert (source.account_id, target.account_id) == ("111111111111", "222222222222")
        assert [e.environment for e in source.environments] == [e.environment for e in target.environments]
        assert len(source.environments) == 2

    def test_source_is_protected_and_so_is_what_the_settings_protect(self) -> None:
        target, source = reaping.places(self.two())
        assert (source.protected, target.protected) == (True, False)
        unlisted = {"safety.protected_accounts": ["999999999999"]}
        assert [place.protected for place in reaping.places([settings(unlisted)])] == [False, True]
        both = {"safety.protected_accounts": ["222222222222"]}
        assert reaping.places([settings(), settings(both)])[0].protected is True

    def test_every_lock_and_every_serving_name_counts(self) -> None:
        target, _ = reaping.places(self.two())
        assert {key.split("#")[2] for key in target.lock_keys} == {"staging-shop", "dev-shop", "dev-old"}
        assert set(target.served_names) == {"staging-shop", "dev-shop", "dev-old", "prod-shop"}

    def test_removing_takes_the_consent_of_all(self) -> None:
        remove = {"safety.reap": "remove"}
        assert not reaping.places([settings()])[0].removes
        assert reaping.places([settings(remove)])[0].removes
        assert not reaping.places([settings(remove), settings({"environment": "dev"})])[0].removes

    def test_expiry_is_never_before_the_lock_is_void(self) -> None:
        assert settings().expires_h == 24
        assert settings({"orchestrator.lease_h": 48}).expires_h == 48


def test_summary_stays_small() -> None:
    judged = [(gone(name=f"n{number}" * 50), Verdict("remove", "r" * 500)) for number in range(10_000)]
    found = reaping.summary("report", judged, [], {f"k{number}": "why" * 500 for number in range(500)})
    assert found["counts"]["found"] == found["counts"]["expired"] == 10_000
    assert found["counts"]["failed"] == 500
    assert len(json.dumps(found)) < 25_000
