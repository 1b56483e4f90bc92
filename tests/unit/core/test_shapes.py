"""What personal data looks like: the labelled corpus, read by Python's engine; tests/local/cloud reads it on a real server."""

from __future__ import annotations

import re

import pytest
from aurora_ops.core import shapes
from aurora_ops.core.shapes import NATIONAL_IDS, Shape
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.personal import HOLDS, HOLDS_NOTHING, WRONG_CHECK

KINDS = ["email", "phone", "card", "national_id"]
ALL = shapes.chosen(KINDS, list(NATIONAL_IDS))
USUAL = shapes.chosen(KINDS, ["us_ssn", "uk_nino", "fr_nir", "es_dni", "it_cf"])


def found(text: str, among: list[Shape]) -> set[str]:
    return {shape.name for shape in among if re.search(shape.pattern, text)}


@pytest.mark.parametrize(("name", "text"), [*HOLDS, *WRONG_CHECK])
def test_found(name, text) -> None:
    assert name in found(text, ALL)
    shape = next(shape for shape in ALL if shape.name == name)
    assert re.search(shape.hint, text), "the hint lets through what the pattern takes"


@pytest.mark.parametrize("text", HOLDS_NOTHING)
def test_not_found(text) -> None:
    assert found(text, USUAL) == set()


def test_every_shape_is_in_the_corpus() -> None:
    assert {name for name, _ in HOLDS} == {shape.name for shape in ALL}
    assert {name for name, _ in WRONG_CHECK} == {shape.name for shape in ALL if shape.check}


@pytest.mark.parametrize("name", ["phone", "mobile_nr", "tel", "TEL2", "customer_phone", "fax", "msisdn"])
def test_bare_digits_are_a_phone_where_the_column_says_so(name) -> None:
    [phone] = shapes.chosen(["phone"], [], name)
    for text in ("2125550123", "079 123 45 67", "1234567"):
        assert re.search(phone.pattern, text)
        assert re.search(phone.hint, text)
    for text in ("9990123456", "+999 0123456789", "order 2125550123", "12345"):
        assert not re.search(phone.pattern, text)


@pytest.mark.parametrize("name", ["hotel_id", "telemetry", "total", "cellar", "faxable", "sku"])
def test_and_are_none_where_it_does_not(name) -> None:
    assert shapes.chosen(["phone"], [], name) == shapes.chosen(["phone"], [])


def test_only_what_is_asked_for_is_looked_for() -> None:
    assert [s.name for s in shapes.chosen(["card"], ["us_ssn"])] == ["card"]
    assert [s.name for s in shapes.chosen(["national_id"], ["it_cf", "us_ssn", "it_cf"])] == ["it_cf", "us_ssn"]


def test_patterns_are_read_alike_by_every_server_and_sql_mode() -> None:
    for shape in (*ALL, *shapes.chosen(["phone"], [], "phone")):
        for pattern in (shape.pattern, shape.hint):
            assert "\\" not in pattern
            assert "%" not in pattern, "it would be taken for an argument"
            assert "--" not in pattern
            assert "&&" not in pattern, "set operations of ICU"
            assert not re.search(r"\[[^\]]*\[", pattern), "ICU nests sets"


@given(st.from_regex(r"user[.][0-9a-f]{20}@example[.]invalid", fullmatch=True), st.sampled_from(["", "x ", "<", '"']))
def test_fake_emails_are_never_found(email, before) -> None:
    assert found(before + email, USUAL) == set()


@given(st.from_regex(r"[+]999 ?[0-9]{4,10}", fullmatch=True), st.sampled_from(["", "tel ", "("]))
def test_fake_phones_are_never_found(phone, before) -> None:
    assert "phone" not in found(before + phone, shapes.chosen(["phone"], [], "phone"))


@given(st.uuids(), st.datetimes())
def test_identifiers_and_moments_are_never_found(uuid, moment) -> None:
    for text in (str(uuid), f"{moment:%Y-%m-%d %H:%M:%S}", moment.isoformat(), f"{moment:%d.%m.%Y %H:%M}"):
        assert found(text, USUAL) == set()


@given(st.emails())
def test_plain_emails_are_found(email) -> None:
    if re.fullmatch(r"[0-9A-Za-z._+-]+@([0-9a-z-]+[.])+[a-z]{2,24}", email):
        assert "email" in found(email, USUAL)
