"""What RDS accepts: identifiers, passwords, tags, versions, pages, filters."""

from __future__ import annotations

import base64
import binascii
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from localcloud.rds.errors import InvalidParameterCombinationError, InvalidParameterValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from localcloud.rds.model import Params

T = TypeVar("T")

_IDENTIFIER = re.compile(r"[a-z](?:-?[a-z0-9])*")
_USERNAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PASSWORD = re.compile(r"[!-~]+")
_ACCOUNT = re.compile(r"\d{12}")
_ARN = re.compile(r"arn:aws:rds:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):(?P<kind>[a-z-]+):(?P<name>.+)")

IDENTIFIER_LENGTH = 63
SNAPSHOT_IDENTIFIER_LENGTH = 255
SHARES_PER_SNAPSHOT = 20
TAGS_PER_RESOURCE = 50
DEFAULT_PAGE, SMALLEST_PAGE, LARGEST_PAGE = 100, 20, 100


@dataclass(frozen=True)
class Quotas:
    """AWS's default quotas, per account and region.

    :param clusters: clusters.
    :param instances: instances.
    :param manual_snapshots: manual cluster snapshots, those being made included.
    :param copies: cluster snapshot copies in progress to the region.
    :param exports: export tasks that run, of snapshots and clusters together.
    :param subscriptions: event subscriptions.
    """

    clusters: int = 40
    instances: int = 40
    manual_snapshots: int = 100
    copies: int = 5
    exports: int = 5
    subscriptions: int = 20

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Quotas:
        """Quotas from LOCALCLOUD_RDS_QUOTA_CLUSTERS, _INSTANCES and so on; whole numbers."""
        env = os.environ if environ is None else environ
        return cls(
            clusters=int(env.get("LOCALCLOUD_RDS_QUOTA_CLUSTERS") or cls.clusters),
            instances=int(env.get("LOCALCLOUD_RDS_QUOTA_INSTANCES") or cls.instances),
            manual_snapshots=int(env.get("LOCALCLOUD_RDS_QUOTA_MANUAL_SNAPSHOTS") or cls.manual_snapshots),
            copies=int(env.get("LOCALCLOUD_RDS_QUOTA_COPIES") or cls.copies),
            exports=int(env.get("LOCALCLOUD_RDS_QUOTA_EXPORTS") or cls.exports),
            subscriptions=int(env.get("LOCALCLOUD_RDS_QUOTA_SUBSCRIPTIONS") or cls.subscriptions),
        )


@dataclass(frozen=True)
class Arn:
    """Parts of an RDS ARN."""

    region: str
    account: str
    kind: str
    name: str


def parse_arn(value: str) -> Arn | None:
    """Parts of an RDS ARN, None if it is not one."""
    match = _ARN.fullmatch(value)
    return Arn(match["region"], match["account"], match["kind"], match["name"].lower()) if match else None


def identifier(value: str | None, parameter: str, limit: int = IDENTIFIER_LENGTH) -> str:
    """Check an identifier of something new and bring it to lower case, as RDS stores it.

    :param limit: longest allowed, 63 for clusters and instances, 255 for snapshots.
    :raises InvalidParameterValueError: not 1 to ``limit`` letters, digits, single hyphens, first a letter, last none.
    """
    if not value:
        raise InvalidParameterValueError(f"The parameter {parameter} must be provided and must not be blank.")
    lower = value.lower()
    if len(lower) > limit or not _IDENTIFIER.fullmatch(lower):
        raise InvalidParameterValueError(
            f"The parameter {parameter} is not a valid identifier: {value!r}. Identifiers must begin with a letter; "
            f"must contain only ASCII letters, digits, and hyphens; must not end with a hyphen or contain two "
            f"consecutive hyphens; and have at most {limit} characters."
        )
    return lower


def snapshot_identifier(value: str | None, parameter: str) -> str:
    """Check the identifier of a new manual snapshot; ``rds:`` (automated ones) is not a legal beginning."""
    return identifier(value, parameter, SNAPSHOT_IDENTIFIER_LENGTH)


def username(value: str | None) -> str:
    """Check a MasterUsername: 1 to 16 letters, digits, underscores, first a letter, not reserved."""
    if not value:
        raise InvalidParameterValueError("The parameter MasterUsername must be provided and must not be blank.")
    if len(value) > 16 or not _USERNAME.fullmatch(value):
        raise InvalidParameterValueError(
            f"The parameter MasterUsername is not valid: {value!r}. Give 1 to 16 letters, digits or underscores, "
            "first a letter."
        )
    if value.lower() in {"rdsadmin", "root", "mysql", "mariadb", "rdsrepladmin"}:
        raise InvalidParameterValueError(
            f"MasterUsername {value} cannot be used as it is a reserved word used by the engine"
        )
    return value


def password(value: str) -> str:
    """Check a MasterUserPassword: 8 to 41 printable ASCII characters without ``/ " @`` and space. Never shown."""
    if len(value) < 8:
        raise InvalidParameterValueError(
            "The parameter MasterUserPassword is not a valid password because it is shorter than 8 characters."
        )
    if len(value) > 41:
        raise InvalidParameterValueError(
            "The parameter MasterUserPassword is not a valid password because it is longer than 41 characters."
        )
    if not _PASSWORD.fullmatch(value) or set(value) & set('/"@'):
        raise InvalidParameterValueError(
            "The parameter MasterUserPassword is not a valid password. Only printable ASCII characters besides "
            "'/', '@', '\"', ' ' may be used."
        )
    return value


def tags(items: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Tags as a dict, checked."""
    result = {item["Key"]: item.get("Value", "") for item in items or ()}
    for key, value in result.items():
        if key.lower().startswith(("aws:", "rds:")):
            raise InvalidParameterValueError(f"Tag keys cannot start with the reserved prefix 'aws:' or 'rds:': {key}")
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise InvalidParameterValueError(f"Tag {key[:40]!r}: keys have 1 to 128 characters, values at most 256.")
    if len(result) > TAGS_PER_RESOURCE:
        raise InvalidParameterValueError(f"A resource has at most {TAGS_PER_RESOURCE} tags.")
    return result


def backup_retention(value: int) -> int:
    """Check a BackupRetentionPeriod, days."""
    if not 1 <= value <= 35:
        raise InvalidParameterValueError(f"Invalid backup retention period: {value}. Must be between 1 and 35 days.")
    return value


def share_value(value: str) -> str:
    """Check whom a snapshot is shared with: an account id or ``all``."""
    if value != "all" and not _ACCOUNT.fullmatch(value):
        raise InvalidParameterValueError(f"Invalid account: {value!r}. Give 12 digits, or all for everybody.")
    return value


def known_parameters(params: Params, allowed: set[str], operation: str) -> None:
    """Refuse what localcloud would have to ignore, because ignoring it would look like success.

    :raises InvalidParameterCombinationError: names the parameters.
    """
    unknown = sorted(set(params) - allowed)
    if unknown:
        raise InvalidParameterCombinationError(
            f"localcloud does not emulate {', '.join(unknown)} of {operation}; leave it out, or try it on AWS."
        )


def page(items: Sequence[T], params: Params, key: Callable[[T], str]) -> tuple[list[T], str | None]:
    """One page of a describe call: MaxRecords 20 to 100 (default 100), Marker from the page before.

    :param items: all, in any order; pages are ordered by ``key``.
    :return: the page and the next Marker, None on the last page.
    """
    size = int(params.get("MaxRecords") or DEFAULT_PAGE)
    if not SMALLEST_PAGE <= size <= LARGEST_PAGE:
        raise InvalidParameterValueError(
            f"Invalid value {size} for MaxRecords. Must be between {SMALLEST_PAGE} and {LARGEST_PAGE}"
        )
    after = ""
    if params.get("Marker"):
        try:
            after = base64.urlsafe_b64decode(params["Marker"]).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidParameterValueError(f"Invalid Marker: {params['Marker']!r}") from None
    rest = sorted((item for item in items if key(item) > after), key=key)
    if len(rest) <= size:
        return rest, None
    return rest[:size], base64.urlsafe_b64encode(key(rest[size - 1]).encode()).decode()


def filters(params: Params, allowed: Iterable[str]) -> dict[str, set[str]]:
    """Read the filters of a describe call: name to values (OR within one, AND between them).

    :raises InvalidParameterValueError: a filter that the operation does not have.
    """
    result: dict[str, set[str]] = {}
    for item in params.get("Filters") or ():
        name: str = item["Name"]
        if name not in set(allowed):
            raise InvalidParameterValueError(f"Unrecognized filter name: {name}. Known: {', '.join(sorted(allowed))}")
        values: list[str] = item.get("Values") or []
        # identifiers may be given as ARNs, and in any case
        result[name] = {form for value in values for form in (value, value.lower(), _short(value))}
    return result


def matches(wanted: Mapping[str, set[str]], actual: Mapping[str, Any]) -> bool:
    """Whether a resource passes all filters."""
    return all(actual.get(name) in values for name, values in wanted.items())


def _short(value: str) -> str:
    arn = parse_arn(value)
    return arn.name if arn else value
