"""Checksums on a real server: the same rows give the same, in whatever order, chunks and zone; any change gives another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aurora_ops.core.errors import MissingError
from aurora_ops.core.tables import Table
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.operators.checks import prepare_session, sum_table
from aurora_ops.operators.sql import read_keys

from localcloud.mariadb.engine import Engine
from tests.local.cloud.databases import free_port
from tests.local.cloud.masking import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = free_port()
KINDS = """CREATE TABLE app.kinds (
  id BIGINT NOT NULL, a TINYINT UNSIGNED, b DECIMAL(30,10), c FLOAT, d DOUBLE, e BIT(9), f DATE, g DATETIME(6),
  h TIMESTAMP NULL, i TIME(3), j YEAR, k CHAR(9), l VARCHAR(90) CHARACTER SET latin1, m TEXT, n VARBINARY(90), o LONGBLOB, p JSON,
  q ENUM('x', 'y'), r SET('x', 'y'), s POINT, t INT AS (id + 1) STORED, `u ``v` INT{key})"""
VALUES = (
    (
        "(1, 255, '1.5', 0.1, 0.1, b'101010101', '2020-01-02', '2020-01-02 03:04:05.000006', '2020-06-01 12:00:00', '838:59:59', "
        "2020, 'a ', 'é', 'é😀', x'00ff', x'', '{\"a\": 1}', 'x', 'x,y', POINT(1, 2), DEFAULT, 7)"
    ),
    "(2, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, '', NULL, DEFAULT, NULL)",
    "(3, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, DEFAULT, NULL)",
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=PORT)
    engine.create("one")
    engine.start("one")
    yield engine
    engine.close()


@pytest.fixture
def sql(engine: Engine) -> Iterator[MySqlHook]:
    with MySqlHook(serve(engine, "one", "127.0.3.83", PORT)) as found:
        prepare_session(found)
        found.run("DROP DATABASE IF EXISTS app")
        found.run("CREATE DATABASE app CHARACTER SET utf8mb4")
        yield found


def total(sql: MySqlHook, name: str, chunk_rows: int = 1_000_000, log: Any = lambda *_: None) -> str:
    figures = sum_table(sql, Table("app", name), read_keys(sql), chunk_rows, log)
    assert figures.checksum
    assert figures.rows == sql.rows(f"SELECT COUNT(*) FROM app.`{name}`")[0][0]
    return figures.checksum


def fill(sql: MySqlHook, key: str, *values: str) -> str:
    sql.run("DROP TABLE IF EXISTS app.kinds")
    sql.run(KINDS.format(key=key))
    for value in values:
        sql.run(f"INSERT INTO app.kinds VALUES {value}")
    return total(sql, "kinds")


def test_same_rows_give_the_same(sql: MySqlHook) -> None:
    first = fill(sql, ", PRIMARY KEY (id)", *VALUES)
    assert fill(sql, ", PRIMARY KEY (id)", *reversed(VALUES)) == first
    assert fill(sql, "", *reversed(VALUES)) == first  # no key to walk by
    assert fill(sql, ", PRIMARY KEY (id DESC), KEY (k)", *VALUES) == first
    sql.run("ALTER TABLE app.kinds CONVERT TO CHARACTER SET utf8mb4")
    assert total(sql, "kinds") == first
    with MySqlHook(sql.login) as other:
        other.run("SET SESSION time_zone = '+09:00'")
        prepare_session(other)
        assert total(other, "kinds") == first


CHANGES = [
    "id = 9 WHERE id = 3", "a = 254 WHERE id = 1", "b = '1.5000000001' WHERE id = 1", "c = 0.2 WHERE id = 1",
    "d = 0.1000000000000001 WHERE id = 1", "e = b'101010100' WHERE id = 1", "f = '2020-01-03' WHERE id = 1",
    "g = g + INTERVAL 1 MICROSECOND WHERE id = 1", "h = h + INTERVAL 1 SECOND WHERE id = 1", "i = '-838:59:59' WHERE id = 1",
    "j = 2021 WHERE id = 1", "k = 'A' WHERE id = 1", "l = 'e' WHERE id = 1", "m = 'é😁' WHERE id = 1", "n = x'00fe' WHERE id = 1",
    "n = x'00ff00' WHERE id = 1", "o = NULL WHERE id = 1", "o = x'00' WHERE id = 1", 'p = \'{"a": 2}\' WHERE id = 1',
    "q = 'y' WHERE id = 1", "r = 'x' WHERE id = 1", "s = POINT(2, 1) WHERE id = 1", "`u ``v` = 0 WHERE id = 2",
    "m = NULL WHERE id = 2", "m = 'N' WHERE id = 3", "k = ' ' WHERE FALSE",
]  # fmt: skip


def test_any_change_gives_another(sql: MySqlHook) -> None:
    first = fill(sql, ", PRIMARY KEY (id)", *VALUES)
    for change in CHANGES:
        sql.run("START TRANSACTION")
        changed = sql.run(f"UPDATE app.kinds SET {change}")
        assert (total(sql, "kinds") != first) is bool(changed), change
        sql.run("ROLLBACK")
    sql.run("DELETE FROM app.kinds WHERE id = 3")
    fewer = total(sql, "kinds")
    sql.run("DELETE FROM app.kinds")
    assert len({first, fewer, total(sql, "kinds")}) == 3


def test_values_do_not_run_into_each_other_and_pairs_do_not_cancel_out(sql: MySqlHook) -> None:
    sql.run("CREATE TABLE app.texts (a VARCHAR(9), b VARCHAR(9))")
    found = set()
    for values in (
        "('ab', 'c')",
        "('a', 'bc')",
        "(NULL, 'abc')",
        "('abc', NULL)",
        "('N', 'abc')",
        "('', 'abc')",
        "(NULL, NULL)",
    ):
        for times in (1, 2, 3):
            sql.run("DELETE FROM app.texts")
            for _ in range(times):
                sql.run(f"INSERT INTO app.texts VALUES {values}")
            found.add(total(sql, "texts"))
    assert len(found) == 21


@pytest.mark.parametrize("key", ["PRIMARY KEY (id)", "PRIMARY KEY (name, id)", "PRIMARY KEY (at)", "KEY (id)"])
def test_chunks_make_no_difference_and_bound_what_is_read_at_once(sql: MySqlHook, key: str) -> None:
    sql.run(f"CREATE TABLE app.many (id INT NOT NULL, name VARCHAR(40) NOT NULL, at DATETIME NOT NULL, {key})")
    sql.run(
        "INSERT INTO app.many SELECT seq * 3, CONCAT('Ä', MD5(seq)), '2020-01-01' + INTERVAL seq SECOND FROM app.seq_1_to_10007"
    )
    sql.run("ANALYZE TABLE app.many")
    whole = total(sql, "many")
    lines: list[Any] = []
    assert total(sql, "many", 1_000, lambda *line: lines.append(line)) == whole
    assert len(lines) == (10 if key in ("PRIMARY KEY (id)", "PRIMARY KEY (name, id)") else 0)
    sql.run("UPDATE app.many SET name = 'x' WHERE id = 9000")
    assert total(sql, "many", 1_000) != whole


def test_table_that_is_not_there(sql: MySqlHook) -> None:
    sql.run("CREATE VIEW app.seen AS SELECT 1 AS n")
    for name in ("nowhere", "seen"):
        with pytest.raises(MissingError, match=f"there is no table app.{name}"):
            total(sql, name)
