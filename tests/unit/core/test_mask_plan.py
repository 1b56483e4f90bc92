"""The plan of masking: which technique for which table, which rules a table refuses, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aurora_ops.core import mask_plan
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.mask_plan import ColumnFacts, IndexFacts, KeyPart, TableFacts, describe, plan_tables, show
from aurora_ops.core.mask_rules import parse_rule
from aurora_ops.core.tables import Column, Table

PEOPLE = Table("shop", "people")
PRIMARY = IndexFacts("PRIMARY", True, (KeyPart("id"),))
FACTS = TableFacts(
    table=PEOPLE,
    rows=5_000_000,
    columns=(
        ColumnFacts("id", "bigint", precision=20, unsigned=True, nullable=False),
        ColumnFacts("email", "varchar", length=190, nullable=False),
        ColumnFacts("nick", "varchar", length=10),
        ColumnFacts("born", "date"),
        ColumnFacts("code", "smallint", precision=5),
        ColumnFacts("fax", "bigint", precision=19),
        ColumnFacts("photo", "point"),
        ColumnFacts("document", "json"),
        ColumnFacts("loud", "varchar", length=190, generated=True),
        ColumnFacts("changed", "timestamp", nullable=False, touched=True),
    ),
    indexes=(PRIMARY, IndexFacts("ix_email", False, (KeyPart("email"),))),
    data_bytes=2**30,
    index_bytes=2**29,
)


def rule(column: str, given: object = "email", table: Table = PEOPLE):
    return parse_rule(Column(table, column), given, "here")


def plan(facts: TableFacts = FACTS, given: object = "email", column: str = "email", **more):
    plans, problems = plan_tables([facts], [rule(column, given)], **more)
    assert problems == []
    return plans[0]


def problem(column: str, given: object, facts: TableFacts = FACTS) -> str:
    plans, problems = plan_tables([facts], [rule(column, given)])
    assert plans == []
    assert len(problems) == 1
    assert isinstance(problems[0], ConfigError)
    return str(problems[0])


def keyed(*columns: ColumnFacts) -> TableFacts:
    """The table with another primary key."""
    index = IndexFacts("PRIMARY", True, tuple(KeyPart(column.name) for column in columns))
    return replace(FACTS, columns=(*columns, *FACTS.columns[1:]), indexes=(index,))


@pytest.mark.parametrize(
    ("facts", "technique", "key", "why"),
    [
        (FACTS, "rebuild", ("id",), "no foreign keys or triggers"),
        (replace(FACTS, rows=mask_plan.SMALL_ROWS), "single update", (), "at most"),
        (replace(FACTS, rows=mask_plan.SMALL_ROWS + 1), "rebuild", ("id",), "no foreign keys"),
        (replace(FACTS, rows=0), "single update", (), "at most"),
        (replace(FACTS, foreign_keys=("fk_a",)), "update", ("id",), "foreign key fk_a"),
        (replace(FACTS, referenced_by=("shop.orders",)), "update", ("id",), "referenced by shop.orders"),
        (replace(FACTS, triggers=("noted",)), "update", ("id",), "trigger noted"),
        (replace(FACTS, foreign_keys=("a", "b", "c", "d")), "update", ("id",), "foreign key a, b, c ..."),
        (replace(FACTS, engine="MyISAM"), "update", ("id",), "engine MyISAM"),
        (replace(FACTS, indexes=(PRIMARY, IndexFacts("ft", False, (KeyPart("nick"),), "FULLTEXT"))), "update", ("id",),
         "full-text index ft"),
        (replace(FACTS, indexes=()), "rebuild", (), "no key to walk"),
        (replace(FACTS, indexes=(), triggers=("noted",)), "single update", (), "trigger noted; no key to walk"),
        (keyed(ColumnFacts("a", "int", nullable=False), ColumnFacts("b", "varchar", nullable=False)), "rebuild", ("a", "b"),
         "no foreign keys"),
        (keyed(ColumnFacts("a", "double", nullable=False)), "rebuild", (), "no key to walk"),
        (keyed(ColumnFacts("a", "enum", nullable=False)), "rebuild", (), "no key to walk"),
        (replace(FACTS, indexes=(IndexFacts("u", True, (KeyPart("email"),)),)), "rebuild", ("email",), "no foreign keys"),
        (replace(FACTS, indexes=(IndexFacts("u", True, (KeyPart("nick"),)),)), "rebuild", (), "no key to walk"),
        (replace(FACTS, indexes=(IndexFacts("u", True, (KeyPart("email", plain=False),)),)), "rebuild", (), "no key to walk"),
        (replace(FACTS, indexes=(IndexFacts("u", True, (KeyPart(None),)),)), "rebuild", (), "no key to walk"),
        (replace(FACTS, indexes=(IndexFacts("u", True, (KeyPart("email"),)),), triggers=("noted",)), "single update", (),
         "its key email is masked itself"),
    ],
)  # fmt: skip
def test_technique_by_facts(facts, technique, key, why) -> None:
    found = plan(facts)
    assert (found.technique, found.key, bool(found.walked)) == (technique, key, bool(key))
    assert why in found.why


def test_no_room_for_a_copy() -> None:
    assert plan(rebuild_limit_bytes=2**30).technique == "update"
    assert "1.5 GiB are more than there is room for (1.0 GiB)" in plan(rebuild_limit_bytes=2**30).why
    assert plan(rebuild_limit_bytes=2**31).technique == "rebuild"


def test_what_is_copied_and_what_an_update_leaves_alone() -> None:
    found = plan()
    assert "loud" not in found.copied
    assert len(found.copied) == len(FACTS.columns) - 1
    assert found.untouched == ("changed",)
    assert plan(column="changed", given="date_shift").untouched == ()


@pytest.mark.parametrize(
    ("column", "given", "said"),
    [
        ("mail", "email", "shop.people.mail"),
        ("nick", "email", "its fakes take 41 characters and 10 fit; shorten them by digits, domain"),
        ("nick", "ip_address", "take 19 characters and 10 fit; shorten them by version"),
        ("nick", "full_name", "and 10 fit"),
        ("nick", {"mask": "constant", "value": "x" * 11}, "take 11 characters and 10 fit"),
        ("born", "email", "its type is date; email masks binary, text"),
        ("email", "date_shift", "its type is varchar; date_shift masks date, datetime, timestamp"),
        ("email", {"mask": None}, "the column is NOT NULL"),
        ("loud", "email", "write {mask: generated}"),
        ("email", {"mask": "generated"}, "it is no generated column"),
        ("code", "phone", "a smallint is too small for 999 and 12 digits"),
        ("born", {"mask": "json", "paths": {"$.a": "email"}}, "paths are for JSON and text"),
        ("born", {"mask": "date_shift", "by": "nobody"}, "name a column of shop.people"),
        ("photo", "text", "its type is point"),
    ],
)
def test_rule_that_the_table_refuses(column, given, said) -> None:
    assert said in problem(column, given)


@pytest.mark.parametrize(
    ("column", "given"),
    [
        ("nick", {"mask": "constant", "value": "x" * 10}),
        ("nick", {"mask": None}),
        ("fax", "phone"),
        ("document", {"mask": "json", "paths": {"$.a": "email"}}),
        ("born", {"mask": "date_shift", "by": "id"}),
        ("photo", {"mask": None}),
        ("NICK", {"mask": "constant", "value": ""}),
        ("code", {"mask": "number_noise"}),
    ],
)
def test_rule_that_fits(column, given) -> None:
    assert plan(column=column, given=given).technique == "rebuild"


def test_views_and_missing_tables() -> None:
    assert "the tables behind it" in problem("email", "email", replace(FACTS, is_view=True))
    _, problems = plan_tables([], [rule("email"), rule("nick")])
    assert [str(each) for each in problems] == [
        "masking columns: 'shop.people' is not allowed; there is no table shop.people"
    ]


def test_all_problems_are_found_at_once() -> None:
    _, problems = plan_tables([FACTS], [rule("nick"), rule("born"), rule("email")])
    assert len(problems) == 2


def test_tables_whose_triggers_write_elsewhere_come_first() -> None:
    other, third = Table("shop", "other"), Table("shop", "third")
    facts = [
        FACTS,
        replace(FACTS, table=other, triggers=("t",), data_bytes=1),
        replace(FACTS, table=third, data_bytes=2**40),
    ]
    plans, _ = plan_tables(facts, [rule("email", table=table) for table in (PEOPLE, other, third)])
    assert [each.table for each in plans] == [other, third, PEOPLE]
    assert [each.fires for each in plans] == [True, False, False]


@pytest.mark.parametrize(
    ("given", "why"),
    [({"keep": "x"}, "kept as it is"), ({"mask": "script"}, "masked by a script")],
)
def test_table_that_no_masker_touches(given, why) -> None:
    assert (plan(given=given).technique, plan(given=given).why) == ("skip", why)


def test_plan_is_shown_as_a_table() -> None:
    head, line = show([plan()]).split("\n")
    assert head.split() == ["table", "technique", "rows", "MiB", "columns", "why"]
    assert line.split()[:5] == ["shop.people", "rebuild", "5,000,000", "1,536", "email"]
    assert line.index("no foreign keys") == head.index("why")
    assert describe(plan())["columns"] == {"shop.people.email": "email"}
