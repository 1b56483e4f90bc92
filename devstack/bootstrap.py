"""Install what the demo and the tests need, below this folder: a virtual environment and MariaDB.

Runs under any Python from 3.11 on with nothing installed; says each step and its seconds; does nothing twice.
Usage: ``python3 devstack/bootstrap.py``
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 14)
REPO = Path(__file__).resolve().parent.parent
VENV = REPO / ".venv"
STAMP = VENV / "installed"
REQUIREMENTS = REPO / "requirements.txt"
MARIADB = REPO / ".local" / "mariadb" / "root"


class BootstrapError(Exception):
    """Something is missing on this machine; the message says what to do."""


def main() -> int:
    """Install everything and return the exit code."""
    began = time.monotonic()
    try:
        check_python(sys.version_info[:2])
        python = create_venv()
        if install_requirements(python):
            compile_bytecode(python)
            STAMP.write_text(fingerprint(python))
        step("MariaDB", [python, "-m", "localcloud.mariadb.install", "--prefix", MARIADB], show=True)
    except BootstrapError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"installed ({time.monotonic() - began:.1f} s)", flush=True)
    return 0


def check_python(version: tuple[int, ...]) -> None:
    """Refuse a Python that Airflow does not run on.

    :raises BootstrapError: it is too old or too new.
    """
    if not OLDEST <= tuple(version) <= NEWEST:
        have, least, most = (".".join(map(str, v)) for v in (version, OLDEST, NEWEST))
        raise BootstrapError(
            f"Python {have} ({sys.executable}) cannot run this; use {least} to {most}: `make PYTHON=python{least} ...`"
        )


def clean_env() -> dict[str, str]:
    """Return the environment for our commands: able to write byte code, with a usable cache folder."""
    ignored = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX")
    env = {key: value for key, value in os.environ.items() if key not in ignored}
    home = env.get("HOME", "")
    if not home or not os.access(home, os.W_OK):
        cache = REPO / ".local" / "cache"
        env |= {"HOME": str(cache), "UV_CACHE_DIR": str(cache / "uv"), "PIP_CACHE_DIR": str(cache / "pip")}
        cache.mkdir(parents=True, exist_ok=True)
    # The machine's own certificates, for networks that have an authority of their own.
    return env | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_SYSTEM_CERTS": "1"}


def run(command: list[str | Path], *, show: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository; its output is kept unless ``show``."""
    argv = [str(part) for part in command]
    return subprocess.run(argv, cwd=REPO, env=clean_env(), check=False, text=True, capture_output=not show)


def step(what: str, command: list[str | Path], *, show: bool = False) -> None:
    """Run a command as a named step.

    :raises BootstrapError: it failed; the end of its output is in the message.
    """
    began = time.monotonic()
    print(f"{what} ...", flush=True)
    done = run(command, show=show)
    if done.returncode != 0:
        output = "" if show else "\n" + "\n".join((done.stdout + done.stderr).splitlines()[-20:])
        raise BootstrapError(f"{what} failed with code {done.returncode}{output}")
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)


def works(python: Path) -> bool:
    """Whether an interpreter starts."""
    return python.exists() and run([python, "-c", "pass"]).returncode == 0


def create_venv() -> Path:
    """Create the virtual environment unless there is one that works, and return its interpreter."""
    python = VENV / "bin" / "python"
    moved = STAMP.exists() and not STAMP.read_text().endswith(str(VENV))
    if works(python) and not moved:
        return python
    shutil.rmtree(VENV, ignore_errors=True)
    uv = shutil.which("uv")
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        step("virtual environment", [sys.executable, "-m", "venv", VENV])
    elif uv:
        step("virtual environment (uv)", [uv, "venv", "--quiet", "--python", sys.executable, VENV])
    elif importlib.util.find_spec("virtualenv"):
        step("virtual environment (virtualenv)", [sys.executable, "-m", "virtualenv", "--quiet", VENV])
    else:
        version = ".".join(map(str, sys.version_info[:2]))
        raise BootstrapError(
            "this Python cannot create virtual environments (no ensurepip). Do one of: "
            f"`apt-get install python{version}-venv` as root; put `uv` (one file, no root needed) on the PATH; "
            "`python3 -m pip install --user virtualenv`"
        )
    return python


def fingerprint(python: Path) -> str:
    """Return what the installation depends on; it ends with the folder, since scripts in it name that."""
    version = run([python, "-c", "import platform; print(platform.python_version())"]).stdout.strip()
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    return f"{digest} {version} {platform.machine()} {VENV}"


def install_requirements(python: Path) -> bool:
    """Install the pinned packages and return whether there was anything to do."""
    if STAMP.exists() and STAMP.read_text() == fingerprint(python):
        return False
    STAMP.unlink(missing_ok=True)
    uv: str | Path | None = shutil.which("uv")
    if uv is None:
        if run([python, "-c", "import pip"]).returncode != 0:  # somebody else's venv
            run([python, "-m", "ensurepip"])
        if run([python, "-m", "pip", "install", "--quiet", "uv"]).returncode == 0:
            uv = VENV / "bin" / "uv"
        else:
            print("uv cannot be installed here; pip takes a few minutes", flush=True)
    by_pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-compile", "-r", REQUIREMENTS]
    if uv is None:
        step("packages (pip)", by_pip)
        return True
    try:
        step("packages (uv)", [uv, "pip", "install", "--quiet", "--python", python, "-r", REQUIREMENTS])
    except BootstrapError as error:
        print(f"{error}\ntrying pip, which takes a few minutes", flush=True)
        step("packages (pip)", by_pip)
    return True


def compile_bytecode(python: Path) -> None:
    """Compile all packages: else each of Airflow's processes compiles a thousand modules at every start.

    Packages ship templates and samples that are no valid Python; a failure to compile those is of no interest.
    """
    began = time.monotonic()
    print("byte code ...", flush=True)
    run([python, "-m", "compileall", "-q", "-j", "0", VENV / "lib"])
    print(f"byte code: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
