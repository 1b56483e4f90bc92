"""Where the files that go with the package are."""

from __future__ import annotations

import os
from pathlib import Path

_PLUGINS = Path(__file__).resolve().parents[2]


def include() -> Path:
    """Find the ``include`` folder.

    In order: ``AURORA_OPS_INCLUDE``; beside ``plugins/`` (this repository, compose, Astronomer); inside it (managed Airflow, which
    has ``dags/`` and ``plugins.zip`` only).

    :raises FileNotFoundError: it is in none of these places.
    """
    given = os.environ.get("AURORA_OPS_INCLUDE")
    places = [Path(given)] if given else [_PLUGINS.parent / "include", _PLUGINS / "include"]
    for place in places:
        if (place / "sql").is_dir():
            return place
    raise FileNotFoundError(f"no include folder in {[str(place) for place in places]}; set AURORA_OPS_INCLUDE")
