"""The command line: up, down, status, seed, reset, calls; no process is left, errors name the remedy."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from localcloud import client as clients
from localcloud.config import CloudConfig, ConfigError
from localcloud.names import (
    AIRFLOW_USER_ARN,
    PRODUCTION,
    SHARED,
    STAGING,
)
from localcloud.process import answers, is_alive, running_pid, until
from tests.local.cloud.conftest import free_port, localcloud_environment, run_localcloud

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.local, pytest.mark.slow]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A home of its own, ended afterwards."""
    environment = localcloud_environment(tmp_path / "home", free_port(), free_port())
    yield environment
    run_localcloud(environment, "down")


def databases_of(pid: int) -> set[int]:
    """Ids of the database servers that a localcloud process started."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()[1:]]
    return {int(row[0]) for row in rows if int(row[1]) == pid and "mariadbd" in row[2]}


def test_up_twice_and_down(environment: dict[str, str]) -> None:
    config = CloudConfig.from_env(environment)

    first, second = run_localcloud(environment, "up"), run_localcloud(environment, "up")
    pid = running_pid(config)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert pid is not None
    assert f"answers on {config.endpoint}" in first.stdout
    assert f"already runs: {config.endpoint}, process {pid}" in second.stdout

    down, again = run_localcloud(environment, "down"), run_localcloud(environment, "down")
    assert f"process {pid}) has ended" in down.stdout
    assert "does not run" in again.stdout
    assert not is_alive(pid)
    assert not config.credentials_file.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_foreground_and_its_databases(environment: dict[str, str], number: signal.Signals) -> None:
    config = CloudConfig.from_env(environment)
    server = subprocess.Popen([sys.executable, "-m", "localcloud", "up", "--foreground"], env=environment)
    assert until(lambda: answers(config), 60)
    start_cluster(config)
    databases = databases_of(server.pid)
    assert len(databases) == 1

    server.send_signal(number)

    assert server.wait(60) == 0
    assert not any(is_alive(database) for database in databases)
    assert running_pid(config) is None


def start_cluster(config: CloudConfig) -> None:
    """Have a cluster with a running database in staging."""
    rds, ec2 = clients.admin_client(STAGING, "rds", config), clients.admin_client(STAGING, "ec2", config)
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    rds.create_db_subnet_group(DBSubnetGroupName="db", DBSubnetGroupDescription="test", SubnetIds=subnets)
    rds.create_db_cluster(
        DBClusterIdentifier="kept",
        Engine="aurora-mysql",
        MasterUsername="admin",
        ManageMasterUserPassword=True,
        DBSubnetGroupName="db",
    )
    status = lambda: rds.describe_db_clusters(DBClusterIdentifier="kept")["DBClusters"][0]["Status"]  # noqa: E731
    assert until(lambda: status() == "available", 60)
    rds.create_db_instance(
        DBInstanceIdentifier="kept-1", DBClusterIdentifier="kept", DBInstanceClass="db.r6g.large", Engine="aurora-mysql"
    )
    instances = lambda: rds.describe_db_instances(DBInstanceIdentifier="kept-1")["DBInstances"]  # noqa: E731
    assert until(lambda: instances()[0]["DBInstanceStatus"] == "available", 60)


def test_killed_server_is_healed(environment: dict[str, str]) -> None:
    config = CloudConfig.from_env(environment)
    run_localcloud(environment, "up")
    pid = running_pid(config)
    assert pid is not None
    start_cluster(config)
    databases = databases_of(pid)
    assert len(databases) == 1

    os.kill(pid, signal.SIGKILL)
    assert until(lambda: not is_alive(pid), 10)
    assert config.pid_file.read_text().strip() == str(pid)
    status = run_localcloud(environment, "status")
    up = run_localcloud(environment, "up")

    assert status.returncode == 1
    assert "does not run" in status.stdout
    assert up.returncode == 0, up.stderr
    assert clients.admin_client(STAGING, "rds", config).describe_db_clusters()["DBClusters"] == []
    assert not any(is_alive(database) for database in databases)


def test_pid_file_of_another_process_misleads_nobody(environment: dict[str, str]) -> None:
    config = CloudConfig.from_env(environment)
    config.home.mkdir()
    config.pid_file.write_text(f"{os.getpid()}\n")

    down = run_localcloud(environment, "down")

    assert "does not run" in down.stdout
    assert run_localcloud(environment, "up").returncode == 0


def test_port_in_use_names_the_remedy(environment: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(environment["LOCALCLOUD_PORT"])))
        other.listen()

        up = run_localcloud(environment, "up")

    assert up.returncode == 1
    assert f"port {environment['LOCALCLOUD_PORT']}" in up.stderr
    assert "LOCALCLOUD_PORT" in up.stderr
    assert not CloudConfig.from_env(environment).log_file.exists()
    assert "Traceback" not in up.stderr


def test_failed_start_shows_why(environment: dict[str, str]) -> None:
    config = CloudConfig.from_env(environment)
    lock = config.home / "mariadb" / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        up = run_localcloud(environment, "up")

    assert up.returncode == 1
    assert "ended while starting" in up.stderr
    assert "another localcloud uses" in up.stderr
    assert "Traceback" not in up.stderr
    assert running_pid(config) is None


@pytest.mark.parametrize(
    ("name", "value"), [("LOCALCLOUD_PORT", "http"), ("LOCALCLOUD_PORT", "70000"), ("LOCALCLOUD_WAIT_S", "-1")]
)
def test_wrong_setting_is_named(environment: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}={value!r}|{name}={value}"):
        CloudConfig.from_env({**environment, name: value})

    result = run_localcloud({**environment, name: value}, "status")

    assert result.returncode == 1
    assert name in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_api_listens_on_loopback_only(environment: dict[str, str]) -> None:
    run_localcloud(environment, "up")

    port = f"{int(environment['LOCALCLOUD_PORT']):04X}"
    sockets = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()]
    listening = {row[1] for row in sockets if row[1].endswith(f":{port}") and row[3] == "0A"}

    assert listening == {f"0100007F:{port}"}


def test_seed_fills_the_accounts_twice_the_same(environment: dict[str, str]) -> None:
    environment = {**environment, "SEED_ROWS": "2000"}
    config = CloudConfig.from_env(environment)
    run_localcloud(environment, "up")

    first = run_localcloud(environment, "seed")
    seen = picture(config)
    second = run_localcloud(environment, "seed")

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert picture(config) == seen
    status = run_localcloud(environment, "status").stdout
    for name in ("prod-shop-1", "prod-shop-2", "staging-shop-1", f"{PRODUCTION} production"):
        assert name in status
    calls = run_localcloud(environment, "calls", "--mutating", "--json").stdout.splitlines()
    assert {json.loads(line)["mutating"] for line in calls} == {True}
    assert "rds:CreateDBCluster 200" in run_localcloud(environment, "calls").stdout
    audited(config, {secret["password"] for secret in seen["secrets"].values()})


def audited(config: CloudConfig, passwords: set[str]) -> None:
    """Both clusters have audit logs of their filling, without the passwords that were given to users."""
    for account, instance in ((PRODUCTION, "prod-shop-1"), (STAGING, "staging-shop-1")):
        found = clients.admin_operation("log-folder", config, account=account, instance=instance)
        logged = b"".join(path.read_bytes() for path in Path(found["folder"], "audit").iterdir())
        assert b",shop,'CREATE TABLE " in logged
        assert b",WRITE,shop,customers," in logged
        assert b"IDENTIFIED BY *****" in logged
        assert not [password for password in passwords if password.encode() in logged]


def picture(config: CloudConfig) -> dict[str, Any]:
    """What the accounts hold, as AWS shows it."""
    production, staging = (clients.role_client(account, "rds", config) for account in (PRODUCTION, STAGING))
    prod, stage = (rds.describe_db_clusters()["DBClusters"] for rds in (production, staging))
    automated = production.describe_db_cluster_snapshots(SnapshotType="automated")["DBClusterSnapshots"]
    assert [snapshot["Status"] for snapshot in automated] == ["available"]
    assert automated[0]["DBClusterSnapshotIdentifier"].startswith("rds:prod-shop-")
    assert [cluster["StorageEncrypted"] for cluster in (*prod, *stage)] == [True, True]
    assert {"Key": "refresh", "Value": "true"} in stage[0]["TagList"]
    secrets = {
        name: json.loads(
            clients.role_client(account, "secretsmanager", config).get_secret_value(SecretId=name)["SecretString"]
        )
        for account, environment in ((PRODUCTION, "prod"), (STAGING, "staging"))
        for name in (f"{environment}/shop/app", f"{environment}/shop/readonly")
    }
    assert all(
        sorted(secret) == ["dbname", "engine", "host", "password", "port", "username"] for secret in secrets.values()
    )
    dynamodb, sns = (clients.user_client(service, config) for service in ("dynamodb", "sns"))
    for table in ("aurora-ops-runs", "aurora-ops-audit", "aurora-ops-audit-logs"):
        ttl = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires_at")
    for bucket in ("aurora-ops-audit-000000000000", "aurora-ops-audit-logs-000000000000"):
        assert clients.user_client("s3", config).get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    parameter = clients.role_client(STAGING, "ssm", config).get_parameter(Name="/staging/shop/database/endpoint")
    assert parameter["Parameter"]["Value"] == stage[0]["Endpoint"]
    groups = clients.role_client(STAGING, "ec2", config).describe_security_groups()["SecurityGroups"]
    return {
        "clusters": {
            cluster["DBClusterIdentifier"]: (
                cluster["DbClusterResourceId"],
                cluster["KmsKeyId"],
                len(cluster["DBClusterMembers"]),
                cluster["Endpoint"],
            )
            for cluster in (*prod, *stage)
        },
        "secrets": secrets,
        "snapshots": len(automated),
        "subscriptions": len(sns.list_subscriptions()["Subscriptions"]),
        "groups": sorted(group["GroupName"] for group in groups if group["GroupName"] != "default"),
        "user": clients.user_client("sts", config).get_caller_identity()["Arn"] == AIRFLOW_USER_ARN,
        "keys": len(clients.role_client(SHARED, "kms", config).list_keys()["Keys"]),
    }


def test_reset_starts_empty_if_it_ran(environment: dict[str, str]) -> None:
    config = CloudConfig.from_env(environment)
    run_localcloud(environment, "up")
    clients.admin_client(STAGING, "sns", config).create_topic(Name="gone")

    reset = run_localcloud(environment, "reset")

    assert reset.returncode == 0, reset.stderr
    assert clients.admin_client(STAGING, "sns", config).list_topics()["Topics"] == []
    run_localcloud(environment, "down")
    run_localcloud(environment, "reset")
    assert not config.home.exists()


def test_seed_without_server_says_so(environment: dict[str, str]) -> None:
    config = CloudConfig.from_env(environment)
    config.home.mkdir()
    config.credentials_file.write_text('{"000000000000": {"access_key_id": "left", "secret_access_key": "by a crash"}}')

    seed = run_localcloud(environment, "seed")

    assert seed.returncode == 1
    assert "python -m localcloud up" in seed.stderr
