"""The swap of names, and undoing it, from whatever state it was left in."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from aurora_ops.core.errors import MissingError, PermanentError, SafetyError, StateError, WaitFailedError
from aurora_ops.operators.cluster_names import RecoverNamesOperator, RenameClusterOperator, RestoreNamesOperator

from tests.unit.operators.driver import drive, once

AT = {"aws_conn_id": "aws_destination", "region_name": "eu-west-1"}


@pytest.fixture(autouse=True)
def declared(calls):
    yield
    assert set(calls) <= set(RenameClusterOperator.permissions) == set(RestoreNamesOperator.permissions)


@pytest.fixture
def live(rds):
    return rds.cluster("app", instances=1)["DbClusterResourceId"]


@pytest.fixture
def restored(rds):
    return rds.cluster("app-restore", instances=2)["DbClusterResourceId"]


def rename(name, resource_id):
    return lambda: RenameClusterOperator(task_id="r", cluster_id=name, resource_id=resource_id, **AT)


def undo(resource_id, instance_ids=("app-1",), kind=RestoreNamesOperator):
    return lambda: kind(
        task_id="u",
        cluster_id="app",
        resource_id=resource_id,
        aside_id="app-restore",
        instance_ids=list(instance_ids),
        **AT,
    )


def shape(rds) -> dict[str, tuple[str, list[str]]]:
    """Name to resource id and instances, each instance where it says it is."""
    for cluster in rds.clusters.values():
        for member in cluster["DBClusterMembers"]:
            name = member["DBInstanceIdentifier"]
            assert rds.instances[name]["DBClusterIdentifier"] == cluster["DBClusterIdentifier"]
    return {
        name: (
            cluster["DbClusterResourceId"],
            sorted(member["DBInstanceIdentifier"] for member in cluster["DBClusterMembers"]),
        )
        for name, cluster in rds.clusters.items()
    }


class TestRename:
    """A cluster, known by what a rename does not change, gets a name; its instances follow."""

    def test_cluster_and_instances_are_renamed(self, rds, restored) -> None:
        result = drive(rename("app", restored))
        assert result == {"cluster_id": "app", "resource_id": restored, "instance_ids": ["app-1", "app-2"]}
        assert shape(rds) == {"app": (restored, ["app-1", "app-2"])}
        assert [name for name, _ in rds.mutations] == ["ModifyDBCluster", "ModifyDBInstance", "ModifyDBInstance"]

    def test_already_named(self, rds, live) -> None:
        assert drive(rename("app", live))["instance_ids"] == ["app-1"]
        assert rds.mutations == []

    def test_twice_is_once(self, rds, restored) -> None:
        assert drive(rename("app", restored)) == drive(rename("app", restored))
        assert len(rds.mutations) == 3

    def test_killed_at_any_moment(self, rds, restored) -> None:
        for _ in range(12):
            once(rename("app", restored))
        assert shape(rds) == {"app": (restored, ["app-1", "app-2"])}
        assert len(rds.mutations) == 3

    def test_name_is_taken(self, rds, live, restored) -> None:
        with pytest.raises(StateError, match=f"app is the name of cluster {live}; nothing is deleted"):
            drive(rename("app", restored))
        assert rds.mutations == []

    def test_missing(self, rds) -> None:
        with pytest.raises(MissingError, match="cluster-none"):
            drive(rename("app", "cluster-none"))

    def test_untagged(self, rds) -> None:
        resource_id = rds.cluster("x", refresh=False)["DbClusterResourceId"]
        with pytest.raises(SafetyError):
            drive(rename("app", resource_id))
        assert rds.mutations == []

    @pytest.mark.parametrize("nothing", ["", None])
    def test_no_resource_id_is_nothing_to_do(self, rds, calls, nothing) -> None:
        assert drive(rename("app", nothing))["cluster_id"] is None
        assert calls == []

    def test_swap(self, rds, live, restored) -> None:
        drive(rename("app-old", live))
        drive(rename("app", restored))
        assert shape(rds) == {"app-old": (live, ["app-old-1"]), "app": (restored, ["app-1", "app-2"])}

    def test_swap_again_changes_nothing(self, rds, live, restored) -> None:
        for _ in range(2):
            drive(rename("app-old", live))
            drive(rename("app", restored))
        assert len(rds.mutations) == 5

    def test_busy_cluster_is_waited_for(self, rds, live) -> None:
        rds.script("app", "backing-up", "backing-up", "available")
        rds.after(4, rds._scripts.clear)
        assert drive(rename("app-old", live))["cluster_id"] == "app-old"

    def test_cluster_that_fails_meanwhile(self, rds, live) -> None:
        rds.script("app", "renaming", "renaming", "failed")
        with pytest.raises(WaitFailedError):
            drive(rename("app-old", live))

    def test_instances_with_names_of_their_own_are_counted_through(self, rds) -> None:
        cluster = rds.cluster("x")
        for name in ("writer", "app-2", "reader"):
            rds.instance(name, "x")
        drive(rename("app", cluster["DbClusterResourceId"]))
        assert shape(rds)["app"][1] == ["app-1", "app-2", "app-3"]
        assert rds.names("ModifyDBInstance") == 2

    def test_cluster_without_instances(self, rds) -> None:
        resource_id = rds.cluster("x")["DbClusterResourceId"]
        assert drive(rename("app", resource_id))["instance_ids"] == []


class TestUndo:
    """What served serves again under its own name."""

    def test_nothing_to_undo(self, rds, live, restored) -> None:
        with pytest.raises(AirflowSkipException, match="still serves under its own name"):
            drive(undo(live))
        assert rds.mutations == []

    @pytest.mark.parametrize("nothing", ["", None])
    def test_nothing_served_before(self, rds, restored, nothing) -> None:
        with pytest.raises(AirflowSkipException, match="no cluster served before"):
            drive(undo(nothing))
        assert rds.mutations == []

    def test_live_moved_aside_and_nothing_more(self, rds, live, restored) -> None:
        drive(rename("app-old", live))
        before = shape(rds)["app-restore"]
        assert drive(undo(live))["resource_id"] == live
        assert shape(rds) == {"app": (live, ["app-1"]), "app-restore": before}

    def test_live_moved_aside_but_not_its_instances(self, rds, live, restored) -> None:
        rds._renamed("app", "app-old")
        drive(undo(live))
        assert shape(rds)["app"] == (live, ["app-1"])

    def test_live_being_renamed(self, rds, live, restored) -> None:
        assert isinstance(once(rename("app-old", live)), TaskDeferred)
        drive(undo(live))
        assert shape(rds)["app"] == (live, ["app-1"])

    def test_live_is_gone(self, rds, live, restored) -> None:
        del rds.clusters["app"]
        with pytest.raises(MissingError):
            drive(undo(live))

    def test_usurper_that_is_not_tagged_is_not_moved(self, rds, live) -> None:
        drive(rename("app-old", live))
        rds.cluster("app", refresh=False)
        rds.mutations.clear()
        with pytest.raises(SafetyError):
            drive(undo(live))
        assert rds.mutations == []

    def swapped(self, rds, live, restored) -> None:
        drive(rename("app-old", live))
        drive(rename("app", restored))

    def undone(self, live, restored) -> dict:
        return {"app": (live, ["app-1"]), "app-restore": (restored, ["app-restore-1", "app-restore-2"])}

    @pytest.mark.parametrize("lag", [1, 2, 5])
    def test_fully_swapped_and_killed_at_any_moment(self, rds, live, restored, lag) -> None:
        rds.lag = lag
        self.swapped(rds, live, restored)
        for _ in range(60):
            try:
                once(undo(live))
            except AirflowSkipException:
                break
        assert shape(rds) == self.undone(live, restored)

    def test_restored_renamed_but_only_one_of_its_instances(self, rds, live, restored) -> None:
        drive(rename("app-old", live))
        rds._renamed("app-restore", "app")
        rds.ModifyDBInstance("app-restore-1", "app-1", True)
        drive(undo(live))
        assert shape(rds) == self.undone(live, restored)

    def test_cluster_with_instances_of_other_names_is_not_touched_where_nothing_was_swapped(self, rds) -> None:
        live = rds.cluster("app")["DbClusterResourceId"]
        rds.instance("writer", "app")
        with pytest.raises(AirflowSkipException):
            drive(undo(live, ["writer"]))
        assert rds.mutations == []

    def test_instances_get_the_names_back_that_they_had(self, rds, restored) -> None:
        cluster = rds.cluster("app")
        rds.instance("writer", "app")
        live = cluster["DbClusterResourceId"]
        self.swapped(rds, live, restored)
        drive(undo(live, ["writer"]))
        assert shape(rds)["app"] == (live, ["writer"])

    def test_serves_again_even_if_no_instance_may_be_renamed(self, rds, live, restored) -> None:
        self.swapped(rds, live, restored)
        rds.fail("ModifyDBInstance", "AccessDenied", times=99)
        with pytest.raises(PermanentError):
            drive(undo(live))
        assert {name: held for name, (held, _) in shape(rds).items()} == {"app": live, "app-restore": restored}

    def test_serves_again_before_any_instance_is_rebooted(self, rds, live, restored) -> None:
        self.swapped(rds, live, restored)
        rds.mutations.clear()
        drive(undo(live))
        assert [name for name, _ in rds.mutations] == ["ModifyDBCluster"] * 2 + ["ModifyDBInstance"] * 3


class TestRecover:
    """What an earlier switch left without a name gets it back, in the next run."""

    def recover(self, resource_id, instance_ids=("app-1",)):
        return undo(resource_id, instance_ids, RecoverNamesOperator)

    def test_stranded_cluster_serves_again(self, rds, live) -> None:
        drive(rename("app-old", live))
        assert drive(self.recover(live))["resource_id"] == live
        assert shape(rds) == {"app": (live, ["app-1"])}

    @pytest.mark.parametrize("nothing", ["", None])
    def test_first_refresh_has_nothing_to_recover(self, rds, restored, nothing) -> None:
        assert drive(self.recover(nothing))["resource_id"] == ""
        assert rds.mutations == []

    def test_what_serves_is_left_as_it_is(self, rds, restored) -> None:
        live = rds.cluster("app")["DbClusterResourceId"]
        rds.instance("writer", "app")
        assert drive(self.recover(live, ["writer"]))["resource_id"] == live
        assert rds.mutations == []
