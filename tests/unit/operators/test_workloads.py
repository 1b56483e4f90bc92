"""What uses claims is stopped, and started as it was: after a kill at every change, by another run, whatever the claims show."""

from __future__ import annotations

from typing import Any

import pytest
from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.errors import (
    MissingError,
    PermanentError,
    SafetyError,
    StateError,
    TransientError,
    WaitFailedError,
)
from aurora_ops.core.settings import Eks
from aurora_ops.hooks.kubernetes import KubernetesHook
from aurora_ops.operators import prepare_files
from aurora_ops.operators.kubernetes_storage import CreateStorageOperator, UndoStorageOperator
from aurora_ops.operators.workloads import StartWorkloadsOperator, StopWorkloadsOperator

from tests.unit.operators.driver import drive, once
from tests.unit.operators.fake_kube import Dies, FakeKube, Killed

INSIDE: dict[str, Any] = {
    "aws_conn_id": "aws_destination", "region_name": "eu-west-1", "cluster_name": "apps", "namespace": "shop",
}  # fmt: skip
WEB, DB = (k8s.DEPLOYMENTS, "web"), (k8s.STATEFUL_SETS, "db")
NAMES = ["Deployment/web", "StatefulSet/db"]
RUN, OTHER = "refresh_staging/monday", "refresh_staging/tuesday"
OLD, NEW = "fs-1:/monday", "fs-2:/tuesday"
EKS = Eks.model_validate(
    {
        "cluster": "apps",
        "namespace": "shop",
        "image": "tools:1",
        "nodegroups": ["jobs"],
        "claim": "dumps",
        "claims": ["media"],
    }
)


@pytest.fixture
def kube(monkeypatch) -> FakeKube:
    """A Deployment with two pods and a StatefulSet with one on the claim ``media``, and a Deployment on another claim."""
    fake = FakeKube()
    monkeypatch.setattr(KubernetesHook, "api", lambda _hook, _cluster: fake)
    fake.workload(*WEB, 2, "media")
    fake.workload(*DB, 1, "media")
    fake.workload(k8s.DEPLOYMENTS, "other", 1, "others")
    fake.changes.clear()
    return fake


def stopping(run=RUN, names=NAMES, claims=("media",), **more):
    arguments = {**INSIDE, "workloads": names, "claims": list(claims), "run_key": run, **more}
    return StopWorkloadsOperator(task_id="stop_workloads", **arguments)


def starting(run=RUN, names=NAMES, **more):
    return StartWorkloadsOperator(task_id="start_workloads", workloads=names, run_key=run, **{**INSIDE, **more})


def stop(run=RUN, **more):
    return drive(lambda: stopping(run, **more))


def start(run=RUN, **more):
    return drive(lambda: starting(run, **more))


def on_media(kube) -> list[str]:
    return [name for name in kube.pods() if not name.startswith("other-")]


def as_before(kube) -> bool:
    counts = (kube.replicas(*WEB), kube.replicas(*DB), len(on_media(kube)))
    return counts == (2, 1, 3) and not kube.annotations(*WEB) and not kube.annotations(*DB)


def test_all_are_stopped_and_started_as_they_were(kube) -> None:
    assert stop() == {"stopped": {"Deployment/web": 2, "StatefulSet/db": 1}}
    assert on_media(kube) == []
    assert kube.annotations(*WEB) == {"aurora-ops/replicas": "2", "aurora-ops/run": RUN}
    assert kube.pods() == ["other-pod-0"]
    before = list(kube.changes)
    assert stop() == {"stopped": {"Deployment/web": 2, "StatefulSet/db": 1}}
    assert kube.changes == before, "what is stopped is left as it is"
    assert start() == {"started": {"Deployment/web": 2, "StatefulSet/db": 1}}
    assert as_before(kube)
    before = list(kube.changes)
    assert start() == {"started": {}}
    assert kube.changes == before


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("lost", [False, True], ids=["killed", "answer lost"])
@pytest.mark.parametrize("nth", range(1, 7))
def test_a_kill_at_any_change_loses_no_count(kube, nth, after, lost) -> None:
    Dies(kube, nth, after=after, lost=lost)
    for act in (stop, start):
        for _ in range(2):
            try:
                act()
                break
            except (Killed, TransientError):
                continue
        else:
            pytest.fail("killed twice")
        if act is stop:
            assert on_media(kube) == []
    assert as_before(kube)
    assert len(kube.changes) >= 6


@pytest.mark.parametrize("nth", [1, 2])
def test_starting_brings_back_what_a_killed_stop_had_stopped(kube, nth) -> None:
    Dies(kube, nth, after=True)
    with pytest.raises(Killed):
        stop()
    assert len(start()["started"]) == nth
    assert as_before(kube)


def test_pods_are_waited_for_when_stopping_and_when_starting(kube) -> None:
    waits = once(stopping)
    assert waits.trigger.until["waiter"] == "workloads_stopped"
    stop()
    waits = once(starting)
    assert waits.trigger.until["waiter"] == "workloads_ready"
    assert kube.annotations(*WEB) == {"aurora-ops/run": RUN}, "a killed task still waits for its pods"
    assert start()["started"]["Deployment/web"] == 2


def test_one_whose_pods_are_still_to_come_is_waited_for_too(kube) -> None:
    for name in on_media(kube):
        del kube.kept["pods", name]
    kube.step = lambda: None
    assert once(stopping).trigger.until["waiter"] == "workloads_stopped"


def test_another_run_takes_over_what_a_dead_one_has_stopped(kube) -> None:
    stop()
    assert stop(OTHER) == {"stopped": {"Deployment/web": 2, "StatefulSet/db": 1}}
    assert kube.annotations(*WEB) == {"aurora-ops/replicas": "2", "aurora-ops/run": OTHER}
    assert start(RUN) == {"started": {}}, "it is not this run's any more"
    assert on_media(kube) == []
    start(OTHER)
    assert as_before(kube)


def test_pods_that_do_not_get_ready_in_time_are_told_of_and_not_waited_for_again(kube) -> None:
    stop()
    kube.step = lambda: None
    with pytest.raises(WaitFailedError, match=r"'Deployment/web'.*not all ready after 5 s; their pods' events say why"):
        start(within_s=5)
    assert kube.replicas(*WEB) == 2


def test_a_run_that_holds_the_lock_starts_what_a_dead_one_has_stopped(kube) -> None:
    stop()
    assert start(OTHER, lock="refresh_staging/tuesday") == {"started": {"Deployment/web": 2, "StatefulSet/db": 1}}
    assert as_before(kube)
    before = list(kube.changes)
    assert start(OTHER, lock="refresh_staging/tuesday") == {"started": {}}
    assert kube.changes == before


def test_a_run_that_has_stopped_nothing_starts_nothing(kube) -> None:
    stop()
    before = list(kube.changes)
    for run in (OTHER, None):
        assert start(run) == {"started": {}}
    assert stop(None) == stop(names=[]) == stop(names=None) == {"stopped": {}}
    assert start(names=[]) == {"started": {}}
    assert kube.changes == before


def test_what_was_at_0_stays_there(kube) -> None:
    kube.kept["statefulsets", "db"]["spec"]["replicas"] = 0
    assert stop() == {"stopped": {"Deployment/web": 2}}
    assert start() == {"started": {"Deployment/web": 2}}
    assert (kube.replicas(*DB), kube.annotations(*DB)) == (0, {})


def test_a_count_that_somebody_gives_it_meanwhile_stays(kube) -> None:
    stop()
    kube.kept["deployments", "web"]["spec"]["replicas"] = 5
    assert start()["started"] == {"Deployment/web": 5, "StatefulSet/db": 1}
    assert not kube.annotations(*WEB)


def test_only_what_uses_the_claims_is_stopped(kube) -> None:
    names = [*NAMES, "Deployment/other"]
    assert stop(names=names, claims=["others"]) == {"stopped": {"Deployment/other": 1}}
    assert len(on_media(kube)) == 3


def test_a_change_by_somebody_else_is_looked_at_again(kube) -> None:
    def scaled_by_hand(verb: str, name: str) -> None:
        kube.before = lambda verb, name: None
        kube.kept["deployments", "web"]["spec"]["replicas"] = 4
        kube.kept["deployments", "web"]["metadata"]["resourceVersion"] = "changed"

    kube.before = scaled_by_hand
    assert stop()["stopped"]["Deployment/web"] == 4
    assert kube.annotations(*WEB)["aurora-ops/replicas"] == "4"


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        (("Job", "copy"), "Job/copy"),
        (("ReplicaSet", "lonely"), "ReplicaSet/lonely"),
        ((), "nothing that makes another"),
    ],
)
def test_pods_of_others_are_named_and_nothing_is_stopped(kube, owner, told) -> None:
    kube.kept["replicasets", "lonely"] = {"metadata": {"name": "lonely"}}
    kube.pod("stranger", "media", *owner)
    with pytest.raises(
        StateError, match=rf"eks.workloads \['Deployment/web', 'StatefulSet/db'\].*by stranger \({told}\)"
    ):
        stop()
    assert kube.changes == []
    kube.kept["pods", "stranger"]["status"]["phase"] = "Succeeded"
    assert len(stop()["stopped"]) == 2, "one that has ended uses nothing"


def test_one_that_is_not_there_is_named_and_nothing_is_stopped(kube) -> None:
    with pytest.raises(MissingError, match="Deployment/gone"):
        stop(names=[*NAMES, "Deployment/gone"])
    assert kube.changes == []


def test_one_that_was_deleted_meanwhile_is_not_started(kube) -> None:
    stop()
    del kube.kept["deployments", "web"]
    assert start() == {"started": {"StatefulSet/db": 1}}


# ---- the check before a refresh --------------------------------------------------------------------------------------


def check(kube, names=NAMES, claims=("media",)) -> dict[str, int]:
    return prepare_files._check_workloads(kube, EKS.model_copy(update={"workloads": names}), list(claims))


def test_the_check_tells_what_is_scaled_and_to_what_it_goes_back(kube) -> None:
    kube.kept["statefulsets", "db"]["spec"]["replicas"] = 0
    assert check(kube, [*NAMES, "Deployment/other"]) == {"Deployment/web": 2, "StatefulSet/db": 0}
    kube.kept["statefulsets", "db"]["metadata"]["annotations"] = {"aurora-ops/replicas": "3", "aurora-ops/run": "dead"}
    assert check(kube)["StatefulSet/db"] == 3
    assert kube.changes == []


def test_the_check_names_all_that_is_wrong_at_once(kube) -> None:
    kube.pod("stranger", "media", "Job", "copy")
    kube.kept["deployments", "web"]["metadata"]["annotations"] = {"aurora-ops/replicas": "x"}
    kube.kept["deployments", "web"]["spec"]["replicas"] = 0
    with pytest.raises(PermanentError) as caught:
        check(kube, ["Deployment/web", "Deployment/gone"])
    for words in (
        "stranger (Job/copy)",
        "db-pod-0 (StatefulSet/db)",
        "no Deployment/gone",
        "aurora-ops/replicas of web",
    ):
        assert words in str(caught.value)
    assert "web-pod" not in str(caught.value)


def test_without_workloads_no_pod_may_use_the_claims(kube) -> None:
    asked = []
    kube.find = lambda kind, name, namespace=None: asked.append(kind.plural)  # such a role may not look into them
    with pytest.raises(StateError, match=r"used by .*web-pod-0 \(ReplicaSet/web-1\)"):
        check(kube, [])
    assert asked == []
    assert check(kube, [], claims=["unused"]) == {}


@pytest.mark.parametrize(
    ("verb", "plural", "told"),
    [
        ("patch", "deployments", "patch deployments web"),
        ("get", "statefulsets", "get statefulsets db"),
        ("get", "replicasets", "get replicasets"),
        ("create", "persistentvolumeclaims", "create persistentvolumeclaims"),
        ("delete", "persistentvolumes", "delete persistentvolumes"),
    ],
)
def test_rights_that_lack_are_named_before_anything_is_changed(kube, verb, plural, told) -> None:
    kube.allowed = lambda asked, kind: (asked, kind) != (verb, plural)
    with pytest.raises(
        PermanentError, match=rf"may not {told} in shop of apps; apply include/templates/kubernetes-access"
    ):
        check(kube)


# ---- claims that could not be made anew ------------------------------------------------------------------------------


@pytest.fixture
def shown(kube) -> FakeKube:
    """The claim shows the old directory, and what uses it is stopped."""
    show(OLD)
    stop()
    kube.changes.clear()
    return kube


def arguments(handle: str) -> dict[str, Any]:
    file_system, _, path = handle.partition(":")
    return {**INSIDE, "claim_name": "media", "file_system_id": file_system, "path": path}


def show(handle: str):
    return drive(lambda: CreateStorageOperator(task_id="show", **arguments(handle)))


def undo(tried: Any = "fs-2"):
    return drive(lambda: UndoStorageOperator(task_id="undo", tried=tried, **arguments(NEW)))


def shows(kube) -> str | None:
    claim = kube.kept.get(("persistentvolumeclaims", "media"))
    if claim is None or claim["status"]["phase"] != "Bound":
        return None
    return str(kube.kept["persistentvolumes", claim["spec"]["volumeName"]]["spec"]["csi"]["volumeHandle"])


@pytest.mark.parametrize("nth", range(1, 5))
def test_a_claim_that_could_not_be_made_anew_shows_what_it_did_or_what_it_shall(shown, nth) -> None:
    """Killed at any change for good: the claim can be used in the end, and the next try gets it where it shall be."""
    Dies(shown, nth, after=False)
    with pytest.raises(Killed):
        show(NEW)
    result = undo()
    assert result["shows"] == shows(shown)
    assert shows(shown) == (OLD if nth < 4 else NEW), "the fourth removes the former volume"
    assert undo() == result
    start()
    assert as_before(shown)
    stop()
    assert show(NEW)["volume_handle"] == NEW
    volumes = [name for plural, name in shown.kept if plural == "persistentvolumes"]
    assert len(volumes) == 1, "what undoing has made is removed as well"


def test_a_claim_goes_back_as_often_as_it_must(shown) -> None:
    def refuse(verb: str, name: str) -> None:
        if (verb, name) == ("create", "media"):
            raise PermanentError("denied")

    for _ in range(4):
        shown.before = refuse
        with pytest.raises(PermanentError, match="denied"):
            show(NEW)
        shown.before = lambda verb, name: None
        assert undo()["shows"] == OLD == shows(shown)


def test_a_claim_that_has_lost_its_volume_goes_back_too(shown) -> None:
    def lose(verb: str, name: str) -> None:
        if (verb, name) == ("create", "media"):
            shown.kept["persistentvolumeclaims", "media"]["status"]["phase"] = "Lost"
            shown.after = lambda verb, name: None

    shown.after = lose
    with pytest.raises(WaitFailedError, match="Lost"):
        show(NEW)
    assert undo()["shows"] == OLD == shows(shown)


def test_a_run_that_has_tried_nothing_leaves_the_claim_alone(shown) -> None:
    del shown.kept["persistentvolumeclaims", "media"]
    assert undo(tried=None) == {"claim": "media", "namespace": "shop", "shows": None}
    assert shown.changes == []


def test_a_claim_that_was_never_there_has_nothing_to_go_back_to(kube) -> None:
    assert undo()["shows"] is None
    assert kube.changes == []


def test_a_claim_of_somebody_else_is_not_taken_back(shown) -> None:
    claim = shown.kept["persistentvolumeclaims", "media"]
    claim["metadata"]["labels"] = {}
    claim["status"]["phase"] = "Pending"
    claim["spec"]["volumeName"] = "theirs"
    with pytest.raises(SafetyError):
        undo()
