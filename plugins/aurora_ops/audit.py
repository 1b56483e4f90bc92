"""Check an audit trail: ``python -m aurora_ops.audit <trail>``.

A trail is a file, an object ``s3://bucket/key`` (``?versionId=...`` for one of its versions), or an operation
``<dag id>/<run id>`` in the table of trails. Ends with 0 where nothing is missing, changed, added or out of order, and with 1 where
something is, or where nobody knows where the trail should end.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aurora_ops.core import operation as operations
from aurora_ops.core import trail as trails
from aurora_ops.core.errors import AuroraOpsError, ConfigError, MissingError
from aurora_ops.core.trail import Head

_HEAD = "<events>:<hash>"


@dataclass(frozen=True)
class Found:
    """A trail, and what is known of where it should end.

    :param events: its events.
    :param head: where it should end; ``None`` where that is not known.
    :param source: who says so.
    :param may_have_grown: it may go on behind that.
    :param seen: where it ended when steps looked.
    :param goes_on: the operation has not ended, so its end cannot be known.
    """

    events: list[Any]
    head: Head | None
    source: str
    may_have_grown: bool = False
    seen: list[Head] = field(default_factory=list)
    goes_on: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a trail and say what was found; 0 where it is whole."""
    asked = _parser().parse_args(arguments)
    try:
        given = _head(asked.head) if asked.head else None
        found = _read(asked)
    except (AuroraOpsError, OSError, ValueError) as exc:
        return _say(f"cannot be read: {exc}")
    head = given or found.head
    verdict = trails.verify(found.events, head=head, may_have_grown=found.may_have_grown, seen=found.seen)
    if verdict.broken is not None:
        return _say(f"BROKEN: {verdict.broken}")
    for remark in verdict.remarks:
        _say(f"remark: {remark}")
    told = f"{verdict.head.sequence} events of {verdict.operation}, head {verdict.head.hash}"
    if head is None and not found.goes_on:
        return _say(
            f"NOT PROVEN: {told}: unbroken, but nothing says where it should end; give --head {_HEAD}, from the record"
        )
    ends = f"ends as {'--head' if given else found.source} says" if head else "the operation goes on"
    sys.stdout.write(f"whole: {told}; {ends}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aurora_ops.audit", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("trail", help="file, s3://bucket/key[?versionId=...], or <dag id>/<run id>")
    parser.add_argument("--head", metavar=_HEAD, help="where it should end, from the run's record")
    parser.add_argument("--table", default="aurora-ops-audit", help="table of trails, for <dag id>/<run id>")
    parser.add_argument("--runs-table", default="aurora-ops-runs", help="table of the operation's state")
    parser.add_argument("--conn-id", help="Airflow connection; none: the credentials that boto3 finds")
    parser.add_argument("--region", help="region; none: that of the connection or of boto3")
    return parser


def _head(text: str) -> Head:
    events, _, digest = text.partition(":")
    if not events.isdigit() or not digest:
        raise ConfigError("--head", text, f"write {_HEAD}")
    return Head(int(events), digest)


def _read(asked: argparse.Namespace) -> Found:
    if asked.trail.startswith("s3://"):
        return _read_object(asked)
    if (path := Path(asked.trail)).is_file():
        beside = Path(trails.manifest_key(str(path)))
        head = trails.head_in(json.loads(beside.read_bytes())) if beside.is_file() and beside != path else None
        return Found(trails.read_jsonl(path.read_bytes()), head, beside.name)
    if "/" not in asked.trail:
        raise ConfigError("trail", asked.trail, "there is no such file; an operation is <dag id>/<run id>")
    return _read_table(asked)


def _read_object(asked: argparse.Namespace) -> Found:
    # Only here, as below: a file can be checked where there is no Airflow.
    from aurora_ops.hooks.buckets import BucketsHook

    where = urlsplit(asked.trail)
    bucket, key = where.netloc, where.path.lstrip("/")
    hook = BucketsHook(asked.conn_id, asked.region, fresh=True)
    stored = hook.find(bucket, key, next(iter(parse_qs(where.query).get("versionId", [])), None))
    if stored is None:
        raise MissingError(f"there is no s3://{bucket}/{key}")
    beside = trails.manifest_key(key)
    described = hook.find(bucket, beside)
    head = trails.head_in(json.loads(described.content)) if described else None
    return Found(trails.read_jsonl(stored.content), head, f"s3://{bucket}/{beside}")


def _read_table(asked: argparse.Namespace) -> Found:
    from aurora_ops.hooks.operations import OperationsHook
    from aurora_ops.hooks.trail import TrailHook

    events = TrailHook(asked.conn_id, asked.region, fresh=True).list_events(asked.table, asked.trail)
    hook = OperationsHook(asked.conn_id, asked.region, fresh=True)
    state = hook.find_state(asked.runs_table, asked.trail) or {}
    known = state.get("trail")
    goes_on = state.get("outcome") == operations.RUNNING and known is None
    head = trails.head_in(known) if known else None
    seen = operations.seen_heads(state)
    return Found(events, head, "the operation's state", may_have_grown=True, seen=seen, goes_on=goes_on)


def _say(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
