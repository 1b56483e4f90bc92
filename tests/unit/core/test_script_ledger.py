"""What becomes of a script that is asked for again."""

from __future__ import annotations

import pytest
from aurora_ops.core.errors import StateError
from aurora_ops.core.script_ledger import Entry, chain, first_statement
from aurora_ops.core.sql_script import Statement
from hypothesis import given
from hypothesis import strategies as st

OLD, NOW = "d/yesterday", "d/today"


def script(*texts: str) -> list[str]:
    return chain(Statement(text, number) for number, text in enumerate(texts, 1))


ABC = script("a", "b", "c")


def entry(state: str, done: int, begun: int = 0, run: str = OLD, checksums: list[str] = ABC) -> Entry:
    return Entry(checksums[done], state, done, begun, run)


def first(found: Entry | None, mode: str = "new", checksums: list[str] = ABC) -> int | None:
    return first_statement("x.sql", found, checksums, mode=mode, run_key=NOW)


@pytest.mark.parametrize("mode", ["new", "resume", "all"])
def test_what_never_ran_begins_at_the_beginning(mode) -> None:
    assert first(None, mode) == 1


def test_what_has_run_is_skipped_unless_all_is_asked_for() -> None:
    assert first(entry("done", 3)) is None
    assert first(entry("done", 3), "resume") is None
    assert first(entry("done", 3), "all") == 1
    assert first(entry("done", 3, run=NOW), "all") is None, "this run has run it already"


def test_what_stopped_in_an_earlier_run_is_a_persons_matter() -> None:
    with pytest.raises(StateError, match="stopped after 1 statements"):
        first(entry("failed", 1))
    assert first(entry("failed", 1), "resume") == 2
    assert first(entry("failed", 1), "all") == 1
    assert first(entry("running", 1, begun=2), "resume") == 2, "they have looked"


def test_a_run_goes_on_with_what_it_has_begun() -> None:
    for mode in ("new", "resume", "all"):
        assert first(entry("failed", 2, run=NOW), mode) == 3


def test_a_run_does_not_guess_what_a_lost_connection_did() -> None:
    for mode in ("new", "resume", "all"):
        with pytest.raises(StateError, match="while statement 3 ran"):
            first(entry("running", 2, begun=3, run=NOW), mode)


def test_a_mended_statement_is_the_next_one() -> None:
    assert first(entry("failed", 1), "resume", script("a", "B", "c", "d")) == 2


@pytest.mark.parametrize("changed", [("A", "b", "c"), ("a",), ("a", "b", "c", "d"), ("a", "x", "c")])
def test_what_has_run_must_not_be_changed(changed) -> None:
    for mode in ("new", "resume"):
        with pytest.raises(StateError, match="changed since"):
            first(entry("done", 3), mode, script(*changed))
    assert first(entry("done", 3), "all", script(*changed)) == 1


@given(st.lists(st.text(max_size=3), max_size=5), st.lists(st.text(max_size=3), max_size=5))
def test_checksums_are_those_of_the_statements(one, other) -> None:
    assert (script(*one)[-1] == script(*other)[-1]) == (one == other)
    assert len(script(*one)) == len(one) + 1
