"""Runs a function's handler in a process of its own: reads what to do as JSON, writes the answer to a file.

What is mounted read-only is guarded by Python's own audit: this process may belong to root, whom permissions do not stop.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
}


def guard(folders: list[str]) -> None:
    """Let nothing below these folders be changed."""
    roots = [Path(folder).resolve() for folder in folders]

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & WRITES:
                return
            paths = [path]
        elif event in CHANGES:
            paths = list(arguments[:2])
        else:
            return
        for path in paths:
            if isinstance(path, (str, bytes)):
                full = Path(os.fsdecode(path)).absolute()
                if any(full.is_relative_to(root) for root in roots):
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fsdecode(path))

    if roots:
        sys.addaudithook(watch)


def main() -> int:
    """Run the handler; 1 if it failed."""
    given = json.loads(sys.stdin.read())
    sys.path.insert(0, str(Path.cwd()))
    module, _, name = given["handler"].rpartition(".")
    about = SimpleNamespace(
        function_name=given["name"],
        invoked_function_arn=given["arn"],
        memory_limit_in_mb=given["memory_mib"],
        aws_request_id="localcloud",
        get_remaining_time_in_millis=lambda: given["timeout_s"] * 1000,
    )
    try:
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
        guard(given["read_only"])
        value, failed = handler(given["event"], about), False
    except BaseException as error:  # noqa: BLE001 - whatever it is becomes the answer, as Lambda does it
        failed = True
        value = {
            "errorMessage": str(error),
            "errorType": type(error).__name__,
            "stackTrace": traceback.format_tb(error.__traceback__),
        }
    Path(given["answer"]).write_text(json.dumps({"value": value, "failed": failed}))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
