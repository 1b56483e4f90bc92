"""One stack per folder, and none takes another's ports."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import pytest

from devstack import process
from devstack.errors import StackError
from devstack.settings import StackConfig, free_port
from devstack.stack import Stack, describe, down


@pytest.fixture
def config(tmp_path):
    port = free_port(everywhere=True)
    return StackConfig(tmp_path / "a", tmp_path, tmp_path, free_port(), free_port(), port, 0.2, 0.5, 3000)


@pytest.fixture
def claimed(config):
    stack = Stack(config)
    stack.claim()
    yield stack
    stack.stop()


def test_a_second_stack_in_the_same_folder_is_refused(claimed, config):
    with pytest.raises(StackError, match="make down"):
        Stack(config).claim()


def test_a_second_stack_never_gets_the_same_database_port(claimed, config, tmp_path):
    assert free_port(config.db_port, everywhere=True) > config.db_port
    with pytest.raises(StackError, match=f"port {config.db_port} has just been taken"):
        Stack(dataclasses.replace(config, home=tmp_path / "b")).claim()


def test_stop_lets_go_of_folder_and_port(claimed, config):
    claimed.stop()
    assert free_port(config.db_port, everywhere=True) == config.db_port
    again = Stack(config)
    again.claim()
    again.stop()


def test_status_names_the_process(claimed, config):
    assert describe(config) == f"pid {os.getpid()}, starting"
    claimed.stop()
    assert describe(config) == "no process"


def test_a_component_that_ends_is_named_with_its_log(claimed, tmp_path):
    code = "print('out of memory'); raise SystemExit(3)"
    child = process.spawn(
        "scheduler",
        [sys.executable, "-c", code],
        env=os.environ,
        cwd=tmp_path,
        log=tmp_path / "scheduler.log",
        pid_dir=claimed.config.pids,
    )
    claimed.children.append(child)
    child.popen.wait()
    with pytest.raises(StackError, match=r"scheduler ended with code 3; log .*scheduler\.log:\nout of memory"):
        claimed.check()


def test_down_ends_a_stack_that_died(config):
    code = "import signal; signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as left:
        process.record("scheduler", left.pid, config.pids)
        said: list[str] = []
        down(config, said.append)
        assert left.wait(10) != 0
    assert said == ["ended what was left behind: scheduler"]


def test_down_with_nothing_to_end_says_nothing(config):
    said: list[str] = []
    down(config, said.append)
    assert said == []
