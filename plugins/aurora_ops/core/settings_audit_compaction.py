"""The settings of what audit logs are made into: records as Parquet, and the table that people ask."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from aurora_ops.core.section import Section, Zone

GlueName = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,128}$", description="lower case letters, digits, underscores")]


class Compaction(Section):
    """What the logs of a day are made into, in the same bucket."""

    hour: int | None = Field(
        4, ge=0, le=23, description="hour of UTC at which the day before is compacted; none: by hand only"
    )
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")] = Field(
        "audit-records", description="beginning of the keys of records, rejected lines, manifests and reports"
    )
    database: GlueName | None = Field("audit_logs", description="database of AWS Glue; none: no table is made")
    table: GlueName = Field("records", description="table in it, for Athena")
    timezone: Zone = Field(
        "UTC", description="parameter time_zone of RDS for MySQL and MariaDB, whose records have local times"
    )
    most_batches: int = Field(10, ge=1, le=50, description="mapped tasks of a run at most; sized by bytes")
