"""Wrong input is refused by ``prepare.check``, with field, value and what is allowed, before AWS is touched."""

from __future__ import annotations

import pytest

from tests.local.refresh.conftest import DAG_ID, STAGING

pytestmark = pytest.mark.local

REFUSED = [
    pytest.param({"snapshoot": "newest"}, ["snapshoot", "'newest'", "known run parameters are"], id="unknown key"),
    pytest.param(
        {"target_cluster": "prod-shop", "target_account_id": "111111111111"},
        ["target.cluster: 'prod-shop'", "must not be the source itself"],
        id="target equal to source",
    ),
    pytest.param(
        {"target_account_id": "111111111111"},
        ["target.account_id: '111111111111'", "safety.protected_accounts"],
        id="protected account",
    ),
    pytest.param(
        {"target_cluster": "staging-other"},
        ["target.cluster: 'staging-other'", "allowed are ['staging-shop']"],
        id="target not allowed",
    ),
    pytest.param(
        {"snapshot": "newest", "snapshot_max_age_h": 0.00001},
        ["source.snapshot: 'rds:prod-shop-", "snapshot_max_age_h=1e-05 h are allowed"],
        id="snapshot too old",
    ),
    pytest.param(
        {"snapshot": "no-such-snapshot"},
        ["source.snapshot: 'no-such-snapshot'", "available ones of the source are ["],
        id="no such snapshot",
    ),
    pytest.param(
        {"keep_tables": ["shop.feature_flags", "shop.nope"]},
        ["database.keep_tables: 'shop.nope'", "tables of shop in staging-shop are ["],
        id="unknown table in the keep list",
    ),
    pytest.param(
        {"sensitive_columns": ["shop.customers.shoe_size"]},
        ["masking columns: 'shop.customers.shoe_size'", "columns of shop.customers are ["],
        id="masking rule on a missing column",
    ),
    pytest.param(
        {"instance_class": "db.z9.huge"},
        ["target.instances.class: 'db.z9.huge'", "cannot be ordered"],
        id="class that cannot be ordered",
    ),
]


def refused(stack, conf, since):
    run = stack.wait(stack.trigger(DAG_ID, conf))
    assert run.state == "failed"
    assert stack.states(run)["prepare.check"] == "failed"
    assert stack.calls(mutating=True, since=since) == []
    return stack.log(run, "prepare.check")


@pytest.mark.slow
@pytest.mark.parametrize(("conf", "said"), REFUSED)
def test_wrong_input_is_refused_with_no_change(stack, since, conf, said):
    log = refused(stack, conf, since)
    for text in said:
        assert text in log


def test_an_untagged_target_is_refused(stack, estate, since):
    rds = stack.aws(STAGING, "rds")
    arn = estate.cluster(STAGING, "staging-shop")["DBClusterArn"]
    rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["refresh"])
    try:
        run = stack.wait(stack.trigger(DAG_ID))
    finally:
        rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "refresh", "Value": "true"}])
    assert "not tagged refresh=true" in stack.log(run, "prepare.check")
    changes = [call["action"] for call in stack.calls(mutating=True, since=since)]
    assert changes == ["RemoveTagsFromResource", "AddTagsToResource"], "only this test's own"


def test_everything_wrong_is_said_at_once(stack, since):
    log = refused(
        stack, {"snapshot": "no-such-snapshot", "keep_tables": ["shop.nope"], "sensitive_columns": ["shop.a.b"]}, since
    )
    for text in ("3 problems", "source.snapshot", "database.keep_tables", "masking columns"):
        assert text in log
