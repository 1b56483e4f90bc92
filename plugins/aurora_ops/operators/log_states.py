"""What the table of states says of an instance's files, read for those who use what is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from aurora_ops.core import environments
from aurora_ops.core.audit_logs import names
from aurora_ops.core.audit_logs.parquet import Origin
from aurora_ops.core.audit_logs.plan import batches
from aurora_ops.core.audit_logs.states import INSTANCE, object_prefix
from aurora_ops.core.audit_logs.stored import FILE, UNDER_WAY, StoredFile, StoredObject, begins, files_of
from aurora_ops.core.errors import ConfigError
from aurora_ops.core.settings_audit_logs import AuditLogs
from aurora_ops.hooks.log_states import LogStatesHook


def settings_of(path: str) -> AuditLogs:
    """Read the section of audit logs of an environment's file.

    :raises ConfigError: there is none.
    """
    found = environments.resolve(environments.read(Path(path))).settings.audit_logs
    if found is None:
        raise ConfigError("audit_logs", None, f"write the section into {Path(path).name}")
    return found


def list_instances(hook: LogStatesHook, table: str, places: list[dict[str, Any]]) -> list[Origin]:
    """List the instances of which logs were ever stored.

    :param hook: account and region of the table.
    :param table: table of states.
    :param places: ``audit_logs.places``.
    """
    return [
        Origin(place["account_id"], place["region"], str(item["sk"]).removeprefix(INSTANCE))
        for place in places
        for item in hook.list_items(table, names.register(place["account_id"], place["region"]), INSTANCE)
    ]


def read_files(
    hook: LogStatesHook, table: str, origin: Origin, wanted: Callable[[StoredFile], bool]
) -> list[StoredFile]:
    """Read the files of an instance, those that are wanted with all their objects.

    :param hook: account and region of the table.
    :param table: table of states.
    :param origin: the instance.
    :param wanted: says of a file, of which no object is known yet, whether it is looked at.
    """
    partition = names.partition(origin.account_id, origin.region, origin.instance)
    items: list[Mapping[str, Any]] = []
    objects: dict[str, list[dict[str, Any]]] = {}
    for item in hook.list_items(table, partition, FILE):
        [one] = files_of([item], {})
        if wanted(one):
            items.append(item)
            objects[one.identity] = hook.list_items(table, partition, object_prefix(one.identity))
    return files_of(items, objects)


def touched(since: date) -> Callable[[StoredFile], bool]:
    """Say which files may have objects that were stored since a day, or are still to be stored."""
    moment = begins(since)
    return lambda file: file.status in UNDER_WAY or file.updated_at >= moment


def shared_out(
    found: Sequence[tuple[Origin, Sequence[StoredObject]]], most: int, span: Mapping[str, str]
) -> dict[str, Any]:
    """Share instances out over mapped tasks, about as many bytes each.

    :param found: each instance with what is to be read of it.
    :param most: batches at most.
    :param span: the days that it is for, as the tasks are given them.
    :return: ``span``, and ``batches`` (each with ``span`` and ``instances``), ``instances``, ``objects``, ``bytes``.
    """
    wanted = [
        {
            "place": 0,
            "objects": len(objects),
            "bytes": sum(one.end - one.begin for one in objects),
            "origin": {"account_id": origin.account_id, "region": origin.region, "instance": origin.instance},
        }
        for origin, objects in found
    ]
    return {
        **span,
        "batches": [{**span, "instances": [one["origin"] for one in batch]} for batch in batches(wanted, most)],
        "instances": len(wanted),
        "objects": sum(one["objects"] for one in wanted),
        "bytes": sum(one["bytes"] for one in wanted),
    }


def origin_of(one: Mapping[str, Any]) -> Origin:
    """Read an instance as ``shared_out`` writes it."""
    return Origin(one["account_id"], one["region"], one["instance"])
