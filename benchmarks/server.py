"""A MariaDB of its own for benchmarks, with the memory and the habits of a small production server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aurora_ops.hooks.mysql import Login, MySqlHook

import localcloud.mariadb
from localcloud.mariadb import binaries, template
from localcloud.mariadb.server import Server, data

PASSWORD = "benchmark"  # noqa: S105 - of a server that lives for minutes, on the loopback only
SETTINGS = {
    "innodb-buffer-pool-size": "1G",
    "innodb-log-file-size": "1G",
    "innodb-log-buffer-size": "64M",
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-flush-method": "O_DIRECT",
    "innodb-io-capacity": "2000",
    # as MySQL 8 and Aurora have it: an INSERT ... SELECT does not keep others from a table with AUTO_INCREMENT
    "innodb-autoinc-lock-mode": "2",
    "innodb-sort-buffer-size": "16M",
    "max-allowed-packet": "64M",
}


@dataclass(frozen=True)
class Running:
    """A running server.

    :param login: who may do everything.
    :param data: its data directory.
    :param pid: its process.
    """

    login: Login
    data: Path
    pid: int

    def connect(self) -> MySqlHook:
        """Open a connection."""
        return MySqlHook(self.login)

    def cpu_s(self) -> float:
        """CPU time that it has used, in seconds; Linux only, 0 elsewhere."""
        path = Path(f"/proc/{self.pid}/stat")
        if not path.exists():
            return 0.0
        fields = path.read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(port: int, parent: Path, options: Sequence[str] = ()) -> Iterator[Running]:
    """Run a server until the block ends; then it and its data are gone.

    :param port: TCP port on 127.0.0.1.
    :param parent: where its data lies meanwhile.
    :param options: of the server, beside ``SETTINGS``.
    """
    parent = parent.resolve()
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    sockets = Path(tempfile.mkdtemp(prefix="bench-"))
    programs = binaries.find()
    arguments = (
        *(f"--{name}={value}" for name, value in SETTINGS.items()),
        *options,
        "--skip-networking=0",
        "--bind-address=127.0.0.1",
    )
    running = Server(
        programs,
        folder / "server",
        sockets / "server.sock",
        admin_password=PASSWORD,
        options=(*arguments, f"--port={port}"),
    )
    try:
        emulation = Path(localcloud.mariadb.__path__[0]) / "emulate.sql"
        template.ensure(
            programs, folder / "server", sockets / "template.sock", admin_password=PASSWORD, emulation=emulation
        )
        running.start()
        with running.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER bench@'%%' IDENTIFIED BY %s", (PASSWORD,))
            cursor.execute("GRANT ALL ON *.* TO bench@'%'")
        yield Running(Login("127.0.0.1", port, "bench", PASSWORD), data(folder / "server"), running.pid or 0)
    finally:
        running.stop()
        shutil.rmtree(folder)
        shutil.rmtree(sockets)
