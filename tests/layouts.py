"""This tree laid out as other homes of Airflow have it, and what Airflow finds there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack import mwaa
from devstack.settings import REPO, ROLES, connection

LOAD = """
import json, sys
import airflow
from airflow.dag_processing.dagbag import DagBag
from airflow import plugins_manager
bag = DagBag()
import aurora_ops
from aurora_ops.dagkit.paths import include
names = [plugin.name for plugin in plugins_manager._get_plugins()[0]]
json.dump({
    "dags": {dag_id: len(dag.tasks) for dag_id, dag in bag.dags.items()},
    "tags": sorted({tag for dag in bag.dags.values() for tag in dag.tags}),
    "errors": bag.import_errors,
    "plugins": names,
    "package": aurora_ops.__file__,
    "include": str(include()),
}, open(sys.argv[1], "w"))
"""
IGNORED = shutil.ignore_patterns("__pycache__", ".*_cache")


@dataclass(frozen=True)
class Layout:
    """An Airflow home with ``dags`` and ``plugins``.

    :param home: AIRFLOW_HOME.
    """

    home: Path

    def env(self) -> dict[str, str]:
        """The environment of Airflow there: its own, and nothing of this repository's."""
        foreign = ("AIRFLOW", "AURORA_OPS", "PYTHONPATH")
        return {key: value for key, value in os.environ.items() if not key.startswith(foreign)} | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.home / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            **{f"AIRFLOW_CONN_{name.upper()}": connection(role) for name, role in ROLES.items()},
        }

    def run(self, *command: str | Path, python: Path | None = None, timeout_s: float | None = None) -> str:
        """Run Python with these arguments, in a folder where nothing is, and return what it printed."""
        elsewhere = self.home.parent / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        done = subprocess.run(
            [python or sys.executable, *command],
            env=self.env(),
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def load(self, python: Path | None = None) -> dict[str, Any]:
        """Parse every DAG in a process of its own and return what it found."""
        found = self.home.parent / "found.json"
        self.run("-c", LOAD, found, python=python)
        return dict(json.loads(found.read_text()))


def managed(root: Path) -> Layout:
    """Managed Airflow: what ``make mwaa`` built, the zip unpacked into ``plugins``, no ``include``."""
    dist = mwaa.build(root / "dist")
    home = root / "usr" / "local" / "airflow"
    shutil.copytree(dist / "dags", home / "dags")
    with zipfile.ZipFile(dist / "plugins.zip") as archive:
        archive.extractall(home / "plugins")
    shutil.rmtree(dist)
    return Layout(home)


def astronomer(root: Path) -> Layout:
    """An Astronomer project: ``dags``, ``plugins`` and ``include`` as they are, with that project's own files."""
    home = root / "project"
    for folder in ("dags", "plugins", "include"):
        shutil.copytree(REPO / folder, home / folder, ignore=IGNORED)
    shutil.copy(REPO / "requirements-mwaa.txt", home / "requirements.txt")
    (home / "packages.txt").touch()
    (home / "Dockerfile").write_text("FROM astrocrpublic.azurecr.io/runtime:3.3-1\n")
    return Layout(home)


def image(root: Path) -> Layout:
    """The image of the Dockerfile: the folders that it copies, where it copies them."""
    home = root / "opt" / "airflow"
    for folder in ("dags", "plugins", "include"):
        shutil.copytree(REPO / folder, home / folder, ignore=IGNORED)
    return Layout(home)
