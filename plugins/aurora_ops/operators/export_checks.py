"""What is looked at before RDS is asked to export: what it would refuse, or would fail by after hours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aurora_ops.core.errors import ConfigError, MissingError, PermanentError, Problems, StateError
from aurora_ops.core.exports import names
from aurora_ops.core.settings_exports import ExportedDatabase
from aurora_ops.core.tables import Table
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.mysql import Login, MySqlHook
from aurora_ops.hooks.rds import DEFAULT_KEY_ALIAS, RdsHook
from aurora_ops.hooks.roles import RolesHook
from aurora_ops.hooks.secrets import SecretsHook

SERVICE = "export.rds.amazonaws.com"
LOOKS: tuple[str, ...] = (
    "rds:DescribeDBClusters",
    "rds:DescribeDBClusterSnapshots",
    "rds:DescribeDBSnapshots",
    "s3:ListBucket",
    "iam:GetRole",
    "kms:DescribeKey",
    "secretsmanager:GetSecretValue",
)
_SETUP = "trigger snapshot_export_setup, or name another"


class ExportCheck:
    """Find what would keep a snapshot from being exported.

    :param conn_id: connection of its account.
    :param region: region that it is exported in.
    :param database: settings of its database.
    :param bucket: where to.
    :param role_arn: role that RDS writes with.
    :param key_id: key of the objects.
    :param schema_secret: login of a user who may see the tables; ``None``: they are not looked for.
    :param tls_ca: file of certificate authorities for that login.
    """

    def __init__(
        self,
        conn_id: str,
        region: str,
        database: ExportedDatabase,
        *,
        bucket: str,
        role_arn: str,
        key_id: str,
        schema_secret: str | None,
        tls_ca: str | None,
    ) -> None:
        self.conn_id = conn_id
        self.region = region
        self.database = database
        self.bucket = bucket
        self.role_arn = role_arn
        self.key_id = key_id
        self.schema_secret = schema_secret
        self.tls_ca = tls_ca

    def find(self, source_arn: str, source_key: str | None) -> list[PermanentError]:
        """Look at bucket, role, key, snapshot and tables; each problem names the setting and the remedy.

        :param source_arn: ARN of the snapshot.
        :param source_key: ARN of its key; ``None``: it is not encrypted.
        """
        problems = Problems()
        for check in (self.require_bucket, self.require_role, self.require_key, self._tables):
            problems.attempt(check)
        problems.attempt(lambda: self._snapshot(source_arn, source_key))
        return problems

    def require_bucket(self) -> None:
        """Make sure that the bucket is there, in the region of the export."""
        try:
            region = BucketsHook(self.conn_id, self.region).region_of(self.bucket)
        except MissingError as exc:
            raise ConfigError("exports.databases.bucket", self.bucket, f"it does not exist; {_SETUP}") from exc
        if region != self.region:
            raise ConfigError(
                "exports.databases.bucket", self.bucket, f"it is in {region}; RDS exports to {self.region} only"
            )

    def require_role(self) -> None:
        """Make sure that the role is there, and that RDS may assume it."""
        trust = RolesHook(self.conn_id, self.region).find_trust(self.role_arn)
        if trust is None:
            raise ConfigError("exports.databases.role_arn", self.role_arn, f"there is no such role; {_SETUP}")
        if not any(_lets_in(statement) for statement in _listed(trust.get("Statement"))):
            raise ConfigError(
                "exports.databases.role_arn", self.role_arn, f"its trust policy must let {SERVICE} assume it; {_SETUP}"
            )

    def require_key(self) -> None:
        """Make sure that the key is there, a customer's, enabled, and of the region of the export."""
        field = "exports.databases.kms_key_id"
        key = KmsHook(self.conn_id, self.region).find_key(self.key_id)
        if key is None:
            raise ConfigError(field, self.key_id, f"there is no such key in {self.region}; {_SETUP}")
        if not key.get("Enabled", False):
            raise ConfigError(field, self.key_id, f"it is {key.get('KeyState')}; enable it")
        if key.get("KeyManager") == "AWS":
            raise ConfigError(field, self.key_id, "it is AWS's own key; RDS exports under a customer key only")
        if str(key["Arn"]).split(":")[3] != self.region:
            raise ConfigError(
                field, self.key_id, f"it is in {str(key['Arn']).split(':')[3]}; name one of {self.region}"
            )

    def _snapshot(self, arn: str, key_arn: str | None) -> None:
        if names.is_of_a_cluster(arn) and self.database.cluster:
            cluster = RdsHook(self.conn_id, self.region).find_cluster(self.database.cluster)
            if cluster is not None and cluster.engine_mode == "serverless":
                raise StateError(
                    f"{self.database.cluster} is Aurora Serverless v1, which RDS does not export; restore a snapshot as a "
                    f"provisioned or Serverless v2 cluster (aurora_restore), and export that one's"
                )
        if not key_arn or self.database.copy_first:  # a copy is under the key of the settings
            return
        default = KmsHook(self.conn_id, self.region).find_key(DEFAULT_KEY_ALIAS)  # others' keys need not be looked at
        if default is not None and default["Arn"] == key_arn:
            raise ConfigError(
                "exports.databases.copy_first",
                None,
                f"{names.snapshot_of(arn)} is encrypted under AWS's default key; name copy_first.kms_key_id, a customer key",
            )

    def _tables(self) -> None:
        wanted = [name for name in self.database.export_only if "." in name]
        schemas = [name for name in self.database.export_only if "." not in name]
        if not (wanted or schemas) or self.schema_secret is None or self.database.cluster is None:
            return
        cluster = RdsHook(self.conn_id, self.region).find_cluster(self.database.cluster)
        login = SecretsHook(self.conn_id, self.region).find_secret(self.schema_secret)
        if login is None:
            raise ConfigError("exports.databases.schema_secret", self.schema_secret, "create it, or leave it out")
        if cluster is None or cluster.status != "available":
            return  # a database that is gone or stopped does not answer; RDS refuses what is not in the snapshot
        where = Login(cluster.reader_endpoint, cluster.port, login["username"], login["password"], self.tls_ca)
        with MySqlHook(where) as sql:
            known = {
                (str(schema), str(table))
                for schema, table in sql.rows("SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES")
            }
        missing = [name for name in wanted if tuple(Table.parse(name, "export_only")) not in known]
        missing += [name for name in schemas if name not in {schema for schema, _ in known}]
        if missing:
            raise ConfigError(
                "exports.databases.export_only", missing, f"{self.database.cluster} has no such table or database"
            )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _lets_in(statement: Mapping[str, Any]) -> bool:
    """Tell whether a statement of a trust policy lets RDS's exports in."""
    principal = statement.get("Principal")
    services: Iterable[Any] = _listed(principal.get("Service")) if isinstance(principal, Mapping) else []
    return (
        statement.get("Effect") == "Allow"
        and any(str(service).startswith(SERVICE.removesuffix(".com")) for service in services)
        and any(action in ("sts:AssumeRole", "sts:*", "*") for action in _listed(statement.get("Action")))
    )
