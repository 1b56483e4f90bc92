"""Log files of an RDS instance for MariaDB: the plugin's own, whose names shift; auditing is an option of its option group."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.cloud.databases import until
from tests.local.cloud.log_helpers import by_chunks, folder_of, listed, whole
from tests.local.cloud.rds_helpers import PASSWORD, PRODUCTION, connect, listens, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.cloud.conftest import LocalCloud

pytestmark = pytest.mark.local

RECORD = re.compile(rb"\d{8} \d\d:\d\d:\d\d,[^,]+,admin,localhost,\d+,\d+,QUERY,shop,'SELECT (\d+)',0")


@pytest.fixture
def rds(cloud: LocalCloud) -> Any:
    return cloud.client(PRODUCTION, "rds")


@pytest.fixture
def store(cloud: LocalCloud, rds: Any) -> Iterator[dict[str, Any]]:
    """An instance with an option group that has no options."""
    rds.create_option_group(
        OptionGroupName="store", EngineName="mariadb", MajorEngineVersion="10.3", OptionGroupDescription="audited"
    )
    rds.create_db_instance(
        DBInstanceIdentifier="store",
        Engine="mariadb",
        DBInstanceClass="db.m5.large",
        AllocatedStorage=20,
        MasterUsername="admin",
        MasterUserPassword=PASSWORD,
        DBName="shop",
        OptionGroupName="store",
        Tags=[{"Key": "team", "Value": "shop"}],
    )
    yield rds.describe_db_instances(DBInstanceIdentifier="store")["DBInstances"][0]
    if any(one["DBInstanceIdentifier"] == "store" for one in rds.describe_db_instances()["DBInstances"]):
        rds.delete_db_instance(DBInstanceIdentifier="store", SkipFinalSnapshot=True)
    rds.delete_option_group(OptionGroupName="store")


def audit(rds: Any, **settings: str) -> None:
    rds.modify_option_group(
        OptionGroupName="store",
        OptionsToInclude=[
            {
                "OptionName": "MARIADB_AUDIT_PLUGIN",
                "OptionSettings": [{"Name": name, "Value": value} for name, value in settings.items()],
            }
        ],
        ApplyImmediately=True,
    )


def select(store: dict[str, Any], *numbers: int) -> None:
    where = store["Endpoint"]
    with connect(where["Address"], where["Port"], database="shop") as connection, connection.cursor() as cursor:
        for number in numbers:
            cursor.execute(f"SELECT {number}")


def test_the_plugins_files_shift_their_names(cloud: LocalCloud, rds: Any, store: dict[str, Any]) -> None:
    assert store["Engine"] == "mariadb"
    assert store["DbiResourceId"].startswith("db-")
    select(store, 1)
    assert listed(rds, "store", FilenameContains="audit") == []  # its group has no such option
    audit(rds, SERVER_AUDIT_FILE_ROTATE_SIZE="2000", SERVER_AUDIT_FILE_ROTATIONS="3", SERVER_AUDIT_EVENTS="QUERY")

    def is_audited() -> bool:
        select(store, 2)
        return bool(listed(rds, "store", FilenameContains="audit/"))

    assert until(is_audited)
    select(store, *range(1000, 1010))
    first = whole(cloud, "store", "audit/server_audit.log")
    select(store, *range(1010, 1250))
    names = [file["LogFileName"] for file in listed(rds, "store", FilenameContains="audit")]
    assert names == ["audit/server_audit.log", *(f"audit/server_audit.log.{number}" for number in (1, 2, 3))]
    assert not whole(cloud, "store", "audit/server_audit.log").startswith(first[:200])
    contents = [by_chunks(rds, "store", name, lines=5).encode() for name in reversed(names)]
    assert contents == [whole(cloud, "store", name) for name in reversed(names)]
    folder = folder_of(cloud, "store")
    assert contents == [(folder / name).read_bytes() for name in reversed(names)]
    numbers = [int(found) for found in RECORD.findall(b"".join(contents))]
    assert numbers == list(range(numbers[0], 1250))  # the oldest are lost


def test_statements_are_cut_at_the_limit_of_the_option(cloud: LocalCloud, rds: Any, store: dict[str, Any]) -> None:
    audit(rds)

    def is_audited() -> bool:
        select(store, 3)
        return bool(listed(rds, "store", FilenameContains="audit/"))

    assert until(is_audited)
    with connect(store["Endpoint"]["Address"], store["Endpoint"]["Port"]) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT '{'y' * 5000}'")
    content = whole(cloud, "store", "audit/server_audit.log")
    assert 900 < content.count(b"y") < 1100
    assert b",admin,localhost," in content


def test_the_server_follows_its_instance(cloud: LocalCloud, rds: Any, store: dict[str, Any]) -> None:
    address, port = store["Endpoint"]["Address"], store["Endpoint"]["Port"]
    rds.modify_db_instance(DBInstanceIdentifier="store", MasterUserPassword="another-for-tests", ApplyImmediately=True)
    connect(address, port, "another-for-tests").close()
    rds.reboot_db_instance(DBInstanceIdentifier="store")
    connect(address, port, "another-for-tests").close()
    folder = folder_of(cloud, "store")
    rds.delete_db_instance(DBInstanceIdentifier="store", SkipFinalSnapshot=True)
    assert not listens(address, port)
    with refused("DBInstanceNotFound"):
        rds.describe_db_log_files(DBInstanceIdentifier="store")
    assert until(lambda: not folder.exists())
