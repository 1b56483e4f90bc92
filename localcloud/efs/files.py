"""Directories that stand for file systems: copied, made equal, measured."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path


def size_bytes(folder: Path) -> int:
    """Bytes of all files below a directory."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def copy(source: Path, target: Path, items: list[str] | None = None) -> None:
    """Copy what is below a directory into another, which may be there.

    :param items: only these paths, relative to the source's root; those that do not exist are left out, as AWS Backup does.
    """
    target.mkdir(parents=True, exist_ok=True)
    if items is None:
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        return
    for item in items:
        relative = Path(item.strip("/"))
        if ".." in relative.parts:
            continue
        found = source / relative
        if found.is_dir():
            shutil.copytree(found, target / relative, symlinks=True, dirs_exist_ok=True)
        elif found.exists():
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, target / relative, follow_symlinks=False)


def mirror(source: Path, target: Path) -> None:
    """Make a directory equal to another: what is new or changed is copied, what is gone is removed."""
    target.mkdir(parents=True, exist_ok=True)
    theirs = {path.name: path for path in source.iterdir()}
    for path in list(target.iterdir()):
        other = theirs.get(path.name)
        if other is None or _kind(other) != _kind(path):
            _remove(path)
    for name, path in theirs.items():
        copy_to = target / name
        if path.is_symlink():
            if not copy_to.is_symlink() or copy_to.readlink() != path.readlink():
                copy_to.unlink(missing_ok=True)
                copy_to.symlink_to(path.readlink())
        elif path.is_dir():
            mirror(path, copy_to)
        elif not copy_to.exists() or not filecmp.cmp(path, copy_to, shallow=False):
            shutil.copy2(path, copy_to)


def _kind(path: Path) -> str:
    return "link" if path.is_symlink() else "folder" if path.is_dir() else "file"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
