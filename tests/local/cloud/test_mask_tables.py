"""Masking tables of every kind on a real server: each technique, killed anywhere, ends with the same data."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aurora_ops.core import mask_plan
from aurora_ops.core.errors import PermanentError, StateError, TransientError
from aurora_ops.core.mask_plan import TablePlan
from aurora_ops.core.mask_rules import read_rules
from aurora_ops.core.tables import Table
from aurora_ops.hooks.mysql import MySqlHook
from aurora_ops.hooks.table_facts import read_table_facts
from aurora_ops.operators import mask_crew, mask_ledger

from localcloud.mariadb.engine import Engine
from tests.local.cloud.databases import free_port, rows, value
from tests.local.cloud.masking import mask, operator, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from aurora_ops.hooks.mysql import Login
    from pymysql.connections import Connection

PEOPLE = """CREATE TABLE people (
  id INT UNSIGNED NOT NULL AUTO_INCREMENT COMMENT 'number, of a person',
  email VARCHAR(190) NOT NULL,
  first_name VARCHAR(60) CHARACTER SET latin1,
  `select` VARCHAR(40) DEFAULT 'it''s, KEY `x` (',
  phone VARCHAR(32),
  born DATE,
  salary DECIMAL(10,2) UNSIGNED,
  initials VARCHAR(3) AS (LEFT(first_name, 2)) STORED,
  loud VARCHAR(190) AS (UPPER(email)) VIRTUAL,
  state ENUM('a', 'b') NOT NULL DEFAULT 'a',
  document JSON,
  changed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (id),
  UNIQUE KEY uq_email (email),
  KEY ix_name (first_name(10), id DESC) COMMENT 'two, columns',
  KEY `ix ``odd``` (`select`),
  CONSTRAINT positive CHECK (salary >= 0)
) AUTO_INCREMENT=1000000 COMMENT='people, with a comment' CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"""
FILL = """INSERT INTO people (id, email, first_name, `select`, phone, born, salary, state, document, changed)
SELECT seq * 7, CONCAT('Person', seq, '@Example.com'), IF(seq % 5, ELT(1 + seq % 3, 'Zoé', 'Ann', 'Bo'), IF(seq % 2, NULL, '')),
  CONCAT('select ', seq), CONCAT('+44 (20) ', 1000000 + seq), '1980-01-01' + INTERVAL seq DAY, seq * 1.5, 'b',
  IF(seq % 4, JSON_OBJECT('email', CONCAT('person', seq, '@example.com'), 'n', NULL, 'keep', seq), NULL), '2020-01-01'
FROM seq_1_to_3500"""
RULES = {
    "people": {
        "email": "email",
        "first_name": "first_name",
        "initials": {"mask": "generated"},
        "select": "token",
        "phone": "phone",
        "born": "date_shift",
        "salary": "number_noise",
        "document": {"mask": "json", "paths": {"$.email": "email", "$.n": "text", "$.absent": "email"}},
    }
}
PORT = free_port()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=PORT)
    engine.create("one")
    engine.start("one")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def login(engine: Engine) -> Login:
    return serve(engine, "one", "127.0.7.1", PORT)


@pytest.fixture
def admin(engine: Engine, login: Login) -> Iterator[Connection]:
    with engine.admin("one") as connection:
        for schema in ("d", "aurora_ops_scratch"):
            rows(connection, f"DROP DATABASE IF EXISTS {schema}")
        rows(connection, "CREATE DATABASE d CHARACTER SET utf8mb4")
        rows(connection, "USE d")
        yield connection


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_plan, "SMALL_ROWS", 10)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def write(rules: dict[str, Any]) -> Path:
        (tmp_path / "d").mkdir(exist_ok=True)
        (tmp_path / "d" / "columns.yaml").write_text(yaml.safe_dump(rules))
        return tmp_path / "d"

    return write


def definition(admin: Connection, table: str) -> str:
    return str(rows(admin, f"SHOW CREATE TABLE d.`{table}`")[0][1])


def index_lines(shown: str) -> tuple[list[str], set[str]]:
    """What is not an index, in order, and the indexes, in any."""
    lines = [line.rstrip(",") for line in shown.split("\n")]
    indexes = {line for line in lines if re.match(r"  (UNIQUE )?KEY ", line)}
    return [line for line in lines if line not in indexes], indexes


def technique(admin: Connection, table: str) -> str:
    plan = value(admin, "SELECT plan FROM aurora_ops_scratch.mask_tables WHERE table_name = %s", (table,))
    return str(yaml.safe_load(plan)["technique"])


def people(admin: Connection, *, forbid: str | None = None) -> None:
    rows(admin, PEOPLE)
    rows(admin, FILL)
    if forbid == "foreign key":
        rows(admin, "CREATE TABLE child (id INT UNSIGNED PRIMARY KEY, FOREIGN KEY (id) REFERENCES people (id))")
    if forbid == "trigger":
        rows(admin, "CREATE TABLE log (id INT UNSIGNED, old_email VARCHAR(190), KEY (id))")
        rows(
            admin, "CREATE TRIGGER noted AFTER UPDATE ON people FOR EACH ROW INSERT INTO log VALUES (NEW.id, OLD.email)"
        )
    rows(admin, "ANALYZE TABLE people")


def contents(admin: Connection, table: str = "people", order: str = "id") -> list[tuple[Any, ...]]:
    return rows(admin, f"SELECT * FROM d.`{table}` ORDER BY {order}")


TECHNIQUES = [(None, "rebuild"), ("foreign key", "update"), ("trigger", "update")]


@pytest.mark.parametrize(("forbid", "expected"), TECHNIQUES)
def test_each_technique_makes_the_same_data(admin, login, folder, forbid, expected) -> None:
    people(admin, forbid=forbid)
    shown, before = definition(admin, "people"), contents(admin)
    result = mask(login, folder(RULES), chunk_rows=1000)
    assert result["tables"] == {expected: 1}
    assert result["rows"] == 3500
    assert technique(admin, "people") == expected
    assert index_lines(definition(admin, "people")) == index_lines(shown)
    after = contents(admin)
    for old, new in zip(before, after, strict=True):
        assert new[0] == old[0]
        assert re.fullmatch(r"user\.[0-9a-f]{20}@example\.invalid", new[1])
        assert (new[2] != old[2]) if old[2] else (new[2] == old[2])
        assert new[3].startswith("msk_")
        assert re.fullmatch(r"\+999 \d{12}", new[4])
        assert 1 <= abs((new[5] - old[5]).days) <= 30
        assert new[6] != old[6]
        assert abs(new[6] - old[6]) <= float(old[6]) * 0.1 + 0.011
        assert new[7] == (new[2][:2] if new[2] is not None else None)
        assert new[8] == new[1].upper()
        assert new[9] == old[9]
        if old[10] is None:
            assert new[10] is None
        else:
            document = yaml.safe_load(new[10])
            assert document["email"] == new[1]
            assert (document["n"], document["keep"]) == (None, old[0] // 7)
            assert set(document) == {"email", "n", "keep"}
        assert new[11] == old[11]
    assert value(admin, "SELECT COUNT(DISTINCT email) FROM people") == 3500
    left = rows(admin, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'aurora_ops_scratch'")
    assert {name for (name,) in left} == {"progress", "mask_tables", "mask_chunks"}


def test_techniques_agree(admin, login, folder) -> None:
    found = []
    for forbid, _ in TECHNIQUES:
        rows(admin, "DROP TABLE IF EXISTS child, log")
        rows(admin, "DROP TABLE IF EXISTS people")
        rows(admin, "DROP DATABASE IF EXISTS aurora_ops_scratch")
        people(admin, forbid=forbid)
        mask(login, folder(RULES), chunk_rows=1000, connections=3)
        found.append(contents(admin))
    assert found[0] == found[1] == found[2]


def test_progress_is_logged(admin, login, folder, monkeypatch) -> None:
    people(admin)
    lines: list[str] = []
    monkeypatch.setattr(mask_crew, "_LOG_EVERY_S", 0)
    task = operator(folder(RULES), chunk_rows=1000)
    with task.connect(login) as sql:
        task._prepare(sql, login)
        plans = mask_plan.plan_tables(read_table_facts(sql, ["d"]), read_rules(folder(RULES)))[0]
        crew = mask_crew.Crew(
            lambda: task.connect(login),
            salt="s" * 64,
            connections=2,
            chunk_rows=1000,
            log=lambda text, *given: lines.append(text % given),
        )
        finished = crew.mask(plans)
    assert [each.rows for each in finished] == [3500]
    chunks = [re.fullmatch(r"d\.people: chunk (\d) of 4, .* rows, [\d,]+ rows/s, \d+ s left", line) for line in lines]
    assert [found[1] for found in chunks if found] == ["1", "2", "3", "4"]
    assert lines[-1].startswith("d.people: done, rebuild, 3500 rows in ")


def test_next_number_is_kept(admin, login, folder) -> None:
    people(admin)
    mask(login, folder(RULES), chunk_rows=1000)
    rows(admin, "INSERT INTO people (email) VALUES ('new@example.com')")
    assert value(admin, "SELECT MAX(id) FROM people") == 1_000_000


class KilledError(Exception):
    """The process died."""


class Dying(MySqlHook):
    """A connection of a process that is killed after so many statements of all its connections."""

    left = itertools.count()
    at = 10**9

    def _count(self) -> None:
        if next(Dying.left) >= Dying.at:
            raise KilledError

    def run(self, *args: Any, **kwargs: Any) -> int:
        done = super().run(*args, **kwargs)
        self._count()
        return done

    def rows(self, *args: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        found = super().rows(*args, **kwargs)
        self._count()
        return found


def killed_after(statements: int, login: Login, where: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Mask in a process that dies after so many statements; whether it came to that."""
    task = operator(where, chunk_rows=1000, connections=1)
    Dying.left, Dying.at = itertools.count(), statements
    monkeypatch.setattr(task, "connect", lambda given: Dying(given))
    try:
        with Dying(login) as sql:
            task._prepare(sql, login)
            task.step(sql)
    except KilledError:
        return True
    return False


@pytest.mark.long
@pytest.mark.parametrize("forbid", [None, "trigger"])
def test_killed_after_any_statement_ends_with_the_same_data(admin, login, folder, monkeypatch, forbid) -> None:
    people(admin, forbid=forbid)
    rows(admin, "CREATE TABLE original LIKE people")
    columns = "id, email, first_name, `select`, phone, born, salary, state, document, changed"
    rows(admin, f"INSERT INTO original ({columns}) SELECT {columns} FROM people WHERE id <= 15000")
    rows(admin, "DELETE FROM people WHERE id > 15000")
    where = folder(RULES)
    (where / "010.sql").write_text("UPDATE people SET salary = salary + 1, changed = changed;")
    mask(login, where, chunk_rows=1000)
    expected, shown = contents(admin), definition(admin, "people")
    for at in itertools.count():
        rows(admin, "DROP DATABASE aurora_ops_scratch")
        rows(admin, "DROP TABLE people")
        rows(admin, shown)
        rows(admin, f"INSERT INTO people ({columns}) SELECT {columns} FROM original")
        if forbid:
            rows(admin, "TRUNCATE log")
            rows(
                admin,
                "CREATE TRIGGER noted AFTER UPDATE ON people FOR EACH ROW INSERT INTO log VALUES (NEW.id, OLD.email)",
            )
        rows(admin, "ANALYZE TABLE people")
        died = killed_after(at, login, where, monkeypatch)
        mask(login, where, chunk_rows=1000)
        assert contents(admin) == expected, at
        assert index_lines(definition(admin, "people")) == index_lines(shown), at
        if forbid:  # each row was changed twice: masked once, and by the script
            assert value(admin, "SELECT COUNT(*) FROM log") == 4284, at
        if not died:
            break
    assert at > 20


NAME = "n" * 64
KINDS: dict[str, tuple[str, str, str]] = {
    "no key": ("CREATE TABLE t (email VARCHAR(190), n INT, KEY (email))", "SELECT CONCAT('p', seq, '@x.com'), seq", "rebuild"),
    "composite key": (
        "CREATE TABLE t (a INT, b VARCHAR(20) COLLATE utf8mb4_bin, c DATETIME(3), email VARCHAR(190), PRIMARY KEY (a, b, c))",
        "SELECT seq % 3, CONCAT('k', seq % 50), '2020-01-01' + INTERVAL seq SECOND, CONCAT('p', seq, '@x.com')",
        "rebuild",
    ),
    "text key": (
        "CREATE TABLE t (k VARCHAR(30) COLLATE utf8mb4_unicode_ci PRIMARY KEY, email VARCHAR(190))",
        "SELECT CONCAT(ELT(1 + seq % 4, 'é', 'E', 'ö', '🙈'), seq, ' '), CONCAT('p', seq, '@x.com')",
        "rebuild",
    ),
    "binary key": (
        "CREATE TABLE t (k BINARY(16) PRIMARY KEY, email VARCHAR(190))",
        "SELECT UNHEX(MD5(seq)), CONCAT('p', seq, '@x.com')",
        "rebuild",
    ),
    "big sparse key": (
        "CREATE TABLE t (k BIGINT UNSIGNED PRIMARY KEY, email VARCHAR(190))",
        "SELECT 18446744073709551615 - seq * seq * 100000000, CONCAT('p', seq, '@x.com')",
        "rebuild",
    ),
    "decimal and date key": (
        "CREATE TABLE t (k DECIMAL(20,4), d DATE, email VARCHAR(190), UNIQUE KEY (k, d))",
        "SELECT seq / 3, '2020-01-01' + INTERVAL seq % 9 DAY, CONCAT('p', seq, '@x.com')",
        "rebuild",
    ),
    "id of 0 and zero dates": (
        "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, d DATE, email VARCHAR(190))",
        "SELECT seq - 1, IF(seq % 2, '0000-00-00', '2020-02-31'), CONCAT('p', seq, '@x.com')",
        "rebuild",
    ),
    "partitions": (
        "CREATE TABLE t (id INT, y INT, email VARCHAR(190), PRIMARY KEY (id, y)) PARTITION BY HASH (y) PARTITIONS 3",
        "SELECT seq, seq % 10, CONCAT('p', seq, '@x.com')",
        "rebuild",
    ),
    "reserved and long names": (
        f"CREATE TABLE t (`order` INT PRIMARY KEY, `{NAME}` INT, email VARCHAR(190), KEY `{NAME}` (email), KEY `group` (`{NAME}`))",
        "SELECT seq, seq, CONCAT('p', seq, '@x.com')",
        "rebuild",
    ),
    "key that is masked": (
        "CREATE TABLE t (email VARCHAR(190) PRIMARY KEY, n INT, KEY (n))",
        "SELECT CONCAT('p', seq, '@x.com'), seq",
        "rebuild",
    ),
    "key that is masked, with a reference": (
        "CREATE TABLE t (email VARCHAR(190) PRIMARY KEY, n INT, KEY (n), CONSTRAINT f FOREIGN KEY (n) REFERENCES other (n))",
        "SELECT CONCAT('p', seq, '@x.com'), NULL",
        "single update",
    ),
    "full-text index": (
        "CREATE TABLE t (id INT PRIMARY KEY, email VARCHAR(190), FULLTEXT KEY (email))",
        "SELECT seq, CONCAT('p', seq, '@x.com')",
        "update",
    ),
    "spatial index": (
        "CREATE TABLE t (id INT PRIMARY KEY, email VARCHAR(190), p POINT NOT NULL, SPATIAL KEY (p))",
        "SELECT seq, CONCAT('p', seq, '@x.com'), POINT(seq, 1)",
        "rebuild",
    ),
    "counted column that is not the key": (
        "CREATE TABLE t (a INT NOT NULL AUTO_INCREMENT, b INT, email VARCHAR(190), PRIMARY KEY (b, a), KEY (a), KEY (email))",
        "SELECT seq, seq % 4, CONCAT('p', seq, '@x.com')",
        "rebuild",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table(admin, login, folder, kind) -> None:
    create, fill, expected = KINDS[kind]
    rows(admin, "CREATE TABLE other (n INT PRIMARY KEY)")
    rows(admin, "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'")
    name = NAME if "names" in kind else "t"
    rows(admin, create.replace("TABLE t ", f"TABLE `{name}` ", 1))
    rows(admin, f"INSERT INTO `{name}` {fill} FROM seq_1_to_2500")
    rows(admin, f"ANALYZE TABLE `{name}`")
    others = [
        column
        for (column,) in rows(
            admin,
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'd' AND table_name = %s "
            "AND column_name <> 'email'",
            (name,),
        )
    ]
    checked = f"SELECT COUNT(*), {', '.join(f'BIT_XOR(CRC32(`{column}`))' for column in others)} FROM `{name}`"
    before, shown = rows(admin, checked), definition(admin, name)
    mask(login, folder({name: {"email": "email"}}), chunk_rows=1000)
    assert technique(admin, name) == expected
    assert rows(admin, checked) == before
    assert index_lines(definition(admin, name)) == index_lines(shown)
    assert value(admin, f"SELECT COUNT(*) FROM `{name}` WHERE email NOT LIKE 'user.%%@example.invalid'", ()) == 0
    assert value(admin, f"SELECT COUNT(DISTINCT email) FROM `{name}`") == 2500


def test_empty_table(admin, login, folder) -> None:
    rows(admin, "CREATE TABLE t (email VARCHAR(190))")
    assert mask(login, folder({"t": {"email": "email"}}))["rows"] == 0


def test_duplicate_fakes_name_the_table_and_no_value(admin, login, folder) -> None:
    rows(admin, "CREATE TABLE t (id INT PRIMARY KEY, city VARCHAR(190), UNIQUE KEY (city))")
    rows(admin, "INSERT INTO t SELECT seq, CONCAT('City of ', seq) FROM seq_1_to_2000")
    rows(admin, "ANALYZE TABLE t")
    with pytest.raises(PermanentError, match=r"indexes of d\.t as .* MySQL error 1062") as raised:
        mask(login, folder({"t": {"city": "city"}}), chunk_rows=1000)
    assert "City" not in str(raised.value)
    assert value(admin, "SELECT COUNT(*) FROM t WHERE city LIKE 'City of %%'", ()) == 2000


def test_changed_rules_are_refused_once_begun(admin, login, folder) -> None:
    people(admin)
    mask(login, folder(RULES), chunk_rows=1000)
    with pytest.raises(StateError, match=r"the rules of d\.people were changed"):
        mask(login, folder({"people": {"email": {"mask": "email", "digits": 8}}}), chunk_rows=1000)


def test_rule_that_does_not_fit_changes_nothing(admin, login, folder) -> None:
    people(admin)
    before = contents(admin)
    with pytest.raises(PermanentError, match="2 problems") as raised:
        mask(login, folder({"people": {"email": "email", "born": "email", "nobody": "email"}}))
    assert "d.people.born" in str(raised.value)
    assert "d.people.nobody" in str(raised.value)
    assert contents(admin) == before


def test_lost_connection_is_tried_again(admin, login, folder, monkeypatch) -> None:
    people(admin)
    task = operator(folder(RULES), chunk_rows=1000)
    usual = MySqlHook.run

    def lose(self: MySqlHook, statement: str, *args: Any, **kwargs: Any) -> int:
        if statement.startswith("INSERT INTO `aurora_ops_scratch`.`new_") and next(lost) == 2:
            rows(admin, f"KILL {self.connection.thread_id()}")
        return usual(self, statement, *args, **kwargs)

    lost = itertools.count()
    monkeypatch.setattr(MySqlHook, "run", lose)
    with task.connect(login) as sql:
        task._prepare(sql, login)
        with pytest.raises(TransientError, match=r"(mask d\.people|transaction) as admin@"):
            task.step(sql)
    monkeypatch.undo()
    monkeypatch.setattr(mask_plan, "SMALL_ROWS", 10)
    assert mask(login, folder(RULES), chunk_rows=1000)["rows"] < 3500
    assert value(admin, "SELECT COUNT(*) FROM people WHERE email LIKE 'user.%%'", ()) == 3500


def test_range_that_a_dead_try_still_works_on_is_waited_for(admin, engine, login, folder) -> None:
    people(admin)
    mask(login, folder({"people": {"first_name": "first_name"}}), chunk_rows=1000)
    entry = mask_ledger.Entry(1, TablePlan(Table("d", "people"), "update", "", 0), 1000, (), "begun", {})
    with engine.admin("one") as dead, MySqlHook(login) as sql:
        dead.begin()
        rows(dead, "INSERT INTO aurora_ops_scratch.mask_chunks (number, chunk) VALUES (1, 99)")
        rows(dead, "SELECT GET_LOCK('aurora_ops_mask_1', 0)")
        sql.run("SET SESSION innodb_lock_wait_timeout = 1")
        with pytest.raises(TransientError, match="error 1205"), sql.transaction():
            mask_ledger.claim(sql, entry, 99)
        dead.commit()
        with sql.transaction():
            assert mask_ledger.claim(sql, entry, 99) is False
            assert mask_ledger.claim(sql, entry, 100) is True
