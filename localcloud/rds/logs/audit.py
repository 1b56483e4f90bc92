"""What shall be audited, by parameter group or option group, as variables of MariaDB's audit plugin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.rds.models import rds_backends

if TYPE_CHECKING:
    from pathlib import Path

    from moto.rds.models import DBInstance

    from localcloud.rds.model import Cluster

ALL_EVENTS = "CONNECT,QUERY,TABLE"
RAW_FILE = "server_audit.log"
OPTION = "MARIADB_AUDIT_PLUGIN"
_EVENTS = frozenset({"CONNECT", "QUERY", "QUERY_DCL", "QUERY_DDL", "QUERY_DML", "QUERY_DML_NO_SELECT", "TABLE"})
_ON = frozenset({"1", "on", "true"})
_LONGEST_STATEMENT = 2**31 - 1
_NEVER = 2**62  # the files of Aurora are made of a raw one that localcloud rotates itself


@dataclass(frozen=True)
class Audit:
    """Settings of the plugin.

    :param rotate_bytes: size at which the plugin renames its file.
    :param rotations: renamed files that it keeps.
    :param statement_bytes: so much of a statement is logged.
    """

    on: bool
    events: str
    include: str = ""
    exclude: str = ""
    rotate_bytes: int = _NEVER
    rotations: int = 9
    statement_bytes: int = _LONGEST_STATEMENT

    def variables(self) -> dict[str, str | int]:
        """System variables, all of which can be set while the server runs."""
        return {
            "server_audit_incl_users": self.include,
            "server_audit_excl_users": self.exclude,
            "server_audit_events": self.events,
            "server_audit_file_rotate_size": self.rotate_bytes,
            "server_audit_file_rotations": self.rotations,
            "server_audit_query_log_limit": self.statement_bytes,
            "server_audit_logging": "ON" if self.on else "OFF",
        }

    def options(self, file: Path) -> tuple[str, ...]:
        """Options to start a server with; one without the plugin starts all the same.

        :param file: that the plugin writes.
        """
        return (
            "--plugin-load-add=server_audit",
            f"--loose-server-audit-file-path={file}",
            *(f"--loose-{name.replace('_', '-')}={value}" for name, value in self.variables().items()),
        )


def of_cluster(cluster: Cluster, *, always: bool) -> Audit:
    """Read a cluster's parameter group: ``server_audit_logging``, ``_events``, ``_incl_users``, ``_excl_users``.

    Without events nothing is logged.

    :param always: whatever the group says, everything is.
    """
    if always:
        return Audit(on=True, events=ALL_EVENTS)
    group = rds_backends[cluster.account][cluster.region].db_cluster_parameter_groups.get(cluster.parameter_group)
    values = {name: str(item.get("ParameterValue") or "") for name, item in (group.parameters if group else {}).items()}
    events = _events(values.get("server_audit_events", ""))
    return Audit(
        on=values.get("server_audit_logging", "").lower() in _ON and bool(events),
        events=events,
        include=values.get("server_audit_incl_users", ""),
        exclude=values.get("server_audit_excl_users", ""),
    )


def of_instance(database: DBInstance, *, always: bool) -> Audit:
    """Read the option group of an RDS instance for MariaDB or MySQL: its option ``MARIADB_AUDIT_PLUGIN``.

    :param always: it is audited as if it had the option with RDS's defaults.
    """
    settings: dict[str, Any] | None = {} if always else None
    group = rds_backends[database.account_id][database.region].option_groups.get(database.option_group_name)
    for option in group.options if group else ():
        if option["OptionName"] == OPTION:
            settings = {item["Name"]: str(item["Value"]) for item in option["OptionSettings"]}
    values = settings or {}
    return Audit(
        on=settings is not None and values.get("SERVER_AUDIT_LOGGING", "ON").lower() in _ON,
        events=_events(values.get("SERVER_AUDIT_EVENTS", "CONNECT,QUERY")),
        include=values.get("SERVER_AUDIT_INCL_USERS", ""),
        exclude=values.get("SERVER_AUDIT_EXCL_USERS", ""),
        rotate_bytes=int(values.get("SERVER_AUDIT_FILE_ROTATE_SIZE", 1_000_000)),
        rotations=int(values.get("SERVER_AUDIT_FILE_ROTATIONS", 9)),
        statement_bytes=int(values.get("SERVER_AUDIT_QUERY_LOG_LIMIT", 1024)),
    )


def _events(value: str) -> str:
    """Leave out what is no event: RDS refuses it, the plugin would not start."""
    return ",".join(event for event in value.upper().replace(" ", "").split(",") if event in _EVENTS)
