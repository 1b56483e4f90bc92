"""The master password as its owner has written it into a secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core.errors import ConfigError, StateError, VerificationError
from aurora_ops.core.safety import require_refreshable
from aurora_ops.core.secret_shapes import Credentials, credentials, require_master_password
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.mysql import Login, can_log_in
from aurora_ops.hooks.rds import Cluster
from aurora_ops.operators.base import Result
from aurora_ops.operators.sql import SqlOperator

_AVAILABLE = "available"


class SetMasterPasswordOperator(SqlOperator):
    """Set a cluster's master password to the one that stands in a secret, and prove that it is the one that opens it.

    The AWS operation is ``ModifyDBCluster`` with ``MasterUserPassword``; a secret that RDS manages for the cluster is given up
    with it. The alternative is ``ManageMasterSecretOperator``. After a restore the snapshot's master password is valid until
    this is done. The password is read when it is needed and goes nowhere else. A password that opens the cluster already is not
    set again.

    :param former_secret_id: secret behind the same connection with the snapshot's master password, which must not log in
        afterwards; ``None``: it is not known (templated).
    :return: ``{"cluster_id", "secret_id", "username", "former_refused"}``; the last is ``None`` where it is not known.
    :raises ConfigError: the secret lacks a field, names another master user than the cluster has, holds a password that RDS does
        not take or the former one; nothing was changed.
    :raises StateError: the cluster has no instance, so that nobody can log in.
    :raises VerificationError: the former password still logs in, or the database that the secret names does not exist.
    :raises SafetyError: the cluster is not tagged ``refresh=true``.
    """

    permissions: ClassVar[tuple[str, ...]] = (*SqlOperator.permissions, "rds:ModifyDBCluster")
    template_fields: Sequence[str] = (*SqlOperator.template_fields, "former_secret_id")

    def __init__(self, *, former_secret_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.former_secret_id = former_secret_id

    def take_pass(self, context: Context) -> Result:
        """Look who can log in; set the password; wait; prove."""
        if self.secret_id is None:
            return {"cluster_id": self.cluster_id, "secret_id": None, "username": None, "former_refused": None}
        cluster = self.hook.require_cluster(self.cluster_id)
        require_refreshable(self.cluster_id, cluster.tags)
        wanted, database, former = self._read(cluster, self.secret_id)
        if not cluster.members:
            raise StateError(f"cluster {self.cluster_id} has no instance, so nobody can log in; create one first")
        if cluster.status != _AVAILABLE:
            return self.wait_for("cluster_available", self.cluster_id, context)
        login = Login(cluster.endpoint, cluster.port, wanted.username, wanted.password, self.tls_ca)
        if cluster.master_secret_arn or not can_log_in(login):
            self.hook.modify_cluster(
                self.cluster_id,
                MasterUserPassword=wanted.password,
                ManageMasterUserPassword=False if cluster.master_secret_arn else None,
            )
            return self.wait_until(
                Wait(
                    waiter="cluster_available",
                    args={"DBClusterIdentifier": self.cluster_id},
                    show="DBClusters[].Status",
                    within_s=self.within_s,
                    lags=True,
                ),
                context,
            )
        self._prove(login, database, former)
        return {
            "cluster_id": self.cluster_id,
            "secret_id": self.secret_id,
            "username": wanted.username,
            "former_refused": None if former is None else True,
        }

    def _read(self, cluster: Cluster, secret_id: str) -> tuple[Credentials, str | None, Credentials | None]:
        """Read the secrets: what is wanted, the database beside it, what was before.

        :raises ConfigError: something in them cannot be.
        """
        value = self.secrets.require_secret(secret_id)
        wanted = credentials(secret_id, value)
        require_master_password(secret_id, wanted.password)
        if wanted.username != cluster.master_username:
            raise ConfigError(
                f"secret {secret_id}",
                "username",
                f"it must be {cluster.master_username}: a restored cluster keeps the name of its master user",
            )
        former = None
        if self.former_secret_id:
            former = credentials(self.former_secret_id, self.secrets.require_secret(self.former_secret_id))
            if former.password == wanted.password:
                raise ConfigError(
                    f"secret {secret_id}",
                    "password",
                    f"it is that of {self.former_secret_id}; write a new one into it",
                )
        return wanted, value.get("database"), former

    def _prove(self, login: Login, database: str | None, former: Credentials | None) -> None:
        """See that the former password opens nothing, and that the database is there."""
        if former and can_log_in(Login(login.host, login.port, former.username, former.password, self.tls_ca)):
            raise VerificationError(
                f"the master password in {self.former_secret_id} still logs in to {self.cluster_id}; do not let anybody near it"
            )
        if not database:
            return
        with self.connect(login) as sql:
            known = [name for (name,) in sql.rows("SHOW DATABASES", what="list databases")]
        if database not in known:
            raise VerificationError(
                f"the database that secret {self.secret_id} names is not in {self.cluster_id}; it has {', '.join(known)}"
            )
