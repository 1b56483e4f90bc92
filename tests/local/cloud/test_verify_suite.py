"""Verification suites on a real server: what is right passes, and whatever is wrong is named, of every kind."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aurora_ops.core.errors import ConfigError, VerificationError
from aurora_ops.operators.baseline import TakeBaselineOperator
from aurora_ops.operators.users import SetUsersOperator
from aurora_ops.operators.verify import VerifyDatabaseOperator
from aurora_ops.operators.verify_suite import SUMMARY_KEY, VerifySuiteOperator

from localcloud.mariadb.engine import Engine
from localcloud.seed import shop
from tests.local.cloud.databases import REPOSITORY, free_port, rows
from tests.local.cloud.masking import serve
from tests.local.cloud.servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "127.0.3.82"
PORT = free_port()
SHOP = REPOSITORY / "include/sql/validation/shop.yaml"
REPORTS: dict[str, Any] = {"environment": "restore", "report_bucket": "reports"}
APP = {"username": "shop_app", "secret": "app", "as_in_secret": True, "writes": True}
READER = {"username": "shop_readonly", "secret": "readonly", "as_in_secret": True}
USERS = [
    {**APP, "grants": ["SELECT, INSERT, UPDATE, DELETE ON shop.*", "EXECUTE ON PROCEDURE shop.place_order"]},
    {**READER, "grants": ["SELECT, SHOW VIEW ON shop.*"]},
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=PORT)
    engine.create("shop")
    engine.start("shop")
    with engine.admin("shop") as connection:
        shop.seed_production(connection, rows=3_000, passwords={"shop_app": "a", "shop_readonly": "b"})
    engine.snapshot("shop", "seeded")
    engine.stop("shop")
    yield engine
    engine.close()


@pytest.fixture
def server(engine: Engine, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Server]:
    """A shop as it was restored, its users' passwords in their secrets."""
    key = request.node.name
    engine.restore("seeded", key)
    login = serve(engine, key, ADDRESS, PORT)
    with engine.admin(key) as sql:
        found = Server(sql, login, monkeypatch)
        found.secrets.current = {
            "app": {"username": "shop_app", "password": "a"},
            "readonly": {"username": "shop_readonly", "password": "b"},
        }
        yield found
    engine.delete(key)


@pytest.fixture
def baseline(server: Server) -> str:
    """What the shop looked like before anything was wrong."""
    return str(server.run(TakeBaselineOperator, suite=str(SHOP), **REPORTS)["uri"])


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Write a suite, and a query of the shop beside it."""

    def write(query: str | None = None, **suite: Any) -> Path:
        (tmp_path / "shop").mkdir(exist_ok=True)
        (tmp_path / "shop" / "010_query.sql").write_text(query or "SELECT 'a query', 1, 'one row'")
        path = tmp_path / "suite.yaml"
        path.write_text(yaml.safe_dump({"schemas": ["shop"], **suite}))
        return path

    return write


def verify(server: Server, suite: Path = SHOP, **given: Any) -> dict[str, Any]:
    found: dict[str, Any] = server.run(VerifySuiteOperator, **{"suite": str(suite), "users": [], **REPORTS, **given})
    return found


def failed(server: Server, suite: Path = SHOP, **given: Any) -> dict[str, str]:
    """Verify, which must fail: what failed, by name, as the error and the report say."""
    with pytest.raises(VerificationError) as raised:
        verify(server, suite, **given)
    summary = server.context["ti"].xcoms[server.context["ti"].task_id, SUMMARY_KEY]
    report = written(server)
    found = {each["name"]: each["detail"] for each in report["findings"] if not each["passed"]}
    assert report["failed"] == summary["failed"] == len(found)
    assert summary["report_uri"] in str(raised.value)
    for name, detail in found.items():
        assert f"{name}: {detail}" in str(raised.value)
    return found


def written(server: Server, kind: str = "json") -> Any:
    """The report."""
    [body] = [body for key, body in server.bucket.objects.items() if key.endswith(f"verification-app-t.{kind}")]
    return json.loads(body) if kind == "json" else body.decode()


def test_the_shop_passes(server: Server, baseline: str) -> None:
    set_users(server, *USERS)
    result = verify(server, users=USERS, baseline=baseline)
    report = written(server)
    assert {name: result[name] for name in ("failed", "tables", "rows")} == {"failed": 0, "tables": 12, "rows": 3000}
    assert result["checks"] == len(report["findings"]) > 60
    assert result["report_uri"].startswith("s3://reports/aurora-ops/restore/")
    kinds = {each["kind"] for each in report["findings"]}
    assert kinds == {"tls", "tables", "rows", "freshness", "checksum", "foreign key", "query", "user"}


def set_users(server: Server, *users: dict[str, Any], exact: bool = True) -> None:
    server.run(SetUsersOperator, users=list(users), run_key="k", serving_id="s", serving_host="h", exact=exact)


def test_report_says_who_checked_what_and_no_value(server: Server, baseline: str) -> None:
    server.does("UPDATE shop.products SET name = 'a secret name' WHERE id = 1")
    set_users(server, *USERS)
    failed(server, users=USERS, baseline=baseline)
    report, page = written(server), written(server, "html")
    assert (report["suite"], report["environment"], report["outcome"]) == ("shop", "restore", "failed")
    assert (report["run"], report["baseline"]) == ("refresh_staging/manual__1", baseline)
    assert report["row_counts"]["shop.orders"] == 540
    assert server.task.links["Report"].startswith("https://")
    for said in ("Verification of app", "1 of ", "checksum of shop.products", "shop.order_items", "1,080"):
        assert said in page
    everything = page + json.dumps(report) + json.dumps(list(server.context["ti"].xcoms.values()))
    assert "a secret name" not in everything
    # more than a hundred values of the shop, and the passwords
    emails = [email for (email,) in rows(server.sql, "SELECT email FROM shop.customers")]
    assert not [value for value in [*emails, "'a'", "'b'"] if value in everything]


def test_baseline_is_small_and_only_counts(server: Server, baseline: str) -> None:
    body = server.bucket.objects[baseline]
    known = json.loads(body)
    assert baseline.startswith("s3://reports/aurora-ops/restore/2026/07/01/manual__1/")
    assert len(body) < 2_000
    assert known["tables"]["shop.orders"] == {"rows": 540}
    assert known["tables"]["shop.products"]["columns"] == ["id", "sku", "name", "price_cents", "attributes"]
    again = server.run(TakeBaselineOperator, suite=str(SHOP), **REPORTS)
    assert json.loads(server.bucket.objects[again["uri"]])["tables"] == known["tables"]
    assert {name: again[name] for name in ("tables", "rows", "checksums")} == {
        "tables": 12,
        "rows": 3000,
        "checksums": 2,
    }


def test_a_baseline_may_be_a_file(server: Server, baseline: str, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(server.bucket.objects[baseline])
    verify(server, baseline=str(path))
    with pytest.raises(ConfigError, match="write s3://bucket/key, or the path of a file"):
        verify(server, baseline=str(tmp_path / "none.json"))
    path.write_text('{"cluster_id": "x", "taken_at": "now", "tables": {}}')
    with pytest.raises(ConfigError, match=r"taken_at: .*tables: .*take it anew"):
        verify(server, baseline=str(path))
    with pytest.raises(ConfigError, match="the suite compares checksums: give a baseline"):
        verify(server)


WRONG = [
    ("DROP TABLE shop.newsletter", {"rows of shop.newsletter": "expected 60, found None"}),
    ("CREATE TABLE shop.more (n INT)", {"rows of shop.more": "expected None, found 0"}),
    ("DELETE FROM shop.payment_methods LIMIT 14", {"rows of shop.payment_methods": "expected 270, found 256"}),
    ("UPDATE shop.products SET price_cents = price_cents + 1 WHERE id = 7",
     {"checksum of shop.products": "30 rows, 30 in the baseline: content differs"}),
    ("ALTER TABLE shop.api_endpoints ADD owner INT, DROP timeout_ms",
     {"checksum of shop.api_endpoints": "columns differ: owner, timeout_ms"}),
    ("UPDATE shop.orders SET created_at = created_at - INTERVAL 30 HOUR",
     {"newest shop.orders.created_at": "30.0 h old, 24 h at most"}),
    ("SET foreign_key_checks = 0; UPDATE shop.addresses SET customer_id = 1000000 + id LIMIT 3",
     {"foreign key shop.fk_addresses_customer of addresses": "3 rows without shop.customers",
      "foreign key addresses.customer_id": "3 rows without customers"}),
    ("UPDATE shop.orders SET total_cents = total_cents + 1 WHERE id IN (1, 3)",
     {"order totals": "2 orders differ from their items"}),
    ("DROP PROCEDURE shop.place_order", {
        "shop_app has the rights that are asked for": "lacks EXECUTE ON PROCEDURE shop.place_order",
        "procedure place_order": "is missing",
    }),
    ("SET foreign_key_checks = 0; DROP TABLE shop.products", {
        "table shop.products": "is missing",
        "rows of shop.products": "expected 30, found None",
        "foreign key shop.fk_order_items_product of order_items": "table shop.products is missing",
        "table products": "is missing",
    }),
    ("ALTER USER shop_readonly ACCOUNT LOCK", {"login shop_readonly": "refused"}),
    ("ALTER USER shop_app IDENTIFIED BY 'other'", {"login shop_app": "refused"}),
    ("REVOKE DELETE ON shop.* FROM shop_app",
     {"shop_app has the rights that are asked for": "lacks DELETE ON shop.*",
      "shop_app may DELETE": "refused on 12 of 12: "}),
    ("REVOKE EXECUTE ON PROCEDURE shop.place_order FROM shop_app",
     {"shop_app has the rights that are asked for": "lacks EXECUTE ON PROCEDURE shop.place_order",
      "shop_app may EXECUTE": "refused on 1 of 1: shop.place_order"}),
    ("GRANT INSERT ON shop.feature_flags TO shop_readonly",
     {"shop_readonly has no write privilege": "INSERT",
      "shop_readonly cannot INSERT": "let on 1 of 12: shop.feature_flags"}),
    ("GRANT UPDATE (name) ON shop.products TO shop_readonly", {"shop_readonly has no write privilege": "UPDATE"}),
    ("GRANT SELECT ON mysql.* TO shop_app", {"shop_app cannot read accounts": "it can"}),
    ("GRANT CREATE TEMPORARY TABLES ON *.* TO shop_readonly", {"shop_readonly cannot write": "it can"}),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=[list(said)[-1] for _, said in WRONG])
def test_what_is_wrong_is_named_and_nothing_else(
    server: Server, baseline: str, wrong: str, said: dict[str, str]
) -> None:
    set_users(server, *USERS)
    server.does(*wrong.split("; "))
    found = failed(server, users=USERS, baseline=baseline)
    extra = {
        name
        for name in set(found) - set(said)
        if not name.startswith(("shop/", "table ", "customers", "order", "view "))
    }
    assert extra == set()
    for name, detail in said.items():
        assert found[name].startswith(detail)


def test_zero_tables_fail(server: Server, write: Any) -> None:
    server.does("DROP DATABASE shop", "CREATE DATABASE shop")
    found = failed(server, write(foreign_keys=False))
    assert found == {"tables of shop": "there are none"}
    with pytest.raises(VerificationError, match="app has no table in shop: that is no baseline"):
        server.run(TakeBaselineOperator, suite=str(SHOP), **REPORTS)
    server.does("DROP DATABASE shop")
    found = failed(server, write(foreign_keys=False))
    assert found["tables of shop"] == "there are none"
    assert "Unknown database" in found["shop/010_query.sql"]


def test_nothing_checked_is_no_success(server: Server, write: Any) -> None:
    server.does("DROP DATABASE shop", "CREATE DATABASE shop", "CREATE TABLE shop.a (n INT, born DATE)")
    assert failed(server, write()) == {
        "foreign keys": "there are none, so nothing was checked; say foreign_keys: false"
    }
    suite = {
        "foreign_keys": False,
        "freshness": [{"column": f"shop.a.{name}", "max_age_h": 1} for name in ("born", "n", "x")],
    }
    assert failed(server, write(**suite)) == {
        "newest shop.a.born": "there is no value",
        "newest shop.a.n": "its type is int; name one of date, datetime or timestamp",
        "newest shop.a.x": "there is no such column; name one of date, datetime or timestamp",
    }
    assert failed(server, write("SELECT 1, 1, 1 FROM shop.a", foreign_keys=False)) == {
        "shop/010_query.sql": "the query returned no row: nothing was checked"
    }
    assert (
        "doesn't exist"
        in failed(server, write("SELECT 1, 1, 1 FROM shop.none", foreign_keys=False))["shop/010_query.sql"]
    )
    with pytest.raises(ConfigError, match="a row has three columns"):
        verify(server, write("SELECT 1", foreign_keys=False))


def test_rows_are_compared_as_the_suite_says(server: Server, write: Any) -> None:
    limits = {"tolerance_percent": 5, "tables": {"shop.sessions": 50}, "ignore": ["shop.newsletter"]}
    suite = write(rows={**limits, "minimum": {"shop.orders": 541}}, checksums=["shop.feature_flags", "shop.products"])
    baseline = server.run(TakeBaselineOperator, suite=str(write(rows=limits, checksums=["shop.products"])), **REPORTS)[
        "uri"
    ]
    server.does(
        "DELETE FROM shop.sessions LIMIT 114", "DROP TABLE shop.newsletter", "DELETE FROM shop.payment_methods LIMIT 13"
    )
    suite = write(rows={**limits, "minimum": {"shop.orders": 541}}, checksums=["shop.feature_flags", "shop.products"])
    assert failed(server, suite, baseline=baseline) == {
        "least rows of shop.orders": "540 rows, 541 at least",
        "checksum of shop.feature_flags": "the baseline has none: take it anew with this suite",
    }


def test_freshness_counts_from_the_snapshot(server: Server, write: Any) -> None:
    suite = write(
        "SELECT 'moment', @moment > UTC_TIMESTAMP() + INTERVAL 47 HOUR, 'of the snapshot'",
        freshness=[{"column": "shop.orders.created_at", "max_age_h": 24}],
    )
    later = datetime.now(UTC) + timedelta(hours=48)
    found = failed(server, suite, moment=later.isoformat())
    assert list(found) == ["newest shop.orders.created_at"]
    assert found["newest shop.orders.created_at"].startswith("48.0 h old")
    server.does("UPDATE shop.orders SET created_at = created_at + INTERVAL 48 HOUR ORDER BY id DESC LIMIT 1")
    verify(server, suite, moment=later.replace(tzinfo=None).isoformat())
    with pytest.raises(ConfigError, match="moment: 'yesterday' is not allowed; write ISO 8601"):
        verify(server, suite, moment="yesterday")


def test_foreign_keys_of_every_form(server: Server, write: Any) -> None:
    server.does(
        "CREATE DATABASE other",
        "CREATE TABLE other.`par``ent` (a INT, `b c` INT, PRIMARY KEY (a, `b c`))",
        "CREATE TABLE shop.child (id INT PRIMARY KEY, x INT, `y``` INT, up INT, "
        "CONSTRAINT `two columns` FOREIGN KEY (x, `y```) REFERENCES other.`par``ent` (a, `b c`), "
        "CONSTRAINT self FOREIGN KEY (up) REFERENCES shop.child (id))",
        "INSERT INTO other.`par``ent` VALUES (1, 1)",
        "INSERT INTO shop.child VALUES (1, 1, 1, NULL), (2, NULL, 5, 1), (3, 9, NULL, 2)",
    )
    verify(server, write())
    server.does("SET foreign_key_checks = 0", "INSERT INTO shop.child VALUES (4, 1, 2, 4), (5, 1, 1, 77)")
    assert failed(server, write()) == {
        "foreign key shop.two columns of child": "1 rows without other.par`ent",
        "foreign key shop.self of child": "1 rows without shop.child",
    }
    assert list(failed(server, write(ignore_foreign_keys=["shop.self"]))) == ["foreign key shop.two columns of child"]


def test_exact_grants_are_tried_on_every_table(server: Server, write: Any) -> None:
    suite = write(exact_grants=True, foreign_keys=False)
    user = {**APP, "grants": ["SELECT (id, email), UPDATE (email) ON shop.customers", "SELECT ON shop.products"]}
    set_users(server, user)
    verify(server, suite, users=[user])
    found = {each["name"]: each["detail"] for each in written(server)["findings"]}
    assert found["shop_app cannot SELECT elsewhere"] == "tried on 21"  # ten columns, ten tables, a view
    assert found["shop_app cannot INSERT"] == "tried on 12"
    assert found["shop_app cannot EXECUTE"] == "tried on 1"
    server.does(
        "GRANT SELECT (notes) ON shop.customers TO shop_app",
        "GRANT DELETE ON shop.sessions TO shop_app",
        "GRANT EXECUTE ON shop.* TO shop_app",
    )
    assert failed(server, suite, users=[user]) == {
        "shop_app has no other right": "has EXECUTE ON shop.*, SELECT (notes) ON shop.customers, DELETE ON shop.sessions",
        "shop_app cannot SELECT elsewhere": "let on 1 of 21: shop.customers.notes",
        "shop_app cannot DELETE": "let on 1 of 12: shop.sessions",
        "shop_app cannot EXECUTE": "let on 1 of 1: shop.place_order",
    }
    verify(server, write(foreign_keys=False), users=[user])


def test_what_users_try_changes_nothing(server: Server, write: Any, baseline: str) -> None:
    server.does(
        "CREATE TABLE shop.tried (n INT)",
        "CREATE PROCEDURE shop.touch() INSERT INTO shop.tried VALUES (1)",
        "CREATE FUNCTION shop.touched() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO shop.tried VALUES (2); RETURN 1; END",
        "CREATE TRIGGER shop.on_insert AFTER INSERT ON shop.products FOR EACH ROW INSERT INTO shop.tried VALUES (3)",
        "CREATE TRIGGER shop.on_update AFTER UPDATE ON shop.products FOR EACH ROW INSERT INTO shop.tried VALUES (4)",
        "CREATE TRIGGER shop.on_delete AFTER DELETE ON shop.products FOR EACH ROW INSERT INTO shop.tried VALUES (5)",
    )
    user = {**APP, "grants": ["SELECT, INSERT, UPDATE, DELETE, EXECUTE ON shop.*"]}
    set_users(server, user)
    verify(server, write(foreign_keys=False, exact_grants=True), users=[user])
    assert rows(server.sql, "SELECT * FROM shop.tried") == []
    server.does("DROP TABLE shop.tried")
    verify(server, write(foreign_keys=False, checksums=["shop.products"]), baseline=baseline)


def test_a_refresh_verifies_its_users_as_they_came(server: Server) -> None:
    users = [APP, READER]  # nothing says what they may: what they could in production
    given: dict[str, Any] = {"users": users, "folders": [str(SHOP.parent / "shop")]}
    result = server.run(VerifyDatabaseOperator, **given)
    assert (result["tables"], result["rows"]) == (12, 3000)
    server.does("GRANT DELETE ON shop.sessions TO shop_readonly")
    with pytest.raises(
        VerificationError, match=r"2 of \d+ .*privilege: DELETE; shop_readonly cannot DELETE: let on 1 of 12"
    ):
        server.run(VerifyDatabaseOperator, **given)
    server.does("REVOKE DELETE ON shop.sessions FROM shop_readonly", "DROP TRIGGER shop.customers_after_update")
    with pytest.raises(VerificationError, match=r"1 of .*trigger customers_after_update: is missing"):
        server.run(VerifyDatabaseOperator, **given)


@pytest.mark.parametrize("secret", ["two", "own"])
def test_a_reader_truly_cannot_write(server: Server, write: Any, secret: str) -> None:
    server.secrets.current["two"] = {
        "app_username": "shop_app", "app_password": "x", "readonly_username": "shop_readonly", "readonly_password": "y",
    }  # fmt: skip
    users: list[dict[str, Any]] = USERS
    if secret == "two":
        users = [
            {"secret": "two", "role": role, "grants": user["grants"]}
            for role, user in zip(("app", "readonly"), USERS, strict=True)
        ]
    set_users(server, *users)
    verify(server, write(exact_grants=True), users=users)
    server.does("GRANT SELECT, INSERT ON shop.* TO shop_readonly")
    assert failed(server, write(), users=users) == {
        "shop_readonly has no write privilege": "INSERT",
        "shop_readonly cannot INSERT": "let on 12 of 12: shop.addresses, shop.api_endpoints, shop.audit_empty, "
        "shop.customers, shop.email_changes, shop.feature_flags, shop.newsletter, shop.order_items, shop.orders, "
        "shop.payment_methods, shop.products, shop.sessions",
    }
