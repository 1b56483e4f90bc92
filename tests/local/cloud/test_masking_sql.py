"""The masking of the shop, on a real server: nothing original survives, and what must hold still holds."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aurora_ops.core.mask_rules import read_rules
from aurora_ops.core.tables import Table

from localcloud.mariadb.engine import Engine
from localcloud.seed import shop
from tests.local.cloud.databases import REPOSITORY, free_port, rows, value
from tests.local.cloud.masking import mask, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aurora_ops.hooks.mysql import Login
    from pymysql.connections import Connection

PORT = free_port()
FOLDER = REPOSITORY / "include/sql/masking/shop"
SENSITIVE = [(rule.column.table.name, rule.column.name) for rule in read_rules(FOLDER) if rule.proof == "values"]
EMAIL = re.compile(r"[\w.+-]+@[\w.-]+")
FAKE_EMAIL = re.compile(r"user\.[0-9a-f]{20}@example\.invalid")
EMAIL_PATHS = {
    "customers": "LOWER(TRIM(email))",
    "customers.preferences": "LOWER(TRIM(JSON_VALUE(preferences, '$.contact.email')))",
    "orders": "LOWER(TRIM(contact_email))",
    "sessions": "LOWER(TRIM(email))",
    "newsletter": "LOWER(TRIM(email))",
    "email_changes": "LOWER(TRIM(new_email))",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=PORT)
    engine.create("production")
    engine.start("production")
    with engine.admin("production") as connection:
        shop.seed_production(connection, rows=6_000, passwords={})
        # what masking must also cope with: an e-mail inside the audit table, a change made by the trigger, empty values
        rows(connection, "INSERT INTO shop.audit_empty (actor_email, message) VALUES ('Root@Shop.example', 'by root')")
        rows(connection, "INSERT INTO shop.audit_empty (actor_email, message) VALUES ('', ''), (NULL, NULL)")
        rows(connection, "UPDATE shop.customers SET email = 'Renamed.Person@example.com' WHERE id = 3")
        rows(connection, "UPDATE shop.customers SET first_name = '' WHERE id = 5")
    engine.snapshot("production", "seeded")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def original(engine: Engine) -> Iterator[Connection]:
    with engine.admin("production") as connection:
        yield connection


@pytest.fixture
def restored(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Callable[[], tuple[Connection, Login]]]:
    """Make a copy of the seeded cluster: a connection to it, and the login of its master user."""
    made: list[str] = []

    def make() -> tuple[Connection, Login]:
        made.append(f"{request.node.name}-{len(made)}")
        engine.restore("seeded", made[-1])
        login = serve(engine, made[-1], f"127.0.7.{len(made)}", PORT)
        return engine.admin(made[-1]), login

    yield make
    for key in made:
        engine.delete(key)


@pytest.fixture(scope="module")
def masked(engine: Engine) -> Iterator[Connection]:
    engine.restore("seeded", "masked")
    login = serve(engine, "masked", "127.0.7.100", PORT)
    mask(login, FOLDER)
    with engine.admin("masked") as connection:
        yield connection


def without(tmp_path: Path, *, table: str | None = None, script: bool = False) -> Path:
    """The folder, but for the rules of a table or the scripts."""
    copy = tmp_path / "shop"
    copy.mkdir()
    content = yaml.safe_load((FOLDER / "columns.yaml").read_text())
    if table:
        for column in content[table]:
            content[table][column] = {"keep": "to see what is left"}
    (copy / "columns.yaml").write_text(yaml.safe_dump(content))
    for path in [] if script else FOLDER.glob("*.sql"):
        (copy / path.name).write_text(path.read_text())
    return copy


def texts(connection: Connection) -> Iterator[tuple[str, str]]:
    """Every value of every column that can hold text, with where it stands."""
    columns = rows(
        connection,
        "SELECT c.table_name, c.column_name FROM information_schema.columns AS c JOIN information_schema.tables AS t "
        "USING (table_schema, table_name) WHERE c.table_schema = 'shop' AND t.table_type = 'BASE TABLE' "
        "AND c.character_set_name IS NOT NULL",
    )
    assert len(columns) > 30
    for table, column in columns:
        for (text,) in rows(connection, f"SELECT `{column}` FROM shop.`{table}` WHERE `{column}` <> ''"):
            yield f"{table}.{column}", text


def originals(connection: Connection) -> dict[str, set[str]]:
    """What must not be found again, by kind: whole texts of sensitive columns, and words of a person's data."""
    found: dict[str, set[str]] = {"value": set(), "email": set(), "phone": set(), "name": set()}
    for where, text in texts(connection):
        table, column = where.split(".")
        if (table, column) in SENSITIVE:
            found["value"].add(text)
            found["email"] |= {email.lower().rstrip(".") for email in EMAIL.findall(text)}
    for first, last, full, phone in rows(
        connection, "SELECT first_name, last_name, full_name, phone FROM shop.customers"
    ):
        found["name"] |= {name.lower() for name in (first, last, full) if name}
        found["phone"] |= {phone} if phone else set()
    return found


def survivors(before: dict[str, set[str]], after: Connection) -> Counter[str]:
    """Count originals that are found again, anywhere in any text, by kind and place."""
    patterns = {
        "name": re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, before["name"])) + r")(?!\w)"),
        "phone": re.compile("|".join(map(re.escape, before["phone"]))),
    }
    found: Counter[str] = Counter()
    for where, text in texts(after):
        low = text.lower()
        found[f"value in {where}"] += text in before["value"]
        found[f"email in {where}"] += any(email.rstrip(".") in before["email"] for email in EMAIL.findall(low))
        for kind, pattern in patterns.items():
            found[f"{kind} in {where}"] += bool(pattern.search(low))
    return +found


def shape(connection: Connection) -> dict[str, Any]:
    """What masking must not change: rows, NULLs, empty values and distinct values of the sensitive columns."""
    found: dict[str, Any] = {}
    for table, column in SENSITIVE:
        counts = f"COUNT(*), SUM(`{column}` IS NULL), SUM(`{column}` = ''), SUM(`{column}` <> '')"
        found[f"{table}.{column}"] = rows(connection, f"SELECT {counts} FROM shop.`{table}`")
    for table, expression in EMAIL_PATHS.items():
        found[f"distinct {table}"] = value(
            connection, f"SELECT COUNT(DISTINCT {expression}) FROM shop.{table.split('.')[0]}"
        )
    return found


def joins(connection: Connection) -> dict[tuple[str, str], int]:
    """Rows of each pair of tables that share an e-mail."""
    sides = {
        name: Counter(
            email for (email,) in rows(connection, f"SELECT {expression} FROM shop.{name.split('.')[0]}") if email
        )
        for name, expression in EMAIL_PATHS.items()
    }
    return {
        (one, other): sum(count * sides[other][email] for email, count in sides[one].items())
        for one in sides
        for other in sides
        if one < other
    }


def test_no_original_is_left_anywhere(original: Connection, masked: Connection) -> None:
    before = originals(original)
    assert {kind: len(found) > 40 for kind, found in before.items()} == dict.fromkeys(before, True)
    assert survivors(before, masked) == {}


def test_the_search_for_originals_finds_them(original: Connection) -> None:
    found = survivors(originals(original), original)
    for place in ("email in customers.notes", "phone in customers.preferences", "name in payment_methods.holder_name"):
        assert found[place] > 10
    assert {f"{table}.{column}" for table, column in SENSITIVE} == {
        place.removeprefix("value in ") for place in found if place.startswith("value in ")
    }


def test_every_email_left_is_a_fake(masked: Connection) -> None:
    emails = {email for _, text in texts(masked) for email in EMAIL.findall(text)}
    assert len(emails) > 500
    assert [email for email in emails if not FAKE_EMAIL.fullmatch(email)] == []


@pytest.mark.parametrize("table", sorted({table for table, _ in SENSITIVE} - {"email_changes"}))
def test_the_rules_of_each_table_are_needed(
    original: Connection, restored: Callable[[], tuple[Connection, Login]], tmp_path: Path, table: str
) -> None:
    connection, login = restored()
    mask(login, without(tmp_path, table=table))
    found = survivors(originals(original), connection)
    assert any(place.split(" in ")[1].startswith(f"{table}.") for place in found)


def test_the_script_is_needed(
    original: Connection, restored: Callable[[], tuple[Connection, Login]], tmp_path: Path
) -> None:
    connection, login = restored()
    mask(login, without(tmp_path, script=True))
    found = survivors(originals(original), connection)
    assert found["email in email_changes.old_email"] > value(original, "SELECT COUNT(*) FROM shop.email_changes")


def test_every_column_of_a_sensitive_table_is_decided(original: Connection) -> None:
    decided = {rule.column for rule in read_rules(FOLDER)}
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'shop'"
    tables = {table for table, _ in SENSITIVE}
    for table, column in rows(original, query):
        assert table not in tables or (Table("shop", table), column) in decided


def test_the_trigger_does_not_keep_originals(original: Connection, masked: Connection) -> None:
    assert value(original, "SELECT COUNT(*) FROM shop.email_changes WHERE customer_id = 3") > 0
    changes = "SELECT id, customer_id FROM shop.email_changes ORDER BY id"
    assert rows(masked, changes) == rows(original, changes)


def test_joins_on_email_survive(original: Connection, masked: Connection) -> None:
    before = joins(original)
    assert len(before) == 15
    assert all(before.values())
    assert joins(masked) == before


def test_the_same_rows_still_share_an_email(original: Connection, masked: Connection) -> None:
    query = (
        "SELECT o.id, c.id FROM shop.orders AS o JOIN shop.customers AS c ON c.email = o.contact_email "
        "ORDER BY o.id, c.id"
    )
    assert rows(masked, query) == rows(original, query)


def test_nulls_blanks_and_distinct_values_stay(original: Connection, masked: Connection) -> None:
    assert shape(masked) == shape(original)


def test_values_inside_json_keep_their_shape(original: Connection, masked: Connection) -> None:
    query = (
        "SELECT id, JSON_KEYS(preferences), JSON_KEYS(preferences, '$.contact'), JSON_VALUE(preferences, '$.theme'), "
        "JSON_TYPE(JSON_EXTRACT(preferences, '$.contact.phone')), JSON_VALUE(preferences, '$.contact.phone') = '' "
        "FROM shop.customers ORDER BY id"
    )
    assert rows(masked, query) == rows(original, query)


def test_unique_columns_and_checks_hold(masked: Connection) -> None:
    for table, column in (("customers", "email"), ("payment_methods", "card_token")):
        assert value(masked, f"SELECT COUNT(*) - COUNT(DISTINCT `{column}`) FROM shop.{table}") == 0
    assert value(masked, "SELECT COUNT(*) FROM shop.customers WHERE NOT JSON_VALID(preferences)") == 0
    unique = rows(
        masked, "SELECT index_name FROM information_schema.statistics WHERE table_schema = 'shop' AND non_unique = 0"
    )
    assert {("uq_customers_email",), ("uq_payment_methods_card_token",)} <= set(unique)


def test_generated_column_follows(original: Connection, masked: Connection) -> None:
    differing = (
        "SELECT COUNT(*) FROM shop.customers WHERE full_name <> TRIM(CONCAT(COALESCE(first_name, ''), ' ', last_name))"
    )
    assert value(masked, differing) == 0
    names = "SELECT full_name FROM shop.customers"
    assert not set(rows(masked, names)) & set(rows(original, names))


def test_year_of_birth_stays_and_the_day_does_not(original: Connection, masked: Connection) -> None:
    years = "SELECT YEAR(birth_date) FROM shop.customers ORDER BY id"
    assert rows(masked, years) == rows(original, years)
    days = "SELECT birth_date FROM shop.customers WHERE birth_date IS NOT NULL ORDER BY id"
    same = sum(one == other for one, other in zip(rows(masked, days), rows(original, days), strict=True))
    assert same < 20


def test_what_is_not_sensitive_stays(original: Connection, masked: Connection) -> None:
    for table in ("products", "order_items", "feature_flags", "api_endpoints"):
        query = f"SELECT * FROM shop.{table} ORDER BY 1"
        assert rows(masked, query) == rows(original, query)


def test_masking_again_changes_no_email_and_leaves_no_original(
    original: Connection, restored: Callable[[], tuple[Connection, Login]]
) -> None:
    connection, login = restored()
    mask(login, FOLDER)
    emails = rows(connection, "SELECT email FROM shop.customers ORDER BY id")
    rows(connection, "DROP DATABASE aurora_ops_scratch")
    mask(login, FOLDER)
    assert rows(connection, "SELECT email FROM shop.customers ORDER BY id") == emails
    assert survivors(originals(original), connection) == {}
    assert (joins(connection), shape(connection)) == (joins(original), shape(original))


def test_masking_twice_in_a_run_does_nothing_the_second_time(restored: Callable[[], tuple[Connection, Login]]) -> None:
    connection, login = restored()
    first = mask(login, FOLDER)
    assert first["tables"] == {"single update": 7, "skip": 1}
    assert (first["statements"], first["skipped"]) == (2, 0)
    before = rows(connection, "CHECKSUM TABLE shop.customers, shop.email_changes, shop.sessions")
    second = mask(login, FOLDER)
    assert (second["rows"], second["statements"], second["skipped"]) == (0, 0, 2)
    assert rows(connection, "CHECKSUM TABLE shop.customers, shop.email_changes, shop.sessions") == before


def test_fakes_depend_on_the_salt_alone(masked: Connection, restored: Callable[[], tuple[Connection, Login]]) -> None:
    query = "SELECT email, first_name, last_name, phone FROM shop.customers ORDER BY id"
    same, login = restored()
    mask(login, FOLDER)
    assert rows(same, query) == rows(masked, query)
    other, login = restored()
    mask(login, FOLDER, run_key="another run")
    assert not {row[0] for row in rows(other, query)} & {row[0] for row in rows(masked, query)}


def test_declared_columns_exist(original: Connection) -> None:
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'shop'"
    assert set(SENSITIVE) <= set(rows(original, query))
