"""The AWS calls of a refresh, as localcloud recorded them: which ones, in which account, how often.

``python -m tests.local.faults.recording`` plays a refresh and writes the file anew.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("recorded_calls.json")
# Made for every connection, by the session and not by a task: without it nothing at all would be called.
NOT_WALKED = {("sts", "AssumeRole")}


class Call(NamedTuple):
    """A call that a refresh makes.

    :param account: where.
    :param service: boto3's name.
    :param action: operation.
    :param mutating: it may change something.
    :param count: how often one refresh makes it.
    """

    account: str
    service: str
    action: str
    mutating: bool
    count: int

    def __str__(self) -> str:
        return f"{self.account} {self.service}:{self.action}"


def recorded() -> list[Call]:
    """Read the file."""
    return [Call(*entry) for entry in json.loads(FILE.read_text())]


def calls_of(record: Iterable[dict[str, Any]]) -> list[Call]:
    """Count the calls of Airflow's roles in a record of localcloud."""
    found = Counter(
        (call["account"], call["service"], call["action"], call["mutating"])
        for call in record
        if call["caller"] and ":assumed-role/" in call["caller"] and (call["service"], call["action"]) not in NOT_WALKED
    )
    return [Call(*what, count) for what, count in sorted(found.items())]


def main() -> None:
    """Record: the second refresh of a new estate, which finds what a nightly one finds."""
    from localcloud.recorder import read_calls
    from tests.local.faults.conftest import REFRESH
    from tests.local.lane import Lane

    with tempfile.TemporaryDirectory() as folder:
        lane = Lane(Path(folder))
        lane.start()
        try:
            assert lane.run(REFRESH, {})["state"] == "success"
            first = max(call["time"] for call in read_calls(lane.cloud.calls_file))
            assert lane.run(REFRESH, {})["state"] == "success"
            found = calls_of(read_calls(lane.cloud.calls_file, since=first + 1e-6))
        finally:
            lane.stop()
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
