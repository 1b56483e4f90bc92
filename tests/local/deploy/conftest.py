"""Environments as the images have them: what their requirements say, and nothing else. Built once, kept in ``.local``."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack.bootstrap import clean_env
from devstack.settings import REPO

MANAGED = ("apache-airflow==3.3.1", "apache-airflow-providers-amazon[aiobotocore]==9.34.0")
"""What managed Airflow 3.3.1 has, of what we need."""
ITS_DAY = "2026-08-31"
"""No package of that image is newer."""
UNREACHABLE = re.compile(r"error sending request|dns error|Could not connect|timed out|Network is unreachable", re.I)
BuildEnv = Callable[..., Path]


def build_env(name: str, *requirements: str) -> Path:
    """Install packages into an environment of their own and return its interpreter.

    :param requirements: arguments of ``uv pip install``.
    """
    uv = Path(sys.executable).with_name("uv")
    read = [Path(REPO / word).read_text() if (REPO / word).is_file() else word for word in requirements]
    key = hashlib.sha256("\n".join([sys.version, *read]).encode()).hexdigest()[:12]
    folder = REPO / ".local" / "deploy" / f"{name}-{key}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        ["venv", "--quiet", "--python", sys.executable, folder],
        ["pip", "install", "--quiet", "--compile-bytecode", "--python", python, *requirements],
    ):
        done = subprocess.run([uv, *command], cwd=REPO, env=clean_env(), capture_output=True, text=True, check=False)
        if done.returncode and UNREACHABLE.search(done.stderr):
            pytest.skip(f"the package registry cannot be reached: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr
    (folder / "complete").touch()
    return python


@pytest.fixture(scope="session")
def production_python() -> Path:
    """Python of the Airflow image."""
    return build_env("image", "-r", "requirements-image.txt")


@pytest.fixture(scope="session")
def managed_python() -> Path:
    """Python of managed Airflow after it has installed our requirements."""
    return build_env("managed", "--exclude-newer", ITS_DAY, *MANAGED, "-r", "requirements-mwaa.txt")


@pytest.fixture(scope="session")
def localcloud_python() -> Path:
    """Python of localcloud's image."""
    return build_env("localcloud", "-r", "requirements-localcloud.txt")
