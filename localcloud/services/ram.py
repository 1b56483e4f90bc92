"""RAM: Aurora clusters shared with other accounts, and the invitations that these accept.

Rules as in the Aurora User Guide, "Cross-account cloning with AWS RAM and Amazon Aurora". Other kinds of resources are refused:
moto would take them, and nothing here would honour the share. There is no organization, so every share needs an invitation.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

import moto.ram.urls
from moto.core.exceptions import JsonRESTError
from moto.core.responses import BaseResponse

from localcloud.cloud import KeyNotAccessible
from localcloud.rds.lifecycle import LAG
from localcloud.state.store import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.cloud import Cloud
    from localcloud.rds.model import Cluster

CLUSTER_ARN = re.compile(r"arn:aws:rds:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):cluster:(?P<name>[a-z0-9-]+)")
ACCOUNT = re.compile(r"\d{12}")
NAME = re.compile(r"[\w .-]{1,64}", re.ASCII)
MOST_RESULTS = 500
OPERATIONS = (
    "createresourceshare", "deleteresourceshare", "getresourceshares", "getresourceshareassociations",
    "getresourceshareinvitations", "acceptresourceshareinvitation", "rejectresourceshareinvitation",
)  # fmt: skip


@dataclass
class Invitation:
    """An invitation of one account to one share."""

    arn: str
    receiver: str
    time: float
    status: str = "PENDING"


@dataclass
class Share:
    """A resource share of clusters with accounts.

    :param associated: epoch seconds from which its resources are associated.
    """

    account: str
    region: str
    arn: str
    name: str
    clusters: list[str]
    created: float
    associated: float
    status: str = "ACTIVE"
    tags: dict[str, str] = field(default_factory=dict)
    invitations: list[Invitation] = field(default_factory=list)

    def invitation(self, account: str) -> Invitation | None:
        """Invitation of an account."""
        return next((item for item in self.invitations if item.receiver == account), None)


class Ram:
    """The shares of all accounts. Its callers hold the lock of RDS, which the guard takes for RAM too."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.shares: list[Share] = []

    def is_shared(self, cluster_arn: str) -> bool:
        """Whether a cluster is in any share."""
        return any(share.status == "ACTIVE" and cluster_arn in share.clusters for share in self.shares)

    def lets(self, account: str, cluster_arn: str) -> bool:
        """Whether an account has accepted a share of a cluster."""
        return any(
            share.status == "ACTIVE"
            and cluster_arn in share.clusters
            and (found := share.invitation(account)) is not None
            and found.status == "ACCEPTED"
            for share in self.shares
        )

    def create(self, account: str, region: str, asked: dict[str, Any]) -> Share:
        """CreateResourceShare.

        :raises JsonRESTError: a rule of sharing clusters is broken.
        """
        name, principals = str(asked.get("name", "")), list(asked.get("principals") or ())
        if not NAME.fullmatch(name):
            raise refused("InvalidParameterException", f"{name!r} is not the name of a resource share.")
        for principal in principals:
            if not ACCOUNT.fullmatch(principal) or principal == account:
                raise refused("InvalidParameterException", f"Principal {principal} is not another account.")
        if principals and not asked.get("allowExternalPrincipals", True):
            raise refused(
                "OperationNotPermittedException", "The principals are not in your organization; allow external ones."
            )
        for arn in asked.get("resourceArns") or ():
            self._check_shareable(account, region, arn)
        assert self.cloud.rds is not None
        now = time.time()
        share = Share(
            account=account,
            region=region,
            arn=f"arn:aws:ram:{region}:{account}:resource-share/{uuid4()}",
            name=name,
            clusters=list(asked.get("resourceArns") or ()),
            created=now,
            associated=now + self.cloud.rds.lifecycle.seconds(LAG),
            tags={tag["key"]: tag.get("value", "") for tag in asked.get("tags") or ()},
            invitations=[
                Invitation(f"arn:aws:ram:{region}:{account}:resource-share-invitation/{uuid4()}", principal, now)
                for principal in principals
            ],
        )
        self.shares.append(share)
        return share

    def _check_shareable(self, account: str, region: str, arn: str) -> None:
        assert self.cloud.rds is not None
        found = CLUSTER_ARN.fullmatch(arn)
        if found is None:
            raise refused("InvalidResourceTypeException", f"localcloud shares Aurora clusters only, not {arn}.")
        cluster: Cluster | None = self.cloud.rds.region(account, region).clusters.get(found["name"])
        if cluster is None or cluster.arn != arn:
            raise refused("UnknownResourceException", f"ResourceArn {arn} could not be found.", status=404)
        if cluster.status != "available":
            raise refused(
                "OperationNotPermittedException", f"{arn} is {cluster.status}; only an available one is shared."
            )
        if cluster.cross_account:
            raise refused("OperationNotPermittedException", f"{arn} is a clone of another account's cluster.")
        if cluster.kms_key_id is not None and self._is_default(account, region, cluster.kms_key_id):
            raise refused("OperationNotPermittedException", f"{arn} is encrypted with the default key of RDS.")

    def _is_default(self, account: str, region: str, key: str) -> bool:
        try:
            return self.cloud.kms.resolve(account, region, key).is_default_rds
        except KeyNotAccessible:
            return False

    def own(self, account: str, region: str, arn: str | None) -> Share:
        """Share of an account by ARN.

        :raises JsonRESTError: there is none.
        """
        for share in self.shares:
            if (share.account, share.region, share.arn) == (account, region, arn) and share.status == "ACTIVE":
                return share
        raise refused("UnknownResourceException", f"ResourceShare {arn} could not be found.", status=404)

    def visible(self, account: str, region: str, owner: str) -> list[Share]:
        """Shares of an account, or those of others that it has accepted."""
        here = [share for share in self.shares if share.region == region]
        if owner == "SELF":
            return [share for share in here if share.account == account]
        return [
            share
            for share in here
            if (found := share.invitation(account)) and found.status == "ACCEPTED" and share.status == "ACTIVE"
        ]

    def answer(self, account: str, region: str, arn: str | None, status: str) -> tuple[Share, Invitation]:
        """Accept or reject an invitation.

        :raises JsonRESTError: there is none for this account, or it has been answered.
        """
        for share in self.shares:
            for invitation in share.invitations:
                if invitation.arn == arn and invitation.receiver == account and share.region == region:
                    if invitation.status != "PENDING":
                        code = f"ResourceShareInvitationAlready{invitation.status.capitalize()}Exception"
                        raise refused(code, f"{arn} is {invitation.status}.")
                    invitation.status = status
                    return share, invitation
        raise refused("ResourceShareInvitationArnNotFoundException", f"{arn} could not be found.")


def refused(code: str, message: str, status: int = 400) -> JsonRESTError:
    """Build RAM's answer to what it refuses."""
    error = JsonRESTError(code, message)
    error.code = status
    return error


class Response(BaseResponse):
    """RAM. moto finds the method named after the operation."""

    ram: ClassVar[Ram]

    def __init__(self) -> None:
        super().__init__(service_name="ram")

    def _asked(self) -> dict[str, Any]:
        return dict(json.loads(self.body or "{}"))

    def create_resource_share(self) -> str:
        """CreateResourceShare."""
        share = self.ram.create(self.current_account, self.region, self._asked())
        return json.dumps({"resourceShare": _share(share)})

    def delete_resource_share(self) -> str:
        """DeleteResourceShare; clones stay."""
        share = self.ram.own(self.current_account, self.region, self._get_param("resourceShareArn"))
        share.status = "DELETED"
        share.invitations.clear()
        return json.dumps({"returnValue": True})

    def get_resource_shares(self) -> str:
        """GetResourceShares: one's own, deleted ones for a while too, or accepted ones."""
        asked = self._asked()
        found = [
            _share(share)
            for share in self.ram.visible(self.current_account, self.region, asked["resourceOwner"])
            if asked.get("name") in {None, share.name}
            and (not asked.get("resourceShareArns") or share.arn in asked["resourceShareArns"])
            and asked.get("resourceShareStatus") in {None, share.status}
        ]
        return _page(asked, "resourceShares", found)

    def get_resource_share_associations(self) -> str:
        """GetResourceShareAssociations of one's own shares."""
        asked = self._asked()
        shares = [
            share
            for share in self.ram.visible(self.current_account, self.region, "SELF")
            if not asked.get("resourceShareArns") or share.arn in asked["resourceShareArns"]
        ]
        entities: Callable[[Share], list[tuple[str, str]]] = (
            _resources if asked["associationType"] == "RESOURCE" else _principals
        )
        found = [
            {
                "resourceShareArn": share.arn,
                "resourceShareName": share.name,
                "associatedEntity": entity,
                "associationType": asked["associationType"],
                "status": status,
                "creationTime": share.created,
                "external": True,
            }
            for share in shares
            for entity, status in entities(share)
        ]
        return _page(asked, "resourceShareAssociations", found)

    def get_resource_share_invitations(self) -> str:
        """GetResourceShareInvitations to the caller's account."""
        asked, here = self._asked(), self.current_account
        found = [
            _invitation(share, invitation)
            for share in self.ram.shares
            for invitation in share.invitations
            if share.region == self.region
            and invitation.receiver == here
            and (not asked.get("resourceShareArns") or share.arn in asked["resourceShareArns"])
        ]
        return _page(asked, "resourceShareInvitations", found)

    def accept_resource_share_invitation(self) -> str:
        """AcceptResourceShareInvitation."""
        return self._answer("ACCEPTED")

    def reject_resource_share_invitation(self) -> str:
        """RejectResourceShareInvitation."""
        return self._answer("REJECTED")

    def _answer(self, status: str) -> str:
        arn = self._asked().get("resourceShareInvitationArn")
        share, invitation = self.ram.answer(self.current_account, self.region, arn, status)
        return json.dumps({"resourceShareInvitation": _invitation(share, invitation)})


def _resources(share: Share) -> list[tuple[str, str]]:
    status = "ASSOCIATED" if time.time() >= share.associated else "ASSOCIATING"
    return [(arn, "DISASSOCIATED" if share.status == "DELETED" else status) for arn in share.clusters]


def _principals(share: Share) -> list[tuple[str, str]]:
    known = {"ACCEPTED": "ASSOCIATED", "REJECTED": "FAILED"}
    return [(item.receiver, known.get(item.status, "ASSOCIATING")) for item in share.invitations]


def _page(asked: dict[str, Any], key: str, found: list[dict[str, Any]]) -> str:
    first, most = int(asked.get("nextToken") or 0), int(asked.get("maxResults") or MOST_RESULTS)
    following = {"nextToken": str(first + most)} if first + most < len(found) else {}
    return json.dumps({key: found[first : first + most], **following})


def _share(share: Share) -> dict[str, Any]:
    return {
        "resourceShareArn": share.arn,
        "name": share.name,
        "owningAccountId": share.account,
        "allowExternalPrincipals": True,
        "status": share.status,
        "tags": [{"key": key, "value": value} for key, value in share.tags.items()],
        "creationTime": share.created,
        "lastUpdatedTime": share.created,
        "featureSet": "STANDARD",
    }


def _invitation(share: Share, invitation: Invitation) -> dict[str, Any]:
    return {
        "resourceShareInvitationArn": invitation.arn,
        "resourceShareName": share.name,
        "resourceShareArn": share.arn,
        "senderAccountId": share.account,
        "receiverAccountId": invitation.receiver,
        "invitationTimestamp": invitation.time,
        "status": invitation.status,
    }


def install(cloud: Cloud) -> None:
    """Replace moto's answers of RAM."""
    ram = cloud.ram = Response.ram = Ram(cloud)
    for operation in OPERATIONS:
        moto.ram.urls.url_paths[f"{{0}}/{operation}/?$"] = Response.dispatch
        moto.ram.urls.url_paths.pop(f"{{0}}/{operation}$", None)
    cloud.store.part("ram", Part(lambda: ram.shares, ram.shares.extend, "rds"))
