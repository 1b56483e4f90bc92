"""Operators on file systems against scripted answers of AWS: what each makes of a state, and what it calls."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aurora_ops.core import naming
from aurora_ops.core.errors import (
    ConfigError,
    MissingError,
    PermanentError,
    SafetyError,
    StateError,
    VerificationError,
    WaitFailedError,
)
from aurora_ops.operators.file_publish import PublishFilesOperator
from aurora_ops.operators.file_replication import AllowReplicationOperator, ReplicateFileSystemOperator
from aurora_ops.operators.file_restore import CopyRecoveryPointOperator, RestoreFileSystemOperator
from aurora_ops.operators.file_system_removal import (
    DeleteFileSystemOperator,
    DiscardFileSystemOperator,
    RetireFileSystemOperator,
)
from aurora_ops.operators.file_systems import FindFileSystemOperator
from aurora_ops.sensors.replications import ReplicationSyncedSensor
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.unit.operators.driver import drive

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}
FS, OTHER = "fs-0123456789abcdef0", "fs-0123456789abcdef1"
ARN = f"arn:aws:elasticfilesystem:eu-west-1:222222222222:file-system/{FS}"
POINT = "arn:aws:backup:eu-west-1:222222222222:recovery-point:ONE"
NOW = datetime.now(UTC)


class Script:
    """AWS that answers what it is told: a list of answers per operation, the last one for good."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Any]] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def say(self, operation: str, *answers: Any) -> None:
        self.answers[operation] = list(answers)

    def call(self, client: Any, operation: str, given: dict[str, Any]) -> Any:
        self.calls.append((operation, given))
        known = self.answers.get(operation)
        assert known, f"{operation} was not to be called"
        answer = known.pop(0) if len(known) > 1 else known[0]
        if isinstance(answer, str):
            raise ClientError({"Error": {"Code": answer, "Message": "scripted"}}, operation)
        return answer

    def called(self, *operations: str) -> list[dict[str, Any]]:
        return [given for operation, given in self.calls if operation in operations]


@pytest.fixture
def script(aws_session, monkeypatch) -> Script:
    made = Script()
    monkeypatch.setattr(BaseClient, "_make_api_call", lambda client, name, given: made.call(client, name, given))
    return made


def system(status: str = "available", name: str = "files", **more: Any) -> dict[str, Any]:
    tags = more.pop("tags", {"Name": name, "refresh": "true"})
    return {
        "FileSystemId": FS,
        "FileSystemArn": ARN,
        "LifeCycleState": status,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        **more,
    }


def systems(*found: dict[str, Any]) -> dict[str, Any]:
    return {"FileSystems": list(found)}


def replication(status: str = "ENABLED", synced: datetime | None = NOW, to: str = FS) -> dict[str, Any]:
    destination = {"FileSystemId": to, "Status": status, "OwnerId": "222222222222", "LastReplicatedTimestamp": synced}
    return {"Replications": [{"SourceFileSystemId": OTHER, "Destinations": [destination]}]}


class TestFind:
    def test_a_name_that_two_have_is_an_error_that_names_both(self, script) -> None:
        script.say("DescribeFileSystems", systems(system(), system(FileSystemId=OTHER)))
        with pytest.raises(ConfigError, match=f"{FS}.*{OTHER}"):
            drive(lambda: FindFileSystemOperator(task_id="t", file_system="files", **AT))

    def test_one_that_is_on_a_later_page_is_found_and_one_that_goes_does_not_count(self, script) -> None:
        first = systems(system("deleting"), system(name="x", FileSystemId=OTHER)) | {"NextMarker": "m"}
        script.say("DescribeFileSystems", first, systems(system()))
        found = drive(lambda: FindFileSystemOperator(task_id="t", file_system="files", **AT))
        assert found["file_system_id"] == FS


class TestDelete:
    def operator(self) -> DeleteFileSystemOperator:
        return DeleteFileSystemOperator(task_id="t", file_system_id=FS, allowed_names=["files"], **AT)

    def test_the_source_of_a_replication_stays(self, script) -> None:
        script.say("DescribeFileSystems", systems(system()))
        found = replication(to=OTHER)
        found["Replications"][0]["SourceFileSystemId"] = FS
        script.say("DescribeReplicationConfigurations", found)
        with pytest.raises(SafetyError, match=f"is replicated to {OTHER}"):
            drive(self.operator)

    def test_a_mount_target_in_error_ends_the_wait(self, script) -> None:
        script.say("DescribeFileSystems", systems(system()))
        script.say("DescribeReplicationConfigurations", "ReplicationNotFound")
        script.say("DescribeAccessPoints", {"AccessPoints": []})
        target = {"MountTargetId": "fsmt-1", "FileSystemId": FS, "SubnetId": "s"}
        states = [
            {"MountTargets": [{**target, "LifeCycleState": state}]} for state in ("available", "deleting", "error")
        ]
        script.say("DescribeMountTargets", *states)
        script.say("DeleteMountTarget", {})
        with pytest.raises(WaitFailedError):
            drive(self.operator)
        assert len(script.called("DeleteMountTarget")) == 1

    @pytest.mark.parametrize("tags", [{}, {"refresh": "true", "Name": "prod"}, {"Name": "files"}])
    def test_what_is_not_marked_is_not_touched(self, script, tags) -> None:
        script.say("DescribeFileSystems", systems(system(tags=tags)))
        with pytest.raises(SafetyError):
            drive(self.operator)
        assert {operation for operation, _ in script.calls} == {"DescribeFileSystems"}


def parameter(value: str) -> dict[str, Any]:
    return {"Parameter": {"Value": value}}


class TestDiscard:
    def operator(self, created_as: str | None = "efs-staging-files-1", **more: Any) -> DiscardFileSystemOperator:
        given: dict[str, Any] = {
            **more,
            "created_as": created_as,
            "name": "files",
            "run_key": "refresh/1",
            "id_parameter": "/id",
        }
        return DiscardFileSystemOperator(task_id="t", allowed_names=["files"], **given, **AT)

    def test_without_a_plan_there_is_nothing_to_do(self, script) -> None:
        assert drive(lambda: self.operator(None))["status"] == "absent"
        assert not script.calls

    def test_what_is_published_stays(self, script) -> None:
        script.say("DescribeFileSystems", systems(system()))
        script.say("GetParameter", parameter(FS))
        assert drive(self.operator) == {"file_system_id": FS, "status": "kept"}

    def test_what_can_still_be_published_stays(self, script) -> None:
        script.say("DescribeFileSystems", systems(system()))
        script.say("GetParameter", parameter(OTHER))
        assert drive(lambda: self.operator(serving="cluster-NEW"))["status"] == "kept"

    def test_what_another_run_made_stays(self, script) -> None:
        script.say("DescribeFileSystems", systems(system(tags={"refresh": "true", "aurora-ops:run": "refresh/2"})))
        script.say("GetParameter", parameter(OTHER))
        with pytest.raises(SafetyError, match="refresh/2"):
            drive(self.operator)

    def test_what_a_restore_left_untagged_is_marked_and_goes(self, script) -> None:
        gone = "FileSystemNotFound"
        marked = systems(system(tags={"Name": "files", "refresh": "true", "aurora-ops:run": "refresh/1"}))
        script.say("DescribeFileSystems", systems(system(tags={})), marked, gone, systems())
        script.say("GetParameter", parameter(OTHER))
        script.say("DescribeReplicationConfigurations", "ReplicationNotFound")
        script.say("DescribeAccessPoints", {"AccessPoints": []})
        script.say("DescribeMountTargets", {"MountTargets": []})
        script.say("TagResource", {})
        script.say("DeleteFileSystem", {})
        assert drive(self.operator)["status"] == "absent"
        assert script.called("DeleteFileSystem") == [{"FileSystemId": FS}]
        [tagged] = script.called("TagResource")
        assert {"Key": "aurora-ops:run", "Value": "refresh/1"} in tagged["Tags"]


class TestRetire:
    def operator(self, policy: str = "delete", **changes: Any) -> RetireFileSystemOperator:
        given: dict[str, Any] = {"file_system_id": FS, "eks_cluster": None, "id_parameter": "/id", **changes}
        return RetireFileSystemOperator(task_id="t", policy=policy, allowed_names=["files"], **given, **AT)

    @pytest.mark.parametrize(
        ("policy", "file_system_id", "status"),
        [("keep", FS, "kept"), ("delete", None, "absent"), ("keep", None, "absent")],
    )
    def test_nothing_to_do(self, script, policy, file_system_id, status) -> None:
        assert drive(lambda: self.operator(policy, file_system_id=file_system_id))["status"] == status
        assert not script.calls

    def test_what_is_published_is_never_deleted(self, script) -> None:
        script.say("GetParameter", parameter(FS))
        with pytest.raises(SafetyError, match="/id names"):
            drive(self.operator)

    def test_what_a_volume_shows_stays(self, script, monkeypatch) -> None:
        script.say("GetParameter", parameter(OTHER))

        class Api:
            def list(self, _kind: Any) -> list[Any]:
                shows = [("a", FS), ("b", f"{FS}:/x"), ("c", OTHER)]
                return [
                    {"metadata": {"name": name}, "spec": {"csi": {"driver": "efs.csi.aws.com", "volumeHandle": handle}}}
                    for name, handle in shows
                ] + [{"metadata": {"name": "d"}, "spec": {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": FS}}}]

        monkeypatch.setattr("aurora_ops.hooks.kubernetes.KubernetesHook.api", lambda _hook, _name: Api())
        with pytest.raises(StateError, match=r"volumes \['a', 'b'\] of EKS cluster apps"):
            drive(lambda: self.operator(eks_cluster="apps"))


class TestCopy:
    SOURCE = "arn:aws:backup:eu-west-1:111111111111:recovery-point:ONE"

    def operator(self, point: str = SOURCE) -> CopyRecoveryPointOperator:
        return CopyRecoveryPointOperator(
            task_id="t",
            recovery_point_arn=point,
            vault="prod",
            to_vault="staging",
            to_account_id="222222222222",
            to_region="eu-west-1",
            role_arn="role",
            **AT,
        )

    def test_one_of_the_account_itself_is_not_copied(self, script) -> None:
        assert drive(lambda: self.operator(POINT)) == {"recovery_point_arn": POINT, "copied": False}
        assert script.calls == []

    def test_a_job_under_way_is_adopted(self, script) -> None:
        running = {"CopyJobId": "j", "State": "RUNNING"}
        done = {**running, "State": "COMPLETED", "DestinationRecoveryPointArn": POINT}
        script.say("ListCopyJobs", {"CopyJobs": [running]}, {"CopyJobs": [done]})
        script.say("DescribeCopyJob", {"CopyJob": running}, {"CopyJob": done})
        assert drive(self.operator) == {"recovery_point_arn": POINT, "copied": True}
        assert not script.called("StartCopyJob")

    def test_after_a_failed_job_another_one_has_another_token(self, script) -> None:
        tokens = []
        for failed in (0, 1):
            script.say("ListCopyJobs", {"CopyJobs": [{"CopyJobId": "f", "State": "FAILED"}] * failed})
            script.say("StartCopyJob", {"CopyJobId": "j"})
            script.say("DescribeCopyJob", {"CopyJob": {"CopyJobId": "j", "State": "FAILED"}})
            with pytest.raises(WaitFailedError, match="copy_completed"):
                drive(self.operator)
            tokens.append(script.called("StartCopyJob")[-1]["IdempotencyToken"])
        assert tokens[0] != tokens[1]


class TestRestore:
    def operator(self) -> RestoreFileSystemOperator:
        return RestoreFileSystemOperator(
            task_id="t",
            recovery_point_arn=POINT,
            source_file_system_id=OTHER,
            created_as="efs-staging-files",
            name="files",
            allowed_names=["files"],
            role_arn="role",
            kms_key_id="alias/k",
            items=["/media"],
            run_key="run",
            **AT,
        )

    def job(self, status: str, created: str | None = ARN, point: str = POINT) -> dict[str, Any]:
        return {"RestoreJobId": "j", "Status": status, "RecoveryPointArn": point, "CreatedResourceArn": created}

    def test_is_started_once_though_aws_names_the_file_system_late(self, script) -> None:
        script.say("DescribeFileSystems", systems(), systems(), systems(system(tags={})))
        running = {"RestoreJobs": [self.job("RUNNING", None)]}
        script.say("ListRestoreJobs", {"RestoreJobs": []}, running, {"RestoreJobs": [self.job("COMPLETED")]})
        script.say("StartRestoreJob", {"RestoreJobId": "j"})
        script.say("DescribeRestoreJob", self.job("COMPLETED", None))
        script.say("TagResource", {})
        assert drive(self.operator) == {"file_system_id": FS, "arn": ARN, "restore_job_id": "j"}
        [started] = script.called("StartRestoreJob")
        assert started["Metadata"]["ItemsToRestore"] == json.dumps(["/media"])
        assert started["Metadata"]["newFileSystem"] == "true"
        assert started["IdempotencyToken"] == naming.backup_job("efs-staging-files", POINT)
        [tagged] = script.called("TagResource")
        assert {"Key": "refresh", "Value": "true"} in tagged["Tags"]

    @pytest.mark.parametrize("status", ["FAILED", "ABORTED"])
    def test_a_job_that_failed_is_an_error_with_what_to_do(self, script, status) -> None:
        script.say("DescribeFileSystems", systems(system(tags={})))
        script.say("ListRestoreJobs", {"RestoreJobs": [{**self.job(status), "StatusMessage": "why"}]})
        with pytest.raises(StateError, match=rf"{status}: why; delete {FS}"):
            drive(self.operator)

    def test_a_file_system_that_no_job_made_is_not_taken_for_ours(self, script) -> None:
        script.say("DescribeFileSystems", systems(system()))
        script.say("ListRestoreJobs", {"RestoreJobs": [self.job("COMPLETED", point="another")]})
        with pytest.raises(StateError, match="not by a restore of"):
            drive(self.operator)


class TestReplication:
    def operator(self) -> ReplicateFileSystemOperator:
        given = {"file_system_id": OTHER, "destination_arn": ARN, "destination_region": "eu-west-1", "role_arn": "role"}
        return ReplicateFileSystemOperator(task_id="t", **given, **AT)

    def test_one_that_leads_elsewhere_is_left_and_refused(self, script) -> None:
        script.say("DescribeReplicationConfigurations", replication(to="fs-elsewhere"))
        with pytest.raises(StateError, match="to fs-elsewhere; end"):
            drive(self.operator)

    def test_one_that_fails_while_it_is_enabled(self, script) -> None:
        script.say(
            "DescribeReplicationConfigurations",
            "ReplicationNotFound",
            replication("ENABLING", None),
            replication("ERROR"),
        )
        script.say("CreateReplicationConfiguration", {})
        with pytest.raises(WaitFailedError):
            drive(self.operator)
        [created] = script.called("CreateReplicationConfiguration")
        assert created["Destinations"] == [{"FileSystemId": ARN, "Region": "eu-west-1", "RoleArn": "role"}]

    def test_a_denied_look_is_no_absence(self, script) -> None:
        script.say("DescribeReplicationConfigurations", "AccessDeniedException")
        with pytest.raises(PermanentError, match="AccessDenied"):
            drive(self.operator)

    def test_protection_is_taken_off_once(self, script) -> None:
        def operator() -> AllowReplicationOperator:
            given = {"file_system_id": FS, "allowed_names": ["files"], "source_account_id": "111111111111"}
            return AllowReplicationOperator(task_id="t", **given, **AT)

        on = {"FileSystemProtection": {"ReplicationOverwriteProtection": "ENABLED"}}
        script.say("DescribeFileSystems", systems(system(**on)))
        script.say("DescribeFileSystemPolicy", "PolicyNotFound")
        script.say("PutFileSystemPolicy", {})
        script.say("UpdateFileSystemProtection", {})
        drive(operator)
        policy = script.called("PutFileSystemPolicy")[0]["Policy"]
        replicating = {"FileSystemProtection": {"ReplicationOverwriteProtection": "REPLICATING"}}
        script.say("DescribeFileSystems", systems(system(**replicating)))
        script.say("DescribeFileSystemPolicy", {"Policy": policy})
        drive(operator)
        assert len(script.called("PutFileSystemPolicy", "UpdateFileSystemProtection")) == 2


class TestSynced:
    def operator(self, *since: str | None, waits: bool = True) -> ReplicationSyncedSensor:
        return ReplicationSyncedSensor(task_id="t", file_system_id=OTHER, since=list(since), waits=waits, **AT)

    def test_waits_for_the_latest_moment(self, script) -> None:
        late = NOW + timedelta(minutes=5)
        script.say(
            "DescribeReplicationConfigurations", replication(), replication(), replication(), replication(synced=late)
        )
        found = drive(lambda: self.operator(NOW.isoformat(), "", late.isoformat()))
        assert (found["synced_to"], found["since"]) == (late.isoformat(), late.isoformat())

    def test_does_not_wait_where_it_shall_not(self, script) -> None:
        script.say("DescribeReplicationConfigurations", replication("ENABLING", None))
        with pytest.raises(VerificationError, match="no moment yet"):
            drive(lambda: self.operator(NOW.isoformat(), waits=False))

    @pytest.mark.parametrize("status", ["ERROR", "PAUSED", "PAUSING", "DELETING"])
    def test_a_replication_that_does_not_go_on_is_an_error(self, script, status) -> None:
        script.say("DescribeReplicationConfigurations", replication(status))
        with pytest.raises(StateError, match=status):
            drive(lambda: self.operator(NOW.isoformat()))

    @pytest.mark.parametrize("since", [[], [""], ["2026-01-01T00:00:00"], ["soon"]])
    def test_a_moment_without_zone_is_refused(self, script, since) -> None:
        with pytest.raises(ConfigError, match="since"):
            drive(lambda: self.operator(*since))

    def test_none_at_all(self, script) -> None:
        script.say("DescribeReplicationConfigurations", "ReplicationNotFound")
        with pytest.raises(MissingError, match="efs_setup_cross_account_replication"):
            drive(lambda: self.operator(NOW.isoformat()))


class TestPublish:
    def operator(self, **changes: str) -> PublishFilesOperator:
        given = {"file_system_id": FS, "subpath": "/a", "id_parameter": "/id", "subpath_parameter": "/path", **changes}
        return PublishFilesOperator(task_id="t", **given, **AT)

    @pytest.mark.parametrize("former", ["/former", None])
    def test_both_or_neither(self, script, former) -> None:
        script.say("DescribeFileSystems", systems(system()))
        script.say("TagResource", {})
        before = {"Parameter": {"Value": former}} if former else "ParameterNotFound"
        script.say("GetParameter", before, "ParameterNotFound")
        script.say("PutParameter", {}, "AccessDeniedException", {})
        script.say("DeleteParameter", {})
        with pytest.raises(PermanentError, match="AccessDenied"):
            drive(self.operator)
        last = script.calls[-1]
        if former:
            assert (last[0], last[1]["Name"], last[1]["Value"]) == ("PutParameter", "/path", "/former")
        else:
            assert last == ("DeleteParameter", {"Name": "/path"})

    def test_what_is_right_is_not_written(self, script) -> None:
        script.say("DescribeFileSystems", systems(system()))
        script.say("GetParameter", {"Parameter": {"Value": "/a"}}, {"Parameter": {"Value": FS}})
        assert drive(self.operator)["previous"] == {"file_system_id": FS, "subpath": "/a"}
        assert not script.called("PutParameter")
        assert not script.called("TagResource")

    def test_what_it_replaces_is_noted_before_it_does(self, script) -> None:
        script.say("DescribeFileSystems", systems(system(tags={"aurora-ops:expires": "2026-01-01T00:00:00+00:00"})))
        script.say("GetParameter", {"Parameter": {"Value": "/old"}}, {"Parameter": {"Value": OTHER}})
        for action in ("TagResource", "PutParameter", "UntagResource"):
            script.say(action, {}, {})
        assert drive(self.operator)["replaces"] == OTHER
        made = [(name, given) for name, given in script.calls if name not in ("DescribeFileSystems", "GetParameter")]
        assert [name for name, _ in made] == ["TagResource", "PutParameter", "PutParameter", "UntagResource"]
        assert made[0][1]["Tags"] == [{"Key": "aurora-ops:replaces", "Value": OTHER}]
        assert made[-1][1]["TagKeys"] == ["aurora-ops:expires"]

    @pytest.mark.parametrize(
        ("tags", "given"),
        [
            ({}, True),
            ({"aurora-ops:run": "the first"}, True),
            ({"refresh": "false"}, False),
            ({"aurora-ops:expires": "2026-01-01T00:00:00+00:00"}, False),
        ],
    )
    def test_what_it_replaces_may_expire(self, script, tags, given) -> None:
        script.say(
            "DescribeFileSystems",
            systems(system()),
            systems(system(FileSystemId=OTHER, tags={"refresh": "true", **tags})),
        )
        script.say("GetParameter", {"Parameter": {"Value": "/old"}}, {"Parameter": {"Value": OTHER}})
        for action in ("TagResource", "PutParameter"):
            script.say(action, {}, {})
        drive(lambda: self.operator(former_expires_h=24))
        marked = [
            {tag["Key"]: tag["Value"] for tag in call["Tags"]}
            for name, call in script.calls
            if name == "TagResource" and call["ResourceId"] == OTHER
        ]
        assert [set(tags) for tags in marked] == [{"aurora-ops:owner", "aurora-ops:expires", *tags}] * given

    def test_what_it_replaces_may_be_gone(self, script) -> None:
        script.say("DescribeFileSystems", systems(system(tags={"aurora-ops:replaces": OTHER})), systems())
        script.say("GetParameter", {"Parameter": {"Value": "/a"}}, {"Parameter": {"Value": FS}})
        assert drive(lambda: self.operator(former_expires_h=24))["replaces"] == OTHER

    def test_a_try_that_was_killed_after_it_had_written_still_tells(self, script) -> None:
        script.say("DescribeFileSystems", systems(system(tags={"aurora-ops:replaces": OTHER})))
        script.say("GetParameter", {"Parameter": {"Value": "/a"}}, {"Parameter": {"Value": FS}})
        assert drive(self.operator)["replaces"] == OTHER

    def test_one_parameter_cannot_hold_both(self, script) -> None:
        with pytest.raises(ConfigError, match="subpath_parameter"):
            drive(lambda: self.operator(subpath_parameter="/id"))
