"""Operators that speak SQL, against a server that answers by table: what they send, what they refuse, what they show."""

from __future__ import annotations

import json
import re

import pymysql
import pytest
from aurora_ops.core.errors import ConfigError, MissingError, PermanentError, SafetyError, StateError, VerificationError
from aurora_ops.hooks import mysql
from aurora_ops.operators.mask_tables import MaskDatabaseOperator
from aurora_ops.operators.masking import FingerprintColumnsOperator, ProveMaskOperator
from aurora_ops.operators.scan import ScanColumnsOperator
from aurora_ops.operators.tables import DeleteObjectsOperator, DumpTablesOperator, LoadTablesOperator
from aurora_ops.operators.users import SetUsersOperator
from aurora_ops.operators.verify import VerifyDatabaseOperator, VerifyServingOperator

from tests.unit.operators.driver import context, drive

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1", "cluster_id": "app"}
COLUMN = "shop.customers.email"


class Server:
    """Answers statements by the first pattern that fits; remembers them; knows who may log in."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, object]] = []
        self.said: list[str] = []
        self.passwords: dict[str, set[str]] = {}

    def answer(self, pattern: str, answer: object) -> None:
        """Rows for a statement, or an error; the last one told is asked first."""
        self.answers.insert(0, (pattern, answer))

    def connect(self, user, password, **_):
        if user in self.passwords and password.decode() not in self.passwords[user]:
            raise pymysql.err.OperationalError(1045, f"Access denied for user '{user}'")
        return Connection(self)

    def saw(self, pattern: str) -> list[str]:
        return [statement for statement in self.said if re.search(pattern, statement)]


class Connection:
    """One connection to the server."""

    def __init__(self, server: Server) -> None:
        self.server, self.found = server, ()

    def cursor(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def execute(self, sql, args=None):
        self.server.said.append(sql if args is None else sql % tuple(f"<{arg}>" for arg in args))
        for pattern, answer in self.server.answers:
            if re.search(pattern, self.server.said[-1], re.S):
                if isinstance(answer, Exception):
                    raise answer
                self.found = answer
                return len(answer)
        self.found = ()
        return 0

    def executemany(self, sql, rows):
        self.server.said.append(f"{sql} x {len(rows)}")

    def fetchall(self):
        return self.found

    def literal(self, value):
        return pymysql.converters.escape_item(value, "utf8mb4")

    def ping(self, reconnect):
        """Answer."""

    def close(self):
        """End."""

    def begin(self):
        self.server.said.append("BEGIN")

    def commit(self):
        self.server.said.append("COMMIT")

    def rollback(self):
        self.server.said.append("ROLLBACK")


@pytest.fixture
def server(rds, aws_session, calls, monkeypatch) -> Server:
    """A cluster with a managed master secret, and the server behind it."""
    server = Server()
    server.answer(r"information_schema\.TABLES", (("shop", "customers"),))
    server.answer(r"COLUMN_NAME FROM information_schema\.COLUMNS", (("email",),))
    server.answer(r"COUNT\(\*\)|SUM\(", ((3,),))
    server.answer(r"t\.TABLE_TYPE, c\.COLUMN_NAME|information_schema\.ROUTINES", ())
    monkeypatch.setattr(mysql.pymysql, "connect", server.connect)
    secrets = aws_session.client("secretsmanager")
    for name in ("master", "staging/app"):
        secrets.create_secret(Name=name, SecretString=json.dumps({"username": "admin", "password": "hunter2", "x": 1}))
    rds.cluster("app", instances=1, MasterUserSecret={"SecretArn": "master", "SecretStatus": "active"})
    calls.clear()
    return server


@pytest.fixture
def folder(tmp_path):
    """Two scripts, three statements."""
    where = tmp_path / "shop"
    where.mkdir()
    (where / "010_a.sql").write_text("UPDATE one SET a = 1;\nUPDATE two SET a = 1;\n")
    (where / "020_b.sql").write_text("-- last\nUPDATE three SET a = 1;\n")
    (where / "columns.yaml").write_text("customers: {email: {mask: script}}\n")
    return str(where)


def maker(kind, **given):
    return lambda: kind(task_id="t", **{**AT, **given})


class TestCluster:
    """Where SQL is run."""

    fingerprint = staticmethod(maker(FingerprintColumnsOperator, run_key="k", folders=[], columns=[COLUMN]))

    @pytest.mark.parametrize("status", ["creating", "stopped", "renaming"])
    def test_must_be_available(self, rds, server, status) -> None:
        rds.clusters["app"]["Status"] = status
        with pytest.raises(StateError, match=f"app is {status}"):
            drive(self.fingerprint)
        assert server.said == []

    def test_must_exist(self, rds, server) -> None:
        rds.clusters.clear()
        with pytest.raises(MissingError):
            drive(self.fingerprint)

    def test_must_have_a_secret(self, rds, server) -> None:
        rds.clusters["app"].pop("MasterUserSecret")
        with pytest.raises(MissingError, match="no managed master secret"):
            drive(self.fingerprint)

    @pytest.mark.parametrize(
        "operator",
        [
            maker(FingerprintColumnsOperator, run_key="k", folders=[], columns=[COLUMN]),
            maker(MaskDatabaseOperator, run_key="k", folders=["x"]),
            maker(ProveMaskOperator, run_key="k"),
            maker(LoadTablesOperator, objects={"shop.a": "k"}, bucket="bucket"),
            maker(SetUsersOperator, users=[], run_key="k", serving_id="s", serving_host="h"),
            maker(VerifyDatabaseOperator, folders=[], users=[]),
            maker(ScanColumnsOperator, folders=[], columns=[], keep_tables=[], scan={}),
        ],
        ids=["fingerprint", "mask", "prove", "load", "users", "verify", "scan"],
    )
    def test_that_is_not_tagged_is_not_written_to(self, rds, server, operator) -> None:
        rds.clusters["app"]["TagList"] = []
        with pytest.raises(SafetyError):
            drive(operator)
        assert server.said == []

    def test_of_wrong_password_is_said_without_it(self, server) -> None:
        server.passwords["admin"] = {"other"}
        with pytest.raises(
            PermanentError, match=r"connecting as admin@app\.cluster-x\.rds:3306: MySQL error 1045"
        ) as raised:
            drive(self.fingerprint)
        assert "hunter2" not in str(raised.value)


class TestFingerprint:
    """Originals remembered as digests."""

    TARGET = (COLUMN, "shop", "customers", "`email`", "SHA2(`email`)", "values")

    @pytest.fixture(autouse=True)
    def described(self, server) -> None:
        server.answer("c.DATA_TYPE", (("shop", "customers", "email", "varchar", 190, "varchar(190)"),))
        server.answer("TABLE_ROWS", (("shop", "customers", 3),))
        server.answer("@@log_bin", ((0, "ROW"),))
        server.answer("SELECT label, table_schema", (self.TARGET,))

    def run(self, columns=(COLUMN,), ctx=None):
        return drive(maker(FingerprintColumnsOperator, run_key="k", folders=[], columns=list(columns)), ctx)

    def test_each_column_is_noted_and_remembered_once(self, server, calls) -> None:
        assert self.run() == {"columns": 1, "tables": 1, "rows": 3}
        assert len(server.saw("INSERT INTO .*proof_targets")) == 1
        assert len(server.saw("INSERT INTO .*original_00000")) == 1
        assert server.saw(r"progress .*<original:00000>")
        assert set(calls) <= set(FingerprintColumnsOperator.permissions)

    def test_what_an_earlier_try_has_done_is_not_done_again(self, server) -> None:
        server.answer("SELECT step FROM", (("targets",), ("original:00000",), ("row_counts",)))
        self.run()
        assert server.saw("DROP TABLE|CREATE TABLE .*original|INSERT INTO .*proof_targets") == []

    def test_missing_columns_are_all_named(self, server) -> None:
        with pytest.raises(PermanentError) as raised:
            self.run(["shop.customers.mail", "shop.customers.fax"])
        assert "shop.customers.mail" in str(raised.value)
        assert "shop.customers.fax" in str(raised.value)
        assert "['email']" in str(raised.value)

    def test_empty_cluster_is_no_success(self, server) -> None:
        server.answer(r"TABLE_NAME FROM information_schema\.TABLES", ())
        with pytest.raises(VerificationError, match="has no tables"):
            self.run()

    def test_password_is_sent_nowhere(self, server) -> None:
        ctx = context()
        self.run(ctx=ctx)
        assert "hunter2" not in "".join(server.said) + json.dumps(list(ctx["ti"].xcoms.values()))


class TestMask:
    """Each statement once."""

    @pytest.fixture(autouse=True)
    def described(self, server) -> None:
        server.answer("SELECT 1 FROM", ())
        server.answer("TABLE_TYPE, ENGINE", (("customers", "BASE TABLE", "InnoDB", 3, 1, 1),))
        server.answer(
            "COLUMN_TYPE", (("customers", "email", "varchar", "varchar(190)", 190, None, None, "NO", "", ""),)
        )

    def run(self, folder):
        return drive(maker(MaskDatabaseOperator, run_key="k", folders=[folder]))

    def test_all_in_order_each_with_its_note_in_one_transaction(self, server, folder) -> None:
        assert self.run(folder) == {"tables": {"skip": 1}, "rows": 0, "statements": 3, "skipped": 0}
        work = [said for said in server.said if re.search("UPDATE|progress .*VALUES|BEGIN|COMMIT", said)]
        assert [re.sub(r"INSERT.*<(.*)>.*", r"note \1", said) for said in work] == [
            "BEGIN", "UPDATE one SET a = 1", "note shop/010_a.sql:1", "COMMIT",
            "BEGIN", "UPDATE two SET a = 1", "note shop/010_a.sql:2", "COMMIT",
            "BEGIN", "UPDATE three SET a = 1", "note shop/020_b.sql:2", "COMMIT",
        ]  # fmt: skip
        assert server.said.index("USE `shop`") < server.said.index("BEGIN")
        assert server.said[0].startswith("SET @mask_salt = <")

    def test_shared_salt_keys_the_fakes_and_is_not_shown(self, server, folder, aws_session) -> None:
        secrets = aws_session.client("secretsmanager")
        secrets.create_secret(Name="salts/all", SecretString=json.dumps({"salt": "sixteen characters"}))
        secrets.create_secret(Name="salts/short", SecretString=json.dumps({"salt": "too short"}))

        def salts(**given) -> list[str]:
            server.said.clear()
            drive(maker(MaskDatabaseOperator, run_key="k", folders=[folder], masking=given))
            return [said for said in server.said if said.startswith("SET @mask_salt")]

        own, shared = salts(), salts(salt_secret="salts/all")
        assert own[-1] == own[0]
        assert shared[0] == own[0]
        assert shared[-1] != own[0]
        assert "sixteen" not in "".join(server.said)
        with pytest.raises(ConfigError, match="a field salt of at least 16") as raised:
            salts(salt_secret="salts/short")
        assert "too short" not in str(raised.value)

    def test_killed_try_goes_on_where_it_was(self, server, folder) -> None:
        server.answer("SELECT step FROM", (("shop/010_a.sql:1",),))
        assert self.run(folder) == {"tables": {"skip": 1}, "rows": 0, "statements": 2, "skipped": 1}
        assert server.saw("UPDATE one") == []

    def test_error_names_file_and_line_and_rolls_back(self, server, folder) -> None:
        server.answer(
            "UPDATE two", pymysql.err.IntegrityError(1062, "Duplicate entry 'ann@example.com' for key 'email'")
        )
        with pytest.raises(PermanentError, match=r"^shop/010_a\.sql:2 as admin@") as raised:
            self.run(folder)
        assert "ann@example.com" not in str(raised.value)
        assert server.said[-1] == "ROLLBACK"
        assert server.saw("UPDATE three") == []


class TestProve:
    """No original is left."""

    PHONE = "shop.customers.phone"

    @pytest.fixture(autouse=True)
    def noted(self, server) -> None:
        server.answer("@@log_bin", ((0, "ROW"),))
        server.answer("SELECT label, remembered", ((COLUMN, 5), (self.PHONE, 7)))
        targets = [(name, "shop", "customers", "v", f"d{n}", "values") for n, name in enumerate((COLUMN, self.PHONE))]
        server.answer("SELECT label, table_schema", tuple(targets))

    def run(self):
        return drive(maker(ProveMaskOperator, run_key="k"))

    def test_none_left(self, server) -> None:
        assert self.run() == {"columns": {COLUMN: 5, self.PHONE: 7}, "survivors": 0}
        assert len(server.saw("STRAIGHT_JOIN")) == 2
        assert len(server.saw("DROP TABLE .*original_")) == 2
        assert server.saw("<proved>")

    def test_some_left_fail_with_column_and_number(self, server) -> None:
        server.answer("STRAIGHT_JOIN .*original_00001", ((1,),))
        server.answer("SELECT DISTINCT .*original_00001", ((7, 2),))
        with pytest.raises(
            VerificationError, match=r"shop\.customers\.phone \(2 of 7\); mend include/sql/masking"
        ) as raised:
            self.run()
        assert COLUMN not in str(raised.value)
        assert server.saw("DROP TABLE") == []
        assert not server.saw("<proved>|<proved:00001>")

    def test_what_an_earlier_try_has_proven_is_not_compared_again(self, server) -> None:
        server.answer("SELECT step FROM", (("proved:00000",),))
        self.run()
        assert len(server.saw("STRAIGHT_JOIN")) == 1

    def test_proved_before(self, server) -> None:
        server.answer("SELECT step FROM", (("proved",),))
        assert self.run()["survivors"] == 0
        assert server.saw("JOIN") == []


class TestUsers:
    """The environment's users and no others, each with a new password."""

    @pytest.fixture
    def present(self, server):
        server.answer(
            "FROM mysql.user",
            (("admin", "%"), ("app", "%"), ("app", "10.%"), ("prod_batch", "%"), ("rdsadmin", "localhost")),
        )
        server.answer("role_edges'", ((0,),))
        server.passwords = {"app": set()}
        beyond = Connection.execute

        def execute(self, sql, args=None):
            if found := re.match(r"ALTER USER 'app'.* IDENTIFIED BY '(.*)' ACCOUNT UNLOCK", sql):
                server.passwords["app"].add(found[1])
            return beyond(self, sql, args)

        return execute

    def run(self, users=None, ctx=None):
        users = users or [{"username": "app", "secret": "staging/app"}]
        operator = maker(SetUsersOperator, users=users, run_key="k", serving_id="serving", serving_host="serving.rds")
        return drive(operator, ctx)

    def test_others_are_dropped_and_passwords_are_pending(
        self, server, present, monkeypatch, aws_session, calls
    ) -> None:
        monkeypatch.setattr(Connection, "execute", present)
        ctx = context()
        result = self.run(ctx=ctx)
        assert result["dropped"] == ["prod_batch"]
        assert len(server.saw("DROP USER")) == 1
        assert len(server.saw("ALTER USER 'app'@")) == 2
        version = result["versions"]["staging/app"]
        assert set(calls) <= set(SetUsersOperator.permissions)
        secrets = aws_session.client("secretsmanager")
        written = json.loads(secrets.get_secret_value(SecretId="staging/app", VersionId=version)["SecretString"])
        assert written["x"] == 1
        assert written["username"] == "app"
        assert (written["host"], written["port"]) == ("serving.rds", 3306)
        assert {written["password"]} == server.passwords["app"]
        assert json.loads(secrets.get_secret_value(SecretId="staging/app")["SecretString"])["password"] == "hunter2"
        assert written["password"] not in json.dumps([result, list(ctx["ti"].xcoms.values())])

    def test_second_try_finds_the_first_password(self, server, present, monkeypatch) -> None:
        monkeypatch.setattr(Connection, "execute", present)
        assert self.run()["versions"] == self.run()["versions"]
        assert len(server.passwords["app"]) == 1

    def test_password_that_does_not_open(self, server, present) -> None:
        with pytest.raises(VerificationError, match="app cannot log in to app with its new password"):
            self.run()

    def test_former_password_that_still_opens(self, server, present, monkeypatch) -> None:
        monkeypatch.setattr(Connection, "execute", present)
        server.passwords["app"].add("hunter2")
        with pytest.raises(VerificationError, match="former password"):
            self.run()

    def test_missing_user_without_privileges_is_refused_before_any_is_dropped(self, server, present) -> None:
        with pytest.raises(ConfigError, match="give the grants or privileges"):
            self.run([{"username": "new", "secret": "staging/app"}])
        assert server.saw("DROP USER") == []

    def test_missing_user_is_created_with_its_privileges(self, server, present) -> None:
        user = {"username": "new", "secret": "staging/app", "privileges": {"shop": ["SELECT", "SHOW VIEW"]}}
        server.passwords["new"] = set()
        with pytest.raises(VerificationError):
            self.run([user])
        assert server.saw("CREATE USER IF NOT EXISTS 'new'@'%'")
        assert server.saw(r"GRANT SELECT, SHOW VIEW ON `shop`\.\* TO 'new'@'%'")

    def exact(self, server, *lines):
        """Bring one account to SELECT on shop, which the server shows these lines of."""
        server.answer("FROM mysql.user", (("app", "%"),))
        server.answer("SHOW GRANTS FOR 'app'@'%'", tuple((line,) for line in lines))
        user = {"username": "app", "secret": "staging/app", "privileges": {"shop": ["SELECT"]}}
        given = {"run_key": "k", "serving_id": "s", "serving_host": "h", "exact": True}
        return drive(maker(SetUsersOperator, users=[user], **given))

    def test_rights_of_others_are_not_the_users(self, server, present, monkeypatch) -> None:
        monkeypatch.setattr(Connection, "execute", present)
        lines = [
            "GRANT SELECT ON `shop`.* TO `app`@`%`",
            "GRANT DELETE ON `shop`.* TO `r1`",
            "GRANT DROP ON `a`.* TO PUBLIC",
        ]
        assert self.exact(server, *lines)["changed"] == {}
        assert server.saw("^(GRANT|REVOKE)") == []

    def test_server_that_does_not_do_as_it_is_told_is_an_error(self, server, present, monkeypatch) -> None:
        monkeypatch.setattr(Connection, "execute", present)
        with pytest.raises(
            StateError, match=r"app@%: rights are not as asked for after 3 rounds; look at DELETE, SELECT ON shop"
        ):
            self.exact(server, "GRANT DELETE ON `shop`.* TO `app`@`%`")

    def test_line_that_is_not_understood_changes_nothing_of_rights(self, server, present, monkeypatch) -> None:
        monkeypatch.setattr(Connection, "execute", present)
        with pytest.raises(StateError, match="a line of SHOW GRANTS is not understood") as raised:
            self.exact(server, "GRANT SELECT ON `shop` TO `app`@`%` IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD'")
        assert "2470" not in str(raised.value)
        assert server.saw("^(GRANT|REVOKE)") == []

    def test_servers_that_take_names_literally(self, server, present, monkeypatch) -> None:
        monkeypatch.setattr(Connection, "execute", present)
        server.answer("partial_revokes", (("partial_revokes", "ON"),))
        server.answer("FROM mysql.user", (("app", "%"),))
        user = {"username": "app", "secret": "staging/app", "privileges": {"a_b": ["SELECT"]}}
        self.run([user])
        assert server.saw(r"GRANT SELECT ON `a_b`\.\* TO 'app'@'%'")

    def test_refused_statement_does_not_show_the_password(self, server, present) -> None:
        server.answer("ALTER USER", pymysql.err.OperationalError(1227, "Access denied; you need privilege"))
        with pytest.raises(PermanentError, match="set password as admin@") as raised:
            self.run()
        assert "IDENTIFIED" not in str(raised.value)


class TestTables:
    """Tables that are kept."""

    def test_nothing_to_keep_needs_no_cluster(self, rds, server, calls) -> None:
        rds.clusters.clear()
        assert drive(maker(DumpTablesOperator, tables=[], bucket=None, prefix="p")) == {"objects": {}, "rows": {}}
        assert drive(maker(LoadTablesOperator, objects={}, bucket=None)) == {"rows": {}}
        assert calls == []

    def test_no_bucket(self, server) -> None:
        with pytest.raises(ConfigError, match="keep_bucket"):
            drive(maker(DumpTablesOperator, tables=["shop.a"], bucket=None, prefix="p"))

    def test_missing_table(self, server) -> None:
        server.answer(r"information_schema\.COLUMNS", ())
        with pytest.raises(MissingError, match=r"no table shop\.a in cluster app"):
            drive(maker(DumpTablesOperator, tables=["shop.a"], bucket="bucket", prefix="p"))

    @pytest.mark.parametrize("prefix", ["", "/", "//"])
    def test_whole_bucket_is_never_deleted(self, rds, calls, prefix) -> None:
        with pytest.raises(ConfigError, match="run's own prefix"):
            drive(lambda: self.delete(prefix=prefix))
        assert calls == []

    @pytest.mark.parametrize("given", [{"bucket": None}, {"prefix": None}])
    def test_nothing_was_kept(self, rds, calls, given) -> None:
        assert drive(lambda: self.delete(**given)) == {"deleted": 0}
        assert calls == []

    def test_only_what_is_below_the_prefix_is_deleted(self, rds, aws_session, calls) -> None:
        s3 = aws_session.client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for key in ("run-1/a", "run-1/b", "run-10/a"):
            s3.put_object(Bucket="bucket", Key=key, Body=b"")
        calls.clear()
        assert drive(lambda: self.delete(prefix="run-1")) == {"deleted": 2}
        assert drive(lambda: self.delete(prefix="run-1")) == {"deleted": 0}
        assert set(calls) == set(DeleteObjectsOperator.permissions)
        assert [item["Key"] for item in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["run-10/a"]

    def delete(self, **given):
        at = {key: value for key, value in AT.items() if key != "cluster_id"}
        return DeleteObjectsOperator(task_id="t", **{**at, "bucket": "bucket", "prefix": "p", **given})


class TestVerify:
    """Data and users are as they must be."""

    def run(self, folder, **given):
        return drive(maker(VerifyDatabaseOperator, **{"folders": [folder], "users": [], **given}))

    @pytest.fixture
    def counted(self, server):
        server.answer(r"SELECT \* FROM .*row_counts", (("shop", "customers", 3),))
        server.answer("UPDATE", (("foreign keys", 1, ""),))
        return server

    def test_all_well(self, counted, folder) -> None:
        assert self.run(folder) == {"checks": 4, "tables": 1, "rows": 3}
        assert counted.said[-1] == "DROP DATABASE IF EXISTS `aurora_ops_scratch`"

    @pytest.mark.parametrize(
        ("pattern", "answer", "said"),
        [
            (r"SELECT \* FROM .*row_counts", (("shop", "customers", 4),), "expected 4, found 3"),
            (r"SELECT \* FROM .*row_counts", (), "expected None, found 3"),
            (r"SELECT \* FROM .*row_counts", (("shop", "customers", 3), ("shop", "b", 1)), "expected 1, found None"),
            ("UPDATE two", (("orphans", 0, "7 rows"),), "orphans: 7 rows"),
            ("UPDATE two", (), "nothing was checked"),
            (r"SELECT TABLE_SCHEMA", (), "tables: there are none"),
        ],
    )
    def test_any_finding_fails_and_keeps_the_evidence(self, counted, folder, pattern, answer, said) -> None:
        counted.answer(pattern, answer)
        with pytest.raises(VerificationError, match="checks of app failed") as raised:
            self.run(folder)
        assert said in str(raised.value)
        assert counted.saw("DROP DATABASE") == []

    def test_kept_tables_count_as_they_were_kept(self, counted, folder) -> None:
        counted.answer(r"SELECT \* FROM .*row_counts", (("shop", "customers", 999),))
        self.run(folder, kept_rows={"shop.customers": 3})

    def test_kept_tables_that_a_job_has_compared_must_only_be_there(self, counted, folder) -> None:
        counted.answer(r"SELECT \* FROM .*row_counts", (("shop", "customers", 999),))
        self.run(folder, kept_rows={"shop.customers": None})
        with pytest.raises(VerificationError, match="expected 1, found None"):
            self.run(folder, kept_rows={"shop.customers": None, "shop.flags": None})

    def test_user_that_cannot_log_in(self, counted, folder) -> None:
        counted.passwords["app"] = set()
        with pytest.raises(VerificationError, match="login app: refused"):
            self.run(folder, users=[{"username": "app", "secret": "staging/app"}])

    def test_user_that_may_do_too_much(self, counted, folder) -> None:
        counted.answer("SHOW GRANTS", (("GRANT INSERT ON shop.* TO app",),))
        with pytest.raises(VerificationError) as raised:
            self.run(folder, users=[{"username": "app", "secret": "staging/app"}])
        for finding in ("app cannot read accounts: it can", "app cannot write: it can", "no write privilege: INSERT"):
            assert finding in str(raised.value)

    def test_user_that_may_do_what_it_should(self, counted, folder) -> None:
        counted.answer("mysql.user|TEMPORARY", pymysql.err.OperationalError(1142, "denied"))
        assert self.run(folder, users=[{"username": "app", "secret": "staging/app"}])["checks"] == 8

    def test_another_cluster_serves(self, server) -> None:
        with pytest.raises(StateError, match="is cluster cluster-0001, not the refreshed cluster-0002"):
            drive(maker(VerifyServingOperator, resource_id="cluster-0002", users=[]))
        assert server.said == []

    def test_serving_cluster_answers(self, server) -> None:
        result = drive(maker(VerifyServingOperator, resource_id="cluster-0001", users=[]))
        assert result == {"endpoint": "app.cluster-x.rds", "resource_id": "cluster-0001", "checks": 1}
