"""Requests of the file system workflows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aurora_ops.core import naming
from aurora_ops.core.errors import ConfigError, PermanentError
from aurora_ops.core.requests.base import Place, Request, confirmed
from aurora_ops.core.settings import Environment, Files, FileSystemRef

FileSystemId = Annotated[str, Field(pattern=r"^fs-([0-9a-f]{8}|[0-9a-f]{17})$")]
NAME = "Value of the tag Name; one of safety.allowed_file_systems. Empty: files.name of the environment."
SOURCE = "Id or tag Name of the source's file system. Empty: files.source_file_system of the environment."
Moment = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$", examples=["2026-07-01T02:00:00+00:00"]
    ),
]


class OfFiles(Request):
    """A request on file systems; the environment must have a section ``files``."""

    def problems(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse an environment without files."""
        if settings.files is None:
            return [
                ConfigError("environment", self.environment, "it has no section files; see docs/reference/settings.md")
            ]
        return self.problems_of_files(settings)

    def problems_of_files(self, _settings: Environment, /) -> list[PermanentError]:
        """Say what is wrong with it where the environment has files."""
        return []

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Give everything that the environment says of files."""
        return self.files_of(settings)

    def files_of(self, settings: Environment) -> dict[str, Any]:
        """Give the settings that tasks on files need, those of the request on top.

        :raises ConfigError: the environment has no files.
        """
        if settings.files is None:
            raise ConfigError("environment", self.environment, "it has no section files")
        given = {key: value for key, value in self.model_dump(mode="json").items() if value is not None}
        return {**place_of(settings, settings.files), **given}


def place_of(settings: Environment, files: Files) -> dict[str, Any]:
    """Give where files are and what is made of them, as task groups take it."""
    target = settings.target
    return {
        **files.model_dump(mode="json", exclude={"backup_role_arn", "source_backup_role_arn"}),
        "environment": settings.environment,
        "source_account_id": settings.source.account_id,
        "target_account_id": target.account_id,
        "target_region": target.region,
        "role_arn": files.backup_role_arn,
        "source_role_arn": files.source_backup_role_arn,
        "kms_key_id": files.kms_key_id or target.kms_key_id,
        "subnet_group": target.subnet_group,
        "allowed_names": settings.safety.allowed_file_systems,
        "max_age_h": files.recovery_point_max_age_h,
    }


def _named(field: str, name: str | None, settings: Environment) -> list[PermanentError]:
    """Refuse to make a file system by a name that is not allowed."""
    allowed = settings.safety.allowed_file_systems
    chosen = name or (settings.files.name if settings.files else "")
    return [] if chosen in allowed else [ConfigError(field, chosen, f"safety.allowed_file_systems are {allowed}")]


class CreateFilesystem(OfFiles):
    """Create a file system with mount targets and access points."""

    name: str | None = Field(None, max_length=100, title="Name", description=NAME, examples=["staging-media"])
    performance_mode: Literal["generalPurpose", "maxIO"] = Field(
        "generalPurpose", title="Performance mode", description="maxIO is for bursting throughput only, and slower."
    )
    throughput_mode: Literal["elastic", "bursting"] = Field(
        "elastic", title="Throughput mode", description="elastic is paid for by what is used."
    )
    transition_to_ia: (
        Literal["AFTER_1_DAY", "AFTER_7_DAYS", "AFTER_14_DAYS", "AFTER_30_DAYS", "AFTER_60_DAYS", "AFTER_90_DAYS"]
        | None
    ) = Field(
        "AFTER_30_DAYS",
        title="Infrequent access",
        description="When unused files move to the cheaper class. Empty: never.",
    )

    def problems_of_files(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse a name that is not on the allow-list, and modes that exclude each other."""
        if self.performance_mode == "maxIO" and self.throughput_mode == "elastic":
            return [ConfigError("performance_mode", "maxIO", "maxIO needs throughput_mode bursting")]
        return _named("name", self.name, settings)

    def inputs(self, settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Make the creation token: of the name alone, so that every run finds the same file system."""
        files = self.files_of(settings)
        return {**files, "created_as": naming.file_system(self.environment, files["name"])}


class DeleteFilesystem(OfFiles):
    """Delete a file system with all that belongs to it."""

    file_system_id: FileSystemId = Field(
        title="File system", description="Its id, of the target's account.", examples=["fs-0123456789abcdef0"]
    )
    confirm: str = Field(title="Confirm", description="Type the id once more; its files will be gone.")

    def changed_file_systems(self) -> dict[str, str]:
        """Name the file system."""
        return {"file_system_id": self.file_system_id}

    def problems_of_files(self, _settings: Environment, /) -> list[PermanentError]:
        """Refuse an id that was not typed twice."""
        return confirmed(self.confirm, self.file_system_id, "the file system's id")


class RestoreFromBackup(OfFiles):
    """Restore the newest recovery point of the source into a new file system of the target."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")

    source_file_system: FileSystemRef | None = Field(None, title="Source", description=SOURCE, examples=["prod-media"])
    name: str | None = Field(None, max_length=100, title="Name", description=NAME, examples=["staging-media"])
    max_age_h: float | None = Field(
        None,
        gt=0,
        le=24 * 366,
        title="Oldest recovery point accepted (hours)",
        description="Empty: files.recovery_point_max_age_h of the environment.",
    )
    items: list[Annotated[str, Field(pattern=r'^/[^"\\]+$')]] | None = Field(
        None, title="Only these paths", description="One a line, each beginning with a slash. Empty: everything.",
        max_length=10,
    )  # fmt: skip

    def problems_of_files(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse a name that is not on the allow-list."""
        return _named("name", self.name, settings)

    def inputs(self, settings: Environment, moment: datetime, /) -> dict[str, Any]:
        """Make the creation token: each run makes a file system of its own."""
        files = self.files_of(settings)
        return {
            **files,
            "items": self.items,
            "created_as": naming.file_system(self.environment, files["name"], moment),
        }


class SetupCrossAccountReplication(OfFiles):
    """Replicate the source's file system into one of the target's account, whose own files are lost."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")

    source_file_system: FileSystemRef | None = Field(None, title="Source", description=SOURCE, examples=["prod-media"])
    destination_file_system_id: FileSystemId = Field(
        title="Destination", description="Id, of the target's account. What is in it is lost."
    )
    confirm: str = Field(title="Confirm", description="Type the destination's id once more; its files will be gone.")

    def changed_file_systems(self) -> dict[str, str]:
        """Name the destination."""
        return {"destination_file_system_id": self.destination_file_system_id}

    def problems_of_files(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse an id that was not typed twice, and an environment without a role for EFS."""
        found = confirmed(self.confirm, self.destination_file_system_id, "the id")
        if settings.files is not None and settings.files.replication_role_arn is None:
            found.append(
                ConfigError("files.replication_role_arn", None, "the environment must name the role that EFS assumes")
            )
        return found


class OfReplication(OfFiles):
    """A request about how far a replication has come."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")

    source_file_system: FileSystemRef | None = Field(None, title="Source", description=SOURCE, examples=["prod-media"])
    since: Moment | None = Field(
        None,
        title="Moment",
        description="ISO 8601 with its zone: what was written before it must be there. Empty: the run's own.",
    )
    flag_proof: bool = Field(
        False,
        title="Prove it by a file",
        description="A small file is written at the source, in /.aurora-ops as no root, and must be seen at the destination.",
    )

    def problems_of_files(self, settings: Environment, /) -> list[PermanentError]:
        """Refuse a proof by a file where the source has no role for it."""
        if self.flag_proof and settings.files is not None and settings.files.source_function_role_arn is None:
            return [ConfigError("flag_proof", True, "it needs files.source_function_role_arn of the environment")]
        return []

    def inputs(self, settings: Environment, moment: datetime, /) -> dict[str, Any]:
        """Add the moment."""
        return {
            **self.files_of(settings),
            "since": (self.since or moment.isoformat()).replace("Z", "+00:00"),
        }


class WaitReplicationComplete(OfReplication):
    """Wait until a replication has brought over everything up to a moment."""


class CheckReplicationSync(OfReplication):
    """See whether a replication has brought over everything up to a moment."""


class GetSubpathAndStoreInSsm(OfFiles):
    """Find the newest directory that AWS Backup restored into, and publish it."""

    file_system_id: FileSystemId = Field(
        title="File system", description="Id of a restored file system of the target's account."
    )

    def changed_file_systems(self) -> dict[str, str]:
        """Name the file system: an access point is added to it for a while."""
        return {"file_system_id": self.file_system_id}


class CleanupEfsLambdas(OfFiles):
    """Delete functions and access points that dead runs left."""

    places: ClassVar[tuple[Place, ...]] = ("source", "target")

    also_running: bool = Field(
        False,
        title="Also those that have not expired",
        description="They may be at work: a run that uses one fails, and is retried.",
    )
