"""Masking: the salt, the scripts, the SQL of the proof."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aurora_ops.core import masking
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.tables import Column, Table

EMAIL = Column(Table("shop", "customers"), "email")


def test_salt_is_the_same_on_every_try_and_another_for_every_run_and_password() -> None:
    salt = masking.salt("password", "dag/run")
    assert re.fullmatch("[0-9a-f]{64}", salt)
    assert masking.salt("password", "dag/run") == salt
    assert len({salt, masking.salt("password", "dag/run2"), masking.salt("password2", "dag/run")}) == 3
    assert "password" not in salt


def folder(tmp_path: Path, *scripts: str) -> Path:
    where = tmp_path / "masking" / "shop"
    where.mkdir(parents=True)
    for script in scripts:
        (where / script).write_text("SELECT 1;", encoding="utf-8")
    return where


def test_scripts_run_by_name(tmp_path: Path) -> None:
    where = folder(tmp_path, "020_b.sql", "010_a.sql", "100_c.sql", "notes.txt")
    assert [path.name for path in masking.scripts(where)] == ["010_a.sql", "020_b.sql", "100_c.sql"]


def test_folder_without_scripts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"masking/shop.*at least one \.sql"):
        masking.scripts(folder(tmp_path))


def test_folder_may_do_without_scripts_where_none_is_needed(tmp_path: Path) -> None:
    assert masking.scripts(folder(tmp_path), required=False) == []


def test_digest_is_salted_binary_and_null_for_null() -> None:
    sql = masking.digest_sql("`email`")
    assert sql.startswith("UNHEX(LEFT(SHA2(CONCAT(@mask_salt, CAST(`email` AS CHAR")
    assert "COALESCE" not in sql
    assert sql.endswith(", 256), 32))")


def test_fingerprint_can_be_run_again_and_leaves_out_what_says_nothing() -> None:
    drop, create, insert = masking.fingerprint_sql(EMAIL, 7)
    table = "`aurora_ops_scratch`.`original_0007`"
    assert drop == f"DROP TABLE IF EXISTS {table}"
    assert create.startswith(f"CREATE TABLE {table} ")
    assert insert.startswith(f"INSERT INTO {table} SELECT DISTINCT ")
    assert "`shop`.`customers`" in insert
    assert "`email` IS NOT NULL" in insert
    assert "<> ''" in insert


def test_survivors_are_looked_for_in_the_same_table_with_the_same_digest() -> None:
    sql = masking.survivors_sql(EMAIL, 7)
    assert "`aurora_ops_scratch`.`original_0007`" in sql
    assert masking.digest_sql("`email`") in sql
    assert "`shop`.`customers`" in sql
    assert "USING (digest)" in sql


def test_names_are_quoted_wherever_they_stand() -> None:
    evil = Column(Table("s`x", "t`y"), "c`z")
    for sql in (*masking.fingerprint_sql(evil, 1), masking.survivors_sql(evil, 1)):
        outside = re.sub(r"`(?:[^`]|``)*`", "", sql)
        assert "`" not in outside
        assert "x`" not in outside
