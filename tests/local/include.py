"""The folder ``include`` as tests use it: a copy that they may change."""

from __future__ import annotations

import shutil
from pathlib import Path

from devstack.settings import REPO


def place_include(folder: Path, *, along: bool) -> Path:
    """Copy ``include``.

    :param folder: where to; what is there is replaced.
    :param along: whether a refresh of staging takes files and jobs along. Most tests are about databases and are quicker without.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(REPO / "include", folder)
    if not along:
        file = folder / "config" / "staging.yaml"
        text = file.read_text(encoding="utf-8")
        for section in ("files:\n", "eks:\n"):
            assert text.count(f"\n{section}") == 1, section
            text = text.replace(f"\n{section}", f"\n{section}  with_refresh: false\n")
        file.write_text(text, encoding="utf-8")
    return folder
