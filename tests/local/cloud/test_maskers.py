"""Each masker on a real server: what it makes of values, and what must hold for any value."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aurora_ops.core.mask_plan import ColumnFacts, TableFacts, plan_table
from aurora_ops.core.mask_rules import parse_rule, proof_targets
from aurora_ops.core.maskers import MASKERS
from aurora_ops.core.tables import Column, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.mariadb.engine import Engine
from tests.local.cloud.databases import free_port, rows, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymysql.connections import Connection

TABLE = Table("d", "t")
TYPES = {
    "varchar(190)": ColumnFacts("v", "varchar", length=190),
    "varbinary(190)": ColumnFacts("v", "varbinary", length=190),
    "text": ColumnFacts("v", "text", length=65535),
    "varchar(190) character set ascii": ColumnFacts("v", "varchar", length=190),
    "varchar(190) character set latin1": ColumnFacts("v", "varchar", length=190),
    "varchar(190) collate utf8mb4_bin": ColumnFacts("v", "varchar", length=190),
    "bigint": ColumnFacts("v", "bigint", precision=19),
    "tinyint unsigned": ColumnFacts("v", "tinyint", precision=3, unsigned=True),
    "tinyint": ColumnFacts("v", "tinyint", precision=3),
    "decimal(8,2)": ColumnFacts("v", "decimal", precision=8, scale=2),
    "double": ColumnFacts("v", "double", precision=22),
    "date": ColumnFacts("v", "date"),
    "datetime(3)": ColumnFacts("v", "datetime"),
    "timestamp": ColumnFacts("v", "timestamp"),
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=free_port())
    engine.create("one")
    engine.start("one")
    with engine.admin("one") as connection:
        rows(connection, "CREATE DATABASE d CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        rows(connection, "USE d")
        rows(connection, "SET @mask_salt = SHA2('salt', 256)")
        yield connection
    engine.close()


def expression(column: ColumnFacts, rule: Any) -> str:
    facts = TableFacts(TABLE, 1, (column,))
    return plan_table(facts, [parse_rule(Column(TABLE, "v"), rule, "here")]).masked[0].expression


def masked(connection: Connection, kind: str, rule: Any, *values: Any) -> list[Any]:
    """Store values, mask them, read them."""
    rows(connection, "DROP TABLE IF EXISTS t")
    rows(connection, f"CREATE TABLE t (id INT PRIMARY KEY, v {kind})")
    for number, original in enumerate(values):
        rows(connection, "INSERT INTO t VALUES (%s, %s)", (number, original))
    rows(connection, f"UPDATE t SET v = {expression(TYPES[kind], rule)}")
    found = [fake for (fake,) in rows(connection, "SELECT v FROM t ORDER BY id")]
    return [fake.decode() if isinstance(fake, bytes) else fake for fake in found]


FAKES = {
    "email": ("Ann@Example.com", r"user\.[0-9a-f]{20}@example\.invalid"),
    "first_name": ("Ann", r"[A-Z][a-z]+"),
    "last_name": ("O'Connor", r"[A-Z][a-z]+"),
    "full_name": ("Ann O'Connor", r"[A-Z][a-z]+ [A-Z][a-z]+"),
    "phone": ("+44 (20) 7946-0018", r"\+999 \d{12}"),
    "street": ("1 High Street", r"\d{1,5} Masked Row"),
    "city": ("Leeds", r"[A-Z][a-z]+"),
    "postcode": ("LS1 4AP", "00000"),
    "card_number": ("4111111111111111", r"0\d{15}"),
    "card_last4": ("1111", "0000"),
    "token": ("tok_1", r"msk_[0-9a-f]{32}"),
    "text": ("Called twice about Ann", "masked lorem ipsum dol"),
    "ip_address": ("81.2.69.142", r"2001:db8::[0-9a-f]{4}:[0-9a-f]{4}"),
}
TEXTS = [kind for kind in TYPES if kind.startswith(("var", "text"))]


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("masker", FAKES)
def test_text_fakes(connection, kind, masker) -> None:
    original, pattern = FAKES[masker]
    fake, empty, null, again = masked(connection, kind, masker, original, "", None, original)
    assert re.fullmatch(pattern, fake)
    assert (empty, null, again) == ("", None, fake)


@pytest.mark.parametrize("masker", sorted(set(FAKES) - {"postcode", "card_last4", "text"}))
def test_the_same_text_is_the_same_fake_whatever_the_type(connection, masker) -> None:
    original, _ = FAKES[masker]
    assert len({masked(connection, kind, masker, original)[0] for kind in TEXTS}) == 1


@pytest.mark.parametrize(
    ("rule", "one", "other", "same"),
    [
        ("email", "Ann@Example.com", " ann@example.COM ", True),
        ({"mask": "email", "as_written": True}, "Ann@Example.com", "ann@example.com", False),
        ("phone", "+44 (20) 7946-0018", "+442079460018", True),
        ({"mask": "phone", "as_written": True}, "+44 20", "+4420", False),
        ("first_name", "ANN", "ann", True),
        ("token", "A", "a", False),
        ("email", "é@example.com", "e@example.com", False),
    ],
)
def test_what_counts_as_the_same(connection, rule, one, other, same) -> None:
    first, second = masked(connection, "varchar(190)", rule, one, other)
    assert (first == second) is same


@pytest.mark.parametrize("masker", ["email", "phone"])
def test_fakes_are_left_as_they_are(connection, masker) -> None:
    (fake,) = masked(connection, "varchar(190)", masker, "0123")
    assert masked(connection, "varchar(190)", masker, fake) == [fake]


@pytest.mark.parametrize(
    ("rule", "pattern"),
    [
        ({"mask": "email", "digits": 4, "domain": "x.invalid"}, r"user\.[0-9a-f]{4}@x\.invalid"),
        ({"mask": "phone", "digits": 6}, r"\+999 \d{6}"),
        ({"mask": "token", "digits": 8, "prefix": ""}, r"[0-9a-f]{8}"),
        ({"mask": "ip_address", "version": 4}, r"240\.\d+\.\d+\.\d+"),
        ({"mask": "full_name", "upper": True}, r"[A-Z]+ [A-Z]+"),
        ({"mask": "constant", "value": "it's 100% 🙈"}, "it's 100% 🙈"),
    ],
)
def test_options(connection, rule, pattern) -> None:
    fake, empty, null = masked(connection, "varchar(190)", rule, "anything", "", None)
    assert re.fullmatch(pattern, fake)
    assert (empty, null) == ("", None)


@pytest.mark.parametrize("kind", TYPES)
def test_null(connection, kind) -> None:
    assert masked(connection, kind, {"mask": None}, "1" if "int" in kind else None, None) == [None, None]


def luhn(digits: str) -> bool:
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def test_no_card_number_is_valid_and_few_are_equal(connection) -> None:
    assert luhn("4111111111111111")
    fake = expression(TYPES["varchar(190)"], "card_number")
    found = [number for (number,) in rows(connection, f"SELECT {fake} FROM (SELECT seq AS v FROM seq_1_to_20000) AS t")]
    assert not any(map(luhn, found))
    assert len(set(found)) == 20_000


@pytest.mark.parametrize("masker", ["email", "token", "phone"])
def test_different_values_stay_different(connection, masker) -> None:
    fake = expression(TYPES["varchar(190)"], masker)
    query = f"SELECT COUNT(DISTINCT {fake}) FROM (SELECT CONCAT('0', seq) AS v FROM seq_1_to_50000) AS t"
    assert value(connection, query) == 50_000


@pytest.mark.parametrize("kind", ["date", "datetime(3)", "timestamp"])
@pytest.mark.parametrize("rule", [{"days": 1}, {"days": 30}, {"days": 31}, {"days": 3650}, {"within": "year"}])
def test_another_day_not_too_far_away(connection, kind, rule) -> None:
    days = [
        date(1970, 1, 2),
        date(1999, 12, 31),
        date(2000, 2, 29),
        date(2024, 12, 31),
        date(2037, 12, 30),
        date(2001, 1, 1),
    ]
    originals: list[Any] = days if kind == "date" else [datetime.combine(day, time(9, 8, 7)) for day in days]
    for old, new in zip(originals, masked(connection, kind, {"mask": "date_shift", **rule}, *originals), strict=True):
        assert new != old
        if "days" in rule:
            assert 1 <= abs((new - old).days) <= rule["days"]
        else:
            assert new.year == old.year
        if kind != "date":
            assert (new - old).seconds == 0


def test_marks_are_not_shifted(connection) -> None:
    assert masked(connection, "date", "date_shift", "9999-12-31", "1000-01-01") == [
        date(9999, 12, 31),
        date(1000, 1, 1),
    ]
    target = proof_targets(parse_rule(Column(TABLE, "v"), "date_shift", "here"))[0].expression
    assert rows(connection, f"SELECT {target} FROM t") == [(None,), (None,)]


def test_rows_of_one_person_are_shifted_alike(connection) -> None:
    rows(connection, "DROP TABLE IF EXISTS t")
    rows(connection, "CREATE TABLE t (id INT, v DATE)")
    rows(connection, "INSERT INTO t VALUES (1, '2020-01-01'), (1, '2020-03-01'), (2, '2020-01-01'), (3, '2020-01-01')")
    facts = TableFacts(TABLE, 4, (ColumnFacts("id", "int"), TYPES["date"]))
    rule = parse_rule(Column(TABLE, "v"), {"mask": "date_shift", "days": 900, "by": "id"}, "here")
    rows(connection, f"UPDATE t SET v = {plan_table(facts, [rule]).masked[0].expression}")
    first, second, other, third = (day for (day,) in rows(connection, "SELECT v FROM t ORDER BY id, v"))
    assert (second - first).days == 60
    assert len({first, other, third}) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.tuples(st.just("tinyint unsigned"), st.integers(0, 255)),
        st.tuples(st.just("tinyint"), st.integers(-128, 127)),
        st.tuples(st.just("bigint"), st.integers(-(2**63) + 2, 2**63 - 1)),
        st.tuples(st.just("decimal(8,2)"), st.decimals(-999999, 999999, places=2)),
        st.tuples(st.just("double"), st.floats(-1e12, 1e12)),
    ),
    st.sampled_from([0.01, 1, 10, 50]),
)
def test_noise_changes_every_number_a_little(connection, given_value, percent) -> None:
    kind, old = given_value
    (new,) = masked(connection, kind, {"mask": "number_noise", "percent": percent}, old)
    unit = Decimal("0.01") if "decimal" in kind else 1
    assert new != old
    assert abs(Decimal(new) - Decimal(old)) <= max(
        unit, abs(Decimal(old)) * Decimal(percent) / 100 * Decimal("1.01") + unit
    )


def test_json_paths(connection) -> None:
    rule = {"mask": "json", "paths": {"$.a.b": "email", '$."x y"[1]': "phone", "$.z": "email", "$.n": {"mask": None}}}
    facts = TableFacts(TABLE, 1, (TYPES["text"],))
    parsed = parse_rule(Column(TABLE, "v"), rule, "here")
    fake = plan_table(facts, [parsed]).masked[0].expression
    documents = [
        '{"a": {"b": "Ann@x.com", "c": 1}, "x y": ["keep", "0123"], "z": null, "n": 7}',
        '{"a": {"b": ""}}',
        "",
        None,
        "Ann",
    ]
    rows(connection, "DROP TABLE IF EXISTS t")
    rows(connection, "CREATE TABLE t (id INT, v TEXT)")
    for number, document in enumerate(documents):
        rows(connection, "INSERT INTO t VALUES (%s, %s)", (number, document))
    before = rows(
        connection, f"SELECT {', '.join(each.expression for each in proof_targets(parsed))} FROM t ORDER BY id"
    )
    assert before[0] == ("Ann@x.com", "0123", None, "7")
    rows(connection, f"UPDATE t SET v = {fake}")
    first, second, third, fourth, fifth = (text for (text,) in rows(connection, "SELECT v FROM t ORDER BY id"))
    assert re.fullmatch(
        r'\{"a": \{"b": "user\.[0-9a-f]{20}@example\.invalid", "c": 1\}, "x y": \["keep", "\+999 \d{12}"\], "z": null, "n": null\}',
        first,
    )
    assert (second, third, fourth, fifth) == ('{"a": {"b": ""}}', "", None, "{}")


def test_every_masker_is_tried_here() -> None:
    assert set(MASKERS) == {*FAKES, "date_shift", "number_noise", "null", "constant"}


def test_without_a_salt_there_is_no_fake(connection) -> None:
    rows(connection, "SET @salt = @mask_salt, @mask_salt = NULL")
    for masker in ("email", "first_name", "phone", "token", "card_number", "ip_address"):
        fake = expression(TYPES["varchar(190)"], masker)
        assert value(connection, f"SELECT {fake} FROM (SELECT 'x' AS v) AS t") is None
    rows(connection, "SET @mask_salt = @salt")
