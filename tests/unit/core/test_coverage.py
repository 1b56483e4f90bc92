"""Coverage: what is handed on, what is remembered, what is new, how it reads."""

from __future__ import annotations

import json

from aurora_ops.core import coverage
from aurora_ops.core.coverage import Covered
from hypothesis import given
from hypothesis import strategies as st

MANY = [Covered(f"shop.some_table_{n // 40}.some_column_name_{n}", "varchar(190)", "clean") for n in range(10_000)]
SOME = [
    Covered("s.t.a", "text", "found", "", {"email": 3, "card": 1}),
    Covered("s.t.b", "int", "clean", "can hold no text to look for", decided=True),
    Covered("s.t.c", "text", "masked", "email, proof: values", decided=True),
    Covered("s.t.d", "text", "clean"),
]


def test_coverage_is_handed_on_whole_and_small() -> None:
    assert coverage.unpacked(coverage.packed(SOME)) == SOME
    assert coverage.unpacked(coverage.packed(MANY)) == MANY
    assert len(coverage.packed(MANY)) < 200_000


@given(st.sets(st.text(min_size=1, max_size=64)), st.text(min_size=1))
def test_what_is_remembered_is_recognised(names, other) -> None:
    known = coverage.recalled(coverage.remembered(names))
    assert all(coverage.name_digest(name) in known for name in names)
    assert (coverage.name_digest(other) in known) == (other in names)


def test_ten_thousand_columns_fit_an_item_and_more_are_shared_out() -> None:
    [value] = coverage.remembered(c.column for c in MANY)
    assert len(value) == 60_000
    values = coverage.remembered(f"s.t.{n}" for n in range(120_000))
    assert [len(value) <= 350_000 for value in values] == [True] * 3
    assert len(coverage.recalled(values)) == 120_000
    assert coverage.recalled(coverage.remembered([])) == set()


def test_new_is_what_the_last_run_did_not_have() -> None:
    known = coverage.recalled(coverage.remembered(["s.t.a", "s.t.b", "s.gone.x"]))
    found = coverage.compared(SOME, known)
    assert [c.column for c in found if c.new] == ["s.t.c", "s.t.d"]
    assert coverage.undecided(found) == ["s.t.d"]
    assert coverage.undecided(coverage.compared(SOME, None)) == [], "the first run has nothing to compare with"


def test_summary_stays_small() -> None:
    summed = coverage.summary(coverage.compared(MANY, set()))
    assert (summed["columns"], summed["new_count"], len(summed["new"])) == (10_000, 10_000, 20)
    assert summed["statuses"] == {"clean": 10_000}
    assert len(json.dumps(summed)) < 5_000


def test_report_for_machines() -> None:
    report = json.loads(coverage.as_json(SOME, run="dag/run", environment="staging"))
    assert (report["schema_version"], report["run"], report["columns"]) == (1, "dag/run", 4)
    assert report["coverage"][0] == {
        "column": "s.t.a", "type": "text", "status": "found", "how": "", "found": {"email": 3, "card": 1}, "decided": False,
        "new": False,
    }  # fmt: skip


def test_report_for_people_has_what_matters_first() -> None:
    known = coverage.recalled(coverage.remembered(["s.t.a", "s.t.b", "s.t.c"]))
    lines = coverage.as_table(coverage.compared(SOME, known))
    assert [line.split()[0] for line in lines] == ["s.t.d", "s.t.a", "s.t.c", "s.t.b"]
    assert lines[0].split()[1:3] == ["new", "clean"]
    assert lines[1].endswith("card 1, email 3")
    assert coverage.as_table([]) == []


def test_every_status_is_explained_and_has_a_place() -> None:
    rows = [Covered(f"s.t.{status}", "text", status) for status in coverage.STATUSES]
    assert len(coverage.as_table(rows)) == len(coverage.STATUSES)


def test_long_lists_are_cut() -> None:
    assert coverage.listed(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert coverage.listed(["a", "b"], most=2) == "a, b"
