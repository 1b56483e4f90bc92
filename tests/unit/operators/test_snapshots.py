"""Snapshots: taken, re-keyed, shared, copied, given back."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import TaskDeferred
from aurora_ops.core.errors import BusyError, ConfigError, MissingError, SafetyError, StateError, WaitFailedError
from aurora_ops.operators.snapshots import (
    CopySnapshotOperator,
    DeleteSnapshotOperator,
    EnsureSnapshotOperator,
    RevokeShareOperator,
    ShareSnapshotOperator,
)

from tests.unit.operators.driver import drive, once

AT = {"aws_conn_id": "aws_source", "region_name": "eu-west-1"}
SHARED = "arn:aws:rds:eu-west-1:111111111111:cluster-snapshot:rekeyed"
OTHER, ROLE = "222222222222", "arn:aws:iam::222222222222:role/aurora-ops-destination"


@pytest.fixture(autouse=True)
def permissions(calls):
    """What an operator calls it has declared."""
    used: list[type] = []
    yield used
    allowed = {action for operator in used for action in operator.permissions}
    assert set(calls) <= allowed | {"kms:CreateKey", "kms:CreateAlias"}


def maker(permissions, kind, **given):
    permissions.append(kind)
    return lambda: kind(task_id="t", **{**AT, **given})


class TestEnsure:
    """A snapshot of a cluster."""

    @pytest.fixture
    def take(self, rds, permissions):
        rds.cluster("prod", refresh=False)
        return maker(permissions, EnsureSnapshotOperator, cluster_id="prod", snapshot_id="s", tags={"k": "v"})

    def test_is_taken_with_tags_and_waited_for(self, rds, take) -> None:
        assert drive(take)["snapshot_id"] == "s"
        ((name, asked),) = rds.mutations
        assert name == "CreateDBClusterSnapshot"
        assert {tag["Key"]: tag["Value"] for tag in asked["Tags"]} == {"aurora-ops:owner": "aurora-ops", "k": "v"}

    def test_twice_is_once(self, rds, take) -> None:
        assert drive(take) == drive(take)
        assert len(rds.mutations) == 1

    def test_killed_after_asking(self, rds, take) -> None:
        assert isinstance(once(take), TaskDeferred)
        assert drive(take)["snapshot_id"] == "s"
        assert len(rds.mutations) == 1

    def test_what_is_there_is_adopted(self, rds, take) -> None:
        rds.snapshot("s", SnapshotType="automated")
        result = drive(take)
        assert result["created_at"] == "2026-07-01T00:00:00+00:00"
        assert rds.mutations == []

    def test_of_another_cluster_is_refused(self, rds, take) -> None:
        rds.snapshot("s", cluster="other")
        with pytest.raises(StateError, match="is one of other, not of prod"):
            drive(take)
        assert rds.mutations == []

    @pytest.mark.parametrize("status", ["creating", "copying", "pending"])
    def test_in_the_making_is_waited_for(self, rds, take, status) -> None:
        rds.snapshot("s")
        rds.script("s", status, status, status, "available")
        assert drive(take)["snapshot_id"] == "s"
        assert rds.mutations == []

    @pytest.mark.parametrize("status", ["failed", "deleting", "incompatible-restore"])
    def test_in_a_terminal_state(self, rds, take, status) -> None:
        rds.snapshot("s", Status=status)
        with pytest.raises(StateError, match=f"is {status}"):
            drive(take)

    def test_that_fails_meanwhile(self, rds, take) -> None:
        rds.snapshot("s")
        rds.script("s", "creating", "creating", "failed")
        with pytest.raises(WaitFailedError):
            drive(take)

    def test_of_a_missing_cluster(self, rds, take) -> None:
        rds.clusters.clear()
        with pytest.raises(MissingError, match="s prod"):
            drive(take)

    def test_of_a_busy_cluster_is_retried(self, rds, take) -> None:
        rds.fail("CreateDBClusterSnapshot", "InvalidDBClusterStateFault")
        with pytest.raises(BusyError):
            drive(take)
        assert drive(take)["snapshot_id"] == "s"


class TestCopy:
    """A copy under a key of this account."""

    @pytest.fixture
    def keys(self, rds, aws_session):
        kms = aws_session.client("kms")
        arns = [kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)]
        kms.create_alias(AliasName="alias/aws/rds-of-moto", TargetKeyId=arns[1])
        return arns

    @pytest.fixture
    def copy(self, rds, permissions):
        return lambda **given: maker(
            permissions,
            CopySnapshotOperator,
            **{"source": SHARED, "snapshot_id": "copy", "kms_key_id": "arn:mine", **given},
        )

    def test_of_a_shared_arn_under_the_key_of_this_account(self, rds, copy) -> None:
        rds.snapshot(SHARED)
        result = drive(copy(source_region="eu-west-1"))
        assert result["copied"] is True
        assert result["snapshot_id"] == "copy"
        assert result["kms_key_arn"] == "arn:mine"
        ((_, asked),) = rds.mutations
        assert "SourceRegion" not in asked
        assert asked["SourceDBClusterSnapshotIdentifier"] == SHARED
        assert {"Key": "aurora-ops:owner", "Value": "aurora-ops"} in asked["Tags"]

    def test_twice_is_once_and_killed_between(self, rds, copy) -> None:
        rds.snapshot(SHARED)
        assert isinstance(once(copy()), TaskDeferred)
        assert drive(copy()) == drive(copy())
        assert len(rds.mutations) == 1

    def test_copy_is_kept_even_if_the_source_is_gone(self, rds, copy) -> None:
        rds.snapshot("copy")
        assert drive(copy())["copied"] is True
        assert rds.mutations == []

    def test_of_what_is_not_shared(self, rds, copy) -> None:
        with pytest.raises(MissingError, match="it must be shared first"):
            drive(copy())

    def test_of_an_encrypted_one_without_a_key(self, rds, copy) -> None:
        rds.snapshot(SHARED)
        with pytest.raises(ConfigError, match="customer key"):
            drive(copy(kms_key_id=None))
        assert rds.mutations == []

    def test_of_an_unencrypted_one_has_no_key(self, rds, copy) -> None:
        rds.snapshot(SHARED, StorageEncrypted=False, KmsKeyId="")
        drive(copy())
        assert "KmsKeyId" not in rds.mutations[0][1]

    def test_that_failed_before(self, rds, copy) -> None:
        rds.snapshot(SHARED)
        rds.snapshot("copy", Status="failed")
        with pytest.raises(StateError, match="delete it and run this task again"):
            drive(copy())

    def test_that_fails_meanwhile(self, rds, copy) -> None:
        rds.snapshot(SHARED)
        rds.lag = 10**6
        rds.after(5, lambda: rds.snapshots["copy"].update(Status="failed"))
        with pytest.raises(WaitFailedError):
            drive(copy())

    def test_over_the_quota_is_retried(self, rds, copy) -> None:
        rds.snapshot(SHARED)
        rds.fail("CopyDBClusterSnapshot", "SnapshotQuotaExceeded")
        with pytest.raises(Exception, match="quota"):
            drive(copy())
        assert drive(copy())["copied"] is True

    class TestOnlyIfUnshareable:
        """Re-keying."""

        @pytest.fixture
        def rekey(self, copy):
            return copy(source="s", snapshot_id="rekeyed", only_if_unshareable=True)

        @pytest.fixture
        def default_key(self, aws_session, rds):
            """The key behind alias/aws/rds."""
            return aws_session.client("kms").describe_key(KeyId="alias/aws/rds")["KeyMetadata"]["Arn"]

        def test_manual_one_under_a_customer_key_is_given_back(self, rds, rekey, keys, calls) -> None:
            calls.clear()
            rds.snapshot("s", KmsKeyId=keys[0])
            result = drive(rekey)
            assert (result["snapshot_id"], result["copied"]) == ("s", False)
            assert calls.mutating == []

        def test_manual_unencrypted_one_is_given_back_and_no_key_is_looked_at(self, rds, rekey, calls) -> None:
            rds.snapshot("s", StorageEncrypted=False)
            assert drive(rekey)["copied"] is False
            assert "kms:DescribeKey" not in calls

        def test_automated_one_is_copied(self, rds, rekey) -> None:
            rds.snapshot("s", SnapshotType="automated")
            result = drive(rekey)
            assert (result["snapshot_id"], result["copied"], result["kms_key_arn"]) == ("rekeyed", True, "arn:mine")

        def test_one_under_the_default_key_is_copied(self, rds, rekey, default_key) -> None:
            rds.snapshot("s", KmsKeyId=default_key)
            assert drive(rekey)["snapshot_id"] == "rekeyed"

        def test_another_region_is_named(self, rds, copy) -> None:
            rds.snapshot(SHARED)
            drive(copy(source_region="us-east-1"))
            assert rds.mutations[0][1]["SourceRegion"] == "us-east-1"


class TestShare:
    """The share list, and a grant on the key."""

    @pytest.fixture
    def key(self, rds, aws_session):
        return aws_session.client("kms").create_key()["KeyMetadata"]["Arn"]

    @pytest.fixture
    def share(self, rds, permissions):
        return maker(permissions, ShareSnapshotOperator, snapshot_id="s", account_id=OTHER, grantee_arn=ROLE)

    @pytest.fixture
    def revoke(self, rds, permissions):
        return maker(permissions, RevokeShareOperator, snapshot_id="s", account_id=OTHER)

    def grants(self, aws_session, key):
        return aws_session.client("kms").list_grants(KeyId=key)["Grants"]

    def test_and_revoke(self, rds, key, share, revoke, aws_session, calls) -> None:
        rds.snapshot("s", KmsKeyId=key)
        result = drive(share)
        assert rds.shares["s"] == {OTHER}
        (grant,) = self.grants(aws_session, key)
        assert result["grant_id"] == grant["GrantId"]
        assert grant["GranteePrincipal"] == ROLE
        assert "Decrypt" in grant["Operations"]
        assert drive(revoke) == {"revoked": True}
        assert rds.shares["s"] == set()
        assert self.grants(aws_session, key) == []

    def test_key_comes_before_the_share_list(self, rds, key, share, calls) -> None:
        rds.snapshot("s", KmsKeyId=key)
        drive(share)
        assert calls.mutating[-2:] == ["kms:CreateGrant", "rds:ModifyDBClusterSnapshotAttribute"]

    def test_twice_is_once(self, rds, key, share, revoke, calls) -> None:
        rds.snapshot("s", KmsKeyId=key)
        assert drive(share) == drive(share)
        assert calls.count("kms:CreateGrant") == 1
        assert len(rds.mutations) == 1
        drive(revoke)
        assert drive(revoke) == {"revoked": False}
        assert len(rds.mutations) == 2
        assert calls.count("kms:RevokeGrant") == 1

    def test_killed_between_grant_and_list(self, rds, key, share, calls) -> None:
        rds.snapshot("s", KmsKeyId=key)
        rds.fail("ModifyDBClusterSnapshotAttribute", "Throttling")
        with pytest.raises(Exception, match="try again later"):
            drive(share)
        drive(share)
        assert calls.count("kms:CreateGrant") == 1
        assert rds.shares["s"] == {OTHER}

    def test_unencrypted_one_needs_no_grant(self, rds, share, revoke, calls) -> None:
        rds.snapshot("s", StorageEncrypted=False, KmsKeyId="")
        assert drive(share)["grant_id"] is None
        assert drive(revoke) == {"revoked": True}
        assert not any(action.startswith("kms:") for action in calls)

    def test_other_shares_and_grants_stay(self, rds, key, share, revoke, aws_session) -> None:
        rds.snapshot("s", KmsKeyId=key)
        rds.shares["s"] = {"333333333333"}
        aws_session.client("kms").create_grant(KeyId=key, GranteePrincipal=ROLE, Operations=["Decrypt"], Name="other")
        rds.mutations.clear()
        drive(share)
        drive(revoke)
        assert rds.shares["s"] == {"333333333333"}
        assert [grant["Name"] for grant in self.grants(aws_session, key)] == ["other"]

    def test_a_share_that_was_there_before_stays(self, rds, key, share, permissions, aws_session) -> None:
        rds.snapshot("s", KmsKeyId=key)
        rds.shares["s"] = {OTHER}
        drive(share)
        made = maker(permissions, RevokeShareOperator, snapshot_id="s", account_id=OTHER, was_shared=True)
        assert drive(made) == {"revoked": True}, "the grant is this package's own"
        assert rds.shares["s"] == {OTHER}
        assert self.grants(aws_session, key) == []

    def marks(self, rds) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in rds.snapshots["s"]["TagList"]}

    def test_somebody_elses_is_marked_while_it_is_shared(self, rds, permissions, revoke) -> None:
        rds.snapshot("s", StorageEncrypted=False, TagList=[])
        given = {"snapshot_id": "s", "account_id": OTHER, "grantee_arn": ROLE, "expires_h": 24}
        drive(maker(permissions, ShareSnapshotOperator, **given, run_key="dag/dead"))
        assert set(self.marks(rds)) == {f"aurora-ops:share-{what}:{OTHER}" for what in ("run", "expires")}
        drive(maker(permissions, ShareSnapshotOperator, **given, run_key="dag/next"))
        assert self.marks(rds)[f"aurora-ops:share-run:{OTHER}"] == "dag/next", "a dead run's share is taken over"
        assert [name for name, _ in rds.mutations] == [
            "AddTagsToResource", "ModifyDBClusterSnapshotAttribute", "AddTagsToResource",
        ]  # fmt: skip
        drive(revoke)
        assert self.marks(rds) == {}
        assert rds.shares["s"] == set()

    def test_missing_one(self, rds, share, revoke) -> None:
        with pytest.raises(MissingError, match="no snapshot s behind aws_source"):
            drive(share)
        assert drive(revoke) == {"revoked": False}

    def test_automated_one_cannot_have_been_shared(self, rds, revoke) -> None:
        rds.snapshot("s", SnapshotType="automated")
        assert drive(revoke) == {"revoked": False}
        assert rds.mutations == []

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_run_that_never_chose_one(self, rds, permissions, calls, nothing) -> None:
        made = maker(permissions, RevokeShareOperator, snapshot_id=nothing, account_id=OTHER)
        assert drive(made) == {"revoked": False}
        assert calls == []

    @pytest.fixture(autouse=True)
    def setup_calls(self, permissions, calls):
        """Calls of the test itself do not count."""
        permissions += [ShareSnapshotOperator, RevokeShareOperator]


class TestDelete:
    """Only what this package made."""

    @pytest.fixture
    def delete(self, rds, permissions):
        return maker(permissions, DeleteSnapshotOperator, snapshot_id="s")

    def test_is_deleted_and_waited_for(self, rds, delete) -> None:
        rds.snapshot("s")
        assert drive(delete) == {"snapshot_id": "s", "status": "absent"}
        assert rds.snapshots == {}
        assert len(rds.mutations) == 1

    def test_killed_between(self, rds, delete) -> None:
        rds.snapshot("s")
        assert isinstance(once(delete), TaskDeferred)
        assert drive(delete)["status"] == "absent"
        assert len(rds.mutations) == 1

    def test_absent_is_the_goal(self, rds, delete, calls) -> None:
        assert drive(delete)["status"] == "absent"
        assert calls.mutating == []

    def test_none_is_nothing_to_do(self, rds, permissions, calls) -> None:
        assert drive(maker(permissions, DeleteSnapshotOperator, snapshot_id=None))["status"] == "absent"
        assert calls == []

    @pytest.mark.parametrize("tags", [[], [{"Key": "aurora-ops:owner", "Value": "ann"}]])
    def test_not_ours(self, rds, delete, tags) -> None:
        rds.snapshot("s", TagList=tags)
        with pytest.raises(SafetyError, match="not ours to delete"):
            drive(delete)
        assert "s" in rds.snapshots
        assert rds.mutations == []

    def test_deleting_is_waited_for(self, rds, delete) -> None:
        rds.snapshot("s", Status="deleting")
        rds.after(4, rds.snapshots.clear)
        assert drive(delete)["status"] == "absent"
        assert rds.mutations == []

    def test_still_in_the_making_is_retried(self, rds, delete) -> None:
        rds.snapshot("s", Status="creating")
        with pytest.raises(BusyError):
            drive(delete)
