"""Database users: production's are dropped, the environment's own are given passwords and rights, each login is proven."""

from __future__ import annotations

import secrets as random_source
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import naming
from aurora_ops.core.errors import ConfigError, PermanentError, VerificationError, report
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.users import User
from aurora_ops.hooks.mysql import Login, can_log_in
from aurora_ops.hooks.rds import Cluster
from aurora_ops.operators.accounts import Accounts
from aurora_ops.operators.base import Result
from aurora_ops.operators.sql import SqlOperator
from aurora_ops.operators.user_secrets import read_users, refuse_two_in_one, written_password

_PASSWORD_BYTES = 24
_ANYWHERE = "%"


class SetUsersOperator(SqlOperator):
    """Leave a cluster with the environment's users and no others, each with its password and its rights.

    Users that are not listed are dropped, unless ``drop_others`` is off; a listed one that the snapshot does not have is created
    with its rights. Passwords are new, and go into the users' secrets as versions that nobody reads yet (``AWSPENDING``,
    ``PutSecretValue``); the switch makes them current. What else a secret says is kept: endpoints, the reader's among them, are
    the same after a switch. Where a user has ``as_in_secret`` or ``role``, the password is the one that its owner has written
    into the secret, and the secret stays as it is. Each login is proven, and that a password which was replaced no longer opens
    this cluster.

    A user whose ``grants`` or ``privileges`` are given gets what it lacks of them; what it has beside them is taken away if
    ``exact`` is on. A second run changes nothing.

    :param users: ``core.users.User`` as dictionaries (templated).
    :param drop_others: drop users that are not listed; a cluster that serves keeps them (templated).
    :param exact: take away rights that are not asked for, from users of which something is asked for (templated).
    :param run_key: names the run; a repeated try finds the versions it has written (templated).
    :param serving_id: name under which the cluster will serve (templated).
    :param serving_host: endpoint of that name, for secrets that name none; empty where no cluster has the name yet: then it
        follows from this cluster's own, since all endpoints of an account and region share their suffix (templated).
    :return: ``{"dropped": [users], "versions": {secret id: version id}, "changed": {user@host: [GRANT and REVOKE]}}``.
    :raises ConfigError: a listed user is missing and nothing says what it may do, a table that a right is about is missing, or a
        secret has another shape; nothing was changed.
    :raises VerificationError: a password does not log in.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        *SqlOperator.permissions,
        "secretsmanager:PutSecretValue",
        "kms:GenerateDataKey",
    )
    template_fields: Sequence[str] = (
        *SqlOperator.template_fields,
        "users",
        "drop_others",
        "exact",
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
        exact: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.drop_others = drop_others
        self.exact = exact
        self.users = users
        self.run_key = run_key
        self.serving_id = serving_id
        self.serving_host = serving_host

    def work(self, cluster: Cluster, context: Context) -> Result:
        """Check all; drop; then create, set passwords, give rights and prove the login of one after another."""
        require_refreshable(self.cluster_id, cluster.tags)
        master = self.master(cluster)
        users = read_users(self.users, self.secrets, master.user)
        written = {user.username: written_password(user, self.secrets) for user in users if user.as_written}
        for user in users:
            if not user.as_written:
                refuse_two_in_one(user, self.secrets)
        dropped: list[str] = []
        versions: dict[str, str] = {}
        changed: dict[str, list[str]] = {}
        with self.connect(master) as sql:
            accounts = Accounts(sql)
            present = accounts.present()
            report(self._problems(users, accounts, present))
            stay = {user.username for user in users} | {master.user}
            for name in sorted(set(present) - stay) if self.drop_others else ():
                accounts.drop(name, present[name])
                dropped.append(name)
            for user in users:
                password = written.get(user.username)
                if password is None:
                    password, versions[user.secret] = self._new_password(user, cluster)
                for host in present.get(user.username) or [_ANYWHERE]:
                    accounts.set_password(user.username, host, password)
                    if user.rights and (done := self._bring(accounts, user, host)):
                        changed[f"{user.username}@{host}"] = done
                self._prove(user, password, master)
        return {"dropped": dropped, "versions": versions, "changed": changed}

    def _problems(
        self, users: Sequence[User], accounts: Accounts, present: dict[str, list[str]]
    ) -> list[PermanentError]:
        """Say what stands against it, before anything is changed."""
        problems: list[PermanentError] = [
            ConfigError(
                "database.users",
                user.username,
                "production has no such user: give the grants or privileges to create it with",
            )
            for user in users
            if user.username not in present and not user.rights
        ]
        rights = frozenset(right for user in users for right in user.rights)
        return problems + accounts.missing_places(rights, "database.users.grants")

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

    def _bring(self, accounts: Accounts, user: User, host: str) -> list[str]:
        done = accounts.bring(user.username, host, user.rights, exact=bool(self.exact))
        for change in done:
            self.log.info("%s@%s: %s", user.username, host, change)
        return done

    def _prove(self, user: User, password: str, master: Login) -> None:
        login = Login(master.host, master.port, user.username, password, self.tls_ca)
        which = "the password in its secret" if user.as_written else "its new password"
        if not can_log_in(login):
            raise VerificationError(f"{user.username} cannot log in to {self.cluster_id} with {which}")
        if user.as_written:
            return
        before = self.secrets.require_secret(user.secret)
        if before.get("password") not in (None, password):
            stale = Login(master.host, master.port, user.username, str(before["password"]), self.tls_ca)
            if can_log_in(stale):
                raise VerificationError(
                    f"{user.username} can still log in to {self.cluster_id} with its former password"
                )
