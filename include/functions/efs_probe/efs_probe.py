"""Looks into a mounted file system for a workflow: an AWS Lambda function, made for one question and deleted afterwards.

It sees only what its access point shows, writes one small file in the directory that is its own, and follows no links.
"""

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

FLAG = re.compile(r"replication-check-[0-9a-f]{16}")
MOST_DIRECTORIES = 5000


def handler(event, _context):
    """Answer one question.

    :param event: ``action`` and what it needs: ``list_directories`` (``prefix``), ``write_flag`` (``name``, ``content``),
        ``read_flag`` and ``remove_flag`` (``name``).
    """
    root = Path(os.environ["EFS_MOUNT_PATH"])
    return ACTIONS[event["action"]](root, event)


def list_directories(root, event):
    """List the directories at the root whose names begin with a prefix."""
    with os.scandir(root) as entries:
        found = sorted(
            entry.name
            for entry in entries
            if entry.name.startswith(event["prefix"]) and entry.is_dir(follow_symlinks=False)
        )
    return {"directories": found[-MOST_DIRECTORIES:], "count": len(found)}


def write_flag(root, event):
    """Write the flag, and say when it was there."""
    path = _flag(root, event)
    text = json.dumps({"content": event["content"]})
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    return {"written_at": datetime.now(UTC).isoformat()}


def read_flag(root, event):
    """Read the flag; null where it is not."""
    path = _flag(root, event)
    if not path.is_file():
        return {"content": None}
    return {"content": json.loads(path.read_text(encoding="utf-8"))["content"]}


def remove_flag(root, event):
    """Remove the flag; that it is not there is fine."""
    _flag(root, event).unlink(missing_ok=True)
    return {"removed": True}


def _flag(root, event):
    if not FLAG.fullmatch(event["name"]):
        raise ValueError("name is none of a flag")
    return root / event["name"]


ACTIONS = {
    "list_directories": list_directories,
    "write_flag": write_flag,
    "read_flag": read_flag,
    "remove_flag": remove_flag,
}
