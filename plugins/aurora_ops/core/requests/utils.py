"""Requests of the utility workflows."""

from __future__ import annotations

from aurora_ops.core.requests.eks import RunArchiveJob

__all__ = ["RunArchiveJob"]
