"""Loopback addresses that lead to the unix socket of whichever server holds the name at the moment.

One asyncio loop in a thread. An address listens only while it leads somewhere, so a client of a cluster without an
available instance is refused, as with Aurora. Re-pointing an address drops the connections through it, as a rename of
a cluster does. The client's address is handed on in a PROXY protocol header, so that the server's process list and logs
show a network client. TLS passes through untouched. By which address a connection came is remembered under the number
that the server gives it in its greeting, which is never encrypted: one server stands for all instances of a cluster.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from localcloud.mariadb.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Coroutine

_HIGH_WATER_BYTES = 256 * 1024
_CALL_TIMEOUT_S = 30
_KEPT_CONNECTIONS = 100_000
_PROTOCOL = 10


class _Pipe(asyncio.Protocol):
    """One end of a connection; what it receives goes to its peer, no faster than the peer takes it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: _Pipe | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        sock = transport.get_extra_info("socket")
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.write(data)

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.resume_reading()

    def eof_received(self) -> bool:
        # a half-closed client still gets its answer: keep the other direction open
        if self.peer and self.peer.transport and self.peer.transport.can_write_eof():
            self.peer.transport.write_eof()
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.peer and self.peer.transport:
            self.peer.transport.close()

    def abort(self) -> None:
        if self.transport:
            self.transport.abort()


class _Server(_Pipe):
    """The end that faces the server; what it sends first is its greeting."""

    def __init__(self, route: _Route, target: Path) -> None:
        super().__init__()
        self._route = route
        self._target = target
        self._greeted = False

    def data_received(self, data: bytes) -> None:
        if not self._greeted:
            self._greeted = True
            number = _connection_number(data)
            if number is not None:
                self._route.came(self._target, number)
        super().data_received(data)


class _Client(_Pipe):
    """The end that faces the client; opens the way to the server before it reads anything."""

    def __init__(self, route: _Route) -> None:
        super().__init__()
        self._route = route
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport
        self.transport.pause_reading()
        self._route.clients.add(self)
        self._opening = asyncio.get_running_loop().create_task(self._open(self._route.target))

    def connection_lost(self, exc: Exception | None) -> None:
        self._route.clients.discard(self)
        if self._opening:
            self._opening.cancel()
        super().connection_lost(exc)

    async def _open(self, target: Path) -> None:
        assert self.transport
        server = _Server(self._route, target)
        server.peer = self
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: server, str(target))
        except OSError:  # the server died or is on its way down: to the client, a connection that breaks
            self.transport.abort()
            return
        assert server.transport
        if self.transport.is_closing():
            server.transport.abort()
            return
        server.transport.write(_proxy_header(self.transport))
        self.peer = server
        self.transport.resume_reading()


class _Route:
    """A listening address, where it leads, and who is connected through it."""

    def __init__(self, address: str, target: Path, origins: defaultdict[Path, dict[int, str]]) -> None:
        self.address = address
        self.target = target
        self.clients: set[_Client] = set()
        self.listener: asyncio.Server | None = None
        self._origins = origins

    def came(self, target: Path, number: int) -> None:
        """Note that a connection of a server came by this address; the oldest are forgotten."""
        origins = self._origins[target]
        origins.pop(number, None)
        origins[number] = self.address
        if len(origins) > _KEPT_CONNECTIONS:
            del origins[next(iter(origins))]

    def drop_clients(self) -> None:
        for client in list(self.clients):
            client.abort()
            if client.peer:
                client.peer.abort()


class Relay:
    """The listening addresses of one localcloud.

    :param port: the TCP port that every address listens on.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._routes: dict[str, _Route] = {}
        self._origins: defaultdict[Path, dict[int, str]] = defaultdict(dict)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="database-relay", daemon=True)
        self._thread.start()

    def point(self, address: str, target: Path) -> None:
        """Let `address` lead to the unix socket `target`; connections that led elsewhere are dropped.

        :raises EngineError: the address cannot be listened on; the message says why and what to do.
        """
        self._call(self._point(address, target))

    def withdraw(self, address: str) -> None:
        """Stop listening on `address` and drop its connections; nothing happens if it is not listened on."""
        self._call(self._withdraw(address))

    def routes(self) -> dict[str, Path]:
        """Return what is listened on and where it leads."""
        return {address: route.target for address, route in list(self._routes.items())}

    def origin(self, target: Path, number: int) -> str | None:
        """Return the address by which a connection of a server came, by the number that the server gave it."""
        return self._origins[target].get(number)

    def forget(self, target: Path) -> None:
        """Forget the connections of a server, which counts from 1 again when it is started."""
        self._origins.pop(target, None)

    def close(self) -> None:
        """Withdraw everything and end the thread."""
        if self._loop.is_closed():
            return
        for address in self.routes():
            self.withdraw(address)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_TIMEOUT_S)
        self._loop.close()

    def _call(self, coroutine: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_TIMEOUT_S)

    async def _point(self, address: str, target: Path) -> None:
        route = self._routes.get(address)
        if route:
            if route.target != target:
                route.target = target
                route.drop_clients()
            return
        route = _Route(address, target, self._origins)
        try:
            route.listener = await self._loop.create_server(
                lambda: _Client(route), address, self._port, family=socket.AF_INET, reuse_address=True, backlog=256
            )
        except OSError as error:
            raise EngineError(_listen_problem(address, self._port, error)) from error
        self._routes[address] = route

    async def _withdraw(self, address: str) -> None:
        route = self._routes.pop(address, None)
        if route:
            assert route.listener
            route.listener.close()
            route.drop_clients()


def _connection_number(greeting: bytes) -> int | None:
    """Read the number of the connection in the first packet of a server; None if it refuses the client."""
    end = greeting.find(b"\0", 5)
    if len(greeting) < 5 or greeting[4] != _PROTOCOL or end < 0 or len(greeting) < end + 5:
        return None
    return int.from_bytes(greeting[end + 1 : end + 5], "little")


def _proxy_header(client: asyncio.Transport) -> bytes:
    peer, local = client.get_extra_info("peername"), client.get_extra_info("sockname")
    return f"PROXY TCP4 {peer[0]} {local[0]} {peer[1]} {local[1]}\r\n".encode()


def _listen_problem(address: str, port: int, error: OSError) -> str:
    where = f"cannot listen on {address}:{port} for a database endpoint"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where}: another program uses the port. End it (`ss -ltnp 'sport = :{port}'` shows it; "
            "another localcloud: `python -m localcloud down`) or set LOCALCLOUD_DB_PORT to a free port."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{where}: the address is not on the loopback interface. On macOS: `sudo ifconfig lo0 alias {address} up`."
        )
    return f"{where}: {error.strerror or error}"
