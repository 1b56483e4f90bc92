"""The evidence of a restore drill."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import drill, run_metrics
from aurora_ops.core.errors import VerificationError
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.metrics import MetricsHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.runs import run_moment, run_name


class FileDrillOperator(RefreshOperator[BucketsHook]):
    """Measure a drill against its targets, file the evidence, and raise an alarm where one was missed.

    Whatever happened before. The evidence is an object (S3 ``PutObject``), metrics (CloudWatch ``PutMetricData``), and on a miss
    an announcement (SNS ``Publish``); then the task fails, and the run with it.

    :param environment: environment of the drill.
    :param cluster: live cluster that it stands for.
    :param outcome: result of ``LookAtOutcomeOperator`` (templated).
    :param verification: result of the verification (templated).
    :param rpo_h: hours that the data may be old.
    :param rto_h: hours that the restore may take.
    :param bucket: bucket for the evidence; ``None`` files none.
    :param namespace: CloudWatch namespace; ``None`` sends no metrics.
    :param topic_arn: topic of the alarm; ``None`` announces nothing.
    :return: ``{"rpo_s", "rto_s", "missed", "evidence"}``; ``evidence`` is its S3 URL or ``None``.
    :raises VerificationError: a target was missed.
    """

    hook_class = BucketsHook
    permissions: ClassVar[tuple[str, ...]] = ("s3:PutObject", "cloudwatch:PutMetricData", "sns:Publish")
    template_fields: Sequence[str] = (*RefreshOperator.template_fields, "outcome", "verification")

    def __init__(
        self,
        *,
        environment: str,
        cluster: str,
        outcome: Mapping[str, Any] | None,
        verification: Mapping[str, Any] | None,
        rpo_h: float,
        rto_h: float,
        bucket: str | None,
        namespace: str | None,
        topic_arn: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.cluster = cluster
        self.outcome = outcome
        self.verification = verification
        self.rpo_h = rpo_h
        self.rto_h = rto_h
        self.bucket = bucket
        self.namespace = namespace
        self.topic_arn = topic_arn

    def take_pass(self, context: Context) -> Result:
        """Judge, file, announce, fail where it must."""
        dag_run = context["dag_run"]
        evidence = drill.judge(
            self.outcome,
            environment=self.environment,
            cluster=self.cluster,
            run=run_name(dag_run),
            moment=run_moment(dag_run),
            rpo_h=self.rpo_h,
            rto_h=self.rto_h,
            verification=self.verification,
        )
        text, url = drill.text(evidence), None
        self.log.info("%s", text)
        if self.bucket:
            key = drill.evidence_key(evidence)
            self.hook.put(self.bucket, key, json.dumps(evidence, indent=2).encode(), "application/json")
            url = f"s3://{self.bucket}/{key}"
        if self.namespace:
            data = run_metrics.of_drill(evidence, datetime.now(UTC))
            MetricsHook(self.aws_conn_id, self.region_name).put(self.namespace, data)
        if not evidence["missed"]:
            return {**{name: evidence[name] for name in ("rpo_s", "rto_s", "missed")}, "evidence": url}
        if self.topic_arn:
            TopicsHook(self.aws_conn_id, self.region_name).publish(
                self.topic_arn,
                f"Restore drill of {self.cluster} ({self.environment}) missed its targets",
                text,
                {"environment": self.environment, "outcome": "failed"},
            )
        raise VerificationError(f"drill of {self.cluster}: {'; '.join(evidence['missed'])}; evidence: {url}")
