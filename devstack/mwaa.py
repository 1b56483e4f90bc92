"""``make mwaa``: what managed Airflow takes: a folder of DAGs, ``plugins.zip`` and ``requirements.txt``, in ``dist/mwaa``.

The same sources give the same bytes, so that a deployment that compares finds a change only where there is one.
Managed Airflow has no ``include/``: the zip carries it beside the package, where ``dagkit.paths`` looks second.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from devstack.settings import REPO

DIST = REPO / "dist" / "mwaa"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Time of every entry: the first that a zip can tell."""
ONLY_HERE = {"__pycache__", "ruff.toml"}
"""Names that say nothing to Airflow; neither does what is hidden, but for this one."""
NEEDED = ".airflowignore"


def files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that are shipped, in a fixed order.

    :param folder: ``plugins``, ``include`` or ``dags``.
    """
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        parts = path.relative_to(folder).parts
        hidden = [part for part in parts if part.startswith(".") and part != NEEDED]
        if path.is_file() and not hidden and not ONLY_HERE & set(parts):
            yield path


def write_zip(target: Path, plugins: Path, include: Path) -> None:
    """Write ``plugins.zip``: what is in ``plugins``, and ``include`` as a folder.

    :param target: file to write.
    """
    entries = [(path.relative_to(plugins).as_posix(), path) for path in files(plugins)]
    entries += [(f"include/{path.relative_to(include).as_posix()}", path) for path in files(include)]
    with zipfile.ZipFile(target, "w") as archive:
        for name, path in sorted(entries):
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def build(dist: Path = DIST, repo: Path = REPO) -> Path:
    """Build everything anew and return the folder.

    :param dist: folder to write; what it held is removed.
    :param repo: the sources.
    """
    shutil.rmtree(dist, ignore_errors=True)
    for path in files(repo / "dags"):
        copy = dist / "dags" / path.relative_to(repo / "dags")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    write_zip(dist / "plugins.zip", repo / "plugins", repo / "include")
    shutil.copyfile(repo / "requirements-mwaa.txt", dist / "requirements.txt")
    return dist


def main() -> int:
    """Build and say what was built."""
    dist = build()
    for path in sorted(dist.rglob("*")):
        if path.is_file():
            print(f"{path.stat().st_size:>9,}  {path.relative_to(REPO)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
