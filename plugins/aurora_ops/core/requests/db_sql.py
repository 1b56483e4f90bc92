"""Requests of the workflows that run SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aurora_ops.core import sql_guard, sql_script
from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError
from aurora_ops.core.requests.base import Request, confirmed
from aurora_ops.core.section import Identifier
from aurora_ops.core.settings import Environment

_SERVERS_OWN = ("mysql", "sys", "information_schema", "performance_schema")
_LONGEST_SQL = 200_000


class RunsSql(Request):
    """A request that runs SQL on a cluster of the target's account."""

    cluster: Identifier = Field(
        title="Cluster",
        description="One of safety.allowed_clusters, or its -restore or -old.",
        examples=["staging-shop-restore"],
    )
    database: Annotated[str, Field(pattern=r"^[0-9A-Za-z_$]{1,64}$")] = Field(
        title="Database", description="Schema that the statements are for.", examples=["shop"]
    )
    allow_destructive: bool = Field(
        default=False,
        title="Allow destructive statements",
        description="DROP, TRUNCATE, and DELETE or UPDATE without WHERE.",
    )
    confirm: str | None = Field(
        None, title="Confirm", description="For destructive statements: type the cluster's name once more."
    )

    def changed_clusters(self) -> dict[str, str]:
        """Name the cluster."""
        return {"cluster": self.cluster}

    def problems(self, _settings: Environment, /) -> list[PermanentError]:
        """Refuse the server's own schemas, and what is destructive but not confirmed."""
        found: list[PermanentError] = []
        if self.database.lower() in _SERVERS_OWN:
            found.append(ConfigError("database", self.database, "name a schema of yours, not one of the server's own"))
        if self.allow_destructive:
            found += confirmed(self.confirm, self.cluster, "the cluster's name")
        return found


class RunSqlFromS3(RunsSql):
    """Run the scripts below a prefix of the environment's bucket."""

    prefix: Annotated[str, Field(pattern=r"^[^/].{0,900}/$")] = Field(
        title="Prefix",
        description="Folder of database.sql_bucket, with a slash at its end.",
        examples=["releases/2026-07/"],
    )
    pattern: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        "*.sql",
        title="Pattern",
        description="Which files: * and ? stand for anything; they run in the order of their names.",
    )
    mode: Literal["new", "resume", "all"] = Field(
        "new",
        title="Which scripts",
        description="new: those that have never run. resume: also go on with one that has stopped, at the next statement. all: "
        "every one, from its beginning.",
    )

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse where the environment names no bucket."""
        found = super().problems(settings)
        if settings.database.sql_bucket is None:
            found.append(ConfigError("prefix", self.prefix, "name database.sql_bucket in the environment's file first"))
        return found

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give the bucket."""
        return {"bucket": settings.database.sql_bucket, "tls_ca": settings.database.tls_ca}


class RunSqlLambda(RunsSql):
    """Run SQL that is typed in, from the worker or through a Lambda function in the VPC."""

    hidden: ClassVar[tuple[str, ...]] = ("sql",)

    sql: Annotated[str, Field(min_length=1, max_length=_LONGEST_SQL)] = Field(
        title="SQL",
        description="Statements as the mysql client takes them, DELIMITER included. What they answer is not shown. No "
        "passwords: the form is kept.",
        examples=["UPDATE feature_flags SET enabled = 1 WHERE name = 'new_checkout';"],
    )

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse statements that are never run from here, or only if that is said."""
        found = super().problems(settings)
        try:
            statements = list(sql_script.split(self.sql))
        except ConfigError as exc:
            return [*found, ConfigError(f"sql, {exc.field}", exc.value, exc.allowed)]
        if not statements:
            found.append(ConfigError("sql", "", "it has no statement"))
        found += [
            SafetyError(f"sql:{statement.line}: {sql_guard.kind(statement)}: {why}")
            for statement in statements
            if (why := sql_guard.refusal(statement, allow_destructive=self.allow_destructive))
        ]
        return found

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give the function."""
        return {"function": settings.database.sql_function, "tls_ca": settings.database.tls_ca}
