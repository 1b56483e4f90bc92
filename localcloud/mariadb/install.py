"""Obtain MariaDB: ``python -m localcloud.mariadb.install --prefix DIR``. Needs the standard library only.

In this order: what is there already; the distribution's packages unpacked into a folder, which needs no root and
leaves the system as it is; the system's package manager, if we are root or sudo asks for no password. Running it again
does nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from localcloud.mariadb import binaries
from localcloud.mariadb.errors import MariaDBNotFoundError

MARKER = ".unpacked-by-localcloud"
_PACKAGES = ("mariadb-server", "mariadb-backup")
_DEPENDENCIES_ONLY = tuple(
    f"--no-{kind}" for kind in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
)
_COMMAND_TIMEOUT_S = 600
_SYSTEM_COMMANDS = {
    "apt-get": (
        ("apt-get", "update"),
        ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends", *_PACKAGES),
    ),
    "dnf": (("dnf", "install", "-y", *_PACKAGES),),
    "yum": (("yum", "install", "-y", *_PACKAGES),),
}
_REMEDY = """Install it yourself, then run `make install` again:
  Debian, Ubuntu:  sudo apt-get update && sudo apt-get install -y mariadb-server mariadb-backup
  Fedora, RHEL:    sudo dnf install -y mariadb-server mariadb-backup
  macOS:           brew install mariadb
or unpack it so that {prefix}/usr/sbin/mariadbd is there, or elsewhere with MARIADB_PREFIX naming the folder."""


class _CannotError(Exception):
    """One way of obtaining MariaDB does not work here; the next is tried."""


def main(arguments: list[str] | None = None) -> int:
    """Obtain MariaDB and say what is done; return 0 if there is one that runs, else 1 after saying what to do."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.mariadb.install", description=__doc__)
    parser.add_argument("--prefix", type=Path, default=binaries.DEFAULT_PREFIX, help="where to unpack (%(default)s)")
    prefix = parser.parse_args(arguments).prefix.resolve()
    failures: list[str] = []
    for way in (_use_present, _unpack, _install_on_system):
        try:
            _say(way(prefix))
        except _CannotError as error:
            failures.append(str(error))
        else:
            return 0
    _say("MariaDB could not be obtained. Tried, in this order:")
    for number, failure in enumerate(failures, 1):
        _say(f"  {number}. {failure}")
    _say(_REMEDY.format(prefix=prefix))
    return 1


def _use_present(prefix: Path) -> str:
    try:
        found = binaries.find(prefix)
    except MariaDBNotFoundError as error:
        raise _CannotError(f"use what is there: {str(error).split(' Run `make', 1)[0]}") from error
    return f"MariaDB is there: {_version(found)} ({found.server})"


def _unpack(prefix: Path) -> str:
    """Unpack the packages of this Debian or Ubuntu, with package lists, caches and settings of our own."""
    if missing := [name for name in ("apt-get", "apt-cache", "dpkg-deb", "ldd") if not shutil.which(name)]:
        raise _CannotError(f"unpack packages: no {', '.join(missing)} here (not Debian or Ubuntu)")
    work = prefix.with_name(f"{prefix.name}.apt")
    unpacked = prefix.with_name(f"{prefix.name}.unpacking")
    for folder in (work, unpacked):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        archives = _download(work)
        for archive in archives:
            own = archive.name.startswith("mariadb-")
            _run("dpkg-deb", "-x", str(archive), str(unpacked if own else work / "libraries"))
        _add_libraries(unpacked, work / "libraries")
        version = _version(_required(unpacked))
        (unpacked / MARKER).write_text("".join(f"{archive.name}\n" for archive in archives))
        if prefix.exists():  # unusable, else we would not be here; may hold a person's files, so it is kept
            aside = prefix.with_name(f"{prefix.name}.unusable")
            shutil.rmtree(aside, ignore_errors=True)
            prefix.rename(aside)
        unpacked.rename(prefix)
    except _CannotError as error:
        raise _CannotError(f"unpack packages into {prefix}: {error}") from error
    finally:
        for folder in (work, unpacked):
            shutil.rmtree(folder, ignore_errors=True)
    return f"MariaDB unpacked into {prefix}: {version} ({len(archives)} packages, the system is unchanged)"


def _download(work: Path) -> list[Path]:
    """Download the packages that this machine lacks to run MariaDB."""
    for folder in ("state/lists/partial", "cache/archives/partial", "packages", "libraries"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    settings = work / "apt.conf"
    # Read after the machine's own settings, so its sources, keys and proxies stay as they are. Hooks of the machine
    # (docker-clean and the like) are about its own caches.
    settings.write_text(
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
        f'Dir::State "{work}/state";\nDir::State::status "{work}/status";\nDir::Cache "{work}/cache";\n'
        f'APT::Sandbox::User "{"root" if os.geteuid() == 0 else ""}";\nDebug::NoLocking "true";\n'
        'Acquire::Languages "none";\nAcquire::Retries "3";\n'
    )
    _say("Downloading the package lists ...")
    try:
        _run("apt-get", "-c", str(settings), "-q", "update")
        update_problem = ""
    except _CannotError as error:  # one dead source of many is no reason to give up
        update_problem = f" (before that: {error})"
    names = _needed(settings)
    if "mariadb-backup" not in names:
        raise _CannotError(f"the package sources of this machine have no {' and '.join(_PACKAGES)}{update_problem}")
    _say(f"Downloading {len(names)} packages ...")
    _run("apt-get", "-c", str(settings), "-q", "download", *names, cwd=work / "packages")
    return sorted((work / "packages").glob("*.deb"))


def _needed(settings: Path) -> list[str]:
    """Return the packages of MariaDB itself, whatever this release calls them, and the libraries not installed here."""
    listing = _run("apt-cache", "-c", str(settings), "depends", "--recurse", *_DEPENDENCIES_ONLY, *_PACKAGES)
    closure = set(re.findall(r"^([a-z0-9][a-z0-9+.-]*)$", listing, re.MULTILINE))
    # names that are only provided by others have no version to download
    policies = _run("apt-cache", "-c", str(settings), "policy", *sorted(closure)) if closure else ""
    real = set(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (?!\(none\))", policies, re.MULTILINE))
    installed = _installed()
    return sorted(
        name
        for name in real
        if name.startswith("mariadb-")
        or (name.startswith("lib") and not name.endswith("-perl") and name not in installed)
    )


def _add_libraries(unpacked: Path, libraries: Path) -> None:
    """Copy the libraries that this machine lacks; only those, since another version of a present one may not fit."""
    target = unpacked / "usr" / "lib" / f"{os.uname().machine}-linux-gnu"
    target.mkdir(parents=True, exist_ok=True)
    programs = [str(path) for path in (unpacked / "usr").glob("*bin/*") if not _is_script(path)]
    available = {path.name: path for path in libraries.rglob("*.so*")}
    while True:
        listing = _run("ldd", *programs, env={**os.environ, "LC_ALL": "C", "LD_LIBRARY_PATH": str(target)})
        missing = set(re.findall(r"^\s*(\S+) => not found", listing, re.MULTILINE))
        if not missing:
            return
        if lacking := missing - set(available):
            raise _CannotError(f"no package here has {', '.join(sorted(lacking))}")
        for name in missing:
            shutil.copy2(available[name], target / name)


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) != b"\x7fELF"


def _installed() -> set[str]:
    listing = _run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n") if shutil.which("dpkg-query") else ""
    return {line.removeprefix("installed ") for line in listing.splitlines() if line.startswith("installed ")}


def _install_on_system(prefix: Path) -> str:
    manager = next((name for name in _SYSTEM_COMMANDS if shutil.which(name)), None)
    if manager is None:
        raise _CannotError(f"install it on the system: none of {', '.join(_SYSTEM_COMMANDS)} here")
    root = _as_root()
    try:
        for command in _SYSTEM_COMMANDS[manager]:
            _say(f"Running {shlex.join([*root, *command])} ...")
            _run(*root, *command)
        found = binaries.find(prefix)
        return f"MariaDB installed on the system with {manager}: {_version(found)}"
    except (_CannotError, MariaDBNotFoundError) as error:
        raise _CannotError(f"install it on the system: {error}") from error


def _as_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    raise _CannotError("install it on the system: we are not root, and sudo is missing or asks for a password")


def _required(prefix: Path) -> binaries.Binaries:
    missing: list[str] = []
    found = binaries.in_prefix(prefix, missing)
    if found is None:
        raise _CannotError(f"the packages lack something: {missing[0]}")
    return found


def _version(found: binaries.Binaries) -> str:
    """Run the programs, to see that all their libraries are there; return the server's version."""
    programs = (found.server, found.backup, found.binlog, found.client)
    version, *_ = [_run(str(program), "--version", env=found.env) for program in programs]
    matched = re.search(r"Ver (\S+)", version)
    return matched[1] if matched else version.strip()


def _run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and return its output."""
    try:
        result = subprocess.run(
            command,
            cwd=cwd,
            env=env if env is not None else {**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _CannotError(f"`{shlex.join(command[:6])}`: {error}") from error
    if result.returncode:
        said = " ".join((result.stderr or result.stdout).split())[-500:]
        raise _CannotError(f"`{shlex.join(command[:6])}` failed with code {result.returncode}: {said}")
    return result.stdout


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
