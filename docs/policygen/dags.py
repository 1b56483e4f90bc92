"""The DAGs of this repository, parsed as Airflow parses them, without its services."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policygen.errors import GenerationError


@contextmanager
def quiet_airflow() -> Iterator[None]:
    """Have Airflow write its files where nobody keeps them, and say only what is wrong. Before Airflow is imported."""
    with tempfile.TemporaryDirectory(prefix="aurora-ops-docs-") as home:
        os.environ.setdefault("AIRFLOW_HOME", home)
        os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
        yield


def read_dags(folder: Path) -> list[Any]:
    """Parse every DAG file below a folder.

    :raises GenerationError: a file cannot be parsed.
    """
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(folder)
    if bag.import_errors:
        raise GenerationError("; ".join(f"{file}: {error}" for file, error in bag.import_errors.items()))
    return [bag.dags[dag_id] for dag_id in sorted(bag.dags)]
