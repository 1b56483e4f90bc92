"""Amazon EC2: security groups by name."""

from __future__ import annotations

from typing import Any

from aurora_ops.core.errors import ConfigError
from aurora_ops.hooks.base import AwsHook


class NetworkHook(AwsHook):
    """Networks of one account and region."""

    service = "ec2"

    def security_group_ids(self, names: list[str], vpc_id: str | None, field: str) -> list[str]:
        """Find security groups by name or id (``DescribeSecurityGroups``).

        :param names: group names or ``sg-`` ids.
        :param vpc_id: the network the names are looked up in; ``None`` is all.
        :param field: the setting, for the error.
        :return: ids in the order of the names.
        :raises ConfigError: one does not exist, or a name is not unique.
        """
        return [str(group["GroupId"]) for group in self.security_groups(names, vpc_id, field)]

    def security_groups(self, names: list[str], vpc_id: str | None, field: str) -> list[dict[str, Any]]:
        """Find security groups by name or id, as ``DescribeSecurityGroups`` tells them; see ``security_group_ids``."""
        groups = self.pages("describe_security_groups", "SecurityGroups")
        wanted = []
        for name in names:
            found = [
                group
                for group in groups
                if name in (group["GroupId"], group["GroupName"]) and vpc_id in (None, group.get("VpcId"))
            ]
            if len(found) != 1:
                known = sorted(group["GroupName"] for group in groups if vpc_id in (None, group.get("VpcId")))
                raise ConfigError(field, name, f"it must be exactly one of the security groups {known} or an sg- id")
            wanted += found
        return wanted

    def list_subnets(self, subnet_ids: list[str]) -> list[tuple[str, str, str]]:
        """List subnets (``DescribeSubnets``): id, zone and VPC, in the order of the ids.

        :raises ConfigError: one does not exist.
        """
        known = {raw["SubnetId"]: raw for raw in self.pages("describe_subnets", "Subnets")}
        if unknown := [name for name in subnet_ids if name not in known]:
            raise ConfigError("subnets", unknown[0], "it must be a subnet of the account in the region")
        return [(name, known[name]["AvailabilityZone"], known[name]["VpcId"]) for name in subnet_ids]
