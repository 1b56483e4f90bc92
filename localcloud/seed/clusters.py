"""The shop clusters of production and staging: created, filled over their endpoints, their secrets stored."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pymysql

from localcloud.client import admin_client, admin_operation
from localcloud.names import (
    PRODUCTION,
    STAGING,
)
from localcloud.seed import shop

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.config import CloudConfig

ENGINE_VERSION = "8.0.mysql_aurora.3.08.2"
INSTANCE_CLASS = "db.r6g.large"
TIMEOUT_S = 180
POLL_S = 0.1


class SeedError(RuntimeError):
    """Something did not become ready."""


def seed_production_cluster(config: CloudConfig, key: str, security_group: str, say: Callable[[str], None]) -> None:
    """``prod-shop`` with writer and reader, its data, its secrets and one automated snapshot.

    :param key: ARN of the key that encrypts it.
    """
    cluster = _cluster(
        config,
        PRODUCTION,
        "prod-shop",
        instances=["prod-shop-1", "prod-shop-2"],
        KmsKeyId=key,
        DBSubnetGroupName="prod-db",
        DBClusterParameterGroupName="prod-shop",
        VpcSecurityGroupIds=[security_group],
        BackupRetentionPeriod=7,
        CopyTagsToSnapshot=True,
        Tags=_tags(environment="production", application="shop"),
    )
    say(f"production: cluster prod-shop answers on {cluster['Endpoint']}:{cluster['Port']}")
    passwords = {user: _secret(config, PRODUCTION, f"prod/shop/{name}", user, cluster) for user, name in USERS.items()}
    with _connect(config, PRODUCTION, cluster) as connection:
        made = shop.seed_production(connection, rows=config.seed_rows, passwords=passwords)
    say(f"production: {config.seed_rows} rows in the shop database" + ("" if made else " were there"))
    _automated_snapshot(config, "prod-shop")
    say("production: an automated snapshot")


def seed_staging_cluster(config: CloudConfig, key: str, security_group: str, say: Callable[[str], None]) -> str:
    """``staging-shop`` as it is before a refresh: old data, its own flags and passwords. Returns its endpoint.

    :param key: ARN of the key that encrypts it.
    """
    cluster = _cluster(
        config,
        STAGING,
        "staging-shop",
        instances=["staging-shop-1"],
        KmsKeyId=key,
        DBSubnetGroupName="staging-db",
        VpcSecurityGroupIds=[security_group],
        DBClusterParameterGroupName="staging-shop",
        BackupRetentionPeriod=1,
        Tags=_tags(environment="staging", application="shop", refresh="true"),
    )
    say(f"staging: cluster staging-shop answers on {cluster['Endpoint']}:{cluster['Port']}")
    passwords = {user: _secret(config, STAGING, f"staging/shop/{name}", user, cluster) for user, name in USERS.items()}
    with _connect(config, STAGING, cluster) as connection:
        made = shop.seed_staging(connection, rows=config.seed_rows, passwords=passwords)
    say("staging: old rows in the shop database" if made else "staging: rows in the shop database were there")
    return str(cluster["Endpoint"])


USERS = {"shop_app": "app", "shop_readonly": "readonly"}


def _tags(**tags: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _cluster(
    config: CloudConfig, account: str, name: str, *, instances: list[str], **parameters: Any
) -> dict[str, Any]:
    """Return the cluster, available with its instances; create it unless it is there."""
    rds = admin_client(account, "rds", config)
    try:
        rds.describe_db_clusters(DBClusterIdentifier=name)
    except rds.exceptions.DBClusterNotFoundFault:
        rds.create_db_cluster(
            DBClusterIdentifier=name,
            Engine="aurora-mysql",
            EngineVersion=ENGINE_VERSION,
            MasterUsername="admin",
            ManageMasterUserPassword=True,
            StorageEncrypted=True,
            **parameters,
        )
    _wait(f"cluster {name}", lambda: _described(rds, name)["Status"])
    members = {member["DBInstanceIdentifier"] for member in _described(rds, name)["DBClusterMembers"]}
    # An existing cluster keeps the members it has: a refresh gives them other names.
    for instance in () if members else instances:
        rds.create_db_instance(
            DBInstanceIdentifier=instance,
            DBClusterIdentifier=name,
            DBInstanceClass=INSTANCE_CLASS,
            Engine="aurora-mysql",
        )
    for member in sorted(members) or instances:
        _wait(f"instance {member}", partial(_instance_status, rds, member))
    cluster = _described(rds, name)
    _wait(f"master secret of {name}", lambda: _described(rds, name)["MasterUserSecret"]["SecretStatus"], "active")
    return cluster


def _described(rds: Any, name: str) -> dict[str, Any]:
    cluster: dict[str, Any] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
    return cluster


def _instance_status(rds: Any, name: str) -> str:
    return str(rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"])


def _wait(what: str, status: Callable[[], str], wanted: str = "available") -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while (now := status()) != wanted:
        if time.monotonic() > deadline:
            raise SeedError(f"{what} is still {now} after {TIMEOUT_S} s; server.log in LOCALCLOUD_HOME may tell why")
        time.sleep(POLL_S)  # noqa: TID251 - a command line; there is nothing to defer to


def _secret(config: CloudConfig, account: str, name: str, user: str, cluster: dict[str, Any]) -> str:
    """Password in an application's secret; the secret is created unless it is there."""
    client = admin_client(account, "secretsmanager", config)
    try:
        return str(json.loads(client.get_secret_value(SecretId=name)["SecretString"])["password"])
    except client.exceptions.ResourceNotFoundException:
        password = str(client.get_random_password(PasswordLength=24, ExcludePunctuation=True)["RandomPassword"])
        content = {
            "engine": "mysql",
            "host": cluster["Endpoint"] if user == "shop_app" else cluster["ReaderEndpoint"],
            "port": cluster["Port"],
            "username": user,
            "password": password,
            "dbname": "shop",
        }
        client.create_secret(Name=name, SecretString=json.dumps(content), Description=f"{user} of the shop database")
        return password


def _connect(config: CloudConfig, account: str, cluster: dict[str, Any]) -> pymysql.connections.Connection[Any]:
    """Connect to the cluster's endpoint as its master user; the password is the managed one."""
    secret = admin_client(account, "secretsmanager", config).get_secret_value(
        SecretId=cluster["MasterUserSecret"]["SecretArn"]
    )
    master = json.loads(secret["SecretString"])
    return pymysql.connect(
        host=cluster["Endpoint"],
        port=cluster["Port"],
        user=master["username"],
        password=master["password"],
        charset="utf8mb4",
        connect_timeout=10,
    )


def _automated_snapshot(config: CloudConfig, cluster: str) -> None:
    """Have the snapshot that AWS takes every day, unless there is one."""
    rds = admin_client(PRODUCTION, "rds", config)

    def existing() -> list[dict[str, Any]]:
        snapshots: list[dict[str, Any]] = rds.describe_db_cluster_snapshots(
            DBClusterIdentifier=cluster, SnapshotType="automated"
        )["DBClusterSnapshots"]
        return snapshots

    if not existing():
        admin_operation(
            "rds-automated-snapshot", config, account=PRODUCTION, region=config.region, cluster=cluster, created=None
        )
    _wait(f"automated snapshot of {cluster}", lambda: existing()[0]["Status"])
