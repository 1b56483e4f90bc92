"""Request of the workflow that restores a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field

from aurora_ops.core import naming
from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.core.requests.base import Place
from aurora_ops.core.requests.capacity import Capacity
from aurora_ops.core.section import Identifier
from aurora_ops.core.settings import Environment


class RestoreCluster(Capacity):
    """Restore a cluster beside the one that serves: from a snapshot, to a moment, or as a clone."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")

    cluster: Identifier = Field(
        title="Live cluster",
        description="One of safety.allowed_clusters; what is restored is named <live cluster>-restore.",
        examples=["staging-shop"],
    )
    restore_type: Literal["snapshot", "point_in_time", "clone", "shared_clone"] = Field(
        "snapshot",
        title="Restore from",
        description="snapshot: one of the target's account, copies included. point_in_time: a full copy as a cluster of the "
        "target's account was. clone: copy-on-write of one of its clusters, now. shared_clone: copy-on-write of the source's "
        "cluster, across accounts through RAM.",
    )
    source_cluster: Identifier | None = Field(
        None,
        title="Source cluster",
        description="Whose snapshot, backups or storage. Empty: the live cluster; for shared_clone the source's.",
        examples=["prod-shop"],
    )
    snapshot: Annotated[str, Field(pattern=r"^(rds:)?[A-Za-z][A-Za-z0-9-]{0,254}$")] | None = Field(
        None,
        title="Snapshot",
        description="Snapshot of the target's account. Empty: the newest one of the source cluster within the age.",
    )
    snapshot_max_age_h: float = Field(
        30, gt=0, le=24 * 366, title="Oldest snapshot (h)", description="Hours that the newest snapshot may be old."
    )
    restore_to: AwareDatetime | None = Field(
        None,
        title="Moment",
        description="For point_in_time, with its zone, such as 2026-07-01T02:00:00Z. Empty: the latest there is.",
    )
    keep_days: int = Field(
        7, ge=1, le=366, title="Days it is kept", description="After that reap_expired may delete it."
    )

    def changed_clusters(self) -> dict[str, str]:
        """Name the cluster that is made."""
        return {"cluster": naming.temporary_cluster(self.cluster)}

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse names that are not live, and fields that do not go together."""
        found: list[PermanentError] = []
        allowed = list(settings.safety.allowed_clusters)
        if self.cluster not in allowed:
            found.append(ConfigError("cluster", self.cluster, f"live clusters are {allowed}"))
        if self.snapshot and self.restore_type != "snapshot":
            found.append(ConfigError("snapshot", self.snapshot, "only restore_type snapshot takes one"))
        if self.restore_to and self.restore_type != "point_in_time":
            found.append(ConfigError("restore_to", str(self.restore_to), "only restore_type point_in_time takes one"))
        if self.restore_to and self.restore_to > datetime.now(UTC):
            found.append(ConfigError("restore_to", str(self.restore_to), "it must be in the past"))
        if self.restore_type in ("point_in_time", "clone"):
            readable = [name for live in allowed for name in (live, naming.old_cluster(live))]
            if (self.source_cluster or self.cluster) not in readable:
                found.append(ConfigError("source_cluster", self.source_cluster, f"allowed are {readable}"))
        if self.restore_type == "shared_clone":
            found += self._abroad(settings)
        return [*found, *self.capacity_problems(settings)]

    def _abroad(self, settings: Environment) -> list[PermanentError]:
        source, target = settings.source, settings.target
        found: list[PermanentError] = []
        if self.source_cluster not in (None, source.cluster):
            found.append(
                ConfigError(
                    "source_cluster", self.source_cluster, f"source.cluster is {source.cluster!r}, or leave it empty"
                )
            )
        if source.region != target.region:
            found.append(
                ConfigError("restore_type", self.restore_type, f"AWS clones within a region only; the source is in "
                            f"{source.region}, the target in {target.region}: use snapshot")
            )  # fmt: skip
        if source.account_id == target.account_id:
            found.append(ConfigError("restore_type", self.restore_type, "source and target are one account: use clone"))
        return found

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give names and the settings of the new cluster."""
        source, target = settings.source, settings.target
        shared = self.restore_type == "shared_clone"
        return {
            "temporary_cluster": naming.temporary_cluster(self.cluster),
            "source_cluster": source.cluster if shared else self.source_cluster or self.cluster,
            "share_name": naming.cluster_share(source.cluster, settings.environment) if shared else None,
            "grantee_arn": target.role_arn,
            "kms_key_id": target.kms_key_id,
            "master_secret_kms_key_id": target.master_secret_kms_key_id,
            "subnet_group": target.subnet_group,
            "isolation_security_groups": list(target.isolation_security_groups),
            "parameter_group": target.parameter_group,
            **self.capacity(settings),
            "backup_retention_days": target.backup_retention_days,
            "log_exports": list(target.log_exports),
            "s3_role_arn": target.s3_role_arn,
            "tags": {"aurora-ops:environment": settings.environment},
            "expires_h": self.keep_days * 24,
        }
