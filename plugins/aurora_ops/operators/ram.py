"""A cluster shared with another account for as long as it takes to clone it there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import naming, ownership
from aurora_ops.core.errors import BusyError, SafetyError, StateError
from aurora_ops.core.wait import Wait
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.ram import RamHook
from aurora_ops.operators.base import RefreshOperator, Result

_WITHIN_S = 900


class _ShareOperator(RefreshOperator[RamHook]):
    """What the operators of one resource share have in common.

    :param share_name: name of the share; ``None`` is nothing to do (templated).
    """

    hook_class = RamHook
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "share_name")

    def __init__(self, *, share_name: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share_name = share_name

    def wait_for(self, waiter: str, args: dict[str, Any], show: str, context: Context) -> Result:
        """Wait for the share, then take the next pass."""
        return self.wait_until(Wait(waiter=waiter, args=args, show=show, within_s=_WITHIN_S, every_s=10), context)


class ShareClusterOperator(_ShareOperator):
    """Let another account clone a cluster: a resource share, and a grant on the cluster's key.

    The AWS operations are RAM's ``CreateResourceShare`` and ``kms:CreateGrant``. While it is shared the cluster cannot be renamed,
    and the other account could clone it, so ``StopSharingClusterOperator`` belongs behind the clone.

    :param cluster_arn: cluster of this account (templated).
    :param key_arn: key that it is encrypted with (templated).
    :param account_id: account to share it with (templated).
    :param grantee_arn: role of that account which will clone it (templated).
    :param run_key: names the run, for the tags (templated).
    :param expires_h: hours after which the share is void if its run is dead (templated).
    :return: ``{"share_name", "share_arn"}``.
    :raises SafetyError: a share of this name is not this package's.
    :raises StateError: a share of this name shares something else.
    :raises WaitFailedError: AWS refused to share the cluster.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "ram:GetResourceShares",
        "ram:GetResourceShareAssociations",
        "ram:CreateResourceShare",
        "kms:ListGrants",
        "kms:CreateGrant",
    )
    template_fields: Sequence[str] = (
        *_ShareOperator.template_fields,
        "cluster_arn",
        "key_arn",
        "account_id",
        "grantee_arn",
        "run_key",
        "expires_h",
    )

    def __init__(
        self,
        *,
        cluster_arn: str | None,
        key_arn: str | None,
        account_id: str,
        grantee_arn: str,
        run_key: str | None = None,
        expires_h: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_arn = cluster_arn
        self.key_arn = key_arn
        self.account_id = account_id
        self.grantee_arn = grantee_arn
        self.run_key = run_key
        self.expires_h = expires_h

    def take_pass(self, context: Context) -> Result:
        """Grant the key first: whoever sees the cluster can then use it. Then share it, and wait until it is."""
        if not self.share_name or not self.cluster_arn:
            return {"share_name": None, "share_arn": None}
        share = self.hook.find_share(self.share_name)
        if share is None:
            self._grant()
            made = ownership.temporary(self.run_key, self.expires_h, datetime.now(UTC))
            arn = self.hook.create_share(self.share_name, self.cluster_arn, self.account_id, made)
        else:
            arn = require_ours(share)
            self._grant()
        shared = self.hook.list_resources(arn)
        if set(shared) - {self.cluster_arn}:
            raise StateError(f"share {self.share_name} shares {sorted(shared)}, not {self.cluster_arn}; delete it")
        if shared.get(self.cluster_arn) == "ASSOCIATED":
            return {"share_name": self.share_name, "share_arn": arn}
        return self.wait_for(
            "resources_associated",
            {"associationType": "RESOURCE", "resourceShareArns": [arn]},
            "resourceShareAssociations[].[status, statusMessage]",
            context,
        )

    def _grant(self) -> None:
        name = naming.grant(str(self.share_name), self.account_id)
        kms = KmsHook(self.aws_conn_id, self.region_name)
        if self.key_arn and not kms.list_grants(self.key_arn, name):
            kms.create_grant(self.key_arn, self.grantee_arn, name)


class AcceptClusterShareOperator(_ShareOperator):
    """Accept a cluster that another account shares, and wait until it can be used here.

    The AWS operation is RAM's ``AcceptResourceShareInvitation``; within an organization that shares by itself there is no
    invitation, and the share is simply there.

    :param share_arn: the share; ``None`` is nothing to do (templated).
    :return: ``{"share_arn", "accepted": bool}``.
    :raises BusyError: neither share nor invitation is there yet; retried.
    :raises StateError: the invitation was rejected or has expired.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "ram:GetResourceShares",
        "ram:GetResourceShareInvitations",
        "ram:AcceptResourceShareInvitation",
    )
    template_fields: Sequence[str] = (*_ShareOperator.template_fields, "share_arn")

    def __init__(self, *, share_arn: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share_arn = share_arn

    def take_pass(self, context: Context) -> Result:
        """Look for the share, else for the invitation; accept; wait."""
        if not self.share_name or not self.share_arn:
            return {"share_arn": None, "accepted": False}
        share = self.hook.find_share(self.share_name, "OTHER-ACCOUNTS")
        if share is not None and share["resourceShareArn"] == self.share_arn and share["status"] == "ACTIVE":
            return {"share_arn": self.share_arn, "accepted": True}
        invitation = self.hook.find_invitation(self.share_arn)
        if invitation is None:
            raise BusyError(f"share {self.share_name}: neither it nor an invitation has arrived yet; looked for again")
        if invitation["status"] == "PENDING":
            self.hook.accept(invitation["resourceShareInvitationArn"])
        elif invitation["status"] != "ACCEPTED":
            raise StateError(
                f"the invitation to share {self.share_name} is {invitation['status']}; delete the share in the source's account "
                "and run again"
            )
        return self.wait_for(
            "share_visible",
            {"resourceOwner": "OTHER-ACCOUNTS", "name": self.share_name},
            "resourceShares[].status",
            context,
        )


class StopSharingClusterOperator(_ShareOperator):
    """End the share of a cluster and the grant on its key; what was cloned stays.

    The AWS operations are RAM's ``DeleteResourceShare`` and ``kms:RevokeGrant``. Nothing shared is the goal.

    :param key_arn: key of the cluster (templated).
    :param account_id: account it was shared with (templated).
    :return: ``{"share_name", "status": "absent"}``.
    :raises SafetyError: the share of this name is not this package's.
    """

    permissions: ClassVar[tuple[str, ...]] = (
        "ram:GetResourceShares",
        "ram:DeleteResourceShare",
        "kms:ListGrants",
        "kms:RevokeGrant",
    )
    template_fields: Sequence[str] = (*_ShareOperator.template_fields, "key_arn", "account_id")

    def __init__(self, *, key_arn: str | None, account_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key_arn = key_arn
        self.account_id = account_id

    def take_pass(self, context: Context) -> Result:
        """Delete the share, then the grant."""
        if self.share_name:
            share = self.hook.find_share(self.share_name)
            if share is not None:
                self.hook.delete_share(require_ours(share))
            if self.key_arn:
                kms = KmsHook(self.aws_conn_id, self.region_name)
                for grant_id in kms.list_grants(self.key_arn, naming.grant(self.share_name, self.account_id)):
                    kms.revoke_grant(self.key_arn, grant_id)
        return {"share_name": self.share_name, "status": "absent"}


def require_ours(share: dict[str, Any]) -> str:
    """Give the ARN of a share that this package made.

    :raises SafetyError: it does not carry the owner tag.
    """
    tags = {tag["key"]: tag.get("value", "") for tag in share.get("tags") or ()}
    if not ownership.is_ours(tags):
        raise SafetyError(
            f"share {share['name']} is not tagged {ownership.OWNER_TAG}={ownership.OWNER}; it is not ours to use or delete"
        )
    return str(share["resourceShareArn"])
