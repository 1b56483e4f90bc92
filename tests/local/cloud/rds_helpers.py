"""What the RDS tests share: waiting on statuses, expecting refusals, one filled production cluster per localcloud."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pymysql
import pytest
from botocore.exceptions import ClientError

from localcloud.client import admin_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymysql.connections import Connection

    from tests.local.cloud.conftest import LocalCloud

PRODUCTION, STAGING, DEV = "111111111111", "222222222222", "333333333333"
MASTER, PASSWORD = "admin", "only-for-tests-1"
CLASS = "db.t4g.medium"
ENGINE = "aurora-mysql"
TIMEOUT_S = 60

_bases: dict[str, Base] = {}


@contextmanager
def refused(code: str, *words: str) -> Iterator[None]:
    """The call inside must be refused with this error code, and the message must hold these words."""
    with pytest.raises(ClientError) as caught:
        yield
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    for word in words:
        assert word in error["Message"], error


def code_of(call: Callable[[], object]) -> str | None:
    """Error code of a call, None if it is answered."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


def watch(status: Callable[[], str], *goals: str) -> list[str]:
    """Poll until one of the goals; return every status seen, in order."""
    seen: list[str] = []
    end = time.monotonic() + TIMEOUT_S
    pause = threading.Event()
    while True:
        now = status()
        if not seen or seen[-1] != now:
            seen.append(now)
        if now in goals:
            return seen
        assert time.monotonic() < end, f"waited {TIMEOUT_S} s for {goals}, saw {seen}"
        assert now != "failed", f"failed; see server.log; saw {seen}"
        pause.wait(0.01)


def cluster(rds: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
    return found


def instance(rds: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return found


def snapshot(rds: Any, name: str, **how: Any) -> dict[str, Any]:
    found: dict[str, Any] = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name, **how)[
        "DBClusterSnapshots"
    ][0]
    return found


def wait_cluster(rds: Any, name: str, goal: str = "available") -> list[str]:
    def status() -> str:
        try:
            return str(cluster(rds, name)["Status"])
        except rds.exceptions.DBClusterNotFoundFault:
            return "gone"

    return watch(status, goal)


def wait_instance(rds: Any, name: str, *goals: str) -> list[str]:
    def status() -> str:
        try:
            return str(instance(rds, name)["DBInstanceStatus"])
        except rds.exceptions.DBInstanceNotFoundFault:
            return "gone"

    return watch(status, *(goals or ("available",)))


def wait_snapshot(rds: Any, name: str, goal: str = "available") -> list[str]:
    def status() -> str:
        try:
            return str(snapshot(rds, name)["Status"])
        except rds.exceptions.DBClusterSnapshotNotFoundFault:
            return "gone"

    return watch(status, goal)


def create_cluster(rds: Any, name: str, *, wait: bool = True, **parameters: Any) -> dict[str, Any]:
    password = {} if parameters.get("ManageMasterUserPassword") else {"MasterUserPassword": PASSWORD}
    made: dict[str, Any] = rds.create_db_cluster(
        **{"DBClusterIdentifier": name, "Engine": ENGINE, "MasterUsername": MASTER, **password, **parameters}
    )["DBCluster"]
    if wait:
        wait_cluster(rds, name)
    return made


def create_instance(rds: Any, name: str, of: str, *, wait: bool = True, **parameters: Any) -> dict[str, Any]:
    made: dict[str, Any] = rds.create_db_instance(
        **{
            "DBInstanceIdentifier": name,
            "DBClusterIdentifier": of,
            "Engine": ENGINE,
            "DBInstanceClass": CLASS,
            **parameters,
        }
    )["DBInstance"]
    if wait:
        wait_instance(rds, name)
    return made


def delete_cluster(rds: Any, name: str) -> None:
    """Delete a cluster with its members and wait until it is gone."""
    members = cluster(rds, name)["DBClusterMembers"]
    for member in members:
        rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    wait_cluster(rds, name, "gone")


def delete_snapshots(rds: Any, *names: str) -> None:
    for name in names:
        rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=name)
    for name in names:
        wait_snapshot(rds, name, "gone")


def connect(host: str, port: int, password: str = PASSWORD, user: str = MASTER, **parameters: Any) -> Connection[Any]:
    return pymysql.connect(
        host=host, port=port, user=user, password=password, autocommit=True, connect_timeout=5, **parameters
    )


def query(host: str, port: int, sql: str, password: str = PASSWORD) -> tuple[tuple[Any, ...], ...]:
    """Rows of a statement, over an endpoint."""
    with connect(host, port, password) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return tuple(cursor.fetchall())


def listens(host: str, port: int, password: str = PASSWORD) -> bool:
    """Whether a server answers at an endpoint, whatever it says about the password."""
    try:
        connect(host, port, password).close()
    except pymysql.err.OperationalError as error:
        return bool(error.args[0] == 1045)  # access denied is an answer
    return True


@dataclass
class Base:
    """One encrypted production cluster with data, its snapshot, and keys: made once, changed by nobody.

    :param arn: ARN of the snapshot ``rds-base``, which is not shared.
    """

    key: str
    staging_key: str
    cluster: dict[str, Any]
    arn: str


def shareable_key(cloud: LocalCloud, owner: str, *others: str) -> str:
    """ARN of a new customer key that other accounts may use for snapshots, as AWS documents it."""
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{owner}:root"},
                "Action": "kms:*",
                "Resource": "*",
            },
            *(
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{other}:root"},
                    "Action": ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:ReEncrypt*"],
                    "Resource": "*",
                }
                for other in others
            ),
        ],
    }
    return str(cloud.admin(owner, "kms").create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"])


def base(cloud: LocalCloud) -> Base:
    """The base of this localcloud; made on first use."""
    endpoint = cloud.config.endpoint
    if endpoint not in _bases:
        rds = cloud.client(PRODUCTION, "rds")
        key = shareable_key(cloud, PRODUCTION, STAGING)
        staging_key = shareable_key(cloud, STAGING)
        create_cluster(rds, "rds-base", StorageEncrypted=True, KmsKeyId=key, DatabaseName="shop")
        create_instance(rds, "rds-base-1", "rds-base")
        made = cluster(rds, "rds-base")
        query(made["Endpoint"], made["Port"], "CREATE TABLE shop.items (id INT PRIMARY KEY)")
        query(made["Endpoint"], made["Port"], "INSERT INTO shop.items VALUES (1), (2), (3)")
        rds.create_db_cluster_snapshot(
            DBClusterIdentifier="rds-base",
            DBClusterSnapshotIdentifier="rds-base",
            Tags=[{"Key": "made-by", "Value": "tests"}],
        )
        wait_snapshot(rds, "rds-base")
        arn = snapshot(rds, "rds-base")["DBClusterSnapshotArn"]
        _bases[endpoint] = Base(key, staging_key, cluster(rds, "rds-base"), arn)
    return _bases[endpoint]


@contextmanager
def shared(cloud: LocalCloud, *accounts: str, name: str = "rds-base") -> Iterator[None]:
    """Share a production snapshot for a while."""
    rds = cloud.client(PRODUCTION, "rds")
    change = {"DBClusterSnapshotIdentifier": name, "AttributeName": "restore"}
    rds.modify_db_cluster_snapshot_attribute(**change, ValuesToAdd=list(accounts))
    try:
        yield
    finally:
        rds.modify_db_cluster_snapshot_attribute(**change, ValuesToRemove=list(accounts))


@contextmanager
def held(cloud: LocalCloud) -> Iterator[None]:
    """What is begun inside is under way until the end: a busy machine may look at it later than it would be over."""
    admin_operation("rds-hold", cloud.config, held=True)
    try:
        yield
    finally:
        admin_operation("rds-hold", cloud.config, held=False)


def change_cluster(cloud: LocalCloud, rds: Any, name: str, by_way_of: str, **change: Any) -> None:
    """Modify a cluster, see the status that it is in meanwhile, and wait until it is available again."""
    with held(cloud):
        rds.modify_db_cluster(DBClusterIdentifier=name, **change)
        wait_cluster(rds, name, by_way_of)
    wait_cluster(rds, name)


def in_region(cloud: LocalCloud, client: Any, region: str) -> Any:
    """The same credentials and service in another region."""
    credentials = client._request_signer._credentials
    return boto3.client(
        client.meta.service_model.service_name,
        region_name=region,
        endpoint_url=cloud.config.endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
    )
