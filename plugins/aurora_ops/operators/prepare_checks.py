"""The checks before a refresh, one by one; what is wrong is collected, what is right becomes the plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aurora_ops.core import masking, naming, refresh_plan, safety, sql_script
from aurora_ops.core.errors import ConfigError, MissingError, PermanentError, Problems, StateError, report
from aurora_ops.core.mask_plan import TablePlan, plan_tables
from aurora_ops.core.mask_rules import ColumnRule, read_rules
from aurora_ops.core.settings import Environment
from aurora_ops.core.tables import Column, Table
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.mysql import Login, MySqlHook
from aurora_ops.hooks.network import NetworkHook
from aurora_ops.hooks.rds import Cluster, RdsHook, Snapshot
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.hooks.table_facts import read_table_facts
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators.base import Result
from aurora_ops.operators.masking import missing_columns
from aurora_ops.operators.prepare_files import check_along, file_guards, keep_guards, plan_along
from aurora_ops.operators.restore_checks import (
    enabled_key,
    find_rekey_arn,
    is_shared_by_others,
    require_orderable,
    require_parameter_group,
    require_subnet_group,
)
from aurora_ops.operators.sql import master_login

_SERVING = ("available", "backing-up")
_OUT_OF_USE = ("stopped", "stopping", "deleting")


def guards(settings: Environment) -> list[PermanentError]:
    """Say why settings alone forbid the refresh, before any account is asked."""
    source, target = settings.source, settings.target
    problems = safety.refusals(
        source=(source.account_id, source.region, source.cluster),
        target=(target.account_id, target.region, target.cluster),
        protected_accounts=settings.safety.protected_accounts,
        allowed_clusters=settings.safety.allowed_clusters,
    )
    if target.role_arn.split(":")[4] != target.account_id:
        problems.append(
            ConfigError("target.role_arn", target.role_arn, f"it must be a role of account {target.account_id}")
        )
    return [*problems, *keep_guards(settings), *file_guards(settings)]


class RefreshCheck:
    """One check of one run: collects problems, and what the plan tells people.

    :param settings: settings of the run.
    :param sql_folder: ``include/sql``.
    """

    def __init__(self, settings: Environment, sql_folder: Path) -> None:
        self.settings = settings
        self.sql_folder = sql_folder
        self.problems = Problems()
        self.leftovers: list[str] = []
        self.stranded = False
        self.size_gib = 0
        self.tables: list[TablePlan] | None = None
        self.tables_from = ""
        self.rules: list[ColumnRule] = []

    def plan(self, moment: datetime, run_key: str, hooks: tuple[RdsHook, RdsHook]) -> Result:
        """Check all, then give the plan or say what is wrong."""
        source, target = hooks
        names = refresh_plan.names(self.settings, moment)
        live = self.problems.attempt(lambda: self._live(target, names))
        origin = self.problems.attempt(lambda: source.require_cluster(self.settings.source.cluster))
        snapshot = self.problems.attempt(lambda: self._snapshot(source)) if origin else None
        was_shared = (
            self.problems.attempt(lambda: is_shared_by_others(source, snapshot, self.settings.target.account_id))
            or False
        )
        key_arn = self.problems.attempt(
            lambda: enabled_key("target.kms_key_id", self.settings.target.kms_key_id, target)
        )
        rekey_arn = (
            self.problems.attempt(
                lambda: find_rekey_arn(source, snapshot, origin.kms_key_arn, self.settings.source.kms_key_id)
            )
            if origin
            else None
        )
        network = self.problems.attempt(lambda: self._network(target, live)) or {}
        self.problems.attempt(lambda: self._resources(target, live, origin))
        columns = self.problems.attempt(self._columns) or []
        self.problems.attempt(lambda: self._tables(live))
        self.problems.attempt(lambda: self._source_schema(origin, live, columns))
        along = check_along(self.settings, self.problems.attempt)
        report(self.problems)
        instances = self.settings.target.instances
        tags = {
            key: value
            for key, value in (live.tags if live else {}).items()
            if not key.startswith(("aws:", "aurora-ops:"))
        }
        return {
            **names,
            **network,
            **plan_along(self.settings, moment, along),
            "run_key": run_key,
            "target_key": refresh_plan.target_key(self.settings.target.account_id, self.settings.target.cluster),
            "source_cluster": self.settings.source.cluster,
            "source_snapshot_id": snapshot.snapshot_id if snapshot else names["fresh_snapshot_id"],
            "snapshot_created_at": snapshot.created.isoformat() if snapshot and snapshot.created else None,
            "snapshot_is_fresh": snapshot is None,
            "snapshot_was_shared": was_shared,
            "rekey_key_arn": rekey_arn,
            "target_key_arn": key_arn,
            "live_resource_id": live.resource_id if live else "",
            "live_instance_ids": self._instance_ids(live) if live else [],
            "live_is_stranded": self.stranded,
            "serving_host": live.endpoint if live and not self.stranded else "",
            "parameter_group": self.settings.target.parameter_group or (live.parameter_group if live else None),
            "instance_class": instances.instance_class,
            "readers": instances.readers,
            "old_cluster_policy": self.settings.target.old_cluster,
            "approval_required": self.settings.approval.required,
            "keep_tables": list(self.settings.database.keep_tables),
            "keep_prefix": f"aurora-ops/{self.settings.environment}/{names['copy_snapshot_id']}",
            "columns": [str(column) for column in columns],
            "tags": {**tags, "aurora-ops:environment": self.settings.environment},
        }

    def _live(self, target: RdsHook, names: dict[str, str]) -> Cluster | None:
        """Look at the cluster that is to be replaced, and at the names around it; none at all is a first refresh.

        Where nothing has the live name and the cluster that was moved aside runs, a switch was cut short and not undone: that
        cluster is the one that serves as soon as it has its name back. Deleting it to make room would lose all there is.
        """
        live, old, temporary = (
            target.find_cluster(names[f"{which}_cluster"]) for which in ("target", "old", "temporary")
        )
        self.stranded = live is None and old is not None and old.status not in _OUT_OF_USE
        if self.stranded:
            live, old = old, None
        for leftover in (temporary, old):
            if leftover is not None:
                self._require_refreshable(leftover)
                self.leftovers.append(leftover.cluster_id)
        if live is None:
            if self.settings.database.keep_tables:
                self.problems.append(
                    ConfigError(
                        "target.cluster", names["target_cluster"], "it must exist, since tables of it are to be kept"
                    )
                )
            return None
        self._require_refreshable(live)
        if live.status not in _SERVING:
            self.problems.append(
                StateError(f"target.cluster: {live.cluster_id} is {live.status}; it must be available to be replaced")
            )
        return live

    def _instance_ids(self, live: Cluster) -> list[str]:
        """Name the instances of what serves; those of a stranded cluster as they will be."""
        if not self.stranded:
            return live.instance_ids
        return [naming.instance(self.settings.target.cluster, number + 1) for number in range(len(live.members))]

    def _require_refreshable(self, cluster: Cluster) -> None:
        self.problems.attempt(lambda: safety.require_refreshable(cluster.cluster_id, cluster.tags))

    def _snapshot(self, source: RdsHook) -> Snapshot | None:
        snapshots = source.list_snapshots(self.settings.source.cluster)
        self.size_gib = max((snapshot.size_gib for snapshot in snapshots), default=0)
        return refresh_plan.choose_snapshot(
            self.settings.source.snapshot,
            snapshots,
            now=datetime.now(UTC),
            max_age_h=self.settings.source.snapshot_max_age_h,
        )

    def _network(self, target: RdsHook, live: Cluster | None) -> dict[str, list[str]]:
        wanted = self.settings.target
        group = require_subnet_group(target, wanted.subnet_group)
        network = NetworkHook(wanted.aws_conn_id, wanted.region)
        vpc_id = group.get("VpcId")
        isolated = network.security_group_ids(
            wanted.isolation_security_groups, vpc_id, "target.isolation_security_groups"
        )
        if wanted.security_groups is None and live is None:
            raise ConfigError("target.security_groups", None, "name them: there is no cluster to take them from")
        final = (
            network.security_group_ids(wanted.security_groups, vpc_id, "target.security_groups")
            if wanted.security_groups is not None
            else (live.security_groups if live else [])
        )
        return {"isolation_security_groups": isolated, "security_groups": final}

    def _resources(self, target: RdsHook, live: Cluster | None, origin: Cluster | None) -> None:
        wanted, orchestrator = self.settings.target, self.settings.orchestrator
        group = wanted.parameter_group or (live.parameter_group if live else None)
        if group:
            self.problems.attempt(lambda: require_parameter_group(target, group))
        version, instance_class = origin.engine_version if origin else "", wanted.instances.instance_class
        self.problems.attempt(lambda: require_orderable(target, version, "target.instances.class", instance_class))
        quota = target.find_quota("ManualClusterSnapshots")
        if quota and quota[0] >= quota[1]:
            self.problems.append(
                StateError(
                    f"account {wanted.account_id} has {quota[0]} of {quota[1]} manual cluster snapshots; delete some"
                )
            )
        secrets = SecretsHook(wanted.aws_conn_id, wanted.region)
        salt_secret = self.settings.database.masking.salt_secret
        if salt_secret and not secrets.exists(salt_secret):
            self.problems.append(
                ConfigError(
                    "database.masking.salt_secret",
                    salt_secret,
                    "create this secret in the target's account, or leave it out",
                )
            )
        for user in self.settings.database.users:
            if not secrets.exists(user.secret):
                self.problems.append(
                    ConfigError("database.users.secret", user.secret, "create this secret in the target's account")
                )
        if self.settings.database.keep_bucket and self.settings.keeping_eks is None:
            self.problems.attempt(
                lambda: BucketsHook(wanted.aws_conn_id, wanted.region).require_bucket(
                    str(self.settings.database.keep_bucket)
                )
            )
        self.problems.attempt(
            lambda: RunsHook(orchestrator.aws_conn_id, orchestrator.region).table_status(orchestrator.runs_table)
        )
        if orchestrator.report_bucket:
            reports = BucketsHook(orchestrator.aws_conn_id, orchestrator.region)
            self.problems.attempt(lambda: reports.require_bucket(str(orchestrator.report_bucket)))
        if orchestrator.topic_arn:
            topics = TopicsHook(orchestrator.aws_conn_id, orchestrator.region)
            self.problems.attempt(lambda: topics.require_topic(str(orchestrator.topic_arn)))

    def _columns(self) -> list[Column]:
        """Read the sensitive columns, and see that every script can be read."""
        found: list[Column] = []
        for schema in self.settings.database.schemas:
            folder = self.sql_folder / "masking" / schema
            rules = read_rules(folder)
            self.rules += rules
            found += [rule.column for rule in rules if rule.proof == "values"]
            scripts = masking.scripts(folder, required=any(rule.decision == "script" for rule in rules))
            for path in (*scripts, *masking.scripts(self.sql_folder / "validation" / schema)):
                if not sql_script.load(path):
                    raise ConfigError(f"{path.parent.name}/{path.name}", "", "it has no statement")
        extra = [Column.parse(name, "database.sensitive_columns") for name in self.settings.database.sensitive_columns]
        return list(dict.fromkeys([*found, *extra]))

    def _tables(self, live: Cluster | None) -> None:
        """See that the tables to keep are there."""
        names = [Table.parse(name, "database.keep_tables") for name in self.settings.database.keep_tables]
        if live is None or live.status not in _SERVING or not names:
            return
        with MySqlHook(self._target_login(live)) as sql:
            known = sql.rows(
                "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE'"
            )
        for table in names:
            if tuple(table) not in known:
                of_schema = sorted(name for schema, name in known if schema == table.schema)
                self.problems.append(
                    ConfigError(
                        "database.keep_tables",
                        str(table),
                        f"tables of {table.schema} in {live.cluster_id} are {of_schema}",
                    )
                )

    def _source_schema(self, origin: Cluster | None, live: Cluster | None, columns: Sequence[Column]) -> None:
        """See that sensitive columns exist: in the source where it can be looked at, else in what was refreshed last."""
        secret_id = self.settings.source.schema_secret
        if secret_id and origin is not None:
            source = self.settings.source
            value = SecretsHook(source.aws_conn_id, source.region).find_secret(secret_id)
            if value is None:
                raise ConfigError(
                    "source.schema_secret", secret_id, "create it in the source's account, or leave it out"
                )
            login = Login(
                origin.reader_endpoint, origin.port, value["username"], value["password"], self.settings.database.tls_ca
            )
            self.tables_from = origin.cluster_id
        elif live is not None and live.status in _SERVING:
            login = self._target_login(live)
            self.tables_from = live.cluster_id
        else:
            return
        with MySqlHook(login) as sql:
            missing = missing_columns(sql, list(columns), "masking columns")
            self.problems += missing
            if self.rules and not missing:
                self._plan_tables(sql)

    def _plan_tables(self, sql: MySqlHook) -> None:
        """Choose how each table will be masked, as far as this user sees tables, and find rules that cannot be followed."""
        database = self.settings.database
        self.tables, problems = plan_tables(
            read_table_facts(sql, database.schemas),
            self.rules,
            rebuild_limit_bytes=database.masking.rebuild_limit_bytes,
        )
        self.problems += problems

    def _target_login(self, live: Cluster) -> Login:
        target = self.settings.target
        try:
            return master_login(
                live, SecretsHook(target.aws_conn_id, target.region), None, self.settings.database.tls_ca
            )
        except MissingError as exc:
            raise StateError(f"target.cluster: {exc}") from exc
