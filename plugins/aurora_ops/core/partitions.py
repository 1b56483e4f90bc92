"""AWS's partitions: clouds of their own, whose ARNs begin differently and which share nothing with each other."""

from __future__ import annotations

_BY_REGION = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "us-iso-": "aws-iso", "us-isob-": "aws-iso-b"}


def of_region(region: str) -> str:
    """Name the partition of a region, as ARNs have it.

    :param region: such as ``eu-west-1`` or ``cn-north-1``.
    """
    return next((name for prefix, name in _BY_REGION.items() if region.startswith(prefix)), "aws")


def of_arn(arn: str) -> str:
    """Name the partition of an ARN."""
    return arn.split(":", 2)[1]
