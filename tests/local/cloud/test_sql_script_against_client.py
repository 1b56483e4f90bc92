"""Scripts run statement by statement leave a server in the state that the mariadb client leaves it in."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from aurora_ops.core.sql_script import load

from localcloud.mariadb import binaries
from localcloud.mariadb.engine import Engine
from tests.local.cloud.databases import client_program, free_port, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# each script starts with an empty table t (v) and may leave anything in it
SCRIPTS = {
    "plain": "INSERT INTO t VALUES ('a'); INSERT INTO t VALUES ('b');",
    "no final delimiter": "INSERT INTO t VALUES ('a'); INSERT INTO t VALUES ('b')",
    "empty statements": ";;INSERT INTO t VALUES ('a');;\n;",
    "semicolons in strings": "INSERT INTO t VALUES ('a;b'), (\"c;d\");",
    "quotes": """INSERT INTO t VALUES ('it''s; ok'), ('it\\'s; ok'), ("say ""x;""\x20"), ('"'), ("'"), ('c:\\\\');""",
    "strings over lines": "INSERT INTO t VALUES ('a\n\n  b;\n-- no comment\n# neither\n/* nor this */\n');",
    "windows": "INSERT INTO t VALUES ('a\r\nb');\r\nINSERT INTO t VALUES ('c');\r\n",
    "byte order mark": "\ufeffINSERT INTO t VALUES ('a');",
    "comments": "-- x;\n# y;'\n/* z;\n\" */ INSERT /* ; */ INTO t -- ;'\nVALUES # ;\n('a'); -- end\n/* end",
    "a line of dashes": "-----------\nINSERT INTO t VALUES ('a');\n--------\n",
    "dashes in arithmetic": "INSERT INTO t VALUES (5--2), (5 -- 2\n-1);",
    "comment looks like a string": "INSERT INTO t VALUES ('/*'); INSERT INTO t VALUES ('*/');",
    "versioned comments": "/*!40101 INSERT INTO t VALUES ('a') */; /*M!100100 INSERT INTO t VALUES ('b;') */;",
    "versioned comment for nobody": "INSERT INTO t VALUES ('a' /*!999999 'b' */);",
    "string in a versioned comment": "/*!40101 INSERT INTO t VALUES ('x */ y') */; INSERT INTO t VALUES ('z');",
    "names in backticks": "CREATE TABLE `a;b\\` (`c'` INT); INSERT INTO `a;b\\` VALUES (1); INSERT INTO t VALUES (2);",
    "procedure": (
        "DELIMITER $$\nCREATE PROCEDURE p(IN n INT)\nBEGIN\n  -- first; $ second\n  IF n > 0 THEN\n"
        "    INSERT INTO t VALUES (CONCAT('n;', n));\n    CALL p(n - 1);\n  END IF;\nEND$$\nDELIMITER ;\n"
        "SET max_sp_recursion_depth = 9; CALL p(3);"
    ),
    "trigger": (
        "delimiter //\ncreate trigger g before insert on t for each row begin set new.v = concat(new.v, ';'); end//\n"
        "delimiter ;\ninsert into t values ('a');"
    ),
    "dump of a trigger": (
        "DELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=`rdsadmin`@`localhost`*/ /*!50003 TRIGGER g BEFORE INSERT ON t\n"
        "FOR EACH ROW BEGIN\n  SET NEW.v = CONCAT(NEW.v, '!');\nEND */;;\nDELIMITER ;\nINSERT INTO t VALUES ('a');"
    ),
    "delimiter as data": (
        "CREATE TABLE d (delimiter VARCHAR(9)); INSERT INTO d (delimiter) VALUES ('x');\nINSERT INTO t SELECT\n"
        "delimiter FROM d;\nINSERT INTO t VALUES ('\nDELIMITER $$\n');"
    ),
    "quoted delimiter": "DELIMITER '$$'\nINSERT INTO t VALUES ('a;')$$ INSERT INTO t VALUES ('b;')$$",
    "delimiter of letters": "DELIMITER go\nINSERT INTO t VALUES ('a;')\ngo\nINSERT INTO t VALUES ('b')\ngo\n",
    "delimiter with a comment behind": "DELIMITER $$ -- from here\nINSERT INTO t VALUES ('a;')$$",
    "delimiter after comments": "-- x\n/* y */\nDELIMITER $$\nINSERT INTO t VALUES ('a;')$$",
    "delimiter that looks like a comment": "DELIMITER #\nINSERT INTO t VALUES ('a')#\nINSERT INTO t VALUES ('b')#\n",
    "delimiter within a string": "DELIMITER $$\nINSERT INTO t VALUES ('$$')$$ INSERT INTO t VALUES (\"a$$b\")$$",
    "go": "INSERT INTO t VALUES ('a')\\g INSERT INTO t VALUES ('b')\\G\nINSERT INTO t VALUES ('\\\\g');",
    "use": "CREATE DATABASE IF NOT EXISTS elsewhere;\nUSE elsewhere\nCREATE TABLE IF NOT EXISTS e (v INT);\n",
    "null": r"INSERT INTO t VALUES (\N); INSERT INTO t VALUES ('\N');",
    "an error in the middle": "INSERT INTO t VALUES ('a'); INSERT INTO nowhere VALUES (1); INSERT INTO t VALUES (2);",
    "emoji": "INSERT INTO t VALUES ('😀;'), ('ñ'), ('日本;語');",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = Engine(tmp_path_factory.mktemp("home"), db_port=free_port())
    engine.create("one")
    engine.start("one")
    yield engine
    engine.close()


def fresh(engine: Engine) -> None:
    with engine.admin("one") as connection:
        for statement in (
            "DROP DATABASE IF EXISTS elsewhere",
            "DROP DATABASE IF EXISTS s",
            "CREATE DATABASE s",
            "CREATE TABLE s.t (v VARCHAR(200))",
        ):
            rows(connection, statement)


def state(engine: Engine) -> dict[str, Any]:
    """Every table of every database of the script with its rows, and what routines and triggers there are."""
    with engine.admin("one") as connection:
        tables = rows(
            connection,
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN ('s', 'elsewhere')",
        )
        found: dict[str, Any] = {
            f"{schema}.{table}": sorted(rows(connection, f"SELECT * FROM `{schema}`.`{table}`"), key=repr)
            for schema, table in tables
        }
        found["code"] = rows(
            connection,
            "SELECT routine_name FROM information_schema.routines WHERE routine_schema = 's' "
            "UNION SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = 's'",
        )
    return found


def run_by_client(engine: Engine, path: Path) -> None:
    command = [client_program(), "--no-defaults", f"--socket={engine._servers['one'].socket}", "--user=rdsadmin"]
    with path.open("rb") as script:
        subprocess.run(
            [*command, f"--password={engine._password}", "--default-character-set=utf8mb4", "--force", "s"],
            stdin=script,
            env=binaries.find().env,
            capture_output=True,
            check=False,
        )


def run_by_us(engine: Engine, path: Path) -> list[int]:
    """Run each statement by itself, going on after errors as the client's --force does; return the lines of errors."""
    failed = []
    with engine.admin("one") as connection, connection.cursor() as cursor:
        cursor.execute("USE s")
        for statement in load(path):
            try:
                cursor.execute(statement.text)
            except pymysql.MySQLError:
                failed.append(statement.line)
    return failed


@pytest.mark.parametrize("case", SCRIPTS)
def test_same_end_as_with_the_client(engine: Engine, tmp_path: Path, case: str) -> None:
    path = tmp_path / "script.sql"
    path.write_bytes(SCRIPTS[case].encode())
    fresh(engine)
    run_by_client(engine, path)
    expected = state(engine)
    fresh(engine)
    failed = run_by_us(engine, path)
    assert state(engine) == expected
    assert expected["s.t"] or case == "use", "the script did nothing: it compares nothing"
    assert failed == ([1] if case == "an error in the middle" else [])
