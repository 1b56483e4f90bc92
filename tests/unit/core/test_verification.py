"""Suites are read strictly, rows are compared, what failed is said, and the report shows text as text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from aurora_ops.core import baseline, checksums, foreign_keys, report, verification_report
from aurora_ops.core.errors import ConfigError, PermanentError, StateError, VerificationError
from aurora_ops.core.tables import Table
from aurora_ops.core.verification import Finding, Suite, compare_rows, failures, judge, read_suite
from hypothesis import example, given
from hypothesis import strategies as st

from devstack.settings import REPO
from tests.unit.core.test_report import EVIL, OUTSIDE, Page

A, B = Table("shop", "a"), Table("shop", "b")
counts = st.dictionaries(st.sampled_from([A, B, Table("x", "y")]), st.integers(0, 10_000))


def test_suites_that_ship_are_right() -> None:
    paths = sorted((REPO / "include/sql/validation").glob("*.yaml"))
    assert [path.stem for path in paths] == ["shop"]
    for path in paths:
        for schema in read_suite(path).schemas:
            assert list((path.parent / schema).glob("*.sql")), f"{path.name} has no query for {schema}"


def suite(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "suite.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("content", "field", "why"),
    [
        ("", "", "valid dictionary"),
        ("- a", "", "valid dictionary"),
        ("schemas: [shop]\nschemas: [x]", "", "each key once"),
        ("schemas: [", "", "write valid YAML"),
        ({}, "schemas", "required"),
        ({"schemas": []}, "schemas", "at least 1"),
        ({"schemas": ["a b"]}, "schemas.0", "pattern"),
        ({"schemas": ["shop"], "colour": "blue"}, "colour", "no such setting"),
        ({"schemas": ["shop"], "tls": "maybe"}, "tls", "'encrypted' or 'demanded'"),
        ({"schemas": ["shop"], "tls": False}, "tls", "'encrypted' or 'demanded'"),
        (
            {"schemas": ["shop"], "rows": {"tolerance_percent": 101}},
            "rows.tolerance_percent",
            "less than or equal to 100",
        ),
        (
            {"schemas": ["shop"], "rows": {"minimum": {"shop.a": -1}}},
            "rows.minimum.shop.a",
            "greater than or equal to 0",
        ),
        ({"schemas": ["shop"], "rows": {"ignore": ["a"]}}, "rows.ignore.0", "pattern"),
        ({"schemas": ["shop"], "freshness": [{"column": "shop.a", "max_age_h": 1}]}, "freshness.0.column", "pattern"),
        ({"schemas": ["shop"], "freshness": [{"column": "shop.a.b"}]}, "freshness.0.max_age_h", "required"),
        ({"schemas": ["shop"], "checksums": ["shop.a;b"]}, "checksums.0", "pattern"),
        ({"schemas": ["shop"], "checksums": ["other.a"]}, "schemas", "other.a is in other: add it"),
        ({"schemas": ["shop"], "freshness": [{"column": "x.a.b", "max_age_h": 1}]}, "schemas", "x.a.b is in x"),
        ({"schemas": ["shop"], "chunk_rows": 1}, "chunk_rows", "greater than or equal to 1000"),
    ],
)
def test_wrong_suites_are_named_by_field(tmp_path, content, field, why) -> None:
    with pytest.raises(ConfigError) as raised:
        read_suite(suite(tmp_path, content))
    assert raised.value.field == "validation/suite.yaml" + (f":{field}" if field or why == "valid dictionary" else "")
    assert why in raised.value.allowed


def test_all_that_is_wrong_is_said_at_once_and_a_missing_file_by_name(tmp_path) -> None:
    with pytest.raises(PermanentError, match="2 problems") as raised:
        read_suite(suite(tmp_path, {"schemas": [], "tls": "x"}))
    assert "validation/suite.yaml:tls" in str(raised.value)
    with pytest.raises(ConfigError, match=r"suite: 'none\.yaml' is not allowed; write validation/none\.yaml"):
        read_suite(tmp_path / "none.yaml")


@given(counts)
def test_what_is_the_same_passes(found) -> None:
    assert not failures(compare_rows(found, found))


@given(counts, counts, st.integers(0, 100))
@example({A: 9}, {A: 10}, 5)
@example({A: 95}, {A: 100}, 5)
def test_each_table_of_both_is_compared_once(found, expected, percent) -> None:
    findings = compare_rows(found, expected, tolerance_percent=percent)
    assert sorted(f.name for f in findings) == sorted(f"rows of {table}" for table in {*found, *expected})
    wrong = {f.name for f in failures(findings)}
    for table in {*found, *expected}:
        here, there = found.get(table), expected.get(table)
        within = here is not None and there is not None and abs(here - there) * 100 <= there * percent
        assert (f"rows of {table}" not in wrong) is within


def test_a_table_may_have_a_tolerance_of_its_own() -> None:
    findings = compare_rows({A: 90, B: 90}, {A: 100, B: 100}, tolerance_percent=5, tables={A: 10})
    assert findings == [
        Finding("rows", "rows of shop.a", True, "expected 100, found 90"),
        Finding("rows", "rows of shop.b", False, "expected 100, found 90"),
    ]


def test_judgement_names_all_that_failed() -> None:
    judge("app", [Finding("rows", "rows of shop.a", True)])
    findings = [Finding("x", "one", False, "why"), Finding("x", "two", True), Finding("x", "three", False, "so")]
    with pytest.raises(VerificationError) as raised:
        judge("app", findings, "s3://b/k")
    assert str(raised.value) == "2 of 3 checks of app failed: one: why; three: so; the report is s3://b/k"


def content(findings, rows=None):
    return verification_report.data(
        findings,
        rows or {A: 8_412},
        cluster_id="app",
        started=datetime(2026, 7, 1, 2, tzinfo=UTC),
        ended=datetime(2026, 7, 1, 2, 0, 7, tzinfo=UTC),
        run="d/r",
        environment="restore",
        suite="shop",
        baseline=None,
        moment="2026-07-01T00:00:00+00:00",
        versions={"aurora-ops": "0.1.0"},
    )


def test_report_says_what_people_ask() -> None:
    made = content(
        [Finding("rows", "rows of shop.a", True, "8412 rows"), Finding("user", "login app", False, "refused")]
    )
    assert json.loads(report.as_json(made))["findings"][1] == {
        "kind": "user", "name": "login app", "passed": False, "detail": "refused",
    }  # fmt: skip
    page = Page(verification_report.as_html(made).decode())
    for said in (
        "Verification of app failed", "1 of 2 checks failed", "login app : refused", "suite shop", "8,412", "7.0 s", "Users",
        "Rows", "2026-07-01 02:00:00 UTC", "2026-07-01 00:00:00 UTC", "aurora-ops 0.1.0",
    ):  # fmt: skip
        assert said in page.text, said
    assert "Checksums" not in page.text
    assert page.open == []
    assert "checks failed" not in Page(verification_report.as_html(content([])).decode()).text


@pytest.mark.parametrize("evil", [EVIL, "</style><script>x</script>", "{{ 7 * 7 }}", "\ud800\x00"])
def test_whatever_stands_in_names_is_text(evil) -> None:
    made = content([Finding("query", evil, False, evil)], {Table(evil, evil): 1})
    made |= {"cluster_id": evil, "run": evil, "suite": evil, "versions": {evil: evil}, "baseline": evil}
    page = Page(verification_report.as_html(made).decode())
    assert not OUTSIDE & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "49" not in page.words


def test_ten_thousand_findings_make_a_page_that_opens() -> None:
    findings = [Finding("query", f"check {n}", n % 2 == 0, "x") for n in range(10_000)]
    page = verification_report.as_html(content(findings, {Table("shop", f"t{n}"): n for n in range(5_000)})).decode()
    assert len(page) < 1_000_000
    assert page.count("<li>") == 1_000
    text = Page(page).text
    assert "9000 more checks are in verification.json" in text
    assert "4000 more tables are in verification.json" in text


def test_baseline_is_what_was_written() -> None:
    known = baseline.Baseline(
        cluster_id="app",
        taken_at=datetime(2026, 7, 1, tzinfo=UTC),
        tables={
            "shop.a.b`c": baseline.Figures(rows=1),
            "shop.b": baseline.Figures(rows=2, checksum="x", columns=["a"]),
        },
    )
    found = baseline.read(baseline.as_json(known), "x")
    assert found == known
    assert found.rows == {Table("shop", "a.b`c"): 1, B: 2}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[]", "object"),
        (b'{"schema_version": 2, "cluster_id": "a", "taken_at": "2026-07-01T00:00:00Z", "tables": {"a.b": {"rows": 1}}}',
         "schema_version"),
        (b'{"cluster_id": "a", "taken_at": "2026-07-01T00:00:00Z", "tables": {}}', "tables: .*at least 1"),
        (b'{"cluster_id": "a", "taken_at": "2026-07-01T00:00:00Z", "tables": {"b": {"rows": 1}}}', "tables.*pattern"),
        (b'{"cluster_id": "a", "taken_at": "2026-07-01T00:00:00Z", "tables": {"a.b": {"rows": -1}}}', "rows: .*greater"),
        (b'{"cluster_id": "a", "taken_at": "2026-07-01T00:00:00Z", "tables": {"a.b": {"rows": 1, "x": 1}}}', "Extra inputs"),
    ],
)  # fmt: skip
def test_what_is_no_baseline(raw, why) -> None:
    with pytest.raises(ConfigError, match=why):
        baseline.read(raw, "s3://b/k")


def test_checksum_of_rows_that_the_server_could_not_read() -> None:
    assert checksums.checksum(A, checksums.Sum(10**9, 10**9 * 2**60)) != checksums.checksum(A, checksums.Sum())
    with pytest.raises(StateError, match=r"shop\.a: a value is too long"):
        checksums.checksum(A, checksums.Sum(2, 10**30 + 5))
    assert checksums.Sum(1, 5).plus(2, 7) == checksums.Sum(3, 12)


def test_foreign_keys_are_put_together_by_table_and_name() -> None:
    found = foreign_keys.assemble(
        [
            ("fk", "shop", "a", "x", "shop", "b", "id"),
            ("fk", "shop", "a", "y", "shop", "b", "kind"),
            ("fk", "other", "a", "x", "shop", "b", "id"),
        ]
    )
    assert [str(key) for key in found] == ["shop.fk", "other.fk"]
    assert found[0].columns == ("x", "y")
    assert found[0].orphans_sql() == (
        "SELECT COUNT(*) FROM `shop`.`a` AS c WHERE c.`x` IS NOT NULL AND c.`y` IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM `shop`.`b` AS p WHERE p.`id` = c.`x` AND p.`kind` = c.`y`)"
    )


def test_suite_has_sensible_defaults() -> None:
    found = Suite.model_validate({"schemas": ["shop"]})
    assert (found.tls, found.foreign_keys, found.queries, found.exact_grants) == ("encrypted", True, True, False)
    assert found.rows.tolerance_percent == 0
