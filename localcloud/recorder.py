"""The record of AWS calls as JSON lines: what was asked, by whom, how long it took, how it ended."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEPT_CALLS = 200_000
READING = re.compile(
    r"^(Describe|Get|List|BatchGet|Batch-Get|Head|Query|Scan|Select|AssumeRole|Lookup|Search|Simulate|Validate|Receive"
    r"|TransactGet|Download|Test|Filter)"
)


@dataclass(frozen=True)
class Call:
    """One AWS call.

    :param time: epoch seconds when it began.
    :param duration_s: seconds until the answer began.
    :param service: boto3 service name.
    :param action: operation name, such as ``CopyDBClusterSnapshot``; ``Unknown`` if no operation matches.
    :param mutating: it may change something; judged by the operation's verb.
    :param caller: ARN, or None if the credentials were refused.
    :param error: AWS error code, None on success; ``ConnectionClosed`` if a fault rule left the caller without answer.
    :param fault: id of the fault rule that struck the call.
    """

    time: float
    duration_s: float
    account: str | None
    region: str
    service: str
    action: str
    mutating: bool
    caller: str | None
    parameters: dict[str, Any]
    status: int
    error: str | None
    fault: int | None = None


def is_mutating(action: str) -> bool:
    """Whether an operation may change something, by its verb."""
    return not READING.match(action)


class Recorder:
    """Appends calls to a file and keeps the latest in memory. Thread-safe.

    :param path: JSON-lines file; what it holds is remembered, and it is appended to.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque((Call(**call) for call in read_calls(path)), maxlen=KEPT_CALLS)
        broken = path.exists() and not path.read_bytes().endswith(b"\n")
        self._file = path.open("a", buffering=1)
        if broken:
            self._file.write("\n")

    def add(self, call: Call) -> None:
        """Record a call that has ended."""
        line = json.dumps(asdict(call), default=str) + "\n"
        with self._lock:
            self._calls.append(call)
            self._file.write(line)

    def calls(self, *, since: float = 0, mutating: bool = False) -> list[dict[str, Any]]:
        """Return the calls that began at or after ``since`` (epoch seconds), in the order of their end."""
        with self._lock:
            calls = list(self._calls)
        return [asdict(call) for call in calls if call.time >= since and (call.mutating or not mutating)]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def read_calls(path: Path, *, since: float = 0, mutating: bool = False) -> Iterator[dict[str, Any]]:
    """Yield recorded calls from the file, whether the server runs or not."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            try:
                call = json.loads(line)
            except ValueError:  # the line that a killed server was writing
                continue
            if call["time"] >= since and (call["mutating"] or not mutating):
                yield call
