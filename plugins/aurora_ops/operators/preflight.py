"""Checking the prerequisites of an environment, all of them, before anything depends on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context

from aurora_ops.core import environments, preflight, report, run_record
from aurora_ops.core.errors import ConfigError, StateError
from aurora_ops.core.preflight import Row
from aurora_ops.core.requests.base import parse
from aurora_ops.core.requests.preflight import Preflight
from aurora_ops.core.settings import Environment
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.preflight_exports import LOOKS
from aurora_ops.operators.preflight_rows import Survey
from aurora_ops.operators.runs import run_moment, run_name

TEXT_KEY = "table"
_LONGEST_TEXT = 30_000
_LOOKS_AT_BUCKETS = (
    "s3:ListBucket",
    "s3:GetEncryptionConfiguration",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketVersioning",
)
_TRAILS = ("cloudtrail:DescribeTrails", "cloudtrail:GetTrailStatus")


class PreflightOperator(RefreshOperator[BucketsHook]):
    """Look at everything that an environment's settings name, and say of each thing: pass, warn or fail, with the remedy.

    Looked at are connections and roles, cluster and snapshots of the source, keys, subnet group, security groups, parameter group,
    instance class, quotas, secrets (of which only the names of missing fields are told), buckets, table, topic, vaults, files, the
    Kubernetes API, what exports of snapshots need, and CloudTrail. Each look is made whatever the others show. Nothing is changed;
    only where the run asks for it is the report written to the report bucket (S3 ``PutObject``). The table is logged, and left as
    XCom ``table``.

    :param config_folder: ``include/config``.
    :return: ``{"environment", "counts", "page"}``; ``page`` is the S3 URL of the report or ``None``.
    :raises PermanentError: a wrong parameter, or a wrong environment file: then nothing is looked at.
    :raises StateError: at least one row has failed; each is named.
    """

    hook_class = BucketsHook
    permissions: ClassVar[tuple[str, ...]] = (
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
        "dynamodb:DescribeContinuousBackups",
        "sns:ListSubscriptionsByTopic",
        *_LOOKS_AT_BUCKETS,
        "s3:PutObject",
        *_TRAILS,
    )
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "source": (
            "rds:DescribeDBClusters",
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeAccountAttributes",
            "kms:DescribeKey",
            "secretsmanager:GetSecretValue",
            "elasticfilesystem:DescribeFileSystems",
            "backup:ListRecoveryPointsByBackupVault",
            *LOOKS,
            *_TRAILS,
        ),
        "target": (
            "rds:DescribeDBClusters",
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBSubnetGroups",
            "rds:DescribeDBClusterParameterGroups",
            "rds:DescribeDBClusterParameters",
            "rds:DescribeOrderableDBInstanceOptions",
            "rds:DescribeAccountAttributes",
            "ec2:DescribeSecurityGroups",
            "kms:DescribeKey",
            "secretsmanager:GetSecretValue",
            "kms:Decrypt",
            *_LOOKS_AT_BUCKETS,
            "backup:DescribeBackupVault",
            "eks:DescribeCluster",
            *LOOKS,
            *_TRAILS,
        ),
    }

    def __init__(self, *, config_folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config_folder = config_folder

    def take_pass(self, context: Context) -> Result:
        """Look at all, tell all, and fail at the end if anything has."""
        dag_run = context["dag_run"]
        asked = parse(Preflight, {**context["params"], **(dag_run.conf or {})})
        folder = Path(self.config_folder)
        known = environments.names(folder)
        if asked.environment not in known:
            raise ConfigError("environment", asked.environment, f"environments with a file are {known}")
        settings = environments.resolve(environments.read(folder / f"{asked.environment}.yaml")).settings
        if asked.write_report and not settings.orchestrator.report_bucket:
            raise ConfigError("write_report", True, "only where orchestrator.report_bucket names a bucket")
        rows = Survey(settings).all()
        text = preflight.text(asked.environment, rows)
        self.log.info("%s", text)
        self._push(context, TEXT_KEY, text[:_LONGEST_TEXT])
        page = self._written(settings, rows, dag_run) if asked.write_report else None
        if failed := preflight.failures(rows):
            told = f"; the report is {page}" if page else ""
            raise StateError(f"{preflight.counts(rows)['fail']} prerequisites are not met{told}:\n{failed}")
        return {"environment": asked.environment, "counts": preflight.counts(rows), "page": page}

    @staticmethod
    def _written(settings: Environment, rows: Sequence[Row], dag_run: Any) -> str:
        """Write the report; asked for by a person, so that it fails where it cannot be written."""
        here, name = settings.orchestrator, str(settings.orchestrator.report_bucket)
        told: dict[str, Any] = {"run": run_name(dag_run), "now": datetime.now(UTC)}
        folder = run_record.folder(settings.environment, run_moment(dag_run), run_name(dag_run))
        bucket, key = BucketsHook(here.aws_conn_id, here.region), f"{folder}/preflight.html"
        content = report.as_json(preflight.data(settings.environment, rows, **told))
        bucket.put(name, f"{folder}/preflight.json", content, "application/json")
        bucket.put(name, key, preflight.page(settings.environment, rows, **told), "text/html; charset=utf-8")
        return f"s3://{name}/{key}"
