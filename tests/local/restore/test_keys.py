"""Backups without a key, under a customer key, under the default one across accounts and regions: all arrive under the target's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud.client import admin_client, admin_operation
from localcloud.names import PRODUCTION, STAGING
from tests.local.cloud import rds_helpers as h
from tests.local.restore.conftest import LIVE, RestoreLane

pytestmark = [pytest.mark.local, pytest.mark.slow]

HOME, FAR = "eu-west-1", "eu-central-1"
KEYS = {"plain": None, "customer": "customer", "default": "alias/aws/rds"}
OWN_KEY = {PRODUCTION: "alias/shop-prod", STAGING: "alias/shop-staging"}
# What is another one: the account that a backup comes from, the region that it goes to. Each is an environment.
WAYS = {
    "account": (PRODUCTION, HOME),
    "region": (STAGING, FAR),
    "both": (PRODUCTION, FAR),
}


@pytest.fixture(scope="module")
def world(running: RestoreLane) -> Iterator[RestoreLane]:
    """A network in another region, and environments that restore into it."""
    admin_operation("iam-enforce", running.cloud, on=False)  # the policies are of staging alone
    suite = running.config.include / "sql" / "validation" / "kinds.yaml"
    suite.write_text("schemas: [shop]\nforeign_keys: false\nqueries: false\n")
    place_network(running)
    for way in WAYS:
        place_environment(running, way)
    running.reread()
    yield running
    admin_operation("iam-enforce", running.cloud, on=True)
    for file in (suite, *(file_of(running, way) for way in WAYS)):
        file.unlink()
    running.reread()


def far(lane: RestoreLane, service: str) -> Any:
    """A client of staging in the other region."""
    return admin_client(STAGING, service, replace(lane.cloud, region=FAR))


def place_network(lane: RestoreLane) -> None:
    ec2, rds = far(lane, "ec2"), far(lane, "rds")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"{FAR}{zone}")["Subnet"][
            "SubnetId"
        ]
        for number, zone in enumerate("ab")
    ]
    rds.create_db_subnet_group(DBSubnetGroupName="staging-db", DBSubnetGroupDescription="far", SubnetIds=subnets)
    for name in ("staging-shop-restore", "staging-shop-db"):
        ec2.create_security_group(GroupName=name, Description="far", VpcId=vpc)
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName="staging-shop", DBParameterGroupFamily="aurora-mysql8.0", Description="far"
    )


def file_of(lane: RestoreLane, way: str) -> Path:
    return lane.config.include / "config" / f"{way}.yaml"


def place_environment(lane: RestoreLane, way: str) -> None:
    account, region = WAYS[way]
    content = yaml.safe_load(file_of(lane, "staging").read_text())
    for section in ("retention", "files", "eks"):
        content.pop(section)
    content |= {"environment": way, "schedule": None}
    content["target"]["region"] = region
    content["source"] |= {"kms_key_id": OWN_KEY[account], "account_id": account, "schema_secret": None}
    if account == STAGING:
        content["source"]["aws_conn_id"] = "aws_destination"
    file_of(lane, way).write_text(yaml.safe_dump(content))


def place_cluster(lane: RestoreLane, account: str, kind: str) -> None:
    """Make a small cluster with a row, and a snapshot of it, where there is none yet."""
    rds, name, key = lane.aws(account, "rds"), f"key-{kind}", KEYS[kind]
    if lane.estate.cluster(account, name) is not None:
        return
    key = OWN_KEY[account] if key == "customer" else key
    encrypted = {"StorageEncrypted": True, "KmsKeyId": key} if key else {"StorageEncrypted": False}
    h.create_cluster(rds, name, DatabaseName="shop", **encrypted)
    h.create_instance(rds, f"{name}-1", name)
    made = h.cluster(rds, name)
    h.query(made["Endpoint"], made["Port"], "CREATE TABLE shop.kinds (name VARCHAR(20) PRIMARY KEY)")
    h.query(made["Endpoint"], made["Port"], f"INSERT INTO shop.kinds VALUES ('{kind}')")
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"of-{name}")
    h.wait_snapshot(rds, f"of-{name}")


def restore(lane: RestoreLane, way: str, kind: str, **source: Any) -> Any:
    """Restore the backup of a kind; the source may have other settings."""
    place_cluster(lane, WAYS[way][0], kind)
    file = file_of(lane, way)
    content = yaml.safe_load(file.read_text())
    content["source"] |= {"cluster": f"key-{kind}", **source}
    file.write_text(yaml.safe_dump(content))
    asked = {
        "environment": way,
        "cluster": LIVE,
        "label": f"{way[0]}{kind}",
        "from_account": "source",
        "snapshot": f"of-key-{kind}",
    }
    return lane.play("aurora_restore", {**asked, "suite": "kinds", "users": "none", "readers": 0})


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        pytest.param(way, kind, marks=[] if (way, kind) == ("both", "default") else pytest.mark.long)
        for way in WAYS
        for kind in KEYS
    ],
)
def test_it_arrives_under_the_targets_key(world: RestoreLane, way: str, kind: str) -> None:
    account, region = WAYS[way]
    run = restore(world, way, kind)
    assert run.state == "success", run.errors
    rds, kms = (admin_client(STAGING, service, replace(world.cloud, region=region)) for service in ("rds", "kms"))
    name = f"{LIVE}-restored-{way[0]}{kind}"
    [made] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    assert (made["Status"], made["StorageEncrypted"]) == ("available", True)
    assert made["KmsKeyId"] == kms.describe_key(KeyId=OWN_KEY[STAGING])["KeyMetadata"]["Arn"]
    assert f":{region}:" in made["KmsKeyId"]
    secrets = admin_client(STAGING, "secretsmanager", replace(world.cloud, region=region))
    master = secrets.get_secret_value(SecretId=made["MasterUserSecret"]["SecretArn"])["SecretString"]
    password = yaml.safe_load(master)["password"]
    assert password != h.PASSWORD
    assert h.query(made["Endpoint"], made["Port"], "SELECT name FROM shop.kinds", password) == ((kind,),)
    left = world.estate.snapshots(account) | {
        one["DBClusterSnapshotIdentifier"]
        for one in rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
    }
    assert not {one for one in left if one.startswith(("copy-", "rekeyed-"))}, (
        "what the restore made on the way is gone"
    )


def test_under_the_default_key_nothing_can_be_shared(world: RestoreLane) -> None:
    run = restore(world, "account", "default", kms_key_id=None)
    assert "source.kms_key_id" in run.errors["check"]
    assert "snapshots under the default key cannot be shared" in run.errors["check"]
    assert run.mutations == []
