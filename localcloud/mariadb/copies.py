"""Copies of a running server's data: consistent ones of now, and such as they were at a moment."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from localcloud.mariadb.binlog import Position
from localcloud.mariadb.errors import EngineError
from localcloud.mariadb.server import data

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.mariadb.backups import Stretch
    from localcloud.mariadb.binaries import Binaries
    from localcloud.mariadb.server import Server

# Small and quick to start: the data are read once and thrown away.
READ_OPTIONS = (
    "--skip-ssl",
    "--skip-log-bin",
    "--innodb-log-file-size=4M",
    "--innodb-log-buffer-size=2M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-temp-data-file-path=ibtmp1:1M:autoextend",
)
# Rows come as text, in statements of any size; a small redo log keeps the copy small, the real size comes at the first start.
REPLAY_OPTIONS = ("--max-allowed-packet=1G", "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=32M")


def hot_copy(binaries: Binaries, login: Path, server: Server, target: Path) -> tuple[float, Position]:
    """Copy a server's files while recording the redo log, then apply it: consistent at the end of the copy.

    The other quick ways were measured and lose data under load (a copy under BACKUP STAGE) or halt the server.

    :param login: option file with the administrator's name and password.
    :param target: the new data directory.
    :return: epoch seconds by which all that is in it was committed, and where the server's log goes on from it.
    :raises EngineError: the copy failed; the message says why.
    """
    arguments = (f"--defaults-file={login}", "--backup", f"--socket={server.socket}", "--parallel=2")
    _backup(binaries, *arguments, f"--datadir={data(server.folder)}", to=target)
    now = time.time()
    position = _position(next(target.glob("*_binlog_info")))
    _backup(binaries, "--no-defaults", "--prepare", "--use-memory=128M", to=target)
    for notes in [*target.glob("xtrabackup_*"), *target.glob("mariadb_backup_*"), target / "backup-my.cnf"]:
        notes.unlink(missing_ok=True)
    return now, position


def _backup(binaries: Binaries, *arguments: str, to: Path) -> None:
    command = [str(binaries.backup), *arguments, f"--target-dir={to}"]
    result = subprocess.run(command, env=binaries.env, capture_output=True, text=True, check=False)
    if result.returncode:
        raise EngineError(f"mariadb-backup {arguments[1]} failed: {result.stderr[-2000:].strip()}")


def _position(notes: Path) -> Position:
    """Read the name of the log's file and the offset in it that mariadb-backup notes."""
    name, offset = notes.read_text().split()[:2]
    return Position(int(name.rpartition(".")[2]), int(offset))


def replay(binaries: Binaries, login: Path, server: Server, stretch: Stretch) -> None:
    """Let a server that runs on a base do what a piece of another's log says.

    :raises EngineError: it could not; the message says why.
    """
    window = [f"--stop-position={stretch.last}"]
    if stretch.first:
        window.append(f"--start-position={stretch.first}")
    errors = server.folder / "replay.log"
    with errors.open("wb") as log:
        reader = subprocess.Popen(
            [str(binaries.binlog), "--no-defaults", *window, *map(str, stretch.logs)],
            env=binaries.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        with reader:
            client = subprocess.run(
                [
                    str(binaries.client),
                    f"--defaults-file={login}",
                    f"--socket={server.socket}",
                    "--binary-mode",
                    "--max-allowed-packet=1G",
                ],
                env=binaries.env,
                stdin=reader.stdout,
                stdout=subprocess.DEVNULL,
                stderr=log,
                check=False,
            )
    if client.returncode or reader.returncode:
        raise EngineError(f"replaying the binary log failed: {errors.read_text(errors='replace')[-2000:].strip()}")
