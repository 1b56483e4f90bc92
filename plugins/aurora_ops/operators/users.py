"""Database users: production's are dropped, the environment's own get new passwords, each login is proven."""

from __future__ import annotations

import secrets as random_source
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import naming
from aurora_ops.core.errors import ConfigError, PermanentError, VerificationError
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.settings import User
from aurora_ops.core.tables import quoted
from aurora_ops.hooks.mysql import Login, MySqlHook, can_log_in
from aurora_ops.hooks.rds import Cluster
from aurora_ops.hooks.secrets import CURRENT, SecretsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.sql import SqlOperator

# Accounts of the server itself, of RDS, and roles that Aurora brings along.
_SYSTEM_USERS = {
    "", "root", "mysql", "PUBLIC", "mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema",
    "rdsadmin", "rdsrepladmin", "rds_superuser_role", "rdstopmgr",
    "AWS_COMPREHEND_ACCESS", "AWS_BEDROCK_ACCESS", "AWS_LAMBDA_ACCESS", "AWS_LOAD_S3_ACCESS",
    "AWS_SAGEMAKER_ACCESS", "AWS_SELECT_S3_ACCESS",
}  # fmt: skip
_PASSWORD_BYTES = 24


class SetUsersOperator(SqlOperator):
    """Leave a cluster with the environment's users and no others, each with a new password.

    Users that are not listed are dropped, unless ``drop_others`` is off; a listed one that the snapshot does not have is created
    with its privileges. The new passwords go into the users' secrets as versions that nobody reads yet (``AWSPENDING``,
    ``PutSecretValue``); the switch makes them current. What else a
    secret says is kept: endpoints, the reader's among them, are the same after a switch. Each new login is proven, and that the
    password which was in the secret before no longer opens this cluster.

    :param users: ``core.settings.User`` as dictionaries (templated).
    :param drop_others: drop users that are not listed; a cluster that serves keeps them.
    :param run_key: names the run; a repeated try finds the versions it has written (templated).
    :param serving_id: name under which the cluster will serve (templated).
    :param serving_host: endpoint of that name, for secrets that name none; empty where no cluster has the name yet: then it
        follows from this cluster's own, since all endpoints of an account and region share their suffix (templated).
    :return: ``{"dropped": [users], "versions": {secret id: version id}}``.
    :raises ConfigError: a listed user is missing and no privileges are given to create it with.
    :raises VerificationError: a new password does not log in.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        *SqlOperator.permissions,
        "secretsmanager:PutSecretValue",
        "kms:GenerateDataKey",
    )
    template_fields: Sequence[str] = (
        *SqlOperator.template_fields,
        "users",
        "run_key",
        "serving_id",
        "serving_host",
    )

    def __init__(
        self,
        *,
        users: list[dict[str, Any]],
        run_key: str,
        serving_id: str,
        serving_host: str,
        drop_others: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.drop_others = drop_others
        self.users = users
        self.run_key = run_key
        self.serving_id = serving_id
        self.serving_host = serving_host

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Drop, create, set passwords, prove logins."""
        require_refreshable(self.cluster_id, cluster.tags)
        master = self.master(cluster)
        wanted = [User.model_validate(user) for user in self.users]
        versions: dict[str, str] = {}
        with self.connect(master) as sql:
            present = _accounts(sql)
            for user in wanted:
                if user.username not in present and not user.privileges:
                    raise ConfigError(
                        "database.users",
                        user.username,
                        "production has no such user: give the privileges to create it with",
                    )
            stay = {user.username for user in wanted} | {master.user}
            dropped = self._drop(sql, present, stay) if self.drop_others else []
            for user in wanted:
                password, versions[user.secret] = self._new_password(user, cluster)
                self._set(sql, user, password, present.get(user.username, []))
                self._prove(user, password, master)
        return {"dropped": dropped, "versions": versions}

    def _drop(self, sql: MySqlHook, present: dict[str, list[str]], stay: set[str]) -> list[str]:
        dropped = []
        for name, hosts in sorted(present.items()):
            if name in stay:
                continue
            for host in hosts:
                sql.run(f"DROP USER IF EXISTS {_account(sql, name, host)}", what="drop user")
            dropped.append(name)
        return dropped

    def _new_password(self, user: User, cluster: Cluster) -> tuple[str, str]:
        """Write the version of this run, or find the one an earlier try has written."""
        version = naming.secret_version(self.run_key, user.secret)
        found = self.secrets.find_version(user.secret, version)
        if found is None:
            found = {
                "engine": "mysql",
                "host": self.serving_host or cluster.endpoint.replace(f"{self.cluster_id}.", f"{self.serving_id}.", 1),
                "port": cluster.port,
                **self.secrets.require_secret(user.secret),
                "username": user.username,
                "password": random_source.token_urlsafe(_PASSWORD_BYTES),
            }
            self.secrets.put_pending(user.secret, found, version)
        return str(found["password"]), version

    @staticmethod
    def _set(sql: MySqlHook, user: User, password: str, hosts: list[str]) -> None:
        for host in hosts or ["%"]:
            account = _account(sql, user.username, host)
            sql.run(f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY {sql.literal(password)}", what="set password")
            sql.run(f"ALTER USER {account} IDENTIFIED BY {sql.literal(password)} ACCOUNT UNLOCK", what="set password")
            for schema, privileges in user.privileges.items():
                sql.run(f"GRANT {', '.join(privileges)} ON {quoted(schema)}.* TO {account}", what="grant")

    def _prove(self, user: User, password: str, master: Login) -> None:
        login = Login(master.host, master.port, user.username, password, self.tls_ca)
        if not can_log_in(login):
            raise VerificationError(f"{user.username} cannot log in to {self.cluster_id} with its new password")
        before = self.secrets.require_secret(user.secret)
        if before.get("password") not in (None, password):
            stale = Login(master.host, master.port, user.username, str(before["password"]), self.tls_ca)
            if can_log_in(stale):
                raise VerificationError(
                    f"{user.username} can still log in to {self.cluster_id} with its former password"
                )


def probe_users(
    users: list[User], secrets: SecretsHook, where: Login, versions: dict[str, str] | None
) -> list[tuple[str, bool, str]]:
    """Log in as each user and try what it may and may not do.

    :param users: the environment's users.
    :param secrets: secrets of the account.
    :param where: server to log in to; its user and password are not used.
    :param versions: secret id to version to log in with; ``None`` is what is current.
    :return: findings: (name, passed, detail).
    """
    findings = []
    for user in users:
        secret = (
            secrets.find_version(user.secret, versions[user.secret])
            if versions
            else secrets.find_secret(user.secret, CURRENT)
        ) or {}
        login = Login(where.host, where.port, user.username, str(secret.get("password", "")), where.tls_ca)
        entered = can_log_in(login)
        findings.append((f"login {user.username}", entered, "" if entered else "refused"))
        if entered:
            findings += _probes(user, login)
    return findings


def _probes(user: User, login: Login) -> list[tuple[str, bool, str]]:
    """Try what an application's user must never be able to do; a server that lets it is a finding."""
    forbidden = {"read accounts": "SELECT COUNT(*) FROM mysql.user"}
    if not user.writes:
        forbidden["write"] = "CREATE TEMPORARY TABLE aurora_ops_scratch.probe (n INT)"
    with MySqlHook(login) as sql:
        granted = " ".join(str(grant) for (grant,) in sql.rows("SHOW GRANTS", what="probe"))
        findings = []
        for name, statement in forbidden.items():
            refused = _refuses(sql, statement)
            findings.append((f"{user.username} cannot {name}", refused, "" if refused else "it can"))
        if not user.writes:
            writes = [word for word in ("INSERT", "UPDATE", "DELETE", "DROP", "ALL PRIVILEGES") if word in granted]
            findings.append((f"{user.username} has no write privilege", not writes, ", ".join(writes)))
    return findings


def _refuses(sql: MySqlHook, statement: str) -> bool:
    try:
        sql.run(statement, what="probe")
    except PermanentError:
        return True
    return False


def _accounts(sql: MySqlHook) -> dict[str, list[str]]:
    """List the server's accounts that are neither its own nor roles: user to hosts."""
    found: dict[str, list[str]] = {}
    roles = _granted_roles(sql)
    for name, host in sql.rows("SELECT User, Host FROM mysql.user", what="list users"):
        if name not in _SYSTEM_USERS and host and name not in roles:
            found.setdefault(name, []).append(host)
    return found


def _granted_roles(sql: MySqlHook) -> set[str]:
    """List the roles that users have: in MySQL 8 they stand among the accounts, in MariaDB they have no host."""
    known = sql.rows(
        "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'role_edges'",
        what="list roles",
    )
    if not known[0][0]:
        return set()
    return {name for (name,) in sql.rows("SELECT DISTINCT FROM_USER FROM mysql.role_edges", what="list roles")}


def _account(sql: MySqlHook, name: str, host: str) -> str:
    return f"{sql.literal(name)}@{sql.literal(host)}"
