"""Names: legal whatever goes in, the same for the same input, different for different clusters."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from aurora_ops.core import naming
from hypothesis import given
from hypothesis import strategies as st

MOMENT = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
IDENTIFIERS = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,9}){0,6}", fullmatch=True).filter(
    lambda name: len(name) <= 63
)
LONG = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=64, max_size=120)
MAKERS = {
    "temporary": naming.temporary_cluster,
    "old": naming.old_cluster,
    "writer": lambda stem: naming.instance(stem, 1),
    "reader 15": lambda stem: naming.instance(stem, 16),
    "snapshot": lambda stem: naming.snapshot(stem, "staging", MOMENT),
    "rekeyed": lambda stem: naming.snapshot(stem, "staging", MOMENT, "rekeyed"),
    "copy": lambda stem: naming.snapshot(stem, "a_long_environment_name_of_31_ch", MOMENT, "copy"),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
@given(stem=st.text(max_size=120))
def test_any_stem_gives_a_legal_name(make, stem: str) -> None:
    name = make(stem)
    assert naming.is_identifier(name), name
    assert name == name.lower()
    assert make(stem) == name


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
@given(one=IDENTIFIERS, other=IDENTIFIERS)
def test_two_clusters_have_two_names(make, one: str, other: str) -> None:
    assert (make(one) == make(other)) == (one == other)


@given(one=LONG, other=LONG)
def test_two_long_stems_stay_two_names(one: str, other: str) -> None:
    assert (naming.fit(one, "-old") == naming.fit(other, "-old")) == (one == other)


@given(stem=st.text("abc-", min_size=1, max_size=90), suffix=st.sampled_from(["-old", "-restore", "-1", "-16"]))
def test_suffix_is_kept_whole(stem: str, suffix: str) -> None:
    assert naming.fit(stem, suffix).endswith(suffix)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("shop", "shop-old"),
        ("SHOP", "shop-old"),
        ("a" * 59, "a" * 59 + "-old"),
        ("a" * 60, "a" * 52 + "-11ee39-old"),
        ("a" * 63, "a" * 52 + "-7d3e74-old"),
        ("2nd-shop", "r-2nd-shop-old"),
        ("shop_eu", "shop-eu-old"),
        ("-shop--eu-", "shop-eu-old"),
        ("", "r-old"),
        ("é", "r-old"),
    ],
)
def test_examples(stem: str, name: str) -> None:
    assert naming.old_cluster(stem) == name
    assert len(name) <= naming.LONGEST


def test_names_of_63_characters_differ_from_each_other_and_from_the_cluster() -> None:
    cluster = "x" + "y" * 62
    names = {make(cluster) for make in MAKERS.values()}
    assert len({*names, cluster}) == len(MAKERS) + 1


@pytest.mark.parametrize("name", ["", "a--b", "a-", "-a", "1a", "a_b", "a.b", "a b", "é", "a\n", "a" * 64])
def test_what_aws_refuses_is_no_identifier(name: str) -> None:
    assert not naming.is_identifier(name)


@pytest.mark.parametrize("name", ["a", "A", "a-b", "a1-2-c", "a" * 63])
def test_what_aws_accepts_is_an_identifier(name: str) -> None:
    assert naming.is_identifier(name)


def test_moment_is_written_in_utc() -> None:
    paris = timezone(timedelta(hours=2))
    assert naming.stamp(datetime(2026, 7, 1, 4, 0, 5, tzinfo=paris)) == naming.stamp(MOMENT + timedelta(seconds=5))
    assert naming.snapshot("shop", "staging", MOMENT) == "refresh-staging-shop-20260701t020000"


def test_grant_and_secret_version_are_what_aws_takes() -> None:
    grant = naming.grant("s" * 63, "1" * 12)
    assert 1 <= len(grant) <= 256
    version = naming.secret_version("dag/run", "staging/app")
    assert str(uuid.UUID(version)) == version
    assert naming.secret_version("dag/run", "staging/app") == version
    others = [naming.secret_version("dag/run2", "staging/app"), naming.secret_version("dag/run", "staging/b")]
    assert version not in others
