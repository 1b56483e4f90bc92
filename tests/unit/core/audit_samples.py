"""Audit records as servers write them."""

from __future__ import annotations

from dataclasses import dataclass

ESCAPES = {b"\n": b"\\n", b"\t": b"\\t", b"\r": b"\\r", b"'": b"\\'", b"\\": b"\\\\"}


@dataclass(frozen=True)
class Written:
    """A record, and what of it should be read."""

    time: bytes
    event_us: int
    server: bytes = b"shop-1"
    user: bytes = b"app"
    host: bytes = b"10.0.0.1"
    connection: int = 30
    query: int = 966
    operation: bytes = b"QUERY"
    database: bytes = b"shop"
    subject: bytes = b"select 1"
    code: int | None = 0

    def line(self, *, raw_whitespace: bool = False) -> bytes:
        """As the plugin writes it; older ones leave white space in statements as it is."""
        subject = self.subject
        if self.operation == b"QUERY":
            kept = b"\n\t\r" if raw_whitespace else b""
            escaped = (byte if byte in kept else ESCAPES.get(byte, byte) for byte in (bytes([n]) for n in self.subject))
            subject = b"'" + b"".join(escaped) + b"'"
        fields = (
            self.time, self.server, self.user, self.host, b"%d" % self.connection, b"%d" % self.query, self.operation,
            self.database, subject, b"" if self.code is None else b"%d" % self.code,
        )  # fmt: skip
        return b",".join(fields) + b"\n"


def aurora(at_us: int = 1_603_439_251_360_772, **fields: object) -> Written:
    return Written(b"%016d" % at_us, at_us, **fields)  # type: ignore[arg-type]


def shown(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
