"""What stops and starts workloads: the count from before comes back, whoever does what in which order."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from aurora_ops.core import workloads
from aurora_ops.core.errors import StateError
from aurora_ops.core.workloads import REPLICAS_ANNOTATION, Workload
from hypothesis import given
from hypothesis import strategies as st

RUN = "aurora-ops/run"


def workload(count: int | None, *, annotations: dict[str, str] | None = None, **status: int) -> dict[str, Any]:
    spec: dict[str, Any] = {"template": {"spec": {}}} | ({} if count is None else {"replicas": count})
    meta = {"name": "web", "generation": 3} | ({"annotations": annotations} if annotations is not None else {})
    return {"metadata": meta, "spec": spec, "status": status}


def merged(found: Any, patch: Any) -> Any:
    """As Kubernetes applies a merge patch."""
    if not isinstance(patch, dict):
        return patch
    result = dict(found) if isinstance(found, dict) else {}
    for key, value in patch.items():
        result[key] = merged(result.get(key), value)
    return {key: value for key, value in result.items() if value is not None}


def apply(found: dict[str, Any], patch: dict[str, Any] | None) -> dict[str, Any]:
    return merged(copy.deepcopy(found), patch) if patch else found


def started(found: dict[str, Any], run: str) -> dict[str, Any]:
    """As the operator starts: only what is this run's."""
    if workloads.held_by(found) != run:
        return found
    found = apply(found, workloads.to_start(found))
    return apply(found, workloads.to_let_go())


STEPS = st.lists(st.tuples(st.sampled_from(["stop", "start", "start without end"]), st.sampled_from("ab")))


@given(st.integers(0, 1000), STEPS)
def test_the_former_count_comes_back_whatever_runs_did_before(count, steps) -> None:
    found = workload(count)
    for what, run in steps:
        if what == "stop":
            found = apply(found, workloads.to_stop(found, run))
            assert workloads.replicas(found) == 0
        elif what == "start":
            found = started(found, run)
        elif workloads.held_by(found) == run:  # killed before it saw its pods
            found = apply(found, workloads.to_start(found))
        assert workloads.returns_to(found) == count
    found = apply(found, workloads.to_stop(found, "last"))
    found = started(found, "last")
    assert workloads.replicas(found) == count
    assert REPLICAS_ANNOTATION not in (found["metadata"].get("annotations") or {})
    if count:
        assert not found["metadata"]["annotations"]


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_count_that_somebody_has_given_it_meanwhile_stays(before, given_count) -> None:
    found = apply(workload(before), workloads.to_stop(workload(before), "a"))
    found["spec"]["replicas"] = given_count
    assert workloads.returns_to(found) == given_count
    assert workloads.replicas(started(found, "a")) == given_count
    again = apply(found, workloads.to_stop(found, "b"))
    assert workloads.former(again) == given_count


def test_one_patch_has_both_count_and_note() -> None:
    patch = workloads.to_stop(workload(2), "r")
    assert patch == {"metadata": {"annotations": {REPLICAS_ANNOTATION: "2", RUN: "r"}}, "spec": {"replicas": 0}}
    stopped = apply(workload(2), patch)
    assert workloads.to_stop(stopped, "r") is None
    assert workloads.to_stop(stopped, "other") == {"metadata": {"annotations": {RUN: "other"}}}
    start = {"metadata": {"annotations": {REPLICAS_ANNOTATION: None}}, "spec": {"replicas": 2}}
    assert workloads.to_start(stopped) == start


def test_what_was_at_0_is_left_alone() -> None:
    assert workloads.to_stop(workload(0), "r") is None
    assert workloads.to_start(workload(0)) is None


def test_one_replica_is_the_default() -> None:
    assert (workloads.replicas(workload(None)), workloads.returns_to(workload(None))) == (1, 1)


@pytest.mark.parametrize("noted", ["", "0", "-1", "two", "2.0", "1234567", "2\n"])
def test_a_note_that_somebody_has_changed_is_named(noted) -> None:
    with pytest.raises(StateError, match=r"aurora-ops/replicas of web .*correct it, or scale web by hand"):
        workloads.former(workload(0, annotations={REPLICAS_ANNOTATION: noted}))


@pytest.mark.parametrize(
    ("found", "ready", "stopped"),
    [
        (workload(2, observedGeneration=3, readyReplicas=2, replicas=2), True, False),
        (workload(2, observedGeneration=3, readyReplicas=1, replicas=2), False, False),
        (workload(2, observedGeneration=3, replicas=2), False, False),
        (workload(2, observedGeneration=2, readyReplicas=2, replicas=2), False, False),
        (workload(2), False, False),
        (workload(0, observedGeneration=3), True, True),
        (workload(0, observedGeneration=3, replicas=1), True, False),
        (workload(0, observedGeneration=2), False, False),
    ],
)
def test_ready_and_stopped_are_said_of_the_latest_change(found, ready, stopped) -> None:
    assert (workloads.is_ready(found), workloads.is_stopped(found)) == (ready, stopped)


def test_claims_of_pods_and_of_their_templates_are_theirs() -> None:
    found = workload(1)
    found["spec"]["template"]["spec"]["volumes"] = [
        {"name": "x", "emptyDir": {}}, {"name": "m", "persistentVolumeClaim": {"claimName": "media"}},
    ]  # fmt: skip
    assert workloads.mounts(found, ["other", "media"])
    assert not workloads.mounts(found, ["other"])
    found["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}}]
    assert workloads.mounts(found, ["data-web-0"])
    assert not workloads.mounts(found, ["data-web", "data-web-x", "data-other-0", "xdata-web-0"])


def test_a_controller_is_the_owner_that_keeps_it() -> None:
    owners = [{"kind": "A", "name": "a"}, {"kind": "ReplicaSet", "name": "rs", "controller": True}]
    assert workloads.controller_of({"metadata": {"ownerReferences": owners}}) == ("ReplicaSet", "rs")
    assert workloads.controller_of({"metadata": {"ownerReferences": owners[:1]}}) is None
    assert workloads.controller_of({"metadata": {}}) is None


def test_names_are_read_and_written() -> None:
    found = Workload.parse("StatefulSet/db")
    assert (found.kind.plural, found.kind.group, found.name, str(found)) == (
        "statefulsets", "apps", "db", "StatefulSet/db",
    )  # fmt: skip
