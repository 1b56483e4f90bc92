"""Environments as DAG files see them: their settings, or why there are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aurora_ops.core import environments
from aurora_ops.core.errors import PermanentError
from aurora_ops.core.settings import Environment
from aurora_ops.dagkit.paths import include


@dataclass(frozen=True)
class Configured:
    """An environment that has a file.

    :param name: the file's name.
    :param path: the file.
    :param settings: what it says; ``None`` where it is wrong.
    :param problem: why it is wrong.
    """

    name: str
    path: Path
    settings: Environment | None
    problem: str = ""


def configured() -> Iterator[Configured]:
    """Read every file in ``include/config``; a wrong one must not take the others' DAGs away."""
    folder = include() / "config"
    for name in environments.names(folder):
        path = folder / f"{name}.yaml"
        try:
            yield Configured(name, path, environments.resolve(environments.read(path)).settings)
        except PermanentError as exc:
            yield Configured(name, path, None, str(exc))
