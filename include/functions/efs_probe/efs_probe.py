"""Looks into a mounted file system for a workflow: an AWS Lambda function, made for one question and deleted afterwards.

It sees only what its access point shows, writes one small file in the directory that is its own, and follows no links.
"""

import json
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path

FLAG = re.compile(r"replication-check-[0-9a-f]{16}")
DIRECTORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
MOST_DIRECTORIES = 5000
COUNTING_S = 40


def handler(event, _context):
    """Answer one question.

    :param event: ``action`` and what it needs: ``list_directories`` (``prefix``), ``count_files`` (``directory``), ``write_flag``
        (``name``, ``content``), ``read_flag`` and ``remove_flag`` (``name``).
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


def count_files(root, event):
    """Count what is in a directory of the root, for as long as a call may take; links are not followed."""
    name = event["directory"]
    if not DIRECTORY.fullmatch(name):
        raise ValueError("directory is none of the root")
    files = directories = size = 0
    unread, ends = [], time.monotonic() + COUNTING_S
    for folder, below, names in os.walk(root / name, onerror=unread.append):
        directories += len(below)
        for each in names:
            files += 1
            size += Path(folder, each).lstat().st_size
        if time.monotonic() > ends:
            break
    complete = time.monotonic() <= ends
    return {"files": files, "directories": directories, "bytes": size, "unread": len(unread), "complete": complete}


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
    "count_files": count_files,
    "write_flag": write_flag,
    "read_flag": read_flag,
    "remove_flag": remove_flag,
}
