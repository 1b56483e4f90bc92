"""What clusters refer to in the account and moto keeps: subnet groups, security groups, parameter groups, roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto.ec2.models import ec2_backends
from moto.rds.models import rds_backends

from localcloud.accounts import role_trusts_service
from localcloud.rds import catalog
from localcloud.rds.errors import (
    ClusterParameterGroupNotFoundError,
    InvalidParameterCombinationError,
    InvalidParameterValueError,
    ParameterGroupNotFoundError,
    SubnetGroupDoesNotCoverEnoughAzsError,
    SubnetGroupNotFoundError,
)


@dataclass(frozen=True)
class Placement:
    """Where a cluster lies: subnet group, its VPC and zones, and the security groups."""

    subnet_group: str
    vpc_id: str
    zones: list[str]
    security_groups: list[str]


def placement(account: str, region: str, subnet_group: str | None, security_groups: list[str] | None) -> Placement:
    """Check and complete where a cluster shall lie.

    :param subnet_group: name; None is ``default``, the subnets of the default VPC.
    :param security_groups: ids; None or empty is the VPC's default group, as RDS does.
    :raises SubnetGroupNotFoundError: unknown subnet group.
    :raises SubnetGroupDoesNotCoverEnoughAzsError: its subnets lie in one zone.
    :raises InvalidParameterValueError: unknown security group.
    :raises InvalidParameterCombinationError: a security group of another VPC.
    """
    ec2 = ec2_backends[account][region]
    if subnet_group is None or subnet_group.lower() == "default":
        vpc = ec2.get_default_vpc()
        if vpc is None:
            raise SubnetGroupNotFoundError("The account has no default VPC; give DBSubnetGroupName.")
        name, vpc_id = "default", vpc.id
        zones = sorted({subnet.availability_zone for subnet in ec2.get_default_subnets().values()})
    else:
        group = rds_backends[account][region].subnet_groups.get(subnet_group)
        if group is None:
            raise SubnetGroupNotFoundError(f"DB subnet group '{subnet_group}' does not exist.")
        name, vpc_id = group.name, group.vpc_id
        zones = sorted({subnet["SubnetAvailabilityZone"]["Name"] for subnet in group.subnets})
    if len(zones) < 2:
        raise SubnetGroupDoesNotCoverEnoughAzsError(
            f"DB Subnet Group {name} doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: "
            f"{', '.join(zones)}. Add subnets to cover at least 2 AZs."
        )
    return Placement(name, vpc_id, zones[:3], check_security_groups(account, region, vpc_id, security_groups))


def check_security_groups(account: str, region: str, vpc_id: str, ids: list[str] | None) -> list[str]:
    """Security group ids, checked against the VPC; without any, its default group."""
    ec2 = ec2_backends[account][region]
    if not ids:
        default = ec2.get_default_security_group(vpc_id)
        return [default.id] if default else []
    for id_ in ids:
        group = ec2.get_security_group_from_id(id_)
        if group is None:
            raise InvalidParameterValueError(f"Invalid security group , groupId= {id_}, groupName=.")
        if group.vpc_id != vpc_id:
            raise InvalidParameterCombinationError(
                f"The DB instance and EC2 security group are in different VPCs. The DB instance is in {vpc_id} and the "
                f"EC2 security group is in {group.vpc_id}"
            )
    return list(ids)


def cluster_parameter_group(account: str, region: str, name: str | None, version: str) -> str:
    """Cluster parameter group of a cluster: the default of the version, or an existing one of its family."""
    if name is None or name == catalog.default_parameter_group(version):
        return catalog.default_parameter_group(version)
    group = rds_backends[account][region].db_cluster_parameter_groups.get(name)
    if group is None:
        raise ClusterParameterGroupNotFoundError(f"DBClusterParameterGroup not found: {name}")
    _check_family(group.name, group.db_parameter_group_family, version)
    return str(group.name)


def parameter_group(account: str, region: str, name: str | None, version: str) -> str:
    """Parameter group of an instance: the default of the version, or an existing one of its family."""
    if name is None or name == catalog.default_parameter_group(version):
        return catalog.default_parameter_group(version)
    group = rds_backends[account][region].db_parameter_groups.get(name)
    if group is None:
        raise ParameterGroupNotFoundError(f"DBParameterGroup not found: {name}")
    _check_family(group.name, group.family or "", version)
    return str(group.name)


def _check_family(name: str, family: str, version: str) -> None:
    if family != catalog.family(version):
        raise InvalidParameterCombinationError(
            f"The Parameter Group {name} with DBParameterGroupFamily {family} cannot be used for this instance. "
            f"Please use a Parameter Group with DBParameterGroupFamily {catalog.family(version)}"
        )


def subnet_group(account: str, region: str, name: str, vpc_id: str) -> dict[str, Any]:
    """``DBSubnetGroup`` of an instance."""
    group = rds_backends[account][region].subnet_groups.get(name)
    return {
        "DBSubnetGroupName": name,
        "DBSubnetGroupDescription": group.description if group else "default",
        "VpcId": vpc_id,
        "SubnetGroupStatus": "Complete",
        "Subnets": group.subnets if group else [],
        "DBSubnetGroupArn": f"arn:aws:rds:{region}:{account}:subgrp:{name}",
    }


def check_role(account: str, arn: str) -> None:
    """Check that a role exists in the account and RDS may assume it.

    :raises InvalidParameterValueError: no such role, or its trust policy does not name rds.amazonaws.com.
    """
    if not arn.startswith(f"arn:aws:iam::{account}:role/") or not role_trusts_service(arn, "rds.amazonaws.com"):
        raise InvalidParameterValueError(
            f"The IAM role ARN value is invalid or RDS may not assume it: {arn}. Give a role of account {account} "
            "whose trust policy names rds.amazonaws.com."
        )
