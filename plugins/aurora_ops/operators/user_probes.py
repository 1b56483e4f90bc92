"""Each user logged in, and what it may and may not do tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aurora_ops.core import probes
from aurora_ops.core.coverage import listed
from aurora_ops.core.errors import PermanentError
from aurora_ops.core.granted import changes, read_rights
from aurora_ops.core.grants import FUNCTION, PROCEDURE, Place, Right, collect, folded
from aurora_ops.core.masking import SCRATCH
from aurora_ops.core.probes import Routine, Target
from aurora_ops.core.tables import Table, quoted
from aurora_ops.core.users import User
from aurora_ops.core.verification import Finding
from aurora_ops.hooks.mysql import Login, MySqlHook, can_log_in, was_denied
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.operators.accounts import takes_names_literally
from aurora_ops.operators.user_secrets import current_password, read_users

_KIND = "user"


@dataclass(frozen=True)
class Tried:
    """What users are tried on.

    :param targets: tables and views.
    :param routines: procedures and functions.
    :param exact: users whose rights are given must have nothing beyond them.
    :param demands_tls: no user may get in without TLS.
    """

    targets: Sequence[Target] = ()
    routines: Sequence[Routine] = ()
    exact: bool = False
    demands_tls: bool = False


def probe_users(
    users: Sequence[Mapping[str, Any]],
    secrets: SecretsHook,
    where: Login,
    versions: Mapping[str, str] | None,
    tried: Tried | None = None,
) -> list[Finding]:
    """Log in as each user and try what it may and may not do. Nothing is read or changed by it.

    :param users: ``core.users.User`` as dictionaries.
    :param secrets: secrets of the account.
    :param where: server to log in to, as the master user.
    :param versions: secret id to version to log in with; what is not among them, or ``None``, is what is current.
    :param tried: what they are tried on; ``None``: only what nobody may.
    """
    tried = tried or Tried()
    findings: list[Finding] = []
    for user in read_users(users, secrets, where.user):
        login = Login(where.host, where.port, user.username, current_password(user, secrets, versions), where.tls_ca)
        entered = can_log_in(login)
        findings.append(Finding(_KIND, f"login {user.username}", entered, "" if entered else "refused"))
        if entered and tried.demands_tls:
            plain = can_log_in(replace(login, plain=True))
            findings.append(
                Finding(
                    _KIND, f"login {user.username} without TLS is refused", not plain, "it is let in" if plain else ""
                )
            )
        if entered:
            with MySqlHook(login) as sql:
                findings += _rights(sql, user, tried.exact)
                findings += _tries(sql, user, tried)
    return findings


def read_targets(sql: MySqlHook, schemas: Sequence[str]) -> tuple[list[Target], list[Routine]]:
    """Look up what users are tried on: tables, views and routines of schemas.

    :param sql: connection of the master user.
    :param schemas: names.
    """
    if not schemas:
        return [], []
    marks = ", ".join(["%s"] * len(schemas))
    columns: dict[tuple[str, str, bool], list[tuple[str, bool]]] = {}
    for schema, name, kind, column, expression in sql.rows(
        "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, c.COLUMN_NAME, c.GENERATION_EXPRESSION "  # noqa: S608
        "FROM information_schema.TABLES AS t JOIN information_schema.COLUMNS AS c "
        "ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME "
        f"WHERE t.TABLE_SCHEMA IN ({marks}) AND t.TABLE_TYPE IN ('BASE TABLE', 'VIEW') "
        "ORDER BY t.TABLE_SCHEMA, t.TABLE_NAME, c.ORDINAL_POSITION",
        list(schemas),
        what="list columns",
    ):
        columns.setdefault((schema, name, kind == "VIEW"), []).append((column, bool(expression)))
    targets = [
        Target(
            Table(schema, name),
            tuple(column for column, _ in found),
            tuple(column for column, generated in found if not generated),
            is_view,
        )
        for (schema, name, is_view), found in columns.items()
    ]
    routines = [
        Routine(Place(PROCEDURE if kind == "PROCEDURE" else FUNCTION, schema, folded(name)), int(parameters))
        for schema, name, kind, parameters in sql.rows(
            "SELECT r.ROUTINE_SCHEMA, r.ROUTINE_NAME, r.ROUTINE_TYPE, (SELECT COUNT(*) FROM information_schema.PARAMETERS AS p "  # noqa: S608
            "WHERE p.SPECIFIC_SCHEMA = r.ROUTINE_SCHEMA AND p.SPECIFIC_NAME = r.SPECIFIC_NAME "
            "AND p.ROUTINE_TYPE = r.ROUTINE_TYPE AND p.ORDINAL_POSITION > 0) FROM information_schema.ROUTINES AS r "
            f"WHERE r.ROUTINE_SCHEMA IN ({marks}) AND r.ROUTINE_TYPE IN ('PROCEDURE', 'FUNCTION') ORDER BY 1, 2, 3",
            list(schemas),
            what="list routines",
        )
    ]
    return targets, routines


def _rights(sql: MySqlHook, user: User, exact: bool) -> list[Finding]:
    """Compare what the server shows with what is asked for."""
    lines = [str(line) for (line,) in sql.rows("SHOW GRANTS", what="probe")]
    have = read_rights(lines, literal_names=takes_names_literally(sql))
    name, findings = user.username, []
    if user.rights:
        missing, extra = changes(have, user.rights, exact=False).grant, changes(have, user.rights, exact=True).revoke
        findings.append(_found(f"{name} has the rights that are asked for", _texts(missing), "lacks "))
        if exact:
            findings.append(_found(f"{name} has no other right", _texts(extra), "has "))
    if not user.may_write:
        writes = sorted({right.privilege for right in have if right.writes})
        findings.append(_found(f"{name} has no write privilege", writes, ""))
    return findings


def _tries(sql: MySqlHook, user: User, tried: Tried) -> list[Finding]:
    """Try it, in a transaction that is rolled back."""
    name = user.username
    must_not = {"read accounts": "SELECT COUNT(*) FROM mysql.user"}
    if not user.may_write:
        must_not["write"] = f"CREATE TEMPORARY TABLE {quoted(SCRATCH)}.probe (n INT)"
    sql.run("START TRANSACTION", what="probe")
    findings = []
    for what, statement in must_not.items():
        refused = _refuses(sql, statement)
        findings.append(Finding(_KIND, f"{name} cannot {what}", refused, "" if refused else "it can"))
    planned = probes.plan(user.rights, tried.targets, tried.routines, writes=user.may_write, exact=tried.exact)
    wrong: dict[tuple[str, bool], list[str]] = {}
    total: dict[tuple[str, bool], int] = {}
    for probe in planned:
        key = (probe.privilege, probe.allowed)
        total[key] = total.get(key, 0) + 1
        if _refuses(sql, probe.sql) is probe.allowed:
            wrong.setdefault(key, []).append(probe.where)
    for privilege, allowed in total:
        where = sorted(wrong.get((privilege, allowed), []))
        said = f"{'refused' if allowed else 'let'} on {len(where)} of {total[privilege, allowed]}: {listed(where)}"
        elsewhere = " elsewhere" if (privilege, True) in total else ""
        title = f"{name} may {privilege}" if allowed else f"{name} cannot {privilege}{elsewhere}"
        findings.append(Finding(_KIND, title, not where, said if where else f"tried on {total[privilege, allowed]}"))
    sql.run("ROLLBACK", what="probe")
    return findings


def _refuses(sql: MySqlHook, statement: str) -> bool:
    """Tell whether the server refuses a statement for lack of a right; any other error comes after that was looked at."""
    try:
        sql.run(statement, what="probe")
    except PermanentError as exc:
        return was_denied(exc)
    return False


def _found(name: str, wrong: Sequence[str], verb: str) -> Finding:
    return Finding(_KIND, name, not wrong, f"{verb}{listed(wrong)}" if wrong else "")


def _texts(rights: Iterable[Right]) -> list[str]:
    return [str(grant) for grant in collect(rights)]
