"""Scripts are split as the mysql client splits them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.sql_script import Statement, load, split
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

NASTY: dict[str, tuple[str, list[tuple[str, int]]]] = {
    "nothing": ("", []),
    "only blanks": (" \t\r\n\n", []),
    "only delimiters": (";;\n ; ;", []),
    "only comments": ("-- a;\n# b;\n/* c; */", []),
    "no final delimiter": ("SELECT 1", [("SELECT 1", 1)]),
    "final delimiter": ("SELECT 1;\n", [("SELECT 1", 1)]),
    "two on a line": ("SELECT 1; SELECT 2;", [("SELECT 1", 1), ("SELECT 2", 1)]),
    "over lines": ("\nSELECT\n 1\n;\n\nSELECT 2;", [("SELECT\n 1", 2), ("SELECT 2", 6)]),
    "semicolon in single quotes": ("SELECT 'a;b'; SELECT 2", [("SELECT 'a;b'", 1), ("SELECT 2", 1)]),
    "semicolon in double quotes": ('SELECT "a;b"; SELECT 2', [('SELECT "a;b"', 1), ("SELECT 2", 1)]),
    "semicolon in backticks": ("SELECT `a;b`; SELECT 2", [("SELECT `a;b`", 1), ("SELECT 2", 1)]),
    "doubled quote": ("SELECT 'it''s; fine'; SELECT 2", [("SELECT 'it''s; fine'", 1), ("SELECT 2", 1)]),
    "escaped quote": (r"SELECT 'it\'s; fine'; SELECT 2", [(r"SELECT 'it\'s; fine'", 1), ("SELECT 2", 1)]),
    "escaped backslash": (r"SELECT 'c:\\'; SELECT 2", [(r"SELECT 'c:\\'", 1), ("SELECT 2", 1)]),
    "no escapes in backticks": ("SELECT `a\\`; SELECT 2", [("SELECT `a\\`", 1), ("SELECT 2", 1)]),
    "other quotes in quotes": ("SELECT \"'\", '\"`'; SELECT 2", [("SELECT \"'\", '\"`'", 1), ("SELECT 2", 1)]),
    "string over lines": ("SELECT 'a\n-- b;\n';\nSELECT 2", [("SELECT 'a\n-- b;\n'", 1), ("SELECT 2", 4)]),
    "comment in string": ("SELECT '/*'; SELECT '*/'", [("SELECT '/*'", 1), ("SELECT '*/'", 1)]),
    "string in comment": ("SELECT 1 /* it's; */; SELECT 2", [("SELECT 1 /* it's; */", 1), ("SELECT 2", 1)]),
    "dashes": ("SELECT 1 -- one; 'two\n; SELECT 2", [("SELECT 1 -- one; 'two", 1), ("SELECT 2", 2)]),
    "hash": ("SELECT 1 # one; 'two\n; SELECT 2", [("SELECT 1 # one; 'two", 1), ("SELECT 2", 2)]),
    "dashes without blank are minus minus": ("SELECT 5--2; SELECT 2", [("SELECT 5--2", 1), ("SELECT 2", 1)]),
    "dashes at the end of a line": ("SELECT 1 --\n; SELECT 2", [("SELECT 1 --", 1), ("SELECT 2", 2)]),
    "a line of dashes": ("--------\nSELECT 1;\n--------\nSELECT 2", [("SELECT 1", 2), ("SELECT 2", 4)]),
    "comment before": ("-- first; line\n/* second;\n */ # third;\n  SELECT 1;", [("SELECT 1", 4)]),
    "comments do not nest": ("SELECT 1 /* a /* b */; SELECT 2", [("SELECT 1 /* a /* b */", 1), ("SELECT 2", 1)]),
    "hint": ("SELECT /*+ BKA(t;) */ 1; SELECT 2", [("SELECT /*+ BKA(t;) */ 1", 1), ("SELECT 2", 1)]),
    "versioned comment is code": (
        "/*!40101 SET NAMES utf8 */; SELECT 2",
        [("/*!40101 SET NAMES utf8 */", 1), ("SELECT 2", 1)],
    ),
    "versioned comment of MariaDB": ("/*M!100100 SELECT 1 */;", [("/*M!100100 SELECT 1 */", 1)]),
    "delimiter in versioned comment": (
        "/*!50003 BEGIN; END; */; SELECT 2",
        [("/*!50003 BEGIN; END; */", 1), ("SELECT 2", 1)],
    ),
    "end of comment in a string": (
        "/*!50003 SELECT '*/;' */; SELECT 2",
        [("/*!50003 SELECT '*/;' */", 1), ("SELECT 2", 1)],
    ),
    "comment in versioned comment": (
        "/*!50003 SELECT /* ; */ 1; */; SELECT 2",
        [("/*!50003 SELECT /* ; */ 1; */", 1), ("SELECT 2", 1)],
    ),
    "delimiter": ("DELIMITER $$\nBEGIN a; b; END$$\nDELIMITER ;\nSELECT 1;", [("BEGIN a; b; END", 2), ("SELECT 1", 4)]),
    "delimiter in small letters, indented": ("  delimiter  //  \nSELECT 1; 2//", [("SELECT 1; 2", 2)]),
    "delimiter with more behind": ("DELIMITER $$ -- from now\nSELECT 1$$", [("SELECT 1", 2)]),
    "quoted delimiter": ("DELIMITER '$$'\nSELECT 1;2$$", [("SELECT 1;2", 2)]),
    "delimiter of slashes": (
        "DELIMITER //\nSELECT 1 /* // */ //\nSELECT 2 //",
        [("SELECT 1 /* // */", 2), ("SELECT 2", 3)],
    ),
    "delimiter of dashes": ("DELIMITER --\nSELECT 1 -- SELECT 2 --", [("SELECT 1", 2), ("SELECT 2", 2)]),
    "delimiter of letters": ("DELIMITER go\nSELECT 1;\ngo\nSELECT 2\ngo", [("SELECT 1;", 2), ("SELECT 2", 4)]),
    "delimiter in string": ("DELIMITER $$\nSELECT '$$'$$", [("SELECT '$$'", 2)]),
    "delimiter keeps its case": ("DELIMITER Go\nSELECT 'x' AS go Go", [("SELECT 'x' AS go", 2)]),
    "longer delimiter": ("DELIMITER ;;\nSELECT 1; SELECT 2;;", [("SELECT 1; SELECT 2", 2)]),
    "delimiter after comment": ("-- now\nDELIMITER $$\nSELECT 1$$", [("SELECT 1", 3)]),
    "delimiter as data": (
        "SELECT delimiter\nFROM t\nWHERE\ndelimiter $$;",
        [("SELECT delimiter\nFROM t\nWHERE\ndelimiter $$", 1)],
    ),
    "delimiter in data at the start of a line": (
        "INSERT INTO t VALUES ('\nDELIMITER $$\n');",
        [("INSERT INTO t VALUES ('\nDELIMITER $$\n')", 1)],
    ),
    "delimited is no delimiter": ("delimiters x;", [("delimiters x", 1)]),
    "delimiter behind a statement is text": ("SELECT 1; delimiter $$;", [("SELECT 1", 1), ("delimiter $$", 1)]),
    "unfinished string": ("SELECT 'a;\nb;", [("SELECT 'a;\nb;", 1)]),
    "unfinished string with backslash": ("SELECT 'a;\\", [("SELECT 'a;\\", 1)]),
    "unfinished comment": ("SELECT 1 /* a;", [("SELECT 1 /* a;", 1)]),
    "unfinished versioned comment": ("/*! SELECT 1;", [("/*! SELECT 1;", 1)]),
    "carriage returns": ("SELECT 1;\r\nDELIMITER $$\r\nSELECT 2;3$$\r\n", [("SELECT 1", 1), ("SELECT 2;3", 3)]),
    "byte order mark": ("\ufeffSELECT 1;", [("SELECT 1", 1)]),
    "byte order mark and delimiter": ("\ufeffDELIMITER $$\nSELECT 1;2$$", [("SELECT 1;2", 2)]),
    "vertical": (r"SHOW STATUS\G SELECT 1\g SELECT '\g'", [("SHOW STATUS", 1), ("SELECT 1", 1), (r"SELECT '\g'", 1)]),
    "null": (r"SELECT \N; SELECT 2", [(r"SELECT \N", 1), ("SELECT 2", 1)]),
    "use without delimiter": ("USE shop\nSELECT 1;\nuse `a b`\n", [("USE shop", 1), ("SELECT 1", 2), ("use `a b`", 3)]),
    "use with delimiter": ("USE shop; SELECT 1", [("USE shop", 1), ("SELECT 1", 1)]),
    "use in a statement": ("SELECT *\nFROM t\nUSE INDEX (a);", [("SELECT *\nFROM t\nUSE INDEX (a)", 1)]),
    "emoji": ("SELECT '😀;'; SELECT 'ñ'", [("SELECT '😀;'", 1), ("SELECT 'ñ'", 1)]),
}


@pytest.mark.parametrize("case", NASTY)
def test_nasty_script_is_split_as_the_client_does(case: str) -> None:
    script, expected = NASTY[case]
    assert [(found.text, found.line) for found in split(script)] == expected


def test_backslash_is_a_character_under_no_backslash_escapes() -> None:
    script = r"SELECT 'c:\'; SELECT 2"
    assert [found.text for found in split(script, backslash_escapes=False)] == [r"SELECT 'c:\'", "SELECT 2"]


@pytest.mark.parametrize(
    "script", ["DELIMITER", "DELIMITER  \nSELECT 1", "DELIMITER \\\\", "DELIMITER ''", "DELIMITER\r\n"]
)
def test_delimiter_without_a_usable_one_is_refused_with_its_line(script: str) -> None:
    with pytest.raises(ConfigError, match=r"^line 3: .*name a delimiter"):
        list(split(f"SELECT 1;\n\n{script}"))


def test_load_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "010_users.sql"
    path.write_text("SELECT 1;\nDELIMITER\n")
    with pytest.raises(ConfigError, match=r"^010_users\.sql:line 2: "):
        load(path)


def test_load_refuses_what_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin1.sql"
    path.write_bytes("SELECT 'é'".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin1\.sql.*byte 8.*iconv"):
        load(path)


def test_load_takes_windows_files_as_the_client_does(tmp_path: Path) -> None:
    path = tmp_path / "windows.sql"
    path.write_bytes("\ufeffSELECT 'a\r\nb';\r\nSELECT 2;\r\n".encode())
    assert load(path) == [Statement("SELECT 'a\nb'", 1), Statement("SELECT 2", 3)]


# --- properties

NEWLINE = "\n"
STRINGS = st.text(alphabet="ab;-#/*! \n$'\"`\\", max_size=12)
WORDS = ["SELECT", "x", "1", ",", "(", ")", "=", "5--2", "-", "/", "*", "!", "\\N", "é😀", "delimiter", "use"]
TOKENS = st.one_of(
    st.sampled_from(WORDS),
    STRINGS.map(lambda text: "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"),
    STRINGS.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'),
    STRINGS.map(lambda text: "`" + text.replace("`", "``") + "`"),
    STRINGS.map(lambda text: "/* " + text.replace("*/", "").rstrip("*") + " */"),
    STRINGS.map(lambda text: "-- " + text.replace("\n", "") + NEWLINE),
    STRINGS.map(lambda text: "#" + text.replace("\n", "") + NEWLINE),
    st.sampled_from(["/*!40101 SET a = 'x;*/' ; b */", "/*M! c; */"]),
)
STATEMENTS = st.lists(TOKENS, max_size=8).flatmap(
    lambda tokens: st.sampled_from([" ", "\n", "\t"]).map(lambda gap: f"SELECT{gap}" + gap.join(tokens))
)
GAPS = st.sampled_from(["", " ", "\n", "\n\n", " -- c; '\n", "/* ;' */", "\n--------\n", "#\n"])


@given(statements=st.lists(STATEMENTS, max_size=6), gaps=st.lists(GAPS, min_size=7, max_size=7), last=st.booleans())
def test_joined_statements_come_back(statements: list[str], gaps: list[str], last: bool) -> None:
    script, expected = gaps[0], []
    for number, (statement, gap) in enumerate(zip(statements, gaps[1:], strict=False), 1):
        expected.append(Statement(statement.rstrip(), script.count("\n") + 1))
        script += statement + ("" if last and number == len(statements) else ";" + gap)
    assert list(split(script)) == expected


BODIES = st.sampled_from(["SELECT 1", "BEGIN a; b; END", "SELECT '$$ // | go ;; END_OF'", "SELECT 1 -- $$ | go"])
DELIMITERS = st.sampled_from(["$$", ";;", "//", "|", "go", "END_OF"])


@given(parts=st.lists(st.tuples(DELIMITERS, st.lists(BODIES, max_size=4)), max_size=4))
def test_statements_come_back_whatever_the_delimiter(parts: list[tuple[str, list[str]]]) -> None:
    script = "".join(
        f"DELIMITER {delimiter}\n" + "".join(f"{body}\n{delimiter}\n" for body in bodies) for delimiter, bodies in parts
    )
    assert [found.text for found in split(script)] == [body for _, bodies in parts for body in bodies]


BETWEEN = re.compile(r"(?:[\s\x00;]|\\[gG]|#[^\n]*|--[^\n]*|/\*(?!M?!)(?:.*?\*/|.*\Z))*", re.DOTALL)


@given(script=st.text(alphabet="ab;;'\"`-#/*!\\\n gG\r", max_size=60))
@settings(max_examples=500)
def test_nothing_is_lost_or_invented_and_lines_are_right(script: str) -> None:
    ends = {0}  # where the statements so far may end; the same text may stand in a comment, too
    for found in split(script):
        places = [match.start() for match in re.finditer(f"(?={re.escape(found.text)})", script)]
        fitting = {
            place + len(found.text)
            for place in places
            for end in ends
            if end <= place and BETWEEN.fullmatch(script, end, place)
            if script.count("\n", 0, place) + 1 == found.line
        }
        assert fitting, f"{found} is not what follows"
        ends = fitting
    assert any(BETWEEN.fullmatch(script, end) for end in ends)


EVIL = {
    "quotes": "'" * 300_001,
    "backslashes": "\\" * 300_000,
    "escapes": "'" + "\\'" * 150_000,
    "dashes": "-" * 300_000,
    "minus": "x " + "- " * 150_000,
    "openings": "x" + "/*" * 150_000,
    "versioned": "/*!" * 100_000,
    "blanks": "x\n" + " " * 300_000 + "delimiter",
    "comments on one line": "/*a*/ ;" * 150_000,
    "statements on one line": "x;" * 100_000,
    "use": "use " + "a" * 300_000,
    "delimiters": "delimiter ;\n" * 30_000,
}


@pytest.mark.parametrize("case", EVIL)
def test_time_is_linear(case: str) -> None:
    """Ten times the text may take ten times as long, with room for a busy machine; a square would take a hundred."""
    script = EVIL[case]
    small = min(seconds_to_split(script[: len(script) // 10]) for _ in range(3))
    assert seconds_to_split(script) < 40 * small + 0.2


def seconds_to_split(script: str) -> float:
    started = time.process_time()
    for _ in split(script):
        pass
    return time.process_time() - started


def test_seven_megabytes_in_about_a_second() -> None:
    row = r"(1, 'it''s; a \' -- text #1', \"x-y\", '2026-01-02 03:04:05')".replace('\\"', '"')
    script = ("INSERT INTO t VALUES " + ", ".join([row] * 2_000) + ";\n") * 58
    assert len(script) > 7_000_000
    assert seconds_to_split(script) < 3
