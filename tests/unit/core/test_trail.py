"""Audit trails: whatever is done to one is found, and what was only interrupted is no break."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.trail import Head
from hypothesis import assume, given
from hypothesis import strategies as st

OPERATION = "aurora_restore/manual__1"
KINDS = (trails.MUTATION, trails.APPROVAL)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
contents = st.lists(st.dictionaries(st.text(min_size=1, max_size=8), values, max_size=4), min_size=1, max_size=7)


def chain(*contents: dict[str, Any], operation: str = OPERATION) -> list[trails.Event]:
    """A trail: begun, what happened, finished."""
    events: list[trails.Event] = []
    head = Head(0, trails.genesis(operation))
    kinds = [trails.BEGUN, *(KINDS[n % 2] for n in range(len(contents))), trails.FINISHED]
    for kind, content in zip(kinds, [{}, *contents, {"outcome": "succeeded"}], strict=True):
        about = {"kind": kind, "at": "2026-07-01T02:00:00.000+00:00", "task": "t"}
        events.append(trails.seal(operation, head.sequence + 1, head.hash, {**content, **about}))
        head = trails.head_of(operation, events)
    return events


def broken(events: list[Any], head: Head | None = None, **more: Any) -> str:
    found = trails.verify(events, head=head, **more).broken
    assert found is not None
    return found


@given(contents)
def test_a_whole_trail_is_whole_also_from_a_file(contents) -> None:
    events = chain(*contents)
    for read in (events, trails.read_jsonl(trails.as_jsonl(events)), json.loads(json.dumps(events))):
        verdict = trails.verify(read, head=trails.head_of(OPERATION, events))
        assert verdict.broken is None
        assert verdict.operation == OPERATION
        assert verdict.head == trails.head_of(OPERATION, events)


@given(contents, st.data())
def test_any_change_of_any_field_is_found_and_named(contents, data) -> None:
    events = chain(*contents)
    head = trails.head_of(OPERATION, events)
    place = data.draw(st.integers(0, len(events) - 1))
    changed = copy.deepcopy(events)
    field = data.draw(st.sampled_from(sorted(changed[place])))
    value = data.draw(st.text(max_size=5) | st.integers() | st.none())
    assume(value != changed[place][field])
    changed[place][field] = value
    assert f"event {place + 1}" in broken(changed, head)


@given(contents, st.data())
def test_a_field_more_or_less_is_found(contents, data) -> None:
    events = chain(*contents)
    place = data.draw(st.integers(0, len(events) - 1))
    more, less = copy.deepcopy(events), copy.deepcopy(events)
    more[place]["more"] = 1
    del less[place][data.draw(st.sampled_from(sorted(less[place])))]
    assert f"event {place + 1}" in broken(more)
    assert f"event {place + 1}" in broken(less)


@given(contents, st.data())
def test_a_changed_event_that_was_sealed_anew_is_found_by_the_next_or_by_the_head(contents, data) -> None:
    events = chain(*contents)
    head = trails.head_of(OPERATION, events)
    place = data.draw(st.integers(0, len(events) - 1))
    forged = trails.seal(OPERATION, place + 1, events[place]["previous"], {**events[place], "task": "another"})
    found = broken([*events[:place], forged, *events[place + 1 :]], head)
    assert ("does not follow" in found) if place + 1 < len(events) else ("written down" in found)


@given(contents, st.data())
def test_a_trail_that_was_written_anew_from_a_place_on_is_found_by_its_head(contents, data) -> None:
    events = chain(*contents)
    place = data.draw(st.integers(0, len(events) - 1))
    forged = events[:place]
    for event in events[place:]:
        previous = trails.head_of(OPERATION, forged)
        forged.append(trails.seal(OPERATION, previous.sequence + 1, previous.hash, {**event, "task": "another"}))
    assert trails.verify(forged).broken is None
    assert "was replaced" in broken(forged, trails.head_of(OPERATION, events))


@given(contents, st.data())
def test_a_removed_event_is_missed(contents, data) -> None:
    events = chain(*contents)
    place = data.draw(st.integers(0, len(events) - 1))
    found = broken(events[:place] + events[place + 1 :], trails.head_of(OPERATION, events))
    assert found.startswith(f"event {place + 1} is missing")


@given(contents, st.data())
def test_two_that_changed_places_are_out_of_order(contents, data) -> None:
    events = chain(*contents)
    one, other = sorted(data.draw(st.sets(st.integers(0, len(events) - 1), min_size=2, max_size=2)))
    events[one], events[other] = events[other], events[one]
    assert broken(events).startswith(f"event {one + 1} is out of order")


@given(contents, st.data())
def test_a_trail_that_was_cut_off_is_found_by_its_head(contents, data) -> None:
    events = chain(*contents)
    kept = data.draw(st.integers(0, len(events) - 1))
    head = trails.head_of(OPERATION, events)
    assert f"event {kept + 1} is missing" in broken(events[:kept], head)
    assert f"event {kept + 1} is missing" in broken(events[:kept], head, may_have_grown=True)


def test_one_that_was_cut_off_and_went_on_is_found_by_what_a_step_saw() -> None:
    events = chain({"a": 1}, {"b": 2}, {"c": 3})
    seen = [trails.head_of(OPERATION, events[:3])]
    went_on = events[:2]
    for kind in (trails.MUTATION, trails.FINISHED):
        end = trails.head_of(OPERATION, went_on)
        went_on.append(trails.seal(OPERATION, end.sequence + 1, end.hash, {"kind": kind}))
    assert trails.verify(went_on).broken is None
    assert "event 3 is not the one whose hash was written down" in broken(went_on, seen=seen)
    assert trails.verify(events, seen=seen).broken is None


def test_without_its_beginning_a_trail_is_broken_even_if_it_was_numbered_anew() -> None:
    assert "event 1 is missing" in broken([])
    assert "event 1 is missing" in broken(chain({})[1:])
    anew = trails.seal(OPERATION, 1, trails.genesis(OPERATION), {"kind": trails.FINISHED})
    assert "event 1 is finished, not begun" in broken([anew])


def test_one_that_is_there_twice_and_one_added_at_the_end() -> None:
    events = chain({}, {})
    head = trails.head_of(OPERATION, events)
    assert broken([*events[:2], *events[1:]]).startswith("event 2 is there twice")
    longer = [*events, trails.seal(OPERATION, head.sequence + 1, head.hash, {"kind": trails.MUTATION})]
    assert broken(longer, head).startswith(f"event {len(longer)} was added")
    grown = trails.verify(longer, head=head, may_have_grown=True)
    assert grown.broken is None
    assert any("1 events were added" in remark for remark in grown.remarks)


def test_an_event_of_another_operation_belongs_elsewhere() -> None:
    events, others = chain({}), chain({}, operation="aurora_restore/other")
    assert "event 1 does not follow operation" in broken(
        [trails.seal(OPERATION, 1, others[0]["previous"], {"kind": trails.BEGUN})]
    )
    assert "event 2 belongs elsewhere" in broken([events[0], others[1], *events[2:]])


@pytest.mark.parametrize("junk", [None, "text", 1, []])
def test_what_is_no_event_is_said_to_be_none(junk) -> None:
    events: list[Any] = chain({}, {})
    events[1] = junk
    assert broken(events) == "event 2 is no event"


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b'"kind":"begun"', b'"kind":"x","kind":"begun"'),
        lambda raw: raw.replace(b'"kind"', b' "kind"', 1),
        lambda raw: b"\n" + raw,
        lambda raw: raw.replace(b"{", b"[", 1),
    ],
)
def test_a_line_that_is_written_otherwise_is_no_event(change) -> None:
    assert broken(trails.read_jsonl(change(trails.as_jsonl(chain({}))))) == "event 1 is no event"


def test_before_without_after_is_a_remark() -> None:
    before = {"phase": trails.BEFORE, "what": "rds:DeleteDBCluster old"}
    events = chain(before, {**before}, {"phase": trails.AFTER, "of": 3})
    verdict = trails.verify(events)
    assert verdict.broken is None
    [remark] = verdict.remarks
    assert remark.startswith("event 2: rds:DeleteDBCluster old of t has no end")


def test_without_its_end_a_trail_is_not_finished_which_is_a_remark() -> None:
    assert "not finished" in trails.verify(chain({})[:-1]).remarks[0]
    assert trails.verify(chain({})).remarks == []


@given(values)
def test_a_tidy_value_reads_the_same_wherever_it_was_stored(value) -> None:
    tidy = trails.tidy(value)
    assert trails.tidy(tidy) == tidy
    assert json.loads(trails.canonical(tidy)) == tidy


def test_tidy_by_examples() -> None:
    assert trails.tidy({"a": None, "b": [1, None, 0.5], "": 1}) == {"b": [1, "0.5"]}
    assert trails.tidy(b"secret") == "(bytes)"
    assert trails.tidy(10**20) == str(10**20)
    assert trails.tidy(datetime(2026, 7, 1, tzinfo=UTC)) == "2026-07-01T00:00:00+00:00"
    assert trails.tidy("\ud800") == "?"
    assert len(trails.tidy("x" * 100_000)) < 51_000


def test_names_of_objects() -> None:
    moment = datetime(2026, 7, 1, 2, tzinfo=UTC)
    key = trails.export_key("aurora_restore", moment, "manual__1")
    assert key == "audit/aurora_restore/2026-07-01/manual__1.jsonl"
    assert trails.manifest_key(key) == "audit/aurora_restore/2026-07-01/manual__1.manifest.json"
    assert trails.export_key("d", moment, "r", events=57) == "audit/d/2026-07-01/r.00000057.jsonl"


def test_a_manifest_says_where_the_trail_ends() -> None:
    head = Head(3, "abc")
    about = trails.manifest(OPERATION, head, bucket="b", key="k", version_id=None)
    assert about == {"operation": OPERATION, "events": 3, "head": "abc", "bucket": "b", "key": "k"}
    assert trails.head_in(about) == head
    with pytest.raises(ConfigError, match="events and head"):
        trails.head_in({"events": "many", "head": "x"})
