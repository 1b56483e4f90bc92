"""Installing says what is missing, works without a home, and does nothing twice."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from types import SimpleNamespace

import pytest

from devstack import bootstrap


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Folder to install into, and the commands that would have been run there."""
    commands: list[list[str]] = []

    def run(command, *, show=False):
        commands.append([str(part) for part in command])
        if "venv" in commands[-1]:
            python = tmp_path / ".venv" / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()
        return subprocess.CompletedProcess(command, 0, stdout="3.11.7\n", stderr="")

    monkeypatch.setattr(bootstrap, "REPO", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / ".venv" / "installed")
    monkeypatch.setattr(bootstrap, "REQUIREMENTS", tmp_path / "requirements.txt")
    monkeypatch.setattr(bootstrap, "MARIADB", tmp_path / ".local" / "mariadb" / "root")
    monkeypatch.setattr(bootstrap, "run", run)
    (tmp_path / "requirements.txt").write_text("moto==5.2.5\n")
    return SimpleNamespace(path=tmp_path, commands=commands)


def programs(clone):
    return [" ".join(command[1:4]) for command in clone.commands if "-c" not in command]


@pytest.mark.parametrize("version", [(3, 10), (3, 15), (2, 7)])
def test_a_python_that_airflow_cannot_use_is_refused_with_the_remedy(version):
    with pytest.raises(bootstrap.BootstrapError, match=r"use 3\.11 to 3\.14: `make PYTHON=python3\.11"):
        bootstrap.check_python(version)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)])
def test_a_python_that_airflow_can_use_is_accepted(version):
    bootstrap.check_python(version)


def test_the_second_time_installs_nothing(clone):
    assert bootstrap.main() == 0
    assert any("pip install" in program for program in programs(clone))
    clone.commands.clear()
    assert bootstrap.main() == 0
    assert programs(clone) == ["-m localcloud.mariadb.install --prefix"]


def test_changed_pins_are_installed(clone):
    bootstrap.main()
    clone.commands.clear()
    (clone.path / "requirements.txt").write_text("moto==5.2.6\n")
    assert bootstrap.main() == 0
    assert any("pip install" in program for program in programs(clone))


def test_a_moved_folder_gets_a_new_environment(clone):
    bootstrap.main()
    bootstrap.STAMP.write_text(bootstrap.STAMP.read_text().replace(str(clone.path), "/elsewhere"))
    clone.commands.clear()
    bootstrap.main()
    assert any(program.startswith("-m venv") for program in programs(clone))


def test_an_interrupted_installation_is_done_again(clone, monkeypatch):
    monkeypatch.setattr(bootstrap, "compile_bytecode", lambda _python: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        bootstrap.main()
    assert not bootstrap.STAMP.exists()


def test_a_failed_step_shows_its_output_and_leaves_no_stamp(clone, monkeypatch, capsys):
    def run(command, *, show=False):
        failed = "install" in [str(part) for part in command]
        return subprocess.CompletedProcess(command, int(failed), stdout="", stderr="no matching distribution")

    monkeypatch.setattr(bootstrap, "run", run)
    assert bootstrap.main() == 1
    assert "no matching distribution" in capsys.readouterr().err
    assert not bootstrap.STAMP.exists()


def test_without_any_way_to_make_an_environment_the_remedy_is_named(clone, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda _name: None)
    with pytest.raises(bootstrap.BootstrapError, match=r"apt-get install python3\.\d+-venv"):
        bootstrap.create_venv()


def test_commands_may_write_byte_code_and_need_no_home(clone, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("HOME", "/no/such/home")
    env = bootstrap.clean_env()
    assert not {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"} & set(env)
    assert env["HOME"] == str(clone.path / ".local" / "cache")
    assert os.access(env["HOME"], os.W_OK)


def test_an_existing_home_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert bootstrap.clean_env()["HOME"] == str(tmp_path)
