"""What every test needs before Airflow is imported: a home of its own, fake keys, the connections of the local stack."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from devstack.settings import REPO, ROLES, connection

_HOME = tempfile.TemporaryDirectory(prefix="aurora-ops-tests-")
_NOWHERE = str(Path(_HOME.name) / "no-such-file")

# Tests on a real account (tests/aws) bring connections and credentials of their own.
_REAL = bool(os.environ.get("AURORA_OPS_TEST_AWS"))
_FAKE_AWS = {
    "AWS_ACCESS_KEY_ID": "AKIAFAKEFAKEFAKEFAKE",
    "AWS_SECRET_ACCESS_KEY": "fake",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_CONFIG_FILE": _NOWHERE,
    "AWS_SHARED_CREDENTIALS_FILE": _NOWHERE,
    "AWS_EC2_METADATA_DISABLED": "true",
} | {f"AIRFLOW_CONN_{name.upper()}": connection(role) for name, role in ROLES.items()}

for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "AWS_", "AURORA_OPS_")) and not _REAL]:
    del os.environ[_name]
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME.name,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPO / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
    | ({} if _REAL else _FAKE_AWS)
)

# What shares a running localcloud or Airflow stays in one process of pytest-xdist: the folder below tests/local tells.
_STACK = ("tests/local/refresh/", "tests/local/devstack/test_running_stack.py")


class ByStack(LoadScopeScheduling):
    """Hands out the tests of ``tests/local`` by what they share, all others one by one.

    Of its own, since the groups of ``--dist loadgroup`` are not seen under pytest 9.2 (pytest-xdist 3.8).
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        if not path.startswith("tests/local/"):
            return nodeid
        return "stack" if path.startswith(_STACK) else path.split("/")[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the build, play once more what failed with real processes; the first failure is printed and counted as a rerun."""
    if os.environ.get("CI"):
        for item in items:
            if item.get_closest_marker("local"):
                item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say at once what failed: a run that is cut off has no summary."""
    if (report.failed or report.outcome == "rerun") and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.__stdout__.write(f"\n{report.nodeid} ({report.when}): {report.longreprtext[-1500:]}\n")
        sys.__stdout__.flush()


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByStack:
    """Schedule tests by what they share."""
    return ByStack(config, log)
