"""Rules of masking: every form, every wrong form, and what is proven of each."""

from __future__ import annotations

from pathlib import Path

import pytest
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.mask_rules import JSON_MASKERS, ColumnRule, parse_rule, proof_targets, read_rules
from aurora_ops.core.maskers import MASKERS
from aurora_ops.core.tables import Column, Table
from hypothesis import given
from hypothesis import strategies as st

COLUMN = Column(Table("shop", "customers"), "email")
FILE = "masking/shop/columns.yaml"


def folder(tmp_path: Path, columns: str | None) -> Path:
    where = tmp_path / "masking" / "shop"
    where.mkdir(parents=True)
    if columns is not None:
        (where / "columns.yaml").write_text(columns, encoding="utf-8")
    return where


def rule(given: object) -> ColumnRule:
    return parse_rule(COLUMN, given, "here")


def test_rules_keep_the_order_of_the_file(tmp_path: Path) -> None:
    found = read_rules(folder(tmp_path, "b: {y: email, x: {keep: because}}\na: {z: {mask: script}}\n"))
    assert [str(one.column) for one in found] == ["shop.b.y", "shop.b.x", "shop.a.z"]
    assert [one.decision for one in found] == ["mask", "keep", "script"]


@pytest.mark.parametrize(
    ("given", "decision", "masker", "proof"),
    [
        ("email", "mask", "email", "values"),
        ({"mask": "date_shift"}, "mask", "date_shift", "rows"),
        ({"mask": "number_noise", "percent": 2.5}, "mask", "number_noise", "rows"),
        ({"mask": None}, "mask", "null", "values"),
        ({"mask": "null"}, "mask", "null", "values"),
        ({"mask": "json", "paths": {"$.a": "email"}}, "mask", "json", "values"),
        ({"mask": "generated"}, "generated", None, "values"),
        ({"mask": "script", "proof": "rows"}, "script", None, "rows"),
        ({"mask": "email", "proof": "none"}, "mask", "email", "none"),
        ({"keep": " for taxes "}, "keep", None, "none"),
    ],
)
def test_each_form(given, decision, masker, proof) -> None:
    found = rule(given)
    assert (found.decision, found.masker, found.proof) == (decision, masker, proof)
    assert found.reason == ("for taxes" if decision == "keep" else None)


def test_options_are_complete() -> None:
    assert rule("email").options == {"digits": 20, "domain": "example.invalid", "as_written": False}
    assert rule({"mask": "email", "digits": 8}).options["digits"] == 8
    assert rule(
        {"mask": "json", "paths": {"$.a[0].b": {"mask": "phone", "digits": 7}, "$.n": {"mask": None}}}
    ).options == {"paths": {"$.a[0].b": ("phone", {"digits": 7, "as_written": False}), "$.n": ("null", {})}}


@pytest.mark.parametrize(
    ("content", "field", "allowed"),
    [
        (None, FILE, "write columns.yaml"),
        ("", FILE, "table -> column -> rule"),
        ("[a]", FILE, "table -> column -> rule"),
        ("customers:", f"{FILE}:customers", "column -> rule"),
        ("customers: [email]", f"{FILE}:customers", "column -> rule"),
        ("customers: {}", f"{FILE}:customers", "column -> rule"),
        ("customers: {e-mail: email}", FILE, "schema.table.column"),
        ("cust.omers: {email: email}", FILE, "schema.table.column"),
        ("customers: {email: }", f"{FILE}:customers.email", "write a masker's name"),
        ("customers: {email: [email]}", f"{FILE}:customers.email", "write a masker's name"),
        ("customers: {email: {mask: email, keep: x}}", f"{FILE}:customers.email", "write a masker's name"),
        ("customers: {email: e-mail}", f"{FILE}:customers.email.mask", "write one of card_last4, "),
        ("customers: {email: {mask: [email]}}", f"{FILE}:customers.email.mask", "write one of card_last4, "),
        ("customers: {email: {keep: }}", f"{FILE}:customers.email.keep", "reason"),
        ("customers: {email: {keep: '  '}}", f"{FILE}:customers.email.keep", "reason"),
        ("customers: {email: {keep: x, digits: 3}}", f"{FILE}:customers.email.digits", "allowed is keep"),
        ("customers: {email: {mask: email, digit: 8}}", f"{FILE}:customers.email.digit", "as_written, digits, domain"),
        ("customers: {email: {mask: script, file: x}}", f"{FILE}:customers.email.file", "allowed is nothing"),
        ("customers: {email: {mask: email, digits: 3}}", f"{FILE}:customers.email.digits", "4 to 60"),
        ("customers: {email: {mask: email, digits: true}}", f"{FILE}:customers.email.digits", "4 to 60"),
        ("customers: {email: {mask: email, domain: shop.com}}", f"{FILE}:customers.email.domain", ".invalid"),
        ("customers: {email: {mask: email, domain: \"x'.invalid\"}}", f"{FILE}:customers.email.domain", ".invalid"),
        ("customers: {email: {mask: token, prefix: \"a'b\"}}", f"{FILE}:customers.email.prefix", "letters"),
        ("customers: {email: {mask: constant}}", f"{FILE}:customers.email.value", "write the value"),
        ("customers: {email: {mask: email, proof: all}}", f"{FILE}:customers.email.proof", "values, rows, none"),
        ("customers: {email: {mask: json}}", f"{FILE}:customers.email.paths", "path -> masker"),
        ("customers: {email: {mask: json, paths: {}}}", f"{FILE}:customers.email.paths", "path -> masker"),
        ("customers: {email: {mask: json, paths: {$: email}}}", f"{FILE}:customers.email.paths", "names and positions"),
        ("customers: {email: {mask: json, paths: {'$.*': email}}}", f"{FILE}:customers.email.paths", "no wildcards"),
        ("customers: {email: {mask: json, paths: {'$.a[*]': email}}}", f"{FILE}:customers.email.paths", "no wildcards"),
        ("customers: {email: {mask: json, paths: {$.a: }}}", f"{FILE}:customers.email.paths.$.a", "inside JSON"),
        ("customers: {email: {mask: json, paths: {$.a: date_shift}}}", f"{FILE}:customers.email.paths.$.a", "inside JSON"),
        ("customers: {email: {mask: json, paths: {$.a: {digits: 8}}}}", f"{FILE}:customers.email.paths.$.a", "inside JSON"),
        ("customers: {email: {mask: json, paths: {$.a: email, $.a.b: email}}}", f"{FILE}:customers.email.paths", "undo"),
        ("c: {id: phone, born: {mask: date_shift, by: id}}", f"{FILE}:c.born.by", "not masked"),
        ("customers: {email: {mask: json, paths: {$.a: email}, proof: x}}", f"{FILE}:customers.email.proof", "values"),
        ("customers: {email: email", FILE, "valid YAML"),
        ("a: {b: email}\na: {c: email}", FILE, "each key once"),
        ("a: {b: email, b: phone}", FILE, "each key once"),
        ("a: 2026-13-45", FILE, "valid YAML"),
    ],
)  # fmt: skip
def test_wrong_form_is_refused_by_name(tmp_path: Path, content, field, allowed) -> None:
    with pytest.raises(ConfigError) as raised:
        read_rules(folder(tmp_path, content))
    assert raised.value.field == field
    assert allowed in raised.value.allowed


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([*MASKERS, "json", "script"]),
        lambda inner: st.dictionaries(
            st.sampled_from(["mask", "keep", "paths", "proof", "digits", "value", "$.a", "$.b[0]", "by"]),
            inner,
            max_size=4,
        ),
        max_leaves=6,
    )
)
def test_whatever_is_written_is_a_rule_or_a_config_error(given) -> None:
    try:
        found = rule(given)
    except ConfigError as error:
        field: str | None = error.field
        found = None
    else:
        field = None
    if found is None:
        assert str(field).startswith("here")
        return
    assert found.decision in ("mask", "script", "generated", "keep")
    assert (proof_targets(found) == []) == (found.proof == "none")


@pytest.mark.parametrize(
    ("given", "expressions"),
    [
        ("email", ["`email`"]),
        ({"mask": "generated"}, ["`email`"]),
        ("postcode", ["NULLIF(`email`, '00000')"]),
        ({"mask": "constant", "value": 7}, ["NULLIF(`email`, 7)"]),
        ({"mask": "constant", "value": "it's"}, ["NULLIF(`email`, _utf8mb4 0x69742773)"]),
        ({"mask": "email", "proof": "none"}, []),
        ({"keep": "because"}, []),
    ],
)
def test_what_is_proven(given, expressions) -> None:
    assert [target.expression for target in proof_targets(rule(given))] == expressions


def test_each_path_is_proven_on_its_own() -> None:
    found = proof_targets(rule({"mask": "json", "paths": {"$.a": "email", "$.b": "card_last4"}}))
    assert [target.label for target in found] == ["shop.customers.email $.a", "shop.customers.email $.b"]
    assert "JSON_EXTRACT(`email`, '$.a')" in found[0].expression
    assert found[1].expression.endswith(", 'null'), '0000')")


def test_every_masker_inside_json_makes_text_or_nothing() -> None:
    for name in JSON_MASKERS:
        assert {"text", "binary"} <= MASKERS[name].kinds
