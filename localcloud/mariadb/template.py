"""The empty data directory that every new cluster starts as a copy of."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from localcloud.mariadb.errors import EngineError
from localcloud.mariadb.scripts import statements
from localcloud.mariadb.server import ADMIN, Server, as_root, data

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.mariadb.binaries import Binaries


def ensure(binaries: Binaries, folder: Path, socket: Path, *, admin_password: str, emulation: Path) -> None:
    """Make the template in `folder`, unless it is there: rdsadmin as only administrator, Aurora's procedures and roles.

    :param socket: a unix socket to use while it is made.
    :param emulation: the SQL file with what Aurora has in schema mysql.
    :raises EngineError: MariaDB could not create a data directory.
    """
    if folder.exists():
        return
    making = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    # the installer is a shell script that fails on a blank in a path, so it is shown paths beside the sockets
    new_data, basedir, temporary = (socket.with_name(name) for name in ("template", "basedir", "temporary"))
    for left in (new_data, temporary):  # by an attempt that failed
        shutil.rmtree(left, ignore_errors=True)
    temporary.mkdir()
    if binaries.basedir:
        basedir.unlink(missing_ok=True)
        basedir.symlink_to(binaries.basedir)
    result = subprocess.run(
        [
            str(binaries.install_db),
            "--no-defaults",
            *([f"--basedir={basedir}"] if binaries.basedir else []),
            f"--datadir={new_data}",
            f"--tmpdir={temporary}",  # a MariaDB that starts deletes the temporary tables of all that share its folder
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=16M",  # else the template is four times as large
            *as_root(),
        ],
        env=binaries.env,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise EngineError(f"mariadb-install-db failed: {(result.stderr + result.stdout)[-2000:].strip()}")
    shutil.move(new_data, data(making))
    shutil.rmtree(temporary)
    server = Server(binaries, making, socket, admin_password=admin_password)
    try:
        # a redo log of the installer's size is kept, so that copies stay small; the real size comes at the first start
        server.start(user="root", extra=("--innodb-log-file-size=16M",))
        _set_up(server, admin_password, emulation)
    finally:
        server.stop()
    shutil.rmtree(making / "tmp")
    making.rename(folder)


def _set_up(server: Server, admin_password: str, emulation: Path) -> None:
    with server.connect("root") as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE USER {ADMIN}@localhost IDENTIFIED BY %s", (admin_password,))
        cursor.execute(f"GRANT ALL ON *.* TO {ADMIN}@localhost WITH GRANT OPTION")
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user, host FROM mysql.global_priv WHERE user IN ('', 'root', 'mysql', 'PUBLIC')")
        for user, host in cursor.fetchall():
            cursor.execute("DROP USER %s@%s", (user, host))
        for statement in statements(emulation):
            cursor.execute(statement)
