"""Drills on real data: restored, verified, measured, torn down; a target that is missed is an alarm."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import yaml

from tests.local.refresh.conftest import SHARED, STAGING
from tests.local.restore.conftest import DRILL

pytestmark = [pytest.mark.local, pytest.mark.slow]

GROUP = "staging-staging-shop"
CLUSTER = "staging-shop-restored-drill"


def evidence(lane, run) -> dict:
    """Read what the drill has filed."""
    s3 = lane.aws(SHARED, "s3")
    keys = [
        one["Key"] for one in s3.list_objects_v2(Bucket="aurora-ops-000000000000", Prefix="drills/staging/")["Contents"]
    ]
    [key] = [key for key in keys if key.endswith(f"/{run.run_id}.json")]
    return json.loads(s3.get_object(Bucket="aurora-ops-000000000000", Key=key)["Body"].read())


def test_a_drill_proves_that_the_newest_backup_restores_and_tears_down(lane) -> None:
    before, clusters, shares = lane.serving(), lane.estate.clusters(STAGING), lane.shares()
    run = lane.play(DRILL)
    assert run.state == "success", run.errors
    filed = evidence(lane, run)
    assert filed["missed"] == []
    assert 0 <= filed["rpo_s"] < filed["rpo_target_s"]
    assert 0 < filed["rto_s"] < filed["rto_target_s"]
    assert filed["verification"]["tables"] > 0
    assert lane.estate.clusters(STAGING) == clusters
    assert lane.serving() == before
    assert lane.shares() == shares
    assert lane.locks() == []
    assert lane.estate.announcements() == []
    assert lane.estate.statistic("DrillTargetMissed", Environment="staging", Cluster="staging-shop") == 0
    [record] = [item for item in lane.estate.items() if item["sk"].endswith(f"#{run.run_id}#{GROUP}")]
    assert record["outcome"] == "succeeded"


def test_a_backup_that_does_not_restore_is_an_alarm(lane) -> None:
    lane.estate.fail(
        service="rds", action="RestoreDBClusterFromSnapshot", match=CLUSTER, code="InvalidRestoreFault", times=0
    )
    run = lane.play(DRILL)
    lane.clear_faults()
    assert run.state == "failed"
    assert evidence(lane, run)["missed"] == ["the backup was not restored and verified"]
    subjects = [one["Subject"] for one in lane.estate.announcements()]
    assert "Restore drill of staging-shop (staging) missed its targets" in subjects
    assert lane.estate.cluster(STAGING, CLUSTER) is None
    assert lane.locks() == []


def test_a_target_that_is_missed_is_an_alarm(lane) -> None:
    file = lane.config.include / "config" / "staging.yaml"
    settings = yaml.safe_load(file.read_text())
    told = file.read_text()
    settings["restore"]["drills"][0]["rto_h"] = 0.0001
    file.write_text(yaml.safe_dump(settings))
    try:
        lane.reread()
        run = lane.play(DRILL)
    finally:
        file.write_text(told)
        lane.reread()
    assert run.state == "failed"
    assert "RTO: restoring took" in run.errors[f"{GROUP}.file_evidence"]
    [missed] = evidence(lane, run)["missed"]
    assert missed.startswith("RTO")
    assert lane.estate.cluster(STAGING, CLUSTER) is None
    assert lane.estate.find_record(SimpleNamespace(run_id=f"{run.run_id}#{GROUP}")) is not None
