"""Amazon CloudWatch: metrics."""

from __future__ import annotations

from typing import Any

from aurora_ops.core.errors import AuroraOpsError
from aurora_ops.hooks.base import AwsHook

_MOST_DATA = 500


class MetricsHook(AwsHook):
    """Metrics of one account and region."""

    service = "cloudwatch"
    audited = False

    def put(self, namespace: str, data: list[dict[str, Any]]) -> None:
        """Send metric data (``PutMetricData``), as many a call as AWS takes.

        :param namespace: CloudWatch namespace.
        :param data: items with ``MetricName``, ``Value``, ``Unit``, ``Timestamp`` and ``Dimensions``.
        """
        for start in range(0, len(data), _MOST_DATA):
            self.call("put_metric_data", Namespace=namespace, MetricData=data[start : start + _MOST_DATA])

    def try_put(self, namespace: str, data: list[dict[str, Any]]) -> list[str]:
        """Send metric data as :meth:`put` does, and say what hinders that: it is no reason for a run to fail."""
        try:
            self.put(namespace, data)
        except AuroraOpsError as exc:
            return [f"metrics were not sent: {exc}"]
        return []
