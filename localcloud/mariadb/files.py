"""Files and folders of the engine."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.mariadb.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOCKET_PATH_LIMIT = 100


def file_name(key: str) -> str:
    """Return a legal file name for `key`, itself where it is one."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", key)[:80]
    return plain if plain == key else f"{plain}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def short_folder() -> Path:
    """Return a new private folder whose files have short enough names for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="lc-"))
    if len(str(folder)) + 20 > _SOCKET_PATH_LIMIT:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="lc-", dir="/tmp"))
    return folder


def admin_password(path: Path) -> str:
    """Return the administrator's password, made once."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
    return path.read_text()


def login(path: Path, user: str, password: str) -> Path:
    """Write an option file that programs log in with; return it."""
    path.touch(mode=0o600)
    path.write_text(f"[client]\nuser={user}\npassword={password}\n")
    return path


def copy(source: Path, target: Path) -> None:
    """Copy a folder; at no cost on file systems that share blocks."""
    if sys.platform != "linux":
        shutil.copytree(source, target)
        return
    command = ["cp", "-a", "--reflink=auto", "--sparse=auto", str(source), str(target)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise EngineError(f"copying {source} failed (is the disk full?): {result.stderr.strip()}")


def link(source: Path, target: Path) -> None:
    """Give the files of a folder that nothing ever writes into a second name: a copy at no cost."""
    shutil.copytree(source, target, copy_function=os.link)


def remove(folder: Path) -> None:
    """Remove a folder, if it is there; its name is free at once, also if this is cut short."""
    going = folder.with_name(f"{folder.name}.going")
    if going.exists():
        shutil.rmtree(going)
    if folder.exists():
        folder.rename(going)
        shutil.rmtree(going)


def sizes(folder: Path) -> Iterator[int]:
    """Yield the sizes of a database's files, without redo logs."""
    for path in folder.rglob("*"):
        if not path.name.startswith(("ib_logfile", "aria_log", "ibtmp")):
            with contextlib.suppress(FileNotFoundError):  # a running server creates and removes files
                stat = path.stat()
                yield stat.st_size if path.is_file() else 0
