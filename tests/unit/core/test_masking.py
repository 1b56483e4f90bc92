"""Masking: the salt, which columns are sensitive, the SQL of the proof."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from aurora_ops.core import masking
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.tables import Column, Table

EMAIL = Column(Table("shop", "customers"), "email")


def test_salt_is_the_same_on_every_try_and_another_for_every_run_and_password() -> None:
    salt = masking.salt("password", "dag/run")
    assert re.fullmatch("[0-9a-f]{64}", salt)
    assert masking.salt("password", "dag/run") == salt
    assert len({salt, masking.salt("password", "dag/run2"), masking.salt("password2", "dag/run")}) == 3
    assert "password" not in salt


def folder(tmp_path: Path, columns: str | None, *scripts: str) -> Path:
    where = tmp_path / "masking" / "shop"
    where.mkdir(parents=True)
    if columns is not None:
        (where / "columns.yaml").write_text(columns, encoding="utf-8")
    for script in scripts:
        (where / script).write_text("SELECT 1;", encoding="utf-8")
    return where


def test_declared_columns_keep_their_order(tmp_path: Path) -> None:
    where = folder(tmp_path, "customers: [email, phone]\naddresses: [street]\n")
    assert [str(c) for c in masking.declared_columns(where)] == [
        "shop.customers.email",
        "shop.customers.phone",
        "shop.addresses.street",
    ]


@pytest.mark.parametrize(
    ("content", "field", "allowed"),
    [
        (None, "masking/shop/columns.yaml", "write columns.yaml"),
        ("", "masking/shop/columns.yaml", "table -> list"),
        ("[a]", "masking/shop/columns.yaml", "table -> list"),
        ("{}", "masking/shop/columns.yaml", "table -> list"),
        ("customers:", "masking/shop/columns.yaml:customers", "list of columns"),
        ("customers: email", "masking/shop/columns.yaml:customers", "list of columns"),
        ("customers: []", "masking/shop/columns.yaml:customers", "list of columns"),
        ("customers: [e-mail]", "masking/shop/columns.yaml", "schema.table.column"),
        ("cust.omers: [email]", "masking/shop/columns.yaml", "schema.table.column"),
        ("customers: [null]\nx: [a b]", "masking/shop/columns.yaml", "schema.table.column"),
    ],
)
def test_wrong_columns_file_is_refused(tmp_path: Path, content, field, allowed) -> None:
    with pytest.raises(ConfigError) as raised:
        masking.declared_columns(folder(tmp_path, content))
    assert raised.value.field == field
    assert allowed in raised.value.allowed


def test_scripts_run_by_name(tmp_path: Path) -> None:
    where = folder(tmp_path, None, "020_b.sql", "010_a.sql", "100_c.sql", "notes.txt")
    assert [path.name for path in masking.scripts(where)] == ["010_a.sql", "020_b.sql", "100_c.sql"]


def test_folder_without_scripts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"masking/shop.*at least one \.sql"):
        masking.scripts(folder(tmp_path, None))


def test_digest_is_salted_binary_and_null_for_null() -> None:
    sql = masking.digest_sql("`email`")
    assert sql.startswith("UNHEX(LEFT(SHA2(CONCAT(@mask_salt, CAST(`email` AS CHAR")
    assert "COALESCE" not in sql
    assert sql.endswith(", 256), 32))")


def test_fingerprint_can_be_run_again_and_leaves_out_what_says_nothing() -> None:
    drop, create, insert = masking.fingerprint_sql(EMAIL, 7)
    table = "`aurora_ops_scratch`.`original_0007`"
    assert drop == f"DROP TABLE IF EXISTS {table}"
    assert create.startswith(f"CREATE TABLE {table} ")
    assert insert.startswith(f"INSERT INTO {table} SELECT DISTINCT ")
    assert "`shop`.`customers`" in insert
    assert "`email` IS NOT NULL" in insert
    assert "<> ''" in insert


def test_survivors_are_looked_for_in_the_same_table_with_the_same_digest() -> None:
    sql = masking.survivors_sql(EMAIL, 7)
    assert "`aurora_ops_scratch`.`original_0007`" in sql
    assert masking.digest_sql("`email`") in sql
    assert "`shop`.`customers`" in sql
    assert "USING (digest)" in sql


def test_names_are_quoted_wherever_they_stand() -> None:
    evil = Column(Table("s`x", "t`y"), "c`z")
    for sql in (*masking.fingerprint_sql(evil, 1), masking.survivors_sql(evil, 1)):
        outside = re.sub(r"`(?:[^`]|``)*`", "", sql)
        assert "`" not in outside
        assert "x`" not in outside


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
def test_redaction(code, text, leak) -> None:
    assert leak not in described(pymysql.err.DatabaseError(code, text))


# --- 2. a connection lost within a transaction becomes permanent (hooks/mysql.py, transaction)


def test_lost_connection_in_a_transaction_is_transient(server) -> None:
    def gone():
        raise pymysql.err.InterfaceError(0, "")

    with pytest.raises(AuroraOpsError) as raised, MySqlHook(LOGIN) as sql, sql.transaction():
        server.connection.rollback = gone  # as pymysql does once the socket is closed
        server.connection.error = pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query")
        sql.run("UPDATE customers")
    assert isinstance(raised.value, TransientError), traceback.format_exception_only(raised.value)


def test_lost_connection_at_the_ping_is_ours(server, monkeypatch) -> None:
    def gone(reconnect):
        raise pymysql.err.OperationalError(2013, "Lost connection")

    monkeypatch.setattr(server.connection, "ping", gone, raising=False)
    with pytest.raises(TransientError), MySqlHook(LOGIN):
        pass


# --- 3. look() lets raw botocore errors through: the trigger dies instead of sending "failed"


def test_look_translates_every_botocore_error(aws_session, monkeypatch) -> None:
    hook = RdsHook("aws_destination", "eu-west-1")

    def refused(*_, **__):
        raise NoCredentialsError

    monkeypatch.setattr(hook.conn, "_make_api_call", refused)
    with pytest.raises(PermanentError):
        hook.look(Wait("cluster_available", {"DBClusterIdentifier": "app"}))


# --- 4. a wrong environment file takes the others' DAGs away


@pytest.fixture
def config(monkeypatch, tmp_path):
    (tmp_path / "sql").mkdir()
    (tmp_path / "config").mkdir()
    monkeypatch.setenv("AURORA_OPS_INCLUDE", str(tmp_path))
    (tmp_path / "config" / "staging.yaml").write_text(yaml.safe_dump(samples.raw()))
    return tmp_path / "config"


@pytest.mark.parametrize(
    "content",
    [b"environment: caf\xe9\n", b"environment: a\nschedule: 2026-13-45\n"],
    ids=["not UTF-8", "impossible date"],
)
def test_unreadable_file_is_refused_alone(config, content) -> None:
    (config / "a.yaml").write_bytes(content)
    broken, staging = configured()
    assert broken.settings is None
    assert staging.settings is not None


def test_dangling_link_is_refused_alone(config) -> None:
    (config / ".#staging.yaml").symlink_to("nobody@nowhere.1")  # Emacs, while the file is being edited
    assert "staging" in {environment.name for environment in configured() if environment.settings}


@pytest.mark.parametrize("zone", ["Europe", "America"])
def test_folder_of_zones_is_no_zone(zone) -> None:
    with pytest.raises(ConfigError, match="IANA"):
        environments.resolve(samples.raw({"timezone": zone}))


@pytest.mark.parametrize("name", ["staging (1)", "staging copy", "stagé"])
def test_file_name_that_makes_no_dag_id_is_refused_alone(config, name) -> None:
    (config / f"{name}.yaml").write_text("environment: x")
    bag = read_dags()
    assert bag.import_errors == {}
    assert "refresh_staging" in bag.dags


# --- 5. identifiers that AWS refuses pass the settings


@pytest.mark.parametrize("name", ["staging--shop", "staging-"])
def test_illegal_identifier_is_refused(name) -> None:
    changes = {"target.cluster": name, "safety.allowed_clusters": [name]}
    with pytest.raises(PermanentError):
        environments.resolve(samples.raw(changes))


def test_serverless_range_is_a_range() -> None:
    instances = {"class": "db.serverless", "serverless": {"min_acu": 8, "max_acu": 2}}
    with pytest.raises(ConfigError):
        environments.resolve(samples.raw({"target.instances": instances}))


# --- 6. columns.yaml


@pytest.mark.parametrize(
    "content", ["customers: [email", "customers: [email]\ncustomers: [phone]\n"], ids=["no YAML", "table twice"]
)
def test_wrong_columns_file_is_a_config_error(tmp_path, content) -> None:
    (tmp_path / "columns.yaml").write_text(content)
    with pytest.raises(ConfigError):
        masking.declared_columns(tmp_path)
