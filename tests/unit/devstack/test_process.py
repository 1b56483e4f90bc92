"""No process of ours outlives us, and no process of anyone else is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from devstack import process, waiting
from devstack.settings import REPO

IDLE = "import signal; signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


@pytest.fixture
def spawn(tmp_path):
    children = []

    def start(name, code, *, marker=None):
        env = {**os.environ, process.MARKER: str(marker or tmp_path)}
        child = process.spawn(
            name,
            [sys.executable, "-c", code],
            env=env,
            cwd=tmp_path,
            log=tmp_path / f"{name}.log",
            pid_dir=tmp_path / "run",
        )
        children.append(child)
        return child

    yield start
    for child in children:
        process.kill_session(child.popen.pid)
        child.popen.wait()


def wait_gone(pid):
    return waiting.until(lambda: not process.alive(pid), what=f"process {pid} to end", timeout_s=10, every_s=0.02)


def printed(child):
    return waiting.until(lambda: child.log.read_text().strip(), what="output", timeout_s=10, every_s=0.02)


def test_stop_ends_children_and_forgets_them(spawn):
    children = [spawn("one", IDLE), spawn("two", IDLE)]
    process.stop(children, grace_s=10)
    assert all(child.exit_code == -signal.SIGTERM for child in children)
    assert not any(child.pid_file.exists() for child in children)


def test_stop_kills_what_does_not_listen_and_its_children(spawn):
    code = (
        f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {IDLE!r}]).pid, flush=True)\n"
        + STUBBORN
    )
    child = spawn("stubborn", code)
    waiting.until(lambda: "up" in child.log.read_text(), what="output", timeout_s=10)
    grandchild = int(child.log.read_text().split()[0])
    process.stop([child], grace_s=0.2)
    assert child.exit_code == -signal.SIGKILL
    wait_gone(grandchild)


def test_children_of_a_killed_parent_end(tmp_path):
    code = f"""
        import os, signal, sys
        from pathlib import Path
        from devstack import process
        here, idle = Path({str(tmp_path)!r}), [sys.executable, "-c", {IDLE!r}]
        child = process.spawn("c", idle, env=os.environ, cwd=here, log=here / "log", pid_dir=here)
        print(child.popen.pid, flush=True)
        signal.pause()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=REPO, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert process.alive(child)
    parent.kill()
    parent.wait()
    wait_gone(child)


def test_sweep_ends_what_a_crash_left(spawn, tmp_path):
    child = spawn("left", IDLE)
    assert process.sweep(tmp_path / "run", tmp_path, grace_s=5) == ["left"]
    assert child.popen.wait(10) == -signal.SIGTERM
    assert not child.pid_file.exists()


def test_sweep_ends_a_session_whose_leader_is_dead(spawn, tmp_path):
    code = (
        f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {IDLE!r}], env={{}}).pid, flush=True)"
    )
    child = spawn("leader", code)
    orphan = int(printed(child))
    child.popen.wait()
    assert process.alive(orphan)
    process.sweep(tmp_path / "run", tmp_path, grace_s=5)
    wait_gone(orphan)


def test_sweep_ends_strays_by_their_marker(spawn, tmp_path):
    child = spawn("stray", IDLE)
    child.pid_file.unlink()
    printed_nothing = process.sweep(tmp_path / "run", tmp_path, grace_s=5)
    assert printed_nothing == [f"pid {child.popen.pid}"]
    assert child.popen.wait(10) == -signal.SIGTERM


def test_sweep_spares_a_process_that_got_the_number_of_ours(spawn, tmp_path):
    other = spawn("other", IDLE, marker="/another/stack")
    other.pid_file.unlink()
    stale = {"name": "old", "pid": other.popen.pid, "started": 1.0, "signal": 15}
    (tmp_path / "run" / "old.json").write_text(json.dumps(stale))
    assert process.sweep(tmp_path / "run", tmp_path, grace_s=1) == []
    assert other.exit_code is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_broken_pid_file_is_no_process(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    assert process.read(tmp_path / "x.json") is None
