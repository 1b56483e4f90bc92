"""Seeing a snapshot that another account shares."""

from __future__ import annotations

import pytest
from aurora_ops.core.errors import MissingError, WaitFailedError
from aurora_ops.sensors.snapshots import SharedSnapshotSensor

from tests.unit.operators.conftest import calls, fake, rds  # noqa: F401 - fixtures
from tests.unit.operators.driver import drive

ARN = "arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:s"


def sensor(**given):
    at = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}
    return SharedSnapshotSensor(task_id="see", snapshot_arn=ARN, **at, **given)


@pytest.fixture
def key(rds, aws_session):  # noqa: F811
    return aws_session.client("kms").create_key()["KeyMetadata"]["Arn"]


def test_visible_at_once(rds, key) -> None:  # noqa: F811
    rds.snapshot(ARN, KmsKeyId=key)
    assert drive(sensor) == {"snapshot_arn": ARN, "kms_key_arn": key}
    assert rds.mutations == []


def test_visible_later(rds, key) -> None:  # noqa: F811
    rds.after(6, lambda: rds.snapshot(ARN, KmsKeyId=key))
    assert drive(sensor)["snapshot_arn"] == ARN


def test_not_yet_available(rds, key) -> None:  # noqa: F811
    rds.snapshot(ARN, KmsKeyId=key)
    rds.script(ARN, "creating", "creating", "creating", "available")
    assert drive(sensor)["snapshot_arn"] == ARN


def test_never_visible_ends(rds, monkeypatch) -> None:  # noqa: F811
    with pytest.raises(Exception, match="shared_snapshot_visible"):
        drive(lambda: sensor(within_s=1))


def test_failed_one(rds, key) -> None:  # noqa: F811
    rds.snapshot(ARN, KmsKeyId=key, Status="failed")
    with pytest.raises(WaitFailedError):
        drive(sensor)


def test_key_that_cannot_be_used(rds) -> None:  # noqa: F811
    rds.snapshot(ARN, KmsKeyId="arn:aws:kms:eu-west-1:111111111111:key/00000000-0000-0000-0000-000000000000")
    with pytest.raises(MissingError, match=r"cannot be used from here.*aws_destination"):
        drive(sensor)


def test_unencrypted_one_needs_no_key(rds, calls) -> None:  # noqa: F811
    rds.snapshot(ARN, StorageEncrypted=False, KmsKeyId="")
    assert drive(sensor)["kms_key_arn"] == ""
    assert not any(action.startswith("kms") for action in calls)
    assert set(calls) <= set(SharedSnapshotSensor.permissions)
