"""Names of exports: legal, the same for the same snapshot, another for each other."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from aurora_ops.core.exports import names
from hypothesis import given
from hypothesis import strategies as st

LEGAL = re.compile(r"[a-z]([a-z0-9]|-(?=[a-z0-9])){0,59}")
kinds = st.sampled_from(["cluster-snapshot", "snapshot"])
ids = st.one_of(
    st.from_regex(r"[a-z]([a-z0-9]|-(?=[a-z0-9])){0,254}", fullmatch=True),
    st.from_regex(r"rds:[a-z]([a-z0-9]|-(?=[a-z0-9])){0,62}-2026-01-02-03-04", fullmatch=True),
    st.from_regex(r"awsbackup:job-[0-9a-f]{8}-[0-9a-f]{4}", fullmatch=True),
    st.text(min_size=1, max_size=255),
)
arns = st.builds(
    lambda partition, region, account, kind, name: f"arn:{partition}:rds:{region}:{account}:{kind}:{name}",
    st.sampled_from(["aws", "aws-cn", "aws-us-gov"]),
    st.sampled_from(["eu-west-1", "us-gov-west-1"]),
    st.sampled_from(["111111111111", "222222222222"]),
    kinds,
    ids,
)
attempts = st.integers(1, 99)


def arn(name: str, kind: str = "cluster-snapshot", account: str = "111111111111") -> str:
    return f"arn:aws:rds:eu-west-1:{account}:{kind}:{name}"


@given(arns, attempts)
def test_a_task_has_a_legal_name(snapshot, attempt) -> None:
    assert LEGAL.fullmatch(names.task(snapshot, attempt))


@given(arns, arns, attempts, attempts)
def test_snapshots_and_attempts_do_not_share_a_name(one, other, first, second) -> None:
    same = (one, first) == (other, second)
    assert (names.task(one, first) == names.task(other, second)) is same


@given(arns, attempts)
def test_a_task_tells_its_attempt(snapshot, attempt) -> None:
    assert names.attempt_of(names.task(snapshot, attempt), snapshot) == attempt


@given(arns, st.text(max_size=60))
def test_a_task_of_another_is_not_ours(snapshot, name) -> None:
    assert names.attempt_of(name, snapshot) is None
    assert names.attempt_of(names.task(snapshot) + "-a1", snapshot) is None


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("rds:prod-shop-2026-01-02-03-04", "prod-shop-2026-01-02-03-04-"),
        ("awsbackup:job-0f3c", "awsbackup-job-0f3c-"),
        ("a" * 255, "aaaa"),
        ("x" * 46 + "-" + "y" * 20, "xxxx"),
    ],
)
def test_a_task_is_known_by_its_snapshot(name, begins) -> None:
    made = names.task(arn(name))
    assert made.startswith(begins)
    assert len(made) <= 60


@pytest.mark.parametrize("attempt", [0, -1, 100])
def test_an_attempt_is_counted_from_one(attempt) -> None:
    with pytest.raises(ValueError, match="write 1 to 99"):
        names.task(arn("x"), attempt)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "arn:aws:rds:eu-west-1:1:cluster:x",
        "arn:aws:rds:eu-west-1:1:cluster-snapshot:",
        "arn:aws:s3:::x:snapshot:y",
    ],
)
def test_what_is_no_snapshot_has_no_name(wrong) -> None:
    with pytest.raises(ValueError, match="not the ARN of a snapshot"):
        names.task(wrong)


def test_an_identifier_may_have_a_colon() -> None:
    assert names.snapshot_of(arn("rds:prod-2026-01-01-02-03")) == "rds:prod-2026-01-01-02-03"
    assert names.is_of_a_cluster(arn("x"))
    assert not names.is_of_a_cluster(arn("x", "snapshot"))


def test_a_day_is_one_of_the_zone() -> None:
    late = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    assert names.date(late, UTC) == "2026-01-31"
    assert names.date(late, ZoneInfo("Europe/Paris")) == "2026-02-01"


@given(
    st.from_regex(r"([a-z0-9_]+(/[a-z0-9_]+){0,3})?", fullmatch=True),
    st.from_regex(r"[a-z][a-z0-9]{0,29}", fullmatch=True),
)
def test_a_prefix_is_one_that_rds_accepts(beginning, name) -> None:
    made = names.prefix(beginning, name, "2026-01-31")
    assert ":" not in made
    assert not made.startswith("/")
    assert not made.endswith("/")
    assert "//" not in made
    assert made.endswith(f"db={name}/snapshot_date=2026-01-31")


@given(st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True).filter(lambda name: len(name) <= 30))
def test_what_the_setup_makes_has_legal_names(name) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", names.setup(name, "111111111111"))
    assert len(names.role(name)) <= 64
    assert re.fullmatch(r"[a-z0-9_]{1,255}", names.glue_name(name))
    assert names.alias(name).startswith("alias/aurora-ops-export-")


def test_events_of_one_snapshot_make_one_run() -> None:
    assert names.run(arn("rds:prod-2026")) == f"event__{names.task(arn('rds:prod-2026'))}"
    assert names.run(arn("rds:prod-2026")) != names.run(arn("rds:prod-2026", account="222222222222"))
