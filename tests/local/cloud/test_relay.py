"""The relay: loopback addresses that lead to a server's unix socket, for as long as they are meant to."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from localcloud.mariadb.errors import EngineError
from localcloud.mariadb.relay import Relay
from tests.local.cloud.databases import free_port, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ADDRESS, OTHER_ADDRESS = "127.77.1.1", "127.77.1.2"
MEGABYTE = 1024 * 1024


class Backend:
    """A server on a unix socket that runs `talk` for each connection, after taking off the PROXY header."""

    def __init__(self, path: Path, talk: Callable[[socket.socket], None]) -> None:
        self.path = path
        self.headers: list[str] = []
        self._talk = talk
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            header = b""
            while not header.endswith(b"\r\n"):
                header += connection.recv(1)
            self.headers.append(header.decode().strip())
            self._talk(connection)

    def close(self) -> None:
        self._listener.close()
        self.path.unlink()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def say(text: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(text)
        echo(connection)

    return talk


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay(free_port())
    yield relay
    relay.close()


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Callable[..., Backend]]:
    made: list[Backend] = []

    def make(name: str, talk: Callable[[socket.socket], None] = echo) -> Backend:
        made.append(Backend(tmp_path / name, talk))
        return made[-1]

    yield make
    for one in made:
        one.close()


def client(relay: Relay, address: str = ADDRESS) -> socket.socket:
    connection = socket.create_connection((address, relay._port), timeout=10)
    connection.settimeout(10)
    return connection


def answer(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        data = connection.recv(size - len(received))
        if not data:
            break
        received += data
    return received


def dropped(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_what_is_sent_arrives_in_both_directions(relay: Relay, backend: Callable[..., Backend]) -> None:
    relay.point(ADDRESS, backend("a").path)
    sent = bytes(range(256)) * 4 * 4096
    with client(relay) as connection:
        sender = threading.Thread(target=connection.sendall, args=(sent,))
        sender.start()
        assert answer(connection, len(sent)) == sent
        sender.join()


def test_server_is_told_where_the_client_comes_from(relay: Relay, backend: Callable[..., Backend]) -> None:
    server = backend("a", say(b"hello"))
    relay.point(ADDRESS, server.path)
    with client(relay) as connection:
        assert answer(connection, 5) == b"hello"
        host, port = connection.getsockname()
    assert server.headers == [f"PROXY TCP4 {host} {ADDRESS} {port} {relay._port}"]


def test_nothing_listens_where_nothing_is_exposed(relay: Relay, backend: Callable[..., Backend]) -> None:
    relay.point(ADDRESS, backend("a").path)
    with pytest.raises(ConnectionRefusedError):
        client(relay, OTHER_ADDRESS)


def test_withdrawn_address_refuses_and_its_connections_end(relay: Relay, backend: Callable[..., Backend]) -> None:
    relay.point(ADDRESS, backend("a", say(b"a")).path)
    with client(relay) as connection:
        assert answer(connection, 1) == b"a"
        relay.withdraw(ADDRESS)
        assert dropped(connection)
        with pytest.raises(ConnectionRefusedError):
            client(relay)
    relay.withdraw(ADDRESS)
    assert relay.routes() == {}


def test_repointed_address_leads_elsewhere_and_old_connections_end(
    relay: Relay, backend: Callable[..., Backend]
) -> None:
    one, two = backend("a", say(b"a")), backend("b", say(b"b"))
    relay.point(ADDRESS, one.path)
    relay.point(OTHER_ADDRESS, one.path)
    with client(relay) as moved, client(relay, OTHER_ADDRESS) as stays:
        assert answer(moved, 1) == answer(stays, 1) == b"a"
        relay.point(ADDRESS, two.path)
        assert dropped(moved)
        with client(relay) as fresh:
            assert answer(fresh, 1) == b"b"
        stays.sendall(b"still here")
        assert answer(stays, 10) == b"still here"


def test_pointing_to_the_same_place_again_disturbs_nobody(relay: Relay, backend: Callable[..., Backend]) -> None:
    server = backend("a")
    relay.point(ADDRESS, server.path)
    with client(relay) as connection:
        connection.sendall(b"1")
        assert answer(connection, 1) == b"1"
        relay.point(ADDRESS, server.path)
        connection.sendall(b"2")
        assert answer(connection, 1) == b"2"


def test_client_that_does_not_read_slows_the_server_down(relay: Relay, backend: Callable[..., Backend]) -> None:
    """Else the relay would hold a whole result set in memory."""
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        for _ in range(400):
            connection.sendall(b"x" * MEGABYTE)
            sent += MEGABYTE

    relay.point(ADDRESS, backend("a", flood).path)
    with client(relay) as connection:
        assert answer(connection, 1) == b"x"
        before = -1

        def stalled() -> bool:
            nonlocal before
            before, unchanged = sent, sent == before
            return unchanged and sent > 0

        assert until(stalled)
        assert sent < 40 * MEGABYTE
        received = 1
        while data := connection.recv(MEGABYTE):
            received += len(data)
        assert received == 400 * MEGABYTE


def test_client_that_only_stops_sending_still_gets_its_answer(relay: Relay, backend: Callable[..., Backend]) -> None:
    def answer_at_the_end(connection: socket.socket) -> None:
        asked = b""
        while data := connection.recv(100):
            asked += data
        connection.sendall(asked.upper())

    relay.point(ADDRESS, backend("a", answer_at_the_end).path)
    with client(relay) as connection:
        connection.sendall(b"question")
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection, 100) == b"QUESTION"


def test_connection_to_a_dead_server_ends(relay: Relay, tmp_path: Path) -> None:
    relay.point(ADDRESS, tmp_path / "nobody")
    with client(relay) as connection:
        assert dropped(connection)


def test_server_that_ends_ends_the_connection(relay: Relay, backend: Callable[..., Backend]) -> None:
    relay.point(ADDRESS, backend("a", lambda connection: connection.sendall(b"bye")).path)
    with client(relay) as connection:
        assert answer(connection, 100) == b"bye"


def test_port_in_use_is_explained(relay: Relay, backend: Callable[..., Backend]) -> None:
    with socket.create_server((ADDRESS, relay._port)):
        with pytest.raises(EngineError, match=rf"{ADDRESS}:{relay._port}.*another program.*LOCALCLOUD_DB_PORT"):
            relay.point(ADDRESS, backend("a").path)
        assert relay.routes() == {}
    relay.point(ADDRESS, backend("b", say(b"b")).path)
    with client(relay) as connection:
        assert answer(connection, 1) == b"b"


def test_close_ends_everything(backend: Callable[..., Backend]) -> None:
    relay = Relay(free_port())
    relay.point(ADDRESS, backend("a", say(b"a")).path)
    with client(relay) as connection:
        assert answer(connection, 1) == b"a"
        relay.close()
        assert dropped(connection)
    with pytest.raises(ConnectionRefusedError):
        client(relay)
    assert not relay._thread.is_alive()
    relay.close()
