"""AWS IAM: roles that services assume."""

from __future__ import annotations

from typing import Any

from aurora_ops.core.errors import MissingError
from aurora_ops.hooks.base import AwsHook


class RolesHook(AwsHook):
    """Roles of one account."""

    service = "iam"

    def find_trust(self, role_arn: str) -> dict[str, Any] | None:
        """Read who may assume a role of this account (``GetRole``): its trust policy; ``None`` where there is no such role.

        :param role_arn: its ARN, also with a path.
        """
        try:
            found = self.call("get_role", RoleName=role_arn.rpartition("/")[2])["Role"]
        except MissingError:
            return None
        return dict(found["AssumeRolePolicyDocument"]) if found["Arn"] == role_arn else None
