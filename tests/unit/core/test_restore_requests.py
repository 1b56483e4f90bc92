"""Requests of the restore pipeline, the choice of a backup, and what a drill proves: before AWS is asked anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from aurora_ops.core import drill, environments, naming, restores
from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError
from aurora_ops.core.requests.aurora import DRILL, Restore, RestoreDrill
from aurora_ops.core.requests.base import guards, live_name, parse
from hypothesis import given
from hypothesis import strategies as st

from devstack.settings import REPO

SETTINGS = environments.resolve(environments.read(REPO / "include/config/staging.yaml")).settings
LIVE = "staging-shop"
MOMENT = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
NAMES = st.from_regex(r"[a-z](-?[a-z0-9]){0,62}", fullmatch=True).filter(lambda name: len(name) <= 63)
LABELS = st.from_regex(r"[a-z][a-z0-9]{0,11}", fullmatch=True)


def asked(model=Restore, **fields):
    return parse(model, {"environment": "staging", "cluster": LIVE, **fields})


def refusal(**fields) -> str:
    found = guards(asked(**fields), SETTINGS)
    return "\n".join(map(str, found))


class TestNames:
    """What is restored by hand stands beside what serves, and no refresh has its name."""

    @given(NAMES, st.none() | LABELS)
    def test_each_belongs_to_its_live_cluster_and_is_none_of_a_refresh(self, live, label) -> None:
        name = naming.restored_cluster(live, label)
        assert naming.is_identifier(name)
        assert naming.is_restored_beside(name, live)
        assert name not in (live, naming.temporary_cluster(live), naming.old_cluster(live))

    @given(NAMES)
    def test_no_other_name_is_taken_for_one(self, name) -> None:
        if naming.is_restored_beside(name, LIVE):
            assert name.startswith(f"{LIVE}-restored")
            assert live_name(name, SETTINGS) == LIVE
        else:
            assert live_name(name, SETTINGS) is None or name in (LIVE, f"{LIVE}-restore", f"{LIVE}-old")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cluster": "prod-shop"}, "live clusters are ['staging-shop']"),
        ({"label": DRILL}, "torn down by drills"),
        ({"snapshot": "a", "newest_before": "2026-01-01T00:00:00Z"}, "snapshot is given; give one of them"),
        ({"newest_before": "2999-01-01T00:00:00Z"}, "it must be in the past"),
        ({"restore_to": "2026-01-01T00:00:00Z", "from_account": "source"}, "use newest_before"),
        ({"from_account": "source", "source_cluster": "other"}, "source.cluster is 'prod-shop'"),
        ({"swap": True}, "type the live cluster's name"),
        ({"swap": True, "confirm": LIVE, "from_account": "source"}, "restore.allow_unmasked"),
        ({"users": "none", "app_secret": "aurora-restore/app-credentials"}, "users is none"),
        ({"app_secret": "x", "master_secret": "x"}, "must not be the master secret"),
        ({"app_secret": "prod/shop/app"}, "restore.secrets allows ['aurora-restore/master-credentials'"),
        ({"min_acu": 2}, "only db.serverless takes a capacity"),
    ],
)
def test_what_does_not_go_together_is_refused(fields, said) -> None:
    assert said in refusal(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"label": "Friday"},
        {"label": "a-b"},
        {"label": "a" * 13},
        {"keep_days": 0},
        {"snapshot": "a'b"},
        {"restore_to": "2026-01-01T00:00:00"},
    ],
)
def test_what_the_form_would_refuse(fields) -> None:
    with pytest.raises(PermanentError, match=next(iter(fields))):
        asked(**fields)


def test_production_may_serve_where_the_environment_says_so() -> None:
    restore = SETTINGS.restore.model_copy(update={"allow_unmasked": True})
    allowed = SETTINGS.model_copy(update={"restore": restore})
    assert guards(asked(swap=True, confirm=LIVE, from_account="source"), allowed) == []


def test_nothing_is_restored_in_a_protected_account() -> None:
    target = SETTINGS.target.model_copy(update={"account_id": SETTINGS.source.account_id})
    [refused] = guards(asked(), SETTINGS.model_copy(update={"target": target}))
    assert isinstance(refused, SafetyError)
    assert "protected_accounts" in str(refused)


def test_only_a_swap_keeps_the_refresh_away() -> None:
    assert asked().locked_cluster(SETTINGS) == "staging-shop-restored"
    assert asked(swap=True).locked_cluster(SETTINGS) == LIVE
    assert asked(swap=True).free_names() == {"cluster": "staging-shop-old"}
    assert asked().free_names() == {}


def test_a_drill_may_clear_away_what_was_verified() -> None:
    assert asked(RestoreDrill, label=DRILL).inputs(SETTINGS, MOMENT)["disposable"] is True
    assert asked().inputs(SETTINGS, MOMENT)["disposable"] is False
    assert guards(asked(RestoreDrill, label=DRILL), SETTINGS) == []


@dataclass(frozen=True)
class Taken:
    """A snapshot."""

    snapshot_id: str
    created: datetime | None
    status: str = "available"


TAKEN = st.lists(
    st.builds(
        Taken,
        st.from_regex(r"s[0-9]{1,3}", fullmatch=True),
        st.none() | st.integers(0, 200).map(lambda hours: MOMENT - timedelta(hours=hours)),
        st.sampled_from(["available", "creating", "failed", "deleting"]),
    ),
    unique_by=lambda taken: taken.snapshot_id,
)


class TestChoice:
    """The newest available snapshot, or the one that is named."""

    @given(TAKEN, st.none() | st.integers(0, 200))
    def test_the_newest_available_before_a_moment(self, taken, hours) -> None:
        before = None if hours is None else MOMENT - timedelta(hours=hours)
        usable = [one for one in taken if one.status == "available" and one.created]
        early = [one for one in usable if before is None or one.created < before]
        if not early:
            with pytest.raises(ConfigError):
                restores.chosen_snapshot(taken, cluster_id="c", named=None, before=before)
            return
        found = restores.chosen_snapshot(taken, cluster_id="c", named=None, before=before)
        assert found in early
        assert found.created == max(one.created for one in early)

    def test_one_that_is_named_must_be_available(self) -> None:
        taken = [Taken("a", MOMENT), Taken("b", MOMENT, "creating")]
        assert restores.chosen_snapshot(taken, cluster_id="c", named="a", before=None).snapshot_id == "a"
        with pytest.raises(ConfigError, match="it is creating; available ones of c are"):
            restores.chosen_snapshot(taken, cluster_id="c", named="b", before=None)
        with pytest.raises(ConfigError, match=r"'x' is not allowed; available ones of c are \['a'\]"):
            restores.chosen_snapshot(taken, cluster_id="c", named="x", before=None)

    def test_it_says_what_there_is(self) -> None:
        with pytest.raises(ConfigError, match="the oldest snapshot of c is of 2026-11-21T02:00:00"):
            restores.chosen_snapshot([Taken("a", MOMENT)], cluster_id="c", named=None, before=MOMENT)
        with pytest.raises(ConfigError, match="no available snapshot; take one"):
            restores.chosen_snapshot([], cluster_id="c", named=None, before=None)


class TestDrill:
    """RPO and RTO against their targets."""

    @staticmethod
    def judged(outcome, rpo_h=1.0, rto_h=1.0):
        return drill.judge(
            outcome, environment="staging", cluster=LIVE, run="aurora_restore_drill/r1", moment=MOMENT, rpo_h=rpo_h,
            rto_h=rto_h, verification={"checks": 3},
        )  # fmt: skip

    @given(st.integers(0, 20_000), st.integers(0, 20_000))
    def test_a_target_is_missed_beyond_it(self, rpo_s, rto_s) -> None:
        missed = self.judged({"rpo_s": rpo_s, "rto_s": rto_s})["missed"]
        assert any(text.startswith("RPO") for text in missed) == (rpo_s > 3600)
        assert any(text.startswith("RTO") for text in missed) == (rto_s > 3600)

    @pytest.mark.parametrize("outcome", [None, {"rpo_s": 10, "rto_s": None}])
    def test_what_was_not_verified_is_a_miss(self, outcome) -> None:
        evidence = self.judged(outcome)
        assert evidence["missed"] == ["the backup was not restored and verified"]
        assert evidence["verified"] is False
        assert "not reached" in drill.text(evidence)

    def test_evidence_is_filed_under_the_same_key_on_every_try(self) -> None:
        evidence = self.judged({"rpo_s": 1, "rto_s": 1})
        assert evidence["missed"] == []
        assert drill.evidence_key(evidence) == "drills/staging/staging-shop/2026-11-21T020000/r1.json"
        assert "every target was met" in drill.text(evidence)
