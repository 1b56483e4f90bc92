"""What the reaper does with file systems and with shares of clusters that dead runs left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aurora_ops.core.errors import StateError
from aurora_ops.operators.reap_files import ReapFileSystemsOperator
from aurora_ops.operators.reap_others import ReapClusterSharesOperator
from botocore.client import BaseClient

from tests.unit.operators.driver import drive
from tests.unit.operators.test_files import AT, FS, OTHER, Script, parameter, system, systems

PAST, FUTURE = "2020-01-01T00:00:00+00:00", "2100-01-01T00:00:00+00:00"
MARKS = {"refresh": "true", "aurora-ops:owner": "aurora-ops", "aurora-ops:run": "dag/dead", "aurora-ops:expires": PAST}
LOCKS = [{"aws_conn_id": "aws_orchestrator", "region_name": "eu-west-1", "table": "runs", "keys": ["refresh#1#app"]}]
POINT = {"AccessPointId": "fsap-1", "AccessPointArn": "arn:ap", "FileSystemId": FS, "LifeCycleState": "available"}
ARN = "arn:aws:ram:eu-west-1:111111111111:resource-share/1"


@pytest.fixture
def script(aws_session, monkeypatch) -> Script:
    made = Script()
    monkeypatch.setattr(BaseClient, "_make_api_call", lambda client, name, given: made.call(client, name, given))
    made.say("GetItem", {})
    made.say("GetParameter", parameter(OTHER))
    made.say("DescribeReplicationConfigurations", "ReplicationNotFound")
    made.say("DescribeAccessPoints", {"AccessPoints": [POINT]})
    made.say("DescribeMountTargets", {"MountTargets": []})
    made.say("DeleteAccessPoint", {})
    made.say("DeleteFileSystem", {})
    return made


def made(tags: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return system(tags={"Name": "files", **MARKS, **(tags or {})}, **more)


class TestFileSystems:
    def reaper(self, **changes: Any) -> ReapFileSystemsOperator:
        given: dict[str, Any] = {
            "policy": "remove", "environments": ["staging"], "locks": LOCKS, "allowed_names": ["files"],
            "id_parameters": ["/files/id"], "eks_clusters": [], "protected": False, **changes,
        }  # fmt: skip
        return ReapFileSystemsOperator(task_id="t", **given, **AT)

    def test_an_expired_one_goes_with_what_belongs_to_it(self, script) -> None:
        script.say("DescribeFileSystems", systems(made()), systems(made()), "FileSystemNotFound", systems())
        assert drive(self.reaper)["removed"] == [f"file system {FS}"]
        done = [name for name, _ in script.calls if name.startswith("Delete")]
        assert done == ["DeleteAccessPoint", "DeleteFileSystem"]

    @pytest.mark.parametrize(
        ("tags", "changes", "counted", "said"),
        [
            ({"aurora-ops:expires": FUTURE}, {}, "kept", ""),
            ({"Name": "others"}, {}, "to_look_at", "allowed are"),
            ({"refresh": "false"}, {}, "to_look_at", "not tagged refresh=true"),
            ({"aurora-ops:run": ""}, {}, "to_look_at", "no tag says"),
            ({}, {"protected": True}, "to_look_at", "protected account"),
            ({}, {"policy": "report"}, "expired", "it expired 2020"),
        ],
    )
    def test_what_is_in_doubt_stays(self, script, tags, changes, counted, said) -> None:
        script.say("DescribeFileSystems", systems(made(tags)))
        found = drive(lambda: self.reaper(**changes))
        assert (found["counts"][counted], found["counts"]["removed"]) == (1, 0)
        assert said in " ".join([*found["to_look_at"], *found["expired"]])
        assert not script.called("DeleteFileSystem", "DeleteAccessPoint")

    def test_what_a_parameter_names_stays(self, script) -> None:
        script.say("DescribeFileSystems", systems(made()))
        script.say("GetParameter", parameter(FS))
        assert drive(self.reaper)["to_look_at"] == [f"file system {FS}: /files/id names it"]

    def test_what_a_volume_shows_stays(self, script, monkeypatch) -> None:
        script.say("DescribeFileSystems", systems(made()))

        class Api:
            def list(self, _kind: Any) -> list[Any]:
                handle = {"driver": "efs.csi.aws.com", "volumeHandle": f"{FS}:/x"}
                return [{"metadata": {"name": "v"}, "spec": {"csi": handle}}]

        monkeypatch.setattr("aurora_ops.hooks.kubernetes.KubernetesHook.api", lambda _hook, _name: Api())
        [line] = drive(lambda: self.reaper(eks_clusters=["apps"]))["to_look_at"]
        assert "volumes ['v'] of EKS cluster apps show it" in line

    def test_what_nobody_marked_is_none_of_ours(self, script) -> None:
        script.say("DescribeFileSystems", systems(system(), made({"aurora-ops:owner": "others"})))
        assert drive(self.reaper)["counts"]["found"] == 0

    def test_a_live_run_bars_everything(self, script) -> None:
        script.say("DescribeFileSystems", systems(made()))
        lock = {"holder": {"S": "dag/live"}, "expires_at": {"N": "4000000000"}}
        script.say("GetItem", {"Item": lock})
        assert drive(self.reaper)["counts"] == {
            "found": 1, "kept": 1, "to_look_at": 0, "expired": 0, "removed": 0, "failed": 0,
        }  # fmt: skip

    def test_one_that_cannot_be_removed_is_named(self, script) -> None:
        script.say("DescribeFileSystems", systems(made()))
        script.say("DeleteFileSystem", "FileSystemInUse")
        with pytest.raises(StateError, match=f"file system {FS}"):
            drive(self.reaper)


class TestClusterShares:
    def reaper(self) -> ReapClusterSharesOperator:
        return ReapClusterSharesOperator(task_id="t", policy="remove", environments=["staging"], locks=LOCKS, **AT)

    def share(self, arn: str = ARN, **tags: str) -> dict[str, Any]:
        given = {**MARKS, **tags}
        return {
            "name": "clone-staging-prod", "resourceShareArn": arn, "status": "ACTIVE",
            "creationTime": datetime(2020, 1, 1, tzinfo=UTC), "tags": [{"key": k, "value": v} for k, v in given.items()],
        }  # fmt: skip

    def test_an_expired_one_is_ended(self, script) -> None:
        script.say("GetResourceShares", {"resourceShares": [self.share()]})
        script.say("DeleteResourceShare", {})
        assert drive(self.reaper)["removed"] == ["cluster share clone-staging-prod"]
        assert script.called("DeleteResourceShare") == [{"resourceShareArn": ARN}]

    def test_a_new_one_of_the_same_name_is_another(self, script) -> None:
        script.say("GetResourceShares", {"resourceShares": [self.share()]}, {"resourceShares": [self.share(ARN + "2")]})
        assert drive(self.reaper)["counts"]["removed"] == 0
        assert not script.called("DeleteResourceShare")

    @pytest.mark.parametrize("tags", [{"aurora-ops:expires": FUTURE}, {"aurora-ops:owner": "others"}])
    def test_others_stay(self, script, tags) -> None:
        script.say("GetResourceShares", {"resourceShares": [self.share(**tags)]})
        assert drive(self.reaper)["counts"]["removed"] == 0
