"""What the tests of the database engine share."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

from localcloud.mariadb import binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymysql.connections import Connection

    from localcloud.mariadb.engine import Engine

REPOSITORY = Path(__file__).resolve().parents[3]


def free_port() -> int:
    """Return a TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rows(connection: Connection, query: str, arguments: object = None) -> list[tuple[Any, ...]]:
    """Run a statement and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(query, arguments)
        return list(cursor.fetchall())


def value(connection: Connection, query: str, arguments: object = None) -> Any:
    """Run a statement and return the one value it answers."""
    ((only,),) = rows(connection, query, arguments)
    return only


def on(engine: Engine, key: str, query: str) -> list[tuple[Any, ...]]:
    """Run a statement as rdsadmin on a cluster."""
    with engine.admin(key) as connection:
        return rows(connection, query)


@contextlib.contextmanager
def in_background(work: Callable[[threading.Event], None], threads: int = 1) -> Iterator[None]:
    """Run `work` in threads until the block ends; a failure in there is a failure of the test."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work(stop)
        except BaseException as error:  # handed to the test below
            failures.append(error)
            raise

    workers = [threading.Thread(target=guarded) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join(60)
    assert not failures


def until(condition: Callable[[], bool], timeout_s: float = 15) -> bool:
    """Wait for something that another process does; return whether it came true."""
    pause = threading.Event()
    for _ in range(int(timeout_s / 0.02)):
        if condition():
            return True
        pause.wait(0.02)
    return False


def client_program() -> str:
    """Return the mariadb command-line client that belongs to the server."""
    found = binaries.find()
    folder = found.server.parent
    program = shutil.which("mariadb", path=f"{folder}:{folder.parent / 'bin'}") or shutil.which("mariadb")
    assert program, "no mariadb client beside the server"
    return program


def connect(address: str, port: int, user: str, password: str, **more: Any) -> Connection:
    """Connect as a client of an endpoint does."""
    return pymysql.connect(
        host=address, port=port, user=user, password=password, charset="utf8mb4", autocommit=True, **more
    )
