"""Hooks of file systems, backups and functions: every list to its last page, what is missing is none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aurora_ops.core.errors import StateError, WaitFailedError
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.backup import BackupHook
from aurora_ops.hooks.base import Look
from aurora_ops.hooks.efs import EfsHook
from aurora_ops.hooks.functions import FunctionsHook
from botocore.response import StreamingBody
from botocore.stub import Stubber

AT = ("aws_destination", "eu-west-1")
FS = "fs-0123456789abcdef0"
WHEN = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def stubbed(aws_session):
    """A hook whose client answers what the test says."""
    stubs = []

    def make(kind):
        hook = kind(*AT)
        stub = Stubber(hook.conn)
        stub.activate()
        stubs.append(stub)
        return hook, stub

    yield make
    for stub in stubs:
        stub.assert_no_pending_responses()
        stub.deactivate()


def system(name: str) -> dict[str, Any]:
    return {
        "OwnerId": "1",
        "CreationToken": "t",
        "FileSystemId": name,
        "CreationTime": WHEN,
        "LifeCycleState": "available",
        "NumberOfMountTargets": 0,
        "SizeInBytes": {"Value": 5},
        "PerformanceMode": "generalPurpose",
        "Tags": [{"Key": "Name", "Value": name}],
    }


def target(name: str) -> dict[str, Any]:
    subnet = "subnet-0123456789abcdef0"
    return {"MountTargetId": name, "FileSystemId": FS, "SubnetId": subnet, "LifeCycleState": "available"}


def replication(status: str, synced: datetime | None) -> dict[str, Any]:
    destination = {"Status": status, "FileSystemId": FS, "Region": "eu-west-1", "OwnerId": "222222222222"}
    if synced:
        destination["LastReplicatedTimestamp"] = synced
    return {
        "SourceFileSystemId": FS,
        "SourceFileSystemRegion": "eu-west-1",
        "SourceFileSystemArn": "arn",
        "OriginalSourceFileSystemArn": "arn",
        "CreationTime": WHEN,
        "Destinations": [destination],
    }


class TestPages:
    def test_file_systems(self, stubbed) -> None:
        hook, stub = stubbed(EfsHook)
        stub.add_response("describe_file_systems", {"FileSystems": [system("a")], "NextMarker": "m"})
        stub.add_response("describe_file_systems", {"FileSystems": [system("b")]}, {"Marker": "m"})
        assert [one.name for one in hook.list_file_systems()] == ["a", "b"]

    def test_mount_targets(self, stubbed) -> None:
        hook, stub = stubbed(EfsHook)
        names = ["fsmt-0123456789abcdef0", "fsmt-0123456789abcdef1"]
        stub.add_response("describe_mount_targets", {"MountTargets": [target(names[0])], "NextMarker": "m"})
        stub.add_response("describe_mount_targets", {"MountTargets": [target(names[1])]})
        assert [one.mount_target_id for one in hook.list_mount_targets(FS)] == names

    def test_access_points(self, stubbed) -> None:
        hook, stub = stubbed(EfsHook)
        points = [{"AccessPointId": n, "FileSystemId": FS, "LifeCycleState": "available"} for n in "ab"]
        stub.add_response("describe_access_points", {"AccessPoints": points[:1], "NextToken": "n"})
        stub.add_response("describe_access_points", {"AccessPoints": points[1:]})
        assert [one.access_point_id for one in hook.list_access_points(FS)] == ["a", "b"]

    def test_recovery_points(self, stubbed) -> None:
        hook, stub = stubbed(BackupHook)
        points = [{"RecoveryPointArn": n, "Status": "COMPLETED", "CreationDate": WHEN} for n in "ab"]
        stub.add_response("list_recovery_points_by_backup_vault", {"RecoveryPoints": points[:1], "NextToken": "n"})
        stub.add_response("list_recovery_points_by_backup_vault", {"RecoveryPoints": points[1:]})
        assert [one.arn for one in hook.list_recovery_points("vault", "arn")] == ["a", "b"]

    def test_jobs(self, stubbed) -> None:
        hook, stub = stubbed(BackupHook)
        copies = [{"CopyJobId": n, "State": "RUNNING"} for n in "ab"]
        stub.add_response("list_copy_jobs", {"CopyJobs": copies[:1], "NextToken": "n"})
        stub.add_response("list_copy_jobs", {"CopyJobs": copies[1:]})
        assert [one.job_id for one in hook.list_copy_jobs("point", "vault")] == ["a", "b"]
        restores = [{"RestoreJobId": n, "Status": "RUNNING"} for n in "ab"]
        stub.add_response("list_restore_jobs", {"RestoreJobs": restores[:1], "NextToken": "n"})
        stub.add_response("list_restore_jobs", {"RestoreJobs": restores[1:]})
        assert [one.job_id for one in hook.list_restore_jobs()] == ["a", "b"]

    def test_functions(self, stubbed) -> None:
        hook, stub = stubbed(FunctionsHook)
        functions = [
            {"FunctionName": n, "FunctionArn": f"arn:aws:lambda:eu-west-1:222222222222:function:{n}"} for n in "ab"
        ]
        stub.add_response("list_functions", {"Functions": functions[:1], "NextMarker": "m"})
        stub.add_response("list_functions", {"Functions": functions[1:]})
        assert [one.name for one in hook.list_functions()] == ["a", "b"]


class TestMissing:
    def test_is_none(self, stubbed) -> None:
        efs, stub = stubbed(EfsHook)
        stub.add_client_error("describe_file_systems", "FileSystemNotFound", http_status_code=404)
        stub.add_client_error("describe_replication_configurations", "ReplicationNotFound", http_status_code=404)
        stub.add_client_error("describe_file_system_policy", "PolicyNotFound", http_status_code=404)
        stub.add_client_error("delete_access_point", "AccessPointNotFound", http_status_code=404)
        assert efs.find_file_system(FS) is None
        assert efs.find_replication(FS) is None
        assert efs.find_policy(FS) is None
        efs.delete_access_point("fsap-1")
        functions, stub = stubbed(FunctionsHook)
        stub.add_client_error("get_function_configuration", "ResourceNotFoundException", http_status_code=404)
        stub.add_client_error("delete_function", "ResourceNotFoundException", http_status_code=404)
        assert functions.find_function("f") is None
        functions.delete_function("f")


class TestSynced:
    """A replication is waited for by its status and by its time."""

    @pytest.mark.parametrize(
        ("status", "synced", "outcome"),
        [
            ("ENABLING", None, Look.PENDING),
            ("ENABLED", None, Look.PENDING),
            ("ENABLED", datetime(2026, 6, 30, 23, 59, tzinfo=UTC), Look.PENDING),
            ("ENABLED", WHEN, Look.REACHED),
        ],
    )
    def test_look(self, stubbed, status, synced, outcome) -> None:
        hook, stub = stubbed(EfsHook)
        for _ in range(1 if status == "ENABLING" else 2):
            stub.add_response("describe_replication_configurations", {"Replications": [replication(status, synced)]})
        until = Wait("replication_enabled", {"FileSystemId": FS}, {"synced_to": WHEN.isoformat()})
        assert hook.look(until) is outcome

    @pytest.mark.parametrize("status", ["ERROR", "PAUSED", "PAUSING", "DELETING"])
    def test_ends(self, stubbed, status) -> None:
        hook, stub = stubbed(EfsHook)
        stub.add_response("describe_replication_configurations", {"Replications": [replication(status, WHEN)]})
        with pytest.raises(WaitFailedError):
            hook.look(Wait("replication_enabled", {"FileSystemId": FS}, {"synced_to": WHEN.isoformat()}))


def test_a_function_that_fails_says_why(stubbed) -> None:
    import io

    hook, stub = stubbed(FunctionsHook)
    body = b'{"errorType": "OSError", "errorMessage": "Read-only file system"}'
    stub.add_response("invoke", {"FunctionError": "Unhandled", "Payload": StreamingBody(io.BytesIO(body), len(body))})
    with pytest.raises(StateError, match="OSError: Read-only file system"):
        hook.invoke("f", {})
