r"""Split SQL scripts into statements as the mysql client does.

Known are ``DELIMITER``, strings, quoted names, the three kinds of comment, versioned comments (``/*! ... */``), ``\G``
and ``\g`` as terminators, and ``USE name`` without a delimiter. SQL itself is not parsed: as with the client, a body
with semicolons needs ``DELIMITER``. Deliberate differences: a versioned comment is never cut in two (the client cuts it
at a delimiter, and sends halves that no server understands), and a comment before a statement is not part of it. Other
commands of the client (``source``, ``status``) are not known and reach the server, which refuses them.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aurora_ops.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BOM = "\ufeff"
_COMMAND = re.compile(
    r"delimiter(?:[ \t]+(?P<argument>'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`|[^\s]+)[^\n]*|[ \t\r]*)(?=\n|\Z)", re.I
)
_USE = re.compile(r"use[ \t]+(?:`[^`\n]+`|[^\s`'\"/#-]+)(?=[ \t\r]*(?:\n|\Z))", re.I)
_BLANK = re.compile(r"[\s\x00]+")
_LINE_REST = re.compile(r"[^\n]*")
_COMMENT_END = re.compile(r"\*/|\Z")
_VERSIONED = re.compile(r"/\*M?!")
_DASHES = re.compile(r"--(?=[\s\x00-\x1f]|\Z)")
_QUOTED = {
    (quote, escapes): re.compile(
        rf"{quote}(?:[^{quote}\\]++|\\(?:.|\Z))*+(?:{quote}|\Z)" if escapes else rf"{quote}[^{quote}]*+(?:{quote}|\Z)",
        re.S,
    )
    for quote in "'\"`"
    for escapes in (True, False)
}


@dataclass(frozen=True)
class Statement:
    """One statement of a script.

    :param text: what goes to the server: without delimiter, without comments before it.
    :param line: line of its first character, counted from 1.
    """

    text: str
    line: int


def load(path: Path) -> list[Statement]:
    r"""Read a script and split it.

    As with the client, ``\r\n`` counts as ``\n``, in strings too.

    :param path: file in UTF-8, with or without a byte order mark.
    :return: its statements in order.
    :raises ConfigError: the file cannot be read as UTF-8, or a DELIMITER names none.
    """
    try:
        script = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"byte {error.start}"
        raise ConfigError(
            path.name, where, "the file must be UTF-8: convert it, for example with iconv -t utf-8"
        ) from error
    try:
        return list(split(script.replace("\r\n", "\n")))
    except ConfigError as error:
        raise ConfigError(f"{path.name}:{error.field}", error.value, error.allowed) from error


def split(script: str, *, backslash_escapes: bool = True) -> Iterator[Statement]:
    r"""Split a script, in one pass and in time linear to its length.

    :param script: the text; a byte order mark at its start is skipped.
    :param backslash_escapes: whether a backslash escapes in strings; not so under sql_mode NO_BACKSLASH_ESCAPES.
    :return: the statements, as they are found. What is only comments is none; text after the last delimiter is one.
    :raises ConfigError: a DELIMITER names none, or one with a backslash, which no client accepts.
    """
    delimiter, counted, line = ";", 0, 1
    position = begin = len(_BOM) if script.startswith(_BOM) else 0
    while True:
        after_last = position
        position = _skip_to_code(script, position, delimiter)
        if position >= len(script):
            return
        line += script.count("\n", counted, position)
        counted = position
        at_line_start = _at_line_start(script, after_last, position, first=after_last == begin)
        if at_line_start and (command := _COMMAND.match(script, position)):
            delimiter = _new_delimiter(command["argument"], line)
            position = command.end()
        elif at_line_start and (use := _USE.match(script, position)) and delimiter not in use[0]:
            yield Statement(use[0], line)
            position = use.end()
        else:
            end, position_after = _statement_end(script, position, delimiter, backslash_escapes)
            if text := script[position:end].rstrip():
                yield Statement(text, line)
            position = position_after


def _at_line_start(script: str, after_last: int, position: int, *, first: bool) -> bool:
    """Whether only blanks stand before `position` on its line; looks back no further than to the last statement."""
    newline = script.rfind("\n", after_last, position)
    if newline < 0 and not first:
        return False
    return not script[max(newline + 1, after_last) : position].strip(" \t\r")


def _skip_to_code(script: str, position: int, delimiter: str) -> int:
    """Return where the first thing stands that is neither blank nor comment."""
    while position < len(script):
        if blank := _BLANK.match(script, position):
            position = blank.end()
        elif script.startswith(delimiter, position):
            return position
        elif script.startswith(("#", "--"), position):  # before a statement, any two dashes begin a comment
            position = _end(_LINE_REST, script, position)
        elif script.startswith("/*", position) and not _VERSIONED.match(script, position):
            position = _end(_COMMENT_END, script, position + 2)
        else:
            return position
    return position


def _statement_end(script: str, position: int, delimiter: str, escapes: bool) -> tuple[int, int]:
    """Return where the statement at `position` ends, and where to go on behind its delimiter."""
    special = _special(delimiter[0])
    versioned = False
    while found := special.search(script, position):
        position = found.start()
        character = script[position]
        if not versioned and script.startswith(delimiter, position):
            return position, position + len(delimiter)
        if character in "'\"`":
            position = _end(_QUOTED[character, escapes and character != "`"], script, position)
        elif character == "#" or _DASHES.match(script, position):
            position = _end(_LINE_REST, script, position)
        elif opening := _VERSIONED.match(script, position):
            versioned = True
            position = opening.end()
        elif script.startswith("/*", position):
            position = _end(_COMMENT_END, script, position + 2)
        elif versioned and script.startswith("*/", position):
            versioned = False
            position += 2
        elif not versioned and script.startswith(("\\g", "\\G"), position):
            return position, position + 2
        else:
            position += 1
    return len(script), len(script)


@functools.cache
def _special(first: str) -> re.Pattern[str]:
    """Match what can change the meaning of what follows, and the first character of the delimiter."""
    return re.compile(r"""['"`#\\]|--|/\*|\*/|""" + re.escape(first))


def _new_delimiter(argument: str | None, line: int) -> str:
    if argument and argument[0] in "'\"`" and argument[0] == argument[-1]:
        argument = argument[1:-1]
    if not argument or "\\" in argument:
        raise ConfigError(f"line {line}", f"DELIMITER {argument or ''}".strip(), "name a delimiter without a backslash")
    return argument


def _end(pattern: re.Pattern[str], script: str, position: int) -> int:
    found = pattern.search(script, position) if pattern is _COMMENT_END else pattern.match(script, position)
    assert found  # each of these patterns matches at least the end of the script  # noqa: S101
    return found.end()
