"""The shop database that production and staging are seeded with.

Rows are made by the server itself, in chunks, so that five million need no more memory here than two hundred.
"""

from __future__ import annotations

import random
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pymysql.constants import ER
from pymysql.err import OperationalError

from localcloud.mariadb.scripts import statements

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_FOLDER = Path(__file__).parent
_CHUNK_ROWS = 50_000
_STAGING_SHARE = 100
_STAGING_AGE = "400 DAY"
_SHARES = {  # of all rows, in thousandths; sessions get what is left
    "products": 10,
    "customers": 120,
    "email_changes": 2,
    "addresses": 140,
    "payment_methods": 90,
    "order_items": 360,
    "orders": 180,
    "newsletter": 20,
}
_ENVIRONMENT_ROWS = {"production": 6, "staging": 7}
_APPLICATION = "SELECT, INSERT, UPDATE, DELETE, EXECUTE"
_PRIVILEGES = {
    "shop_app": _APPLICATION,
    "shop_readonly": "SELECT, SHOW VIEW",
    "shop_prod_batch": f"{_APPLICATION}, CREATE TEMPORARY TABLES",
}


def seed_production(conn: Connection, *, rows: int, passwords: Mapping[str, str]) -> bool:
    """Fill production: `rows` rows over all tables, the newest order from just now, and three users.

    :param conn: as master user or rdsadmin.
    :param passwords: of shop_app and shop_readonly; shop_prod_batch gets one that nobody knows unless it is given.
    :return: whether there was something to do; a complete database is left alone, an unfinished one is made again.
    """
    created = _seed(conn, "production", rows, "0 DAY")
    _create_users(conn, {"shop_prod_batch": secrets.token_hex(16), **passwords})
    return created


def seed_staging(conn: Connection, *, rows: int, passwords: Mapping[str, str]) -> bool:
    """Fill staging as it is before a refresh: a hundredth of `rows`, more than a year old, its own flags and endpoints.

    :param conn: as master user or rdsadmin.
    :param rows: the size of production.
    :param passwords: of shop_app and shop_readonly.
    :return: whether there was something to do.
    """
    created = _seed(conn, "staging", rows // _STAGING_SHARE, _STAGING_AGE)
    _create_users(conn, passwords)
    return created


def write_load(conn: Connection, *, seconds: float | None = None, stop: threading.Event | None = None) -> int:
    """Use the shop as its customers do, until time is up or `stop` is set: place orders, change customers.

    Each round is one transaction. At every moment an order's total is the sum of its items.

    :param conn: as a user that may write.
    :param seconds: how long; without end if None.
    :return: transactions committed.
    """
    end = time.monotonic() + seconds if seconds is not None else None
    committed = 0
    with conn.cursor() as cursor:
        customers = _count(cursor, "SELECT COUNT(*) FROM shop.customers")
        products = _count(cursor, "SELECT COUNT(*) FROM shop.products")
        conn.commit()
        while (end is None or time.monotonic() < end) and not (stop and stop.is_set()):
            conn.begin()
            try:
                _one_visit(cursor, random.randint(1, customers), random.randint(1, products), committed)
                conn.commit()
                committed += 1
            except OperationalError as error:
                conn.rollback()
                if error.args[0] != ER.LOCK_DEADLOCK:  # two customers in each other's way: the next round is another
                    raise
    return committed


def _one_visit(cursor: Cursor, customer: int, product: int, number: int) -> None:
    cursor.execute("CALL shop.place_order(%s, %s, 2, @placed)", (customer, product))
    cursor.execute(
        "INSERT INTO shop.order_items (order_id, product_id, quantity, unit_price_cents) "
        "SELECT @placed, id, 1, price_cents FROM shop.products WHERE id = 1"
    )
    cursor.execute(
        "UPDATE shop.customers SET loyalty_points = loyalty_points + 1, updated_at = UTC_TIMESTAMP(), "
        "notes = CONCAT('Visit ', %s, ' 🛒, answered to ', email) WHERE id = %s",
        (number, customer),
    )


def _count(cursor: Cursor, query: str) -> int:
    cursor.execute(query)
    row = cursor.fetchone()
    assert row
    return int(row[0])


def _seed(conn: Connection, environment: str, rows: int, age: str) -> bool:
    with conn.cursor() as cursor:
        if _complete(cursor):
            return False
        cursor.execute("DROP DATABASE IF EXISTS shop")
        _run(cursor, "shop_schema.sql")
        sizes = table_sizes(rows, environment)
        cursor.execute("SET foreign_key_checks = 0, unique_checks = 0")  # the rows fit by construction
        # else expressions of inner tables are worked out again wherever they are used
        cursor.execute("SET optimizer_switch = 'derived_merge=off'")
        cursor.execute(f"SET @now = UTC_TIMESTAMP() - INTERVAL {age}, @environment = %s", (environment,))
        cursor.execute(
            "SET @customers = %s, @products = %s, @orders = %s",
            (sizes["customers"], sizes["products"], sizes["orders"]),
        )
        for insert in statements(_FOLDER / "shop_rows.sql"):
            table = insert.split("INSERT INTO ", 1)[1].split(None, 1)[0]
            for first in range(1, sizes[table] + 1, _CHUNK_ROWS):
                last = min(first + _CHUNK_ROWS - 1, sizes[table])
                cursor.execute("SET @first = %s, @last = %s", (first, last))
                cursor.execute(insert)
                conn.commit()
        _run(cursor, "shop_environment.sql")
        conn.commit()
        cursor.execute("SET foreign_key_checks = 1, unique_checks = 1")
        _run(cursor, "shop_logic.sql")
    return True


def table_sizes(rows: int, environment: str = "production") -> dict[str, int]:
    """Return how many rows each generated table gets, so that all tables together have `rows` (if that is enough)."""
    sizes = {table: max(1, rows * share // 1000) for table, share in _SHARES.items()}
    sizes["order_items"] = 4 * max(1, sizes["order_items"] // 4)
    sizes["orders"] = sizes["order_items"] // 2
    sizes["sessions"] = max(1, rows - sum(sizes.values()) - _ENVIRONMENT_ROWS[environment])
    return sizes


def _complete(cursor: Cursor) -> bool:
    view = (
        "SELECT COUNT(*) FROM information_schema.views WHERE table_schema = 'shop' AND table_name = 'customer_orders'"
    )
    return _count(cursor, view) == 1


def _create_users(conn: Connection, passwords: Mapping[str, str]) -> None:
    with conn.cursor() as cursor:
        for user, password in passwords.items():
            cursor.execute("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", (user, password))
            cursor.execute("ALTER USER %s@'%%' IDENTIFIED BY %s", (user, password))
            cursor.execute(f"GRANT {_PRIVILEGES[user]} ON shop.* TO %s@'%%'", (user,))


def _run(cursor: Cursor, name: str) -> None:
    for statement in statements(_FOLDER / name):
        cursor.execute(statement)
