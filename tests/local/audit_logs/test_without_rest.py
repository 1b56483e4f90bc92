"""Chunks alone: what they cannot carry is marked. Last of all here: what is kept then is not what was written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pymysql
import pytest
import yaml

from tests.local.audit_logs.children import Worker
from tests.local.audit_logs.helpers import BINARY, NASTY, Kept, expected, long_statement
from tests.local.cloud.databases import until
from tests.local.cloud.rds_helpers import connect
from tests.local.iam.lab import Lab

pytestmark = [pytest.mark.local, pytest.mark.slow]


@pytest.fixture
def chunks_only(lab: Lab) -> Iterator[None]:
    """REST is switched off."""
    file = lab.include / "config" / "staging.yaml"
    text = file.read_text()
    content = yaml.safe_load(text)
    content["audit_logs"]["reader"] = "chunks"
    file.write_text(yaml.safe_dump(content))
    yield
    file.write_text(text)


def test_without_rest_what_chunks_cannot_carry_is_marked(
    lab: Lab, kept: Kept, store: Any, production: Any, worker: Worker, chunks_only: None
) -> None:
    assert until(worker.once, 120)
    before = set(kept.by_file())
    endpoint, login = production
    for where, login_here in ((endpoint, login), ((store["Endpoint"]["Address"], store["Endpoint"]["Port"]), {})):
        with connect(*where, **login_here) as connection, connection.cursor() as cursor:
            for number in range(300):
                cursor.execute(f"SELECT {number}")
            for statement in [*BINARY, long_statement(1_200_000), *NASTY, "SELECT 'the end'"]:
                with suppress(pymysql.err.Error):
                    cursor.execute(statement)
    began = time.time()
    worker.once()
    assert until(worker.once, 120)
    assert "DownloadCompleteDBLogFile" not in {one["action"] for one in lab.cloud.calls(began)}
    stored, wanted, marks = kept.by_file(), expected(kept), kept.marks()
    marked = 0
    for file in set(wanted) & set(stored):
        content = bytearray(wanted[file][: len(stored[file])])
        for mark in marks.get(file, []):
            begin, size = int(mark["begin"]), int(mark["bytes"])
            content[begin : begin + size] = b"?" * size
            marked += 1
        assert stored[file] == bytes(content), file
    assert marked >= 3
    assert {mark["kind"] for many in marks.values() for mark in many} == {"binary", "truncated"}
    assert set(stored) - before
    partial = {item["sk"] for item in kept.items() if item["sk"].startswith("file#") and item.get("holes")}
    assert partial == {f"file#{identity}" for _, identity in marks}
