"""Requests of the utilities around a refresh."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aurora_ops.core import naming, reaping
from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError
from aurora_ops.core.ownership import is_guarded
from aurora_ops.core.requests.base import Place, Request, confirmed, live_name
from aurora_ops.core.requests.eks import RunArchiveJob as RunArchiveJob
from aurora_ops.core.section import AccountId, Identifier
from aurora_ops.core.settings import RUN_PARAMS, Environment, InstanceClass
from aurora_ops.core.tables import COLUMN_PATTERN, TABLE_PATTERN

_RDS_ARN = re.compile(
    r"arn:aws[a-z-]*:rds:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<kind>cluster|db):(?P<name>[a-z0-9-]+)"
)
_INSTANCES = range(1, 17)


class CleanupAndStop(Request):
    """Clear up after a refresh that was done by hand."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")

    cluster: Identifier = Field(
        title="Live cluster", description="One of safety.allowed_clusters, which serves now.", examples=["staging-shop"]
    )
    old_cluster: Literal["stop", "delete", "keep"] | None = Field(
        None,
        title="What becomes of the old cluster",
        description="The one named <live cluster>-old. Empty: target.old_cluster of the environment.",
    )
    delete_restored: bool = Field(
        default=False,
        title="Delete the restored cluster",
        description="The one named <live cluster>-restore, if a refresh did not get further.",
    )
    stop_live: bool = Field(
        default=False, title="Stop the live cluster", description="For an environment that nobody needs for a while."
    )
    keep_stopped_days: int | None = Field(
        None,
        ge=1,
        le=366,
        title="Days it is kept stopped",
        description="RDS starts it again after seven days; reap_expired stops it again until then.",
    )
    confirm: str | None = Field(
        None,
        title="Confirm",
        description="If anything is deleted or the live cluster stopped: type the live cluster's name.",
    )

    def changed_clusters(self) -> dict[str, str]:
        """Name the three clusters that may be changed."""
        return {
            "cluster": self.cluster,
            "old": naming.old_cluster(self.cluster),
            "restored": naming.temporary_cluster(self.cluster),
        }

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse a name beside a live one, and what is not confirmed."""
        found: list[PermanentError] = []
        allowed = list(settings.safety.allowed_clusters)
        if self.cluster not in allowed:
            found.append(ConfigError("cluster", self.cluster, f"live clusters are {allowed}"))
        deletes = self._policy(settings) == "delete" or self.delete_restored
        if deletes or self.stop_live:
            found += confirmed(self.confirm, self.cluster, "the cluster's name")
        if self.keep_stopped_days is not None and not self.stop_live:
            found.append(ConfigError("keep_stopped_days", self.keep_stopped_days, "only with stop_live"))
        return found

    def _policy(self, settings: Environment) -> str:
        return self.old_cluster or settings.target.old_cluster

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give names and policy."""
        return {
            "old_name": naming.old_cluster(self.cluster),
            "restored_name": naming.temporary_cluster(self.cluster) if self.delete_restored else None,
            "stopped_name": self.cluster if self.stop_live else None,
            "policy": self._policy(settings),
            "kept_days": settings.target.old_cluster_kept_days,
            "runs_of": f"refresh_{settings.environment}/",
            "lock_keys": sorted(reaping.lock_keys(settings)),
        }


class Notify(Request):
    """Write a notice down and announce it."""

    places: ClassVar[tuple[Place, ...]] = ()

    subject: Annotated[str, Field(min_length=1, max_length=99, pattern=r"^[ -~]+$")] = Field(
        title="Subject", description="One line of plain letters.", examples=["staging is closed today"]
    )
    message: Annotated[str, Field(min_length=1, max_length=50_000)] = Field(
        title="Message", description="Text; no secrets, it is kept and sent."
    )
    outcome: Literal["information", "succeeded", "warning", "failed"] = Field(
        "information", title="Outcome", description="Subscriptions filter by it."
    )
    cause: Annotated[str, Field(max_length=1000)] | None = Field(
        None, title="Cause", description="Why, where something failed."
    )
    duration_s: float | None = Field(None, ge=0, le=10**8, title="Duration (s)", description="How long it took.")


class PrepareRefresh(Request):
    """Check a refresh and show its plan; every field may be left empty, which means what the environment's file says."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")

    source_cluster: Identifier | None = Field(None, title="Source cluster", description="Empty: source.cluster.")
    snapshot: Annotated[str, Field(pattern=r"^(newest|newest_or_fresh|fresh|[A-Za-z][A-Za-z0-9:-]{0,254})$")] | None = (
        Field(
            None,
            title="Source snapshot",
            description="newest, newest_or_fresh, fresh, or an identifier. Empty: source.snapshot.",
        )
    )
    snapshot_max_age_h: float | None = Field(
        None, gt=0, le=24 * 366, title="Oldest snapshot (h)", description="Empty: source.snapshot_max_age_h."
    )
    target_cluster: Identifier | None = Field(
        None, title="Target cluster", description="Which would be replaced. Empty: target.cluster."
    )
    target_account_id: AccountId | None = Field(
        None, title="Target account", description="The connection must lead there. Empty: target.account_id."
    )
    instance_class: InstanceClass | None = Field(
        None, title="Instance class", description="Empty: target.instances.class.", examples=["db.r6g.large"]
    )
    readers: int | None = Field(None, ge=0, le=15, title="Readers", description="Empty: target.instances.readers.")
    old_cluster: Literal["stop", "delete", "keep"] | None = Field(
        None, title="What becomes of the old cluster", description="Empty: target.old_cluster."
    )
    keep_tables: list[Annotated[str, Field(pattern=TABLE_PATTERN)]] | None = Field(
        None, title="Tables that are kept", description="One schema.table a line. Empty: database.keep_tables."
    )
    sensitive_columns: list[Annotated[str, Field(pattern=COLUMN_PATTERN)]] | None = Field(
        None, title="Columns proven masked", description="One schema.table.column a line, beside those of columns.yaml."
    )
    approval: bool | None = Field(None, title="Ask before the switch", description="Empty: approval.required.")

    def inputs(self, _settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give what is laid over the file."""
        given = self.model_dump(mode="json")
        return {"changes": {name: given[name] for name in RUN_PARAMS if given[name] is not None}}


class TagResources(Request):
    """Tag clusters and instances of the target's account."""

    resource_arns: Annotated[list[str], Field(min_length=1, max_length=500)] = Field(
        title="Resources",
        description="ARNs of clusters on the allow-list (or their -restore, -old) and of their instances, one a line.",
        examples=[["arn:aws:rds:eu-west-1:222222222222:cluster:staging-shop"]],
    )
    tags: dict[
        Annotated[str, Field(min_length=1, max_length=128)], Annotated[str, Field(max_length=256)]
    ] = Field(
        min_length=1, max_length=50, title="Tags", description="Tag to value. Those that begin with aws: are left out.",
        examples=[{"cost-centre": "4711"}],
    )  # fmt: skip

    def changed_clusters(self) -> dict[str, str]:
        """Name the clusters that are, or whose instances are, tagged."""
        found: dict[str, str] = {}
        for number, arn in enumerate(self.resource_arns):
            match = _RDS_ARN.fullmatch(arn)
            if match:
                name = match["name"]
                found[f"resource_arns[{number}]"] = name if match["kind"] == "cluster" else _cluster_of(name)
        return found

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse ARNs of other accounts, regions and kinds, and tags that guards rely on."""
        found: list[PermanentError] = []
        target = settings.target
        for number, arn in enumerate(self.resource_arns):
            match = _RDS_ARN.fullmatch(arn)
            field = f"resource_arns[{number}]"
            if match is None:
                found.append(ConfigError(field, arn, "write the ARN of a cluster or an instance of RDS"))
            elif match["account"] != target.account_id or match["region"] != target.region:
                found.append(SafetyError(f"{field}: {arn} is not of account {target.account_id} in {target.region}"))
            elif match["kind"] == "db" and not self._is_instance(match["name"], settings):
                found.append(SafetyError(f"{field}: {arn} is no instance of a cluster on safety.allowed_clusters"))
        found += [
            SafetyError(f"tags: {key!r} decides what may be overwritten or deleted; it is not set from here")
            for key in self.tags
            if is_guarded(key)
        ]
        if all(key.startswith("aws:") for key in self.tags):
            found.append(ConfigError("tags", self.tags, "name at least one that does not begin with aws:"))
        return found

    @staticmethod
    def _is_instance(name: str, settings: Environment) -> bool:
        cluster = _cluster_of(name)
        return live_name(cluster, settings) is not None and name in {naming.instance(cluster, n) for n in _INSTANCES}


def _cluster_of(instance_id: str) -> str:
    """Name the cluster of an instance, as names are made here: ``<cluster>-<number>``."""
    return re.sub(r"-\d{1,2}$", "", instance_id)
