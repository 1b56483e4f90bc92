"""Masking tables of every kind on a real server: each technique, killed anywhere, ends with the same data."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aurora_ops.core import mask_plan
from aurora_ops.hooks.mysql import MySqlHook

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
