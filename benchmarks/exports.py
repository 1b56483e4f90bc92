"""A stack of its own for the benchmarks of snapshot exports."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from devstack.settings import REPO, StackConfig, free_port
from devstack.stack import Stack, clean

DAGS = REPO / "dags" / "export"


@contextmanager
def running(
    name: str, dag: str, settle: Callable[[Path], None], *, wait_s: float, poll_s: float, seed_rows: int
) -> Iterator[Stack]:
    """Run a stack with one DAG of exports, in a folder of its own that is emptied before.

    :param name: folder, below ``.local``.
    :param dag: name of the DAG's file.
    :param settle: changes the settings in a copy of ``include``.
    :param wait_s: unit of localcloud's waits.
    :param poll_s: how often waits look.
    :param seed_rows: rows of production's database.
    """
    home = REPO / ".local" / name
    config = replace(
        StackConfig.from_env({}),
        home=home,
        dags=home / "dags",
        include=home / "include",
        airflow_port=free_port(),
        cloud_port=free_port(),
        db_port=free_port(everywhere=True),
        wait_s=wait_s,
        poll_s=poll_s,
        seed_rows=seed_rows,
    )
    clean(config)  # also Airflow's database of a run before, which root has in another folder
    shutil.rmtree(home, ignore_errors=True)
    (home / "dags").mkdir(parents=True)
    shutil.copy(DAGS / dag, home / "dags")
    shutil.copytree(REPO / "include", home / "include")
    settle(home / "include")
    stack = Stack(config, lambda line: print(line, flush=True))
    stack.claim()
    with stack.until_signal():
        stack.start_seeded()
        yield stack
    clean(config)
