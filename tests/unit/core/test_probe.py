"""The function that looks into a file system, as Lambda calls it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devstack.settings import REPO

FILE = REPO / "include" / "functions" / "efs_probe" / "efs_probe.py"
RESTORED = "aws-backup-restore_2026-07-01T02-00-00"


@pytest.fixture
def probe(tmp_path, monkeypatch) -> ModuleType:
    """The function, with a file system mounted."""
    monkeypatch.setenv("EFS_MOUNT_PATH", str(tmp_path))
    spec = importlib.util.spec_from_file_location("efs_probe", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def count(probe: ModuleType, directory: str = RESTORED) -> dict[str, Any]:
    return probe.handler({"action": "count_files", "directory": directory}, None)


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / RESTORED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")


def test_files_are_counted_with_their_bytes(probe, tmp_path) -> None:
    write(tmp_path, "a", "b/c", "b/d/e")
    (tmp_path / "beside").write_bytes(b"not counted")
    assert count(probe) == {"files": 3, "directories": 2, "bytes": 15, "unread": 0, "complete": True}


def test_links_are_not_followed(probe, tmp_path) -> None:
    write(tmp_path, "a")
    (tmp_path / RESTORED / "loop").symlink_to(tmp_path / RESTORED)
    found = count(probe)
    assert found["files"] + found["directories"] == 2


def test_an_empty_one_and_one_that_is_not_there(probe, tmp_path) -> None:
    (tmp_path / RESTORED).mkdir()
    assert count(probe)["files"] == 0
    assert count(probe, "aws-backup-restore_2020-01-01T00-00-00") == {
        "files": 0, "directories": 0, "bytes": 0, "unread": 1, "complete": True,
    }  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_only_its_owner_may_read_is_told(probe, tmp_path) -> None:
    write(tmp_path, "a", "secret/b")
    (tmp_path / RESTORED / "secret").chmod(0)
    assert (count(probe)["files"], count(probe)["unread"]) == (1, 1)


def test_a_directory_with_more_files_than_can_be_counted_in_time_is_left_in_between(
    probe, tmp_path, monkeypatch
) -> None:
    write(tmp_path, "a", "b/c")
    monkeypatch.setattr(probe, "COUNTING_S", -1)
    found = count(probe)
    assert (found["files"], found["complete"]) == (1, False)


@pytest.mark.parametrize("directory", ["..", "a/b", "/etc", "", ".hidden", "a" * 256])
def test_nothing_but_a_directory_of_the_root_is_looked_into(probe, directory) -> None:
    with pytest.raises(ValueError, match="none of the root"):
        count(probe, directory)
