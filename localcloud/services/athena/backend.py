"""Athena's API: work groups decide where results go, executions are started, followed, stopped and read."""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from moto.athena.models import AthenaBackend
from moto.glue.models import glue_backends

from localcloud.services.athena.asking import Asking
from localcloud.services.athena.catalog import columns_of
from localcloud.services.athena.commands import read_command
from localcloud.services.athena.errors import InvalidRequest, MalformedQueryError, MetadataError, QueryError
from localcloud.services.athena.model import Execution
from localcloud.services.athena.objects import bucket_of, split
from localcloud.services.athena.statements import bind, read_statement
from localcloud.services.athena.values import csv_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localcloud.cloud import Cloud
    from localcloud.services.athena.runs import Runs

MOST_ROWS = 1000
MOST_EXECUTIONS = 50
NO_LOCATION = (
    "No output location provided. An output location is required either through the Workgroup result configuration setting"
    " or as an API input."
)


class LocalAthenaBackend(AthenaBackend):
    """moto's Athena, which answers."""

    __module__ = "moto.athena.models"
    cloud: ClassVar[Cloud]
    runs: ClassVar[Runs]

    # ---- executions --------------------------------------------------------------------------------------------------

    def start(self, given: dict[str, Any]) -> str:
        """https://docs.aws.amazon.com/athena/latest/APIReference/API_StartQueryExecution.html."""
        token = given.get("ClientRequestToken") or ""
        earlier = next((one for one in self._executions() if token and one.token == token), None)
        query, parameters = given.get("QueryString") or "", list(given.get("ExecutionParameters") or [])
        if earlier is not None:
            if (earlier.query, earlier.parameters) != (query, parameters):
                raise InvalidRequest("Idempotent parameters do not match")
            return str(earlier.id)
        try:
            statement = bind(read_statement(query), parameters)
            if statement.kind != "DML":
                read_command(statement)
        except MalformedQueryError as error:
            raise InvalidRequest(str(error)) from None
        except QueryError:
            pass  # what localcloud does not support fails when it runs
        name = given.get("WorkGroup") or "primary"
        group = self.group(name)
        if group.state != "ENABLED":
            raise InvalidRequest(f"WorkGroup {name} is disabled")
        configuration = self._results(group.configuration, given.get("ResultConfiguration") or {})
        context = given.get("QueryExecutionContext") or {}
        number = str(uuid4())
        execution = Execution(
            id=number,
            query=query,
            kind=statement.kind,
            verb=statement.verb,
            caller=self.cloud.caller,
            region=self.region_name,
            workgroup=name,
            database=context.get("Database") or "default",
            catalog=context.get("Catalog") or "AwsDataCatalog",
            location=self._location(configuration, number, is_table=statement.kind == "DML"),
            submitted=time.time(),
            wait_s=self.cloud.config.wait_s,
            parameters=parameters,
            encryption=configuration.get("EncryptionConfiguration") or {},
            token=token,
            ends_in=self.cloud.ends_in or "",
            cutoff=int(group.configuration.get("BytesScannedCutoffPerQuery") or 0),
        )
        self.executions[number] = execution  # type: ignore[assignment]
        self.runs.start(execution)
        return number

    @staticmethod
    def _results(group: dict[str, Any], client: dict[str, Any]) -> dict[str, Any]:
        """Where and how the result is kept; the work group decides if it is enforced, else if the client does not."""
        own = group.get("ResultConfiguration") or {}
        return own if group.get("EnforceWorkGroupConfiguration") else {**own, **client}

    def _location(self, configuration: dict[str, Any], number: str, *, is_table: bool) -> str:
        folder = configuration.get("OutputLocation")
        if not folder:
            raise InvalidRequest(NO_LOCATION)
        try:
            bucket, _ = split(folder)
        except QueryError:
            raise InvalidRequest(f"outputLocation is not a valid S3 path: {folder}") from None
        asking = Asking(self.cloud, self.cloud.caller, self.region_name)
        if bucket_of(bucket) is None or asking.may("s3:GetBucketLocation", f"arn:aws:s3:::{bucket}") is not None:
            raise InvalidRequest(f"Unable to verify/create output bucket {bucket}")
        return f"{folder.rstrip('/')}/{number}.{'csv' if is_table else 'txt'}"

    def _executions(self) -> list[Execution]:
        held: list[Any] = list(self.executions.values())
        return [one for one in held if isinstance(one, Execution)]

    def unfinished(self) -> list[Execution]:
        """List the queries that have not ended."""
        return [one for one in self._executions() if one.outcome is None]

    def execution(self, number: str) -> Execution:
        """Find an execution.

        :raises InvalidRequest: there is none.
        """
        found = self.executions.get(number)
        if not isinstance(found, Execution):
            raise InvalidRequest(f"QueryExecution {number} was not found")
        return found

    def list_executions(self, group: str, most: int | None, token: str | None) -> tuple[list[str], str | None]:
        """Page through the executions of a work group, the newest first."""
        self.group(group)
        most = _within(most, MOST_EXECUTIONS)
        found = [one for one in self._executions() if one.workgroup == group]
        found.sort(key=lambda one: -one.submitted)
        start = _place(token)
        more = start + most < len(found)
        return [one.id for one in found[start : start + most]], _token(start + most) if more else None

    def results(self, number: str, most: int | None, token: str | None) -> dict[str, Any]:
        """Read a page of a result; the first one begins with the names of the columns.

        :raises InvalidRequest: the query has not succeeded, or its result is no longer there.
        """
        execution = self.execution(number)
        most = _within(most, MOST_ROWS)
        state = execution.state(time.time())
        if state in {"QUEUED", "RUNNING"}:
            raise InvalidRequest(f"Query has not yet finished. Current state: {state}")
        if state != "SUCCEEDED":
            raise InvalidRequest(f"Query did not finish successfully. Final query state: {state}")
        bucket, key = split(execution.location)
        found = bucket_of(bucket)
        item = found.keys.get(key) if found else None
        if item is None:
            raise InvalidRequest("Could not find results")
        lines = _csv(item.value, _place(token)) if execution.kind == "DML" else _texts(item.value, _place(token))
        rows, following = [], None
        for values, end in lines:
            rows.append({"Data": [{} if one is None else {"VarCharValue": one} for one in values]})
            if len(rows) == most:
                following = _token(end) if end < item.size else None
                break
        told = {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": execution.metadata()}}
        return {"UpdateCount": 0, "ResultSet": told, **({"NextToken": following} if following else {})}

    # ---- work groups -------------------------------------------------------------------------------------------------

    def group(self, name: str) -> Any:
        """Find a work group.

        :raises InvalidRequest: there is none.
        """
        if name not in self.work_groups:
            raise InvalidRequest(f"WorkGroup {name} is not found.")
        return self.work_groups[name]

    def update_group(self, given: dict[str, Any]) -> None:
        """https://docs.aws.amazon.com/athena/latest/APIReference/API_UpdateWorkGroup.html."""
        group = self.group(given["WorkGroup"])
        group.description = given.get("Description", group.description)
        group.state = given.get("State", group.state)
        changes = dict(given.get("ConfigurationUpdates") or {})
        results = changes.pop("ResultConfigurationUpdates", None)
        if changes.pop("RemoveBytesScannedCutoffPerQuery", False):
            group.configuration.pop("BytesScannedCutoffPerQuery", None)
        if results is not None:
            held = dict(group.configuration.get("ResultConfiguration") or {})
            for part in ("OutputLocation", "EncryptionConfiguration", "ExpectedBucketOwner", "AclConfiguration"):
                if results.get(f"Remove{part}"):
                    held.pop(part, None)
                if part in results:
                    held[part] = results[part]
            group.configuration["ResultConfiguration"] = held
        group.configuration.update(changes)

    def delete_group(self, name: str, *, recursive: bool) -> None:
        """https://docs.aws.amazon.com/athena/latest/APIReference/API_DeleteWorkGroup.html."""
        if name == "primary":
            raise InvalidRequest("primary WorkGroup cannot be deleted")
        self.group(name)
        held = any(one.workgroup == name for one in self._executions())
        if held and not recursive:
            raise InvalidRequest(f"WorkGroup {name} is not empty")
        del self.work_groups[name]

    # ---- the catalogue, as Athena tells it ---------------------------------------------------------------------------

    def database(self, name: str) -> dict[str, Any]:
        """``Database`` of Glue.

        :raises MetadataError: there is none.
        """
        with self.cloud.lock("glue"):
            found = glue_backends[self.account_id][self.region_name].databases.get(name.lower())
            if found is None:
                raise MetadataError(f"Database {name} not found.")
            told = found.as_dict()
        return {key: told[key] for key in ("Name", "Description", "Parameters") if told.get(key)}

    def catalogue(self) -> list[dict[str, Any]]:
        """Every ``Database``."""
        names = list(glue_backends[self.account_id][self.region_name].databases)
        return [self.database(name) for name in sorted(names)]

    def table(self, database: str, name: str) -> dict[str, Any]:
        """``TableMetadata``.

        :raises MetadataError: there is none.
        """
        self.database(database)
        with self.cloud.lock("glue"):
            found = (
                glue_backends[self.account_id][self.region_name].databases[database.lower()].tables.get(name.lower())
            )
            if found is None:
                raise MetadataError(f"Table {name} not found.")
            told = found.as_dict()
        storage = told.get("StorageDescriptor") or {}
        parameters = {str(key): str(value) for key, value in (told.get("Parameters") or {}).items()}
        return {
            "Name": told["Name"],
            "CreateTime": told["CreateTime"].timestamp(),
            "TableType": told.get("TableType", ""),
            "Columns": _columns(storage.get("Columns")),
            "PartitionKeys": _columns(told.get("PartitionKeys")),
            "Parameters": {
                **parameters,
                "location": str(storage.get("Location") or ""),
                "serde.serialization.lib": str((storage.get("SerdeInfo") or {}).get("SerializationLibrary") or ""),
            },
        }

    def tables(self, database: str) -> list[dict[str, Any]]:
        """Every ``TableMetadata`` of a database."""
        self.database(database)
        names = list(glue_backends[self.account_id][self.region_name].databases[database.lower()].tables)
        return [self.table(database, name) for name in sorted(names)]


def _columns(told: list[dict[str, Any]] | None) -> list[dict[str, str]]:
    return [
        {"Name": one.name, "Type": one.kind, **({"Comment": one.comment} if one.comment else {})}
        for one in columns_of(told)
    ]


def _csv(content: bytes, start: int) -> Iterable[tuple[list[str | None], int]]:
    return csv_rows(content, start)


def _texts(content: bytes, start: int) -> Iterable[tuple[list[str | None], int]]:
    while start < len(content):
        end = content.index(b"\n", start)
        yield [content[start:end].decode()], end + 1
        start = end + 1


def _within(most: int | None, limit: int) -> int:
    if most is not None and not 1 <= int(most) <= limit:
        raise InvalidRequest(f"MaxResults is {most}; give 1 to {limit}")
    return int(most or limit)


def _token(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode()


def _place(token: str | None) -> int:
    try:
        return int(base64.urlsafe_b64decode(token)) if token else 0
    except (ValueError, binascii.Error):
        raise InvalidRequest("Invalid NextToken") from None
