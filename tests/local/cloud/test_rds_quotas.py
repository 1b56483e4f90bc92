"""Quotas and pages, on a localcloud of its own with small quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localcloud.config import CloudConfig
from localcloud.seed.accounts import seed_roles
from tests.local.cloud import rds_helpers as h
from tests.local.cloud.conftest import LocalCloud, free_port, localcloud_environment, run_localcloud

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.local, pytest.mark.slow]
CLUSTERS, INSTANCES, SNAPSHOTS, COPIES = 3, 2, 25, 2


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A localcloud that allows little."""
    environment = {
        **localcloud_environment(tmp_path_factory.mktemp("small"), free_port(), free_port()),
        "LOCALCLOUD_RDS_QUOTA_CLUSTERS": str(CLUSTERS),
        "LOCALCLOUD_RDS_QUOTA_INSTANCES": str(INSTANCES),
        "LOCALCLOUD_RDS_QUOTA_MANUAL_SNAPSHOTS": str(SNAPSHOTS),
        "LOCALCLOUD_RDS_QUOTA_COPIES": str(COPIES),
    }
    up = run_localcloud(environment, "up")
    assert up.returncode == 0, up.stdout + up.stderr
    config = CloudConfig.from_env(environment)
    seed_roles(config)
    yield LocalCloud(config, environment)
    down = run_localcloud(environment, "down")
    assert down.returncode == 0, down.stdout + down.stderr


def copies(rds: Any, *names: str) -> None:
    for name in names:
        rds.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier="rds-base", TargetDBClusterSnapshotIdentifier=name
        )


def test_quotas_and_pages(small: LocalCloud) -> None:
    h.base(small)
    rds = small.client(h.PRODUCTION, "rds")
    for number in range(2, CLUSTERS + 1):
        h.create_cluster(rds, f"rds-{number}", wait=False)
    with h.refused("DBClusterQuotaExceededFault", str(CLUSTERS)):
        h.create_cluster(rds, "rds-too-many", wait=False)
    with h.refused("DBClusterQuotaExceededFault"):
        rds.restore_db_cluster_from_snapshot(
            DBClusterIdentifier="rds-too-many", SnapshotIdentifier="rds-base", Engine=h.ENGINE
        )
    for number in range(2, CLUSTERS + 1):
        h.wait_cluster(rds, f"rds-{number}")
        h.delete_cluster(rds, f"rds-{number}")

    h.create_instance(rds, "rds-base-2", "rds-base")
    with h.refused("InstanceQuotaExceeded", str(INSTANCES)):
        h.create_instance(rds, "rds-base-3", "rds-base", wait=False)
    told = {quota["AccountQuotaName"]: quota for quota in rds.describe_account_attributes()["AccountQuotas"]}
    assert (told["DBInstances"]["Used"], told["DBInstances"]["Max"]) == (INSTANCES, INSTANCES)

    names = [f"rds-copy-{number:02}" for number in range(1, SNAPSHOTS)]
    copies(rds, *names[:COPIES])
    with h.refused("SnapshotQuotaExceeded", "at a time"):
        copies(rds, names[COPIES])
    for start in range(0, len(names), COPIES):
        batch = names[start : start + COPIES]
        if start:
            copies(rds, *batch)
        for name in batch:
            h.wait_snapshot(rds, name)
    # the same error code for another reason: the message tells
    with h.refused("SnapshotQuotaExceeded", f"more than {SNAPSHOTS} manual"):
        copies(rds, "rds-too-many")
    with h.refused("SnapshotQuotaExceeded", f"more than {SNAPSHOTS} manual"):
        rds.create_db_cluster_snapshot(DBClusterIdentifier="rds-base", DBClusterSnapshotIdentifier="rds-too-many")

    first = rds.describe_db_cluster_snapshots(MaxRecords=20)
    assert len(first["DBClusterSnapshots"]) == 20
    second = rds.describe_db_cluster_snapshots(MaxRecords=20, Marker=first["Marker"])
    assert len(second["DBClusterSnapshots"]) == SNAPSHOTS - 20
    assert "Marker" not in second
    pages = rds.get_paginator("describe_db_cluster_snapshots").paginate(PaginationConfig={"PageSize": 20})
    found = [item["DBClusterSnapshotIdentifier"] for page in pages for item in page["DBClusterSnapshots"]]
    assert sorted(found) == ["rds-base", *names]
    assert len(set(found)) == SNAPSHOTS
    with h.refused("InvalidParameterValue", "Marker"):
        rds.describe_db_cluster_snapshots(Marker="no marker")
