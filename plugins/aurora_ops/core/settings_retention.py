"""The settings of snapshot retention: what is kept, where, and what scheduled runs do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from aurora_ops.core.section import Cron, Identifier, Region, Section, refused

NamePrefix = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]{2,61}$", description="beginning of identifiers, at least three characters")
]


class Keep(Section):
    """How many snapshots are kept of each class; the newest of its day, ISO week (from Monday) or month stands for it."""

    daily: int = Field(7, ge=0, le=366, description="days of which the newest snapshot is kept")
    weekly: int = Field(4, ge=0, le=260, description="ISO weeks of which the newest snapshot is kept")
    monthly: int = Field(12, ge=0, le=240, description="months of which the newest snapshot is kept")

    @model_validator(mode="after")
    def _something(self) -> Keep:
        if self.daily + self.weekly + self.monthly == 0:
            raise refused("retention.clusters.keep", {}, "keep at least one: daily, weekly or monthly above 0")
        return self


class CopyTo(Section):
    """A region in which copies are kept."""

    region: Region
    kms_key_id: str | None = Field(
        None, description="key of the copies in that region; none only where the cluster is not encrypted"
    )
    keep: Keep | None = Field(None, description="what is kept there; none: as in the cluster's own region")


class RetainedCluster(Section):
    """A cluster whose snapshots are kept by policy."""

    account: Literal["source", "target"] = Field(description="whose cluster: the environment's source or its target")
    cluster: Identifier = Field(description="cluster that the snapshots are of")
    keep: Keep = Field(default_factory=lambda: Keep.model_validate({}))
    name_prefixes: list[NamePrefix] = Field(
        default_factory=list,
        description="manual snapshots whose names begin so are under the policy too, whoever made them",
    )
    copy_to: list[CopyTo] = Field(
        default_factory=list,
        description="regions in which copies are kept; the cluster's own is one: a copy outlives automated snapshots",
    )

    @field_validator("copy_to")
    @classmethod
    def _once(cls, value: list[CopyTo]) -> list[CopyTo]:
        if len({copy.region for copy in value}) < len(value):
            raise ValueError("name each region once")
        return value

    def copies_home(self, region: str) -> Keep | None:
        """Give the policy that copies in the cluster's own region are given, which must be none: ``keep`` is theirs.

        :param region: the cluster's own.
        """
        return next((copy.keep for copy in self.copy_to if copy.region == region), None)


class Retention(Section):
    """Which snapshots are kept, and copied to other regions; the rest of those under the policy is deleted."""

    schedule: Cron | None = Field(
        None, description="five cron fields, in the environment's time zone; none: by hand only"
    )
    dry_run: bool = Field(True, description="scheduled runs only show the plan")
    in_protected_accounts: Literal["nothing", "ours"] = Field(
        "nothing",
        description="what may be copied and deleted in accounts of safety.protected_accounts: nothing, or what this package made",
    )
    most_deletions: int = Field(
        100, ge=1, le=500, description="snapshots deleted in one run at most, the oldest first; the next run goes on"
    )
    clusters: list[RetainedCluster] = Field(min_length=1, description="clusters whose snapshots are kept by policy")

    @field_validator("clusters")
    @classmethod
    def _once(cls, value: list[RetainedCluster]) -> list[RetainedCluster]:
        if len({(kept.account, kept.cluster) for kept in value}) < len(value):
            raise ValueError("name each cluster once")
        return value
