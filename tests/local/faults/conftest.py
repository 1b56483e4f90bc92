"""Lanes on which refreshes run, fast and one after another, while a client polls what serves; and what is left of each."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from devstack.settings import REPO
from localcloud.client import admin_operation
from tests.local.faults.poller import Poller, Seen
from tests.local.lane import Lane
from tests.local.refresh.conftest import PRODUCTION, SHARED, STAGING

REFRESH, REAPER = "refresh_staging", "reap_expired"
LONG_AGO = "2020-01-01T00:00:00+00:00"
AGE_H = 24 * 30
USERS = ("app", "readonly")
MOMENT = re.compile(r"\d{8}t\d{6}")
LANES = 2


@dataclass(frozen=True)
class Case:
    """A refresh under fault rules.

    :param name: what is struck, and how.
    :param rules: rules of localcloud's faults.
    :param outcomes: those that are right, see ``Outcome.what``; not ``finished`` or ``old`` only where nothing better can be.
    :param conf: parameters of the run.
    :param why: what makes an outcome right that usually is not.
    :param says: what the record of the run must say to whoever has to act.
    :param needs_old: the call is made only where the cluster is there that served before the last refresh.
    """

    name: str
    rules: tuple[dict[str, Any], ...]
    outcomes: frozenset[str] = frozenset({"finished", "old"})
    conf: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    says: tuple[str, ...] = ()
    needs_old: bool = False


@dataclass
class Outcome:
    """How a case ended.

    :param run: the run and its tasks: states and errors.
    :param serving: ``old``, ``new`` or ``nothing``.
    :param record: what the run wrote down for people: what serves, what failed, what to do.
    :param seen: what the client saw.
    :param hits: how many calls were struck.
    :param left: what the run left behind.
    :param left_after_reaper: what of that is still there after the reaper.
    :param wrong: what must never be.
    :param locked_out: users who cannot log in to what serves with their secrets.
    :param healed: how the next refresh ended, without faults, where this one left work to do; empty where it did not.
    """

    run: dict[str, Any]
    serving: str
    record: dict[str, str]
    seen: Seen
    hits: int
    left: list[str]
    left_after_reaper: list[str]
    wrong: list[str]
    locked_out: list[str] = field(default_factory=list)
    healed: str = ""

    @property
    def what(self) -> str:
        """How it ended.

        ``finished``: success, the new cluster serves. ``old``: failure, what served before serves. ``unpublished``: failure, the
        new cluster serves and is verified. ``stranded``: failure, nothing serves; the cluster that did is there. ``locked out``:
        failure, and a user cannot log in to what serves. Else in words.
        """
        if self.run["state"] == "failed" and self.locked_out:
            return "locked out"
        known = {
            ("success", "new"): "finished",
            ("failed", "old"): "old",
            ("failed", "new"): "unpublished",
            ("failed", "nothing"): "stranded",
        }
        return known.get((self.run["state"], self.serving), f"{self.run['state']}, {self.serving} serves")

    @property
    def step(self) -> str:
        """The steps that failed."""
        return ", ".join(sorted(name for name, task in self.run["tasks"].items() if task["state"] == "failed"))

    @property
    def errors(self) -> dict[str, str]:
        """What failed tasks said."""
        return {name: task["error"] for name, task in self.run["tasks"].items() if task["error"]}


class FaultLane(Lane):
    """A lane on which cases are played."""

    def play(self, case: Case) -> Outcome:
        """Run a case, look at what it left, and let the reaper clear that away."""
        admin_operation("faults-clear", self.cloud)
        old = self.estate.cluster(STAGING, "staging-shop-old")
        if case.needs_old and not (old and old["DBClusterMembers"]):
            # an earlier case has cleared it away, or its instances, and failed before it had another
            assert self.run(REFRESH, {})["state"] == "success"
        before, others = self._serving(), self._inventory()
        with Poller(self.estate) as poller:
            for rule in case.rules:
                admin_operation("faults-add", self.cloud, **rule)
            run = self.run(REFRESH, case.conf)
            rules = admin_operation("faults-list", self.cloud)["rules"].values()
            admin_operation("faults-clear", self.cloud)
        after = self._serving()
        serving = "old" if after == before else "new" if after else "nothing"
        left = sorted(self._inventory() - others - self._allowed())
        wrong = [*poller.seen.wrong(), *self._wrong(run)]
        locked_out = self._locked_out() if after else []
        unusual = run["state"] == "failed" and (serving != "old" or bool(locked_out))
        if left or unusual:
            # what is unusual must be spared: it serves, or is all there is
            self._age()
            reaped = self.run(REAPER, {"dry_run": False})
            if reaped["state"] != "success":
                errors = [task["error"] for task in reaped["tasks"].values() if task["error"]]
                wrong.append(f"the reaper failed: {errors}")
            if self._serving() != after:
                wrong.append("the reaper changed what serves")
        left_after_reaper = sorted(self._inventory() - others - self._allowed())
        return Outcome(
            run=run,
            serving=serving,
            record=self._record(run),
            seen=poller.seen,
            hits=sum(rule["hits"] for rule in rules),
            left=left,
            left_after_reaper=left_after_reaper,
            wrong=wrong,
            locked_out=locked_out,
            healed=self._heal(after or before) if unusual else "",
        )

    def _heal(self, rightful: str | None) -> str:
        """Refresh once more, without faults: it must finish, and keep what served last, or is all there was, as the old cluster."""
        run = self.run(REFRESH, {})
        old = self.estate.cluster(STAGING, "staging-shop-old")
        if run["state"] != "success" or self._serving() in (None, rightful):
            return f"{run['state']}: {[task['error'] for task in run['tasks'].values() if task['error']]}"
        if old is None or old["DbClusterResourceId"] != rightful:
            return "what served before was lost"
        return "; ".join([*self._wrong(run), *self._locked_out()]) or "finished"

    def _record(self, run: dict[str, Any]) -> dict[str, str]:
        """Read what the run wrote down for people; empty where it could not."""
        record = self.estate.find_record(SimpleNamespace(run_id=run["run_id"])) or {}
        return {name: str(record.get(name)) for name in ("serving", "failed_step", "cause", "remedy") if record}

    def _serving(self) -> str | None:
        cluster = self.estate.cluster(STAGING, "staging-shop")
        return cluster["DbClusterResourceId"] if cluster and cluster["Status"] == "available" else None

    @staticmethod
    def _allowed() -> set[str]:
        """What a refresh leaves on purpose: what serves, and the cluster that served before."""
        serving = {f"instance staging-shop-{number}" for number in (1, 2)}
        return serving | {"cluster staging-shop-old", "instance staging-shop-old-1", "instance staging-shop-old-2"}

    def _inventory(self) -> set[str]:
        """Name everything that a refresh makes and nobody else."""
        found: set[str] = set()
        for account in (PRODUCTION, STAGING):
            rds = self.aws(account, "rds")
            found |= {f"cluster {c['DBClusterIdentifier']}" for c in rds.describe_db_clusters()["DBClusters"]}
            found |= {f"instance {i['DBInstanceIdentifier']}" for i in rds.describe_db_instances()["DBInstances"]}
            for snapshot in rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]:
                name = snapshot["DBClusterSnapshotIdentifier"]
                found.add(f"snapshot {name}")
                attributes = rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=name)
                for attribute in attributes["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]:
                    found |= {f"share of {name} with {account_id}" for account_id in attribute["AttributeValues"]}
        key = self.estate.cluster(PRODUCTION, "prod-shop")
        assert key is not None
        grants = self.aws(PRODUCTION, "kms").list_grants(KeyId=key["KmsKeyId"])["Grants"]
        found |= {f"grant {grant.get('Name')}" for grant in grants}
        objects = self.aws(STAGING, "s3").list_objects_v2(Bucket=f"aurora-ops-{STAGING}").get("Contents", [])
        found |= {f"object {one['Key']}" for one in objects}
        secrets = self.aws(STAGING, "secretsmanager")
        for user in USERS:
            stages = secrets.describe_secret(SecretId=f"staging/shop/{user}")["VersionIdsToStages"].values()
            found |= {f"pending version of {user}" for names in stages if names == ["AWSPENDING"]}
        found |= {"lock" for item in self.estate.items() if item["sk"] == "lock"}
        return found

    def _locked_out(self) -> list[str]:
        """Name the users who cannot log in to what serves with the secrets that applications read."""
        found = []
        for user in USERS:
            secret = self.estate.secret(STAGING, f"staging/shop/{user}")
            try:
                self.estate.connect(STAGING, "staging-shop", secret["username"], secret["password"]).close()
            except Exception as error:  # noqa: BLE001 - whatever it is, a user cannot log in
                found.append(f"{secret['username']} cannot log in with its secret: {error}")
        return found

    @staticmethod
    def _wrong(run: dict[str, Any]) -> list[str]:
        """Say what must never be after a run, however it ended."""
        going_on = ("None", "running", "deferred", "up_for_retry")
        unfinished = [name for name, task in run["tasks"].items() if task["state"] in going_on]
        return [f"not ended: {unfinished}"] if unfinished else []

    def _age(self) -> None:
        """Let what carries an expiry be past it, what has none be old, and locks void, as they would be days after."""
        for account in (PRODUCTION, STAGING):
            rds = self.aws(account, "rds")
            things = [
                *((c["DBClusterArn"], c.get("TagList", [])) for c in rds.describe_db_clusters()["DBClusters"]),
                *((i["DBInstanceArn"], i.get("TagList", [])) for i in rds.describe_db_instances()["DBInstances"]),
                *(
                    (s["DBClusterSnapshotArn"], s.get("TagList", []))
                    for s in rds.describe_db_cluster_snapshots(SnapshotType="manual")["DBClusterSnapshots"]
                ),
            ]
            for arn, tags in things:
                if any(tag["Key"] == "aurora-ops:expires" for tag in tags):
                    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "aurora-ops:expires", "Value": LONG_AGO}])
            admin_operation("backdate", self.cloud, account=account, hours=AGE_H)
        table = self.aws(SHARED, "dynamodb")
        for item in self.estate.items():
            if item["sk"] == "lock":
                table.update_item(
                    TableName="aurora-ops-runs",
                    Key={"pk": {"S": item["pk"]}, "sk": {"S": "lock"}},
                    UpdateExpression="SET expires_at = :past",
                    ExpressionAttributeValues={":past": {"N": "1"}},
                )


class Walk:
    """Plays cases on all lanes at once and keeps their outcomes.

    :param lanes: where they are played.
    """

    def __init__(self, lanes: list[FaultLane]) -> None:
        self.lanes = lanes
        self.outcomes: dict[str, Outcome | BaseException] = {}

    def play(self, cases: list[Case]) -> None:
        """Play them; a lane that breaks is started anew."""
        waiting, lock = list(reversed(cases)), threading.Lock()

        def work(lane: FaultLane) -> None:
            while True:
                with lock:
                    if not waiting:
                        return
                    case = waiting.pop()
                try:
                    outcome = self.outcomes[case.name] = lane.play(case)
                    if outcome.healed not in ("", "finished"):
                        # the next case shall not play on what this one left
                        lane.stop()
                        lane.start()
                except Exception as error:  # noqa: BLE001 - the test of the case raises it
                    self.outcomes[case.name] = error
                    lane.stop()
                    lane.start()
                with lock:
                    self._write()

        with ThreadPoolExecutor(len(self.lanes)) as pool:
            list(pool.map(work, self.lanes))

    def _write(self) -> None:
        """Write down what is known so far: a walk that is stopped has not been for nothing."""
        path = REPO / ".local" / "test" / "faults.md"
        path.write_text(table(self))
        details = {name: asdict(one) if isinstance(one, Outcome) else repr(one) for name, one in self.outcomes.items()}
        path.with_suffix(".json").write_text(json.dumps(details, default=str))

    def outcome(self, case: Case) -> Outcome:
        """Tell how a case ended.

        :raises BaseException: it could not be played.
        """
        found = self.outcomes[case.name]
        if isinstance(found, BaseException):
            raise found
        return found


@pytest.fixture(scope="session")
def lanes() -> Iterator[list[FaultLane]]:
    """Lanes, started; one is enough for few cases."""
    folder = REPO / ".local" / "test" / f"faults-{os.getpid()}"
    started = [FaultLane(folder / f"lane{number}") for number in range(LANES)]
    try:
        with ThreadPoolExecutor(LANES) as pool:
            list(pool.map(FaultLane.start, started))
        yield started
    finally:
        for lane in started:
            lane.stop()


@pytest.fixture(scope="session")
def walk(lanes: list[FaultLane], request: pytest.FixtureRequest) -> Walk:
    """Every case that this session asks for, played; the table of outcomes is written at the end."""
    asked = {
        item.callspec.params["case"].name: item.callspec.params["case"]
        for item in request.session.items
        if "walk" in getattr(item, "fixturenames", ())
        and "case" in getattr(item, "callspec", SimpleNamespace(params={})).params
    }
    played = Walk(lanes)
    played.play(list(asked.values()))
    return played


def table(walk: Walk) -> str:
    """Write the outcomes as a table."""
    lines = [
        "| fault | struck | failed steps | outcome | longest gap of the client (s) | left by the run | left after the reaper |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in sorted(walk.outcomes.items()):
        if isinstance(one, BaseException):
            lines.append(f"| {name} | | | {type(one).__name__} | | | |")
            continue
        left, after = (
            MOMENT.sub("<moment>", ", ".join(found) or "nothing") for found in (one.left, one.left_after_reaper)
        )
        what = one.what + (f"; next refresh: {one.healed}" if one.healed else "")
        lines.append(
            f"| {name} | {one.hits} | {one.step or 'none'} | {what} | {one.seen.longest_gap_s:.2f} | {left} | {after} |"
        )
    return "\n".join(lines) + "\n"
