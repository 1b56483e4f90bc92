"""The check before a refresh: everything that can be known to be wrong is said here, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from aurora_ops.core import environments, refresh_plan, windows
from aurora_ops.core.errors import report
from aurora_ops.core.estimate import estimate, read_prices
from aurora_ops.core.operation import OPERATION_KEY
from aurora_ops.core.plan_text import plan_text
from aurora_ops.core.settings import Environment
from aurora_ops.hooks.rds import RdsHook
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.operators import operations
from aurora_ops.operators.base import RefreshOperator, Result
from aurora_ops.operators.prepare_checks import RefreshCheck, guards
from aurora_ops.operators.runs import run_moment

PLAN_KEY = "plan"
_RECORDS_LOOKED_AT = 20
_LONGEST_TEXT = 30_000


class CheckRefreshOperator(RefreshOperator[RdsHook]):
    """Check settings, accounts, guards and resources of a refresh, and decide its plan. Changes nothing.

    What is wrong is collected and said in one error, each with field, value and what is allowed. The result is what later tasks
    work with: names, identifiers and keys. The whole plan is logged as text, and left as XCom ``plan``; a dry run ends with it:
    this task and all that would follow are skipped.

    :param path: environment file.
    :param sql_folder: ``include/sql``.
    :param region_name: region of the target.
    :param audits: begin an operation when everything is right: the first event of its audit trail, and its state.
    :return: the plan, a flat dictionary of identifiers; ``operation`` where it is audited.
    :raises PermanentError: anything is wrong.
    """

    hook_class = RdsHook
    is_step = False
    permissions: ClassVar[tuple[str, ...]] = (
        "rds:DescribeDBClusters",
        "rds:DescribeDBSubnetGroups",
        "rds:DescribeDBClusterParameterGroups",
        "rds:DescribeOrderableDBInstanceOptions",
        "rds:DescribeAccountAttributes",
        "ec2:DescribeSecurityGroups",
        "kms:DescribeKey",
        "kms:Decrypt",
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "s3:ListBucket",
        "backup:DescribeBackupVault",
        "eks:DescribeCluster",
    )
    permissions_elsewhere: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "source": (
            "rds:DescribeDBClusters",
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBClusterSnapshotAttributes",
            "kms:DescribeKey",
            "secretsmanager:GetSecretValue",
            "elasticfilesystem:DescribeFileSystems",
            "backup:ListRecoveryPointsByBackupVault",
        ),
        "orchestrator": (
            "dynamodb:DescribeTable",
            "dynamodb:Query",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "sns:GetTopicAttributes",
            "s3:ListBucket",
        ),
    }

    def __init__(self, *, path: str, sql_folder: str, audits: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.sql_folder = sql_folder
        self.audits = audits

    def take_pass(self, context: Context) -> Result:
        """Check from the inside out: settings, accounts, guards, then resources."""
        dag_run = context["dag_run"]
        path, conf = self._asked(context)
        resolved = environments.resolve(environments.read(path), conf)
        for field, origin in sorted(resolved.origins.items()):
            if origin == "param":
                self.log.info("%s is set for this run", field)
        settings = resolved.settings
        report(guards(settings))
        self._require_accounts(settings)
        moment = run_moment(dag_run)
        check = RefreshCheck(settings, Path(self.sql_folder))
        plan = check.plan(moment, refresh_plan.run_key(dag_run.dag_id, dag_run.run_id), self._hooks(settings))
        plan["windows"] = settings.safety.windows(ignored="ignore_window" in resolved.switches)
        text = self._text(check, plan)
        self.log.info("the plan:\n%s", text)
        self._push(context, PLAN_KEY, text[:_LONGEST_TEXT])
        if "dry_run" in resolved.switches:
            raise AirflowSkipException("dry run: this is the plan, and nothing is changed")
        windows.require_open(plan["windows"], datetime.now(UTC))
        if self.audits:
            plan[OPERATION_KEY] = operations.begin(context, settings, request=conf)
        return plan

    def _asked(self, context: Context) -> tuple[Path, dict[str, Any]]:
        """Say which file is read, and what is laid over it for this run."""
        given = {key: value for key, value in context["params"].items() if value is not None}
        return Path(self.path), {**given, **(context["dag_run"].conf or {})}

    def _text(self, check: RefreshCheck, plan: Result) -> str:
        """Write the plan for people, with what it will take."""
        settings = check.settings
        orchestrator = settings.orchestrator
        records = RunsHook(orchestrator.aws_conn_id, orchestrator.region).list_records(
            orchestrator.runs_table, plan["target_key"], most=_RECORDS_LOOKED_AT
        )
        return plan_text(
            settings,
            plan,
            tables=check.tables,
            tables_from=check.tables_from,
            leftovers=check.leftovers,
            estimate=estimate(
                settings.target.instances,
                size_gib=check.size_gib,
                durations_s=[float(record["rto_s"]) for record in records if record["outcome"] == "succeeded"],
                prices=read_prices(Path(self.sql_folder).parent / "prices.yaml"),
            ),
        )

    @staticmethod
    def _require_accounts(settings: Environment) -> None:
        for place in (settings.source, settings.target, settings.orchestrator):
            RdsHook(place.aws_conn_id, place.region).require_account(place.account_id)

    @staticmethod
    def _hooks(settings: Environment) -> tuple[RdsHook, RdsHook]:
        source, target = settings.source, settings.target
        return RdsHook(source.aws_conn_id, source.region), RdsHook(target.aws_conn_id, target.region)


class PlanRefreshOperator(CheckRefreshOperator):
    """Check a refresh of any environment as the refresh itself does, and write its whole plan down. Changes nothing.

    :param path: ``include/config``; the environment's file is read from it.
    :param environment: which one (templated).
    :param changes: parameters of the refresh, laid over the file (templated).
    :return: the plan, a flat dictionary of identifiers.
    :raises PermanentError: anything is wrong.
    """

    template_fields: Sequence[str] = (*CheckRefreshOperator.template_fields, "environment", "changes")

    def __init__(self, *, environment: str, changes: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.environment = environment
        self.changes = changes

    def _asked(self, context: Context) -> tuple[Path, dict[str, Any]]:
        return Path(self.path) / f"{self.environment}.yaml", dict(self.changes)
