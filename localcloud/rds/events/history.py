"""DescribeEvents: what has happened."""

from __future__ import annotations

import time
from datetime import UTC
from typing import TYPE_CHECKING, Any

from localcloud.rds import rules, views
from localcloud.rds.events.kinds import CATEGORIES

if TYPE_CHECKING:
    from datetime import datetime

    from localcloud.rds.core import Core
    from localcloud.rds.model import Params, Region

DEFAULT_WINDOW_S = 3600


def describe(core: Core, region: Region, params: Params) -> dict[str, Any]:
    """Events of clusters, members, and snapshots, the last hour unless asked otherwise."""
    now = time.time()
    window = float(params.get("Duration", DEFAULT_WINDOW_S / 60)) * 60
    end = _epoch(params["EndTime"]) if params.get("EndTime") else now
    start = _epoch(params["StartTime"]) if params.get("StartTime") else end - window
    with core.lock:
        found = [
            event
            for event in region.events
            if start <= event.time <= end
            and params.get("SourceType") in {None, event.source_type}
            and (params.get("SourceIdentifier") or event.source).lower() == event.source
            and (not params.get("EventCategories") or set(params["EventCategories"]) & set(event.categories))
        ]
    page, marker = rules.page(found, params, lambda event: f"{event.time:.6f}/{event.source}/{event.message}")
    return {"Events": [views.event(event) for event in page], "Marker": marker}


def describe_categories(params: Params) -> dict[str, Any]:
    """DescribeEventCategories."""
    return {
        "EventCategoriesMapList": [
            {"SourceType": kind, "EventCategories": list(categories)}
            for kind, categories in CATEGORIES.items()
            if params.get("SourceType") in {None, kind}
        ]
    }


def _epoch(value: datetime) -> float:
    """Moto parses times to UTC without a zone."""
    return value.replace(tzinfo=UTC).timestamp()
