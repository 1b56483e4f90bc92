"""AWS Resource Access Manager: clusters shared with another account, so that it can clone them."""

from __future__ import annotations

from typing import Any, Literal

from aurora_ops.hooks.base import AwsHook

Owner = Literal["SELF", "OTHER-ACCOUNTS"]
_GONE = ("DELETED", "DELETING")


class RamHook(AwsHook):
    """Resource shares and invitations of one account and region."""

    service = "ram"

    def find_share(self, name: str, owner: Owner = "SELF") -> dict[str, Any] | None:
        """Look a share up that is not deleted, all pages (``GetResourceShares``); the raw ``resourceShare``.

        :param name: its name.
        :param owner: ``SELF``, or ``OTHER-ACCOUNTS`` for one that has been accepted here.
        """
        found = self.pages("get_resource_shares", "resourceShares", resourceOwner=owner, name=name)
        return next((share for share in found if share["status"] not in _GONE), None)

    def list_shares(self) -> list[dict[str, Any]]:
        """List the shares of the account itself that are not deleted, all pages; raw."""
        found = self.pages("get_resource_shares", "resourceShares", resourceOwner="SELF")
        return [share for share in found if share["status"] not in _GONE]

    def create_share(self, name: str, resource_arn: str, account_id: str, tags: dict[str, str]) -> str:
        """Share a resource with an account, which must accept unless the organization shares by itself; the share's ARN.

        The AWS operation is ``CreateResourceShare``.
        """
        made = self.call(
            "create_resource_share",
            name=name,
            resourceArns=[resource_arn],
            principals=[account_id],
            allowExternalPrincipals=True,
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )
        return str(made["resourceShare"]["resourceShareArn"])

    def delete_share(self, share_arn: str) -> None:
        """End a share (``DeleteResourceShare``); what has been cloned stays."""
        self.call("delete_resource_share", resourceShareArn=share_arn)

    def list_resources(self, share_arn: str) -> dict[str, str]:
        """List what a share shares, all pages (``GetResourceShareAssociations``): ARN to status."""
        found = self.pages(
            "get_resource_share_associations",
            "resourceShareAssociations",
            associationType="RESOURCE",
            resourceShareArns=[share_arn],
        )
        return {item["associatedEntity"]: item["status"] for item in found}

    def find_invitation(self, share_arn: str) -> dict[str, Any] | None:
        """Look the invitation to a share up, all pages (``GetResourceShareInvitations``); the newest, raw."""
        found = self.pages("get_resource_share_invitations", "resourceShareInvitations")
        mine = [item for item in found if item["resourceShareArn"] == share_arn]
        return max(mine, key=lambda item: item["invitationTimestamp"], default=None)

    def accept(self, invitation_arn: str) -> None:
        """Accept an invitation (``AcceptResourceShareInvitation``)."""
        self.call("accept_resource_share_invitation", resourceShareInvitationArn=invitation_arn)
