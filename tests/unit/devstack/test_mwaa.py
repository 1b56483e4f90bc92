"""What is handed to managed Airflow: complete, nothing else, and the same bytes every time."""

from __future__ import annotations

import os
import shutil
import zipfile

import pytest

from devstack import mwaa
from devstack.settings import REPO


@pytest.fixture
def sources(tmp_path):
    """A copy of the sources, with what a working copy has besides."""
    copy = tmp_path / "repo"
    for folder in ("dags", "plugins", "include"):
        shutil.copytree(REPO / folder, copy / folder)
    shutil.copy(REPO / "requirements-mwaa.txt", copy)
    litter = copy / "plugins" / "aurora_ops" / "__pycache__"
    litter.mkdir(exist_ok=True)
    (litter / "x.pyc").touch()
    (copy / "dags" / ".ruff_cache").mkdir(exist_ok=True)
    (copy / "dags" / ".ruff_cache" / "CACHEDIR.TAG").touch()
    return copy


def test_zip_has_the_package_its_plugin_and_include(tmp_path):
    dist = mwaa.build(tmp_path / "dist")
    names = set(zipfile.ZipFile(dist / "plugins.zip").namelist())
    assert {".airflowignore", "aurora_ops_plugin.py", "aurora_ops/__init__.py", "aurora_ops/waiters/rds.json"} <= names
    assert {"include/config/staging.yaml", "include/sql/masking/shop/columns.yaml"} <= names
    for folder, prefix in (("plugins", ""), ("include", "include/")):
        there = {prefix + path.relative_to(REPO / folder).as_posix() for path in (REPO / folder).rglob("*.*")}
        there = {name for name in there if "__pycache__" not in name}
        assert there - {name for name in there if (REPO / folder / name.removeprefix(prefix)).is_dir()} <= names


def test_dags_and_requirements_are_beside_it(tmp_path):
    dist = mwaa.build(tmp_path / "dist")
    shipped = {path.relative_to(dist / "dags") for path in (dist / "dags").rglob("*.py")}
    assert shipped == {path.relative_to(REPO / "dags") for path in (REPO / "dags").rglob("*.py")}
    assert (dist / "requirements.txt").read_bytes() == (REPO / "requirements-mwaa.txt").read_bytes()


def test_the_same_sources_give_the_same_bytes(sources, tmp_path):
    first = (mwaa.build(tmp_path / "one", sources) / "plugins.zip").read_bytes()
    for path in sources.rglob("*"):
        os.utime(path, (0, 1_000_000_000))
        path.chmod(0o755)
    assert (mwaa.build(tmp_path / "two", sources) / "plugins.zip").read_bytes() == first


def test_what_no_longer_is_goes(sources, tmp_path):
    (tmp_path / "dist" / "dags").mkdir(parents=True)
    (tmp_path / "dist" / "dags" / "gone.py").touch()
    dist = mwaa.build(tmp_path / "dist", sources)
    assert not (dist / "dags" / "gone.py").exists()
    shipped = [*zipfile.ZipFile(dist / "plugins.zip").namelist(), *map(str, dist.rglob("*"))]
    assert not [name for name in shipped if "__pycache__" in name or "ruff" in name]
