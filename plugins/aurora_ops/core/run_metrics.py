"""The metrics of a run: few names, and two dimensions with few values, so that they cost little and alarms are easy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def of_run(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make the data of ``PutMetricData`` from a record.

    :param record: from ``run_record.build``.
    """
    moment = datetime.fromisoformat(record["ended_at"])
    succeeded = record["outcome"] == "succeeded"
    values: list[tuple[str, float | None, str]] = [
        ("RefreshDuration", record["rto_s"], "Seconds"),
        ("RefreshDataAge", record["rpo_s"] if succeeded else None, "Seconds"),
        ("RefreshSucceeded", float(succeeded), "Count"),
        ("RefreshFailed", float(not succeeded), "Count"),
        ("RefreshWarnings", float(len(record["warnings"])), "Count"),
    ]
    data = [
        _datum(name, value, unit, moment, Environment=record["environment"])
        for name, value, unit in values
        if value is not None
    ]
    return data + [
        _datum("StepGroupDuration", value, "Seconds", moment, Environment=record["environment"], StepGroup=group)
        for group, value in record["groups"].items()
    ]


def of_late_run(environment: str, moment: datetime) -> list[dict[str, Any]]:
    """Make the data that says that a run is late.

    :param environment: environment of the run.
    :param moment: when that was seen.
    """
    return [_datum("RefreshLate", 1, "Count", moment, Environment=environment)]


def _datum(name: str, value: float, unit: str, moment: datetime, **dimensions: str) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Value": float(value),
        "Unit": unit,
        "Timestamp": moment,
        "Dimensions": [{"Name": key, "Value": inner} for key, inner in dimensions.items()],
    }
