"""MySQL protocol: connections to a cluster, with errors that carry no row data and time that is accounted for."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pymysql
from pymysql.constants import CLIENT, SERVER_STATUS
from pymysql.converters import conversions
from pymysql.cursors import SSCursor

from aurora_ops.core.errors import AuroraOpsError, PermanentError, TransientError
from aurora_ops.core.timing import Timing
from aurora_ops.hooks import auditing
from aurora_ops.hooks.auditing import Change

# Errors after which the same statement may succeed: no connection, lost connection, too many connections, lock wait, deadlock;
# 0 is what the driver says of a connection that was lost before.
_TRANSIENT = {
    0,
    1040,
    1053,
    1129,
    1152,
    1158,
    1159,
    1160,
    1161,
    1203,
    1205,
    1213,
    1317,
    1927,
    2002,
    2003,
    2006,
    2013,
    2014,
}
# Errors whose quoted text is a name from the script or the schema, never a value.
_NAMES_ONLY = {1046, 1049, 1050, 1051, 1054, 1060, 1061, 1072, 1091, 1109, 1146, 1304, 1305, 1360, 1396}
# From the first quote to the last: the server does not escape quotes within values, so they cannot be paired. One without an
# end (messages are cut at 512 bytes) goes to the end of the text.
_QUOTED = re.compile(r"['\"].*['\"]|['\"].*", re.S)
# Errors whose text a trigger or procedure has written: anything may stand in it.
_FREE_TEXT = {1643, 1644, 1645}
# pymysql's converters by Python type escape arguments, those by field number read values.
_ENCODERS_ONLY: Any = {kind: encode for kind, encode in conversions.items() if not isinstance(kind, int)}
_MOST_KINDS = 50
_CODE = re.compile(r"MySQL error (\d+)")
_LOST = {0, 1053, 1158, 1159, 1160, 1161, 1927, 2006, 2013, 2014}
_LOGIN_REFUSED = {1044, 1045, 1698, 1820, 3118, 3159, 4151}
_DENIED = {1044, 1045, 1142, 1143, 1227, 1370}


def described(exc: pymysql.MySQLError) -> str:
    """Describe a server's error without row data: quoted text is left out unless it can only be a name."""
    code, *rest = exc.args or (0,)
    text = " ".join(str(part) for part in rest)
    if code in _FREE_TEXT:
        return f"MySQL error {code}: {chr(8230)}"
    return f"MySQL error {code}: {text if code in _NAMES_ONLY else _QUOTED.sub(chr(8230), text, count=1)}"


@contextmanager
def mysql_errors(doing: str) -> Iterator[None]:
    """Translate a pymysql error raised while ``doing`` something into one of ``core.errors``."""
    try:
        yield
    except pymysql.MySQLError as exc:
        kind = TransientError if exc.args and exc.args[0] in _TRANSIENT else PermanentError
        # not chained: the original's text, which a traceback would print, may hold values
        raise kind(f"{doing}: {described(exc)}") from None


def verified_tls(ca_file: str) -> ssl.SSLContext:
    """Build a TLS context that accepts only servers whose certificate a CA of the file has signed.

    Cluster endpoints move between servers by rename, so the name in the certificate is not compared.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False
    return context


def was_lost(error: AuroraOpsError) -> bool:
    """Tell whether an error of this module says that the connection was lost, so that nobody knows what the server did."""
    found = _CODE.search(str(error))
    return found is None or int(found[1]) in _LOST


def was_denied(error: AuroraOpsError) -> bool:
    """Tell whether an error of this module says that the user has no right to what it tried."""
    found = _CODE.search(str(error))
    return found is not None and int(found[1]) in _DENIED


@dataclass
class Login:
    """Who logs in where.

    :param host: endpoint.
    :param port: its port.
    :param user: database user.
    :param password: its password; never shown.
    :param tls_ca: file of certificate authorities; ``None`` encrypts where the server can, unverified.
    :param plain: never encrypt, to see that the server refuses it.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls_ca: str | None = None
    plain: bool = False


class MySqlHook:
    """One connection to one server, as a context manager.

    :param login: who and where.
    :param timing: where the time of statements is recorded.
    :param raw: give every value as the text or bytes that the server sent, for exact copies.
    """

    def __init__(self, login: Login, *, timing: Timing | None = None, raw: bool = False) -> None:
        self.login = login
        self.timing = timing or Timing()
        self._raw = raw
        self._connection: pymysql.Connection[Any] | None = None
        self._changes: ExitStack = ExitStack()
        self._counts: dict[str, int] | None = None

    def __enter__(self) -> MySqlHook:
        with mysql_errors(f"connecting as {self.where}"):
            self.connection.ping(reconnect=False)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        changes, self._changes, self._counts = self._changes, ExitStack(), None
        changes.__exit__(*error)

    @property
    def where(self) -> str:
        """User and server, for messages."""
        return f"{self.login.user}@{self.login.host}:{self.login.port}"

    @property
    def connection(self) -> pymysql.Connection[Any]:
        """The connection, made on first use; autocommit is on."""
        if self._connection is None:
            with mysql_errors(f"connecting as {self.where}"):
                self._connection = pymysql.connect(
                    host=self.login.host,
                    port=self.login.port,
                    user=self.login.user,
                    password=self.login.password.encode(),  # the driver would write it in latin1, servers read UTF-8
                    charset="utf8mb4",
                    autocommit=True,
                    connect_timeout=15,
                    client_flag=CLIENT.FOUND_ROWS,
                    ssl=verified_tls(self.login.tls_ca) if self.login.tls_ca and not self.login.plain else None,
                    ssl_disabled=self.login.plain,
                    conv=_ENCODERS_ONLY if self._raw else None,
                )
        return self._connection

    def run(self, sql: str, args: Sequence[Any] | None = None, *, what: str = "statement") -> int:
        """Run one statement; rows affected.

        :param sql: the statement; ``%s`` stands for an argument only where there are arguments.
        :param args: values, escaped by the driver.
        :param what: what this does, for error and timing; never data.
        :raises AuroraOpsError: the server refused or was lost.
        """
        self._count(what)
        with self.timing.span("sql", what), mysql_errors(f"{what} as {self.where}"), self.connection.cursor() as cursor:
            return int(cursor.execute(sql, args))

    def drain(self, sql: str, *, what: str) -> int:
        """Run one statement of somebody's, whatever it answers; rows affected, at most 0 where it only answers rows.

        What it answers is read and dropped, row by row, all result sets of a procedure included.

        :param sql: the statement.
        :param what: what this does, for error and timing; never data.
        :raises AuroraOpsError: the server refused or was lost.
        """
        self._count(what)
        with self.timing.span("sql", what), mysql_errors(f"{what} as {self.where}"):
            cursor, affected = SSCursor(self.connection), 0
            cursor.execute(sql)
            while True:
                if cursor.description is None:
                    affected += max(cursor.rowcount, 0)
                for _ in cursor.fetchall_unbuffered() if cursor.description else ():
                    pass
                if not cursor.nextset():
                    return affected

    @property
    def in_transaction(self) -> bool:
        """Whether what was run last is not permanent yet, as the server says."""
        connection: Any = self.connection  # the stubs lack what the server says
        return bool(connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def rows(self, sql: str, args: Sequence[Any] | None = None, *, what: str = "query") -> list[tuple[Any, ...]]:
        """Run a query and return all its rows; for results that are known to be small."""
        with self.timing.span("sql", what), mysql_errors(f"{what} as {self.where}"), self.connection.cursor() as cursor:
            cursor.execute(sql, args)
            return list(cursor.fetchall())

    def stream(self, sql: str, *, what: str) -> Iterator[tuple[Any, ...]]:
        """Run a query and yield its rows as they come; memory stays at one row."""
        with self.timing.span("sql", what), mysql_errors(f"{what} as {self.where}"):
            cursor = SSCursor(self.connection)
            cursor.execute(sql)
            yield from cursor.fetchall_unbuffered()

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]], *, what: str) -> None:
        """Run an ``INSERT ... VALUES`` for many rows; the driver joins them into few statements."""
        self._count(what)
        with self.timing.span("sql", what), mysql_errors(f"{what} as {self.where}"), self.connection.cursor() as cursor:
            cursor.executemany(sql, rows)

    def literal(self, value: str) -> str:
        """Quote a value for a place where the protocol takes no argument, such as a password in ALTER USER."""
        return str(self.connection.literal(value))

    def _count(self, what: str) -> None:
        """Have this connection written down, before its first statement that may change something, and at its end by kind."""
        if not auditing.is_recorded():
            return
        if self._counts is None:
            answer = self._changes.enter_context(auditing.change(self._change))
            self._counts = answer.setdefault("counts", {})
        kind = what if what in self._counts or len(self._counts) < _MOST_KINDS else "others"
        self._counts[kind] = self._counts.get(kind, 0) + 1

    def _change(self) -> Change:
        """Describe the statements of this connection: where they run and as whom, never what they say."""
        return Change(
            service="mysql",
            operation="statements",
            region="",
            parameters={"host": self.login.host, "user": self.login.user, "Port": self.login.port},
            through=self.where,
            who=lambda: ("", self.login.user),
        )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the statements of a block one transaction."""
        with mysql_errors(f"transaction as {self.where}"):
            self.connection.begin()
            try:
                yield
            except BaseException:
                with suppress(pymysql.MySQLError):  # one that is lost has rolled back
                    self.connection.rollback()
                raise
            self.connection.commit()


def can_log_in(login: Login) -> bool:
    """Try a login: whether the server lets this user in with this password.

    :raises TransientError: the server cannot be reached, so nothing is known.
    """
    try:
        with MySqlHook(login):
            return True
    except PermanentError as exc:
        found = _CODE.search(str(exc))
        if found and int(found[1]) in _LOGIN_REFUSED:
            return False
        raise
