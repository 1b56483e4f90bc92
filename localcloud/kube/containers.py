"""A container is a process of this machine: its environment, its mounts, its output, its end.

Where a container would see a mount at a path, the process finds the real directory: the path is replaced in command,
arguments and environment. There is no image: programs are those of this machine, MariaDB's clients among them.
"""

from __future__ import annotations

import base64
import ctypes
import dataclasses
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.kube import volumes
from localcloud.mariadb import binaries

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.kube.objects import Object, Objects

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ConfigError(Exception):
    """The container cannot be made: what it refers to is missing (CreateContainerConfigError)."""


@dataclass(eq=False)
class Container:
    """A process that runs, or ran.

    :param grace_s: seconds between SIGTERM and SIGKILL.
    :param kill_at: monotonic seconds at which it is killed; None as long as nobody wants it to end.
    :param started: monotonic seconds at which it was started.
    """

    process: subprocess.Popen[bytes]
    reader: threading.Thread
    grace_s: float
    kill_at: float | None = None
    started: float = dataclasses.field(default_factory=time.monotonic)

    def exit_code(self) -> int | None:
        """Exit code as Kubernetes tells it; None while it runs or its output is not yet read."""
        code = self.process.poll()
        if code is None or self.reader.is_alive():
            return None
        return code if code >= 0 else 128 - code

    def end(self) -> None:
        """Ask it to end; once is enough."""
        if self.kill_at is None and self.process.poll() is None:
            self.kill_at = time.monotonic() + self.grace_s
            self._signal(signal.SIGTERM)

    def kill_if_due(self) -> None:
        """Kill it if it has not ended in time."""
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """Kill it at once and wait."""
        self._signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join(timeout=5)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            log.debug("process %s has ended", self.process.pid)


def die_with_parent() -> None:
    """In the new process: end when the thread that started it does, which lives as long as the server."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(frozen=True)
class Machine:
    """What containers find on this machine.

    :param home: localcloud's folder.
    :param prefix: where MariaDB was unpacked.
    :param mount: real directory of a volume, by the cluster's objects and the volume's handle.
    """

    home: Path
    prefix: Path | None
    mount: Callable[[Objects, str], Path]


def start(machine: Machine, objects: Objects, pod: Object) -> Container:
    """Start the process of a pod's container.

    :raises MountError: a volume cannot be mounted.
    :raises ConfigError: what the container refers to is missing.
    """
    spec = pod["spec"]
    container = spec["containers"][0]
    folder = folder_of(machine.home, pod)
    mounts = _mounts(machine, objects, pod, folder)
    environment = _environment(objects, pod, container)
    command = [*(container.get("command") or ()), *(container.get("args") or ())]
    if not container.get("command"):
        raise ConfigError("no command specified: localcloud has no images, so it does not know the image's own")
    command = [_mapped(_expanded(word, environment), mounts) for word in command]
    programs = binaries.find(machine.prefix)
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        command,
        cwd=_mapped(container["workingDir"], mounts) if container.get("workingDir") else work,
        env={
            **programs.env,
            "HOME": str(work),
            "TMPDIR": str(work),
            **{name: _mapped(value, mounts) for name, value in environment.items()},
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    reader = threading.Thread(target=_copy, args=(process, folder / "log"), name="kube-log", daemon=True)
    reader.start()
    return Container(process, reader, float(spec.get("terminationGracePeriodSeconds", 30)))


def folder_of(home: Path, pod: Object) -> Path:
    """Folder of a pod: its log, its temporary volumes."""
    return home / "kube" / "pods" / str(pod["metadata"]["uid"])


def remove_folder(home: Path, pod: Object) -> None:
    """Remove what a pod leaves behind."""
    shutil.rmtree(folder_of(home, pod), ignore_errors=True)


def _copy(process: subprocess.Popen[bytes], path: Path) -> None:
    """Write each line of output with its time, as the container runtime does."""
    assert process.stdout is not None
    with path.open("ab", buffering=0) as file:
        for line in process.stdout:
            moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
            file.write(moment + b" " + line.rstrip(b"\n") + b"\n")


def _mounts(machine: Machine, objects: Objects, pod: Object, folder: Path) -> dict[str, str]:
    """Mount path to real directory, made ready."""
    namespace = pod["metadata"]["namespace"]
    sources = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    for source in sources.values():  # a pod waits for every claim of its own, mounted or not
        if "persistentVolumeClaim" in source:
            volumes.handle_of_claim(objects, namespace, source["persistentVolumeClaim"]["claimName"])
    mounts = {}
    for mount in pod["spec"]["containers"][0].get("volumeMounts") or ():
        source = sources[mount["name"]]
        if "persistentVolumeClaim" in source:
            claim_name = source["persistentVolumeClaim"]["claimName"]
            real = machine.mount(objects, volumes.handle_of_claim(objects, namespace, claim_name))
        elif "secret" in source:
            real = _files(objects, "secrets", namespace, source["secret"]["secretName"], folder, mount["name"])
        elif "configMap" in source:
            real = _files(objects, "configmaps", namespace, source["configMap"]["name"], folder, mount["name"])
        elif "emptyDir" in source:
            real = folder / "volumes" / mount["name"]
            real.mkdir(parents=True, exist_ok=True)
        else:
            raise ConfigError(f"localcloud does not know volumes of this type: {sorted(set(source) - {'name'})}")
        if mount.get("subPath"):
            if ".." in Path(mount["subPath"]).parts:
                raise ConfigError(f"subPath {mount['subPath']!r} must not contain '..'")
            real /= mount["subPath"]
            real.mkdir(parents=True, exist_ok=True)  # the kubelet does
        mounts[mount["mountPath"].rstrip("/")] = str(real)
    return mounts


def _files(objects: Objects, plural: str, namespace: str, name: str, folder: Path, volume: str) -> Path:
    """Write a secret or config map as files."""
    real = folder / "volumes" / volume
    real.mkdir(parents=True, exist_ok=True, mode=0o700)
    for key, value in _data(objects, plural, namespace, name).items():
        path = real / key
        path.unlink(missing_ok=True)
        path.touch(mode=0o400)
        path.chmod(0o600)
        path.write_bytes(value)
        path.chmod(0o400)
    return real


def _data(objects: Objects, plural: str, namespace: str, name: str) -> dict[str, bytes]:
    found = objects.find(plural, namespace, name)
    if found is None:
        raise ConfigError(f'{plural.removesuffix("s")} "{name}" not found')
    content = found.get("data") or {}
    if plural == "secrets":
        return {key: base64.b64decode(value) for key, value in content.items()}
    return {key: str(value).encode() for key, value in content.items()}


def _environment(objects: Objects, pod: Object, container: dict[str, Any]) -> dict[str, str]:
    """Environment as the manifest has it."""
    namespace = pod["metadata"]["namespace"]
    result: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for field, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if field in source:
                found = _data(objects, plural, namespace, source[field]["name"])
                result |= {source.get("prefix", "") + key: value.decode() for key, value in found.items()}
    for entry in container.get("env") or ():
        result[entry["name"]] = _expanded(_value(objects, pod, entry), result)
    return result


def _value(objects: Objects, pod: Object, entry: dict[str, Any]) -> str:
    source = entry.get("valueFrom")
    if not source:
        return str(entry.get("value") or "")
    for field, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        if field in source:
            reference = source[field]
            found = _data(objects, plural, pod["metadata"]["namespace"], reference["name"])
            if reference["key"] not in found:
                raise ConfigError(f"couldn't find key {reference['key']} in {plural} {reference['name']}")
            return found[reference["key"]].decode()
    path = source["fieldRef"]["fieldPath"]
    return str(pod["metadata"].get(path.removeprefix("metadata."), ""))


def _expanded(text: str, environment: dict[str, str]) -> str:
    """Fill in ``$(NAME)``, as Kubernetes does; an unknown name stays."""
    return re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), text)


def _mapped(text: str, mounts: dict[str, str]) -> str:
    """Replace mount paths, where they begin a path, by the real directories."""
    if not mounts:
        return text
    paths = "|".join(re.escape(path) for path in sorted(mounts, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({paths})(?=$|[/\s\"';:,)])", lambda found: mounts[found[1]], text)
