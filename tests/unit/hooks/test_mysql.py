"""MySQL errors carry no row data, say whether trying again helps, and passwords are never shown."""

from __future__ import annotations

import ssl
import traceback
from dataclasses import replace

import pymysql
import pytest
from aurora_ops.core.errors import PermanentError, TransientError
from aurora_ops.core.timing import Timing
from aurora_ops.hooks import mysql
from aurora_ops.hooks.mysql import Login, MySqlHook, can_log_in, described, mysql_errors, was_denied

LOGIN = Login("db.example", 3306, "admin", "hunter2")


class FakeConnection:
    """A connection that answers or fails as told; only what the hook uses."""

    def __init__(self, answer=(), error: Exception | None = None) -> None:
        self.answer, self.error, self.log = answer, error, []

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def execute(self, sql, args=None):
        self.log.append((sql, args))
        if self.error:
            raise self.error
        return len(self.answer)

    def executemany(self, sql, rows):
        return self.execute(sql, rows)

    def fetchall(self):
        return self.answer

    def ping(self, reconnect):
        assert reconnect is False

    def literal(self, value):
        return pymysql.converters.escape_item(value, "utf8mb4")

    def __getattr__(self, name):
        return lambda: self.log.append((name, None))


@pytest.fixture
def server(monkeypatch):
    """What ``pymysql.connect`` gives, and what it was asked for."""

    class Server:
        connection = FakeConnection()
        error: Exception | None = None
        asked: dict | None = None

    def connect(**given):
        Server.asked = given
        if Server.error:
            raise Server.error
        return Server.connection

    Server.connection, Server.error = FakeConnection(), None
    monkeypatch.setattr(mysql.pymysql, "connect", connect)
    return Server


@pytest.mark.parametrize(
    ("code", "text", "shown"),
    [
        (1062, "Duplicate entry 'ann@example.com' for key 'email'", "Duplicate entry …"),
        (1062, 'Duplicate entry "ann@example.com" for key', "Duplicate entry …"),
        (1062, "Duplicate entry 'O\\'Hara' for key 'n'", "Duplicate entry …"),
        (1366, "Incorrect string value: '\\xF0\\x9F' for column 'notes' at row 3", "Incorrect string value: …"),
        (1292, "Truncated incorrect DOUBLE value: 'secret\nover lines'", "Truncated incorrect DOUBLE value: …"),
        (1054, "Unknown column 'emial' in 'field list'", "Unknown column 'emial' in 'field list'"),
        (1146, "Table 'shop.custmers' doesn't exist", "Table 'shop.custmers' doesn't exist"),
    ],
)
def test_values_are_left_out_and_names_stay(code, text, shown) -> None:
    found = described(pymysql.err.IntegrityError(code, text))
    assert found.startswith(f"MySQL error {code}: {shown}")
    for value in ("ann@", "Hara", "xF0", "secret", "over lines"):
        assert value not in found


def test_error_without_arguments() -> None:
    assert described(pymysql.err.InterfaceError()) == "MySQL error 0: "


def test_original_is_not_in_the_traceback(server) -> None:
    server.connection.error = pymysql.err.IntegrityError(1062, "Duplicate entry 'ann@example.com' for key 'email'")
    with pytest.raises(PermanentError) as raised, MySqlHook(LOGIN) as sql:
        sql.run("UPDATE", what="shop/010.sql:7")
    assert "ann@example.com" not in "".join(traceback.format_exception(raised.value))
    assert str(raised.value).startswith("shop/010.sql:7 as admin@db.example:3306: MySQL error 1062: ")


@pytest.mark.parametrize("code", [0, 1040, 1205, 1213, 2002, 2003, 2006, 2013])
def test_what_may_pass_is_transient(code) -> None:
    with pytest.raises(TransientError, match=f"MySQL error {code}"), mysql_errors("x"):
        raise pymysql.err.OperationalError(code, "gone")


@pytest.mark.parametrize("code", [1045, 1064, 1062, 1146, 1290])
def test_what_will_not_pass_is_permanent(code) -> None:
    with pytest.raises(PermanentError), mysql_errors("x"):
        raise pymysql.err.OperationalError(code, "no")


def test_other_errors_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError), mysql_errors("x"):
        raise ZeroDivisionError


def test_password_is_in_no_repr() -> None:
    assert "hunter2" not in repr(LOGIN)
    assert "hunter2" not in repr(MySqlHook(LOGIN)) + MySqlHook(LOGIN).where


def test_connection_is_made_once_with_autocommit_and_closed(server) -> None:
    with MySqlHook(LOGIN) as sql:
        sql.run("SELECT 1")
        sql.run("SELECT 2", (1,))
    assert server.asked["autocommit"] is True
    assert server.asked["charset"] == "utf8mb4"
    assert server.asked["connect_timeout"] <= 30
    assert server.connection.log == [("SELECT 1", None), ("SELECT 2", (1,)), ("close", None)]


def test_rows_and_time(server) -> None:
    server.connection.answer = ((1, "a"), (2, "b"))
    timing = Timing()
    with MySqlHook(LOGIN, timing=timing) as sql:
        assert sql.rows("SELECT", what="list") == [(1, "a"), (2, "b")]
    assert [(span["kind"], span["what"]) for span in timing.spans] == [("sql", "list")]


def test_transaction_commits(server) -> None:
    with MySqlHook(LOGIN) as sql, sql.transaction():
        sql.run("UPDATE")
    assert [name for name, _ in server.connection.log] == ["begin", "UPDATE", "commit", "close"]


def test_transaction_rolls_back_and_raises(server) -> None:
    server.connection.error = pymysql.err.OperationalError(1062, "x")
    with pytest.raises(PermanentError), MySqlHook(LOGIN) as sql, sql.transaction():
        sql.run("UPDATE")
    assert [name for name, _ in server.connection.log] == ["begin", "UPDATE", "rollback", "close"]


def test_literal_is_quoted(server) -> None:
    with MySqlHook(LOGIN) as sql:
        assert sql.literal("it's \\ 😀") == "'it\\'s \\\\ 😀'"


def test_raw_values_are_not_converted(server) -> None:
    with MySqlHook(LOGIN, raw=True):
        assert not any(isinstance(kind, int) for kind in server.asked["conv"])
    with MySqlHook(LOGIN):
        assert server.asked["conv"] is None


@pytest.mark.parametrize("code", [1044, 1045, 1698, 3159, 4151])
def test_refused_login_is_no(server, code) -> None:
    server.error = pymysql.err.OperationalError(code, "Access denied for user 'admin'@'%'")
    assert can_log_in(LOGIN) is False


def test_accepted_login_is_yes(server) -> None:
    assert can_log_in(LOGIN) is True


@pytest.mark.parametrize("code", [2003, 1040])
def test_unreachable_server_proves_nothing(server, code) -> None:
    server.error = pymysql.err.OperationalError(code, "Can't connect")
    with pytest.raises(TransientError, match=r"connecting as admin@db\.example"):
        can_log_in(LOGIN)


def test_another_refusal_is_an_error_not_a_no(server) -> None:
    server.error = pymysql.err.OperationalError(1049, "Unknown database 'x'")
    with pytest.raises(PermanentError):
        can_log_in(LOGIN)


@pytest.mark.parametrize("code", [1044, 1045, 1142, 1143, 1227, 1370])
def test_denied_for_lack_of_a_right(server, code) -> None:
    server.connection.error = pymysql.err.OperationalError(code, "command denied to user")
    with pytest.raises(PermanentError) as raised, MySqlHook(LOGIN) as sql:
        sql.run("INSERT")
    assert was_denied(raised.value)


@pytest.mark.parametrize("code", [1049, 1146, 1318, 1364, 3105])
def test_any_other_error_is_no_denial(server, code) -> None:
    server.connection.error = pymysql.err.OperationalError(code, "error 1142: no")
    with pytest.raises(PermanentError) as raised, MySqlHook(LOGIN) as sql:
        sql.run("INSERT")
    assert not was_denied(raised.value)


@pytest.mark.parametrize("tls_ca", [None, "ca.pem"])
def test_plain_login_never_encrypts(server, tls_ca) -> None:
    with MySqlHook(replace(LOGIN, plain=True, tls_ca=tls_ca)):
        assert (server.asked["ssl"], server.asked["ssl_disabled"]) == (None, True)
    with MySqlHook(LOGIN):
        assert server.asked["ssl_disabled"] is False


def test_passwords_are_utf_8(server) -> None:
    with MySqlHook(replace(LOGIN, password="pä\u2019ss")):
        assert server.asked["password"] == "pä\u2019ss".encode()


def test_tls_accepts_only_the_given_authorities(tmp_path) -> None:
    with pytest.raises((ssl.SSLError, FileNotFoundError)):
        mysql.verified_tls(str(tmp_path / "none.pem"))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ssl.SSLError):
        mysql.verified_tls(str(tmp_path / "empty.pem"))


def test_verified_context_requires_a_certificate(monkeypatch) -> None:
    monkeypatch.setattr(mysql.ssl, "create_default_context", lambda cafile: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context = mysql.verified_tls("ca.pem")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname is False


@pytest.mark.parametrize(
    ("code", "text", "leak"),
    [
        (1062, "Duplicate entry 'o'hara@example.com' for key 'customers.email'", "hara@example.com"),
        (1062, "Duplicate entry 'it\\' for key 'note'", "it\\"),
        (
            1064,
            "You have an error in your SQL syntax near 'IDENTIFIED BY 'pa55word' ACCOUNT UNLOCK' at line 1",
            "pa55word",
        ),
        (1064, "You have an error in your SQL syntax near ''pa55word' ACCOUNT UNLOCK' at line 1", "pa55word"),
        (1366, "Incorrect string value: 'cut off in the middle of ann@exam", "ann@exam"),
        (1644, "customer ann@example.com must not be changed", "ann@example.com"),
    ],
)
def test_values_with_quotes_in_them_are_left_out_too(code, text, leak) -> None:
    assert leak not in described(pymysql.err.DatabaseError(code, text))


def test_lost_connection_in_a_transaction_is_transient(server) -> None:
    def gone():
        raise pymysql.err.InterfaceError(0, "")

    server.connection.rollback = gone  # as pymysql does once the socket is closed
    server.connection.error = pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")
    with pytest.raises(TransientError), MySqlHook(LOGIN) as sql, sql.transaction():
        sql.run("UPDATE customers")


def test_lost_connection_at_the_ping_is_ours(server, monkeypatch) -> None:
    def gone(reconnect):
        raise pymysql.err.OperationalError(2013, "Lost connection")

    monkeypatch.setattr(server.connection, "ping", gone, raising=False)
    with pytest.raises(TransientError), MySqlHook(LOGIN):
        pass
