"""The SQL of masking a table: copies, indexes that come last, ranges that cover each row exactly once."""

from __future__ import annotations

import sqlite3
from itertools import pairwise

import pytest
from aurora_ops.core.errors import StateError
from aurora_ops.core.mask_plan import Masked, TablePlan
from aurora_ops.core.mask_sql import add_indexes, copy_rows, empty_copy, in_range, next_bound, update_rows
from aurora_ops.core.tables import Table
from hypothesis import given, settings
from hypothesis import strategies as st

SHOWN = """CREATE TABLE `people` (
  `id` int(10) unsigned NOT NULL AUTO_INCREMENT COMMENT 'x',
  `key` varchar(9) DEFAULT ') KEY `a` (',
  PRIMARY KEY (`id`),
  UNIQUE KEY `uq ``odd``` (`key`) COMMENT 'one, two',
  SPATIAL KEY `sp` (`key`),
  FULLTEXT KEY `ft` (`key`),
  KEY `ix` ((lower(`key`)),`id` DESC) USING BTREE,
  CONSTRAINT `c` CHECK (`id` > 0)
) ENGINE=InnoDB AUTO_INCREMENT=77 DEFAULT CHARSET=utf8mb4 COMMENT='t, (x'
/*!50100 PARTITION BY RANGE (`id`)
(PARTITION p0 VALUES LESS THAN (10) ENGINE = InnoDB,
 PARTITION p1 VALUES LESS THAN MAXVALUE ENGINE = InnoDB) */"""


def plan(*key: str, table: str = "t", **more) -> TablePlan:
    return TablePlan(Table("s", table), "rebuild", "", 0, key=key, walked="PRIMARY" if key else None, **more)


def test_copy_has_everything_but_the_late_indexes() -> None:
    copy = empty_copy(SHOWN, "`x`.`new`")
    assert copy.indexes == (
        "UNIQUE KEY `uq ``odd``` (`key`) COMMENT 'one, two'",
        "SPATIAL KEY `sp` (`key`)",
        "KEY `ix` ((lower(`key`)),`id` DESC) USING BTREE",
    )
    dropped = {f"  {index}," for index in copy.indexes}
    expected = [line for line in SHOWN.split("\n") if line not in dropped]
    expected[0] = "CREATE TABLE IF NOT EXISTS `x`.`new` ("
    assert copy.create.split("\n") == expected


def test_last_line_without_a_comma_leaves_none_behind() -> None:
    copy = empty_copy("CREATE TABLE `t` (\n  `a` int(11) NOT NULL,\n  KEY `ix` (`a`)\n) ENGINE=InnoDB", "`n`")
    assert copy.create == "CREATE TABLE IF NOT EXISTS `n` (\n  `a` int(11) NOT NULL\n) ENGINE=InnoDB"
    assert add_indexes("`n`", copy.indexes) == "ALTER TABLE `n` ADD KEY `ix` (`a`)"


@pytest.mark.parametrize("primary", ["", "  PRIMARY KEY (`b`,`a`),\n"])
def test_index_that_counts_stays(primary) -> None:
    shown = f"CREATE TABLE `t` (\n  `a` int NOT NULL AUTO_INCREMENT,\n  `b` int,\n{primary}  KEY `x` (`b`),\n  KEY `y` (`a`)\n) E"
    copy = empty_copy(shown, "`n`")
    assert copy.indexes == ("KEY `x` (`b`)",)
    assert "KEY `y` (`a`)" in copy.create


def test_unknown_definition_is_refused() -> None:
    with pytest.raises(StateError, match="cannot copy"):
        empty_copy("CREATE VIEW `t` AS SELECT 1", "`n`")


keys = st.tuples(st.integers(-3, 3), st.sampled_from(["", "a", "a ", "b", "Z"]), st.integers(0, 2))


@settings(max_examples=150, deadline=None)
@given(st.sets(keys, max_size=40), st.integers(1, 3), st.integers(1, 9))
def test_ranges_cover_each_row_exactly_once(rows, columns, chunk_rows) -> None:
    """In SQLite, whose comparison of columns is the same."""
    rows = {row[:columns] for row in rows}
    names = ("a", "b", "c")[:columns]
    database = sqlite3.connect(":memory:")
    database.execute("ATTACH ':memory:' AS s")
    database.execute(f"CREATE TABLE s.t ({', '.join(names)})")
    database.executemany(f"INSERT INTO s.t VALUES ({', '.join('?' * columns)})", rows)
    of = plan(*names)
    bounds, after = [()], ()
    while True:
        query, args = next_bound(of, after, chunk_rows)
        found = database.execute(query.replace("%s", "?").replace("FORCE INDEX (`PRIMARY`)", ""), args).fetchone()
        if found is None:
            break
        after = found
        bounds.append(found)
    seen = []
    for low, high in pairwise([*bounds, ()]):
        where, args = in_range(of, low, high)
        part = database.execute(f"SELECT * FROM s.t WHERE {where}".replace("%s", "?"), args).fetchall()
        assert len(part) == chunk_rows or (high == () and len(part) < chunk_rows)
        seen += part
    assert sorted(seen) == sorted(rows)


def test_percent_is_doubled_only_where_there_are_arguments() -> None:
    of = plan("id", masked=(Masked("a", "x % 7", "m"),), copied=("id", "a"), untouched=("at",))
    assert copy_rows(of, "`n`", (1,), (2,)) == (
        "INSERT INTO `n` (`id`, `a`) SELECT `id`, x %% 7 FROM `s`.`t` FORCE INDEX (`PRIMARY`) WHERE `id` > %s AND `id` <= %s",
        [1, 2],
    )
    assert update_rows(of, (1,), ()) == (
        "UPDATE `s`.`t` FORCE INDEX (`PRIMARY`) SET `a` = x %% 7, `at` = `at` WHERE `id` > %s AND TRUE",
        [1],
    )
    whole = plan(masked=of.masked, copied=of.copied)
    assert copy_rows(whole, "`n`") == (
        "INSERT INTO `n` (`id`, `a`) SELECT `id`, x % 7 FROM `s`.`t`  WHERE TRUE AND TRUE",
        [],
    )


def test_names_are_quoted_wherever_they_stand() -> None:
    of = plan("i`d", table="ta`ble", masked=(Masked("a`b", "1", "m"),), copied=("i`d", "a`b"))
    for sql in (copy_rows(of, "`n`", (1,), (2,))[0], update_rows(of, (1,), (2,))[0], next_bound(of, (1,), 5)[0]):
        assert "`ta``ble`" in sql
        assert "`i``d`" in sql
