"""Which audit log files an instance has, known by who they are whatever they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from aurora_ops.core.audit_logs import names
from aurora_ops.core.audit_logs.names import Offered
from aurora_ops.core.audit_logs.plan import Choice, Saved
from aurora_ops.core.errors import BusyError, MissingError
from aurora_ops.hooks.log_files import LogFilesHook
from aurora_ops.operators.log_copying import read_head

_LOOKS = 3


def list_files(source: LogFilesHook, instance_id: str, saved: Collection[Saved], choice: Choice) -> dict[str, Offered]:
    """List an instance's audit logs: identity to file. One that is too short to be told apart is left for the next run.

    Files whose names shift are told apart by their first record. That is read where size and time are not those of one that is
    stored; then they are listed again, since a rotation in between would give one file's bytes to another.

    :param source: the instance's account and region.
    :param instance_id: the instance.
    :param saved: what is stored of its files.
    :param choice: which readers may be used.
    :raises BusyError: it is not ready, or logs are rotated faster than they can be looked at.
    :raises MissingError: there is no such instance.
    """
    for _ in range(_LOOKS):
        listed = source.list_audit_logs(instance_id)
        shifting = [file for file in listed if names.shifts(file.name)]
        found = {names.fixed_identity(file.name): file for file in listed if not names.shifts(file.name)}
        if not shifting:
            return found
        known = _by_time(shifting, saved)
        unknown = [file for file in shifting if file.size and file.name not in known]
        try:
            heads = {file.name: read_head(source, instance_id, file.name, choice) for file in unknown}
        except MissingError as exc:
            if "Instance" in str(exc).rpartition("(")[0]:
                raise
            continue  # rotated away meanwhile
        told = {name: identity for name, head in heads.items() if (identity := names.identity_of_head(head))}
        identities = [told.get(file.name) or known.get(file.name) for file in shifting]
        if unknown and not _still(shifting, source.list_audit_logs(instance_id)):
            continue
        if max(Counter(filter(None, identities)).values(), default=1) > 1:
            continue
        return found | {identity: file for identity, file in zip(identities, shifting, strict=True) if identity}
    raise BusyError(f"{instance_id}: logs are rotated faster than they can be looked at; the next run tries again")


def _by_time(files: Sequence[Offered], saved: Collection[Saved]) -> dict[str, str]:
    """Recognize files that are stored to their end by size and time, which a rotation does not change: name to identity."""
    stored = [one for one in saved if one.position == one.size]
    listed = Counter((file.size, file.last_written_ms) for file in files)
    kept = Counter((one.size, one.last_written_ms) for one in stored)
    identities = {(one.size, one.last_written_ms): one.identity for one in stored}
    return {
        file.name: identities[at]
        for file in files
        if listed[at := (file.size, file.last_written_ms)] == 1 and kept[at] == 1
    }


def _still(before: Sequence[Offered], after: Sequence[Offered]) -> bool:
    """Tell whether no rotation has happened between two lists."""
    now = {file.name: file for file in after if names.shifts(file.name)}
    if set(now) != {file.name for file in before}:
        return False
    return all(
        now[file.name] == file or (not names.rotated(file.name, ()) and now[file.name].size >= file.size)
        for file in before
    )
