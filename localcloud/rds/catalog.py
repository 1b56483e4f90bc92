"""Engine versions and instance classes that localcloud offers: a few of AWS's, enough for checks before a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from localcloud.rds import rules
from localcloud.rds.errors import InvalidParameterCombinationError, InvalidParameterValueError

if TYPE_CHECKING:
    from localcloud.rds.model import Params

ENGINE = "aurora-mysql"
# oldest first: a restore may go to the same or a later version, never back
VERSIONS = (
    "5.7.mysql_aurora.2.11.6",
    "5.7.mysql_aurora.2.12.5",
    "8.0.mysql_aurora.3.04.4",
    "8.0.mysql_aurora.3.05.2",
    "8.0.mysql_aurora.3.08.2",
    "8.0.mysql_aurora.3.10.1",
)
DEFAULT_VERSION = "8.0.mysql_aurora.3.08.2"
CLASSES = ("db.t4g.medium", "db.t4g.large", "db.r6g.large", "db.r6g.xlarge", "db.r6g.2xlarge", "db.serverless")
LOG_TYPES = ("audit", "error", "general", "instance", "slowquery", "iam-db-auth-error")

_CLASS = re.compile(r"db\.[a-z0-9-]+(\.[a-z0-9]+)?")


def family(version: str) -> str:
    """Parameter group family of an engine version, such as ``aurora-mysql8.0``."""
    return f"{ENGINE}{version.split('.mysql_aurora')[0]}"


def default_parameter_group(version: str) -> str:
    """Name of the default (cluster) parameter group of an engine version."""
    return f"default.{family(version)}"


def engine(name: str | None) -> str:
    """Check an Engine."""
    if name != ENGINE:
        raise InvalidParameterValueError(f"Invalid DB engine: {name}. localcloud has {ENGINE} only.")
    return ENGINE


def version(value: str | None) -> str:
    """Check an EngineVersion; None is the default."""
    if value is None:
        return DEFAULT_VERSION
    if value == "8.0":
        return DEFAULT_VERSION
    if value not in VERSIONS:
        raise InvalidParameterCombinationError(
            f"Cannot find version {value} for {ENGINE}. localcloud has {', '.join(VERSIONS)}."
        )
    return value


def not_older(value: str, than: str) -> str:
    """Check that a restore or upgrade does not go back.

    :raises InvalidParameterCombinationError: ``value`` is older than ``than``.
    """
    if VERSIONS.index(value) < VERSIONS.index(than):
        raise InvalidParameterCombinationError(
            f"The specified engine version {value} is older than {than}, which the data has; give {than} or later."
        )
    return value


def instance_class(value: str | None) -> str:
    """Check a DBInstanceClass."""
    if not value or not _CLASS.fullmatch(value):
        raise InvalidParameterValueError(f"Invalid DB Instance class: {value}")
    if value not in CLASSES:
        raise InvalidParameterCombinationError(
            f"RDS does not support creating a DB instance with the following combination: DBInstanceClass={value}, "
            f"Engine={ENGINE}. localcloud has {', '.join(CLASSES)}."
        )
    return value


def log_types(values: list[str]) -> list[str]:
    """Check log types for CloudWatch Logs."""
    wrong = sorted(set(values) - set(LOG_TYPES))
    if wrong:
        raise InvalidParameterCombinationError(
            f"You cannot use the log types {wrong} with engine version {ENGINE}. Known: {', '.join(LOG_TYPES)}."
        )
    return values


def describe_versions(params: Params) -> dict[str, Any]:
    """DescribeDBEngineVersions for aurora-mysql; nothing for other engines."""
    wanted = rules.filters(params, ("db-parameter-group-family", "engine", "engine-mode", "engine-version", "status"))
    found = [
        version_
        for version_ in VERSIONS
        if params.get("Engine") in {None, ENGINE}
        and (params.get("EngineVersion") is None or version_.startswith(params["EngineVersion"]))
        and params.get("DBParameterGroupFamily") in {None, family(version_)}
        and (not params.get("DefaultOnly") or version_ == DEFAULT_VERSION)
        and rules.matches(
            wanted,
            {
                "db-parameter-group-family": family(version_),
                "engine": ENGINE,
                "engine-mode": "provisioned",
                "engine-version": version_,
                "status": "available",
            },
        )
    ]
    page, marker = rules.page(found, params, str)
    return {"DBEngineVersions": [_version(item) for item in page], "Marker": marker}


def _version(value: str) -> dict[str, Any]:
    later = VERSIONS[VERSIONS.index(value) + 1 :]
    return {
        "Engine": ENGINE,
        "EngineVersion": value,
        "MajorEngineVersion": value.split(".mysql_aurora")[0],
        "DBParameterGroupFamily": family(value),
        "DBEngineDescription": "Aurora MySQL",
        "DBEngineVersionDescription": f"Aurora MySQL {value.rsplit('mysql_aurora.', 1)[1]}",
        "ValidUpgradeTarget": [
            {
                "Engine": ENGINE,
                "EngineVersion": target,
                "Description": f"Aurora MySQL {target}",
                "AutoUpgrade": False,
                "IsMajorVersionUpgrade": family(target) != family(value),
            }
            for target in later
        ],
        "ExportableLogTypes": list(LOG_TYPES),
        "SupportsLogExportsToCloudwatchLogs": True,
        "SupportsReadReplica": True,
        "SupportedEngineModes": ["provisioned"],
        "SupportedFeatureNames": [],
        "Status": "available",
        "SupportsParallelQuery": True,
        "SupportsGlobalDatabases": True,
        "SupportsBabelfish": False,
    }


def describe_orderable(params: Params, zones: list[str]) -> dict[str, Any]:
    """DescribeOrderableDBInstanceOptions for aurora-mysql; nothing for other engines."""
    if params.get("Engine") != ENGINE:
        return {"OrderableDBInstanceOptions": [], "Marker": None}
    found = [
        (version_, class_)
        for version_ in VERSIONS
        for class_ in CLASSES
        if params.get("EngineVersion") in {None, version_}
        and params.get("DBInstanceClass") in {None, class_}
        # Serverless v2 began with 8.0
        and not (class_ == "db.serverless" and version_.startswith("5.7"))
    ]
    page, marker = rules.page(found, params, "/".join)
    return {
        "OrderableDBInstanceOptions": [
            {
                "Engine": ENGINE,
                "EngineVersion": version_,
                "DBInstanceClass": class_,
                "LicenseModel": "general-public-license",
                "AvailabilityZones": [{"Name": zone} for zone in zones],
                "MultiAZCapable": False,
                "ReadReplicaCapable": False,
                "Vpc": True,
                "SupportsStorageEncryption": True,
                "StorageType": "aurora",
                "SupportsIops": False,
                "SupportsEnhancedMonitoring": True,
                "SupportsIAMDatabaseAuthentication": True,
                "SupportsPerformanceInsights": class_ != "db.t4g.medium",
                "SupportedEngineModes": ["provisioned"],
                "SupportsGlobalDatabases": not class_.startswith("db.t4g"),
                "SupportsClusters": True,
                "SupportedNetworkTypes": ["IPV4"],
            }
            for version_, class_ in page
        ],
        "Marker": marker,
    }
