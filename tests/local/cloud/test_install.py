"""Obtaining MariaDB: what is there is used, what cannot be had is explained."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from localcloud.mariadb import binaries, install

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = ("mariadbd", "mariadb-install-db", "mariadb-backup", "mariadb-binlog", "mariadb")


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no MariaDB and no programs at all; returns the folder on its PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("MARIADB_PREFIX", raising=False)
    monkeypatch.setattr(binaries, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(binaries, "DEFAULT_PREFIX", tmp_path / "default")
    return programs


def program(folder: Path, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{body}\n")
    (folder / name).chmod(0o755)


def test_what_is_there_is_used_and_nothing_downloaded(
    bare_machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in PROGRAMS:
        program(bare_machine, name, "echo Ver 10.11.1-MariaDB")
    program(bare_machine, "apt-get", "touch called; exit 1")
    for _ in range(2):
        assert install.main(["--prefix", str(tmp_path / "prefix")]) == 0
        assert "MariaDB is there: 10.11.1-MariaDB" in capsys.readouterr().out
    assert not (tmp_path / "prefix").exists()


@pytest.mark.parametrize("missing", PROGRAMS)
def test_all_programs_are_needed_and_the_missing_one_is_named(
    bare_machine: Path, tmp_path: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in {*PROGRAMS} - {missing}:
        program(bare_machine, name, "echo Ver 10.11.1-MariaDB")
    assert install.main(["--prefix", str(tmp_path / "prefix")]) == 1
    assert f"on PATH: no {missing}" in capsys.readouterr().out


def test_every_way_that_failed_is_named_with_the_remedy(
    bare_machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert install.main(["--prefix", str(tmp_path / "prefix")]) == 1
    said = capsys.readouterr().out
    for part in (
        "1. use what is there: MariaDB was not found",
        "2. unpack packages: no apt-get, apt-cache, dpkg-deb, ldd here",
        "3. install it on the system: none of apt-get, dnf, yum here",
        "sudo apt-get install -y mariadb-server mariadb-backup",
        "sudo dnf install",
        "MARIADB_PREFIX",
    ):
        assert part in said


def test_server_that_does_not_run_is_not_good_enough(
    bare_machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in PROGRAMS:
        program(bare_machine, name, "echo libaio.so.1: cannot open shared object file >&2; exit 127")
    assert install.main(["--prefix", str(tmp_path / "prefix")]) == 1
    assert "failed with code 127: libaio.so.1" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() != 0, reason="the way of root")
def test_system_packages_are_the_last_resort(
    bare_machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = " ".join(PROGRAMS)
    write = f"printf '#!/bin/sh\\necho Ver 11.4\\n' > {bare_machine}/$p; /bin/chmod 755 {bare_machine}/$p"
    program(bare_machine, "dnf", f"for p in {names}; do {write}; done")
    assert install.main(["--prefix", str(tmp_path / "prefix")]) == 0
    said = capsys.readouterr().out
    assert "Running dnf install -y mariadb-server mariadb-backup" in said
    assert "installed on the system with dnf: 11.4" in said


@pytest.mark.skipif(not shutil.which("apt-get"), reason="Debian and Ubuntu only")
def test_dead_package_sources_leave_nothing_behind(
    bare_machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("apt-get", "apt-cache", "ldd"):
        program(bare_machine, name, "echo no route to host >&2; exit 100")
    program(bare_machine, "dpkg-deb", "exit 1")
    monkeypatch.setattr(install, "_SYSTEM_COMMANDS", {})
    assert install.main(["--prefix", str(tmp_path / "prefix")]) == 1
    assert "2. unpack packages into" in (said := capsys.readouterr().out)
    assert "no route to host" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["programs"]
