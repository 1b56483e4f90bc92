"""Partitions: named after the region, and never mixed."""

from __future__ import annotations

import json

import pytest
from aurora_ops.core import environments, files, partitions
from aurora_ops.core.errors import ConfigError

from devstack.settings import REPO


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-west-1", "aws"), ("us-east-1", "aws"), ("cn-northwest-1", "aws-cn"), ("us-gov-east-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"), ("us-isob-east-1", "aws-iso-b"),
    ],
)  # fmt: skip
def test_of_a_region(region, partition) -> None:
    assert partitions.of_region(region) == partition


def test_a_policy_of_files_names_accounts_of_its_own_partition() -> None:
    arn = "arn:aws-cn:elasticfilesystem:cn-north-1:111111111111:file-system/fs-1"
    policy = json.loads(files.end_policy(None, file_system_arn=arn, destination_account="222222222222"))
    assert {"AWS": "arn:aws-cn:iam::222222222222:root"} in [one["Principal"] for one in policy["Statement"]]


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("source", "region", "cn-north-1"),
        ("orchestrator", "region", "us-gov-west-1"),
        ("target", "role_arn", "arn:aws-cn:iam::222222222222:role/aurora-ops-destination"),
    ],
)
def test_they_are_never_mixed(section, field, value) -> None:
    raw = environments.read(REPO / "include" / "config" / "staging.yaml")
    raw[section][field] = value
    with pytest.raises(ConfigError, match="partition aws") as refused:
        environments.resolve(raw)
    assert refused.value.field == f"{section}.{field}"
