"""IAM with moto's defect mended: CloudFormation hands inline policies over as objects, and IAM keeps texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.iam.models import Group, Role, User

if TYPE_CHECKING:
    from localcloud.cloud import Cloud


def install(_cloud: Cloud) -> None:
    """Keep every inline policy as text, wherever it comes from."""
    for holder in (Group, Role, User):
        holder.put_policy = put_policy  # type: ignore[method-assign]


def put_policy(self: Any, policy_name: str, policy_json: object) -> None:
    """Set an inline policy."""
    self.policies[policy_name] = policy_json if isinstance(policy_json, str) else json.dumps(policy_json)
