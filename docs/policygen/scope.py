"""A statement of a policy, and the conditions that many share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aurora_ops.core.ownership import OWNER, OWNER_TAG
from aurora_ops.core.safety import REFRESH_TAG

Condition = Mapping[str, Mapping[str, str | list[str]]]

OWN = "${Region}:${Account}"
OURS: Condition = {"StringEquals": {f"aws:ResourceTag/{OWNER_TAG}": OWNER}}
MADE_OURS: Condition = {"StringEquals": {f"aws:RequestTag/{OWNER_TAG}": OWNER}}
REFRESHABLE: Condition = {"StringEquals": {f"aws:ResourceTag/{REFRESH_TAG}": "true"}}
HERE: Condition = {"StringEquals": {"aws:RequestedRegion": "${Region}"}}
MADE_REFRESHABLE: Condition = {"StringEquals": {f"aws:RequestTag/{REFRESH_TAG}": "true"}}


def leading(pattern: str) -> Condition:
    """Allow items of DynamoDB only whose partition key is as a pattern says."""
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [pattern]}}


@dataclass(frozen=True)
class Scope:
    """A statement.

    :param sid: says what it is for.
    :param actions: those it allows, as far as an operator of the account declares them.
    :param resources: ARNs.
    :param keys: instead of resources: settings that name KMS keys of the account, by alias, id or ARN.
    :param key_region: placeholder of the region that these keys are in.
    :param condition: as in IAM.
    :param part: policy of the role that it is in, beside the first: a role's inline policies may be 10,240 characters together,
        each managed one 6,144.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    key_region: str = "Region"
    condition: Condition = field(default_factory=dict)
    part: str = ""
