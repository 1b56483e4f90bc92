"""Requests of the database workflows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aurora_ops.core import naming
from aurora_ops.core.errors import ConfigError, PermanentError, Problems
from aurora_ops.core.requests.base import IgnoreWindow, Place, Request, confirmed
from aurora_ops.core.requests.db_restore import RestoreCluster as RestoreCluster
from aurora_ops.core.requests.db_sql import RunSqlFromS3 as RunSqlFromS3
from aurora_ops.core.requests.db_sql import RunSqlLambda as RunSqlLambda
from aurora_ops.core.requests.eks import RunMysqldumpOnEks as RunMysqldumpOnEks
from aurora_ops.core.requests.eks import RunMysqlimportOnEks as RunMysqlimportOnEks
from aurora_ops.core.section import Identifier, RoleArn
from aurora_ops.core.settings import Environment, InstanceClass
from aurora_ops.core.windows import require_open

ClusterName = Annotated[
    Identifier,
    Field(
        title="Cluster",
        description="One of safety.allowed_clusters, or its -restore or -old.",
        examples=["staging-shop-restore"],
    ),
]
Confirmation = Annotated[
    str, Field(title="Confirm", description="Type the cluster's name once more; it is what will be gone.")
]


class OfCluster(Request):
    """A request that changes one cluster of the target's account, whether it exists or not."""

    cluster: ClusterName

    def changed_clusters(self) -> dict[str, str]:
        """Name the cluster."""
        return {"cluster": self.cluster}


class OfPresentCluster(OfCluster):
    """A request that changes one cluster of the target's account, which must exist."""

    def required_clusters(self) -> dict[str, str]:
        """Name the cluster."""
        return {"cluster": self.cluster}


class ConfigureS3Integration(OfPresentCluster):
    """Attach a role for ``LOAD DATA FROM S3`` and ``SELECT INTO OUTFILE S3``."""

    role_arn: RoleArn | None = Field(
        None, title="Role", description="ARN of the role. Empty: target.s3_role_arn of the environment."
    )

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse any role but the one that the environment names."""
        if settings.target.s3_role_arn is None or self.role_arn not in (None, settings.target.s3_role_arn):
            allowed = f"target.s3_role_arn of the environment is {settings.target.s3_role_arn!r}"
            return [ConfigError("role_arn", self.role_arn, allowed)]
        return []

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give the role."""
        return {"role_arn": self.role_arn or settings.target.s3_role_arn}


class CreateInstance(OfPresentCluster):
    """Give a cluster instances."""

    instance_class: InstanceClass | None = Field(
        None,
        title="Instance class",
        description="Such as db.r6g.large or db.serverless. Empty: target.instances.class of the environment.",
        examples=["db.r6g.large", "db.serverless"],
    )
    first: int = Field(
        1, ge=1, le=16, title="First number", description="1 is the writer; <cluster>-<number> is its name."
    )
    count: int = Field(1, ge=1, le=16, title="Instances", description="How many, counted from the first number.")

    def problems(self, _settings: Environment, /) -> list[PermanentError]:
        """Refuse more than 16 instances."""
        if self.first + self.count > 17:
            return [ConfigError("count", self.count, f"a cluster has at most 16 instances; from {self.first} on that is "
                                f"{17 - self.first}")]  # fmt: skip
        return []

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give the class."""
        return {"instance_class": self.instance_class or settings.target.instances.instance_class}


class CreateManualSnapshot(Request):
    """Take a manual snapshot of the source's or the target's cluster."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")

    account: Literal["source", "target"] = Field(
        "source", title="Account", description="Whose cluster: the environment's source or its target."
    )
    keep_days: int = Field(
        7, ge=1, le=366, title="Days it is kept", description="After that reap_expired may delete it."
    )

    def inputs(self, settings: Environment, moment: datetime, /) -> dict[str, Any]:
        """Give cluster, name and place."""
        place = getattr(settings, self.account)
        return {
            "cluster": place.cluster,
            "snapshot_id": naming.snapshot(place.cluster, settings.environment, moment, "manual"),
            "expires_h": self.keep_days * 24,
            "chosen_conn_id": place.aws_conn_id,
            "chosen_region": place.region,
        }


class DeleteCluster(OfCluster):
    """Delete a cluster with its instances."""

    confirm: Confirmation
    final_snapshot: bool = Field(
        True, title="Final snapshot", description="Take a last snapshot; it costs its time and its storage."
    )

    def problems(self, _settings: Environment, /) -> list[PermanentError]:
        """Refuse unless the name has been typed twice."""
        return confirmed(self.confirm, self.cluster, "the cluster's name")

    def inputs(self, settings: Environment, moment: datetime, /) -> dict[str, Any]:
        """Name the final snapshot."""
        name = naming.snapshot(self.cluster, settings.environment, moment, "final")
        return {"final_snapshot_id": name if self.final_snapshot else None}


class EnableMasterSecret(OfPresentCluster):
    """Let RDS make and keep the master password."""

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give the key of the secret."""
        return {"kms_key_id": settings.target.master_secret_kms_key_id}


class EnsureClusterAvailable(OfPresentCluster):
    """Start a cluster if need be, and wait until it and its instances are available."""


class EnsureClusterNotExists(OfCluster):
    """Clear away what an earlier refresh left under a temporary or retired name."""

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse what serves: that is db_delete_cluster's."""
        if self.cluster in settings.safety.allowed_clusters:
            allowed = [
                name
                for live in settings.safety.allowed_clusters
                for name in (naming.temporary_cluster(live), naming.old_cluster(live))
            ]
            return [ConfigError("cluster", self.cluster, f"this clears names aside, {allowed}; see db_delete_cluster")]
        return []


class ListSharedSnapshots(Request):
    """List the snapshots that other accounts share with the target's."""

    source_account: Annotated[str, Field(pattern=r"^\d{12}$")] | None = Field(
        None, title="Shared by", description="Account id. Empty: every account.", examples=["111111111111"]
    )


class RenameCluster(Request):
    """Swap a restored cluster with the one that serves."""

    cluster: Identifier = Field(
        title="Live cluster", description="The name under which applications are served; of safety.allowed_clusters."
    )

    check_users: bool = Field(
        False, title="Log in as each user afterwards", description="With what the secrets of database.users hold now."
    )
    ignore_window: IgnoreWindow = False

    def changed_clusters(self) -> dict[str, str]:
        """Name the live cluster, and the two names that the swap uses."""
        return {
            "cluster": self.cluster,
            "restored": naming.temporary_cluster(self.cluster),
            "old": naming.old_cluster(self.cluster),
        }

    def required_clusters(self) -> dict[str, str]:
        """Name the two that change places."""
        return {"cluster": self.cluster, "restored": naming.temporary_cluster(self.cluster)}

    def free_names(self) -> dict[str, str]:
        """Name what the live cluster will be called."""
        return {"old": naming.old_cluster(self.cluster)}

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse a name beside a live one, and any while no window is open."""
        allowed, problems = list(settings.safety.allowed_clusters), Problems()
        if self.cluster not in allowed:
            problems.append(ConfigError("cluster", self.cluster, f"live clusters are {allowed}"))
        windows = settings.safety.windows(ignored=self.ignore_window)
        problems.attempt(lambda: require_open(windows, datetime.now(UTC)))
        return problems

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give the names of the swap, and what must work afterwards."""
        users = settings.database.users if self.check_users else []
        return {
            "temporary_cluster": naming.temporary_cluster(self.cluster),
            "old_cluster": naming.old_cluster(self.cluster),
            "users": [user.model_dump() for user in users],
            "tls_ca": settings.database.tls_ca,
            "deletion_protection": settings.target.deletion_protection,
        }


class RotateSecrets(OfPresentCluster):
    """Give the environment's database users new passwords, in the database and in their secrets."""

    usernames: list[str] | None = Field(
        None, title="Users", description="One a line. Empty: all of database.users.", examples=[["shop_app"]]
    )

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse users whose secrets the environment does not name."""
        known = [user.username for user in settings.database.users if user.username]
        return [
            ConfigError("usernames", name, f"database.users of the environment are {known}")
            for name in self.usernames or []
            if name not in known
        ]

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give the users' settings."""
        wanted = self.usernames or [user.username for user in settings.database.users]
        return {
            "users": [user.model_dump() for user in settings.database.users if user.username in wanted],
            "tls_ca": settings.database.tls_ca,
        }


class ShareSnapshot(Request):
    """Share a manual snapshot of the source with the target's account, or take the share back."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")

    snapshot: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,254}$")] = Field(
        title="Snapshot", description="Identifier of a manual snapshot of the source.", examples=["prod-shop-before-7"]
    )
    action: Literal["share", "revoke"] = Field(
        "share",
        title="Action",
        description="share: list entry and key grant, proven visible. revoke: both are taken back.",
    )

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give the role to share with."""
        return {"grantee_arn": settings.target.role_arn}


class StopCluster(OfPresentCluster):
    """Stop a cluster."""

    confirm: Confirmation
    keep_stopped_days: float | None = Field(
        None,
        gt=0,
        le=366,
        title="Days it is kept stopped",
        description="RDS starts it again after seven days; so long reap_expired stops it again. Empty: it is left to RDS.",
    )

    def problems(self, _settings: Environment, /) -> list[PermanentError]:
        """Refuse unless the name has been typed twice."""
        return confirmed(self.confirm, self.cluster, "the cluster's name")
