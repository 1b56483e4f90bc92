"""Which snapshots are kept: each gets one verdict, the last good one never goes, and what is newer decides, not the clock."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from aurora_ops.core import naming, ownership
from aurora_ops.core.retention import judge, missing_copies, taken
from aurora_ops.core.settings_retention import Keep
from hypothesis import given
from hypothesis import strategies as st

BERLIN, NEW_YORK, KIRITIMATI = (ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati"))
OURS = {ownership.OWNER_TAG: ownership.OWNER}
START = datetime(2026, 3, 1, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Snap:
    """What the policy is told of a snapshot."""

    snapshot_id: str
    created: datetime | None
    status: str = "available"
    type: str = "manual"
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:rds:eu-west-1:1:cluster-snapshot:{self.snapshot_id}"


def keep(daily=0, weekly=0, monthly=0) -> Keep:
    """A policy, also one that the settings would refuse."""
    return Keep.model_construct(daily=daily, weekly=weekly, monthly=monthly)


def nightly(number: int) -> Snap:
    return Snap(f"nightly-{number}", START + timedelta(days=number))


def decide(snapshots, policy, *, zone=UTC, prefixes=("nightly-",), in_use=None):
    return judge(snapshots, policy, zone=zone, prefixes=prefixes, in_use=in_use or {})


def going(snapshots, policy, **more) -> set[str]:
    return {name for name, verdict in decide(snapshots, policy, **more).items() if verdict.action == "remove"}


moments = st.floats(1.7e9, 1.8e9).map(lambda seconds: datetime.fromtimestamp(round(seconds), UTC))
tag_sets = st.sampled_from([{}, OURS, {**OURS, ownership.EXPIRES_TAG: "2030-01-01T00:00:00+00:00"}])
names = st.sampled_from(["nightly", "by-hand", "kept-staging-shop", "manual-staging-shop", "rds"])
snapshots = st.lists(
    st.builds(
        Snap,
        snapshot_id=st.builds(
            lambda name, number: f"{name}-{number:08d}t{number % 10**6:06d}", names, st.integers(0, 10**7)
        ),
        created=st.none() | moments,
        status=st.sampled_from(["available", "available", "available", "creating", "copying", "failed", "deleting"]),
        type=st.sampled_from(["manual", "manual", "manual", "automated", "awsbackup", ""]),
        tags=tag_sets,
    ),
    max_size=40,
    unique_by=lambda one: one.snapshot_id,
)
good_ones = st.lists(moments, max_size=60, unique=True).map(
    lambda found: [Snap(f"nightly-{number}", moment) for number, moment in enumerate(found)]
)
policies = st.builds(keep, st.integers(0, 9), st.integers(0, 6), st.integers(0, 5))
zones = st.sampled_from([UTC, BERLIN, NEW_YORK, KIRITIMATI])


@given(snapshots, policies, zones)
def test_each_gets_one_verdict_with_a_reason(found, policy, zone) -> None:
    verdicts = decide(found, policy, zone=zone)
    assert set(verdicts) == {one.snapshot_id for one in found}
    assert all(verdict.reason and verdict.action in ("keep", "remove", "report") for verdict in verdicts.values())


@given(snapshots, policies, zones)
def test_only_complete_lasting_manual_ones_under_the_policy_go(found, policy, zone) -> None:
    by_name = {one.snapshot_id: one for one in found}
    for name in going(found, policy, zone=zone):
        one = by_name[name]
        assert one.type == "manual"
        assert ownership.EXPIRES_TAG not in one.tags
        ours = one.tags.get(ownership.OWNER_TAG) == ownership.OWNER and name.startswith(("kept-", "manual-"))
        assert ours or name.startswith("nightly-")
        if one.status != "available":
            assert (one.status, name[:5]) == ("failed", "kept-")


@given(snapshots, policies, zones)
def test_the_last_good_one_stays_whatever_the_policy_says(found, policy, zone) -> None:
    usable = [
        one
        for one in found
        if one.type == "manual" and one.status == "available" and one.created and ownership.EXPIRES_TAG not in one.tags
    ]
    under = [
        one for one in usable if one.snapshot_id.startswith("nightly-") or (one.tags and one.snapshot_id[0] in "km")
    ]
    if under:
        newest = max(under, key=lambda one: (one.created, one.snapshot_id))
        assert decide(found, policy, zone=zone)[newest.snapshot_id].action == "keep"


def test_the_last_good_one_stays_where_nothing_is_to_be_kept() -> None:
    assert decide([nightly(0), nightly(1)], keep())["nightly-1"].reason == "it is the newest good one"
    assert going([nightly(0), nightly(1)], keep()) == {"nightly-0"}


def test_a_name_alone_is_not_ours() -> None:
    named = [Snap(f"{name}-20260101t000000", START) for name in ("kept-staging-shop", "manual-staging-shop")]
    assert going([*named, nightly(1)], keep(daily=1)) == set()
    ours = [dataclasses.replace(one, tags=OURS) for one in named]
    assert going([*ours, nightly(1)], keep(daily=1)) == {one.snapshot_id for one in named}


@given(good_ones, policies, zones)
def test_deciding_again_on_what_stays_removes_nothing_more(found, policy, zone) -> None:
    gone = going(found, policy, zone=zone)
    rest = [one for one in found if one.snapshot_id not in gone]
    assert going(rest, policy, zone=zone) == set()


@given(good_ones, policies, policies, zones)
def test_more_of_each_class_keeps_more(found, policy, more, zone) -> None:
    larger = keep(policy.daily + more.daily, policy.weekly + more.weekly, policy.monthly + more.monthly)
    assert going(found, larger, zone=zone) <= going(found, policy, zone=zone)


@given(good_ones, moments, policies, zones)
def test_a_newer_one_brings_nothing_back(found, later, policy, zone) -> None:
    newest = max([later, *(one.created for one in found)]) + timedelta(hours=1)
    more = [*found, Snap("nightly-new", newest)]
    assert going(found, policy, zone=zone) <= going(more, policy, zone=zone)


@given(good_ones, policies, st.randoms(use_true_random=False))
def test_order_does_not_matter(found, policy, chance) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert decide(shuffled, policy) == decide(found, policy)


@given(good_ones, policies, zones)
def test_what_is_in_use_stays_and_changes_nothing_for_others(found, policy, zone) -> None:
    before = decide(found, policy, zone=zone)
    for name in going(found, policy, zone=zone):
        after = decide(found, policy, zone=zone, in_use={name: "it is shared with 3"})
        assert (after[name].action, after[name].reason) == ("keep", "it is shared with 3")
        assert {k: v for k, v in after.items() if k != name} == {k: v for k, v in before.items() if k != name}


@given(good_ones, policies, zones)
def test_as_many_are_kept_of_each_class_as_there_are_periods(found, policy, zone) -> None:
    verdicts = decide(found, policy, zone=zone)
    days = {one.created.astimezone(zone).date() for one in found}
    daily = [verdict for verdict in verdicts.values() if verdict.reason.startswith("daily ")]
    assert len(daily) == min(policy.daily, len(days))


def test_a_year_of_nights() -> None:
    year = [nightly(number) for number in range(365)]
    verdicts = decide(year, keep(7, 4, 12))
    kept = {int(name.split("-")[1]): verdict.reason for name, verdict in verdicts.items() if verdict.action == "keep"}
    assert kept[364] == "daily 2027-02-28, weekly 2027-W08, monthly 2027-02"
    assert [number for number in kept if kept[number].startswith("daily")] == list(range(364, 357, -1))
    months = [number for number in kept if "monthly" in kept[number]]
    assert [(START + timedelta(days=number)).strftime("%m-%d") for number in months] == [
        "02-28", "01-31", "12-31", "11-30", "10-31", "09-30", "08-31", "07-31", "06-30", "05-31", "04-30", "03-31",
    ]  # fmt: skip
    assert len(kept) == 7 + 3 + 11, "of the four weeks and twelve months one each is a day's as well"
    assert verdicts["nightly-0"].reason.split("; ") == [
        "2026-03-01 is not among the last 7 days",
        "2026-W09 is not among the last 4 weeks",
        "2026-03 has a newer one",
    ]


def test_nothing_goes_because_time_passes() -> None:
    """Only the snapshots are told, no clock: where backups have stopped, what there is stays."""
    week = [nightly(number) for number in range(7)]
    assert going(week, keep(daily=7)) == set()


@pytest.mark.parametrize(
    ("zone", "moments", "kept"),
    [
        # the night in which clocks go forward, and the one in which they go back: each has one day
        (BERLIN, ["2026-03-28T22:59+00:00", "2026-03-28T23:01+00:00", "2026-03-29T21:59+00:00"], {0, 2}),
        (BERLIN, ["2026-10-24T21:59+00:00", "2026-10-24T22:01+00:00", "2026-10-25T22:59+00:00"], {0, 2}),
        # the hour that happens twice
        (BERLIN, ["2026-10-25T00:30+00:00", "2026-10-25T01:30+00:00"], {1}),
        # the same moments, another day elsewhere
        (UTC, ["2026-06-30T21:30+00:00", "2026-06-30T22:30+00:00"], {1}),
        (BERLIN, ["2026-06-30T21:30+00:00", "2026-06-30T22:30+00:00"], {0, 1}),
        (KIRITIMATI, ["2026-06-30T09:30+00:00", "2026-06-30T10:30+00:00"], {0, 1}),
    ],
)
def test_days_are_those_of_the_zone(zone, moments, kept) -> None:
    found = [Snap(f"nightly-{number}", datetime.fromisoformat(moment)) for number, moment in enumerate(moments)]
    left = {one.snapshot_id for one in found} - going(found, keep(daily=9), zone=zone)
    assert left == {f"nightly-{number}" for number in kept}


def test_months_end_where_the_zone_says() -> None:
    found = [
        Snap("nightly-new-york", datetime(2026, 3, 1, 3, tzinfo=UTC)),  # still February there
        Snap("nightly-later", datetime(2026, 3, 1, 6, tzinfo=UTC)),
    ]
    assert going(found, keep(monthly=2), zone=NEW_YORK) == set()
    assert going(found, keep(monthly=2), zone=UTC) == {"nightly-new-york"}


def test_a_week_is_one_over_new_year() -> None:
    found = [Snap("nightly-a", datetime(2026, 12, 30, tzinfo=UTC)), Snap("nightly-b", datetime(2027, 1, 2, tzinfo=UTC))]
    assert decide(found, keep(weekly=2))["nightly-b"].reason == "weekly 2026-W53"
    assert going(found, keep(weekly=2)) == {"nightly-a"}


@pytest.mark.parametrize(
    ("changes", "action", "reason"),
    [
        ({"type": "automated"}, "keep", "automated: it is not deleted from here"),
        ({"type": "awsbackup"}, "keep", "awsbackup: it is not deleted from here"),
        ({"snapshot_id": "by-hand"}, "keep", "this package did not make it, and its name has none of name_prefixes"),
        ({"snapshot_id": "by-hand", "tags": OURS}, "keep", "this package did not make it, and its name has none of name_prefixes"),
        ({"tags": {ownership.EXPIRES_TAG: "2026-07-01"}}, "keep", "temporary, until 2026-07-01: reap_expired looks after it"),
        ({"status": "copying"}, "keep", "it is copying"),
        ({"status": "deleting"}, "keep", "it is deleting"),
        ({"status": "failed"}, "report", "it has failed; look at it and delete it"),
        ({"created": None}, "report", "AWS does not say when it was taken"),
        (
            {"snapshot_id": "kept-staging-shop-20260101t000000", "tags": OURS, "status": "failed"},
            "remove",
            "it has failed, so it holds nothing; the next run copies again",
        ),
    ],
)  # fmt: skip
def test_what_the_policy_does_not_count(changes, action, reason) -> None:
    old = dataclasses.replace(nightly(0), **changes)
    verdict = decide([old, *(nightly(number) for number in range(1, 9))], keep(daily=1))[old.snapshot_id]
    assert (verdict.action, verdict.reason) == (action, reason)


def test_what_is_not_good_does_not_stand_for_a_day() -> None:
    good, made_later = nightly(5), dataclasses.replace(nightly(6), status="creating")
    automated = dataclasses.replace(nightly(7), type="automated")
    assert going([nightly(4), good, made_later, automated], keep(daily=1)) == {"nightly-4"}


def test_a_copy_is_as_old_as_its_data() -> None:
    source = "arn:aws:rds:eu-west-1:1:cluster-snapshot:rds:shop-2026-03-01"
    copy = Snap(
        "kept-staging-shop-20260301t020000", START + timedelta(days=9), tags=OURS | ownership.kept_copy(START, source)
    )
    assert taken(copy) == START
    assert taken(dataclasses.replace(copy, tags={ownership.TAKEN_TAG: START.isoformat()})) == copy.created, "not ours"
    assert going([copy, nightly(3)], keep(daily=1)) == {copy.snapshot_id}


def test_ten_thousand_at_once() -> None:
    """Each is looked at a bounded number of times: by counting, not by the clock."""
    looked = 0

    class Counting(Snap):
        @property
        def status(self):
            nonlocal looked
            looked += 1
            return "available"

        @status.setter
        def status(self, _):
            """The field of the base."""

    found = []
    for number in range(10_000):
        one = object.__new__(Counting)
        for name, value in (("snapshot_id", f"nightly-{number}"), ("created", START + timedelta(hours=number)),
                            ("type", "manual"), ("tags", {})):  # fmt: skip
            object.__setattr__(one, name, value)
        found.append(one)
    random.Random(1).shuffle(found)
    verdicts = decide(found, keep(7, 4, 12), zone=BERLIN)
    assert len(verdicts) == 10_000
    assert sum(verdict.action == "keep" for verdict in verdicts.values()) <= 7 + 4 + 12
    assert looked <= 3 * 10_000


class TestCopies:
    """What a region lacks."""

    NAME = staticmethod(lambda moment: naming.snapshot("shop", "staging", moment, "kept"))

    def missing(self, sources, present, policy, *, zone=UTC, prefixes=()):
        return missing_copies(
            sources, present, policy, zone=zone, source_prefixes=["nightly-"], prefixes=prefixes, name=self.NAME
        )

    def made(self, copies) -> list[Snap]:
        """The copies as AWS shows them: made now."""
        return [
            Snap(copy.snapshot_id, datetime(2030, 1, 1, tzinfo=UTC), tags=OURS | ownership.kept_copy(copy.taken, copy.source.arn))
            for copy in copies
        ]  # fmt: skip

    @given(good_ones, policies, zones)
    def test_once_made_none_is_missing_and_all_are_kept(self, sources, policy, zone) -> None:
        copies = self.missing(sources, [], policy, zone=zone)
        there = self.made(copies)
        assert self.missing(sources, there, policy, zone=zone) == []
        if policy.daily + policy.weekly + policy.monthly:
            assert going(there, policy, zone=zone) == set()

    @given(good_ones, policies, zones)
    def test_a_newer_one_of_the_same_day_costs_no_second_copy(self, sources, policy, zone) -> None:
        there = self.made(self.missing(sources, [], policy, zone=zone))
        for copy in there:
            later = taken(copy) + timedelta(seconds=1)
            if later.astimezone(zone).date() == taken(copy).astimezone(zone).date():
                more = [*sources, Snap("nightly-again", later)]
                assert self.missing(more, there, policy, zone=zone) == []

    def test_newest_first_with_what_they_stand_for(self) -> None:
        copies = self.missing([nightly(number) for number in range(40)], [], keep(2, 2, 1))
        assert [(copy.snapshot_id, copy.why) for copy in copies] == [
            ("kept-staging-shop-20260409t020000", "daily 2026-04-09, weekly 2026-W15, monthly 2026-04"),
            ("kept-staging-shop-20260408t020000", "daily 2026-04-08"),
            ("kept-staging-shop-20260405t020000", "weekly 2026-W14"),
        ]

    def test_automated_ones_are_copied_too_and_nothing_foreign_incomplete_or_temporary(self) -> None:
        automated = Snap("rds:shop-2026-03-09", START + timedelta(days=8), type="automated")
        others = [
            Snap("by-hand", START + timedelta(days=9)),
            dataclasses.replace(nightly(10), status="creating"),
            dataclasses.replace(nightly(11), tags={ownership.EXPIRES_TAG: "2030-01-01T00:00:00+00:00"}),
            Snap("awsbackup:job-1", START + timedelta(days=12), type="awsbackup"),
        ]
        assert [copy.source for copy in self.missing([automated, *others], [], keep(9, 9, 9))] == [automated]

    def test_one_in_the_making_is_not_asked_for_again_and_a_failed_one_waits_to_be_removed(self) -> None:
        sources = [nightly(0)]
        [copy] = self.made(self.missing(sources, [], keep(daily=1)))
        for status in ("copying", "failed", "available"):
            assert self.missing(sources, [dataclasses.replace(copy, status=status)], keep(daily=1)) == []

    def test_what_begins_so_counts_as_a_copy_only_where_it_is_told(self) -> None:
        """In another region it may be of another cluster."""
        sources, there = [nightly(0)], [nightly(0)]
        assert len(self.missing(sources, there, keep(daily=1))) == 1
        assert self.missing(sources, there, keep(daily=1), prefixes=["nightly-"]) == []

    def test_the_copy_at_home_stands_in_for_what_has_gone_and_the_original_is_preferred(self) -> None:
        original = Snap("rds:shop-2026-03-01", START.replace(microsecond=5000), type="automated")
        [at_home] = self.made(self.missing([original], [], keep(daily=1)))
        assert [copy.source for copy in self.missing([at_home, original], [], keep(daily=1))] == [original]
        assert [copy.source for copy in self.missing([at_home], [], keep(daily=1))] == [at_home]
