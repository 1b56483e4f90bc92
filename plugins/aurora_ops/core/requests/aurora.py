"""Requests of the restore pipeline."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field

from aurora_ops.core import naming
from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError
from aurora_ops.core.requests.base import IgnoreWindow, Place, confirmed
from aurora_ops.core.requests.capacity import Capacity
from aurora_ops.core.section import Identifier
from aurora_ops.core.settings import Environment, SecretName
from aurora_ops.core.users import Privilege, User

SnapshotName = Annotated[str, Field(pattern=r"^((rds|awsbackup):)?[A-Za-z][A-Za-z0-9:-]{0,254}$")]
DRILL, LONGEST_LABEL = "drill", 12
_READ: list[Privilege] = ["SELECT", "SHOW VIEW"]
_WRITE: list[Privilege] = ["INSERT", "UPDATE", "DELETE", "EXECUTE"]


class Restore(Capacity):
    """Restore a snapshot or a moment beside what serves, verify it, and let it serve if that is asked for."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")
    disposable: ClassVar[bool] = False
    """Whether a cluster of the same name may be cleared away although it was verified."""

    last: ClassVar[tuple[str, ...]] = (*Capacity.last, "dry_run")

    cluster: Identifier = Field(
        title="Live cluster",
        description="One of safety.allowed_clusters: what is restored stands beside it, is sized as its environment says, and "
        "takes its place if it is to be swapped.",
        examples=["staging-shop"],
    )
    label: Annotated[str, Field(pattern=rf"^[a-z][a-z0-9]{{0,{LONGEST_LABEL - 1}}}$")] | None = Field(
        None,
        title="Label of the new name",
        description="The new cluster is named <live cluster>-restored, or <live cluster>-restored-<label>.",
        examples=["friday"],
    )
    from_account: Literal["source", "target"] = Field(
        "target",
        title="Whose backup",
        description="target: backups of the account that it is restored in. source: of the environment's source, copied from its "
        "account and region; production's data, not masked.",
    )
    source_cluster: Identifier | None = Field(
        None,
        title="Source cluster",
        description="Whose snapshot or backups. Empty: the live cluster, or the source's.",
        examples=["prod-shop"],
    )
    snapshot: SnapshotName | None = Field(
        None, title="Snapshot", description="This one. At most one of snapshot, newest_before and restore_to is given."
    )
    newest_before: AwareDatetime | None = Field(
        None,
        title="Newest snapshot before",
        description="With its zone, such as 2026-07-01T02:00:00Z. Empty, with no snapshot and no moment: the newest there is.",
    )
    restore_to: AwareDatetime | None = Field(
        None,
        title="Moment",
        description="To this second, from automated backups, with its zone; AWS does this within an account and region only.",
    )
    users: Literal["environment", "none"] = Field(
        "environment",
        title="Database users",
        description="environment: those of the environment, with the passwords of their secrets; others are dropped. none: as they "
        "were in the backup.",
    )
    app_secret: SecretName | None = Field(
        None,
        title="Secret of application users",
        description="A secret with app_username, app_password, readonly_username and readonly_password, in place of the "
        "environment's users.",
        examples=["aurora-restore/app-credentials"],
    )
    master_secret: SecretName | None = Field(
        None,
        title="Master secret",
        description="A secret with database, username and password: the new master password. Empty: RDS makes and keeps one.",
        examples=["aurora-restore/master-credentials"],
    )
    suite: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")] | None = Field(
        None,
        title="Verification suite",
        description="A name in include/sql/validation. Empty: restore.suite of the environment.",
        examples=["shop"],
    )
    baseline: Annotated[str, Field(pattern=r"^(source|s3://.+|/.+)$")] | None = Field(
        None,
        title="Baseline",
        description="What rows and checksums are compared with. source: taken now of the source cluster, which must still be "
        "there. Or s3://bucket/key of one that was kept. Empty: they are not compared.",
        examples=["source"],
    )
    swap: bool = Field(
        False,
        title="Let it serve",
        description="After it is verified it takes the live cluster's name; that is kept as <live cluster>-old.",
    )
    confirm: str | None = Field(None, title="Confirm the swap", description="Type the live cluster's name to swap.")
    ignore_window: IgnoreWindow = False
    old_cluster: Literal["keep", "stop", "delete"] = Field(
        "keep", title="Old cluster", description="What becomes of the cluster that served before, after a swap."
    )
    final_snapshot: bool = Field(
        True, title="Final snapshot", description="Take one before the old cluster is deleted."
    )
    copied_snapshot: Literal["delete", "keep", "archive"] = Field(
        "delete",
        title="Copied snapshot",
        description="After verification. delete: it goes. keep: until its expiry. archive: for good, kept by snapshot_retention.",
    )
    keep_days: int = Field(
        7,
        ge=1,
        le=366,
        title="Days it is kept",
        description="Unless it serves, reap_expired may delete it after that.",
    )
    dry_run: bool = Field(False, title="Dry run", description="Show the whole plan and end; nothing is changed.")

    @property
    def restored(self) -> str:
        """Name of the new cluster."""
        return naming.restored_cluster(self.cluster, self.label)

    def changed_clusters(self) -> dict[str, str]:
        """Name the new cluster, which a failed run may have left, and the live one if it is to be swapped."""
        return {"label": self.restored} | ({"cluster": self.cluster} if self.swap else {})

    def locked_cluster(self, _settings: Environment, /) -> str:
        """Name the cluster whose lock is held: what stands beside the live one is nothing to a refresh of it."""
        return self.cluster if self.swap else self.restored

    def free_names(self) -> dict[str, str]:
        """Name what a swap needs free."""
        return {"cluster": naming.old_cluster(self.cluster)} if self.swap else {}

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse what does not go together."""
        return [
            *self._origin_problems(settings),
            *self._swap_problems(settings),
            *self._user_problems(settings),
            *self.capacity_problems(settings),
        ]

    def _origin_problems(self, settings: Environment) -> list[PermanentError]:
        found: list[PermanentError] = []
        allowed = list(settings.safety.allowed_clusters)
        if self.label == DRILL and not self.disposable:
            found.append(
                ConfigError("label", self.label, "clusters of this label are torn down by drills; write another")
            )
        if self.cluster not in allowed:
            found.append(ConfigError("cluster", self.cluster, f"live clusters are {allowed}"))
        chosen = [name for name in ("snapshot", "newest_before", "restore_to") if getattr(self, name) is not None]
        if len(chosen) > 1:
            found.append(
                ConfigError(chosen[1], str(getattr(self, chosen[1])), f"{chosen[0]} is given; give one of them")
            )
        for name in ("newest_before", "restore_to"):
            moment = getattr(self, name)
            if moment and moment > datetime.now(UTC):
                found.append(ConfigError(name, moment.isoformat(), "it must be in the past"))
        if self.restore_to and self.is_abroad(settings):
            found.append(
                ConfigError(
                    "restore_to",
                    self.restore_to.isoformat(),
                    "AWS restores to a moment only within the account and region of the backups: use newest_before",
                )
            )
        if self.from_account == "source" and self.source_cluster not in (None, settings.source.cluster):
            found.append(
                ConfigError("source_cluster", self.source_cluster, f"source.cluster is {settings.source.cluster!r}")
            )
        return found

    def _swap_problems(self, settings: Environment) -> list[PermanentError]:
        if not self.swap:
            return []
        found = confirmed(self.confirm, self.cluster, "the live cluster's name")
        if self.from_account == "source" and not settings.restore.allow_unmasked:
            found.append(
                SafetyError(
                    f"swap: production's data would serve {settings.environment} unmasked; run refresh_{settings.environment}, or "
                    "set restore.allow_unmasked where that is meant"
                )
            )
        return found

    def _user_problems(self, settings: Environment) -> list[PermanentError]:
        found: list[PermanentError] = []
        if self.app_secret and self.users == "none":
            found.append(ConfigError("app_secret", self.app_secret, "users is none; leave one of them out"))
        if self.app_secret and self.app_secret == self.master_secret:
            found.append(ConfigError("app_secret", self.app_secret, "it must not be the master secret"))
        allowed, given = settings.restore.secrets, {"app_secret": self.app_secret, "master_secret": self.master_secret}
        found += [
            ConfigError(field, name, f"restore.secrets allows {allowed}")
            for field, name in given.items()
            if name is not None and name not in allowed
        ]
        if not (self.suite or settings.restore.suite):
            found.append(ConfigError("suite", None, "name one of include/sql/validation, here or in restore.suite"))
        if self.baseline == "source" and self.from_account == "source" and not settings.source.schema_secret:
            found.append(
                ConfigError(
                    "baseline", self.baseline, "source.schema_secret must name a login that may read the source"
                )
            )
        return found

    def is_abroad(self, settings: Environment) -> bool:
        """Tell whether the backup has to be copied from another account or region."""
        source, target = settings.source, settings.target
        elsewhere = (source.account_id, source.region) != (target.account_id, target.region)
        return self.from_account == "source" and elsewhere

    def _database_users(self, settings: Environment) -> list[dict[str, Any]]:
        """Say who is to get in: the environment's users, or the two of a secret, with what their secrets hold now."""
        if self.users == "none":
            return []
        if not self.app_secret:
            kept = [user.model_copy(update={"as_in_secret": True}) for user in settings.database.users]
            return [user.model_dump() for user in kept]
        rights: dict[str, list[Privilege]] = {"app": [*_READ, *_WRITE], "readonly": _READ}
        return [
            User.model_validate(
                {
                    "secret": self.app_secret,
                    "role": role,
                    "privileges": {schema: list(asked) for schema in settings.database.schemas},
                }
            ).model_dump()
            for role, asked in rights.items()
        ]

    def inputs(self, settings: Environment, moment: datetime, /) -> dict[str, Any]:
        """Give names and the settings of the new cluster."""
        source, target = settings.source, settings.target
        origin = source.cluster if self.from_account == "source" else self.cluster
        return {
            "source_cluster": self.source_cluster or origin,
            "restored_cluster": self.restored,
            "windows": settings.safety.windows(ignored=self.ignore_window),
            "old_name": naming.old_cluster(self.cluster),
            "final_snapshot_id": naming.snapshot(self.cluster, settings.environment, moment, "final")
            if self.final_snapshot
            else None,
            "grantee_arn": target.role_arn,
            "source_kms_key_id": source.kms_key_id,
            "target_kms_key_id": target.kms_key_id,
            "target_parameter_group": target.parameter_group,
            "isolation_security_groups": list(target.isolation_security_groups),
            "serving_security_groups": list(target.security_groups or []),
            "allow_unmasked": settings.restore.allow_unmasked,
            "disposable": self.disposable,
            "keep_failed": settings.safety.keep_failed_cluster,
            "subnet_group": target.subnet_group,
            "master_secret_kms_key_id": target.master_secret_kms_key_id,
            "backup_retention_days": target.backup_retention_days,
            "log_exports": list(target.log_exports),
            "s3_role_arn": target.s3_role_arn,
            "deletion_protection": target.deletion_protection,
            "endpoint_parameter": target.endpoint_parameter if self.cluster == target.cluster else None,
            "tls_ca": settings.database.tls_ca,
            "database_users": self._database_users(settings),
            "drop_others": self.users != "none",
            "suite": self.suite or settings.restore.suite,
            "chosen_conn_id": (source if self.from_account == "source" else target).aws_conn_id,
            "chosen_region": (source if self.from_account == "source" else target).region,
            "baseline_cluster": (self.source_cluster or origin) if self.baseline == "source" else None,
            "baseline_secret": source.schema_secret if self.from_account == "source" else None,
            "known_baseline": None if self.baseline == "source" else self.baseline,
            "report_bucket": settings.orchestrator.report_bucket,
            "metrics_namespace": settings.orchestrator.metrics_namespace,
            "expires_h": self.keep_days * 24,
            "tags": {"aurora-ops:environment": settings.environment},
            **self.capacity(settings),
        }


class RestoreDrill(Restore):
    """Restore to prove that it can be done; what is made is torn down."""

    disposable: ClassVar[bool] = True
