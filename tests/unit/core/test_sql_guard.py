"""What is never run, what only if it is said, and what the guard must not stumble over."""

from __future__ import annotations

import pytest
from aurora_ops.core import sql_guard
from aurora_ops.core.sql_script import Statement
from hypothesis import given
from hypothesis import strategies as st

NEVER = [
    "CREATE USER a IDENTIFIED BY 'x'",
    "ALTER USER a IDENTIFIED WITH caching_sha2_password BY 'x'",
    "drop user `a`@`%`",
    "GRANT ALL ON *.* TO a",
    "/* why */ revoke all on *.* from a",
    "SET PASSWORD FOR a = 'x'",
    "UPDATE users SET p = PASSWORD('x') WHERE id = 1",
    "SET GLOBAL event_scheduler = ON",
    "SET @@GLOBAL.max_connections = 1",
    "/*!50000 SET GLOBAL event_scheduler = ON */",
    "SHUTDOWN",
    "INSTALL PLUGIN a SONAME 'b'",
    "SELECT * FROM t INTO OUTFILE S3 's3://b/k'",
    "USE mysql",
    "DELETE FROM `mysql`.`user` WHERE user = 'a'",
    "CALL mysql.rds_kill(1)",
    "INSERT INTO sys . sys_config VALUES (1)",
]
DESTRUCTIVE = [
    "DROP TABLE a",
    "drop  database shop",
    "TRUNCATE a",
    "ALTER TABLE a DROP COLUMN b",
    "ALTER TABLE a ADD c INT, DROP b",
    "CREATE OR REPLACE TABLE a (b INT)",
    "DELETE FROM a",
    "DELETE FROM a -- WHERE id = 1",
    "DELETE FROM a /* WHERE */",
    "UPDATE a SET b = 'WHERE'",
    "WITH x AS (SELECT 1) DELETE FROM a",
    "/*! DROP TABLE a */",
]
FINE = [
    "SELECT 1",
    "SELECT user FROM mysql.user",
    "UPDATE a SET b = 'DROP TABLE x' WHERE id = 1",
    "INSERT INTO a VALUES ('GRANT ALL', \"identified by 'x'\")",
    "DELETE FROM a WHERE id = 1",
    "DROP TEMPORARY TABLE a",
    "ALTER TABLE a ADD dropped INT",
    "CREATE TABLE users (password VARCHAR(9))",
    "SET NAMES utf8mb4",
    "SET @x = 1",
    "CREATE TABLE mysql_users (id INT)",
    "UPDATE flags SET enabled = 1 # DROP TABLE flags\n WHERE name = 'it''s'",
]


def refused(text: str, *, allow: bool = False) -> str | None:
    return sql_guard.refusal(Statement(text, 1), allow_destructive=allow)


@pytest.mark.parametrize("text", NEVER)
def test_never(text) -> None:
    for allow in (True, False):
        assert "never run from here" in (refused(text, allow=allow) or "")


@pytest.mark.parametrize("text", DESTRUCTIVE)
def test_only_if_it_is_said(text) -> None:
    assert "allow_destructive" in (refused(text) or "")
    assert refused(text, allow=True) is None


@pytest.mark.parametrize("text", FINE)
def test_fine(text) -> None:
    assert refused(text) is None


@given(st.text(alphabet="abc'\\\"; \n-#/*", max_size=40))
def test_what_stands_in_a_literal_changes_nothing(value) -> None:
    quoted = "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    assert refused(f"UPDATE a SET b = {quoted} WHERE id = 1") is None
    assert refused(f"UPDATE a SET b = {quoted}") is not None


@given(st.sampled_from(NEVER + DESTRUCTIVE), st.sampled_from(["-- x\n", "# x\n", "/* x */", " \n\t"]))
def test_a_comment_before_it_hides_nothing(text, before) -> None:
    assert refused(before + text) is not None


@pytest.mark.parametrize("text", NEVER + DESTRUCTIVE + FINE)
def test_a_refusal_and_a_kind_carry_no_literal(text) -> None:
    assert "'" not in (refused(text) or "").replace("table's", "").replace("server's", "")
    assert "'" not in sql_guard.kind(Statement(text, 1))


@pytest.mark.parametrize(
    ("text", "prepares"),
    [
        ("USE shop", True),
        ("SET @x = 1", True),
        ("set names utf8mb4", True),
        ("SET TRANSACTION READ ONLY", False),
        ("UPDATE a SET b = 1", False),
    ],
)
def test_what_is_repeated_where_a_script_is_resumed(text, prepares) -> None:
    assert sql_guard.sets_session(Statement(text, 1)) is prepares
