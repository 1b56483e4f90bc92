"""Objects of Kubernetes as this package writes and reads them: legal whatever goes in, and judged as Kubernetes means them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from aurora_ops.core import job_commands, naming
from aurora_ops.core import kubernetes as k8s
from aurora_ops.core.errors import ConfigError, SafetyError
from hypothesis import given
from hypothesis import strategies as st

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.text(max_size=120), st.text(max_size=80), MOMENTS)
def test_names_of_jobs_are_legal_and_their_moment_is_whole(purpose, environment, moment) -> None:
    name = naming.job(purpose, environment, moment)
    assert NAME.fullmatch(name), name
    assert name.endswith(naming.stamp(moment))


@given(st.text(max_size=200))
def test_labels_are_legal(text) -> None:
    assert LABEL.fullmatch(k8s.label(text)), k8s.label(text)


@given(st.text(min_size=1, max_size=100), st.text(min_size=1, max_size=100))
def test_different_texts_are_different_labels(one, other) -> None:
    assert (k8s.label(one) == k8s.label(other)) == (one == other)


@given(st.from_regex(NAME, fullmatch=True), st.from_regex(NAME, fullmatch=True), st.text(max_size=60))
def test_names_of_volumes_are_legal_and_follow_where_they_point(claim, namespace, path) -> None:
    name = k8s.volume_name(claim, namespace, k8s.handle("fs-1", path))
    assert NAME.fullmatch(name)
    assert name != k8s.volume_name(claim, namespace, k8s.handle("fs-2", path))


@pytest.mark.parametrize(
    ("arguments", "handle"),
    [
        (("fs-1", "/"), "fs-1"),
        (("fs-1", ""), "fs-1"),
        (("fs-1", "/a/b/"), "fs-1:/a/b"),
        (("fs-1", "/", "fsap-2"), "fs-1::fsap-2"),
        (("fs-1", "a", "fsap-2"), "fs-1:/a::fsap-2"),
    ],
)
def test_handles_are_those_of_the_driver(arguments, handle) -> None:
    assert k8s.handle(*arguments) == handle


TAINT = {"key": "k", "value": "v", "effect": "NO_SCHEDULE"}


@pytest.mark.parametrize(
    ("labels", "taints", "selector", "tolerations", "fits"),
    [
        ({}, [], {}, [], True),
        ({"a": "b"}, [], {"a": "b"}, [], True),
        ({"a": "c"}, [], {"a": "b"}, [], False),
        ({}, [TAINT], {}, [], False),
        ({}, [{**TAINT, "effect": "PREFER_NO_SCHEDULE"}], {}, [], True),
        ({}, [TAINT], {}, [{"key": "k", "value": "v"}], True),
        ({}, [TAINT], {}, [{"key": "k", "value": "w"}], False),
        ({}, [TAINT], {}, [{"key": "k", "value": "v", "effect": "NoExecute"}], False),
        ({}, [TAINT], {}, [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}], True),
        ({}, [TAINT, {**TAINT, "key": "l"}], {}, [{"key": "k", "operator": "Exists"}], False),
        ({}, [TAINT], {}, [{"operator": "Exists"}], True),
    ],
)
def test_which_nodes_take_which_pods(labels, taints, selector, tolerations, fits) -> None:
    assert k8s.takes(labels, taints, selector, tolerations) is fits


def job_with(*conditions):
    return {"status": {"conditions": [{"type": kind, "status": status, "reason": "R"} for kind, status in conditions]}}


@pytest.mark.parametrize(
    ("job", "succeeded"),
    [
        ({}, None),
        ({"status": {"active": 1}}, None),
        (job_with(("Suspended", "True")), None),
        (job_with(("Complete", "False")), None),
        (job_with(("SuccessCriteriaMet", "True"), ("Complete", "True")), True),
        (job_with(("FailureTarget", "True")), None),
        (job_with(("FailureTarget", "True"), ("Failed", "True")), False),
    ],
)
def test_how_a_job_ended(job, succeeded) -> None:
    found = k8s.outcome(job)
    assert (found and found.succeeded) is succeeded


def pod_waiting(reason):
    waiting = {"state": {"waiting": {"reason": reason, "message": "m"}}}
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": [waiting]}}


def test_what_a_pod_waits_for() -> None:
    assert k8s.stuck([pod_waiting("ContainerCreating")]) is None
    assert k8s.stuck([pod_waiting("ImagePullBackOff")]) == "pod p: ImagePullBackOff: m"
    assert k8s.waiting_for([pod_waiting("ContainerCreating")]) == "p: ContainerCreating: m"
    assert k8s.waiting_for([{"metadata": {"name": "p"}}]) == ""


def test_only_what_is_ours_is_replaced() -> None:
    k8s.require_ours("jobs", {"metadata": {"name": "x", "labels": k8s.marks("dag/run")}})
    with pytest.raises(SafetyError, match="kubectl label jobs x"):
        k8s.require_ours("jobs", {"metadata": {"name": "x"}})


@given(st.text(alphabet=st.characters(blacklist_characters="\n\r\0"), min_size=1, max_size=40))
def test_a_password_stands_in_the_login_file_so_that_the_client_reads_it_back(password) -> None:
    text = k8s.login_file(host="h", port=3306, user="u", password=password, tls_ca=None)
    [line] = [line for line in text.split("\n") if line.startswith("password=")]
    assert re.sub(r"\\(.)", r"\1", line.removeprefix('password="').removesuffix('"')) == password


def test_commands_are_made_of_checked_names() -> None:
    with pytest.raises(ConfigError, match="tables"):
        job_commands.dump(["shop.a; rm -rf /"])
    script = job_commands.dump(["shop.b$c", "shop.a", "crm.x"])[-1]
    assert "shop 'b$c'" not in script.replace("a 'b$c'", "")
    assert script.index("crm") < script.index("shop")
    assert job_commands.schemas_of(["shop.a", "crm.x", "shop.b"]) == ["crm", "shop"]


@pytest.mark.parametrize("suspend", [True, False])
def test_manifests_are_json_and_state_no_secret(suspend) -> None:
    job = k8s.job(
        name="j", image="i:1", command=["true"], run_key="d/r", created_in_try=1, environment={"A": "b"}, secret_name="s",
        expires="2026-07-02T02:00:00+00:00", suspend=suspend,
        mounts=[{"claim": "c", "path": "/p", "sub_path": "x"}], service_account="sa", node_selector={}, tolerations=[],
        cpu="1", memory="1Gi", run_as="7:8", deadline_s=60, keep_s=60,
    )  # fmt: skip
    pod = json.loads(json.dumps(job))["spec"]["template"]["spec"]
    assert job["spec"]["suspend"] is suspend
    assert job["metadata"]["annotations"]["aurora-ops/expires"] == "2026-07-02T02:00:00+00:00"
    assert pod["securityContext"]["runAsUser"] == 7
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp", "secret", "claim-0"]
    assert pod["containers"][0]["volumeMounts"][2]["subPath"] == "x"


def test_a_secret_is_its_jobs_own() -> None:
    secret = k8s.secret({"metadata": {"name": "j", "uid": "u"}}, "d/r", {"my.cnf": "x"})
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u"}
    assert secret["metadata"]["ownerReferences"] == [owner], "to block the job's end would need another right"
    assert (secret["metadata"]["name"], k8s.is_ours(secret)) == ("j", True)
