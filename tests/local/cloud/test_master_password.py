"""A master password out of a secret, set on a localcloud cluster with a real server behind it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aurora_ops.core.errors import ConfigError, VerificationError
from aurora_ops.hooks.mysql import Login, can_log_in
from aurora_ops.operators.credentials import ManageMasterSecretOperator
from aurora_ops.operators.master_password import SetMasterPasswordOperator
from aurora_ops.operators.sql import SqlOperator, user_tables
from aurora_ops.operators.verify_suite import VerifySuiteOperator

from tests.local.cloud.eks_operators import connect
from tests.local.cloud.rds_helpers import PASSWORD, STAGING, cluster, create_cluster, wait_instance
from tests.unit.operators.driver import context, drive

pytestmark = [pytest.mark.local, pytest.mark.slow]
NAME, FOUNDING = "restored-shop", "aurora-restore/master-credentials"
AT: dict[str, Any] = {
    "task_id": "t", "aws_conn_id": "aws_destination", "region_name": "eu-west-1", "deferrable": False, "cluster_id": NAME,
}  # fmt: skip


@pytest.fixture(scope="module")
def restored(cloud: Any) -> Any:
    """A cluster with the snapshot's master password, and the secrets of the founding documents."""
    rds = cloud.admin(STAGING, "rds")
    create_cluster(rds, NAME, Tags=[{"Key": "refresh", "Value": "true"}])
    rds.create_db_instance(
        DBInstanceIdentifier=f"{NAME}-1",
        DBClusterIdentifier=NAME,
        Engine="aurora-mysql",
        DBInstanceClass="db.t4g.medium",
    )
    wait_instance(rds, f"{NAME}-1")
    secrets = cloud.admin(STAGING, "secretsmanager")
    for name, value in (
        (FOUNDING, {"database": "mysql", "username": "admin", "password": "Chosen-by-its-0wner"}),
        ("former", {"username": "admin", "password": PASSWORD}),
    ):
        secrets.create_secret(Name=name, SecretString=json.dumps(value))
    return rds


def login(rds: Any, password: str) -> Login:
    found = cluster(rds, NAME)
    return Login(found["Endpoint"], found["Port"], "admin", password)


def put(**more: Any) -> Any:
    return drive(lambda: SetMasterPasswordOperator(**{**AT, "secret_id": FOUNDING, **more}), context())


def modifications(cloud: Any, since: float) -> int:
    return sum(call["action"] == "ModifyDBCluster" for call in cloud.calls(since, mutating=True))


def test_set_once_then_managed_then_set_again(cloud: Any, restored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, cloud)
    with pytest.raises(ConfigError, match="it is that of former"):
        put(secret_id="former", former_secret_id="former")
    assert can_log_in(login(restored, PASSWORD))
    since = cloud.now()
    assert put(former_secret_id="former")["former_refused"] is True
    assert can_log_in(login(restored, "Chosen-by-its-0wner"))
    assert not can_log_in(login(restored, PASSWORD))
    asked = modifications(cloud, since)
    assert put(former_secret_id="former")["username"] == "admin"
    assert modifications(cloud, since) == asked

    managed = drive(lambda: ManageMasterSecretOperator(**AT), context())
    assert not can_log_in(login(restored, "Chosen-by-its-0wner"))
    put()
    assert can_log_in(login(restored, "Chosen-by-its-0wner"))
    assert "MasterUserSecret" not in cluster(restored, NAME)
    assert managed["secret_arn"]


def test_all_that_speaks_sql_logs_in_with_it(
    cloud: Any, restored: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    connect(monkeypatch, cloud)
    put()
    (tmp_path / "s.yaml").write_text("{schemas: [shop], queries: false, foreign_keys: false}")
    given = {**AT, "secret_id": FOUNDING, "suite": str(tmp_path / "s.yaml"), "environment": "x", "report_bucket": None}
    with pytest.raises(VerificationError, match="tables of shop: there are none"):
        drive(lambda: VerifySuiteOperator(users=[], **given), context())
    task = SqlOperator(**AT, secret_id=FOUNDING)
    with task.connect(task.master(task.hook.require_cluster(NAME))) as sql:
        sql.run("CREATE DATABASE shop")
        sql.run("CREATE TABLE shop.orders (id INT PRIMARY KEY)")
        assert [str(table) for table in user_tables(sql)] == ["shop.orders"]
    assert drive(lambda: VerifySuiteOperator(users=[], **given), context())["tables"] == 1
