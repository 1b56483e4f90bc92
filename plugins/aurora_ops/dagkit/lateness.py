"""The deadline of a run."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from aurora_ops.callbacks.late import announce_late
from aurora_ops.core.settings import Environment


def late_alert(settings: Environment) -> DeadlineAlert | None:
    """Build the deadline of an environment's runs, none where it has none.

    It counts from the moment a run is queued, so that a run that never starts is late too, and one started by hand has one.

    :param settings: settings of the environment.
    """
    if settings.late_after_h is None:
        return None
    orchestrator = settings.orchestrator
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(hours=settings.late_after_h),
        callback=AsyncCallback(
            announce_late,
            kwargs={
                "environment": settings.environment,
                "late_after_h": settings.late_after_h,
                "topic_arn": orchestrator.topic_arn,
                "metrics_namespace": orchestrator.metrics_namespace,
                "aws_conn_id": orchestrator.aws_conn_id,
                "region_name": orchestrator.region,
            },
        ),
    )
