"""Saves the state after each call that changed it, and brings it back.

One file for moto's backends of each service, and one for each part that an extension registers. A call that changes
something is answered after its service has been saved; a service whose state is large is saved a moment later.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pickle import PicklingError
from typing import TYPE_CHECKING, Any

from moto.core.base_backend import BackendDict

from localcloud.recorder import is_mutating
from localcloud.state.pickling import backend_at, backends_of, dumps, loads, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from threading import RLock

log = logging.getLogger(__name__)

FORMAT = 1
LARGE_BYTES = 256 * 1024
PAUSE_S = 0.2
REST, LONGEST_PAUSE_S = 3, 2.0
MOTO_ACCOUNT = "123456789012"
TRIES = 20
# Services that a call to a service changes besides: saved with it.
TOGETHER = {
    "rds": ("secretsmanager", "kms"),
    "sns": ("sqs",),
    "secretsmanager": ("kms",),
    "resourcegroupstaggingapi": ("rds",),
    "efs": ("kms",),
    "backup": ("efs", "kms"),
}
# Services that a call changes besides, saved a moment later; ``*`` is all of them.
EFFECTS = {"s3": ("sqs", "sns"), "iam": ("sts",), "ssm": ("kms",)} | dict.fromkeys(
    (
        "autoscaling",
        "batch",
        "cloudformation",
        "ecs",
        "eks",
        "elasticloadbalancing",
        "events",
        "lambda",
        "scheduler",
        "states",
    ),
    ("*",),
)


class StateError(RuntimeError):
    """The saved state cannot be used."""


@dataclass(frozen=True)
class Part:
    """State of localcloud's own.

    :param dump: gives it, as something that can be pickled.
    :param load: takes it back.
    :param lock: service whose lock is held meanwhile; None if the functions see to that.
    :param anchors: objects in it that the new server makes itself, by name.
    """

    dump: Callable[[], Any]
    load: Callable[[Any], None]
    lock: str | None = None
    anchors: dict[str, Any] = field(default_factory=dict)


class Store:
    """The state's folder. Thread-safe.

    :param folder: for the files.
    :param lock: gives the lock of a service; see :meth:`localcloud.cloud.Cloud.lock`.
    """

    def __init__(self, folder: Path, lock: Callable[[str], RLock]) -> None:
        self._folder = folder
        self._lock = lock
        self._parts: dict[str, Part] = {}
        self._guard = threading.Lock()
        self._saving: dict[str, threading.Lock] = {}
        self._wanted: dict[str, int] = {}
        self._saved: dict[str, int] = {}
        self._large: set[str] = set()
        self._known: dict[str, int] = {}
        self._unable: set[str] = set()
        self._due: set[str] = set()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._open = False
        self._writer = threading.Thread(target=self._write_later, name="state", daemon=True)

    def part(self, name: str, part: Part) -> None:
        """Keep a part of the state; before :meth:`open`. One that is named like a service is saved with it."""
        self._parts[name] = part

    def open(self, *, keep: bool) -> bool:
        """Begin to save; what an earlier server left is brought back, or removed.

        :return: whether there was something to bring back.
        :raises StateError: it was written by another version of moto or Python.
        """
        if not keep:
            shutil.rmtree(self._folder, ignore_errors=True)
        meta = self._folder / "meta.json"
        ours = {"format": FORMAT, "moto": version("moto"), "python": list(sys.version_info[:2])}
        found = meta.exists()
        if found:
            theirs = json.loads(meta.read_text())
            if theirs != ours:
                raise StateError(f"the state in {self._folder} is of {theirs}, this is {ours}; start without --keep")
            self._load()
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write(meta, json.dumps(ours).encode())
        self._open = True
        self._writer.start()
        return found

    def called(self, service: str, action: str) -> None:
        """Save what an answered call to a service may have changed; the caller holds the service's lock."""
        if action.startswith("AssumeRole"):
            self.save("identities")
        if not is_mutating(action):
            # moto makes an account's backend, with a VPC for example, at the first look into it
            if self._count(service) != self._known.get(service):
                self.later(service)
            return
        self.save(service)
        for other in TOGETHER.get(service, ()):
            self.save(other)
        effects = EFFECTS.get(service, ())
        self.later(*(self._services() if "*" in effects else effects))

    def save(self, name: str) -> None:
        """Save a service or part before returning, unless it is large: then a moment later."""
        if not self._open:
            return
        if name in self._large:
            self.later(name)
        else:
            self._save(name)

    def later(self, *names: str) -> None:
        """Save services or parts in the background."""
        with self._guard:
            self._due.update(names)
        self._wake.set()

    def close(self) -> None:
        """Save everything, and end."""
        if not self._open:
            return
        self._stop.set()
        self._wake.set()
        self._writer.join()
        for name in {*self._services(), *self._parts}:
            self._save(name)
        self._open = False

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _write_later(self) -> None:
        took_s = 0.0
        while not self._stop.is_set():
            self._wake.wait()
            self._stop.wait(pause_s(took_s))
            self._wake.clear()
            began = time.monotonic()
            with self._guard:
                due, self._due = self._due, set()
            for name in due:
                try:
                    self._save(name)
                except (StateError, OSError):
                    log.exception("the state of %s could not be saved", name)
            took_s = time.monotonic() - began

    def _save(self, name: str) -> None:
        """Save, once for all who asked before it began."""
        part = self._parts.get(name)
        with self._guard:
            mine = self._wanted[name] = self._wanted.get(name, 0) + 1
            saving = self._saving.setdefault(name, threading.Lock())
        # The service's lock comes first: who answers a call has it already. S3's callers do not, see `_dump`.
        lock = self._lock(part.lock or name if part else name)
        with lock, saving:
            if self._saved.get(name, 0) >= mine:
                return
            with self._guard:
                covered = self._wanted[name]
            self._write(name, part)
            self._saved[name] = covered

    def _write(self, name: str, part: Part | None) -> None:
        if part is not None:
            write(self._folder / f"{name}.part", self._dump(part.dump, part.anchors, required=True))
        size = 0
        for backends in _instances(name):
            file = self._folder / f"{backends.backend.__module__}.{name}.moto"
            data = self._dump(lambda backends=backends: _state(backends), {})  # type: ignore[misc]
            size += len(data)
            if data:
                write(file, data)
        self._known[name] = self._count(name)
        if size > LARGE_BYTES:
            self._large.add(name)

    def _dump(self, give: Callable[[], Any], anchors: dict[str, Any], *, required: bool = False) -> bytes:
        """Pickle; again if another thread changed something meanwhile. Empty if moto keeps what cannot be pickled."""
        problem: Exception | None = None
        for _ in range(TRIES):
            value = give()
            try:
                return dumps(value, anchors, self._folder / "contents")
            except RuntimeError as error:
                problem = error
            except (TypeError, AttributeError, ValueError, PicklingError) as error:
                problem = error
                break
        if required:
            raise StateError(f"localcloud's own state cannot be saved: {problem}") from problem
        if str(problem) not in self._unable:
            self._unable.add(str(problem))
            log.error("a service's state cannot be saved, and will be missing after a restart: %s", problem)
        return b""

    def _load(self) -> None:
        for file in sorted(self._folder.glob("*.moto")):
            module, _, service = file.stem.rpartition(".")
            state = loads(file.read_bytes(), {})
            for (account, region), content in state["backends"].items():
                vars(backend_at(module, service, account, region)).update(content)
            vars(backends_of(module, service)).update(state["extra"])
        for name, part in self._parts.items():
            file = self._folder / f"{name}.part"
            if file.exists():
                part.load(loads(file.read_bytes(), part.anchors))

    def _count(self, service: str) -> int:
        return sum(1 for backends in _instances(service) for _ in backends.iter_backends())

    def _services(self) -> set[str]:
        return {backends.service_name for backends in _in_use()}


def pause_s(took_s: float) -> float:
    """Say for how long nothing is saved after saving took so long: a state of megabytes must not keep its service busy."""
    return min(max(PAUSE_S, REST * took_s), LONGEST_PAUSE_S)


def _instances(service: str) -> list[BackendDict[Any]]:
    return [found for found in _in_use() if found.service_name == service]


def _in_use() -> list[BackendDict[Any]]:
    return list(BackendDict._instances)  # type: ignore[misc]  # noqa: SLF001 - moto's list


def _state(backends: BackendDict[Any]) -> dict[str, Any]:
    """State of all accounts; not of moto's default account, which nobody has credentials of."""
    own = {"backend", "service_name", "_use_boto3_regions", "_additional_regions", "_id"}
    return {
        "backends": {
            (account, region): vars(backend)
            for account, region, backend in list(backends.iter_backends())
            if account != MOTO_ACCOUNT
        },
        "extra": {name: value for name, value in vars(backends).items() if name not in own},
    }
