"""Rights of database users, and the grammar in which settings ask for them.

A text is never put into SQL: it is read into a ``Grant``, and names are quoted when that is written again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from aurora_ops.core.errors import ConfigError
from aurora_ops.core.tables import quoted

# What settings may ask for, by where it is given.
DATABASE, TABLE, PROCEDURE, FUNCTION = "database", "table", "procedure", "function"
_TABLE = frozenset(
    {
        "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER", "CREATE VIEW", "SHOW VIEW",
        "TRIGGER",
    }
)  # fmt: skip
_ROUTINE = frozenset({"EXECUTE", "ALTER ROUTINE"})
LEVELS: dict[str, frozenset[str]] = {
    DATABASE: _TABLE | _ROUTINE | {"CREATE ROUTINE", "CREATE TEMPORARY TABLES", "EVENT", "LOCK TABLES"},
    TABLE: _TABLE,
    PROCEDURE: _ROUTINE,
    FUNCTION: _ROUTINE,
}
ALL = "ALL PRIVILEGES"
# What only a server shows: ``pattern`` is a database-level grant whose name has wildcards.
GLOBAL, PATTERN, ROLE, PROXY = "global", "pattern", "role", "proxy"
_OF_COLUMNS = frozenset({"SELECT", "INSERT", "UPDATE", "REFERENCES"})
# What nobody has who only reads. What a routine does is its definer's affair, and temporary tables are nobody else's.
_WRITING = frozenset(
    {
        ALL, "ALTER", "ALTER ROUTINE", "CREATE", "CREATE ROUTINE", "CREATE USER", "CREATE VIEW", "DELETE",
        "DELETE HISTORY", "DROP", "EVENT", "INDEX", "INSERT", "SUPER", "TRIGGER", "UPDATE",
    }
)  # fmt: skip
_SERVERS_OWN = frozenset({"mysql", "information_schema", "performance_schema", "sys"})

_LONGEST, _LONGEST_NAME, _SHOWN = 4000, 64, 200
_PLAIN = re.compile(r"[0-9A-Za-z_$]+")
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u2028\u2029\ud800-\udfff]|[^\x00-\uffff]| \Z")
_WILDCARD = re.compile(r"[_%]")
_CAPITALS = re.compile(r"[A-Z]+")
_TOKEN = re.compile(r"(?P<space> +)|(?P<name>`(?:[^`]|``)+`)|(?P<word>[0-9A-Za-z_$]+)|(?P<mark>[(),.*])")
_FORMS = (
    "write such as SELECT, INSERT ON shop.*, or SELECT (id, email), UPDATE (email) ON shop.customers, or EXECUTE ON PROCEDURE "
    "shop.refund; names of other than letters, digits, _ and $ stand in back quotes"
)


class Place(NamedTuple):
    """What a right is about.

    :param kind: ``database``, ``table``, ``procedure`` or ``function``; of a server also ``global``, ``pattern``, ``package``,
        ``package body``, ``role`` and ``proxy``.
    :param schema: database; of a role or a proxied account its name.
    :param name: table or routine; of a role or a proxied account its host.
    """

    kind: str
    schema: str = ""
    name: str = ""

    def sql(self, *, literal_names: bool = False) -> str:
        r"""Write the place as it stands in GRANT and REVOKE.

        :param literal_names: whether the server takes database names as they are (``partial_revokes``); others read ``_`` and
            ``%`` in them as wildcards, so these get a ``\``.
        """
        if self.kind == GLOBAL:
            return "*.*"
        if self.kind in (DATABASE, PATTERN):
            escaped = self.kind == DATABASE and not literal_names
            return quoted(_WILDCARD.sub(r"\\\g<0>", self.schema) if escaped else self.schema) + ".*"
        if self.kind in (ROLE, PROXY):
            return quoted(self.schema) + (f"@{quoted(self.name)}" if self.name else "")
        return self._prefix + f"{quoted(self.schema)}.{quoted(self.name)}"

    def __str__(self) -> str:
        if self.kind in (ROLE, PROXY):
            return f"{self.kind} {_written(self.schema)}"
        if self.kind == GLOBAL:
            return "*.*"
        if self.kind in (DATABASE, PATTERN):
            return f"{_written(self.schema)}.*"
        return self._prefix + f"{_written(self.schema)}.{_written(self.name)}"

    @property
    def _prefix(self) -> str:
        return "" if self.kind == TABLE else f"{self.kind.upper()} "


class Right(NamedTuple):
    """One privilege at one place.

    :param place: what it is about.
    :param privilege: in capitals.
    :param column: column that it is limited to, in lower case; empty: the whole place.
    """

    place: Place
    privilege: str
    column: str = ""

    @property
    def writes(self) -> bool:
        """Whether data, or what is stored beside it, can be changed by it."""
        return self.privilege in _WRITING


@dataclass(frozen=True)
class Grant:
    """Some privileges at one place.

    :param place: what they are about.
    :param privileges: each with the columns it is limited to, in order; no columns: the whole place.
    """

    place: Place
    privileges: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def rights(self) -> frozenset[Right]:
        """Its privileges, one by one."""
        return frozenset(
            Right(self.place, privilege, column)
            for privilege, columns in self.privileges
            for column in columns or ("",)
        )

    def sql(self, *, literal_names: bool = False) -> str:
        """Write it as it stands between GRANT and TO; see ``Place.sql``."""
        place = self.place.sql(literal_names=literal_names)
        return place if self.place.kind == ROLE else f"{self._list(quoted)} ON {place}"

    def __str__(self) -> str:
        return str(self.place) if self.place.kind == ROLE else f"{self._list(_written)} ON {self.place}"

    def _list(self, named: Callable[[str], str]) -> str:
        return ", ".join(
            privilege + (f" ({', '.join(map(named, columns))})" if columns else "")
            for privilege, columns in self.privileges
        )


def collect(rights: Iterable[Right]) -> list[Grant]:
    """Put rights together by place; what is said of all privileges, and what is limited to columns, are grants of their own."""
    found: dict[tuple[Place, bool, bool], dict[str, list[str]]] = {}
    for place, privilege, column in sorted(rights):
        names = found.setdefault((place, privilege != ALL, bool(column)), {}).setdefault(privilege, [])
        if column:
            names.append(column)
    return [
        Grant(place, tuple((privilege, tuple(columns)) for privilege, columns in wanted.items()))
        for (place, _, _), wanted in sorted(found.items())
    ]


def folded(name: str) -> str:
    """Write the name of a column or routine as it is compared: servers do not look at their case."""
    return _CAPITALS.sub(lambda found: found[0].lower(), name)


def parse(text: str, field: str) -> Grant:
    """Read what a setting asks for.

    :param text: such as ``SELECT, INSERT ON shop.*``.
    :param field: setting it stands in, for the error.
    :raises ConfigError: it is not of that form, or asks for what is not given here: rights on all databases or the server's own,
        ``GRANT OPTION``, administration.
    """
    return _Reader(text, field).grant()


class _Reader:
    """Reads one text from its start to its end."""

    def __init__(self, text: str, field: str) -> None:
        self.text = text
        self.field = field
        self.tokens: list[tuple[str, str]] = []
        self.at = 0
        end = 0
        if len(text) > _LONGEST:
            raise self.refused(f"write at most {_LONGEST} characters, and several grants instead of one")
        while end < len(text):
            found = _TOKEN.match(text, end)
            if found is None:
                raise self.refused(f"character {end + 1} has no meaning here; {_FORMS}")
            end = found.end()
            if found.lastgroup != "space":
                self.tokens.append((str(found.lastgroup), found[0]))

    def grant(self) -> Grant:
        """Read ``privileges ON place``."""
        wanted: dict[str, set[str]] = {}
        while True:
            privilege, columns = self._words(), self._columns()
            # a privilege that is asked for whole is whole, whatever else is said of it
            known = wanted.get(privilege)
            wanted[privilege] = columns if known is None else known | columns if known and columns else set()
            if not self._takes(","):
                break
        if not self._takes_word("ON"):
            raise self.refused(_FORMS)
        place = self._place()
        if self.at < len(self.tokens):
            raise self.refused(f"nothing may stand behind {place}; GRANT OPTION is never given")
        for privilege, columns in wanted.items():
            self._require(privilege, columns, place)
        return Grant(place, tuple(sorted((privilege, tuple(sorted(columns))) for privilege, columns in wanted.items())))

    def _require(self, privilege: str, columns: set[str], place: Place) -> None:
        level = LEVELS[place.kind]
        if privilege not in level:
            allowed = ", ".join(sorted(level))
            raise self.refused(f"{privilege} is not given on a {place.kind}; allowed are {allowed}, each by its name")
        if columns and (place.kind != TABLE or privilege not in _OF_COLUMNS):
            raise self.refused(f"columns stand only behind {', '.join(sorted(_OF_COLUMNS))} on a table")

    def _words(self) -> str:
        words = []
        while (token := self._next()) and token[0] == "word" and token[1].upper() != "ON":
            words.append(token[1].upper())
            self.at += 1
        if not words:
            raise self.refused(_FORMS)
        return " ".join(words)

    def _columns(self) -> set[str]:
        if not self._takes("("):
            return set()
        names = {folded(self._name())}
        while self._takes(","):
            names.add(folded(self._name()))
        if not self._takes(")"):
            raise self.refused(_FORMS)
        return names

    def _place(self) -> Place:
        kind = ""
        if (token := self._next()) and token[0] == "word" and self._next(1) != ("mark", "."):
            kind = token[1].lower()
            if kind not in (TABLE, PROCEDURE, FUNCTION):
                raise self.refused(_FORMS)
            self.at += 1
        if self._takes("*"):
            raise self.refused("rights on all databases are not given; name the database")
        schema = self._name()
        if schema.lower() in _SERVERS_OWN:
            raise self.refused(f"{schema} is the server's own")
        if not self._takes("."):
            raise self.refused(_FORMS)
        if not self._takes("*"):
            name = self._name()
            return Place(kind or TABLE, schema, folded(name) if kind in (PROCEDURE, FUNCTION) else name)
        if kind:
            raise self.refused(_FORMS)
        return Place(DATABASE, schema)

    def _name(self) -> str:
        token = self._next()
        if token is None or token[0] == "mark":
            raise self.refused(_FORMS)
        self.at += 1
        name = token[1] if token[0] == "word" else token[1][1:-1].replace("``", "`")
        if len(name) > _LONGEST_NAME or _NO_NAME.search(name):
            raise self.refused(
                f"a name has at most {_LONGEST_NAME} characters, without control characters, slashes and a blank at its end"
            )
        return name

    def _next(self, ahead: int = 0) -> tuple[str, str] | None:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else None

    def _takes(self, mark: str) -> bool:
        taken = self._next() == ("mark", mark)
        self.at += taken
        return taken

    def _takes_word(self, word: str) -> bool:
        token = self._next()
        taken = token is not None and token[0] == "word" and token[1].upper() == word
        self.at += taken
        return taken

    def refused(self, why: str) -> ConfigError:
        """Build the error of this text."""
        return ConfigError(self.field, self.text[:_SHOWN], why)


def _written(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else quoted(name)
