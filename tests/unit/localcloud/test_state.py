"""What a saved state holds, and what it finds again by name."""

from __future__ import annotations

import threading
from collections import defaultdict
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.s3.models import FakeKey, s3_backends
from moto.ssm.models import ssm_backends

from localcloud.rds.lifecycle import Lifecycle
from localcloud.services.kms import LocalGrant
from localcloud.state.pickling import LARGE_BYTES, dumps, loads
from localcloud.state.store import PAUSE_S, Part, StateError, Store, pause_s

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def again(value: Any, tmp_path: Path, **anchors: Any) -> Any:
    return loads(dumps(value, anchors, tmp_path / "contents"), anchors)


def counter(start: int) -> Callable[[], int]:
    def count(step: int = 2) -> int:
        return start + step

    return count


def test_what_the_server_makes_itself_is_found_by_name(tmp_path) -> None:
    core = SimpleNamespace(lock=threading.Lock())
    backend = s3_backends["222222222222"]["aws"]
    found = again({"core": core, "backend": [backend]}, tmp_path, core=core)
    assert found["core"] is core
    assert found["backend"][0] is backend


def test_functions_made_within_functions_keep_what_they_know(tmp_path) -> None:
    assert again(counter(40), tmp_path)() == 42
    assert again(defaultdict(lambda: 7), tmp_path)["new"] == 7


def test_a_function_and_its_state_stay_one(tmp_path) -> None:
    cluster = SimpleNamespace(status="creating")

    def done() -> None:
        cluster.status = "available"

    found, function = again([cluster, done], tmp_path)
    function()
    assert found.status == "available"
    assert cluster.status == "creating"


def test_locks_are_made_anew(tmp_path) -> None:
    lock, again_lock = again([threading.Lock(), threading.RLock()], tmp_path)
    assert lock.acquire(blocking=False)
    assert again_lock.acquire(blocking=False)


def test_motos_dictionaries_and_our_classes_under_motos_name(tmp_path) -> None:
    parameters = ssm_backends["222222222222"]["eu-west-1"]._parameters
    found = again(parameters, tmp_path)
    assert type(found) is type(parameters)
    assert vars(found) == vars(parameters)
    assert again(LocalGrant, tmp_path) is LocalGrant


@given(content=st.binary(max_size=64), times=st.sampled_from([1, 100, 5000]))
def test_objects_of_s3_keep_their_content(tmp_path_factory, content: bytes, times: int) -> None:
    folder = tmp_path_factory.mktemp("state")
    key = FakeKey("name", content * times, "222222222222", "eu-west-1")
    found = again(key, folder)
    assert found.value == content * times
    assert found.etag == key.etag
    assert (folder / "contents").exists() is (len(content * times) > LARGE_BYTES)


def a_store(folder: Path, state: dict[str, int]) -> Store:
    locks: defaultdict[str, Any] = defaultdict(threading.RLock)
    store = Store(folder, locks.__getitem__)
    store.part("identities", Part(lambda: dict(state), state.update))
    return store


def test_what_was_saved_is_there_without_an_orderly_end(tmp_path) -> None:
    state = {"a": 1}
    store = a_store(tmp_path, state)
    assert not store.open(keep=True)
    state["a"] = 2
    store.save("identities")
    state["a"] = 3
    found: dict[str, int] = {}
    later = a_store(tmp_path, found)
    assert later.open(keep=True)
    assert found == {"a": 2}
    store.close()
    later.close()


def test_a_start_without_keep_removes_the_state(tmp_path) -> None:
    store = a_store(tmp_path, {"a": 1})
    store.open(keep=True)
    store.close()
    found: dict[str, int] = {}
    again_store = a_store(tmp_path, found)
    assert not again_store.open(keep=False)
    assert found == {}
    again_store.close()


def test_the_state_of_another_moto_is_refused(tmp_path) -> None:
    store = a_store(tmp_path, {})
    store.open(keep=True)
    store.close()
    meta = tmp_path / "meta.json"
    meta.write_text(meta.read_text().replace('"moto": "', '"moto": "0.'))
    with pytest.raises(StateError, match="start without --keep"):
        a_store(tmp_path, {}).open(keep=True)


def test_a_part_that_cannot_be_saved_is_no_silent_loss(tmp_path) -> None:
    store = a_store(tmp_path, {"a": threading.Thread()})  # type: ignore[dict-item]
    store.open(keep=True)
    with pytest.raises(StateError, match="cannot be saved"):
        store.save("identities")


def test_what_takes_long_to_save_is_saved_less_often_but_soon() -> None:
    assert [pause_s(took_s) for took_s in (0.0, 0.5, 60.0)] == [PAUSE_S, 1.5, 2.0]


def test_an_operation_ends_in_the_status_it_was_given() -> None:
    resource, over = SimpleNamespace(status="creating", lag_until=1.0), threading.Event()
    lifecycle = Lifecycle(0.0, ends_in=lambda: "storage-full", changed=over.set)
    ran: list[str] = []
    lifecycle.run("create", 0, None, partial(ran.append, "done"), partial(ran.append, "failed"), resource)
    assert over.wait(10)
    assert (resource.status, resource.lag_until) == ("storage-full", 0.0)
    assert ran == ["failed"]
    assert lifecycle.operations() == []
    lifecycle.close()


def test_operations_that_were_not_over_begin_anew() -> None:
    seen: list[str] = []
    over = threading.Event()
    first = Lifecycle(3600.0)
    first.run("copy", 1, partial(seen.append, "work"), partial(seen.append, "done"), lambda: None)
    first.close()
    [operation] = first.operations()
    operation.end = 0.0
    second = Lifecycle(3600.0, changed=lambda: over.set() if "done" in seen else None)
    second.resume([operation])
    assert over.wait(10)
    assert seen in (["work", "work", "done"], ["work", "done"])
    second.close()
