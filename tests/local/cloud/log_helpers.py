"""What the tests of log files share: an audited cluster, its files, and reading them as clients do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from localcloud.client import admin_operation
from tests.local.cloud.databases import until
from tests.local.cloud.rds_helpers import PRODUCTION, cluster, connect, create_cluster, create_instance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from http.client import HTTPResponse

    from pymysql.connections import Connection

    from tests.local.cloud.conftest import LocalCloud

EVENTS = "CONNECT,QUERY,TABLE"


def audited(cloud: LocalCloud, name: str, *, instances: int = 1, events: str = EVENTS) -> dict[str, Any]:
    """A cluster of production whose parameter group says that it is audited."""
    rds = cloud.client(PRODUCTION, "rds")
    group = f"{name}-audit"
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=group, DBParameterGroupFamily="aurora-mysql8.0", Description="audited"
    )
    switch(rds, group, events)
    create_cluster(rds, name, DBClusterParameterGroupName=group)
    for number in range(1, instances + 1):
        create_instance(rds, f"{name}-{number}", name)
    return cluster(rds, name)


def switch(rds: Any, group: str, events: str | None, **more: str) -> None:
    """Let a group say what is audited; None is nothing."""
    values = {"server_audit_logging": str(int(events is not None)), "server_audit_events": events or "", **more}
    rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=group,
        Parameters=[
            {"ParameterName": key, "ParameterValue": values[key], "ApplyMethod": "immediate"} for key in values
        ],
    )


def session(where: dict[str, Any], **parameters: Any) -> Connection[Any]:
    """A session of the master at a cluster's endpoint."""
    return connect(where["Endpoint"], where["Port"], charset="utf8mb4", **parameters)


def folder_of(cloud: LocalCloud, instance: str) -> Path:
    """Folder of an instance's log files, which then hold all that was done before."""
    return Path(admin_operation("log-folder", cloud.config, account=PRODUCTION, instance=instance)["folder"])


def audit_files(cloud: LocalCloud, instance: str) -> dict[str, bytes]:
    """Names and contents of the audit files that lie on the disk."""
    folder = folder_of(cloud, instance)
    return {f"audit/{path.name}": path.read_bytes() for path in sorted((folder / "audit").iterdir())}


def settled(cloud: LocalCloud, instance: str, connection: int) -> dict[str, bytes]:
    """The same, when they have the end of a session: statements are recorded a moment after they were answered."""
    end = f",{connection},0,DISCONNECT,".encode()
    assert until(lambda: any(end in content for content in audit_files(cloud, instance).values()))
    return audit_files(cloud, instance)


def listed(rds: Any, instance: str, **how: Any) -> list[dict[str, Any]]:
    """All pages of DescribeDBLogFiles."""
    found: list[dict[str, Any]] = []
    marker: dict[str, str] = {}
    while True:
        page = rds.describe_db_log_files(DBInstanceIdentifier=instance, **how, **marker)
        found += page["DescribeDBLogFiles"]
        if not page.get("Marker"):
            return found
        marker = {"Marker": page["Marker"]}


def by_chunks(rds: Any, instance: str, name: str, lines: int = 100) -> str:
    """A file by DownloadDBLogFilePortion from its beginning."""
    parts, marker = [], "0"
    while True:
        page = rds.download_db_log_file_portion(
            DBInstanceIdentifier=instance, LogFileName=name, Marker=marker, NumberOfLines=lines
        )
        parts.append(page.get("LogFileData", ""))
        marker = page["Marker"]
        if not page["AdditionalDataPending"]:
            return "".join(parts)


def open_whole(cloud: LocalCloud, instance: str, name: str, client: Any = None, **headers: str) -> HTTPResponse:
    """The REST call, signed with the credentials of a client."""
    client = client or cloud.client(PRODUCTION, "rds")
    url = f"{cloud.config.endpoint}/v13/downloadCompleteLogFile/{instance}/{name}"
    request = AWSRequest("GET", url, headers=headers)  # type: ignore[no-untyped-call]
    SigV4Auth(client._request_signer._credentials, "rds", cloud.config.region).add_auth(request)  # type: ignore[no-untyped-call]
    answer: HTTPResponse = urlopen(Request(url, headers=dict(request.headers)), timeout=60)
    return answer


def whole(cloud: LocalCloud, instance: str, name: str) -> bytes:
    """A file by REST."""
    with open_whole(cloud, instance, name) as answer:
        return answer.read()


def records(contents: Sequence[bytes]) -> list[list[bytes]]:
    """The records of files in the order of their time; none of them may have line breaks in it."""
    lines = [line for content in contents for line in content.split(b"\n") if line]
    return sorted((line.split(b",", 8) for line in lines), key=lambda fields: int(fields[0]))
