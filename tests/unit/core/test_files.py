"""Which backup is restored, which directory it went into, and what policies say afterwards."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core import files
from aurora_ops.core.errors import MissingError, SafetyError
from aurora_ops.core.files import RecoveryPoint
from aurora_ops.core.function_code import zipped
from hypothesis import given
from hypothesis import strategies as st

from devstack.settings import REPO

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
ARN = "arn:aws:elasticfilesystem:eu-west-1:111111111111:file-system/fs-0123456789abcdef0"


def point(name: str, age_h: float, status: str = "COMPLETED") -> RecoveryPoint:
    return RecoveryPoint(name, "vault", ARN, status, NOW - timedelta(hours=age_h), 1)


def choose(*points: RecoveryPoint, max_age_h: float = 30) -> str:
    return files.choose_recovery_point(points, now=NOW, max_age_h=max_age_h, resource="prod-media").arn


class TestRecoveryPoint:
    def test_the_newest_counts_wherever_it_stands(self) -> None:
        assert choose(point("old", 20), point("new", 2), point("older", 25)) == "new"

    @pytest.mark.parametrize("status", ["PARTIAL", "EXPIRED", "DELETING", "CREATING", "STOPPED"])
    def test_only_completed_ones_count(self, status) -> None:
        assert choose(point("new", 1, status), point("old", 20)) == "old"

    def test_too_old_ones_do_not_count(self) -> None:
        with pytest.raises(MissingError, match=r"younger than 30 h: the newest is of 2026-06-29T19.*PARTIAL"):
            choose(point("old", 30.01), point("spoilt", 1, "PARTIAL"))
        assert choose(point("just", 30)) == "just"

    def test_none_at_all_is_said(self) -> None:
        with pytest.raises(MissingError, match="there is none"):
            choose()

    @given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from(["COMPLETED", "PARTIAL", "EXPIRED"])), max_size=8))
    def test_whatever_there_is(self, given_points) -> None:
        points = [point(f"{n}", age, status) for n, (age, status) in enumerate(given_points)]
        good = [one for one in points if one.status == "COMPLETED" and one.created >= NOW - timedelta(hours=30)]
        if good:
            chosen = next(one for one in points if one.arn == choose(*points))
            assert chosen.created == max(one.created for one in good)
        else:
            with pytest.raises(MissingError):
                choose(*points)


class TestRestoreDirectory:
    @pytest.mark.parametrize(
        ("names", "chosen"),
        [
            ([], None),
            (["media", "aws-backup-restore", "aws-backup-restore_", "aws-backup-restore_yesterday"], None),
            (["aws-backup-restore_2026-07-01T02-00-00-1Z", "aws-backup-restore_2026-06-30T23-59-59-999Z"], 0),
            (["aws-backup-restore_2026-07-01T02-00-00-099Z", "aws-backup-restore_2026-07-01T02-00-00-1Z"], 1),
            (["aws-backup-restore_2026-07-01T02-00-00", "aws-backup-restore_2026-07-01T02-00-00-001Z"], 1),
        ],
        ids=["none", "no time", "time", "fraction", "no fraction"],
    )
    def test_the_newest_by_the_time_in_its_name(self, names, chosen) -> None:
        found = files.newest_restore_directory(names)
        assert found == (None if chosen is None else names[chosen])
        assert files.newest_restore_directory(reversed(names)) == found


class TestPolicy:
    def test_the_first_policy_goes_on_letting_clients_in(self) -> None:
        made = json.loads(files.end_policy(None, file_system_arn=ARN, destination_account="222222222222") or "")
        clients, end = made["Statement"]
        assert clients["Condition"] == {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}}
        assert {"elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"} <= set(clients["Action"])
        assert end["Action"] == ["elasticfilesystem:DeleteReplicationConfiguration"]
        assert end["Principal"] == {"AWS": "arn:aws:iam::222222222222:root"}

    def test_what_is_there_stays_and_nothing_is_said_twice(self) -> None:
        own = {"Sid": "Own", "Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
        before = json.dumps({"Version": "2012-10-17", "Id": "x", "Statement": own})
        after = files.replication_policy(before, file_system_arn=ARN, source_account="111111111111") or ""
        made = json.loads(after)
        assert made["Id"] == "x"
        assert [statement["Sid"] for statement in made["Statement"]] == ["Own", files.REPLICATION_SID]
        assert files.replication_policy(after, file_system_arn=ARN, source_account="111111111111") is None

    def test_another_account_takes_the_place_of_the_former(self) -> None:
        first = files.replication_policy(None, file_system_arn=ARN, source_account="111111111111")
        second = files.replication_policy(first, file_system_arn=ARN, source_account="333333333333") or ""
        assert "111111111111:root" not in second
        assert len(json.loads(second)["Statement"]) == 2


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({}, "not tagged refresh=true"),
        ({"refresh": "True", "Name": "a"}, "not tagged refresh=true"),
        ({"refresh": "true"}, "allowed are"),
        ({"refresh": "true", "Name": "b"}, "allowed are"),
    ],
)
def test_what_is_not_marked_and_listed_is_left_alone(tags, said) -> None:
    with pytest.raises(SafetyError, match=said):
        files.require_changeable("fs-1", tags, ["a"])
    files.require_changeable("fs-1", {"refresh": "true", "Name": "a"}, ["a"])


def test_synced_to_the_moment_itself_is_enough() -> None:
    assert files.is_synced(NOW, NOW)
    assert not files.is_synced(NOW - timedelta(microseconds=1), NOW)
    assert not files.is_synced(None, NOW)


def test_the_function_is_packed_the_same_every_time(tmp_path) -> None:
    folder = REPO / "include" / "functions" / "efs_probe"
    assert zipped(folder) == zipped(folder)
    assert zipfile.ZipFile(io.BytesIO(zipped(folder))).namelist() == ["efs_probe.py"]
    with pytest.raises(FileNotFoundError):
        zipped(tmp_path)
