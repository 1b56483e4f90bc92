"""The tree loads where others put it, and loading it does nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack.settings import REPO
from tests import layouts

QUIET = """
import socket, sys, threading
def refused(self, address):
    raise SystemExit(f"an import connects to {address}")
socket.socket.connect = refused
import airflow
before = {thread.name for thread in threading.enumerate()}
import importlib, pkgutil
import aurora_ops
for info in pkgutil.walk_packages(aurora_ops.__path__, "aurora_ops."):
    importlib.import_module(info.name)
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from aurora_ops.hooks.base import _shared_session
assert _shared_session.cache_info().currsize == 0, "an import makes a session"
after = {thread.name for thread in threading.enumerate()}
assert after == before, after - before
loaded = [name for name in sys.modules if name.startswith(("airflow.jobs", "airflow.dag_processing", "airflow.executors"))]
print("scheduler" if any("scheduler" in name for name in loaded) else "quiet")
"""


@pytest.mark.parametrize("layout", [layouts.managed, layouts.astronomer, layouts.image], ids=lambda one: one.__name__)
def test_every_dag_loads(layout, bag, tmp_path) -> None:
    laid_out = layout(tmp_path)
    found = laid_out.load()
    assert found["errors"] == {}
    assert found["dags"] == {dag_id: len(dag.tasks) for dag_id, dag in bag.dags.items()}
    assert "refused" not in found["tags"]
    assert "aurora_ops" in found["plugins"]
    assert Path(found["package"]).is_relative_to(laid_out.home / "plugins")
    place = "plugins/include" if layout is layouts.managed else "include"
    assert Path(found["include"]) == laid_out.home / place
    assert str(REPO) not in str(found)


def test_package_imports_in_a_worker_and_does_nothing(tmp_path) -> None:
    """A Celery worker or a triggerer imports it without a scheduler, a database or a network."""
    laid_out = layouts.managed(tmp_path)
    assert laid_out.run("-c", QUIET).split()[-1] == "quiet"
