"""The proof that what a stream begins with is what is stored already, before anything is appended to it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from aurora_ops.core.errors import StateError


@dataclass(frozen=True)
class Stretch:
    """Bytes of a file that are stored.

    :param begin: offset of the first.
    :param end: offset after the last.
    :param sha256: of them; ``None``: they are not as the server wrote them, chunks could not carry some.
    """

    begin: int
    end: int
    sha256: str | None


class Prefix:
    """Compares a stream from its beginning on with what is stored.

    :param stretches: what is stored, in order and without gaps.
    :param what: the file, for the message.
    """

    def __init__(self, stretches: Sequence[Stretch], what: str) -> None:
        self._left = list(stretches)
        self._what = what
        self._sha = hashlib.sha256()
        self._at = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        :raises StateError: an object is not what the file says now.
        """
        view = memoryview(data)
        while view and self._left:
            stretch = self._left[0]
            part = view[: stretch.end - self._at]
            self._sha.update(part)
            self._at += len(part)
            view = view[len(part) :]
            if self._at == stretch.end:
                if stretch.sha256 not in (None, self._sha.hexdigest()):
                    raise StateError(
                        f"{self._what}: bytes {stretch.begin} to {stretch.end} are stored with other content than the file has; "
                        f"nothing is appended. Compare the object with the file; see docs/how-to/audit-log-backup.md"
                    )
                self._left.pop(0)
                self._sha = hashlib.sha256()
