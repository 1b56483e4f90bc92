"""A seeded localcloud that enforces the policies which follow from the operators as they are, and one process that runs DAGs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from devstack.settings import isolate_this_process
from tests.local.iam.lab import Lab, attach, seeded_lab
from tests.local.include import place_include

FAR = "eu-central-1"
RETENTION = {
    "schedule": "30 5 * * *",
    "dry_run": False,
    "clusters": [
        {
            "account": "target",
            "cluster": "staging-shop",
            "keep": {"daily": 2, "weekly": 0, "monthly": 1},
            "name_prefixes": ["nightly-"],
            "copy_to": [
                {"region": FAR, "kms_key_id": "alias/shop-staging", "keep": {"daily": 2, "weekly": 0, "monthly": 0}}
            ],
        }
    ],
}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cloud with its roles' policies made from the operators, not read from files; its settings have a policy for snapshots."""
    isolate_this_process()
    with seeded_lab(tmp_path_factory.mktemp("upkeep")) as found:
        file = place_include(found.include, along=True) / "config" / "staging.yaml"
        content = yaml.safe_load(file.read_text())
        file.write_text(yaml.safe_dump({**content, "retention": RETENTION}))
        attach(found)
        yield found
