"""Which scripts have run on a database, and what becomes of one that is asked for again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aurora_ops.core.errors import StateError
from aurora_ops.core.sql_script import Statement


@dataclass(frozen=True)
class Entry:
    """A script in the ledger.

    :param checksum: of the statements whose effect is permanent.
    :param state: ``running``, ``failed`` or ``done``; ``running`` is also what a killed worker and a lost connection leave.
    :param done: statements, from the first, whose effect is permanent.
    :param begun: number of the statement that was being run; 0 is none.
    :param run_key: the run that began it last.
    """

    checksum: str
    state: str
    done: int
    begun: int
    run_key: str


def chain(statements: Iterable[Statement]) -> list[str]:
    """Write the checksum of a script's first n statements for each n, none included."""
    digest = hashlib.sha256()
    found = [digest.hexdigest()]
    for statement in statements:
        digest.update(statement.text.encode() + b"\x00")
        found.append(digest.hexdigest())
    return found


def first_statement(name: str, entry: Entry | None, checksums: Sequence[str], *, mode: str, run_key: str) -> int | None:
    """Decide with which statement a script begins.

    :param name: the script, for messages.
    :param entry: what the ledger has of it.
    :param checksums: of its text now, as ``chain`` writes them.
    :param mode: ``new`` runs what has never run, ``resume`` also goes on where a script has stopped, ``all`` runs it again.
    :param run_key: the present run; what it has begun itself it goes on with, unless it cannot know how far it came.
    :return: number of the statement, counted from 1; ``None`` skips the script.
    :raises StateError: a person must decide.
    """
    own = entry is not None and entry.run_key == run_key
    if entry is None or (mode == "all" and not own):
        return 1
    total = len(checksums) - 1
    if entry.done > total or checksums[entry.done] != entry.checksum or (entry.state == "done" and entry.done < total):
        raise StateError(
            f"{name}: statements that have run already were changed since; put them back, give it another name, or run all of it "
            "again with mode all"
        )
    if entry.state == "done":
        return None
    if not own and mode != "resume":
        raise StateError(
            f"{name} stopped after {entry.done} statements in an earlier run; use mode resume to go on with the next one, or all "
            "to begin again"
        )
    if own and entry.state == "running" and entry.begun:
        raise StateError(
            f"{name}: the connection or the worker was lost while statement {entry.begun} ran, so it is not known whether it took "
            "effect; look, then start a new run with mode resume (with that statement again) or all"
        )
    return entry.done + 1
