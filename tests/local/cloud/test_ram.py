"""Clusters shared through RAM, and cloned in another account: AWS's rules, and real data behind the clone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.local.cloud import rds_helpers as h

if TYPE_CHECKING:
    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local
ITEMS = "SELECT COUNT(*) FROM shop.items"
NAME = "clone-staging-rds-base"


@pytest.fixture
def base(cloud: LocalCloud) -> h.Base:
    return h.base(cloud)


@pytest.fixture
def ram(cloud: LocalCloud) -> Any:
    """RAM of production; what a test shares is not shared afterwards."""
    client = cloud.client(h.PRODUCTION, "ram")
    yield client
    for share in client.get_resource_shares(resourceOwner="SELF", resourceShareStatus="ACTIVE")["resourceShares"]:
        client.delete_resource_share(resourceShareArn=share["resourceShareArn"])


def share(ram: Any, *arns: str, account: str = h.STAGING, name: str = NAME) -> str:
    made = ram.create_resource_share(name=name, resourceArns=list(arns), principals=[account], allowExternalPrincipals=True,
                                     tags=[{"key": "a", "value": "b"}])  # fmt: skip
    return str(made["resourceShare"]["resourceShareArn"])


def accept(cloud: LocalCloud, arn: str, account: str = h.STAGING) -> None:
    ram = cloud.client(account, "ram")
    [invitation] = [
        item
        for item in ram.get_resource_share_invitations()["resourceShareInvitations"]
        if item["resourceShareArn"] == arn
    ]
    assert invitation["status"] == "PENDING"
    ram.accept_resource_share_invitation(resourceShareInvitationArn=invitation["resourceShareInvitationArn"])


def clone(cloud: LocalCloud, base: h.Base, name: str, **changes: Any) -> dict[str, Any]:
    asked = {
        "DBClusterIdentifier": name, "SourceDBClusterIdentifier": base.cluster["DBClusterArn"], "RestoreType": "copy-on-write",
        "UseLatestRestorableTime": True, "KmsKeyId": base.staging_key, **changes,
    }  # fmt: skip
    return cloud.client(h.STAGING, "rds").restore_db_cluster_to_point_in_time(**asked)["DBCluster"]


def test_a_shared_cluster_is_cloned_once_an_account(cloud: LocalCloud, base: h.Base, ram: Any) -> None:
    source = base.cluster["DBClusterArn"]
    staging = cloud.client(h.STAGING, "rds")
    with h.refused("DBClusterNotFoundFault"):
        clone(cloud, base, "ram-clone")
    arn = share(ram, source)
    [association] = ram.get_resource_share_associations(associationType="RESOURCE", resourceShareArns=[arn])[
        "resourceShareAssociations"
    ]
    assert association["status"] in {"ASSOCIATING", "ASSOCIATED"}
    with h.refused("DBClusterNotFoundFault"):  # not accepted yet
        clone(cloud, base, "ram-clone")
    assert cloud.client(h.STAGING, "ram").get_resource_shares(resourceOwner="OTHER-ACCOUNTS")["resourceShares"] == []
    accept(cloud, arn)
    [seen] = cloud.client(h.STAGING, "ram").get_resource_shares(resourceOwner="OTHER-ACCOUNTS", name=NAME)[
        "resourceShares"
    ]
    assert (seen["status"], seen["owningAccountId"]) == ("ACTIVE", h.PRODUCTION)

    with h.refused("InvalidDBClusterStateFault", "shared"):
        cloud.client(h.PRODUCTION, "rds").modify_db_cluster(
            DBClusterIdentifier="rds-base", NewDBClusterIdentifier="rds-renamed", ApplyImmediately=True
        )
    with h.refused("InvalidParameterCombination", "copy-on-write only"):
        clone(cloud, base, "ram-clone", RestoreType="full-copy")
    made = clone(cloud, base, "ram-clone")
    assert made["CrossAccountClone"] is True
    h.wait_cluster(staging, "ram-clone")
    with h.refused("InvalidParameterCombination", "already"):
        clone(cloud, base, "ram-clone-2")

    ram.delete_resource_share(resourceShareArn=arn)
    h.create_instance(staging, "ram-clone-1", "ram-clone")
    found = h.cluster(staging, "ram-clone")
    assert found["KmsKeyId"] == base.staging_key
    assert found["CloneGroupId"] == h.cluster(cloud.client(h.PRODUCTION, "rds"), "rds-base")["CloneGroupId"]
    assert h.query(found["Endpoint"], found["Port"], ITEMS) == ((3,),)
    h.query(found["Endpoint"], found["Port"], "DELETE FROM shop.items")
    assert h.query(base.cluster["Endpoint"], base.cluster["Port"], ITEMS) == ((3,),), "the source has its own pages"

    with pytest.raises(
        cloud.client(h.STAGING, "ram").exceptions.OperationNotPermittedException, match="clone of another"
    ):
        share(cloud.client(h.STAGING, "ram"), found["DBClusterArn"], account=h.PRODUCTION)
    with h.refused("DBClusterNotFoundFault"):  # no longer shared
        clone(cloud, base, "ram-clone-2")
    h.delete_cluster(staging, "ram-clone")


def test_what_is_not_shared(cloud: LocalCloud, base: h.Base, ram: Any) -> None:
    with h.refused("InvalidResourceTypeException"):
        share(ram, "arn:aws:ec2:eu-west-1:111111111111:subnet/subnet-1")
    with h.refused("UnknownResourceException"):
        share(ram, base.cluster["DBClusterArn"] + "-x")
    with h.refused("InvalidParameterException", "another account"):
        share(ram, base.cluster["DBClusterArn"], account=h.PRODUCTION)
    with h.refused("OperationNotPermittedException", "external"):
        ram.create_resource_share(name="x", resourceArns=[base.cluster["DBClusterArn"]], principals=[h.STAGING],
                                  allowExternalPrincipals=False)  # fmt: skip


def test_a_cluster_under_the_default_key_is_not_shared(cloud: LocalCloud, ram: Any) -> None:
    rds = cloud.client(h.PRODUCTION, "rds")
    made = h.create_cluster(rds, "ram-default", StorageEncrypted=True)
    with h.refused("OperationNotPermittedException", "default key"):
        share(ram, made["DBClusterArn"])
    h.delete_cluster(rds, "ram-default")


def test_a_cluster_without_instances_is_not_cloned(cloud: LocalCloud, base: h.Base, ram: Any) -> None:
    rds = cloud.client(h.PRODUCTION, "rds")
    made = h.create_cluster(rds, "ram-empty", StorageEncrypted=True, KmsKeyId=base.key)
    accept(cloud, share(ram, made["DBClusterArn"], name="empty"))
    with h.refused("InvalidParameterCombination", "no instances"):
        clone(cloud, base, "ram-clone", SourceDBClusterIdentifier=made["DBClusterArn"])
    h.delete_cluster(rds, "ram-empty")


def test_the_key_must_let_the_account(cloud: LocalCloud, ram: Any) -> None:
    rds = cloud.client(h.PRODUCTION, "rds")
    made = h.create_cluster(rds, "ram-locked", StorageEncrypted=True, KmsKeyId=h.shareable_key(cloud, h.PRODUCTION))
    h.create_instance(rds, "ram-locked-1", "ram-locked")
    accept(cloud, share(ram, made["DBClusterArn"], name="locked"))
    with h.refused("KMSKeyNotAccessibleFault"):
        clone(cloud, h.base(cloud), "ram-clone", SourceDBClusterIdentifier=made["DBClusterArn"])
    h.delete_cluster(rds, "ram-locked")


def test_an_invitation_is_answered_once_and_lists_have_pages(cloud: LocalCloud, base: h.Base, ram: Any) -> None:
    arns = {share(ram, base.cluster["DBClusterArn"], name=f"page-{n}") for n in range(5)}
    pages = list(ram.get_paginator("get_resource_shares").paginate(
        resourceOwner="SELF", resourceShareStatus="ACTIVE", PaginationConfig={"PageSize": 2}))  # fmt: skip
    assert [len(page["resourceShares"]) for page in pages] == [2, 2, 1]
    assert {item["resourceShareArn"] for page in pages for item in page["resourceShares"]} == arns
    theirs = cloud.client(h.STAGING, "ram")
    [first, *_] = [
        i for i in theirs.get_resource_share_invitations()["resourceShareInvitations"] if i["resourceShareArn"] in arns
    ]
    arn = first["resourceShareInvitationArn"]
    theirs.reject_resource_share_invitation(resourceShareInvitationArn=arn)
    with pytest.raises(theirs.exceptions.ResourceShareInvitationAlreadyRejectedException):
        theirs.accept_resource_share_invitation(resourceShareInvitationArn=arn)
    with h.refused("ResourceShareInvitationArnNotFoundException"):
        theirs.accept_resource_share_invitation(resourceShareInvitationArn=arn + "x")
