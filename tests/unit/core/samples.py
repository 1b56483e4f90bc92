"""A valid environment file, as the tests of settings, plans and DAG files change it."""

from __future__ import annotations

import copy
from typing import Any

from aurora_ops.core import environments

RAW: dict[str, Any] = {
    "environment": "staging",
    "schedule": "0 2 * * *",
    "timezone": "Europe/Paris",
    "source": {"account_id": "111111111111", "region": "eu-west-1", "cluster": "prod-shop"},
    "target": {
        "account_id": "222222222222",
        "region": "eu-west-1",
        "cluster": "staging-shop",
        "role_arn": "arn:aws:iam::222222222222:role/aurora-ops-destination",
        "kms_key_id": "alias/shop-staging",
        "subnet_group": "staging-db",
        "isolation_security_groups": ["isolated"],
        "instances": {"class": "db.r6g.large", "readers": 1},
    },
    "database": {"schemas": ["shop"], "keep_tables": ["shop.feature_flags"], "keep_bucket": "bucket"},
    "orchestrator": {"account_id": "000000000000", "region": "eu-west-1", "runs_table": "aurora-ops-runs"},
    "safety": {"protected_accounts": ["111111111111"], "allowed_clusters": ["staging-shop"]},
}


def raw(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The file with some settings changed.

    :param changes: dotted setting to value.
    """
    content = copy.deepcopy(RAW)
    for dotted, value in (changes or {}).items():
        *parents, last = dotted.split(".")
        node = content
        for parent in parents:
            node = node[parent]
        node[last] = value
    return content


def settings(changes: dict[str, Any] | None = None, conf: dict[str, Any] | None = None) -> Any:
    """The file's settings; see ``raw``."""
    return environments.resolve(raw(changes), conf).settings
