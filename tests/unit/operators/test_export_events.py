"""Deciding about events of snapshots: each once, by what RDS answers, written down with the reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from airflow.sdk import Asset
from aurora_ops.core.errors import ConfigError, MissingError
from aurora_ops.core.exports import names
from aurora_ops.core.exports.position import Position
from aurora_ops.hooks.base import AwsHook
from aurora_ops.hooks.export_decisions import ExportDecisionsHook
from aurora_ops.operators import export_events as module
from aurora_ops.operators.export_events import DECIDED_KEY, DecideExportsOperator
from botocore.client import BaseClient

from devstack.settings import REPO
from devstack.snapshot_events import event as rds_event
from tests.unit.operators.driver import context
from tests.unit.operators.fake_snapshots import ACCOUNT, FakeSnapshots, cluster_arn, instance_arn

TABLE = "exports"
ASSET = Asset("snapshot_events_staging")
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = NOW.replace(hour=4, minute=0, second=0) - timedelta(days=2)
AUTOMATED = "RDS-EVENT-0169"


class Events:
    """Events of the asset as Airflow gives them: by their moments, from a moment on, so many."""

    def __init__(self) -> None:
        self.stored: list[SimpleNamespace] = []
        self.state: dict[str, Any] = {}
        self.asked: list[int] = []
        self._after, self._limit = "", 0

    def add(
        self, body: str, *, message_id: str | None = None, at: datetime | None = None, sent: datetime = NOW
    ) -> None:
        number = len(self.stored) + 1
        payload = {
            "queue": "q",
            "account_id": ACCOUNT,
            "region": "eu-west-1",
            "message_id": message_id or f"message-{number}",
            "sent_at_ms": int(sent.timestamp() * 1000),
            "receives": 1,
            "body": body,
        }
        moment = at or NOW - timedelta(hours=1) + timedelta(milliseconds=10 * number)
        self.stored.append(
            SimpleNamespace(id=number, timestamp=moment, extra={"from_trigger": True, "payload": payload})
        )

    def after(self, moment: str) -> Events:
        self._after = moment
        return self

    def ascending(self) -> Events:
        return self

    def limit(self, count: int) -> list[SimpleNamespace]:
        self.asked.append(count)
        found = [one for one in self.stored if one.timestamp >= datetime.fromisoformat(self._after)]
        return sorted(found, key=lambda one: one.timestamp)[:count]


@pytest.fixture
def rds(aws_session, monkeypatch) -> FakeSnapshots:
    """RDS in this process; every call of all services is one that the operator declares."""
    fake, beyond = FakeSnapshots(), BaseClient._make_api_call
    allowed = {*DecideExportsOperator.permissions, *DecideExportsOperator.permissions_elsewhere["source"]}

    def call(self, operation, params):
        service = self.meta.service_model.service_name
        if operation not in ("CreateTable", "Scan"):
            assert f"{service}:{operation}" in allowed
        if service == "rds":
            return fake.call(self.meta.service_model, operation, params)
        return beyond(self, operation, params)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    monkeypatch.setattr(AwsHook, "caller", lambda _: (ACCOUNT, "arn:role"))
    return fake


class Router:
    """Runs of the DAG, one after the other."""

    def __init__(self, dynamodb: Any, path: Any) -> None:
        self.dynamodb, self.path = dynamodb, path
        self.events = Events()
        self.settle()

    def settle(self, *databases: dict[str, Any]) -> None:
        """Write the environment's file; by default one cluster, every snapshot."""
        content = yaml.safe_load((REPO / "include/config/staging.yaml").read_text())
        default = {"name": "shop", "cluster": "prod-shop", "frequency": "every"}
        content["exports"] = {"state_table": TABLE, "events": {}, "databases": list(databases) or [default]}
        self.path.write_text(yaml.safe_dump(content))

    def run(self, *, keep: bool = True, **conf: Any) -> dict[str, Any]:
        """Decide; keep the position as the last task does, unless the run dies before."""
        store = SimpleNamespace(get=self.events.state.get)
        dag_run = SimpleNamespace(dag_id="d", run_id="r", run_type="asset_triggered", conf=conf, logical_date=None)
        task = DecideExportsOperator(
            task_id="decide", path=str(self.path), asset=ASSET, aws_conn_id="aws_orchestrator", region_name="eu-west-1"
        )
        given = context(dag_run=dag_run, asset_state_store={ASSET: store}, inlet_events={ASSET: self.events})
        exports = json.loads(json.dumps(task.execute(given)))
        found: dict[str, Any] = {"export": exports, **given["ti"].xcoms["task", DECIDED_KEY]}
        if keep:
            self.events.state["position"] = found["position"]
        return found

    def items(self) -> list[dict[str, Any]]:
        found = self.dynamodb.scan(TableName=TABLE)["Items"]
        return sorted(
            ({key: next(iter(value.values())) for key, value in item.items()} for item in found),
            key=lambda item: item["sent_at"],
        )


@pytest.fixture
def router(rds, aws_session, tmp_path) -> Router:
    dynamodb = aws_session.client("dynamodb")
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return Router(dynamodb, tmp_path / "staging.yaml")


def wanted(arn: str, database: str = "shop") -> dict[str, Any]:
    return {"trigger_run_id": names.run(arn), "conf": {"database": database, "snapshot_arn": arn}}


def why(found: dict[str, Any]) -> str:
    (decision,) = found["decisions"]
    assert (decision["decision"], found["export"]) == ("skip", [])
    return decision["why"]


class TestOneEvent:
    """What becomes of it."""

    @pytest.mark.parametrize(
        ("arn", "event_id", "kind"),
        [
            (cluster_arn("rds:prod-shop-2026-01-31"), "RDS-EVENT-0169", "automated"),
            (cluster_arn("by-hand"), "RDS-EVENT-0075", "manual"),
            (cluster_arn("awsbackup:job-1"), "RDS-EVENT-0075", "awsbackup"),
            (cluster_arn("awsbackup:job-2"), "RDS-EVENT-0075", "manual"),
            (instance_arn("rds:orders-2026-01-31"), "RDS-EVENT-0091", "automated"),
            (instance_arn("by-hand"), "RDS-EVENT-0042", "manual"),
            (instance_arn("awsbackup:job-3"), "RDS-EVENT-0042", "awsbackup"),
            (instance_arn("copied"), "RDS-EVENT-0197", "manual"),
        ],
    )
    def test_snapshots_of_every_kind_are_exported(self, router, rds, arn, event_id, kind) -> None:
        router.settle({"name": "shop", "cluster": "prod-shop"}, {"name": "orders", "instance": "orders"})
        name = "shop" if ":cluster-snapshot:" in arn else "orders"
        rds.add(arn, "prod-shop" if name == "shop" else "orders", DAY, kind)
        router.events.add(rds_event(arn, DAY, event_id=event_id))
        found = router.run()
        assert found["export"] == [wanted(arn, name)]
        (item,) = router.items()
        assert (item["decision"], item["database"], item["event_id"], item["source_arn"]) == (
            "export",
            name,
            event_id,
            arn,
        )
        assert (item["pk"], item["messages"]) == (f"events#{DAY:%Y-%m-%d}", ["message-1"])
        assert int(item["expires_at"]) - datetime.now(UTC).timestamp() == pytest.approx(90 * 86_400, abs=60)

    def test_one_that_has_gone(self, router) -> None:
        router.events.add(rds_event(cluster_arn("gone"), DAY))
        assert why(router.run()) == "the snapshot is not there any more"

    def test_another_database(self, router, rds) -> None:
        router.events.add(rds_event(rds.add(cluster_arn("s"), "prod-other", DAY), DAY))
        assert why(router.run()) == "prod-other is not among exports.databases"

    def test_an_instance_with_the_name_of_a_cluster_is_another_database(self, router, rds) -> None:
        arn = rds.add(instance_arn("s"), "prod-shop", DAY)
        router.events.add(rds_event(arn, DAY, event_id="RDS-EVENT-0042"))
        assert why(router.run()) == "prod-shop is not among exports.databases"

    @pytest.mark.parametrize(("account", "region"), [("222222222222", "eu-west-1"), (ACCOUNT, "eu-north-1")])
    def test_another_place_is_not_even_asked_about(self, router, rds, account, region) -> None:
        router.events.add(rds_event(cluster_arn("s", account, region), DAY))
        assert why(router.run()) == f"no database of account {account} in {region} is exported"
        assert rds.calls == []

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            ("not json", "not an event of RDS: it is not JSON"),
            ('{"Event ID": "RDS-EVENT-9999"}', "RDS-EVENT-9999 is not known here"),
            ('{"Event ID": "RDS-EVENT-0168"}', "automated snapshot of a cluster begun"),
            (rds_event("arn:aws:rds:eu-west-1:1:db:x", DAY), "names no snapshot"),
        ],
    )
    def test_what_is_no_event_of_a_new_snapshot_is_recorded_too(self, router, body, says) -> None:
        router.events.add(body)
        assert says in why(router.run())
        (item,) = router.items()
        assert says in item["why"]

    def test_a_kind_that_is_not_exported(self, router, rds) -> None:
        router.settle({"name": "shop", "cluster": "prod-shop", "snapshots": ["automated"]})
        router.events.add(rds_event(rds.add(cluster_arn("s"), "prod-shop", DAY), DAY))
        assert why(router.run()) == "it is manual: automated ones are exported"

    def test_a_failed_snapshot(self, router, rds) -> None:
        router.events.add(rds_event(rds.add(cluster_arn("s"), "prod-shop", DAY, status="failed"), DAY))
        assert why(router.run()) == "its status is failed"

    def test_an_event_of_the_asset_that_came_from_no_queue(self, router) -> None:
        router.events.add("{}")
        router.events.stored[0].extra = {"by": "a person"}
        assert "was not received from a queue" in why(router.run())


class TestFrequency:
    """The first of its day, also among those that are on further pages of the list."""

    def test_the_first_of_a_day_stands_for_it(self, router, rds) -> None:
        router.settle({"name": "shop", "cluster": "prod-shop", "frequency": "daily"})
        arns = [rds.add(cluster_arn(f"s{hour}"), "prod-shop", DAY + timedelta(hours=hour)) for hour in range(5)]
        for arn in reversed(arns):
            router.events.add(rds_event(arn, DAY))
        found = router.run()
        assert found["export"] == [wanted(arns[0])]
        assert {one["why"] for one in found["decisions"]} == {
            "manual snapshot of a cluster created",
            "another one is exported: frequency is daily",
        }

    def test_aws_backups_snapshots_of_an_instance_count_too(self, router, rds) -> None:
        router.settle({"name": "orders", "instance": "orders", "frequency": "daily"})
        rds.add(instance_arn("awsbackup:job-1"), "orders", DAY, "awsbackup")
        later = rds.add(instance_arn("by-hand"), "orders", DAY + timedelta(hours=1))
        router.events.add(rds_event(later, DAY, event_id="RDS-EVENT-0042"))
        assert why(router.run()) == "another one is exported: frequency is daily"

    def test_days_are_those_of_the_environments_zone(self, router, rds) -> None:
        router.settle({"name": "shop", "cluster": "prod-shop", "frequency": "daily"})
        content = yaml.safe_load(router.path.read_text())
        router.path.write_text(yaml.safe_dump({**content, "timezone": "Asia/Tokyo"}))
        midnight = DAY.replace(hour=15)  # 00:00 in Tokyo
        for number, moment in enumerate((midnight - timedelta(minutes=1), midnight)):
            router.events.add(rds_event(rds.add(cluster_arn(f"s{number}"), "prod-shop", moment), moment))
        assert len(router.run()["export"]) == 2


class TestTwice:
    """What was said twice is decided once."""

    def test_the_same_event_in_two_messages(self, router, rds) -> None:
        body = rds_event(rds.add(cluster_arn("s"), "prod-shop", DAY), DAY)
        for message_id in ("a", "b"):
            router.events.add(body, message_id=message_id)
        found = router.run()
        assert len(found["export"]) == 1
        (item,) = router.items()
        assert sorted(item["messages"]) == ["a", "b"]

    def test_a_message_that_is_delivered_twice_leaves_no_trace(self, router, rds) -> None:
        body = rds_event(rds.add(cluster_arn("s"), "prod-shop", DAY), DAY)
        for _ in range(2):
            router.events.add(body, message_id="a")
            router.run()
        (item,) = router.items()
        assert item["messages"] == ["a"]

    def test_a_message_that_cannot_be_read_is_known_by_its_id(self, router) -> None:
        for message_id in ("a", "a", "b"):
            router.events.add("not json", message_id=message_id)
        router.run()
        assert len(router.items()) == 2

    def test_an_instances_copy_that_was_created_and_has_finished_is_one_export(self, router, rds) -> None:
        router.settle({"name": "orders", "instance": "orders"})
        arn = rds.add(instance_arn("awsbackup:job-1"), "orders", DAY, "awsbackup")
        for event_id in ("RDS-EVENT-0197", "RDS-EVENT-0042"):
            router.events.add(rds_event(arn, DAY, event_id=event_id))
        found = router.run()
        assert found["export"] == [wanted(arn, "orders")]
        assert [one["decision"] for one in router.items()] == ["export", "export"]

    def test_the_decision_that_was_made_stands_when_the_snapshot_has_gone_since(self, router, rds) -> None:
        arn = rds.add(cluster_arn("s"), "prod-shop", DAY)
        router.events.add(rds_event(arn, DAY), message_id="a")
        router.run()
        del rds.snapshots[arn]
        router.events.add(rds_event(arn, DAY), message_id="b")
        assert router.run()["export"] == []
        (item,) = router.items()
        assert (item["decision"], sorted(item["messages"])) == ("export", ["a", "b"])

    def test_what_was_skipped_is_exported_after_the_settings_were_put_right(self, router, rds) -> None:
        router.settle({"name": "other", "cluster": "other"})
        arn = rds.add(cluster_arn("s"), "prod-shop", DAY)
        router.events.add(rds_event(arn, DAY), message_id="a")
        assert router.run()["export"] == []
        router.settle()
        router.events.add(rds_event(arn, DAY), message_id="a")
        assert router.run()["export"] == [wanted(arn)]
        (item,) = router.items()
        assert (item["decision"], item["messages"]) == ("export", ["a"])

    def test_a_burst_with_duplicates_out_of_order(self, router, rds) -> None:
        arns = [rds.add(cluster_arn(f"s{n}"), "prod-shop", DAY + timedelta(minutes=n)) for n in range(100)]
        told = [rds_event(arn, DAY + timedelta(minutes=n)) for n, arn in enumerate(arns)]
        for body in [*reversed(told), *told[:20]]:
            router.events.add(body)
        found = router.run()
        assert len(found["export"]) == len({one["trigger_run_id"] for one in found["export"]}) == 100
        items = router.items()
        assert len(items) == 100
        assert sorted(len(item["messages"]) for item in items) == [1] * 80 + [2] * 20
        assert rds.calls.count("DescribeDBClusterSnapshots") == 1 + 50, (
            "one was asked for, then the whole list, by pages"
        )


def test_several_events_in_one_message(router, rds) -> None:
    arns = [rds.add(cluster_arn(f"s{n}"), "prod-shop", DAY) for n in range(2)]
    records = [{"Sns": {"Message": rds_event(arn, DAY)}} for arn in arns]
    router.events.add(json.dumps({"Records": [*records, {"Sns": {"Message": "?"}}]}))
    found = router.run()
    assert found["export"] == [wanted(arn) for arn in arns]
    assert [one["decision"] for one in found["decisions"]] == ["export", "export", "skip"]
    assert len(router.items()) == 3


class TestPosition:
    """Every event is handled, none twice, in bounded parts."""

    def test_a_run_takes_so_many_and_the_next_ones_the_rest(self, router, monkeypatch) -> None:
        monkeypatch.setattr(module, "MOST_DECISIONS", 40)
        for number in range(100):
            router.events.add(rds_event(cluster_arn(f"gone{number}"), DAY))
        counts = [len(router.run()["decisions"]) for _ in range(4)]
        assert counts == [40, 40, 20, 0]
        assert len(router.items()) == 100

    def test_a_message_with_more_events_than_a_run_takes_is_handled_whole(self, router, monkeypatch) -> None:
        monkeypatch.setattr(module, "MOST_DECISIONS", 3)
        many = json.dumps([json.loads(rds_event(cluster_arn(f"gone{n}"), DAY)) for n in range(5)])
        for _ in range(2):
            router.events.add(many)
        assert [len(router.run()["decisions"]) for _ in range(3)] == [5, 5, 0]

    def test_one_that_is_stored_late_with_an_earlier_moment_is_not_missed(self, router) -> None:
        newest = NOW - timedelta(minutes=10)
        router.events.add(rds_event(cluster_arn("gone"), DAY), at=newest)
        router.run()
        router.events.add(rds_event(cluster_arn("late"), DAY), at=newest - timedelta(seconds=50))
        assert [one["source_arn"] for one in router.run()["decisions"]] == [cluster_arn("late")]
        assert router.run()["decisions"] == []

    def test_what_is_read_again_is_bounded(self, router) -> None:
        for number in range(50):
            router.events.add("not json", at=NOW - timedelta(days=1) + timedelta(minutes=number))
        router.run()
        position = Position.read(router.events.state["position"])
        assert position.handled == {49, 50}
        assert position.left == 0

    def test_a_run_that_dies_before_its_exports_are_there_is_made_up_for(self, router, rds) -> None:
        arn = rds.add(cluster_arn("s"), "prod-shop", DAY)
        router.events.add(rds_event(arn, DAY))
        assert router.run(keep=False)["export"] == router.run()["export"] == [wanted(arn)]
        assert router.run()["export"] == []
        assert len(router.items()) == 1


class TestLeft:
    """What cannot be decided yet is left, alone."""

    def test_a_snapshot_that_is_still_made(self, router, rds) -> None:
        arn = rds.add(cluster_arn("s"), "prod-shop", DAY, status="creating")
        router.events.add(rds_event(arn, DAY))
        router.events.add(rds_event(cluster_arn("gone"), DAY))
        found = router.run()
        assert (found["export"], found["failed"], len(found["decisions"])) == ([], 0, 1)
        assert found["left"] == [{"event_id": "RDS-EVENT-0075", "source_arn": arn, "why": "it is creating"}]
        rds.snapshots[arn]["status"] = "available"
        found = router.run()
        assert found["export"] == [wanted(arn)]
        assert len(found["decisions"]) == 1
        assert router.run()["decisions"] == []

    def test_what_rds_cannot_be_asked_about(self, router, rds) -> None:
        arn = rds.add(cluster_arn("s"), "prod-shop", DAY)
        for body in (rds_event(arn, DAY), "not json"):
            router.events.add(body)
        rds.refusal = "AccessDenied"
        found = router.run()
        assert (found["failed"], len(found["decisions"])) == (1, 1)
        assert "AccessDenied" in found["left"][0]["why"]
        rds.refusal = None
        found = router.run()
        assert (found["export"], found["failed"]) == ([wanted(arn)], 0)

    @pytest.mark.parametrize("status", ["creating", "refused"])
    def test_for_a_day_at_most(self, router, rds, status) -> None:
        arn = rds.add(cluster_arn("s"), "prod-shop", DAY, status="creating")
        rds.refusal = "AccessDenied" if status == "refused" else None
        router.events.add(rds_event(arn, DAY), sent=NOW - timedelta(hours=25))
        said = why(router.run())
        assert ("RDS could not be asked for a day" if status == "refused" else "its status is creating") in said
        assert router.run()["decisions"] == []

    def test_many_that_are_left_do_not_keep_others_from_being_seen(self, router, rds, monkeypatch) -> None:
        monkeypatch.setattr(module, "MOST_DECISIONS", 5)
        rds.refusal = "AccessDenied"
        for number in range(20):
            router.events.add(rds_event(cluster_arn(f"s{number}"), DAY))
        for _ in range(8):
            router.run()
        router.events.add("not json")
        assert [one["decision"] for one in router.run()["decisions"]] == ["skip"]

    def test_a_connection_that_leads_elsewhere_is_an_error_of_those_events(self, router, rds, monkeypatch) -> None:
        monkeypatch.setattr(AwsHook, "caller", lambda _: ("999999999999", "arn:role"))
        router.events.add(rds_event(rds.add(cluster_arn("s"), "prod-shop", DAY), DAY))
        found = router.run()
        assert found["failed"] == 1
        assert "it must lead to account 111111111111" in found["left"][0]["why"]
        assert rds.calls == []


def test_a_run_takes_no_parameters(router) -> None:
    with pytest.raises(ConfigError, match="snapshot_arn"):
        router.run(snapshot_arn="arn")


def test_without_the_section_the_dag_is_to_be_switched_off(router) -> None:
    content = yaml.safe_load(router.path.read_text())
    del content["exports"]["events"]
    router.path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="switch the DAG off"):
        router.run()


def test_without_the_table_nothing_is_decided(router) -> None:
    router.events.add("not json")
    content = yaml.safe_load(router.path.read_text())
    content["exports"]["state_table"] = "no-such-table"
    router.path.write_text(yaml.safe_dump(content))
    with pytest.raises(MissingError, match="no-such-table"):
        router.run()


def test_an_item_says_whether_the_event_is_new(router) -> None:
    hook = ExportDecisionsHook("aws_orchestrator", "eu-west-1")
    values = {"decision": "skip", "why": "x", "nothing": None, "sent_at": "now"}
    assert [hook.keep(TABLE, ("events#d", "k"), values, message) for message in ("a", "a", "b")] == [True, False, False]
    assert hook.keep(TABLE, ("events#d", "k"), {**values, "decision": "export"}, "c") is False
    (item,) = router.items()
    assert (item["decision"], sorted(item["messages"])) == ("export", ["a", "b", "c"])
