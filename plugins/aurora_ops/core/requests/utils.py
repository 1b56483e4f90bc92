"""Requests of the utility workflows."""

from __future__ import annotations

from aurora_ops.core.requests.tools import CleanupAndStop, Notify, PrepareRefresh, TagResources

__all__ = ["CleanupAndStop", "Notify", "PrepareRefresh", "TagResources"]
