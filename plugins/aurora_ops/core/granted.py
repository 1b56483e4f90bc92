"""What a server shows of somebody's rights (``SHOW GRANTS``), and what must change for them to be as asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from aurora_ops.core.errors import StateError
from aurora_ops.core.grants import ALL, DATABASE, GLOBAL, LEVELS, PATTERN, PROXY, ROLE, TABLE, Place, Right, folded

GRANT_OPTION = "GRANT OPTION"
_USAGE = "USAGE"  # is no right
_ROUTINES = ("PACKAGE BODY", "PACKAGE", "PROCEDURE", "FUNCTION")
_PRIVILEGE = re.compile(r"[A-Z][0-9A-Z_ ]*")
_TOKEN = re.compile(
    r"""\s+|(?P<name>`(?:[^`]|``)*`|"(?:[^"]|"")*")|(?P<text>'(?:[^'\\]|\\.|'')*')|(?P<word>[^\s`"'(),.@]+)|(?P<mark>.)""",
    re.S,
)


class Shown(NamedTuple):
    """A line of ``SHOW GRANTS``.

    :param user: whose rights they are: name of a user or role.
    :param host: host of the user; empty for a role of MariaDB.
    :param rights: what it gives.
    """

    user: str
    host: str
    rights: frozenset[Right]


def read_line(line: str, *, literal_names: bool = False) -> Shown | None:
    """Read a line as MySQL 8 or MariaDB write it; ``None`` for one that gives nothing (``SET DEFAULT ROLE``, ``REVOKE``).

    :param line: one row; it may hold the digest of a password, so no error shows it.
    :param literal_names: whether the server takes database names as they are (``partial_revokes``).
    :raises StateError: it is not understood.
    """
    return _Line(line, literal_names).read()


def read_rights(lines: Iterable[str], *, literal_names: bool = False) -> frozenset[Right]:
    """Read all that a server shows, whoever of roles and public it comes from."""
    shown = [read_line(line, literal_names=literal_names) for line in lines]
    return frozenset(right for each in shown if each for right in each.rights)


class Changes(NamedTuple):
    """What must change.

    :param revoke: rights to take away first.
    :param grant: rights to give then.
    """

    revoke: frozenset[Right]
    grant: frozenset[Right]

    def __bool__(self) -> bool:
        return bool(self.revoke or self.grant)


def changes(have: frozenset[Right], want: frozenset[Right], *, exact: bool) -> Changes:
    """Say what must change.

    :param have: what the server shows.
    :param want: what is asked for.
    :param exact: take away what is not asked for.
    """
    revoke: set[Right] = set()
    grant: set[Right] = set()
    for place in {right.place for right in have | want}:
        had = {right for right in have if right.place == place}
        wanted = {right for right in want if right.place == place}
        everything = Right(place, ALL)
        if everything not in had:
            less = had - wanted if exact else set()
            # who loses a privilege for the whole place loses it for the columns too
            lost = {right for right in had if right.column and right._replace(column="") in less}
            revoke |= less - lost
            grant |= wanted - (had - lost)
        elif exact and not LEVELS.get(place.kind, frozenset({ALL})) <= {right.privilege for right in wanted}:
            # whoever has all loses all, and is given what is asked for; all of a level by its names is shown as all
            revoke |= {everything, *(had & {Right(place, GRANT_OPTION)})}
            grant |= wanted
        elif exact:
            revoke |= had & {Right(place, GRANT_OPTION)}
    return Changes(frozenset(revoke), frozenset(grant if exact else _beside_patterns(grant, have)))


def _beside_patterns(grant: set[Right], have: frozenset[Right]) -> set[Right]:
    r"""Give to the row that is there: of ``shop_x`` and ``shop\_x`` servers look at the second only, so it would take away."""
    patterns = {right.place.schema for right in have if right.place.kind == PATTERN}
    found = set()
    for right in grant:
        if right.place.kind == DATABASE and right.place.schema in patterns:
            moved = right._replace(place=Place(PATTERN, right.place.schema))
            found |= {moved} - have
        else:
            found.add(right)
    return found


class _Line:
    """Reads one line."""

    def __init__(self, line: str, literal_names: bool) -> None:
        self.literal_names = literal_names
        self.tokens = [(str(found.lastgroup), found[0]) for found in _TOKEN.finditer(line) if found.lastgroup]
        self.at = 0

    def read(self) -> Shown | None:
        """Read the whole."""
        first = self._word()
        if first in ("SET", "REVOKE"):
            return None
        if first != "GRANT":
            raise self._not_understood()
        privileges = self._privileges() if self._peek()[0] == "word" else None
        if privileges is None:
            rights = {Right(Place(ROLE, *account), ROLE.upper()) for account in self._accounts()}
        elif not self._takes_word("ON"):
            raise self._not_understood()
        elif privileges == [("PROXY", "")]:
            rights = {Right(Place(PROXY, *self._account()), PROXY.upper())}
        else:
            place = self._place()
            rights = {Right(place, privilege, column) for privilege, column in privileges if privilege != _USAGE}
            if self._gives_on():
                rights.add(Right(place, GRANT_OPTION))
        if not self._takes_word("TO"):
            raise self._not_understood()
        return Shown(*self._account(), frozenset(rights))

    def _gives_on(self) -> bool:
        words = [token[1].upper() for token in self.tokens[self.at :] if token[0] == "word"]
        return ("GRANT", "OPTION") in pairwise(words)

    def _privileges(self) -> list[tuple[str, str]]:
        found = []
        while True:
            words = []
            while self._peek()[0] == "word" and self._peek()[1].upper() != "ON":
                words.append(self._word())
            privilege = " ".join(words)
            if not _PRIVILEGE.fullmatch(privilege):
                raise self._not_understood()
            found += [(privilege, column) for column in self._columns()]
            if not self._takes(","):
                return found

    def _columns(self) -> list[str]:
        if not self._takes("("):
            return [""]
        names = [folded(self._name())]
        while self._takes(","):
            names.append(folded(self._name()))
        if not self._takes(")"):
            raise self._not_understood()
        return names

    def _place(self) -> Place:
        kind = TABLE
        for words in _ROUTINES:
            if all(self._peek(n) == ("word", word) for n, word in enumerate(words.split())):
                kind = words.lower()
                self.at += len(words.split())
                break
        if self._takes_word("*"):
            return self._whole(Place(GLOBAL))
        schema = self._name()
        if self._peek(1) == ("word", "*"):
            literal = schema if self.literal_names else _literal(schema)
            return self._whole(Place(PATTERN, schema) if literal is None else Place(DATABASE, literal))
        if not self._takes("."):
            raise self._not_understood()
        name = self._name()
        return Place(kind, schema, name if kind == TABLE else folded(name))

    def _whole(self, place: Place) -> Place:
        if not self._takes(".") or not self._takes_word("*"):
            raise self._not_understood()
        return place

    def _accounts(self) -> list[tuple[str, str]]:
        found = [self._account()]
        while self._takes(","):
            found.append(self._account())
        return found

    def _account(self) -> tuple[str, str]:
        return self._name(), self._name() if self._takes("@") else ""

    def _name(self) -> str:
        kind, text = self._peek()
        if kind not in ("name", "text", "word"):
            raise self._not_understood()
        self.at += 1
        if kind == "word":
            return text
        plain = text[1:-1].replace(text[0] * 2, text[0])
        return re.sub(r"\\(.)", r"\1", plain) if kind == "text" else plain

    def _word(self) -> str:
        kind, text = self._peek()
        if kind != "word":
            raise self._not_understood()
        self.at += 1
        return text.upper()

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ("end", "")

    def _takes(self, mark: str) -> bool:
        taken = self._peek() == ("mark", mark)
        self.at += taken
        return taken

    def _takes_word(self, word: str) -> bool:
        kind, text = self._peek()
        taken = kind == "word" and text.upper() == word
        self.at += taken
        return taken

    def _not_understood(self) -> StateError:
        return StateError(
            f"a line of SHOW GRANTS is not understood from its part {self.at + 1} on; give the user its rights by hand, or turn "
            "exact grants off"
        )


def _literal(shown: str) -> str | None:
    r"""Read the name of a database: ``\_`` is ``_``; ``None`` where it is a pattern, or no other way to write it is sure."""
    if re.search(r"[\\_%]", re.sub(r"\\[_%]", "", shown)):
        return None
    return re.sub(r"\\([_%])", r"\1", shown)
