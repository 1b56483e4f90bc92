"""The master secret of a cluster, and the moment at which the users' secrets change."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core.errors import MissingError, SafetyError, StateError, WaitFailedError
from aurora_ops.hooks.secrets import CURRENT, PREVIOUS
from aurora_ops.operators.credentials import (
    ManageMasterSecretOperator,
    MoveSecretsOperator,
    RestoreSecretsOperator,
    RotateMasterSecretOperator,
)

from tests.unit.operators.driver import context, drive, once

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}


@pytest.fixture
def secrets(rds, aws_session, calls):
    """Secrets Manager with the master secret and one of an application; its own calls do not count."""
    client = aws_session.client("secretsmanager")
    for name in ("master", "staging/app", "staging/readonly"):
        client.create_secret(Name=name, SecretString=json.dumps({"password": f"first of {name}"}))
    calls.clear()
    return client


def current(secrets, name: str = "master") -> str:
    versions = secrets.describe_secret(SecretId=name)["VersionIdsToStages"]
    return next(version for version, stages in versions.items() if CURRENT in stages)


class TestManage:
    """RDS makes and keeps the master password."""

    def manage(self):
        return ManageMasterSecretOperator(task_id="m", cluster_id="app", kms_key_id="alias/k", **AT)

    def test_is_asked_for_once_and_waited_for(self, rds, secrets) -> None:
        rds.cluster("app")
        assert isinstance(once(self.manage), TaskDeferred)
        ctx = context()
        result = drive(self.manage, ctx)
        assert result == {"cluster_id": "app", "secret_arn": "master", "secret_version": current(secrets)}
        assert drive(self.manage) == result
        ((_, asked),) = rds.mutations
        assert asked["ManageMasterUserPassword"] is True
        assert asked["MasterUserSecretKmsKeyId"] == "alias/k"
        assert "first of" not in json.dumps([result, list(ctx["ti"].xcoms.values())])

    def test_already_managed(self, rds, secrets, calls) -> None:
        rds.cluster("app", MasterUserSecret={"SecretArn": "master", "SecretStatus": "active"})
        drive(self.manage)
        assert rds.mutations == []
        assert set(calls) <= set(ManageMasterSecretOperator.permissions)

    def test_in_the_making_is_waited_for(self, rds, secrets) -> None:
        rds.cluster("app", MasterUserSecret={"SecretArn": "master", "SecretStatus": "creating"})
        rds.after(
            4, lambda: rds.clusters["app"].update(MasterUserSecret={"SecretArn": "master", "SecretStatus": "active"})
        )
        drive(self.manage)
        assert rds.mutations == []

    def test_impaired_is_an_error(self, rds, secrets) -> None:
        rds.cluster("app", MasterUserSecret={"SecretArn": "master", "SecretStatus": "impaired"})
        with pytest.raises(WaitFailedError):
            drive(self.manage)

    def test_untagged(self, rds, secrets) -> None:
        rds.cluster("app", refresh=False)
        with pytest.raises(SafetyError):
            drive(self.manage)
        assert rds.mutations == []

    def test_missing(self, rds, secrets) -> None:
        with pytest.raises(MissingError):
            drive(self.manage)


class TestRotate:
    """The password from which the salt was derived ends."""

    @pytest.fixture
    def cluster(self, rds, secrets):
        rds.on_rotate = lambda: secrets.put_secret_value(SecretId="master", SecretString='{"password": "second"}')
        return rds.cluster("app", MasterUserSecret={"SecretArn": "master", "SecretStatus": "active"})

    def rotate(self, stale):
        return lambda: RotateMasterSecretOperator(task_id="r", cluster_id="app", stale_version=stale, **AT)

    def test_is_rotated_once_and_waited_for(self, rds, cluster, secrets) -> None:
        stale = current(secrets)
        calls_before = len(rds.mutations)
        rotate = self.rotate(stale)
        assert isinstance(once(rotate), TaskDeferred)
        rds.pass_time()
        result = drive(rotate)
        assert result["secret_version"] == current(secrets) != stale
        assert drive(rotate) == result
        assert len(rds.mutations) == calls_before + 1

    def test_already_rotated(self, rds, cluster, secrets) -> None:
        stale = current(secrets)
        rds.on_rotate()
        assert drive(self.rotate(stale))["secret_version"] != stale
        assert rds.mutations == []

    def test_not_managed(self, rds, secrets) -> None:
        rds.cluster("app")
        with pytest.raises(MissingError, match="run ManageMasterSecretOperator first"):
            drive(self.rotate("x"))

    def test_untagged(self, rds, secrets) -> None:
        rds.cluster("app", refresh=False, MasterUserSecret={"SecretArn": "master", "SecretStatus": "active"})
        with pytest.raises(SafetyError):
            drive(self.rotate(current(secrets)))
        assert rds.mutations == []

    def test_rotation_under_way_is_waited_for(self, rds, cluster, secrets) -> None:
        cluster["MasterUserSecret"]["SecretStatus"] = "rotating"
        stale = current(secrets)

        def done():
            cluster["MasterUserSecret"]["SecretStatus"] = "active"
            rds.on_rotate()

        rds.after(4, done)
        drive(self.rotate(stale))
        assert rds.mutations == []


class TestMove:
    """Versions become current with the swap, and cease to be if it is undone."""

    @pytest.fixture
    def versions(self, secrets):
        versions = {"staging/app": "a" * 32, "staging/readonly": "b" * 32}
        for name, version in versions.items():
            secrets.put_secret_value(
                SecretId=name, SecretString="{}", ClientRequestToken=version, VersionStages=["AWSPENDING"]
            )
        return versions

    def move(self, versions):
        return lambda: MoveSecretsOperator(task_id="m", versions=versions, **AT)

    def back(self, versions):
        return lambda: RestoreSecretsOperator(
            task_id="b", versions=versions, cluster_id="app", resource_id="cluster-0001", **AT
        )

    @pytest.fixture(autouse=True)
    def serving(self, rds):
        """The cluster that serves, and that the former passwords open."""
        return rds.cluster("app")

    def test_there_and_back(self, secrets, versions, calls) -> None:
        before = {name: current(secrets, name) for name in versions}
        calls.clear()
        assert drive(self.move(versions)) == {"moved": versions}
        assert {name: current(secrets, name) for name in versions} == versions
        assert sorted(drive(self.back(versions))["restored"]) == sorted(versions)
        assert {name: current(secrets, name) for name in versions} == before
        assert set(calls) == set(RestoreSecretsOperator.permissions)

    def test_twice_is_once(self, secrets, versions, calls) -> None:
        calls.clear()
        for step in (self.move, self.back):
            drive(step(versions))
            drive(step(versions))
        assert len(calls.mutating) == 4

    def test_killed_after_the_first(self, secrets, versions) -> None:
        before = {name: current(secrets, name) for name in versions}
        drive(self.move({"staging/app": versions["staging/app"]}))
        assert drive(self.back(versions)) == {"restored": ["staging/app"]}
        assert {name: current(secrets, name) for name in versions} == before

    def test_nothing_moved_nothing_restored(self, secrets, versions, calls) -> None:
        calls.clear()
        assert drive(self.back(versions)) == {"restored": []}
        assert calls.mutating == []

    @pytest.mark.parametrize("nothing", [None, {}])
    def test_run_that_made_none(self, secrets, calls, nothing) -> None:
        assert drive(self.back(nothing)) == {"restored": []}
        assert calls.mutating == []

    def test_secrets_stay_with_the_cluster_that_they_open(self, secrets, versions, serving, calls) -> None:
        drive(self.move(versions))
        calls.clear()
        serving["DbClusterResourceId"] = "cluster-0002"
        with pytest.raises(StateError, match="its secrets stay as they are"):
            drive(self.back(versions))
        assert calls.mutating == []

    def test_first_version_ever_has_nothing_before_it(self, secrets, calls) -> None:
        version = current(secrets, "staging/app")
        calls.clear()
        assert drive(self.back({"staging/app": version})) == {"restored": []}
        assert calls.mutating == []

    def test_previous_is_kept_as_previous(self, secrets, versions) -> None:
        before = current(secrets, "staging/app")
        drive(self.move(versions))
        stages = secrets.describe_secret(SecretId="staging/app")["VersionIdsToStages"]
        assert PREVIOUS in stages[before]

    def test_missing_secret_or_version(self, secrets, versions) -> None:
        with pytest.raises(MissingError):
            drive(self.move({"none": "a" * 32}))
        with pytest.raises(Exception, match="staging/app"):
            drive(self.move({"staging/app": "c" * 32}))
