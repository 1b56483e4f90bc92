"""What all requests share: the environment they are for, and the guards they pass."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import Field, ValidationError

from aurora_ops.core import naming
from aurora_ops.core.environments import problems_of
from aurora_ops.core.errors import ConfigError, PermanentError, SafetyError, report
from aurora_ops.core.section import Section
from aurora_ops.core.settings import Environment

Place = Literal["source", "target", "orchestrator"]
EnvironmentName = Annotated[
    str, Field(title="Environment", description="Its file in include/config says which accounts, and what is allowed.")
]

IgnoreWindow = Annotated[
    bool,
    Field(
        title="Outside maintenance windows",
        description="Swap although no window of safety.maintenance_windows is open.",
    ),
]


class Request(Section):
    """What a person asks of a workflow.

    :cvar places: sections of the settings whose accounts it acts in; each connection must lead where the settings say.
    """

    places: ClassVar[tuple[Place, ...]] = ("target",)

    hidden: ClassVar[tuple[str, ...]] = ()
    """Fields that may hold data: records and announcements give their length only."""

    last: ClassVar[tuple[str, ...]] = ()
    """Fields that stand at the end of the form."""

    environment: EnvironmentName

    def changed_clusters(self) -> dict[str, str]:
        """Name the clusters of the target's account that are changed or deleted: field to identifier.

        Each must be on the environment's allow-list, carry the tag ``refresh=true`` if it exists, and no refresh may be going on.
        """
        return {}

    def locked_cluster(self, settings: Environment, /) -> str:
        """Name the cluster whose lock keeps other runs away: the live one that the first changed cluster belongs to."""
        return live_name(next(iter(self.changed_clusters().values()), ""), settings) or settings.target.cluster

    def required_clusters(self) -> dict[str, str]:
        """Name the clusters of the target's account that must exist: field to identifier."""
        return {}

    def free_names(self) -> dict[str, str]:
        """Name what no cluster of the target's account may be called: field to identifier."""
        return {}

    def changed_file_systems(self) -> dict[str, str]:
        """Name the file systems of the target's account that are changed, overwritten or deleted: field to id.

        Each that exists must carry the tag ``refresh=true``, and its tag ``Name`` must be on the environment's allow-list.
        """
        return {}

    def problems(self, _settings: Environment, /) -> list[PermanentError]:
        """Say what is wrong with it in this environment, as far as that is known without AWS."""
        return []

    def inputs(self, _settings: Environment, _moment: datetime, /) -> dict[str, Any]:
        """Make what the tasks need beside the fields, from the environment's settings and the run's moment; no secrets."""
        return {}


RequestT = TypeVar("RequestT", bound=Request)


def parse(request: type[RequestT], conf: Mapping[str, Any]) -> RequestT:
    """Read a run's parameters.

    :param request: what they are to be.
    :param conf: parameters of the run; ``None`` is the default.
    :raises PermanentError: unknown, missing or wrong ones, all named with what is allowed.
    """
    given = {name: value for name, value in conf.items() if value is not None}
    known = sorted(request.model_fields)
    unknown = [name for name in given if name not in request.model_fields]
    problems: list[PermanentError] = [
        ConfigError(name, given.pop(name), f"known run parameters are {known}") for name in unknown
    ]
    try:
        parsed = request.model_validate(given)
    except ValidationError as exc:
        report([*problems, *problems_of(exc)])
        raise
    report(problems)
    return parsed


def confirmed(confirm: str | None, wanted: str, what: str) -> list[PermanentError]:
    """Refuse what was not typed twice.

    :param confirm: what was typed into the field of that name.
    :param wanted: what should have been.
    :param what: whose name it is, such as ``the cluster's name``.
    """
    return [] if confirm == wanted else [ConfigError("confirm", confirm, f"type {what}, {wanted!r}")]


def guards(request: Request, settings: Environment) -> list[PermanentError]:
    """Say why a request must not be carried out in an environment, as far as that is known without AWS."""
    found: list[PermanentError] = []
    changed = request.changed_clusters()
    protected = settings.target.account_id in settings.safety.protected_accounts
    if (changed or request.changed_file_systems()) and protected:
        found.append(
            SafetyError(
                f"target.account_id: {settings.target.account_id!r} is in safety.protected_accounts; nothing is ever changed there"
            )
        )
    for field, cluster_id in changed.items():
        if live_name(cluster_id, settings) is None:
            allowed = sorted(name for live in settings.safety.allowed_clusters for name in _names(live))
            found.append(
                SafetyError(f"{field}: {cluster_id!r} is not allowed; safety.allowed_clusters allows {allowed}")
            )
    return [*found, *request.problems(settings)]


def live_name(cluster_id: str, settings: Environment) -> str | None:
    """Name the cluster on the allow-list that a cluster is, is restored for, or has served as; ``None`` where there is none."""
    for live in settings.safety.allowed_clusters:
        if cluster_id in _names(live) or naming.is_restored_beside(cluster_id, live):
            return live
    return None


def _names(live: str) -> tuple[str, str, str]:
    return live, naming.temporary_cluster(live), naming.old_cluster(live)
