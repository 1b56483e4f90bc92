"""Patches: how an object is changed by a part of it."""

from __future__ import annotations

import copy
from typing import Any

MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
TYPES = {MERGE, STRATEGIC}
# By which field Kubernetes merges the items of a list in a strategic patch; other lists are replaced.
KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "ownerReferences": "uid",
}


def merged(old: Any, patch: Any, *, strategic: bool, field: str = "") -> Any:
    """Apply a merge patch (RFC 7386), or a strategic one, which merges the items of known lists.

    :param field: name of the field that is merged.
    """
    if strategic and isinstance(patch, list) and field in KEYS:
        return _merged_list(old or [], patch, KEYS[field])
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value, strategic=strategic, field=key)
    return result


def _merged_list(old: list[Any], patch: list[Any], key: str) -> list[Any]:
    result = {item[key]: item for item in copy.deepcopy(old)}
    for item in patch:
        result[item[key]] = merged(result.get(item[key]), item, strategic=True)
    return list(result.values())
