"""Users on a real server: what they are given is what is asked for and nothing else, and no name or password is ever run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.core.grants import parse
from aurora_ops.hooks.mysql import MySqlHook, can_log_in, was_denied
from aurora_ops.operators.accounts import SYSTEM_USERS, Accounts
from aurora_ops.operators.users import SetUsersOperator
from pydantic import ValidationError

from localcloud.mariadb.engine import Engine
from tests.local.cloud.databases import free_port, rows, value
from tests.local.cloud.masking import serve
from tests.local.cloud.servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "127.0.3.81"
PORT = free_port()
EVIL = [
    "x'; DROP DATABASE shop; -- ",
    "x`; DROP DATABASE shop; #",
    'x"; DROP DATABASE shop; /*',
    "x\\'; DROP DATABASE shop; -- ",
    "x\n; DROP DATABASE shop",
    "x\u2019 OR \u2018a\u2019=\u2018a",
    "`.* TO u; DROP DATABASE shop",
    "'@'%'; DROP DATABASE shop",
    "%s%%(x)s{0}$1",
]

NO_GRANTS = [
    "SELECT ON shop.*; DROP DATABASE shop",
    "SELECT ON shop.* -- x",
    "SELECT ON shop.* /* x */",
    "SELECT ON shop.* # x",
    "SELECT ON shop.* TO root@localhost WITH GRANT OPTION",
    "SELECT ON *.*",
    "ALL PRIVILEGES ON shop.*",
    "SUPER ON shop.*",
    "GRANT OPTION ON shop.*",
    "SELECT ON mysql.*",
    "SELECT ON `MYSQL`.user",
    "SELECT ON 'shop'.*",
    'SELECT ON "shop".*',
    "SELECT ON \u2018shop\u2019.*",
    "SELECT ON `shop\x00`.*",
    "SELECT ON `shop\n`.*",
    "SELECT\n ON shop.*",
    "PROXY ON admin",
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=PORT)
    engine.create("one")
    engine.start("one")
    yield engine
    engine.close()


@pytest.fixture
def server(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A shop with two tables, a view and routines, and no users but the master's."""
    login = serve(engine, "one", ADDRESS, PORT)
    with engine.admin("one") as sql:
        for name, host in rows(sql, "SELECT User, Host FROM mysql.user"):
            if name not in {"admin", *SYSTEM_USERS}:
                rows(sql, "DROP USER %s@%s" if host else "DROP ROLE %s", (name, host) if host else (name,))
        for (name,) in rows(sql, "SHOW DATABASES"):
            if name not in ("mysql", "sys", "information_schema", "performance_schema"):
                rows(sql, f"DROP DATABASE `{name.replace('`', '``')}`")
        found = Server(sql, login, monkeypatch)
        found.does(
            "CREATE DATABASE shop",
            "CREATE TABLE shop.customers (id INT PRIMARY KEY, Email VARCHAR(90) NOT NULL, name VARCHAR(90))",
            "CREATE TABLE shop.orders (id INT PRIMARY KEY)",
            "CREATE VIEW shop.names AS SELECT name FROM shop.customers",
            "CREATE PROCEDURE shop.Refund(IN id INT) DELETE FROM shop.orders WHERE orders.id = id",
            "CREATE FUNCTION shop.tax() RETURNS INT RETURN 20",
        )
        yield found


def user(name: str = "app", **more: Any) -> dict[str, Any]:
    return {"username": name, "secret": f"staging/{name}", "writes": True, **more}


def set_users(server: Server, *users: dict[str, Any], exact: bool = True, **more: Any) -> Any:
    for each in users:
        server.secrets.current.setdefault(each["secret"], {"username": each.get("username", ""), "password": "former"})
    return server.run(
        SetUsersOperator,
        users=list(users),
        run_key="k",
        serving_id="s",
        serving_host="h",
        exact=exact,
        **more,
    )


def shown(server: Server, host: str = "%") -> set[str]:
    return {line.replace("Email", "email") for line in server.shown("app", host)}


GRANTS = [
    "SELECT, INSERT ON shop.*",
    "SELECT (ID, email), UPDATE (EMAIL) ON shop.customers",
    "DELETE, TRIGGER ON shop.orders",
    "SELECT ON shop.names",
    "EXECUTE ON PROCEDURE shop.refund",
    "EXECUTE, ALTER ROUTINE ON FUNCTION shop.TAX",
    "CREATE TEMPORARY TABLES, LOCK TABLES ON other_shop.*",
]
WANTED = {
    "GRANT USAGE ON *.* TO `app`@`%`",
    "GRANT SELECT, INSERT ON `shop`.* TO `app`@`%`",
    "GRANT CREATE TEMPORARY TABLES, LOCK TABLES ON `other\\_shop`.* TO `app`@`%`",
    "GRANT SELECT (`id`, `email`), UPDATE (`email`) ON `shop`.`customers` TO `app`@`%`",
    "GRANT DELETE, TRIGGER ON `shop`.`orders` TO `app`@`%`",
    "GRANT SELECT ON `shop`.`names` TO `app`@`%`",
    "GRANT EXECUTE ON PROCEDURE `shop`.`refund` TO `app`@`%`",
    "GRANT EXECUTE, ALTER ROUTINE ON FUNCTION `shop`.`tax` TO `app`@`%`",
}


def test_grants_are_exactly_those_asked_for_and_a_second_run_changes_nothing(server: Server) -> None:
    server.does(
        "CREATE ROLE everything",
        "CREATE USER app@'%' IDENTIFIED BY 'x'",
        "CREATE USER app@'10.%' IDENTIFIED BY 'x'",
        "GRANT everything TO app@'%'",
        "GRANT everything TO admin@'%' WITH ADMIN OPTION",
        "GRANT SELECT, PROCESS ON *.* TO app@'%'",
        "GRANT SELECT, UPDATE, DROP ON shop.* TO app@'%' WITH GRANT OPTION",
        "GRANT SELECT ON `shop%`.* TO app@'%'",
        "GRANT SELECT, UPDATE (name), INSERT (name) ON shop.customers TO app@'%'",
        "GRANT SELECT ON shop.orders TO app@'%'",
        "GRANT EXECUTE ON FUNCTION shop.tax TO app@'10.%'",
        "GRANT DELETE ON shop.orders TO everything",
        "SET DEFAULT ROLE everything FOR app@'%'",
        "GRANT UPDATE ON shop.orders TO PUBLIC",
    )
    first = set_users(server, user(grants=GRANTS))
    own = {line for line in shown(server) if "PUBLIC" not in line and line.startswith("GRANT")}
    assert own == WANTED  # that the role which it lost is its default says nothing
    other_host = {line.replace("@`%`", "@`10.%`") for line in WANTED}
    assert {line for line in shown(server, "10.%") if "PUBLIC" not in line} == other_host
    said = first["changed"]["app@%"]
    assert {"REVOKE role everything", "REVOKE PROCESS, SELECT ON *.*", "REVOKE SELECT ON `shop%`.*"} <= set(said)
    second = set_users(server, user(grants=GRANTS))
    assert second["changed"] == {}
    assert second["versions"] == first["versions"]
    server.does("REVOKE UPDATE ON shop.orders FROM PUBLIC")


def test_who_has_all_is_left_with_what_is_asked_for(server: Server) -> None:
    server.does(
        "CREATE USER boss@'%' IDENTIFIED BY 'x'",
        "GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION",
        "CREATE USER app@'%' IDENTIFIED BY 'x'",
        "GRANT ALL ON *.* TO app@'%' WITH GRANT OPTION",
        "GRANT ALL ON shop.* TO app@'%' WITH GRANT OPTION",
        "GRANT ALL ON shop.orders TO app@'%'",
    )
    with MySqlHook(server.as_user("boss", "x")) as sql:
        wanted = parse("SELECT ON shop.*", "grants").rights | parse("DELETE ON shop.orders", "grants").rights
        assert Accounts(sql).bring("app", "%", wanted, exact=True)
        assert Accounts(sql).bring("app", "%", wanted, exact=True) == []
    assert shown(server) == {
        "GRANT USAGE ON *.* TO `app`@`%`",
        "GRANT SELECT ON `shop`.* TO `app`@`%`",
        "GRANT DELETE ON `shop`.`orders` TO `app`@`%`",
    }


def test_without_exact_rights_only_come_to_what_is_there(server: Server) -> None:
    server.does(
        "CREATE DATABASE a_b",
        "CREATE USER app@'%' IDENTIFIED BY 'x'",
        "GRANT DELETE ON shop.* TO app@'%'",
        "GRANT INSERT ON a_b.* TO app@'%'",
    )
    wanted = user(grants=["SELECT ON shop.*", "SELECT ON a_b.*"])
    changed = set_users(server, wanted, exact=False)["changed"]["app@%"]
    assert changed == ["GRANT SELECT ON shop.*", "GRANT SELECT ON a_b.*"]
    # of a row with a wildcard and one without, the server looks at one only: a new row would have taken INSERT away
    assert {"GRANT SELECT, DELETE ON `shop`.* TO `app`@`%`", "GRANT SELECT, INSERT ON `a_b`.* TO `app`@`%`"} < shown(
        server
    )
    assert set_users(server, wanted, exact=False)["changed"] == {}
    assert set_users(server, user("other", privileges={"shop": ["SELECT"]}), exact=False)["dropped"] == ["app"]


def test_column_level_rights_are_those_of_the_columns(server: Server) -> None:
    set_users(server, user(grants=["SELECT (id, email), UPDATE (email) ON shop.customers"]))
    password = server.secrets.versions[next(iter(server.secrets.versions))]["password"]
    with MySqlHook(server.as_user("app", password)) as sql:
        assert sql.rows("SELECT id, email FROM shop.customers") == []
        sql.run("UPDATE shop.customers SET email = 'x' WHERE id = 1")
        for refused in (
            "SELECT name FROM shop.customers",
            "SELECT * FROM shop.customers",
            "UPDATE shop.customers SET id = 1",
            "INSERT INTO shop.customers (id, email) VALUES (1, 'x')",
            "SELECT id FROM shop.orders",
        ):
            with pytest.raises(PermanentError) as raised:
                sql.run(refused)
            assert was_denied(raised.value)


def test_nothing_is_changed_where_something_asked_for_is_missing(server: Server) -> None:
    server.does("CREATE USER old@'%' IDENTIFIED BY 'x'")
    asked = [
        "SELECT (id, nope, `no'pe`) ON shop.customers",
        "SELECT ON shop.nowhere",
        "EXECUTE ON FUNCTION shop.refund",
        "SELECT ON later.*",
    ]
    with pytest.raises(PermanentError) as raised:
        set_users(server, user(grants=asked))
    said = str(raised.value)
    for part in ("4 problems", "'shop.customers.nope'", "no'pe", "'shop.nowhere'", "'FUNCTION shop.refund'"):
        assert part in said
    assert rows(server.sql, "SELECT User FROM mysql.user WHERE User IN ('old', 'app')") == [("old",)]


@pytest.mark.parametrize("evil", EVIL)
def test_users_and_passwords_are_only_names_and_words(server: Server, evil: str) -> None:
    server.does("CREATE USER app@'%' IDENTIFIED BY 'former'")
    rows(server.sql, "CREATE USER %s@%s IDENTIFIED BY 'x'", (evil, evil[:60].replace("@", "")))
    server.secrets.current["staging/app"] = {"username": "app", "password": evil}
    result = set_users(server, user(as_in_secret=True, privileges={"shop": ["SELECT"]}))
    assert result["dropped"] == [evil.strip()]
    assert result["versions"] == {}
    assert value(server.sql, "SELECT COUNT(*) FROM shop.customers") == 0
    assert can_log_in(server.as_user("app", evil))
    assert not can_log_in(server.as_user("app", "former"))


@pytest.mark.parametrize("evil", [evil.strip() for evil in EVIL])
def test_names_in_rights_are_only_names(server: Server, evil: str) -> None:
    """What a snapshot brings along is taken away, what settings name is given or refused; nothing else happens."""
    name = f"`{evil.replace('`', '``')}`"
    for statement in (f"CREATE DATABASE {name}", f"CREATE TABLE {name}.{name} ({name} INT, b INT)"):
        server.sql.cursor().execute(statement)
    places = {
        "database": f"SELECT ON {name}.*",
        "table": f"SELECT ON {name}.{name}",
        "column": f"SELECT ({name}) ON {name}.{name}",
    }
    server.does("CREATE USER app@'%' IDENTIFIED BY 'x'", *(f"GRANT {text} TO app@'%'" for text in places.values()))
    before = shown(server)
    assert len(before) >= 3
    set_users(server, user(grants=["SELECT ON shop.*"]))
    assert shown(server) == {"GRANT USAGE ON *.* TO `app`@`%`", "GRANT SELECT ON `shop`.* TO `app`@`%`"}
    for text in places.values():
        if re.search(r"[\\\n/]", evil):
            with pytest.raises(ValidationError, match="a name has at most"):
                set_users(server, user(grants=[text]))
        else:
            set_users(server, user(grants=[text]))
            [line] = shown(server) - {"GRANT USAGE ON *.* TO `app`@`%`"}
            assert name.casefold() in re.sub(r"\\([_%])", r"\1", line).casefold()
    assert value(server.sql, "SELECT COUNT(*) FROM shop.customers") == 0


def test_what_is_no_grant_is_refused_before_the_server_hears_of_it(server: Server) -> None:
    server.does("CREATE USER app@'%' IDENTIFIED BY 'x'")
    for text in NO_GRANTS:
        with pytest.raises(ValidationError, match="grants"):
            set_users(server, user(grants=[text]))
    assert shown(server) == {"GRANT USAGE ON *.* TO `app`@`%`"}


TWO = {
    "app_username": "shop_app",
    "app_password": "app's \\ password",
    "readonly_username": "shop_reader",
    "readonly_password": 'reader"s',
}


def test_two_users_of_one_secret_are_set_as_it_has_them(server: Server) -> None:
    server.secrets.current["aurora-restore/app-credentials"] = TWO
    at = {"secret": "aurora-restore/app-credentials"}
    users = [
        {**at, "role": "app", "grants": ["SELECT, INSERT, UPDATE, DELETE, EXECUTE ON shop.*"]},
        {**at, "role": "readonly", "grants": ["SELECT ON shop.*"]},
    ]
    first = set_users(server, *users)
    assert first["versions"] == {}
    assert sorted(first["changed"]) == ["shop_app@%", "shop_reader@%"]
    assert server.secrets.versions == {}
    assert set_users(server, *users)["changed"] == {}
    assert TWO["app_password"] not in str(first)
    with MySqlHook(server.as_user("shop_app", TWO["app_password"])) as sql:
        sql.run("INSERT INTO shop.orders VALUES (7)")
    with MySqlHook(server.as_user("shop_reader", TWO["readonly_password"])) as sql:
        assert sql.rows("SELECT id FROM shop.orders") == [(7,)]
        for write in (
            "INSERT INTO shop.orders VALUES (8)",
            "UPDATE shop.orders SET id = 8",
            "DELETE FROM shop.orders",
            "CREATE TABLE shop.t (n INT)",
            "DROP TABLE shop.orders",
            "CALL shop.refund(7)",
        ):
            with pytest.raises(PermanentError) as raised:
                sql.run(write)
            assert was_denied(raised.value), write
    assert value(server.sql, "SELECT COUNT(*) FROM shop.orders") == 1


@pytest.mark.parametrize("field", sorted(TWO))
def test_a_secret_that_lacks_a_field_is_named_with_it_and_nothing_is_changed(server: Server, field: str) -> None:
    server.does("CREATE USER old@'%' IDENTIFIED BY 'x'")
    server.secrets.current["two"] = {**TWO, field: ""}
    with pytest.raises(ConfigError, match=f"secret two: 'app' is not allowed; it lacks {field}") as raised:
        set_users(server, {"secret": "two", "role": "app", "grants": ["SELECT ON shop.*"]})
    assert not any(value and value in str(raised.value) for key, value in TWO.items() if key != field)
    assert rows(server.sql, "SELECT User FROM mysql.user WHERE User = 'old'") == [("old",)]


def test_names_that_cannot_be_are_refused(server: Server) -> None:
    for username, said in (("admin", "the master user"), ("rdsadmin", "the server's own")):
        with pytest.raises(ConfigError, match=said):
            set_users(server, user(username, privileges={"shop": ["SELECT"]}))
    with pytest.raises(ConfigError, match="name a user once"):
        set_users(server, user(privileges={"shop": ["SELECT"]}), user(secret="other", privileges={"shop": ["SELECT"]}))
    server.secrets.current["x"] = {"username": "somebody", "password": "x"}
    with pytest.raises(ConfigError, match="another user"):
        set_users(server, user(secret="x", as_in_secret=True, privileges={"shop": ["SELECT"]}))
    with pytest.raises(ConfigError, match="a secret of its own"):
        set_users(
            server,
            user(secret="z", privileges={"shop": ["SELECT"]}),
            user("b", secret="z", privileges={"shop": ["SELECT"]}),
        )
    server.secrets.current["two"] = TWO
    with pytest.raises(ConfigError, match="it holds two users: say which one app is"):
        set_users(server, user(secret="two", privileges={"shop": ["SELECT"]}))
    server.secrets.current["y"] = {**TWO, "app_username": "shop'app"}
    with pytest.raises(ConfigError, match=r"app_username.* 1 to 32 letters") as raised:
        set_users(server, {"secret": "y", "role": "app", "grants": ["SELECT ON shop.*"]})
    assert "shop'app" not in str(raised.value)
