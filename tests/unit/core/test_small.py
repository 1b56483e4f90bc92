"""Timing, waits, table names, errors."""

from __future__ import annotations

import json

import pytest
from aurora_ops.core import errors, timing
from aurora_ops.core.tables import Column, Table, quoted
from aurora_ops.core.timing import Timing
from aurora_ops.core.wait import Wait, poll_interval_s
from hypothesis import given
from hypothesis import strategies as st


class TestTiming:
    """Spans stay few and lose no time."""

    def test_neighbours_of_a_kind_are_joined(self) -> None:
        it = Timing()
        it.add("sql", "first", 1.0, 2.0)
        it.add("sql", "second", 2.01, 3.0)
        it.add("sql", "third", 4.0, 5.0)
        assert [(span["what"], span["start"], span["end"]) for span in it.spans] == [
            ("first", 1.0, 3.0),
            ("third", 4.0, 5.0),
        ]

    def test_kinds_stay_apart(self) -> None:
        it = Timing()
        it.add("sql", "a", 1.0, 2.0)
        it.add("api", "b", 2.0, 3.0)
        it.add("sql", "c", 2.0, 3.0)
        assert [(span["kind"], span["end"]) for span in it.spans] == [("sql", 3.0), ("api", 3.0)]

    def test_ten_thousand_statements_cost_sixty_spans(self) -> None:
        it = Timing()
        for n in range(10_000):
            it.add("sql", "s", n * 1.0, n + 0.5)
        assert len(it.spans) == 60
        assert it.spans[-1]["end"] == 9999.5
        assert len(json.dumps(it.spans)) < 8000

    def test_a_kind_that_comes_late_is_not_lost(self) -> None:
        it = Timing()
        for n in range(100):
            it.add("sql", "s", n * 1.0, n + 0.5)
        it.add("aws_wait", "w", 200.0, 300.0)
        assert it.spans[-1] == {"kind": "aws_wait", "what": "w", "start": 200.0, "end": 300.0}

    def test_failed_block_counts_too(self, monkeypatch) -> None:
        ticks = iter([10.0, 12.5])
        monkeypatch.setattr(timing.time, "time", lambda: next(ticks))
        it = Timing()
        with pytest.raises(ZeroDivisionError), it.span("sql", "x"):
            1 / 0  # noqa: B018
        assert it.spans == [{"kind": "sql", "what": "x", "start": 10.0, "end": 12.5}]

    def test_span_that_lies_within_another_does_not_shorten_it(self) -> None:
        it = Timing()
        it.add("sql", "a", 1.0, 9.0)
        it.add("sql", "b", 2.0, 3.0)
        assert it.spans[0]["end"] == 9.0


class TestWait:
    """Waits are bounded, and survive being written down."""

    @pytest.mark.parametrize(("within_s", "every_s", "attempts"), [(60, 30, 2), (61, 30, 3), (10, 30, 1), (0, 30, 1)])
    def test_attempts(self, monkeypatch, within_s, every_s, attempts) -> None:
        monkeypatch.delenv("AURORA_OPS_POLL_S")
        assert Wait("w", within_s=within_s, every_s=every_s).attempts == attempts

    def test_environment_shortens_the_interval_and_keeps_the_time(self, monkeypatch) -> None:
        monkeypatch.setenv("AURORA_OPS_POLL_S", "0.5")
        wait = Wait("w", within_s=60, every_s=30)
        assert wait.interval_s == poll_interval_s(30) == 0.5
        assert wait.attempts == 120

    def test_empty_variable_is_none(self, monkeypatch) -> None:
        monkeypatch.setenv("AURORA_OPS_POLL_S", "")
        assert Wait("w", every_s=12.5).interval_s == 12.5

    def test_json_round_trip(self) -> None:
        wait = Wait("w", {"a": {"b": [1]}}, {"p": "v"}, show="x", within_s=5, every_s=0.25)
        assert Wait(**json.loads(json.dumps(wait.as_json()))) == wait

    def test_json_has_the_interval_of_aws_not_of_this_process(self, monkeypatch) -> None:
        monkeypatch.setenv("AURORA_OPS_POLL_S", "0.5")
        assert Wait("w", every_s=15).as_json()["every_s"] == 15


class TestTables:
    """Names of tables in settings and in SQL."""

    @given(st.text(max_size=70))
    def test_any_name_can_be_quoted(self, name) -> None:
        text = quoted(name)
        assert text[0] == text[-1] == "`"
        assert text[1:-1].replace("``", "") == name.replace("`", "")
        assert text[1:-1].replace("``", "`") == name

    def test_names_are_read(self) -> None:
        table = Table.parse("shop.feature_flags", "f")
        assert (table, str(table), table.sql) == (
            ("shop", "feature_flags"),
            "shop.feature_flags",
            "`shop`.`feature_flags`",
        )
        column = Column.parse("shop.customers.email", "f")
        assert (column.table, column.name, str(column)) == (("shop", "customers"), "email", "shop.customers.email")

    @pytest.mark.parametrize("text", ["", "a", "a.", ".a", "a.b.c", "a.b\n", "a.b ", "a`.b", "é.b", "a." + "b" * 65])
    def test_what_is_no_table_is_refused(self, text) -> None:
        with pytest.raises(errors.ConfigError, match=r"schema\.table") as raised:
            Table.parse(text, "database.keep_tables")
        assert (raised.value.field, raised.value.value) == ("database.keep_tables", text)

    @pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "a..b", "a.b.c\n", "a.b.*"])
    def test_what_is_no_column_is_refused(self, text) -> None:
        with pytest.raises(errors.ConfigError, match=r"schema\.table\.column"):
            Column.parse(text, "f")


class TestErrors:
    """Findings are reported together."""

    def test_nothing_wrong(self) -> None:
        errors.report([])

    def test_one_is_raised_as_it_is(self) -> None:
        problem = errors.MissingError("no cluster x")
        with pytest.raises(errors.MissingError) as raised:
            errors.report([problem])
        assert raised.value is problem

    def test_several_are_all_named(self) -> None:
        with pytest.raises(errors.PermanentError) as raised:
            errors.report([errors.MissingError("no cluster x"), errors.ConfigError("readers", -1, "at least 0")])
        assert str(raised.value) == "2 problems:\n- no cluster x\n- readers: -1 is not allowed; at least 0"

    def test_a_guard_among_them_is_never_hidden(self) -> None:
        with pytest.raises(errors.SafetyError):
            errors.report([errors.MissingError("x"), errors.SafetyError("y")])

    def test_config_error_keeps_field_value_and_what_is_allowed(self) -> None:
        error = errors.ConfigError("a.b", "x", "y or z")
        assert (error.field, error.value, error.allowed) == ("a.b", "x", "y or z")
        assert str(error) == "a.b: 'x' is not allowed; y or z"


def test_no_interval_is_no_division_by_zero(monkeypatch) -> None:
    monkeypatch.setenv("AURORA_OPS_POLL_S", "0")
    assert Wait("w", within_s=10).attempts >= 1
