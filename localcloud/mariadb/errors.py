"""What can go wrong with the database engine behind localcloud."""

from __future__ import annotations


class EngineError(Exception):
    """The engine cannot do what was asked; the message names the remedy."""


class MariaDBNotFoundError(EngineError):
    """No complete MariaDB (server, installer, client, tools for backups) was found on this machine."""
