"""Records of which the ready queries are asked, as the compaction writes them: a folder of Parquet for each day."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from aurora_ops.core.audit_logs.parquet import Origin, write_parts
from aurora_ops.core.audit_logs.records import read_all
from aurora_ops.core.audit_logs.sorting import Sorter

from devstack.settings import REPO
from tests.unit.core.audit_samples import Written, aurora

QUERIES = sorted((REPO / "include" / "sql" / "athena").glob("*.sql"))
MARCH = ("2026-03-01", "2026-03-31")


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"2026-{text}+00:00").timestamp()) * 10**6


def event(when: str, operation: bytes, subject: bytes = b"", **fields) -> Written:
    return aurora(at(when), operation=operation, subject=subject, **fields)


EVENTS = [
    event("03-02 09:00:00", b"CONNECT", user=b"ann", connection=7, code=0),
    event("03-02 09:00:01", b"READ", b"customers", user=b"ann", connection=7, query=1, code=None),
    event("03-02 09:00:01", b"QUERY", b"select *\nfrom customers -- it's", user=b"ann", connection=7, query=1),
    event("03-02 10:00:00", b"READ", b"customers", user=b"ann", connection=7, query=2, code=None),
    event("03-02 10:00:02", b"WRITE", b"customers", user=b"dba", code=None),
    event("03-02 10:00:00", b"READ", b"orders", user=b"bob", connection=8, code=None),
    event("03-02 17:00:00", b"DISCONNECT", user=b"ann", connection=7, code=0),
    event("02-28 12:00:00", b"READ", b"customers", user=b"eve", code=None),
    event("03-31 23:59:59", b"READ", b"customers", user=b"bob", host=b"10.0.0.9", code=None),
    event("03-09 13:00:00", b"CONNECT", user=b"bob", connection=8, code=0),
    event("03-09 14:30:00", b"FAILED_CONNECT", user=b"eve", connection=9, code=1045),
    event("03-09 14:30:01", b"DISCONNECT", user=b"eve", connection=9, code=0),
    event("03-09 14:31:00", b"CONNECT", user=b"eve", connection=10, code=1045),
    event("03-10 12:00:00", b"CONNECT", user=b"cat", connection=8, code=0),
    event("03-04 10:00:00", b"QUERY", b"  /* app */ alter TABLE t ADD c INT", user=b"ann"),
    event("03-04 10:00:01", b"ALTER", b"t", user=b"ann", code=None),
    event("03-04 10:00:02", b"QUERY", b"select 'drop table t'", user=b"ann"),
    event("03-04 10:00:03", b"QUERY", b"droplet", user=b"ann", code=1064),
    event("03-05 10:00:00", b"QUERY", b"grant select on shop.* to 'x'@'%'", user=b"dba"),
    event("03-05 10:00:01", b"QUERY", b"CREATE  USER x IDENTIFIED BY *****", user=b"dba"),
    event("03-05 10:00:02", b"QUERY", b"set @a = 1", user=b"dba"),
]


def write_records(folder: Path, runs: Path) -> None:
    """Write the events below ``day=...``.

    :param runs: folder for what is sorted.
    """
    sorter = Sorter(runs)
    for batch in read_all(b"".join(one.line(raw_whitespace=True) for one in EVENTS)):
        assert not batch.rejects
        rows = batch.table.append_column("source", pa.repeat(pa.scalar(0, pa.int32()), batch.table.num_rows))
        sorter.add(rows.append_column("sequence", pc.add(rows["offset"], 0)))
    for day in sorter.days():
        place = folder / f"day={day}"
        place.mkdir()
        list(write_parts(sorter.rows(day), place, Origin("222222222222", "eu-west-1", "db-1"), [("key", "shop")]))
