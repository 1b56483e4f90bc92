"""A client of staging that never stops asking: what it saw, and for how long it saw nothing."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pymysql
from botocore.exceptions import BotoCoreError, ClientError

from tests.local.refresh.conftest import STAGING

PAUSE_S, FIRST_S = 0.05, 10
# One statement, so one server and one moment: who answers, and whose e-mails are in there.
LOOK = "SELECT @@datadir, SUM(email LIKE 'user.____________________@example.invalid' OR email = ''), COUNT(*) FROM shop.customers"


@dataclass
class Seen:
    """What a client saw.

    :param servers: each server that answered, in order; the same one again after a gap does not count twice.
    :param gaps_s: seconds of each time in which nobody answered.
    :param looks: how often it asked.
    :param mixed: answers that were neither all of one kind nor all of the other.
    """

    servers: list[str] = field(default_factory=list)
    masked: dict[str, bool] = field(default_factory=dict)
    gaps_s: list[float] = field(default_factory=list)
    looks: int = 0
    mixed: list[str] = field(default_factory=list)

    @property
    def longest_gap_s(self) -> float:
        """Seconds of the longest time in which nobody answered."""
        return max(self.gaps_s, default=0.0)

    def note(self, server: str, masked: int, rows: int) -> None:
        """Note an answer."""
        self.looks += 1
        if server not in self.servers[-1:]:
            self.servers.append(server)
        state = masked == rows
        if self.masked.setdefault(server, state) != state:
            self.mixed.append(f"{server}: {masked} of {rows} e-mails masked, before it was {self.masked[server]}")

    def wrong(self) -> list[str]:
        """Say what a client must never see: a third server, one that comes back after another, data that are neither."""
        found = [f"the client saw mixed data: {text}" for text in self.mixed]
        first, rest = self.servers[:1], self.servers[1:]
        if len(rest) > 2 or (len(rest) == 2 and rest[1:] != first):
            found.append(f"the client saw the servers {self.servers}")
        if rest and not self.masked[rest[0]]:
            found.append("the client saw unmasked data on a new server")
        if not self.looks:
            found.append("the client never got an answer")
        return found


class Poller:
    """Asks from its start to its end, as an application would: with the secret's password, again when that fails.

    :param estate: where staging is.
    """

    def __init__(self, estate: Any) -> None:
        self.seen = Seen()
        self._estate = estate
        self._stop, self._looked = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._poll, name="poller", daemon=True)
        cluster = estate.cluster(STAGING, "staging-shop")
        self._where = (cluster["Endpoint"], cluster["Port"])

    def __enter__(self) -> Poller:
        self._thread.start()
        self._looked.wait(FIRST_S)  # what is refused from now on refuses a client that has been served
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        secret: dict[str, Any] | None = None
        lost_at: float | None = None
        while not self._stop.wait(PAUSE_S):
            try:
                secret = secret or self._estate.secret(STAGING, "staging/shop/readonly")
                answer = self._ask(secret)
            except (pymysql.MySQLError, ClientError, BotoCoreError, OSError):
                self._looked.set()
                secret, lost_at = None, lost_at or time.monotonic()
                continue
            if lost_at is not None:
                self.seen.gaps_s.append(time.monotonic() - lost_at)
                lost_at = None
            self.seen.note(*answer)
            self._looked.set()
        if lost_at is not None:
            self.seen.gaps_s.append(time.monotonic() - lost_at)

    def _ask(self, secret: dict[str, Any]) -> tuple[str, int, int]:
        host, port = self._where
        connection = pymysql.connect(
            host=host,
            port=port,
            user=secret["username"],
            password=secret["password"],
            connect_timeout=2,
            read_timeout=10,
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(LOOK)
                server, masked, rows = cursor.fetchone()
                return str(server), int(masked or 0), int(rows)
        finally:
            connection.close()
