"""The shop that production and staging start with."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pymysql
import pytest

from localcloud.mariadb.engine import Engine
from localcloud.seed import shop
from tests.local.cloud.databases import REPOSITORY, connect, free_port, rows, value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymysql.connections import Connection

ADDRESS = "127.79.1.1"
STAGING_ADDRESS = "127.79.1.2"
ROWS = 5_000
PASSWORDS = {"shop_app": "app's", "shop_readonly": "reader", "shop_prod_batch": "batch"}
VALIDATION = sorted((REPOSITORY / "include/sql/validation/shop").glob("*.sql"))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=free_port())
    for key, address in (("production", ADDRESS), ("staging", STAGING_ADDRESS)):
        engine.create(key)
        engine.start(key)
        engine.set_master(key, "admin", "secret")
        engine.expose(key, {address})
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def production(engine: Engine) -> Iterator[Connection]:
    with connect(ADDRESS, engine._relay._port, "admin", "secret") as connection:
        assert shop.seed_production(connection, rows=ROWS, passwords=PASSWORDS)
        yield connection


@pytest.fixture(scope="module")
def staging(engine: Engine) -> Iterator[Connection]:
    with connect(STAGING_ADDRESS, engine._relay._port, "admin", "secret") as connection:
        assert shop.seed_staging(connection, rows=ROWS * 20, passwords={"shop_app": "s1", "shop_readonly": "s2"})
        yield connection


def tables(connection: Connection) -> list[str]:
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' AND table_type = 'BASE TABLE'"
    return sorted(name for (name,) in rows(connection, query))


def total(connection: Connection) -> int:
    return sum(value(connection, f"SELECT COUNT(*) FROM shop.{table}") for table in tables(connection))


def test_rows_over_all_tables_are_as_many_as_asked_for(production: Connection) -> None:
    assert total(production) == ROWS
    assert value(production, "SELECT COUNT(*) FROM shop.audit_empty") == 0


@pytest.mark.parametrize("rows_wanted", [100, 2_000, 200_000, 5_000_000])
def test_sizes_add_up(rows_wanted: int) -> None:
    sizes = shop.table_sizes(rows_wanted)
    assert sum(sizes.values()) + 6 == rows_wanted
    assert min(sizes.values()) > 0


def test_seed_is_the_same_everywhere(engine: Engine, production: Connection) -> None:
    engine.create("again")
    engine.start("again")
    with engine.admin("again") as connection:
        shop.seed_production(connection, rows=ROWS, passwords=PASSWORDS)
        rows(connection, "USE shop")
        rows(production, "USE shop")
        columns = "id, email, full_name, phone, birth_date, notes, preferences"
        query = f"SELECT {columns} FROM shop.customers ORDER BY id"
        assert rows(connection, query) == rows(production, query)
        query = "SELECT id, customer_id, contact_email, total_cents FROM shop.orders ORDER BY id"
        assert rows(connection, query) == rows(production, query)
    engine.delete("again")


def test_seeding_again_changes_nothing_but_passwords(engine: Engine, production: Connection) -> None:
    before = total(production)
    assert not shop.seed_production(production, rows=ROWS * 2, passwords={**PASSWORDS, "shop_app": "changed"})
    assert total(production) == before
    connect(ADDRESS, engine._relay._port, "shop_app", "changed").close()
    shop.seed_production(production, rows=ROWS, passwords=PASSWORDS)


def test_unfinished_seed_is_made_again(engine: Engine) -> None:
    engine.create("unfinished")
    engine.start("unfinished")
    with engine.admin("unfinished") as connection:
        shop.seed_production(connection, rows=500, passwords={})
        rows(connection, "DROP VIEW shop.customer_orders")
        rows(connection, "DELETE FROM shop.newsletter")
        assert shop.seed_production(connection, rows=500, passwords={})
        assert total(connection) == 500
    engine.delete("unfinished")


def test_data_holds_the_traps_of_real_data(production: Connection) -> None:
    for condition in (
        "first_name IS NULL",
        "phone IS NULL",
        "phone = ''",
        "notes IS NULL",
        "notes = ''",
        "notes LIKE CONCAT('%', email, '%')",
        "notes LIKE CONCAT('%', phone, '%') AND phone <> ''",
        "notes LIKE BINARY '%😀%'",
        "preferences IS NULL",
        "JSON_VALUE(preferences, '$.contact.email') = email",
        "JSON_VALUE(preferences, '$.contact.phone') = ''",
        "BINARY JSON_VALUE(preferences, '$.contact.email') <> BINARY email",
        "BINARY email <> LOWER(email)",
        "last_name LIKE BINARY '%ü%'",
        "birth_date IS NULL",
    ):
        assert value(production, f"SELECT COUNT(*) FROM shop.customers WHERE {condition}"), condition
    for query in (
        "SELECT COUNT(*) FROM shop.orders JOIN shop.customers ON contact_email = email AND BINARY email <> contact_email",
        "SELECT COUNT(*) FROM shop.orders WHERE contact_email IS NULL",
        "SELECT COUNT(*) FROM shop.orders WHERE contact_email = ''",
        "SELECT COUNT(*) FROM shop.newsletter WHERE email LIKE '% '",
        "SELECT COUNT(*) FROM shop.sessions WHERE ip_address LIKE '%:%'",
        "SELECT COUNT(*) FROM shop.email_changes",
    ):
        assert value(production, query), query


def test_schema_has_what_breaks_careless_tools(production: Connection) -> None:
    without_key = rows(
        production,
        "SELECT t.table_name FROM information_schema.tables AS t LEFT JOIN information_schema.table_constraints AS c "
        "ON c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.constraint_type = 'PRIMARY KEY' "
        "WHERE t.table_schema = 'shop' AND t.table_type = 'BASE TABLE' AND c.table_name IS NULL",
    )
    assert without_key == [("newsletter",)]
    assert value(
        production,
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = 'shop' AND is_generated = 'ALWAYS'",
    )
    foreign = "SELECT COUNT(*) FROM information_schema.referential_constraints WHERE constraint_schema = 'shop'"
    assert value(production, foreign) == 6


@pytest.mark.parametrize("path", VALIDATION, ids=lambda path: path.stem)
@pytest.mark.parametrize("where", ["production", "staging"])
def test_validation_holds(request: pytest.FixtureRequest, where: str, path: Path) -> None:
    connection = request.getfixturevalue(where)
    with connection.cursor(pymysql.cursors.DictCursor) as cursor:
        cursor.execute("SET @freshness_hours = %s", (None if where == "production" else 24 * 500,))
        cursor.execute(path.read_text())
        found = cursor.fetchall()
    assert found
    assert set(found[0]) == {"name", "ok", "detail"}
    assert all(isinstance(row["name"], str) and isinstance(row["detail"], str) for row in found)
    assert {row["ok"] for row in found} == {1}, found


@pytest.mark.parametrize(
    ("damage", "path", "name"),
    [
        (
            "SET foreign_key_checks = 0; DELETE FROM shop.customers WHERE id = 1",
            "010",
            "foreign key orders.customer_id",
        ),
        ("UPDATE shop.orders SET total_cents = total_cents + 1 WHERE id = 7", "020", "order totals"),
        ("DROP PROCEDURE shop.place_order", "030", "procedure place_order"),
        ("DROP TRIGGER shop.customers_after_update", "030", "trigger customers_after_update"),
        ("DROP VIEW shop.customer_orders", "030", "view customer_orders"),
        ("DELETE FROM shop.customers", "040", "view customer_orders answers"),
        ("UPDATE shop.orders SET created_at = created_at - INTERVAL 8 DAY", "050", "newest order"),
        ("DELETE FROM shop.orders", "050", "newest order"),
        ("DROP TABLE shop.newsletter", "070", "table newsletter"),
    ],
)
def test_validation_sees_damage(engine: Engine, production: Connection, damage: str, path: str, name: str) -> None:
    if engine.size_bytes("whole") == 0:
        engine.snapshot("production", "whole")
    engine.restore("whole", "damaged")
    engine.start("damaged")
    try:
        with engine.admin("damaged") as connection:
            rows(connection, "SET foreign_key_checks = 0")
            for statement in damage.split("; "):
                rows(connection, statement)
            (script,) = [script for script in VALIDATION if script.name.startswith(path)]
            bad = [row[0] for row in rows(connection, script.read_text()) if row[1] != 1]
            assert bad.count(name) == 1
    finally:
        engine.delete("damaged")


def test_users_may_what_they_need_and_no_more(engine: Engine, production: Connection) -> None:
    port = engine._relay._port
    with connect(ADDRESS, port, "shop_app", PASSWORDS["shop_app"]) as connection:
        rows(connection, "UPDATE shop.customers SET loyalty_points = 1 WHERE id = 1")
        rows(connection, "CALL shop.place_order(1, 1, 2, @placed)")
        placed = value(connection, "SELECT @placed")
        total_cents = "SELECT total_cents = 2 * (SELECT price_cents FROM shop.products WHERE id = 1) FROM shop.orders"
        assert value(connection, f"{total_cents} WHERE id = %s", (placed,)) == 1
        with pytest.raises(pymysql.err.OperationalError, match="1142"):
            rows(connection, "DROP TABLE shop.newsletter")
    with connect(ADDRESS, port, "shop_readonly", PASSWORDS["shop_readonly"]) as connection:
        assert value(connection, "SELECT COUNT(*) FROM shop.customer_orders WHERE customer_id = 1") == 1
        with pytest.raises(pymysql.err.OperationalError, match="1142"):
            rows(connection, "DELETE FROM shop.newsletter")
    connect(ADDRESS, port, "shop_prod_batch", PASSWORDS["shop_prod_batch"]).close()
    rows(production, "DELETE FROM shop.order_items WHERE order_id = %s", (placed,))
    rows(production, "DELETE FROM shop.orders WHERE id = %s", (placed,))


def test_staging_is_small_old_and_has_its_own_settings(production: Connection, staging: Connection) -> None:
    assert total(staging) == ROWS * 20 // 100
    assert value(staging, "SELECT MAX(created_at) < NOW() - INTERVAL 399 DAY FROM shop.orders") == 1
    for connection, environment in ((production, "production"), (staging, "staging")):
        urls = rows(connection, "SELECT url FROM shop.api_endpoints")
        assert len(urls) == 3
        assert all(f".{environment}." in url for (url,) in urls)
    flag = "SELECT enabled FROM shop.feature_flags WHERE name = 'charge_cards'"
    assert (value(production, flag), value(staging, flag)) == (1, 0)
    users = {user for (user,) in rows(staging, "SELECT user FROM mysql.user WHERE user LIKE 'shop%'")}
    assert users == {"shop_app", "shop_readonly"}
    assert tables(production) == tables(staging)


def test_load_writes_until_it_is_told_to_stop(engine: Engine, production: Connection) -> None:
    with connect(ADDRESS, engine._relay._port, "shop_app", PASSWORDS["shop_app"]) as connection:
        before = value(connection, "SELECT COUNT(*) FROM shop.orders")
        committed = shop.write_load(connection, seconds=0.3)
        assert committed > 5
        assert value(connection, "SELECT COUNT(*) FROM shop.orders") == before + committed
        stop = threading.Event()
        stop.set()
        assert shop.write_load(connection, stop=stop) == 0
        ((_, ok, detail),) = rows(connection, VALIDATION[1].read_text())
        assert ok == 1, detail
