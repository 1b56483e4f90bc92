"""Exports of snapshots: tasks from start to end, and what they write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.local.cloud.export_helpers import Place, make_place
from tests.local.cloud.rds_helpers import PRODUCTION, base

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def place(cloud: LocalCloud) -> Place:
    return make_place(cloud, PRODUCTION, "exports")


def test_a_snapshot_is_exported_in_awss_layout(cloud: LocalCloud, place: Place) -> None:
    arn = base(cloud).arn
    prefix = "lake/db=shop/snapshot_date=2026-01-02"
    started = place.start("first-export", arn, S3Prefix=prefix)
    assert (started["Status"], started["PercentProgress"], started["SourceType"]) == ("STARTING", 0, "SNAPSHOT")
    task = place.wait("first-export")
    assert task["Status"] == "COMPLETE", task
    assert (task["PercentProgress"], task["S3Bucket"], task["S3Prefix"]) == (100, place.bucket, prefix)
    assert task["KmsKeyId"] == place.key
    assert "WarningMessage" not in task

    root = f"{prefix}/first-export"
    keys = sorted(key.removeprefix(f"{root}/") for key in place.objects(f"{root}/"))
    assert keys[:2] == ["export_info_first-export.json", "export_tables_info_first-export_from_1_to_1.json"]
    assert keys[2] == "shop/shop.items/1/_SUCCESS"
    assert len(keys) == 4
    assert keys[3].startswith("shop/shop.items/1/part-00000-")
    assert keys[3].endswith("-c000.gz.parquet")
    assert place.table(f"{root}/shop/shop.items").to_pylist() == [{"id": 1}, {"id": 2}, {"id": 3}]
    head = cloud.admin(PRODUCTION, "s3").head_object(Bucket=place.bucket, Key=f"{root}/{keys[3]}")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", place.key)

    info = place.json(f"{root}/{keys[0]}")
    assert info["status"] == "COMPLETE"
    assert (info["sourceArn"], info["exportedFilesPath"], info["percentProgress"]) == (arn, root, 100)
    assert info["taskEndTime"] == f"{task['TaskEndTime']:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    (entry,) = place.json(f"{root}/{keys[1]}")["perTableStatus"]
    assert (entry["target"], entry["status"]) == ("shop.items", "COMPLETE")
    assert entry["schemaMetadata"]["originalTypeMappings"] == [
        {
            "columnName": "id",
            "originalType": "int",
            "expectedExportedType": "int32",
            "originalCharMaxLength": 0,
            "originalNumPrecision": 10,
            "originalDateTimePrecision": 0,
        }
    ]
    assert json.dumps(entry["tableStatistics"]["partitioningInfo"]) == (
        '{"numberOfPartitions": 1, "numberOfCompletedPartitions": 1}'
    )
