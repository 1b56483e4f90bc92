"""A seeded localcloud in which every database is audited and logs are rotated every few seconds, under its own policies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.settings import isolate_this_process
from localcloud.config import CloudConfig
from localcloud.names import PRODUCTION, STAGING
from tests.local.audit_logs.children import Worker
from tests.local.audit_logs.helpers import Kept, login_of
from tests.local.cloud.rds_helpers import PASSWORD
from tests.local.iam.lab import Lab, attach, seeded_lab
from tests.local.include import place_include

STORE = "store"
ROTATE_BYTES = 1_500_000


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cloud, with policies made from the operators as they are."""
    isolate_this_process()
    audited = {
        "LOCALCLOUD_AUDIT": "always",
        "LOCALCLOUD_LOG_ROTATE_S": "6",
        "LOCALCLOUD_LOG_ROTATE_BYTES": str(ROTATE_BYTES),
    }
    with seeded_lab(tmp_path_factory.mktemp("audit_logs"), **audited) as found:
        place(found.include, found.cloud.config)
        attach(found)
        make_store(found)
        yield found


def place(include: Path, config: CloudConfig) -> None:
    """Settings with audit logs of production's cluster, and of all that staging has."""
    place_include(include, along=True)
    file = include / "config" / "staging.yaml"
    content = yaml.safe_load(file.read_text())
    content["audit_logs"] |= {"schedule": None, "settled_min": 60, "object_mib": 1}
    assert {one["region"] for one in content["audit_logs"]["places"]} == {config.region}
    file.write_text(yaml.safe_dump(content))


def make_store(lab: Lab) -> None:
    """An RDS instance for MariaDB, whose log files shift their names."""
    rds = lab.admin(STAGING, "rds")
    rds.create_option_group(
        OptionGroupName=STORE, EngineName="mariadb", MajorEngineVersion="10.3", OptionGroupDescription="audited"
    )
    settings = {
        "SERVER_AUDIT_FILE_ROTATE_SIZE": str(ROTATE_BYTES),
        "SERVER_AUDIT_FILE_ROTATIONS": "900",
        "SERVER_AUDIT_EVENTS": "CONNECT,QUERY",
        "SERVER_AUDIT_QUERY_LOG_LIMIT": "2000000",
    }
    rds.modify_option_group(
        OptionGroupName=STORE,
        OptionsToInclude=[
            {
                "OptionName": "MARIADB_AUDIT_PLUGIN",
                "OptionSettings": [{"Name": name, "Value": value} for name, value in settings.items()],
            }
        ],
        ApplyImmediately=True,
    )
    rds.create_db_instance(
        DBInstanceIdentifier=STORE,
        Engine="mariadb",
        DBInstanceClass="db.m5.large",
        AllocatedStorage=20,
        MasterUsername="admin",
        MasterUserPassword=PASSWORD,
        DBName="shop",
        OptionGroupName=STORE,
    )


@pytest.fixture
def kept(lab: Lab) -> Kept:
    """What is in bucket and table, and what the servers wrote."""
    return Kept(lab)


@pytest.fixture
def store(lab: Lab) -> dict[str, Any]:
    """The RDS instance."""
    found: dict[str, Any] = lab.admin(STAGING, "rds").describe_db_instances(DBInstanceIdentifier=STORE)["DBInstances"][
        0
    ]
    return found


@pytest.fixture
def production(lab: Lab) -> tuple[tuple[str, int], dict[str, Any]]:
    """Endpoint of production's cluster, and a login."""
    rds, secrets = lab.admin(PRODUCTION, "rds"), lab.admin(PRODUCTION, "secretsmanager")
    cluster = rds.describe_db_clusters(DBClusterIdentifier="prod-shop")["DBClusters"][0]
    return (cluster["Endpoint"], cluster["Port"]), login_of(cluster, secrets)


@pytest.fixture
def worker(lab: Lab) -> Iterator[Worker]:
    found = Worker(lab)
    yield found
    found.close()
