"""Proof and scan on a real server: what is planted is found and named, what is masked is not, and no value is ever shown."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aurora_ops.core import coverage
from aurora_ops.core.errors import ConfigError, PermanentError, VerificationError
from aurora_ops.core.settings import Scan
from aurora_ops.core.shapes import NATIONAL_IDS, luhn_sql
from aurora_ops.hooks.mysql import Login
from aurora_ops.operators import scan_tables
from aurora_ops.operators.mask_tables import MaskDatabaseOperator
from aurora_ops.operators.masking import FingerprintColumnsOperator, ProveMaskOperator
from aurora_ops.operators.scan import COVERAGE_KEY, ScanColumnsOperator
from aurora_ops.operators.sql import SqlOperator

from localcloud.mariadb.engine import Engine
from localcloud.seed import shop
from tests.local.cloud.databases import REPOSITORY, free_port, rows, value
from tests.unit.core.personal import HOLDS, HOLDS_NOTHING, WRONG_CHECK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pymysql.connections import Connection

ADDRESS, PASSWORD = "127.0.3.77", "master-pw"
SHOP = str(REPOSITORY / "include/sql/masking/shop")
AT = {"task_id": "t", "aws_conn_id": "x", "cluster_id": "app"}
NO_SCAN = {"keep_tables": [], "columns": []}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=port)
    engine.create("empty")
    engine.create("shop")
    engine.start("shop")
    with engine.admin("shop") as connection:
        shop.seed_production(connection, rows=3_000, passwords={})
    engine.snapshot("shop", "seeded")
    engine.stop("shop")
    yield engine
    engine.close()


class Database:
    """A server behind an endpoint, and the operators that work on it."""

    def __init__(self, sql: Connection, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sql = sql
        self.pushed: dict[str, Any] = {}
        login = Login(ADDRESS, port, "admin", PASSWORD)
        monkeypatch.setattr(SqlOperator, "master", lambda self, cluster: login)

    def run(self, operator: Any) -> Any:
        ti = SimpleNamespace(xcom_push=lambda key, value: self.pushed.update({key: value}))
        return operator.work(SimpleNamespace(tags={"refresh": "true"}), {"ti": ti})

    def remember(self, folder: str, *columns: str, **more: Any) -> Any:
        return self.run(FingerprintColumnsOperator(folders=[folder], columns=list(columns), run_key="k", **AT, **more))

    def prove(self) -> Any:
        return self.run(ProveMaskOperator(run_key="k", **AT))

    def mask(self, folder: str) -> Any:
        return self.run(MaskDatabaseOperator(folders=[folder], run_key="k", **AT))

    def scan(
        self, folder: str = "", *, columns: tuple[str, ...] = (), keep: tuple[str, ...] = (), **settings: Any
    ) -> Any:
        return self.run(
            ScanColumnsOperator(
                folders=[folder] if folder else [],
                columns=list(columns),
                keep_tables=list(keep),
                scan=Scan.model_validate(settings).model_dump(),
                **AT,
            )
        )

    def covered(self) -> dict[str, coverage.Covered]:
        return {c.column: c for c in coverage.unpacked(self.pushed[COVERAGE_KEY])}


@pytest.fixture
def database(
    engine: Engine, port: int, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Database]:
    """An empty server, or a shop where the test asks for one."""
    key = request.node.name
    if request.node.get_closest_marker("usefixtures") or "shop" in request.node.name:
        engine.restore("seeded", key)
    else:
        engine.create(key)
    engine.start(key)
    engine.set_master(key, "admin", PASSWORD)
    engine.expose(key, {ADDRESS})
    with engine.admin(key) as sql:
        rows(sql, "CREATE DATABASE IF NOT EXISTS app CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        yield Database(sql, port, monkeypatch)
    engine.delete(key)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], str]:
    """Write the rules of schema app, with a script that changes nothing."""

    def write(rules: str, script: str = "SELECT 1") -> str:
        where = tmp_path / "app"
        where.mkdir(exist_ok=True)
        (where / "columns.yaml").write_text(rules, encoding="utf-8")
        (where / "010_all.sql").write_text(f"{script};\n", encoding="utf-8")
        return str(where)

    return write


def test_shop_masked_is_proven_and_scanned_clean(database: Database) -> None:
    remembered = database.remember(SHOP)
    database.mask(SHOP)
    proven = database.prove()
    assert remembered["columns"] == len(proven["columns"]) > 15
    assert min(count for name, count in proven["columns"].items() if "audit_empty" not in name) > 0
    scanned = database.scan(SHOP, keep=("shop.feature_flags",))
    assert (scanned["found"], scanned["warnings"]) == ({}, [])
    covered = database.covered()
    statuses = {c.status for c in covered.values()}
    assert statuses <= {"masked", "kept", "clean", "target"}
    assert covered["shop.customers.email"].status == "masked"
    assert covered["shop.customers.email"].decided
    assert covered["shop.feature_flags.name"].status == "target"
    assert covered["shop.products.sku"].status == "clean"
    assert not covered["shop.products.sku"].decided
    assert covered["shop.orders.created_at"].decided


def test_shop_not_masked_is_found_everywhere(database: Database) -> None:
    with pytest.raises(VerificationError) as raised:
        database.scan()
    for name in ("customers.email", "customers.phone", "customers.notes", "customers.preferences", "newsletter.email"):
        assert f"shop.{name} (" in str(raised.value)
    assert "@" not in str(raised.value)
    emails = database.covered()["shop.customers.email"].found["email"]
    assert emails == value(database.sql, "SELECT COUNT(*) FROM shop.customers")
    for name in ("products.name", "products.sku", "orders.status", "sessions.user_agent", "addresses.street"):
        assert f"shop.{name}" not in str(raised.value)


def test_shop_column_that_no_masker_touches_fails_the_proof(database: Database) -> None:
    database.remember(SHOP, "shop.products.name")
    database.mask(SHOP)
    with pytest.raises(VerificationError, match=r"shop\.products\.name \((\d+) of \1\); mend") as raised:
        database.prove()
    assert "customers" not in str(raised.value)


def test_email_in_free_text_is_found_and_never_shown(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    rows(database.sql, "CREATE TABLE app.tickets (id INT PRIMARY KEY, body TEXT)")
    rows(database.sql, "INSERT INTO app.tickets VALUES (1, 'please write to ann.secret@example.com 😀'), (2, 'no')")
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(VerificationError, match=r"app\.tickets\.body \(email 1\)") as raised,
    ):
        database.scan()
    assert "columns.yaml" in str(raised.value)
    assert "ann.secret" not in str(raised.value) + caplog.text + str(database.pushed)
    warned = database.scan(policy="warn")
    assert warned["found"] == {"app.tickets.body": {"email": 1}}
    assert "app.tickets.body (email 1)" in warned["warnings"][0]
    assert "off" in database.scan(policy="off")["warnings"][0]
    assert database.covered()["app.tickets.body"].status == "unscanned"
    assert database.scan(min_rows=2)["found"] == {}
    assert database.scan(kinds=["card"])["found"] == {}


def test_masker_that_returns_its_input_is_named(database: Database, folder: Callable[..., str]) -> None:
    rows(database.sql, "CREATE TABLE app.people (id INT PRIMARY KEY, nick VARCHAR(40), good VARCHAR(40))")
    rows(
        database.sql, "INSERT INTO app.people VALUES (1, 'ann', 'x'), (2, 'bob', 'y'), (3, 'ann', NULL), (4, NULL, '')"
    )
    rules = folder(
        "people: {nick: {mask: script}, good: {mask: script}}", "UPDATE app.people SET nick = nick, good = 'z'"
    )
    database.remember(rules)
    database.mask(rules)
    with pytest.raises(VerificationError, match=r"app\.people\.nick \(2 of 2\); mend") as raised:
        database.prove()
    assert "good" not in str(raised.value)
    rows(database.sql, "UPDATE app.people SET nick = 'fake'")
    assert database.prove() == {"columns": {"app.people.nick": 3, "app.people.good": 2}, "survivors": 0}
    assert database.prove()["survivors"] == 0, "proving again is harmless"


def test_json_path_left_as_it_was_is_named(database: Database, folder: Callable[..., str]) -> None:
    rows(database.sql, "CREATE TABLE app.people (id INT PRIMARY KEY, data JSON)")
    rows(
        database.sql, """INSERT INTO app.people VALUES (1, '{"a": "one", "b": "two"}'), (2, '{"a": null}'), (3, NULL)"""
    )
    rules = folder(
        "people: {data: {mask: json, paths: {$.a: text, $.b: text}}}",
        """UPDATE app.people SET data = JSON_REPLACE(data, '$.a', 'changed') WHERE id = 1""",
    )
    database.remember(rules)
    rows(database.sql, """UPDATE app.people SET data = JSON_REPLACE(data, '$.a', 'changed') WHERE id = 1""")
    with pytest.raises(VerificationError, match=r"app\.people\.data \$\.b \(1 of 1\)") as raised:
        database.prove()
    assert "$.a" not in str(raised.value)


def test_rows_are_proven_where_another_row_may_have_the_value(database: Database, folder: Callable[..., str]) -> None:
    rows(database.sql, "CREATE TABLE app.people (a INT, b VARCHAR(9), born DATE, PRIMARY KEY (a, b))")
    rows(database.sql, "INSERT INTO app.people VALUES (1, 'x', '2000-01-01'), (2, 'y', '2000-01-02'), (3, 'z', NULL)")
    rules = folder("people: {born: {mask: script, proof: rows}}")
    database.remember(rules)
    with pytest.raises(VerificationError, match=r"app\.people\.born \(2 of 2 rows\)"):
        database.prove()
    rows(database.sql, "UPDATE app.people SET born = IF(a = 1, '2000-01-02', '2000-01-01') WHERE a < 3")
    assert database.prove()["survivors"] == 0


def test_table_without_key_is_proven_by_values(database: Database, folder: Callable[..., str]) -> None:
    rows(database.sql, "CREATE TABLE app.people (born DATE)")
    rows(database.sql, "INSERT INTO app.people VALUES ('2000-01-01'), ('2000-01-02')")
    database.remember(folder("people: {born: {mask: script, proof: rows}}"))
    rows(database.sql, "UPDATE app.people SET born = '2000-01-01'")
    with pytest.raises(VerificationError, match=r"app\.people\.born \(1 of 2\)"):
        database.prove()


@pytest.mark.parametrize(
    "declared",
    [
        "VARCHAR(60) CHARACTER SET latin1",
        "VARCHAR(60) COLLATE utf8mb4_bin",
        "VARCHAR(60) CHARACTER SET utf16",
        "CHAR(60)",
        "VARBINARY(60)",
        "LONGBLOB",
        "LONGTEXT",
    ],
)
def test_every_type_that_holds_text_is_proven_and_scanned(
    database: Database, folder: Callable[..., str], declared: str
) -> None:
    rows(database.sql, f"CREATE TABLE app.t (id INT PRIMARY KEY, v {declared})")
    for number, text in enumerate(["Zoë@example.com", "zoë@EXAMPLE.com", "", "   ", None]):
        raw = (
            text.encode() if text and "B" in declared and "VARCHAR" not in declared and "CHAR" not in declared else text
        )
        rows(database.sql, "INSERT INTO app.t VALUES (%s, %s)", (number, raw))
    rules = folder("t: {v: {mask: script}}")
    database.remember(rules)
    rows(database.sql, "UPDATE app.t SET v = 'other' WHERE id = 0")
    with pytest.raises(VerificationError, match=r"app\.t\.v \(1 of 2\)"):  # case is a difference
        database.prove()
    with pytest.raises(VerificationError, match=r"app\.t\.v \(email 1\)"):
        database.scan(rules)
    rows(database.sql, "UPDATE app.t SET v = 'other' WHERE id = 1")
    assert database.prove()["survivors"] == 0
    assert database.scan(rules)["found"] == {}


def test_labelled_texts_are_told_apart_on_the_server(database: Database) -> None:
    texts = [*HOLDS, *(("", text) for _, text in WRONG_CHECK), *(("", text) for text in HOLDS_NOTHING)]
    every = {"kinds": ["email", "phone", "card", "national_id"], "national_ids": list(NATIONAL_IDS)}
    for number, (_, text) in enumerate(texts):
        rows(database.sql, f"CREATE TABLE app.t{number} (v VARCHAR(200))")
        rows(database.sql, f"INSERT INTO app.t{number} VALUES (%s)", (text,))
    database.scan(policy="warn", **every)
    everything = database.covered()
    for number, (name, text) in enumerate(texts):
        found = everything[f"app.t{number}.v"].found
        assert not name or name in found, text
    for number, (_, text) in enumerate(texts):
        for wrong, other in WRONG_CHECK:
            if text == other:
                assert wrong not in everything[f"app.t{number}.v"].found, text
    database.scan(policy="warn")
    usual = database.covered()
    assert [text for n, (_, text) in enumerate(texts) if text in HOLDS_NOTHING and usual[f"app.t{n}.v"].found] == []


def test_check_digits_are_computed_right(database: Database) -> None:
    def luhn(digits: str) -> bool:
        doubled = [int(d) * 2 - 9 * (int(d) > 4) if n % 2 else int(d) for n, d in enumerate(reversed(digits))]
        return sum(doubled) % 10 == 0

    numbers = [str(n * 7_919_000_000_019 + 10**15)[:length] for n in range(1, 200) for length in (14, 15, 16, 19)]
    for digits in numbers:
        assert bool(value(database.sql, f"SELECT {luhn_sql('%s')}", (digits,) * 20)) == luhn(digits), digits


def test_names_of_any_kind(database: Database) -> None:
    table, column = "`" + "ä" * 63 + "``" + "`", "`select`"
    rows(database.sql, f"CREATE TABLE app.{table} (`key` VARCHAR(9) PRIMARY KEY, {column} VARCHAR(60))")
    rows(database.sql, f"INSERT INTO app.{table} VALUES ('a', 'ann@example.com')")
    long = "c" * 64
    rows(database.sql, f"CREATE TABLE app.{long} ({long} TEXT)")
    rows(database.sql, f"INSERT INTO app.{long} VALUES ('+44 20 7946 0018')")
    found = database.scan(policy="warn", chunk_rows=1000)["found"]
    assert found == {f"app.{'ä' * 63}`.select": {"email": 1}, f"app.{long}.{long}": {"phone": 1}}


def test_empty_schema_and_empty_tables(database: Database) -> None:
    assert database.scan() == {"columns": 0, "scanned": 0, "found": {}, "warnings": []}
    rows(database.sql, "CREATE TABLE app.t (id INT, v TEXT, b BLOB)")
    assert database.scan()["scanned"] == 2
    assert {c.status for c in database.covered().values()} == {"clean"}


def test_thousand_columns(database: Database) -> None:
    rows(database.sql, "SET SESSION innodb_strict_mode = OFF")
    rows(
        database.sql,
        f"CREATE TABLE app.wide ({', '.join(f'c{n} VARCHAR(20)' for n in range(1000))}) CHARACTER SET latin1",
    )
    rows(database.sql, "INSERT INTO app.wide (c7, c999) VALUES ('ann@example.com', '4111 1111 1111 1111')")
    assert database.scan(policy="warn")["found"] == {"app.wide.c7": {"email": 1}, "app.wide.c999": {"card": 1}}
    assert len(database.covered()) == 1000


def test_bytes_that_are_no_text_are_said_to_be(database: Database) -> None:
    rows(database.sql, "CREATE TABLE app.t (id INT PRIMARY KEY, b BLOB, u BINARY(16))")
    rows(database.sql, "INSERT INTO app.t VALUES (1, %s, %s)", (b"\x00\x01ann@example.com\x00", b"\x07" * 16))
    assert database.scan()["found"] == {}
    assert database.covered()["app.t.b"].status == "unreadable"
    assert database.covered()["app.t.b"].how == "1 values are no text"
    rows(database.sql, "INSERT INTO app.t VALUES (2, 'Zoë <zoe@example.com>', 'a@example.com')")
    assert database.scan(policy="warn")["found"] == {"app.t.b": {"email": 1}, "app.t.u": {"email": 1}}


def test_long_texts_are_searched_to_their_end(database: Database) -> None:
    rows(database.sql, "CREATE TABLE app.t (id INT PRIMARY KEY, v LONGTEXT)")
    for number, place in enumerate((0, 16_370, 16_384, 40_000, 200_000)):
        text = (
            "word " * (place // 5)
            + "." * (place % 5)
            + " ann@example.com 4111111111111112 4111 1111 1111 1111 "
            + "x" * 50
        )
        rows(database.sql, "INSERT INTO app.t VALUES (%s, %s)", (number, text))
    rows(database.sql, "INSERT INTO app.t VALUES (9, REPEAT('nothing here 4111111111111112 ', 20000))")
    assert database.scan(policy="warn")["found"] == {"app.t.v": {"card": 5, "email": 5}}


def test_what_is_decided_to_stay_and_kept_tables_are_not_scanned(
    database: Database, folder: Callable[..., str]
) -> None:
    rows(database.sql, "CREATE TABLE app.t (id INT PRIMARY KEY, support VARCHAR(60), own VARCHAR(60))")
    rows(database.sql, "CREATE TABLE app.kept (v VARCHAR(60))")
    rows(database.sql, "INSERT INTO app.t VALUES (1, 'support@shop.example', 'ann@example.com')")
    rows(database.sql, "INSERT INTO app.kept VALUES ('ann@example.com')")
    rules = folder('t: {support: {keep: "ours"}, own: {mask: script}}')
    result = database.scan(rules, keep=("app.kept",), policy="warn")
    assert result["found"] == {"app.t.own": {"email": 1}}
    covered = database.covered()
    assert (covered["app.t.support"].status, covered["app.t.support"].how) == ("kept", "ours")
    assert covered["app.kept.v"].status == "target"
    named = database.scan(rules, keep=("app.kept",), policy="warn", columns=("app.t.support",))
    assert set(named["found"]) == {"app.t.own", "app.t.support"}, "a column named for the run is not kept"


def test_missing_columns_are_named_before_anything_is_remembered(
    database: Database, folder: Callable[..., str]
) -> None:
    rows(database.sql, "CREATE TABLE app.t (id INT PRIMARY KEY, v TEXT)")
    with pytest.raises(PermanentError) as raised:
        database.remember(folder('t: {w: email, v: email}\nu: {x: {keep: "y"}}'), "app.t.z")
    for name in ("app.t.w", "app.t.z", "app.u.x"):
        assert name in str(raised.value)
    with pytest.raises(ConfigError, match=r"app\.t\.w"):
        database.remember(folder("t: {w: email}"))


KEYS = [
    "id INT, PRIMARY KEY (id)",
    "id INT, PRIMARY KEY (v, id)",
    "id BINARY(5), PRIMARY KEY (id)",
    "id VARCHAR(20) CHARACTER SET latin1, PRIMARY KEY (id)",
    "id INT",
    "id DECIMAL(9, 2), PRIMARY KEY (id)",
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_big_tables_are_counted_in_chunks_each_row_once_and_killed_scans_go_on(
    database: Database, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(database.sql, f"CREATE TABLE app.t (v VARCHAR(60) NOT NULL, {key})")
    rows(
        database.sql,
        "INSERT INTO app.t (v, id) SELECT IF(n % 5 = 0, CONCAT('p', n % 7, '@example.com'), CONCAT('nobody ', n % 3)), "
        "n * 3 FROM (SELECT seq AS n FROM app.seq_1_to_5500) AS numbers",
    )
    rows(database.sql, "ANALYZE TABLE app.t")
    plain, seen = scan_tables._scan_rows, 0

    def once(*given: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == 4 and "PRIMARY" in key and "DECIMAL" not in key:
            raise KeyboardInterrupt
        plain(*given)

    monkeypatch.setattr(scan_tables, "_scan_rows", once)
    if "PRIMARY" in key and "DECIMAL" not in key:
        with pytest.raises(KeyboardInterrupt):
            database.scan(policy="warn", chunk_rows=1000)
        assert seen == 4
    assert database.scan(policy="warn", chunk_rows=1000)["found"] == {"app.t.v": {"email": 1100}}
    assert seen == (4 + 3 if "PRIMARY" in key and "DECIMAL" not in key else 1)
    database.scan(policy="warn", chunk_rows=1000, kinds=["card"])
    assert database.covered()["app.t.v"].status == "clean"


def test_killed_remembering_goes_on_where_it_was(
    database: Database, folder: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(database.sql, "CREATE TABLE app.t (id INT PRIMARY KEY, a TEXT, b TEXT, c TEXT)")
    rows(database.sql, "INSERT INTO app.t VALUES (1, 'one', 'two', 'three')")
    rules = folder("t: {a: {mask: script}, b: {mask: script}, c: {mask: script}}")
    plain = FingerprintColumnsOperator._remember
    asked: list[int] = []

    def second_fails(self: Any, sql: Any, target: Any, number: int) -> None:
        asked.append(number)
        if asked == [0, 1]:
            raise KeyboardInterrupt
        plain(self, sql, target, number)

    monkeypatch.setattr(FingerprintColumnsOperator, "_remember", second_fails)
    with pytest.raises(KeyboardInterrupt):
        database.remember(rules, connections=1)
    database.remember(rules, connections=1)
    assert asked == [0, 1, 1, 2]
    folder("t: {a: {mask: script}}")  # the files of a later version do not change what is proven
    with pytest.raises(VerificationError, match=r"app\.t\.a \(1 of 1\), app\.t\.b \(1 of 1\), app\.t\.c \(1 of 1\)"):
        database.prove()
