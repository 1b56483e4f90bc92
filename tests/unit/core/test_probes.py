"""What users try: nothing that could do anything, on everything that their rights say something of."""

from __future__ import annotations

import re

import pytest
from aurora_ops.core.grants import Place, parse
from aurora_ops.core.probes import Probe, Routine, Target, plan
from aurora_ops.core.tables import Table
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.test_grants import grants, names

ORDERS = Target(Table("shop", "orders"), ("id", "Total", "sum"), ("id", "Total"))
VIEW = Target(Table("shop", "seen"), ("id",), ("id",), is_view=True)
REFUND = Routine(Place("procedure", "shop", "refund"), 2)
TAX = Routine(Place("function", "shop", "tax"), 0)


def tried(*texts, writes=False, exact=False) -> list[Probe]:
    rights = {right for text in texts for right in parse(text, "f").rights}
    return list(plan(rights, [ORDERS, VIEW], [REFUND, TAX], writes=writes, exact=exact))


def short(probes) -> set[tuple[str, str, bool]]:
    return {(probe.privilege, probe.where, probe.allowed) for probe in probes}


WRITES = {("INSERT", "shop.orders"), ("UPDATE", "shop.orders"), ("DELETE", "shop.orders")}


@pytest.mark.parametrize(
    ("texts", "more", "expected"),
    [
        ([], {}, {(*write, False) for write in WRITES}),
        ([], {"writes": True}, set()),
        ([], {"writes": True, "exact": True}, set()),
        (["SELECT ON shop.*"], {},
         {("SELECT", "shop.orders", True), ("SELECT", "shop.seen", True), *((*write, False) for write in WRITES)}),
        (["SELECT, INSERT ON shop.orders"], {"writes": True}, {("SELECT", "shop.orders", True), ("INSERT", "shop.orders", True)}),
        (["SELECT ON other.*"], {"writes": True}, set()),
        (["SELECT (ID) ON shop.orders"], {"writes": True}, {("SELECT", "shop.orders", True)}),
        (["SELECT (id), UPDATE (total) ON shop.orders"], {"writes": True, "exact": True},
         {("SELECT", "shop.orders", True), ("SELECT", "shop.orders.Total", False), ("SELECT", "shop.orders.sum", False),
          ("SELECT", "shop.seen", False), ("INSERT", "shop.orders", False), ("UPDATE", "shop.orders", True),
          ("UPDATE", "shop.orders.id", False), ("DELETE", "shop.orders", False),
          ("EXECUTE", "shop.refund", False), ("EXECUTE", "shop.tax", False)}),
        (["EXECUTE ON PROCEDURE shop.refund"], {"writes": True}, {("EXECUTE", "shop.refund", True)}),
        (["EXECUTE ON shop.*"], {"writes": True}, {("EXECUTE", "shop.refund", True), ("EXECUTE", "shop.tax", True)}),
    ],
)  # fmt: skip
def test_what_is_tried(texts, more, expected) -> None:
    assert short(tried(*texts, **more)) == expected


def test_statements_do_nothing() -> None:
    everything = tried("SELECT, INSERT, UPDATE, DELETE, EXECUTE ON shop.*", writes=True)
    assert [probe.sql for probe in everything] == [
        "SELECT `id`, `Total`, `sum` FROM `shop`.`orders` LIMIT 0",
        "INSERT INTO `shop`.`orders` (`id`, `Total`) SELECT NULL, NULL FROM DUAL WHERE FALSE",
        "UPDATE `shop`.`orders` SET `id` = NULL, `Total` = NULL WHERE FALSE",
        "DELETE FROM `shop`.`orders` WHERE FALSE",
        "SELECT `id` FROM `shop`.`seen` LIMIT 0",
        "CALL `shop`.`refund`(NULL, NULL, NULL)",
        "SELECT `shop`.`tax`(NULL)",
    ]


@given(st.lists(grants(), max_size=3), names, names, st.booleans(), st.booleans())
def test_whatever_the_names_are_they_do_nothing(given_, name, column, writes, exact) -> None:
    target = Target(Table(name, name), (column,), (column,))
    routine = Routine(Place("procedure", name, column), 1)
    rights = {right for grant in given_ for right in grant.rights}
    for probe in plan(rights, [target], [routine], writes=writes, exact=exact):
        bare = re.sub(r"`(?:[^`]|``)+`", "`", probe.sql)
        assert bare in {
            "SELECT ` FROM `.` LIMIT 0",
            "INSERT INTO `.` (`) SELECT NULL FROM DUAL WHERE FALSE",
            "UPDATE `.` SET ` = NULL WHERE FALSE",
            "DELETE FROM `.` WHERE FALSE",
            "CALL `.`(NULL, NULL)",
        }


def test_a_table_of_generated_columns_is_only_read_and_emptied() -> None:
    target = Target(Table("shop", "made"), ("a",), ())
    rights = parse("SELECT, INSERT, UPDATE, DELETE ON shop.*", "f").rights
    assert [probe.privilege for probe in plan(rights, [target], [], writes=True, exact=True)] == ["SELECT", "DELETE"]
