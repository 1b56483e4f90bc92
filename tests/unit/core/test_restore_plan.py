"""The plan of a restore says everything that will be made, changed or deleted, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from aurora_ops.core import restore_plan
from aurora_ops.core.estimate import Estimate

PLAN: dict[str, Any] = {
    "cluster": "shop", "restored_cluster": "shop-restored", "old_name": "shop-old", "data_of": "prod-shop",
    "restore_type": "snapshot", "snapshot_id": "nightly", "data_at": "2026-07-01T02:00:00+00:00", "from_account": "source",
    "source_account_id": "111111111111", "source_region": "eu-west-1", "target_account_id": "222222222222",
    "target_region": "eu-central-1", "mode": "local", "copy_snapshot_id": None, "size_gib": 12, "readers": 1,
    "instance_class": "db.r6g.large", "keep_days": 2, "master_secret": None, "app_secret": None, "database_users": [],
    "clear_cluster": None, "swap": False, "windows": [], "old_cluster": "keep", "final_snapshot_id": None,
    "copied_snapshot": "delete",
}  # fmt: skip
SHARED = {
    "mode": "share", "copy_snapshot_id": "copy-of-nightly", "shared_snapshot_id": "rekeyed", "rekeyed_snapshot_id": "rekeyed",
    "rekey_key_arn": "arn:aws:kms:eu-west-1:111111111111:key/k",
}  # fmt: skip


def test_beside_what_serves_nothing_is_changed() -> None:
    assert restore_plan.changed(PLAN) == []
    [cluster, password] = restore_plan.made(PLAN)
    assert "`shop-restored` with 2 instances of db.r6g.large" in cluster
    assert "until 2 days from now" in cluster
    assert "RDS makes and keeps" in password


def test_from_another_account_each_copy_and_share_is_named_with_its_end() -> None:
    made = "\n".join(restore_plan.made({**PLAN, **SHARED}))
    assert "`rekeyed`, a copy under `arn:aws:kms:eu-west-1:111111111111:key/k`" in made
    assert "`rekeyed` is shared with account 222222222222" in made
    assert "`copy-of-nightly` in eu-central-1" in made
    assert restore_plan.changed({**PLAN, **SHARED}) == [
        "`copy-of-nightly` is deleted after verification",
        "`rekeyed` is deleted, its share taken back",
    ]
    assert "is shared" not in "\n".join(restore_plan.made({**PLAN, **SHARED, "was_shared": True}))


@pytest.mark.parametrize(
    ("fate", "final", "said"),
    [
        ("keep", None, "kept running"),
        ("stop", None, "stopped"),
        ("delete", "final-shop", "deleted, with `final-shop`"),
        ("delete", None, "deleted, with no final snapshot"),
    ],
)
def test_a_swap_says_what_becomes_of_the_old_one(fate, final, said) -> None:
    swap, old = restore_plan.changed({**PLAN, "swap": True, "old_cluster": fate, "final_snapshot_id": final})
    assert "`shop` becomes `shop-old` and `shop-restored` becomes `shop`" in swap
    assert old == f"`shop-old` is {said}"


def test_leftovers_go_first() -> None:
    [first] = restore_plan.changed({**PLAN, "clear_cluster": "shop-restored"})
    assert first.endswith("is deleted first")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"master_secret": "prod/master"}, "`prod/master`"),
        ({"app_secret": "aurora-restore/app"}, "the users of `aurora-restore/app`; others are dropped"),
        ({"database_users": [{"username": "app"}, {"username": "ro"}]}, "users `app`, `ro`; others are dropped"),
    ],
)
def test_passwords_and_users_are_named_by_where_they_come_from(changes, said) -> None:
    assert said in "\n".join(restore_plan.made({**PLAN, **changes}))


def test_the_whole_text() -> None:
    shown = restore_plan.text({**PLAN, **SHARED}, Estimate(None, 0, None, "USD 0.52 an hour"))
    for text in (
        "# Restore beside shop: prod-shop → shop-restored",
        "Snapshot `nightly` of `prod-shop` in account 111111111111, eu-west-1",
        "12 GiB are restored. 12 GiB are copied. Cost: USD 0.52 an hour.",
    ):
        assert text in shown
    moment = {**PLAN, "restore_type": "point_in_time", "size_gib": 0}
    shown = restore_plan.text(moment, Estimate(None, 0, None, "x"))
    assert "The automated backups of `prod-shop`, to 2026-07-01T02:00:00+00:00" in shown
    assert "Its size is not known before." in shown
    assert "- nothing" in shown
