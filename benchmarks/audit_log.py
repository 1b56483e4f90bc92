"""A real audit log: what MariaDB's audit plugin writes under load, and that repeated, whole records, to the size that is wanted."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aurora_ops.core.errors import AuroraOpsError

from benchmarks.server import Running, server

PORT = 3920
REAL_MIB = 32
SESSIONS = 4
_LOOK_S = 0.2
SCHEMA = (
    "CREATE DATABASE shop CHARACTER SET utf8mb4",
    """CREATE TABLE shop.orders (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, customer VARCHAR(80), state VARCHAR(16), note VARCHAR(2000), total DECIMAL(12,2),
        KEY ix_customer (customer))""",
)
_TEXT = """gift express fragile paid bank card refund partial late address change it's "two" caf\u00e9 \u4f60\u597d
\U0001f600 50% C:\\temp"""
_WORDS = _TEXT.split()

READ = (
    "SELECT id, state, total FROM shop.orders WHERE customer = 'customer-{customer:06d}' AND state IN ('new', 'paid')"
    " ORDER BY id DESC LIMIT 20"
)
INSERT = "INSERT INTO shop.orders (customer, state, note, total) VALUES"
ROW = "('customer-{:06d}', 'new', {}, {:.2f})"
UPDATE = "UPDATE shop.orders SET state = 'paid', note = {note} WHERE customer = 'customer-{customer:06d}'"
REPORT = """SELECT state, COUNT(*), SUM(total)
	FROM shop.orders /* daily, report */
	WHERE customer LIKE 'customer-{customer:03d}%'
	GROUP BY state
	LIMIT 5"""


@dataclass(frozen=True)
class RealLog:
    """What the server wrote.

    :param path: the file, whole records only.
    :param size: its bytes.
    :param records: lines of it.
    """

    path: Path
    size: int
    records: int


def write_real(path: Path, home: Path, mib: int = REAL_MIB) -> RealLog:
    """Run a MariaDB whose audit plugin writes a log, under load, until that has a size; then the server is gone.

    :param path: where the log is kept.
    :param home: where the server's data lies meanwhile.
    :param mib: size.
    """
    raw = path.with_suffix(".raw")
    options = (
        "--plugin-load-add=server_audit",
        f"--loose-server-audit-file-path={raw.resolve()}",
        "--loose-server-audit-events=CONNECT,QUERY,TABLE",
        f"--loose-server-audit-query-log-limit={2**31 - 1}",
        f"--loose-server-audit-file-rotate-size={2**62}",
        "--loose-server-audit-logging=ON",
    )
    with server(PORT, home, options) as running:
        with running.connect() as sql:
            for statement in SCHEMA:
                sql.run(statement)
        _load_until(running, raw, mib * 2**20)
    with raw.open("rb") as file:
        content = file.read(mib * 2**20)
    raw.unlink()
    content = content[: content.rindex(b"\n") + 1]  # the plugin escapes newlines, so each is the end of a record
    path.write_bytes(content)
    return RealLog(path, len(content), content.count(b"\n"))


def repeat(real: RealLog, path: Path, mib: int) -> int:
    """Write whole records of a real log again and again until a file has at least a size; gives its bytes."""
    content, size = real.path.read_bytes(), 0
    with path.open("wb") as file:
        while size < mib * 2**20:
            left = mib * 2**20 - size
            part = content if left >= len(content) else content[: content.index(b"\n", left - 1) + 1]
            size += file.write(part)
    return size


def _load_until(running: Running, raw: Path, size: int) -> None:
    stop = threading.Event()
    sessions = [threading.Thread(target=_session, args=(running, seed, stop), daemon=True) for seed in range(SESSIONS)]
    for session in sessions:
        session.start()
    while raw.stat().st_size < size and any(session.is_alive() for session in sessions):
        stop.wait(_LOOK_S)
    stop.set()
    for session in sessions:
        session.join()


def _session(running: Running, seed: int, stop: threading.Event) -> None:
    """One client after the other, as an application's pool has them."""
    chosen = random.Random(seed)  # noqa: S311 - the same load each time, no secret
    while not stop.is_set():
        with running.connect() as sql:
            for statement in _statements(chosen):
                if stop.is_set():
                    return
                with suppress(AuroraOpsError):  # a deadlock; what the server refuses is logged all the same
                    sql.run(statement)


def _statements(chosen: random.Random) -> Iterator[str]:
    """Statements of a shop: short reads mostly, some writes, a few reports over several lines."""
    for _ in range(500):
        kind, customer = chosen.random(), chosen.randrange(100_000)
        if kind < 0.55:
            yield READ.format(customer=customer)
        elif kind < 0.85:
            rows = [
                ROW.format(chosen.randrange(100_000), _text(chosen), chosen.random() * 1000)
                for _ in range(chosen.randint(1, 4))
            ]
            yield f"{INSERT} {', '.join(rows)}"
        elif kind < 0.97:
            yield UPDATE.format(customer=customer, note=_text(chosen))
        else:
            yield REPORT.format(customer=customer // 1000)


def _text(chosen: random.Random) -> str:
    words = " ".join(chosen.choice(_WORDS) for _ in range(chosen.randint(2, 15)))
    return "'" + words.replace("\\", "\\\\").replace("'", "''") + "'"
