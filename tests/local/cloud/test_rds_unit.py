"""Parts of the RDS service that need no server."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import math
import threading
import time
from types import SimpleNamespace

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.rds import rules, views
from localcloud.rds.backups import DAY_S, Backups, restorable
from localcloud.rds.endpoints import address
from localcloud.rds.errors import InvalidParameterValueError, RdsError
from localcloud.rds.lifecycle import Lifecycle
from localcloud.rds.model import Cluster, Instance, MasterSecret, Region, Role, Snapshot

WAIT_S = 10.0


def a_cluster(**changes: object) -> Cluster:
    values: dict[str, object] = {
        "account": "111111111111",
        "region": "eu-west-1",
        "identifier": "shop",
        "resource_id": "cluster-A",
        "created": 1.0,
        "engine": "aurora-mysql",
        "engine_version": "8.0.mysql_aurora.3.08.2",
        "master_username": "admin",
        "port": 3306,
        "subnet_group": "default",
        "vpc_id": "vpc-1",
        "zones": ["eu-west-1a", "eu-west-1b"],
        "security_groups": [],
        "parameter_group": "default.aurora-mysql8.0",
        "kms_key_id": None,
    }
    return Cluster(**{**values, **changes})  # type: ignore[arg-type]


@given(st.text(alphabet="abc123-", min_size=1, max_size=63), st.sampled_from(["cluster", "reader", "instance"]))
def test_addresses_are_loopback_and_depend_on_the_name_only(name: str, kind: str) -> None:
    found = ipaddress.IPv4Address(address("111111111111", "eu-west-1", kind, name))  # type: ignore[arg-type]
    assert found.is_loopback
    assert found not in ipaddress.IPv4Network("127.0.0.0/24")
    assert found.packed[3] not in {0, 255}
    assert str(found) == address("111111111111", "eu-west-1", kind, name.upper())  # type: ignore[arg-type]


def test_addresses_differ_by_account_region_kind_and_name() -> None:
    every = {
        address(account, region, kind, name)  # type: ignore[arg-type]
        for account in ("111111111111", "222222222222")
        for region in ("eu-west-1", "us-east-1")
        for kind in ("cluster", "reader", "instance")
        for name in ("shop", "shop-old")
    }
    assert len(every) == 24


@given(st.text(max_size=70))
def test_identifiers_that_pass_are_legal(text: str) -> None:
    try:
        found = rules.identifier(text, "DBClusterIdentifier")
    except InvalidParameterValueError:
        return
    assert 1 <= len(found) <= 63
    assert found == text.lower()
    assert found[0].isalpha()
    assert found.isascii()
    assert found[-1] != "-"
    assert "--" not in found
    assert found.replace("-", "a").isalnum()


@given(st.from_regex(r"[a-z]([a-z0-9]|-[a-z0-9]){0,30}", fullmatch=True))
def test_legal_identifiers_pass(text: str) -> None:
    assert rules.identifier(text.upper(), "DBClusterIdentifier") == text


@given(st.lists(st.text(alphabet="abcdef0123456789", min_size=1, max_size=6), unique=True), st.integers(20, 100))
def test_pages_give_everything_once(names: list[str], size: int) -> None:
    found: list[str] = []
    marker: str | None = None
    while True:
        page, marker = rules.page(names, {"MaxRecords": size, "Marker": marker}, str)
        found += page
        assert len(page) <= size
        if marker is None:
            break
    assert found == sorted(names)


def test_quotas_are_those_of_aws_unless_the_environment_says_so() -> None:
    assert rules.Quotas.from_env({}) == rules.Quotas(clusters=40, manual_snapshots=100, copies=5)
    assert rules.Quotas.from_env({"LOCALCLOUD_RDS_QUOTA_COPIES": "2"}).copies == 2


def test_every_error_is_one_that_botocore_knows() -> None:
    model = botocore.session.get_session().get_service_model("rds")
    known = {shape.error_code for shape in model.error_shapes} | {shape.name for shape in model.error_shapes}
    common = {"InvalidParameterValue", "InvalidParameterCombination", "AccessDenied"}
    common.add("ExportTaskLimitReachedFault")  # users report it; the model does not have it
    codes = {error.code for error in RdsError.__subclasses__()}
    assert len(codes) > 20
    assert codes - common <= known


def test_the_state_is_json() -> None:
    region = Region("111111111111", "eu-west-1")
    cluster = a_cluster(roles=[Role("arn:x", "")], secret=MasterSecret("arn:y", "active", "arn:z"))
    region.clusters["shop"] = cluster
    region.instances["shop-1"] = Instance(
        account="111111111111",
        region="eu-west-1",
        identifier="shop-1",
        resource_id="db-A",
        cluster="cluster-A",
        created=1.0,
        instance_class="db.t4g.medium",
        zone="eu-west-1a",
        promotion_tier=1,
        parameter_group="default.aurora-mysql8.0",
    )
    assert json.loads(json.dumps(dataclasses.asdict(region)))["clusters"]["shop"]["roles"][0]["arn"] == "arn:x"
    assert region.cluster_of(region.instances["shop-1"]) is cluster


def test_a_status_lags_behind_a_modify() -> None:
    assert views.status(a_cluster(status="renaming", lag_until=time.time() + 60)) == "available"
    assert views.status(a_cluster(status="renaming", lag_until=time.time() - 1)) == "renaming"


def test_progress_never_says_100_before_the_end() -> None:
    snapshot = Snapshot(
        account="111111111111",
        region="eu-west-1",
        identifier="s",
        key="k",
        snapshot_type="manual",
        created=0.0,
        cluster="shop",
        cluster_resource_id="cluster-A",
        cluster_created=0.0,
        engine="aurora-mysql",
        engine_version="8.0.mysql_aurora.3.08.2",
        master_username="admin",
        port=3306,
        vpc_id="vpc-1",
        zones=[],
        kms_key_id=None,
        backup_retention=1,
        status="copying",
        started=time.time() - 100,
        expected_s=10,
    )
    assert views.progress(snapshot) == 99
    snapshot.started = time.time() + 5
    assert views.progress(snapshot) == 0
    snapshot.status = "available"
    assert views.progress(snapshot) == 100


class TestLifecycle:
    """Operations in the background."""

    def test_takes_the_longer_of_work_and_emulated_time(self) -> None:
        lifecycle, done, worked = Lifecycle(wait_s=0.1), threading.Event(), threading.Event()
        began = time.monotonic()
        lifecycle.run("x", 1.0, worked.set, done.set, done.set)
        assert worked.wait(WAIT_S)
        assert done.wait(WAIT_S)
        assert time.monotonic() - began >= 0.1
        lifecycle.close()

    def test_waits_for_the_work(self) -> None:
        lifecycle, done, may_end = Lifecycle(wait_s=0.0), threading.Event(), threading.Event()
        lifecycle.run("x", 1.0, lambda: may_end.wait(WAIT_S) or None, done.set, done.set)
        assert not done.wait(0.05)
        may_end.set()
        assert done.wait(WAIT_S)
        lifecycle.close()

    def test_work_that_raises_fails_and_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        lifecycle, done, failed = Lifecycle(wait_s=0.0), threading.Event(), threading.Event()

        def work() -> None:
            raise OSError("disk full")

        lifecycle.run("snapshot s", 1.0, work, done.set, failed.set)
        assert failed.wait(WAIT_S)
        assert not done.is_set()
        assert "snapshot s failed" in caplog.text
        assert "disk full" in caplog.text
        lifecycle.close()

    def test_what_is_held_is_over_when_it_is_let_go(self) -> None:
        lifecycle, done, worked = Lifecycle(wait_s=0.0), threading.Event(), threading.Event()
        lifecycle.hold()
        lifecycle.run("x", 1.0, worked.set, done.set, done.set, a_cluster())
        assert worked.wait(WAIT_S), "what takes real time goes on"
        assert not done.wait(0.1)
        lifecycle.release()
        assert done.wait(WAIT_S)
        lifecycle.close()

    def test_nothing_turns_after_close(self) -> None:
        lifecycle, done = Lifecycle(wait_s=0.05), threading.Event()
        lifecycle.run("x", 1.0, None, done.set, done.set)
        lifecycle.close()
        lifecycle.later(0, done.set)
        assert not done.wait(0.1)


@given(
    begun=st.floats(0, 40 * DAY_S), until=st.integers(0, 40 * DAY_S), days=st.integers(1, 35), now=st.floats(0, DAY_S)
)
def test_a_cluster_is_restorable_in_full_seconds_within_its_retention(
    begun: float, until: int, days: int, now: float
) -> None:
    today = time.time()
    base = today - now - until
    item = a_cluster(restorable_from=base + begun, restorable_until=float(int(base + until)), backup_retention=days)
    window = restorable(item)
    oldest = time.time() - days * DAY_S
    if window is None:
        assert base + begun > item.restorable_until - 1 or oldest >= item.restorable_until
        return
    first, last = window
    assert last == item.restorable_until
    assert max(base + begun, oldest - 60) <= first <= last
    assert first == math.ceil(base + begun) or oldest - 60 <= first <= oldest


def test_a_cluster_without_backups_tells_no_restorable_times() -> None:
    told = views.cluster(Region("111111111111", "eu-west-1"), a_cluster())
    assert (told["EarliestRestorableTime"], told["LatestRestorableTime"]) == (None, None)


def test_retained_backups_go_when_they_are_too_old() -> None:
    ages = {"cluster-OLD": 2.1, "cluster-YOUNG": 1.9}
    retained = {
        key: a_cluster(
            resource_id=key,
            restorable_from=time.time() - 3 * DAY_S,
            restorable_until=time.time() - days * DAY_S,
            backup_retention=2,
        )
        for key, days in ages.items()
    }
    dropped: list[Cluster] = []
    config = SimpleNamespace(config=SimpleNamespace(binlog_mib=1))
    core = SimpleNamespace(cloud=config, regions={}, retained=retained, drop_retained=dropped.append)
    Backups(core)._follow_all()  # type: ignore[arg-type]
    assert dropped == [retained["cluster-OLD"]]
