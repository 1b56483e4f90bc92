"""DynamoDB: transactions are all or nothing, queries see one partition, and both cost what they touch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import moto.dynamodb.models as moto_models
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends
from moto.dynamodb.models.table import Table

from localcloud.services import items

REGION, ACCOUNT = "eu-west-1", "123456789012"


@pytest.fixture
def dynamodb(monkeypatch) -> Iterator[Any]:
    """A table with two items in each of two partitions, in localcloud's way."""
    monkeypatch.setattr(moto_models, "copy", moto_models.copy)
    monkeypatch.setattr(DynamoDBBackend, "transact_write_items", DynamoDBBackend.transact_write_items)
    for name in ("query", "all_items"):
        monkeypatch.setattr(Table, name, getattr(Table, name))
    items.install(None)
    with mock_aws():
        client = boto3.client("dynamodb", REGION, aws_access_key_id="x", aws_secret_access_key="x")
        client.create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        for pk in "ab":
            for sk in "12":
                client.put_item(TableName="t", Item={**key(pk, sk), "n": {"N": "0"}})
        yield client


def key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def put(pk: str, sk: str) -> dict[str, Any]:
    new = "attribute_not_exists(pk)"
    return {"Put": {"TableName": "t", "Item": key(pk, sk), "ConditionExpression": new}}


def update(pk: str, sk: str, expected: str = "0") -> dict[str, Any]:
    return {
        "Update": {
            "TableName": "t",
            "Key": key(pk, sk),
            "UpdateExpression": "SET n = :new",
            "ConditionExpression": "n = :old",
            "ExpressionAttributeValues": {":new": {"N": "1"}, ":old": {"N": expected}},
        }
    }


def content(client: Any) -> dict[tuple[str, str], str | None]:
    return {
        (item["pk"]["S"], item["sk"]["S"]): item.get("n", {}).get("N") for item in client.scan(TableName="t")["Items"]
    }


def test_all_is_written(dynamodb) -> None:
    dynamodb.transact_write_items(TransactItems=[put("c", "1"), put("a", "3"), update("b", "1")])
    assert content(dynamodb) == {
        ("a", "1"): "0", ("a", "2"): "0", ("a", "3"): None, ("b", "1"): "1", ("b", "2"): "0", ("c", "1"): None,
    }  # fmt: skip


@pytest.mark.parametrize("refused", [put("b", "2"), update("b", "2", "7")])
def test_or_nothing_is(dynamodb, refused) -> None:
    before = content(dynamodb)
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        dynamodb.transact_write_items(TransactItems=[put("a", "3"), put("c", "1"), update("a", "1"), refused])
    assert content(dynamodb) == before
    dynamodb.transact_write_items(TransactItems=[update("a", "1")])
    assert content(dynamodb) == before | {("a", "1"): "1"}


def test_partitions_that_are_not_written_to_are_not_copied(dynamodb) -> None:
    table = dynamodb_backends[ACCOUNT][REGION].tables["t"]
    kept = {name.value: partition for name, partition in table.items.items()}
    with pytest.raises(ClientError):
        dynamodb.transact_write_items(TransactItems=[update("a", "1"), update("a", "2", "7")])
    after = {name.value: part for name, part in dynamodb_backends[ACCOUNT][REGION].tables["t"].items.items()}
    assert after["b"] is kept["b"]
    assert after["a"] is not kept["a"]


def queried(client: Any, pk: str, **more: Any) -> list[str]:
    found = client.query(
        TableName="t", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": pk}}, **more
    )
    return [item["sk"]["S"] for item in found["Items"]]


def test_a_query_sees_its_partition(dynamodb) -> None:
    dynamodb.put_item(TableName="t", Item=key("b", "0"))
    assert queried(dynamodb, "b") == ["0", "1", "2"]
    assert queried(dynamodb, "b", ScanIndexForward=False, Limit=2) == ["2", "1"]
    assert queried(dynamodb, "c") == []
    assert len(content(dynamodb)) == 5


def test_a_query_looks_at_nothing_else(dynamodb, monkeypatch) -> None:
    looked, all_items = [], Table.all_items
    monkeypatch.setattr(Table, "all_items", lambda table: looked.append(len(found := all_items(table))) or found)
    assert queried(dynamodb, "a") == ["1", "2"]
    assert looked == [2]


def test_an_index_is_of_the_whole_table(dynamodb) -> None:
    dynamodb.update_table(
        TableName="t",
        AttributeDefinitions=[{"AttributeName": "sk", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": "by-sk",
                    "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            }
        ],
    )
    found = dynamodb.query(
        TableName="t",
        IndexName="by-sk",
        KeyConditionExpression="sk = :sk",
        ExpressionAttributeValues={":sk": {"S": "1"}},
    )
    assert sorted(item["pk"]["S"] for item in found["Items"]) == ["a", "b"]
