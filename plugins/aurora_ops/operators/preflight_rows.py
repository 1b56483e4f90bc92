"""What the preflight looks at, account by account; each look is a row, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

from aurora_ops.core import kubernetes as k8s
from aurora_ops.core import preflight, refresh_plan, retention_plan, safety
from aurora_ops.core.errors import AuroraOpsError, ConfigError, PermanentError
from aurora_ops.core.preflight import Finding, Row
from aurora_ops.core.settings import Environment, Files
from aurora_ops.hooks.backup import BackupHook
from aurora_ops.hooks.buckets import BucketsHook
from aurora_ops.hooks.cloudtrail import TrailsHook
from aurora_ops.hooks.kms import KmsHook
from aurora_ops.hooks.kubernetes import KubernetesHook
from aurora_ops.hooks.network import NetworkHook
from aurora_ops.hooks.rds import Cluster, RdsHook, Snapshot
from aurora_ops.hooks.runs import RunsHook
from aurora_ops.hooks.secrets import SecretsHook
from aurora_ops.hooks.topics import TopicsHook
from aurora_ops.operators import restore_checks
from aurora_ops.operators.file_restore import newest_recovery_point
from aurora_ops.operators.preflight_exports import ExportRows

Look = Callable[[], Finding]
PLACES = ("source", "target", "orchestrator")
_LOGIN = ("username", "password")
_LONGEST = 400
_IN_FLIGHT = "copying"
_MYSQL_PORT = 3306


class Survey:
    """Look at everything that an environment names. Changes nothing.

    :param settings: settings of the environment.
    """

    def __init__(self, settings: Environment) -> None:
        self.settings = settings
        self.rows: list[Row] = []
        self._reached: set[str] = set()
        self._vpc_id: str | None = None

    def all(self) -> list[Row]:
        """Look at all of it."""
        for where in PLACES:
            self._account(where)
        origin = self._source()
        self._target(origin)
        self._retention()
        self._files()
        self._jobs()
        self._orchestrator()
        if exports := self.settings.exports:
            ExportRows(self.settings, exports, self._row).all()
        for where in PLACES:
            trails = TrailsHook(*self._at(where))
            self._row(where, "CloudTrail", self._at(where)[1], partial(_judge_trails, trails))
        return self.rows

    # ---- how a row is made -----------------------------------------------------------------------------------------

    def _at(self, where: str) -> tuple[str, str]:
        """Say where a section's account is: connection and region."""
        place = getattr(self.settings, where)
        return place.aws_conn_id, place.region

    def _row(self, where: str, check: str, subject: str, look: Look) -> None:
        """Look, and write down what was seen; what cannot be looked at has failed."""
        try:
            finding = (
                look() if where in self._reached else Finding("fail", "not looked at", "mend the connection first")
            )
        except ConfigError as exc:
            finding = Finding("fail", repr(exc.value), f"{exc.field}: {exc.allowed}")
        except PermanentError as exc:
            finding = Finding("fail", str(exc)[:_LONGEST], "mend what it names, and run this again")
        except AuroraOpsError as exc:
            finding = Finding("fail", str(exc)[:_LONGEST], "run this again; AWS or the network may be busy")
        self.rows.append(Row(where, check, subject, finding))

    def _found(
        self, where: str, check: str, subject: str, look: Callable[[], Any], judge: Callable[[Any], Finding]
    ) -> Any:
        """Make a row of something that later rows need; ``None`` where it could not be looked at."""
        seen: list[Any] = []

        def judged() -> Finding:
            seen.append(look())
            return judge(seen[0])

        self._row(where, check, subject, judged)
        return seen[0] if seen else None

    # ---- accounts --------------------------------------------------------------------------------------------------

    def _account(self, where: str) -> None:
        """See who the connection makes us; without that nothing else of the account is looked at."""
        connection, region = self._at(where)
        self._reached.add(where)
        caller = self._found(
            where,
            "role",
            connection,
            lambda: RdsHook(connection, region).caller(),
            lambda caller: preflight.identity(caller, connection),
        )
        account_id = getattr(self.settings, where).account_id
        if caller is not None:
            self._row(where, "account", connection, lambda: preflight.account(caller, account_id, connection))
        if caller is not None and where == "target":
            role_arn = self.settings.target.role_arn
            self._row(where, "role of the target", role_arn, lambda: preflight.role(caller, role_arn))
        if caller is None or caller[0] != account_id:
            self._reached.discard(where)

    # ---- source ----------------------------------------------------------------------------------------------------

    def _source(self) -> Cluster | None:
        source, at = self.settings.source, self._at("source")
        rds = RdsHook(*at)
        origin: Cluster | None = self._found(
            "source", "cluster", source.cluster, lambda: rds.require_cluster(source.cluster), _judge_origin
        )
        snapshots = self._found(
            "source", "snapshots", source.cluster, lambda: rds.list_snapshots(source.cluster), self._judge_snapshots
        )
        if origin is not None and snapshots is not None:
            self._row("source", "sharing", source.cluster, lambda: self._judge_sharing(rds, origin, snapshots))
        if source.kms_key_id:
            self._key("source", "source.kms_key_id", source.kms_key_id)
        self._quotas("source", {"ManualClusterSnapshots": 2})
        if source.schema_secret:
            self._secret("source", source.schema_secret, _LOGIN)
        return origin

    def _chosen(self, snapshots: Sequence[Snapshot]) -> Snapshot | None:
        wanted = self.settings.source
        return refresh_plan.choose_snapshot(
            wanted.snapshot, snapshots, now=datetime.now(UTC), max_age_h=wanted.snapshot_max_age_h
        )

    def _judge_snapshots(self, snapshots: Sequence[Snapshot]) -> Finding:
        chosen = self._chosen(snapshots)
        if chosen is None:
            return Finding("pass", "a fresh one will be taken")
        return Finding("pass", f"{chosen.snapshot_id}, of {chosen.created:%Y-%m-%d %H:%M}")

    def _judge_sharing(self, rds: RdsHook, origin: Cluster, snapshots: Sequence[Snapshot]) -> Finding:
        try:
            chosen = self._chosen(snapshots)
        except ConfigError:
            chosen = None  # said in the row before
        arn = restore_checks.find_rekey_arn(rds, chosen, origin.kms_key_arn, self.settings.source.kms_key_id)
        return Finding("pass", f"copied under {arn} first" if arn else "as it is")

    # ---- target ----------------------------------------------------------------------------------------------------

    def _target(self, origin: Cluster | None) -> None:
        target, at = self.settings.target, self._at("target")
        rds = RdsHook(*at)
        live: Cluster | None = self._found(
            "target", "cluster", target.cluster, lambda: rds.find_cluster(target.cluster), _judge_live
        )
        for field in ("kms_key_id", "master_secret_kms_key_id"):
            if key_id := getattr(target, field):
                self._key("target", f"target.{field}", key_id)
        group = self._found(
            "target",
            "subnet group",
            target.subnet_group,
            lambda: restore_checks.require_subnet_group(rds, target.subnet_group),
            preflight.subnet_group,
        )
        self._vpc_id, port = (group or {}).get("VpcId"), live.port if live else _MYSQL_PORT
        for name in target.isolation_security_groups:
            self._security_group("target.isolation_security_groups", name, port, isolated=True)
        for name in target.security_groups or []:
            self._security_group("target.security_groups", name, port, isolated=False)
        version = origin.engine_version if origin else ""
        if name := target.parameter_group or (live.parameter_group if live else ""):
            self._row(
                "target",
                "parameter group",
                name,
                lambda: preflight.parameter_group(restore_checks.require_parameter_group(rds, name), version),
            )
            master = origin.master_username if origin else ""
            self._row(
                "target",
                "audit of masking",
                name,
                lambda: preflight.audited_masking(rds.cluster_parameters(name), master),
            )
        wanted = target.instances.instance_class
        self._row("target", "instance class", wanted, lambda: _judge_class(wanted, version, rds))
        self._quotas(
            "target", {"ManualClusterSnapshots": 1, "DBClusters": 1, "DBInstances": 1 + target.instances.readers}
        )
        self._row("target", "copies of snapshots", target.region, lambda: _judge_copies(rds))
        for user in self.settings.database.users:
            self._secret("target", user.secret, _LOGIN)
        if salt := self.settings.database.masking.salt_secret:
            secrets = SecretsHook(*at)
            self._row("target", "secret", salt, lambda: preflight.salt(secrets.find_secret(salt)))
        for bucket in (self.settings.database.keep_bucket, self.settings.database.sql_bucket):
            if bucket:
                self._bucket("target", bucket)

    def _retention(self) -> None:
        """Look at the keys of copies that are kept in other regions."""
        for where in (where for of_cluster in retention_plan.places(self.settings) for where in of_cluster):
            if where.copies and where.kms_key_id:
                self._key(where.place, "retention.clusters.copy_to.kms_key_id", where.kms_key_id, where.region)

    # ---- files, jobs -----------------------------------------------------------------------------------------------

    def _files(self) -> None:
        files = self.settings.files
        if files is None:
            return
        self._row("source", "backup of files", files.source_vault, lambda: _judge_backup(self.settings, files))
        self._row("target", "vault", files.vault, lambda: _judge_vault(BackupHook(*self._at("target")), files.vault))
        if files.kms_key_id:
            self._key("target", "files.kms_key_id", files.kms_key_id)
        for name in files.security_groups:
            self._security_group("files.security_groups", name, preflight.NFS_PORT, isolated=False)

    def _jobs(self) -> None:
        eks = self.settings.eks
        if eks is None:
            return
        at = self._at("target")
        self._row(
            "target",
            "Kubernetes",
            eks.cluster,
            lambda: _judge_namespace(KubernetesHook(*at), eks.cluster, eks.claim, eks.namespace),
        )

    # ---- orchestrator ----------------------------------------------------------------------------------------------

    def _orchestrator(self) -> None:
        here, at = self.settings.orchestrator, self._at("orchestrator")
        runs, name = RunsHook(*at), here.runs_table
        description = self._found("orchestrator", "table", name, lambda: runs.describe(name), preflight.table_keys)
        if description is not None:
            self._row("orchestrator", "time to live", name, lambda: preflight.table_lifetime(runs.lifetime(name)))
            self._row("orchestrator", "encryption", name, lambda: preflight.table_encryption(description))
            self._row(
                "orchestrator", "point-in-time recovery", name, lambda: preflight.table_recovery(runs.recovery(name))
            )
        if arn := here.topic_arn:
            self._row("orchestrator", "topic", arn, lambda: preflight.topic(TopicsHook(*at).list_subscriptions(arn)))
        else:
            self.rows.append(_nowhere("topic", "orchestrator.topic_arn", "nobody is told of failures"))
        if here.report_bucket:
            self._bucket("orchestrator", here.report_bucket)
        else:
            self.rows.append(_nowhere("bucket", "orchestrator.report_bucket", "no report of a run is kept"))
        if logs := self.settings.audit_logs:
            states = logs.state_table
            self._row("orchestrator", "table", states, lambda: preflight.table_keys(runs.describe(states)))
            self._bucket("orchestrator", logs.bucket)

    # ---- what several places have ----------------------------------------------------------------------------------

    def _key(self, where: str, field: str, key_id: str, region: str | None = None) -> None:
        connection, home = self._at(where)
        at = region or home
        self._row(
            where, f"key ({field})", key_id, lambda: preflight.key(KmsHook(connection, at).find_key(key_id), region=at)
        )

    def _secret(self, where: str, secret_id: str, fields: Sequence[str]) -> None:
        hook = SecretsHook(*self._at(where))
        self._row(where, "secret", secret_id, lambda: preflight.secret(hook.find_secret(secret_id), fields))

    def _bucket(self, where: str, bucket: str) -> None:
        s3 = BucketsHook(*self._at(where))
        there = self._found(
            where, "bucket", bucket, lambda: _exists(s3, bucket), lambda _: Finding("pass", "it is there")
        )
        if there is None:
            return
        self._row(where, "encryption", bucket, lambda: preflight.bucket_encryption(s3.encryption(bucket)))
        self._row(where, "public access", bucket, lambda: preflight.public_access(s3.public_access_block(bucket)))
        self._row(where, "versioning", bucket, lambda: preflight.versioning(s3.versioning(bucket)))

    def _security_group(self, field: str, name: str, port: int, *, isolated: bool) -> None:
        network, vpc_id = NetworkHook(*self._at("target")), self._vpc_id
        self._row(
            "target",
            f"security group ({field})",
            name,
            lambda: preflight.security_group(
                network.security_groups([name], vpc_id, field)[0], port, isolated=isolated
            ),
        )

    def _quotas(self, where: str, needed: dict[str, int]) -> None:
        region, quotas = self._at(where)[1], cache(RdsHook(*self._at(where)).list_quotas)
        for name, count in needed.items():
            self._row(where, f"quota {name}", region, partial(_judge_quota, quotas, name, count))


def _nowhere(check: str, setting: str, why: str) -> Row:
    """Make the row of something that the settings leave out and most would want."""
    return Row("orchestrator", check, setting, Finding("warn", "not set", f"set it: {why}"))


def _exists(s3: BucketsHook, bucket: str) -> bool:
    s3.require_bucket(bucket)
    return True


def _judge_origin(origin: Cluster) -> Finding:
    if not origin.kms_key_arn:
        return Finding(
            "warn",
            "not encrypted",
            "encrypt it by a restore under a key: its snapshots are readable to whoever has them",
        )
    return Finding("pass", f"{origin.status}, {origin.engine_version}")


def _judge_live(live: Cluster | None) -> Finding:
    """Judge what is to be replaced; none at all is a first refresh."""
    if live is None:
        return Finding("pass", "there is none: a first refresh makes it")
    safety.require_refreshable(live.cluster_id, live.tags)
    if live.status not in ("available", "backing-up"):
        return Finding("warn", live.status, "start it, or wait: it must be available to be replaced")
    return Finding("pass", f"{live.status}, tagged {safety.REFRESH_TAG}=true")


def _judge_class(instance_class: str, version: str, rds: RdsHook) -> Finding:
    restore_checks.require_orderable(rds, version, "target.instances.class", instance_class)
    return Finding("pass", f"can be ordered for {version or 'any version'}")


def _judge_copies(rds: RdsHook) -> Finding:
    return preflight.copies(sum(snapshot.status == _IN_FLIGHT for snapshot in rds.list_manual_snapshots()))


def _judge_quota(quotas: Callable[[], dict[str, tuple[int, int]]], name: str, needed: int) -> Finding:
    return preflight.quota(quotas().get(name), needed)


def _judge_trails(hook: TrailsHook) -> Finding:
    return preflight.trails(hook.list_logging())


def _judge_backup(settings: Environment, files: Files) -> Finding:
    _, point = newest_recovery_point(
        BackupHook(settings.source.aws_conn_id, settings.source.region),
        files.source_file_system,
        files.source_vault,
        now=datetime.now(UTC),
        max_age_h=files.recovery_point_max_age_h,
    )
    return Finding("pass", f"{point.arn.rpartition(':')[2]}, of {point.created:%Y-%m-%d %H:%M}")


def _judge_vault(backup: BackupHook, vault: str) -> Finding:
    backup.require_vault(vault)
    return Finding("pass", "it is there")


def _judge_namespace(hook: KubernetesHook, cluster: str, claim: str, namespace: str) -> Finding:
    """See that the cluster's API answers and lets us look at the claim of the dumps."""
    found = hook.api(cluster).find(k8s.CLAIMS, claim, namespace)
    if found is None:
        return Finding(
            "warn", f"no claim {claim} in {namespace}", "make it with eks_manage_storage before tables are kept by jobs"
        )
    phase = (found.get("status") or {}).get("phase")
    if phase != "Bound":
        return Finding("warn", f"claim {claim} is {phase}", "look at its volume")
    return Finding("pass", f"reached; claim {claim} is bound")
