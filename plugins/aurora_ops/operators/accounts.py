"""Accounts of a server: who is there, what they may do, and how that is changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from aurora_ops.core.errors import ConfigError, PermanentError, StateError
from aurora_ops.core.granted import Changes, changes, read_line
from aurora_ops.core.grants import DATABASE, TABLE, Place, Right, collect, folded
from aurora_ops.hooks.mysql import MySqlHook

# Accounts of the server itself, of RDS, and roles that Aurora brings along.
SYSTEM_USERS = {
    "", "root", "mysql", "PUBLIC", "mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema",
    "rdsadmin", "rdsrepladmin", "rds_superuser_role", "rdstopmgr",
    "AWS_COMPREHEND_ACCESS", "AWS_BEDROCK_ACCESS", "AWS_LAMBDA_ACCESS", "AWS_LOAD_S3_ACCESS",
    "AWS_SAGEMAKER_ACCESS", "AWS_SELECT_S3_ACCESS",
}  # fmt: skip
_MOST_ROUNDS = 3


class Accounts:
    """The accounts of a server that are neither its own nor roles.

    :param sql: connection of a user that may change them.
    """

    def __init__(self, sql: MySqlHook) -> None:
        self.sql = sql

    @cached_property
    def literal_names(self) -> bool:
        """Whether the server takes names of databases in grants as they are."""
        return takes_names_literally(self.sql)

    def present(self) -> dict[str, list[str]]:
        """List them: user to hosts."""
        found: dict[str, list[str]] = {}
        roles = self._granted_roles()
        for name, host in self.sql.rows("SELECT User, Host FROM mysql.user", what="list users"):
            if name not in SYSTEM_USERS and host and name not in roles:
                found.setdefault(name, []).append(host)
        return found

    def drop(self, name: str, hosts: Iterable[str]) -> None:
        """Drop a user, wherever it comes from."""
        for host in hosts:
            self.sql.run(f"DROP USER IF EXISTS {self._account(name, host)}", what="drop user")

    def set_password(self, name: str, host: str, password: str) -> None:
        """Create an account, or give it this password and unlock it."""
        account = self._account(name, host)
        secret = self.sql.literal(password)
        self.sql.run(f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY {secret}", what="set password")
        self.sql.run(f"ALTER USER {account} IDENTIFIED BY {secret} ACCOUNT UNLOCK", what="set password")

    def rights(self, name: str, host: str) -> frozenset[Right]:
        """Read what an account has been given, roles included; what those may do is theirs."""
        shown = self.sql.rows(f"SHOW GRANTS FOR {self._account(name, host)}", what=f"read rights of {name}")
        lines = [read_line(str(line), literal_names=self.literal_names) for (line,) in shown]
        return frozenset(right for line in lines if line and line[:2] == (name, host) for right in line.rights)

    def bring(self, name: str, host: str, want: frozenset[Right], *, exact: bool) -> list[str]:
        """Bring the rights of an account to what is asked for; nothing is changed where they are that already.

        :param name: user.
        :param host: its host.
        :param want: what it shall be able to do.
        :param exact: take away everything else.
        :return: what was changed, in order, such as ``REVOKE DELETE ON shop.*``.
        :raises StateError: the server still shows something else.
        """
        done: list[str] = []
        for _ in range(_MOST_ROUNDS):
            todo = changes(self.rights(name, host), want, exact=exact)
            if not todo:
                return done
            done += self._apply(name, host, todo)
            if not exact:
                return done
        left = [str(grant) for grant in collect(todo.revoke | todo.grant)]
        raise StateError(
            f"{name}@{host}: rights are not as asked for after {_MOST_ROUNDS} rounds; look at {'; '.join(left)}"
        )

    def missing_places(self, rights: Iterable[Right], field: str) -> list[PermanentError]:
        """Say which tables, columns and routines do not exist that rights are asked for.

        :param rights: what is asked for.
        :param field: setting it stands in, for the errors.
        """
        wanted = sorted({(right.place, right.column) for right in rights})
        known: dict[Place, set[str]] = {}
        problems: list[PermanentError] = []
        for place, column in wanted:
            if place not in known:
                known[place] = self._columns(place) if place.kind == TABLE else self._routine(place)
                if not known[place]:
                    problems.append(ConfigError(field, str(place), "it must exist in the cluster"))
            if known[place] and column and column not in known[place]:
                problems.append(ConfigError(field, f"{place}.{column}", f"columns are {sorted(known[place])}"))
        return problems

    def _columns(self, place: Place) -> set[str]:
        rows = self.sql.rows(
            "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
            place[1:],
            what="look up columns",
        )
        return {folded(name) for (name,) in rows}

    def _routine(self, place: Place) -> set[str]:
        if place.kind == DATABASE:  # may be made later
            return {""}
        rows = self.sql.rows(
            "SELECT 1 FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = %s AND ROUTINE_NAME = %s AND ROUTINE_TYPE = %s",
            (place.schema, place.name, place.kind.upper()),
            what="look up routines",
        )
        return {"" for _ in rows}

    def _apply(self, name: str, host: str, todo: Changes) -> list[str]:
        account, done = self._account(name, host), []
        steps: Sequence[tuple[str, str, frozenset[Right]]] = (
            ("REVOKE", "FROM", todo.revoke),
            ("GRANT", "TO", todo.grant),
        )
        for verb, preposition, rights in steps:
            for grant in collect(rights):
                text = grant.sql(literal_names=self.literal_names)
                self.sql.run(f"{verb} {text} {preposition} {account}", what=f"{verb.lower()} on {grant.place}")
                done.append(f"{verb} {grant}")
        return done

    def _account(self, name: str, host: str) -> str:
        return f"{self.sql.literal(name)}@{self.sql.literal(host)}"

    def _granted_roles(self) -> set[str]:
        """List the roles that users have: in MySQL 8 they stand among the accounts, in MariaDB they have no host."""
        known = self.sql.rows(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'role_edges'",
            what="list roles",
        )
        if not known[0][0]:
            return set()
        return {name for (name,) in self.sql.rows("SELECT DISTINCT FROM_USER FROM mysql.role_edges", what="list roles")}


def takes_names_literally(sql: MySqlHook) -> bool:
    """Tell whether a server takes names of databases in grants as they are (``partial_revokes`` of MySQL 8), not as patterns."""
    found = sql.rows("SHOW VARIABLES LIKE 'partial_revokes'", what="read variables")
    return bool(found) and str(found[0][1]).upper() in ("ON", "1")
