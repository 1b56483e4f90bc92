"""The metrics of runs: few names, and dimensions with few values, so that they cost little and alarms are easy.

Alarms and the dashboard over them are ``include/templates/monitoring.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

METRICS: dict[str, str] = {
    "RefreshDuration": "Seconds",
    "RefreshDataAge": "Seconds",
    "RefreshSucceeded": "Count",
    "RefreshFailed": "Count",
    "RefreshWarnings": "Count",
    "RefreshLate": "Count",
    "StepGroupDuration": "Seconds",
    "RestoreDuration": "Seconds",
    "RestoreSucceeded": "Count",
    "RestoreFailed": "Count",
    "DrillRpo": "Seconds",
    "DrillRto": "Seconds",
    "DrillTargetMissed": "Count",
    "AuditLogLag": "Seconds",
    "AuditLogBytes": "Bytes",
    "AuditLogFilesFailed": "Count",
    "AuditLogAlarms": "Count",
    "SnapshotsExported": "Count",
    "SnapshotExportsFailed": "Count",
    "SnapshotExportGiB": "Gigabytes",
    "SnapshotExportRows": "Count",
    "SnapshotExportLag": "Seconds",
}
"""Every metric that is sent, and its unit."""


def of_run(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make the data of ``PutMetricData`` from a record.

    :param record: from ``run_record.build``.
    """
    moment, environment = datetime.fromisoformat(record["ended_at"]), record["environment"]
    succeeded = record["outcome"] == "succeeded"
    values: dict[str, float | None] = {
        "RefreshDuration": record["rto_s"],
        "RefreshDataAge": record["rpo_s"] if succeeded else None,
        "RefreshSucceeded": float(succeeded),
        "RefreshFailed": float(not succeeded),
        "RefreshWarnings": float(len(record["warnings"])),
    }
    groups = [
        _datum("StepGroupDuration", value, moment, Environment=environment, StepGroup=group)
        for group, value in record["groups"].items()
    ]
    return [*_data(values, moment, Environment=environment), *groups]


def of_late_run(environment: str, moment: datetime) -> list[dict[str, Any]]:
    """Make the data that says that a run is late.

    :param environment: environment of the run.
    :param moment: when that was seen.
    """
    return [_datum("RefreshLate", 1, moment, Environment=environment)]


def of_restore(environment: str, moment: datetime, *, succeeded: bool, duration_s: float) -> list[dict[str, Any]]:
    """Make the data of a restore that has ended; which cluster it was is no dimension, anybody may restore any.

    :param environment: environment of the run.
    :param moment: when it ended.
    :param succeeded: whether it did what it was to do.
    :param duration_s: seconds from its start to its end.
    """
    values: dict[str, float | None] = {
        "RestoreDuration": duration_s,
        "RestoreSucceeded": float(succeeded),
        "RestoreFailed": float(not succeeded),
    }
    return _data(values, moment, Environment=environment)


def of_drill(evidence: Mapping[str, Any], moment: datetime) -> list[dict[str, Any]]:
    """Make the data of a restore drill.

    Whether a target was missed is sent for the environment as well: an alarm cannot look for clusters.

    :param evidence: from ``drill.judge``.
    :param moment: now.
    """
    environment, missed = evidence["environment"], float(bool(evidence["missed"]))
    values = {"DrillRpo": evidence["rpo_s"], "DrillRto": evidence["rto_s"], "DrillTargetMissed": missed}
    of_cluster = _data(values, moment, Environment=environment, Cluster=evidence["cluster"])
    return [*of_cluster, _datum("DrillTargetMissed", missed, moment, Environment=environment)]


def of_log_backup(environment: str, moment: datetime, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make the data of a run of the backup of audit logs.

    :param environment: environment of the run.
    :param moment: now.
    :param found: sums over its batches.
    """
    values = {
        "AuditLogLag": found["lag_s"],
        "AuditLogBytes": found["stored_bytes"],
        "AuditLogFilesFailed": found["failed"] + found["deferred"],
        "AuditLogAlarms": len(found["alarms"]),
    }
    return _data(values, moment, Environment=environment)


def of_exports(environment: str, moment: datetime, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make the data of a run of snapshot exports.

    :param environment: environment of the run.
    :param moment: now.
    :param found: counts of the run, and the age of its oldest snapshot when it was there for queries.
    """
    values = {
        "SnapshotsExported": found["exported"],
        "SnapshotExportsFailed": found["failed"] + found["stopped"],
        "SnapshotExportGiB": found["gib"],
        "SnapshotExportRows": found["rows"],
        "SnapshotExportLag": found["lag_s"],
    }
    return _data(values, moment, Environment=environment)


def _data(values: Mapping[str, float | None], moment: datetime, **dimensions: str) -> list[dict[str, Any]]:
    return [_datum(name, value, moment, **dimensions) for name, value in values.items() if value is not None]


def _datum(name: str, value: float, moment: datetime, **dimensions: str) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Value": float(value),
        "Unit": METRICS[name],
        "Timestamp": moment,
        "Dimensions": [{"Name": key, "Value": inner} for key, inner in dimensions.items()],
    }
