"""Where the time of a run went, and its picture."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import pytest
from aurora_ops.core import timeline
from aurora_ops.core.timeline_svg import MOST_ROWS, picture
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core import runs

moments = st.floats(min_value=0, max_value=1000, allow_nan=False)
spans = st.lists(
    st.builds(
        lambda kind, a, b: {"kind": kind, "what": "x", "start": min(a, b), "end": max(a, b)},
        st.sampled_from(["sql", "api", "aws_wait", "aws_wait_in_worker", "other"]),
        moments,
        moments,
    ),
    max_size=20,
)


def span(kind, start, end):
    return {"kind": kind, "what": kind, "start": start, "end": end}


def test_a_moment_counts_once_sql_before_waits_before_calls() -> None:
    found = timeline.split([span("api", 0, 10), span("sql", 2, 5), span("aws_wait", 4, 8)], 0, 12)
    assert found == {"sql": 3, "aws_wait": 3, "api": 4, "airflow": 2}


@given(spans)
def test_kinds_add_up_to_the_whole(made) -> None:
    found = timeline.split(made, 0, 1000)
    assert sum(found.values()) == pytest.approx(1000, abs=0.01)
    assert all(value > 0 for value in found.values())


@given(spans)
def test_joined_spans_are_disjoint_and_cover_the_same(made) -> None:
    found = timeline.joined([(item["start"], item["end"]) for item in made])
    assert all(first[1] < second[0] for first, second in itertools.pairwise(found))
    for item in made:
        if item["end"] > item["start"]:
            assert any(start <= item["start"] and item["end"] <= end for start, end in found)


def test_step_without_times_has_what_airflow_counted() -> None:
    assert timeline.step("success", None, 0.21234) == {"state": "success", "duration_s": 0.212}
    assert timeline.step("skipped", None) == {"state": "skipped"}
    assert timeline.step("failed", {"spans": [], "try": 3}) == {"state": "failed", "tries": 3}


def test_critical_path_goes_over_steps_without_times() -> None:
    steps = {name: {"ended": end, "started": 0.0} for name, end in (("a", 5.0), ("b", 9.0), ("d", 20.0), ("e", 3.0))}
    assert timeline.critical_path(steps, {"d": ["c", "e"], "c": ["a", "b"], "e": [], "b": ["e"]}) == ["e", "b", "d"]
    assert timeline.critical_path({"x": {"state": "success"}}, {}) == []


def test_critical_path_ends_even_if_times_and_edges_go_in_circles() -> None:
    steps = {name: {"ended": 1.0, "started": 0.0} for name in "ab"}
    assert set(timeline.critical_path(steps, {"a": ["b"], "b": ["a"]})) == {"a", "b"}


def test_groups_reach_from_first_start_to_last_end() -> None:
    found = timeline.groups(runs.record()["steps"])
    assert found["publish"] == pytest.approx(1)
    assert found["mask"] > found["switch"]
    assert "files" not in found


@pytest.mark.parametrize(
    ("value_s", "said"),
    [
        (None, "unknown"), (0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"), (86400 * 3 + 3600, "3 days 1 h"),
    ],
)  # fmt: skip
def test_durations_as_people_say_them(value_s, said) -> None:
    assert timeline.duration(value_s) == said


def draw(**changes):
    made = runs.record()
    given = {
        "steps": made["steps"],
        "spans": {name: timing["spans"] for name, timing in runs.timings().items()},
        "upstream": runs.upstream(),
        "path": made["critical_path"],
        "started": runs.STARTED.timestamp(),
        "ended": runs.STARTED.timestamp() + made["rto_s"],
    }
    given |= changes
    return ET.fromstring(
        picture(given.pop("steps"), given.pop("spans"), given.pop("upstream"), given.pop("path"), **given)
    )


def names(svg):
    return [text.text for text in svg.iter("text") if text.get("class") == "name"]


class TestPicture:
    """One row a step."""

    def test_every_step_with_times_has_a_row_in_order(self) -> None:
        svg = draw()
        timed = [name for name in runs.STEPS if name not in runs.SKIPPED + runs.EMPTY]
        assert sorted(names(svg)) == sorted(timed)
        assert names(svg)[0] == "prepare.check"
        assert names(svg)[-1] == "clean_up.retire_old_cluster"

    def test_bars_lie_within_the_picture_and_are_seen(self) -> None:
        for bar in draw().iter("rect"):
            assert float(bar.get("x")) >= 260
            assert float(bar.get("x")) + float(bar.get("width")) <= 1000
            assert float(bar.get("width")) >= 1.5

    def test_is_told_to_those_who_cannot_see_it(self) -> None:
        svg = draw()
        assert svg.get("role") == "img"
        ids = svg.get("aria-labelledby").split()
        told = {child.get("id"): child.text for child in svg if child.tag in ("title", "desc")}
        assert list(told) == ids
        assert "mask.mask_database 12 min" in told["timeline-text"]
        assert all(bar.find("title") is not None for bar in svg.iter("rect"))

    def test_critical_and_failed_steps_are_marked_and_not_by_colour_alone(self) -> None:
        made = runs.record({"mask.prove_mask": "failed"})
        rows = {group.find("text").text: group for group in draw(steps=made["steps"]).iter("g")}
        assert rows["mask.prove_mask"].get("class").split() == ["row", "critical", "failed"]
        assert list(rows["mask.prove_mask"].iter("text"))[-1].text.endswith(" failed")
        assert rows["mask.prove_mask"].find("path") is not None
        assert rows["prepare.clear_old"].find("path") is None

    def test_names_and_spans_are_escaped(self) -> None:
        evil = '<script>alert("1")</script>&'
        steps = {evil: {"state": "success", "started": 0.0, "ended": 1.0, "duration_s": 1.0}}
        svg = draw(
            steps=steps,
            spans={evil: [span("sql", 0, 1) | {"what": evil}]},
            upstream={},
            path=[evil],
            started=0,
            ended=1,
        )
        assert not list(svg.iter("script"))
        assert evil[:20] in names(svg)[0]

    def test_a_run_of_no_time_at_all(self) -> None:
        assert names(draw(steps={}, path=[], ended=runs.STARTED.timestamp())) == []

    def test_thousands_of_steps_show_the_longest(self) -> None:
        steps = {
            f"g.s{number}": {"state": "success", "started": 0.0, "ended": 1.0 + number, "duration_s": 1.0 + number}
            for number in range(3000)
        }
        shown = names(draw(steps=steps, spans={}, upstream={}, path=[], started=0, ended=3001))
        assert len(shown) == MOST_ROWS
        assert "g.s2999" in shown
        assert "g.s0" not in shown

    def test_ticks_are_few_and_round(self) -> None:
        ticks = [text.text for text in draw().iter("text") if text.get("class") == "tick"]
        assert ticks == ["0 s", "10:00", "20:00", "30:00", "40:00", "50:00", "1:00 h"]
        assert all(re.fullmatch(r"\d+ s|\d+:\d\d( h)?", tick) for tick in ticks)
