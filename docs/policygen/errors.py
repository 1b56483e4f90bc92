"""What can go wrong."""

from __future__ import annotations


class GenerationError(Exception):
    """Policies cannot be made; the message says what to declare where."""
