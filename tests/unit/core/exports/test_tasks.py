"""Export tasks as RDS tells of them."""

from __future__ import annotations

import pytest
from aurora_ops.core.exports import names
from aurora_ops.core.exports.tasks import Task, attempts, bar, may_pass, remedy, warnings
from hypothesis import given
from hypothesis import strategies as st

ARN = "arn:aws:rds:eu-west-1:1:cluster-snapshot:s"


def task(**raw) -> Task:
    return Task.of({"ExportTaskIdentifier": "x", **raw})


def test_a_task_without_more_than_its_name() -> None:
    found = task()
    assert (found.status, found.percent, found.gib, found.path, found.database, found.started) == (
        "",
        0,
        0.0,
        "x/",
        "",
        None,
    )


def test_where_its_objects_are() -> None:
    found = task(S3Prefix="exports/db=shop/snapshot_date=2026-07-01/", Status="complete")
    assert found.path == "exports/db=shop/snapshot_date=2026-07-01/x/"
    assert (found.database, found.status) == ("shop", "COMPLETE")
    assert task(S3Prefix="db=shop/else").database == ""


@pytest.mark.parametrize(
    ("percent", "full"), [(0, 0), (4, 0), (5, 1), (50, 10), (99, 19), (100, 20), (130, 20), (-3, 0)]
)
def test_how_far_it_is(percent, full) -> None:
    drawn = bar(task(PercentProgress=percent, TotalExtractedDataInGB=3))
    assert drawn.startswith("[" + "#" * full + "-" * (20 - full) + "]")
    assert f"{percent} %" in drawn


def test_attempts_are_found_among_others() -> None:
    found = [
        task(ExportTaskIdentifier=name)
        for name in (names.task(ARN, 2), "other", names.task(ARN), names.task(ARN + "x"))
    ]
    assert sorted(attempts(found, ARN)) == [1, 2]


@pytest.mark.parametrize(
    ("text", "skipped", "others"),
    [
        ("", [], []),
        ('{"skippedTables":["a.b"],"skippedObjectives":[],"general":["slow"]}', ["a.b"], ["slow"]),
        ('{"skippedTables":[{"tableName":"b"}],"general":null}', ['{"tableName": "b"}'], []),
        ("words", [], ["words"]),
        ("[1]", [], ["[1]"]),
    ],
)
def test_warnings(text, skipped, others) -> None:
    assert warnings(text) == (skipped, others)


@given(st.text())
def test_whatever_it_says_is_read(text) -> None:
    skipped, others = warnings(text)
    assert bool(skipped or others) or not text.strip() or text.lstrip().startswith("{")


def test_what_may_pass_is_told_from_what_will_not() -> None:
    assert may_pass("The export task failed due to an unknown internal error")
    assert not may_pass("KMS key check failed. Check the credentials on your KMS key and try again.")
    assert remedy("anything else")
