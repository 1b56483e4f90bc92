"""The Data Catalog as Glue keeps it: names, pages, versions, partitions."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.local.cloud.athena_helpers import Lake

pytestmark = pytest.mark.local
KINDS = {"id": "bigint"}


@pytest.fixture
def lake(cloud) -> Lake:
    made = Lake.make(cloud)
    made.table("t", KINDS, {"year": "int", "day": "string"})
    return made


def where(lake: Lake) -> dict[str, str]:
    return {"DatabaseName": lake.database, "TableName": "t"}


def inputs(lake: Lake, *days: str, year: str = "2026") -> list[dict]:
    return [{"Values": [year, day], "StorageDescriptor": lake.storage(f"t/{day}", KINDS)} for day in days]


def held(lake: Lake, **more) -> list[str]:
    pages = lake.glue.get_paginator("get_partitions").paginate(**where(lake), **more)
    return [one["Values"][1] for page in pages for one in page["Partitions"]]


def test_names_are_kept_in_small_letters(lake) -> None:
    lake.glue.create_database(DatabaseInput={"Name": f"{lake.database}_Upper"})
    name = f"{lake.database}_upper"
    assert lake.glue.get_database(Name=f"{lake.database}_UPPER")["Database"]["Name"] == name
    lake.glue.create_table(
        DatabaseName=name.upper(), TableInput={"Name": "Orders", "StorageDescriptor": {"Columns": []}}
    )
    found = lake.glue.get_table(DatabaseName=name, Name="ORDERS")["Table"]
    assert (found["Name"], found["DatabaseName"], found["VersionId"]) == ("orders", name, "0")
    with pytest.raises(lake.glue.exceptions.AlreadyExistsException):
        lake.glue.create_table(DatabaseName=name, TableInput={"Name": "oRDERS"})
    lake.glue.delete_table(DatabaseName=name, Name="Orders")
    with pytest.raises(lake.glue.exceptions.EntityNotFoundException):
        lake.glue.get_table(DatabaseName=name, Name="orders")


def test_partitions_are_made_in_batches_and_those_that_exist_are_told(lake) -> None:
    first = inputs(lake, "01", "02")
    assert "Errors" not in lake.glue.batch_create_partition(**where(lake), PartitionInputList=first)
    again = lake.glue.batch_create_partition(**where(lake), PartitionInputList=inputs(lake, "02", "03"))["Errors"]
    assert [(one["PartitionValues"], one["ErrorDetail"]["ErrorCode"]) for one in again] == [
        (["2026", "02"], "AlreadyExistsException")
    ]
    assert held(lake) == ["01", "02", "03"]
    for wrong in (["2026"], ["2026", "01", "x"]):
        with pytest.raises(
            lake.glue.exceptions.InvalidInputException, match="do not match the number of partition values"
        ):
            lake.glue.batch_create_partition(
                **where(lake), PartitionInputList=[*inputs(lake, "09"), {**first[0], "Values": wrong}]
            )
    assert held(lake) == ["01", "02", "03"], "nothing of a refused batch is made"
    with pytest.raises(lake.glue.exceptions.InvalidInputException, match="less than or equal to 100"):
        lake.glue.batch_create_partition(**where(lake), PartitionInputList=inputs(lake, *map(str, range(101))))


def test_partitions_come_by_pages_segments_and_conditions(lake) -> None:
    for start in range(0, 1100, 100):
        days = [f"{number:04}" for number in range(start, start + 100)]
        lake.glue.batch_create_partition(**where(lake), PartitionInputList=inputs(lake, *days))
    wanted = [f"{number:04}" for number in range(1100)]
    page = lake.glue.get_partitions(**where(lake))
    assert len(page["Partitions"]) == 1000
    assert [one["Values"][1] for one in page["Partitions"]] == wanted[:1000]
    rest = lake.glue.get_partitions(**where(lake), NextToken=page["NextToken"])
    assert "NextToken" not in rest
    assert held(lake, PaginationConfig={"PageSize": 300}) == wanted
    assert held(lake, Expression="day >= '1090' AND year = 2026") == wanted[1090:]
    assert held(lake, Expression="year = 2025") == []
    parts = [held(lake, Segment={"SegmentNumber": number, "TotalSegments": 3}) for number in range(3)]
    assert sorted(day for part in parts for day in part) == wanted
    lean = lake.glue.get_partitions(**where(lake), ExcludeColumnSchema=True, MaxResults=1)["Partitions"][0]
    assert "Columns" not in lean["StorageDescriptor"]
    with pytest.raises(ClientError, match="maxResults"):
        lake.glue._make_api_call("GetPartitions", {**where(lake), "MaxResults": 1001})


def test_a_partition_that_cannot_become_another_stays(lake) -> None:
    lake.glue.batch_create_partition(**where(lake), PartitionInputList=inputs(lake, "01", "02"))
    update = {**where(lake), "PartitionValueList": ["2026", "01"]}
    with pytest.raises(lake.glue.exceptions.AlreadyExistsException):
        lake.glue.update_partition(**update, PartitionInput=inputs(lake, "02")[0])
    assert held(lake) == ["01", "02"]
    lake.glue.update_partition(**update, PartitionInput=inputs(lake, "07")[0])
    assert held(lake) == ["07", "02"]
    with pytest.raises(lake.glue.exceptions.EntityNotFoundException):
        lake.glue.update_partition(**update, PartitionInput=inputs(lake, "08")[0])


def test_partitions_are_deleted_in_batches(lake) -> None:
    lake.glue.batch_create_partition(**where(lake), PartitionInputList=inputs(lake, "01", "02"))
    found = lake.glue.batch_delete_partition(
        **where(lake), PartitionsToDelete=[{"Values": ["2026", "01"]}, {"Values": ["2026", "05"]}]
    )["Errors"]
    assert [one["PartitionValues"] for one in found] == [["2026", "05"]]
    assert held(lake) == ["02"]
    many = [{"Values": ["2026", str(number)]} for number in range(26)]
    with pytest.raises(lake.glue.exceptions.InvalidInputException, match="less than or equal to 25"):
        lake.glue.batch_delete_partition(**where(lake), PartitionsToDelete=many)


def test_versions_of_a_table(lake) -> None:
    def change(column: str, **more) -> None:
        storage = lake.storage("t/", {column: "int"})
        lake.glue.update_table(
            DatabaseName=lake.database, TableInput={"Name": "t", "StorageDescriptor": storage}, **more
        )

    change("a")
    change("b", SkipArchive=True)
    versions = lake.glue.get_table_versions(**where(lake))["TableVersions"]
    assert [one["VersionId"] for one in versions] == ["2", "0"], "the newest first, without the one that was not kept"
    assert lake.glue.get_table(DatabaseName=lake.database, Name="t")["Table"]["VersionId"] == "2"
    with pytest.raises(lake.glue.exceptions.InvalidInputException):
        lake.glue.delete_table_version(**where(lake), VersionId="2")
    told = lake.glue.batch_delete_table_version(**where(lake), VersionIds=["0", "7"])["Errors"]
    assert [(one["VersionId"], one["ErrorDetail"]["ErrorCode"]) for one in told] == [("7", "EntityNotFoundException")]
    assert [one["VersionId"] for one in lake.glue.get_table_versions(**where(lake))["TableVersions"]] == ["2"]


def test_tables_and_databases_come_by_pages(lake) -> None:
    for number in range(120):
        lake.glue.create_table(DatabaseName=lake.database, TableInput={"Name": f"n{number:03}"})
    page = lake.glue.get_tables(DatabaseName=lake.database)
    assert len(page["TableList"]) == 100
    pages = lake.glue.get_paginator("get_tables").paginate(DatabaseName=lake.database, Expression="n.*")
    assert len([one for page in pages for one in page["TableList"]]) == 120
    assert len(lake.glue.get_databases(MaxResults=1)["DatabaseList"]) == 1
