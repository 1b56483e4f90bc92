"""Masking: the salt and the scripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aurora_ops.core import masking
from aurora_ops.core.errors import ConfigError


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
