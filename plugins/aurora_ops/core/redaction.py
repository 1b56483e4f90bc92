"""What of a call's parameters may be written down: names of resources and settings, by a list of what is allowed.

Everything that is not on a list is withheld, whatever it is called and however deep it is: a parameter that AWS adds tomorrow is
withheld until somebody adds it here. What a value looks like is asked too, so that a text in the place of an identifier stays out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aurora_ops.core.ownership import is_guarded

WITHHELD = "withheld"
_MOST_ITEMS = 50

# Texts: names and identifiers by how their parameter ends, a few others by its whole name.
_TEXT = re.compile(
    r"(?!ExternalId$|QueryAuthorizationId$|.*(?i:token|credential|password|accesskey|clientsecret))"
    r"(\w*(Identifiers?|Ids?|ids?|Arns?|ARNs?|Names?|names?|Regions?|Zones?)"
    r"|Bucket|Key|TagKeys|tagKeys|ResourceARNList|Resource|Engine|EngineVersion|EngineMode|DBInstanceClass|StorageType"
    r"|RestoreType|RestoreToTime|VersionStages?|ValuesToAdd|ValuesToRemove|Operations|GranteePrincipal|principals|Role|Runtime"
    r"|Type|Path|SecurityGroups|EnableCloudwatchLogsExports|EnableLogTypes|DisableLogTypes|ObjectLockMode"
    r"|ObjectLockRetainUntilDate|FunctionError|host|user|namespace|cluster|kind|uid)"
)
_RESOURCE = re.compile(r"(Identifier|Arn|Id|[Nn]ame|Bucket|Key|host)$")
_NUMBER = re.compile(r"\w*(Port|Days|Period|Capacity|Size|Timeout|Tier|Uid|Gid|Count)")
_SWITCH = frozenset({
    "SkipFinalSnapshot", "DeletionProtection", "ApplyImmediately", "CopyTags", "CopyTagsToSnapshot", "ManageMasterUserPassword",
    "RotateMasterUserPassword", "RotateImmediately", "UseLatestRestorableTime", "Overwrite", "EnableIAMDatabaseAuthentication",
    "DeleteAutomatedBackups", "PubliclyAccessible", "StorageEncrypted", "Encrypted", "Backup", "allowExternalPrincipals",
    "AutoMinorVersionUpgrade", "EnablePerformanceInsights",
})  # fmt: skip
# Parameters that have parameters of their own.
_PARTS = frozenset({
    "ServerlessV2ScalingConfiguration", "scalingConfig", "RootDirectory", "PosixUser", "Delete", "Objects", "Destinations",
    "VpcConfig", "FileSystemConfigs", "CloudwatchLogsExportConfiguration",
})  # fmt: skip
_TAGS = frozenset({"Tags", "tags"})
# What is known to be secret or data: that it was given is said, by name.
_KNOWN = frozenset({
    "MasterUserPassword", "SecretString", "SecretBinary", "ClientRequestToken", "CreationToken", "PreSignedUrl", "Payload",
    "Value", "Body", "Policy", "Code", "Environment", "Metadata", "ExternalId",
})  # fmt: skip
_LIKE_A_NAME = re.compile(r"[\w.:/@+=,*$-]{1,1024}", re.ASCII)
# What an answer names of what was made.
_MADE = (
    "DbClusterResourceId", "DbiResourceId", "DBClusterArn", "DBInstanceArn", "DBClusterSnapshotArn", "FileSystemId",
    "AccessPointId", "MountTargetId", "CopyJobId", "RestoreJobId", "RecoveryPointArn", "GrantId", "FunctionArn", "FunctionError",
    "VersionId", "resourceShareArn",
)  # fmt: skip


def is_shown(name: str) -> bool:
    """Tell whether a text may be shown that is given as a parameter of this name.

    :param name: the parameter's name.
    """
    return _TEXT.fullmatch(name) is not None


def shown(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce parameters to what may be written down.

    :param parameters: of a call, nested as AWS takes them.
    :return: identifiers, settings, tags of ours; ``withheld`` counts the others, and names those that are known.
    """
    found: dict[str, Any] = {}
    known, others = [], 0
    for name, value in parameters.items():
        seen = _seen(name, value)
        if seen is not None:
            found[name] = seen
        elif name in _KNOWN:
            known.append(name)
        elif value is not None:
            others += 1
    if known or others:
        found[WITHHELD] = [*sorted(known), *([f"{others} others"] if others else [])]
    return found


def made(answer: Mapping[str, Any]) -> dict[str, str]:
    """Find the identifiers of what a call has made in its answer, at most two levels deep.

    :param answer: as botocore parsed it.
    """
    found: dict[str, str] = {}
    for part in (answer, *(value for value in answer.values() if isinstance(value, Mapping))):
        for name in _MADE:
            value = part.get(name)
            if name not in found and isinstance(value, str) and _LIKE_A_NAME.fullmatch(value):
                found[name] = value
    return found


def subject(parameters: Mapping[str, Any]) -> str:
    """Name the resources of a call in one line.

    :param parameters: as ``shown`` gives them.
    """
    named = [
        str(value)
        for name, value in parameters.items()
        if isinstance(value, str) and _RESOURCE.search(name) and "Kms" not in name
    ]
    return " ".join(named)[:512]


def _seen(name: str, value: Any) -> Any:
    """Reduce a value; ``None`` where nothing of it may be shown."""
    if name in _TAGS:
        return _tags(value)
    if isinstance(value, Mapping):
        return shown(value) if name in _PARTS else None
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return _items(name, value)
    return value if _allowed(name, value) else None


def _items(name: str, values: Sequence[Any]) -> list[Any] | None:
    """Reduce a list; its items are what its name says."""
    seen = [_seen(name, value) for value in values[:_MOST_ITEMS]]
    kept = [item for item in seen if item is not None]
    if not kept:
        return None
    return [*kept, f"{len(values) - len(kept)} others"] if len(kept) < len(values) else kept


def _allowed(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return name in _SWITCH
    if isinstance(value, (int, float)):
        return _NUMBER.fullmatch(name) is not None
    if isinstance(value, datetime):
        return is_shown(name)
    return isinstance(value, str) and is_shown(name) and _LIKE_A_NAME.fullmatch(value) is not None


def _tags(value: Any) -> dict[str, str] | None:
    """Show the tags that this package sets; a list of keys and values, or a mapping, as services differ."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        tags = [tag for tag in value if isinstance(tag, Mapping)]
        pairs = [(tag.get("Key", tag.get("key")), tag.get("Value", tag.get("value"))) for tag in tags]
    else:
        return None
    ours = {
        key: text
        for key, text in pairs
        if isinstance(key, str)
        and is_guarded(key)
        and _LIKE_A_NAME.fullmatch(key)
        and isinstance(text, str)
        and len(text) <= 256
    }
    return ours or None
