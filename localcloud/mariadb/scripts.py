"""Read the SQL files that localcloud brings along."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def statements(path: Path) -> list[str]:
    """Return the statements of one of localcloud's own files.

    The files are written for the mysql client with one ``DELIMITER $$`` at the top, and hold no ``$$`` in data; so no
    parser is needed here.

    :param path: the file, UTF-8.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.upper().startswith("DELIMITER "))
    return [piece.strip() for piece in text.split("$$") if piece.strip()]
