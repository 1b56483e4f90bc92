"""Production's data made fit for others: masked with proof, scanned, its users replaced, the target's own tables put back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from aurora_ops.core.settings import Environment
from aurora_ops.operators.coverage import ReportCoverageOperator
from aurora_ops.operators.credentials import RotateMasterSecretOperator
from aurora_ops.operators.mask_tables import MaskDatabaseOperator
from aurora_ops.operators.masking import FingerprintColumnsOperator, ProveMaskOperator
from aurora_ops.operators.scan import ScanColumnsOperator
from aurora_ops.operators.users import SetUsersOperator
from aurora_ops.operators.verify import VerifyDatabaseOperator
from aurora_ops.task_groups.db.keep_tables import Kept, keep_tables
from aurora_ops.task_groups.typed import Outputs, at, group


class Masked(NamedTuple):
    """Tasks of the group that others refer to."""

    fingerprint: FingerprintColumnsOperator
    scan: ScanColumnsOperator
    users: SetUsersOperator
    kept: Kept
    verified: VerifyDatabaseOperator
    results: dict[str, Any]


def folders(sql_folder: Path, purpose: str, settings: Environment) -> list[str]:
    """List the folders of SQL files of a purpose, one a schema."""
    return [str(sql_folder / purpose / schema) for schema in settings.database.schemas]


@group("mask")
def mask_database(settings: Environment, plan: Outputs, sql_folder: Path, secret_version: Any) -> Masked:
    """Mask the temporary cluster and prove it, scan it for what is left, replace its users, load the kept tables, verify.

    :param settings: settings of the environment.
    :param plan: what was decided before.
    :param sql_folder: ``include/sql``.
    :param secret_version: version of the master secret that the salt is derived from; it is replaced afterwards.
    """
    target, database = settings.target, settings.database
    at_target = at(target)
    sql: dict[str, Any] = {**at_target, "tls_ca": database.tls_ca}
    masking: dict[str, Any] = {**sql, "cluster_id": plan["temporary_cluster"], "run_key": plan["run_key"]}
    users = [user.model_dump() for user in database.users]

    kept = keep_tables(settings, plan)
    rules = folders(sql_folder, "masking", settings)
    fingerprint = FingerprintColumnsOperator(
        task_id="fingerprint_columns",
        folders=rules,
        columns=plan["columns"],
        connections=database.masking.connections,
        **masking,
    )
    mask = MaskDatabaseOperator(
        task_id="mask_database", folders=rules, masking=database.masking.model_dump(), **masking
    )
    prove = ProveMaskOperator(task_id="prove_mask", connections=database.masking.connections, **masking)
    scan = ScanColumnsOperator(
        task_id="scan_columns",
        cluster_id=plan["temporary_cluster"],
        folders=rules,
        columns=plan["columns"],
        keep_tables=plan["keep_tables"],
        scan=database.scan.model_dump(),
        **sql,
    )
    coverage = ReportCoverageOperator(
        task_id="report_coverage",
        covered=Outputs(scan)["coverage"],
        undecided=database.scan.undecided,
        environment=settings.environment,
        report_bucket=settings.orchestrator.report_bucket,
        **at(settings.orchestrator),
        table=settings.orchestrator.runs_table,
        target_key=plan["target_key"],
    )
    rotate = RotateMasterSecretOperator(
        task_id="rotate_master_secret",
        cluster_id=plan["temporary_cluster"],
        stale_version=secret_version,
        **at_target,
    )
    set_users = SetUsersOperator(
        task_id="set_users",
        cluster_id=plan["temporary_cluster"],
        run_key=plan["run_key"],
        users=users,
        exact=database.exact_grants,
        serving_id=plan["target_cluster"],
        serving_host=plan["serving_host"],
        **sql,
    )
    verify = VerifyDatabaseOperator(
        task_id="verify_database",
        cluster_id=plan["temporary_cluster"],
        folders=folders(sql_folder, "validation", settings),
        users=users,
        exact=database.exact_grants,
        kept_rows=kept.rows,
        versions=Outputs(set_users)["versions"],
        **sql,
    )
    fingerprint >> mask >> prove >> scan >> rotate >> set_users >> kept.load
    kept.loaded >> verify
    scan >> coverage >> verify
    results = {"proved": Outputs(prove).all, "scanned": Outputs(scan).all, "verified": Outputs(verify).all}
    return Masked(fingerprint, scan, set_users, kept, verify, results)
