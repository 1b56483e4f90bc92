"""The report claims nothing that was not seen."""

from __future__ import annotations

import dataclasses

import pytest

from devstack.demo import error_lines
from devstack.evidence import Endpoint, Masked, State
from devstack.report import durations, judge, rows_per_table, table
from devstack.timings import Split

PRODUCTION = State(Endpoint("127.1.1.1", 13306, "cluster-P"), {"customers": 1000, "feature_flags": 5})
BEFORE = State(Endpoint("127.2.2.2", 13306, "cluster-A"), {"customers": 10, "feature_flags": 2}, {"feature_flags": "x"})
AFTER = State(
    Endpoint("127.2.2.2", 13306, "cluster-B"), {"customers": 1000, "feature_flags": 2}, {"feature_flags": "x"}
)
KEPT = ["feature_flags"]
COLUMNS = [Masked("customers", "email", 1000, 0)]


def verdicts(after=AFTER, columns=COLUMNS):
    return [proof.holds for proof in judge(PRODUCTION, BEFORE, after, KEPT, columns)]


def test_a_good_run_holds():
    assert verdicts() == [True] * 4


@pytest.mark.parametrize(
    ("after", "columns", "broken"),
    [
        (dataclasses.replace(AFTER, rows={"customers": 999, "feature_flags": 2}), COLUMNS, 0),
        (dataclasses.replace(AFTER, rows={}), COLUMNS, 0),
        (AFTER, [Masked("customers", "email", 1000, 1)], 1),
        (AFTER, [], 1),
        (dataclasses.replace(AFTER, endpoint=Endpoint("127.3.3.3", 13306, "cluster-B")), COLUMNS, 2),
        (dataclasses.replace(AFTER, endpoint=BEFORE.endpoint), COLUMNS, 2),
        (dataclasses.replace(AFTER, kept={"feature_flags": "y"}), COLUMNS, 3),
        (dataclasses.replace(AFTER, kept={}), COLUMNS, 3),
    ],
)
def test_each_claim_can_fail(after, columns, broken):
    assert verdicts(after, columns) == [turn != broken for turn in range(4)]


def test_rows_are_laid_out_with_gaps_and_thousands():
    lines = rows_per_table(PRODUCTION, dataclasses.replace(BEFORE, rows={}), AFTER, KEPT)
    assert lines[2].split() == ["customers", "1,000", "-", "1,000"]
    assert lines[3].split() == ["feature_flags", "5", "-", "2", "kept"]


def test_numbers_are_right_aligned():
    assert table(("name", "n"), [("a", 1), ("b", 1000)])[2:] == ["  a         1", "  b     1,000"]


@pytest.mark.parametrize(("overhead", "verdict"), [(30, "within"), (30.1, "ABOVE")])
def test_overhead_is_judged_against_the_floor(overhead, verdict):
    split = Split(100, 10, 50, 10, overhead, 20, ("a",), 3, 0)
    assert verdict in durations(split)[4]


def test_error_lines_are_the_last_error_and_the_rest_of_its_message():
    log = "T ERROR Task failed\nBusyError: cluster app is busy:\nrun again\n2026-01-01T00:00:00Z INFO end"
    assert error_lines(log) == ["BusyError: cluster app is busy:", "run again"]
    assert error_lines("INFO a\nINFO b") == ["INFO b"]
    assert error_lines("") == ["the log is empty"]
