"""Sharing a cluster through RAM: scripted answers, all pages, and never somebody else's share."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aurora_ops.core.errors import BusyError, SafetyError, StateError, WaitFailedError
from aurora_ops.operators.ram import AcceptClusterShareOperator, ShareClusterOperator, StopSharingClusterOperator
from botocore.client import BaseClient

from tests.unit.operators.driver import drive

AT = {"aws_conn_id": "aws_source", "region_name": "eu-west-1", "share_name": "clone-staging-prod"}
CLUSTER = "arn:aws:rds:eu-west-1:111111111111:cluster:prod"
SHARE = "arn:share"
OURS = [{"key": "aurora-ops:owner", "value": "aurora-ops"}]


class FakeRam:
    """One account's RAM and KMS; each item of a list has a page of its own."""

    def __init__(self) -> None:
        self.shares: list[dict[str, Any]] = []
        self.invitations: list[dict[str, Any]] = []
        self.statuses = ["ASSOCIATING", "ASSOCIATED"]
        self.resources: list[str] = []
        self.grants: list[dict[str, str]] = []
        self.calls: list[str] = []

    @property
    def mutating(self) -> list[str]:
        return [call for call in self.calls if not call.split(":")[1].startswith(("Get", "List"))]

    def page(self, key: str, items: list[Any], token: str | None) -> dict[str, Any]:
        position = int(token or 0)
        following = {"nextToken": str(position + 1)} if position + 1 < len(items) else {}
        return {key: items[position : position + 1], **following}

    def __call__(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        token = asked.get("nextToken")
        match operation:
            case "GetResourceShares":
                found = [
                    one
                    for one in self.shares
                    if one["name"] == asked["name"] and one["owner"] == asked["resourceOwner"]
                ]
                return self.page("resourceShares", found, token)
            case "GetResourceShareAssociations":
                status = self.statuses[0] if len(self.statuses) == 1 else self.statuses.pop(0)
                items = [{"associatedEntity": arn, "status": status} for arn in self.resources]
                return {"resourceShareAssociations": items}
            case "GetResourceShareInvitations":
                return self.page("resourceShareInvitations", self.invitations, token)
            case "CreateResourceShare":
                assert asked["principals"] == ["222222222222"]
                self.resources = asked["resourceArns"]
                self.shares.append({"name": asked["name"], "resourceShareArn": SHARE, "status": "ACTIVE", "tags": asked["tags"],
                                    "owner": "SELF"})  # fmt: skip
                return {"resourceShare": self.shares[-1]}
            case "DeleteResourceShare":
                self.shares = [one | {"status": "DELETED"} for one in self.shares]
            case "AcceptResourceShareInvitation":
                self.invitations[-1]["status"] = "ACCEPTED"
                self.shares.append(share(owner="OTHER-ACCOUNTS"))
            case "ListGrants":
                return {"Grants": self.grants, "Truncated": False}
            case "CreateGrant":
                self.grants.append({"GrantId": "g1", "Name": asked["Name"]})
                return self.grants[-1]
            case "RevokeGrant":
                self.grants = []
        return {}


def share(**changes: Any) -> dict[str, Any]:
    return {
        "name": AT["share_name"],
        "resourceShareArn": SHARE,
        "status": "ACTIVE",
        "tags": OURS,
        "owner": "SELF",
        **changes,
    }


@pytest.fixture
def ram(aws_session, monkeypatch):
    fake = FakeRam()

    def call(self, operation, params):
        service = self.meta.service_model.service_name
        fake.calls.append(f"{service}:{operation}")
        return json.loads(json.dumps(fake(operation, params)))

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return fake


def give(**changes: Any) -> Any:
    given = {
        "cluster_arn": CLUSTER,
        "key_arn": "arn:key",
        "account_id": "222222222222",
        "grantee_arn": "arn:role",
        **changes,
    }
    return lambda: ShareClusterOperator(task_id="t", run_key="r", expires_h=1, **AT, **given)


def take(**changes: Any) -> Any:
    return lambda: AcceptClusterShareOperator(task_id="t", **AT, **{"share_arn": SHARE, **changes})


def end() -> Any:
    return StopSharingClusterOperator(task_id="t", key_arn="arn:key", account_id="222222222222", **AT)


def test_is_granted_then_shared_then_waited_for(ram) -> None:
    assert drive(give()) == {"share_name": AT["share_name"], "share_arn": SHARE}
    assert ram.mutating == ["kms:CreateGrant", "ram:CreateResourceShare"]
    assert OURS[0] in ram.shares[0]["tags"]
    assert drive(give())["share_arn"] == SHARE
    assert len(ram.mutating) == 2, "a second time changes nothing"
    assert set(ram.calls) <= set(ShareClusterOperator.permissions)


def test_a_share_that_is_deleted_is_none(ram) -> None:
    ram.shares = [share(status="DELETED")]
    drive(give())
    assert "ram:CreateResourceShare" in ram.mutating


def test_nothing_to_share_is_nothing_to_do(ram) -> None:
    assert drive(give(cluster_arn=None))["share_arn"] is None
    assert drive(take(share_arn=None))["accepted"] is False
    assert ram.calls == []


def test_a_refused_share_is_said(ram) -> None:
    ram.statuses = ["ASSOCIATING", "FAILED"]
    with pytest.raises(WaitFailedError):
        drive(give())


def test_somebody_elses_share_is_left_alone(ram) -> None:
    ram.shares = [share(tags=[])]
    for make in (give(), end):
        with pytest.raises(SafetyError, match="not ours"):
            drive(make)
    assert ram.mutating == []


def test_a_share_of_something_else_is_not_used(ram) -> None:
    ram.shares, ram.resources = [share()], [CLUSTER + "-2"]
    with pytest.raises(StateError, match="not arn:aws:rds"):
        drive(give())


def test_an_invitation_is_accepted_once(ram) -> None:
    ram.invitations = [
        {
            "resourceShareArn": "arn:other",
            "resourceShareInvitationArn": "i0",
            "status": "PENDING",
            "invitationTimestamp": 9,
        },
        {"resourceShareArn": SHARE, "resourceShareInvitationArn": "i1", "status": "PENDING", "invitationTimestamp": 1},
    ]
    assert drive(take()) == {"share_arn": SHARE, "accepted": True}
    assert drive(take())["accepted"] is True
    assert ram.mutating == ["ram:AcceptResourceShareInvitation"]
    assert set(ram.calls) <= set(AcceptClusterShareOperator.permissions)


def test_within_an_organization_there_is_nothing_to_accept(ram) -> None:
    ram.shares = [share(owner="OTHER-ACCOUNTS")]
    assert drive(take())["accepted"] is True
    assert ram.mutating == []


def test_no_invitation_yet_is_tried_again(ram) -> None:
    with pytest.raises(BusyError):
        drive(take())


@pytest.mark.parametrize("status", ["REJECTED", "EXPIRED"])
def test_an_invitation_that_is_over_is_said(ram, status) -> None:
    ram.invitations = [
        {"resourceShareArn": SHARE, "resourceShareInvitationArn": "i1", "status": status, "invitationTimestamp": 1}
    ]
    with pytest.raises(StateError, match=status):
        drive(take())


def test_share_and_grant_end(ram) -> None:
    drive(give())
    assert drive(end)["status"] == "absent"
    assert ram.mutating[2:] == ["ram:DeleteResourceShare", "kms:RevokeGrant"]
    assert ram.grants == []
    assert drive(end)["status"] == "absent"
    assert len(ram.mutating) == 4
