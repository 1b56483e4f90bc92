"""Exports of localcloud: what needs no server."""

from __future__ import annotations

import io
import itertools
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud import policy
from localcloud.policy import Decision
from localcloud.rds.events.delivery import matches, message
from localcloud.rds.exports.api import IDENTIFIER, progress
from localcloud.rds.exports.source import stretches
from localcloud.rds.exports.types import Column, exported_type
from localcloud.rds.model import Event, ExportTask, Region, Subscription

BUCKET = "arn:aws:s3:::lake"


@given(st.text("aB1-", max_size=12))
def test_identifiers_are_letters_digits_and_single_hyphens(text: str) -> None:
    legal = bool(text) and text[0] in "aB" and not text.endswith("-") and "--" not in text
    assert bool(IDENTIFIER.fullmatch(text)) is legal


@given(
    first=st.integers(-(10**6), 10**6),
    length=st.integers(1, 10**6),
    rows=st.integers(1, 1000),
    count=st.integers(1, 10**5),
)
def test_pieces_cover_every_key_once(first: int, length: int, rows: int, count: int) -> None:
    last = first + length - 1
    found = stretches(count, first, last, rows)
    assert (found[0].low, found[-1].high) == (first, last)
    assert [piece.number for piece in found] == list(range(len(found)))
    for one, following in itertools.pairwise(found):
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.high
        assert following.low == one.high + 1
    assert len(found) <= -(-count // rows)


@pytest.mark.parametrize("precision", range(1, 39))
def test_the_manifest_names_decimals_as_parquet_has_them(precision: int) -> None:
    schema = pa.schema([("c", pa.decimal128(precision, 0))])
    sink = io.BytesIO()
    pq.write_table(schema.empty_table(), sink, store_decimal_as_integer=True)
    column = pq.ParquetFile(sink).schema.column(0)
    length = f"({column.length})" if column.physical_type == "FIXED_LEN_BYTE_ARRAY" else ""
    assert exported_type(schema[0].type) == f"{column.physical_type.lower()}{length} (DECIMAL({precision},0))"


def test_a_value_that_a_type_does_not_have_is_an_error() -> None:
    with pytest.raises(pa.ArrowInvalid):
        Column("c", "int").array(["x"])


def task(**changes: object) -> ExportTask:
    return ExportTask(
        **{
            "account": "1",
            "region": "r",
            "identifier": "t",
            "source_arn": "a",
            "source_kind": "cluster",
            "source_key": "k",
            "key": "k",
            "bucket": "b",
            "prefix": "",
            "role_arn": "r",
            "kms_key_id": "k",
            "export_only": [],
            "snapshot_time": 0.0,
            "started": 0.0,
            "status": "IN_PROGRESS",
            "extracting": 100.0,
            "expected_s": 10.0,
            **changes,
        }  # type: ignore[arg-type]
    )


def test_progress_is_the_lesser_of_time_and_data_and_100_only_at_the_end() -> None:
    assert progress(task(status="STARTING", extracting=0.0), 200.0) == 0
    assert progress(task(done=1.0), 105.0) == 50
    assert progress(task(done=0.2), 109.0) == 20
    assert progress(task(done=1.0), 200.0) == 99
    assert progress(task(status="COMPLETE"), 0.0) == 100
    assert (task().path, task(prefix="x/y").path) == ("t", "x/y/t")


def test_a_state_from_before_there_were_exports_is_taken() -> None:
    old = {name: value for name, value in vars(Region("1", "r")).items() if name not in {"exports", "subscriptions"}}
    found = Region.__new__(Region)
    found.__setstate__(old)
    assert (found.exports, found.subscriptions, found.account) == ({}, {}, "1")


EVENT = Event("db-cluster-snapshot", "s", "arn:aws:rds:r:1:cluster-snapshot:s", "m", ["backup"], 0.5, "RDS-EVENT-0075")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"source_type": "db-cluster-snapshot"}, True),
        ({"source_type": "db-cluster"}, False),
        ({"categories": ["backup", "notification"]}, True),
        ({"categories": ["notification"]}, False),
        ({"sources": ["s"]}, True),
        ({"sources": ["t"]}, False),
        ({"enabled": False}, False),
    ],
)
def test_subscriptions_match(changes: dict[str, object], told: bool) -> None:
    subscription = Subscription("1", "r", "n", "t", 0.0, **changes)  # type: ignore[arg-type]
    assert matches(subscription, EVENT) is told


def test_times_of_messages_have_milliseconds() -> None:
    assert json.loads(message(EVENT))["Event Time"] == "1970-01-01 00:00:00.500"


@pytest.mark.parametrize(
    ("statement", "resource", "decision"),
    [
        ({"Effect": "Allow", "Resource": f"{BUCKET}/*"}, f"{BUCKET}/a", Decision.ALLOWED),
        ({"Effect": "Allow", "Resource": f"{BUCKET}/*"}, BUCKET, Decision.NOT_ALLOWED),
        ({"Effect": "Allow", "NotResource": BUCKET}, BUCKET, Decision.NOT_ALLOWED),
        ({"Effect": "Deny", "Resource": BUCKET}, BUCKET, Decision.DENIED),
        ({"Effect": "Deny", "Resource": f"{BUCKET}/${{aws:username}}"}, BUCKET, Decision.DENIED),
        ({"Effect": "Allow"}, BUCKET, Decision.ALLOWED),
        ({"Effect": "Allow", "Principal": {"AWS": "*"}}, BUCKET, Decision.ALLOWED),
        ({"Effect": "Allow", "Principal": {"Service": "other.amazonaws.com"}}, BUCKET, Decision.NOT_ALLOWED),
    ],
)
def test_policies_of_resources(statement: dict[str, object], resource: str, decision: Decision) -> None:
    document = json.dumps({"Statement": [{"Principal": "*", "Action": "s3:*", **statement}]})
    request = policy.Request("s3:GetObject", "1", service="some.amazonaws.com", resource=resource)
    assert policy.decide_by_resource(document, request) is decision
