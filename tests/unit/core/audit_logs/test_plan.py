"""What is to be read, by whom, and how it is shared out; names and keys."""

from __future__ import annotations

import re

import pytest
from aurora_ops.core import environments
from aurora_ops.core.audit_logs import names, states
from aurora_ops.core.audit_logs.names import Offered
from aurora_ops.core.audit_logs.pace import Pace
from aurora_ops.core.audit_logs.plan import Rules, Saved, batches, judge, unsaved_bytes
from aurora_ops.core.errors import PermanentError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.samples import raw

NOW = 10**12
RULES = Rules("auto", 1000, NOW)
NAME = "audit/audit.log.{}.2026-04-13-12-{:02d}.{}"
IDENTITY = "audit~audit.log.0.2026-04-13-12-00.0"
SECTION = {
    "bucket": "logs-bucket",
    "state_table": "log-states",
    "places": [{"aws_conn_id": "aws_source", "account_id": "111111111111", "region": "eu-west-1"}],
}


def offered(size: int, *, name: str = NAME.format(0, 0, 0), age_ms: int = 0) -> Offered:
    return Offered(name, size, NOW - age_ms)


def saved(position: int, **changes) -> Saved:
    return Saved(IDENTITY, NAME.format(0, 0, 0), **{"size": position, "position": position, "marker": "9:1", **changes})


class TestReader:
    """Which reader a file has."""

    @pytest.mark.parametrize(
        ("file", "kept", "reader", "final"),
        [
            (offered(100), None, "chunks", False),
            (offered(100, age_ms=1000), None, "rest", True),
            (offered(100, age_ms=1000), saved(40), "rest", True),
            (offered(100, age_ms=1000), saved(60), "chunks", True),
            (offered(100), saved(40), "chunks", False),
            (offered(100), saved(40, marker=None), "rest", False),
        ],
    )
    def test_by_what_is_stored_and_whether_it_grows(self, file, kept, reader, final) -> None:
        [job] = judge({IDENTITY: file}, {IDENTITY: kept} if kept else {}, RULES).jobs
        assert (job.reader, job.final) == (reader, final)

    @pytest.mark.parametrize("choice", ["rest", "chunks"])
    def test_the_settings_can_say(self, choice) -> None:
        for age_ms in (0, 1000):
            [job] = judge({IDENTITY: offered(9, age_ms=age_ms)}, {}, Rules(choice, 1000, NOW)).jobs
            assert job.reader == choice

    def test_a_file_is_rotated_where_its_stripe_goes_on(self) -> None:
        files = [offered(9), offered(9, name=NAME.format(0, 1, 0)), offered(9, name=NAME.format(1, 0, 0))]
        found = judge({names.fixed_identity(one.name): one for one in files}, {}, RULES)
        assert [job.final for job in found.jobs] == [True, False, False]


def listed(files: list[Offered]) -> dict[str, Offered]:
    return {IDENTITY: files[0]} if files else {}


class TestStatus:
    """What becomes of files of which nothing is read."""

    @pytest.mark.parametrize(
        ("files", "kept", "status"),
        [
            ([offered(5, age_ms=1000)], saved(5), "complete"),
            ([offered(5, age_ms=1000)], saved(5, holes=1), "partial"),
            ([offered(5, age_ms=1000)], saved(5, status="lost"), "complete"),
            ([offered(4)], saved(5), "truncated"),
            ([], saved(5), "lost"),
            ([], saved(5, status="deferred"), "lost"),
        ],
    )
    def test_changes(self, files, kept, status) -> None:
        found = judge(listed(files), {IDENTITY: kept}, RULES)
        assert found.jobs == []
        assert [change[1] for change in found.changes] == [status]

    @pytest.mark.parametrize(
        ("files", "kept"),
        [
            ([offered(5)], saved(5)),
            ([offered(5, age_ms=1000)], saved(5, status="complete")),
            ([], saved(5, status="complete")),
            ([], saved(5, status="lost")),
            ([offered(9)], saved(5, status="truncated")),
        ],
    )
    def test_stays(self, files, kept) -> None:
        found = judge(listed(files), {IDENTITY: kept}, RULES)
        assert (found.jobs, found.changes) == ([], [])

    def test_how_much_is_lost_is_said(self) -> None:
        [(_, _, why)] = judge({}, {IDENTITY: saved(5, size=9)}, RULES).changes
        assert why == "it has gone with 4 of 9 bytes not stored"


class TestEstimate:
    """How much there is to read of an instance."""

    def test_nothing(self) -> None:
        assert unsaved_bytes([offered(5)], [saved(5)], RULES) is None
        assert unsaved_bytes([offered(0)], [], RULES) is None

    def test_what_is_new(self) -> None:
        assert unsaved_bytes([offered(15), offered(7, name=NAME.format(1, 0, 0))], [saved(5)], RULES) == 17

    def test_something_without_bytes(self) -> None:
        assert unsaved_bytes([], [saved(5)], RULES) == 0

    def test_a_rotation_alone_is_nothing_but_a_new_end(self) -> None:
        kept = Saved("server_audit-1", "audit/server_audit.log", 5, NOW, 5, "9:5", status="complete")
        assert unsaved_bytes([Offered("audit/server_audit.log.1", 5, NOW)], [kept], RULES) is None
        assert unsaved_bytes([Offered("audit/server_audit.log", 8, NOW)], [kept], RULES) == 8


WANTED = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10**9)), max_size=60).map(
    lambda many: [{"place": place, "bytes": size, "name": number} for number, (place, size) in enumerate(many)]
)


class TestBatches:
    """Sharing out."""

    @given(WANTED, st.integers(3, 50))
    def test_each_instance_once_and_few_batches_of_one_place_each(self, wanted, most) -> None:
        found = batches(wanted, most)
        assert sorted(one["name"] for batch in found for one in batch) == [one["name"] for one in wanted]
        assert len(found) <= most
        assert all(len({one["place"] for one in batch}) == 1 for batch in found)
        assert all(found)

    @given(WANTED, st.integers(3, 50))
    def test_about_as_many_bytes_each(self, wanted, most) -> None:
        found = batches(wanted, most)
        for place in {one["place"] for one in wanted}:
            loads = [sum(one["bytes"] + 2**20 for one in batch) for batch in found if batch[0]["place"] == place]
            assert max(loads) - min(loads) <= max(one["bytes"] + 2**20 for one in wanted if one["place"] == place)

    def test_a_thousand_idle_and_four_busy_take_few(self) -> None:
        wanted = [{"place": 0, "bytes": 0, "name": number} for number in range(1000)]
        busy = [{"place": 0, "bytes": 4 * 10**8, "name": number} for number in range(4)]
        assert 4 <= len(batches([*wanted, *busy], 20)) <= 20
        assert len(batches(busy[:1], 20)) == 1
        assert len(batches(wanted[:40], 20)) == 1


class TestNames:
    """Who a file is, and where it is kept."""

    @pytest.mark.parametrize(
        ("name", "known"),
        [
            ("audit/audit.log.0.2026-04-13-12-00.0", True),
            ("audit/audit.log.new-style", True),
            ("audit/server_audit.log", True),
            ("audit/server_audit.log.12", True),
            ("audit/server_audit.log.old", False),
            ("error/mysql-error.log", False),
            ("auditing/x", False),
        ],
    )
    def test_what_is_an_audit_log(self, name, known) -> None:
        assert names.is_audit_log(name) is known

    @given(st.binary(max_size=60), st.binary(max_size=60), st.booleans())
    def test_identity_is_the_first_records(self, first, more, ended) -> None:
        head = first + b"\n" * ended
        identity = names.identity_of_head(head)
        if identity is not None:
            assert names.identity_of_head(head + more) == identity
            assert re.fullmatch(r"server_audit-[0-9a-f]{16}", identity)
        if ended and b"'" not in first and b"\\" not in first:
            assert identity is not None

    def test_a_long_record_is_known_by_its_first_4_kib(self) -> None:
        assert names.identity_of_head(b"x" * 4095) is None
        assert names.identity_of_head(b"x" * 4096) == names.identity_of_head(b"x" * 5000)

    @given(st.integers(0, 10**15 - 1), st.integers(0, 10**15 - 1))
    def test_keys_sort_as_their_bytes_do(self, one, other) -> None:
        key = lambda begin: names.object_key("f/", "2026-01-01", "i", begin, begin + 1, "gzip")  # noqa: E731
        assert (key(one) < key(other)) == (one < other)

    def test_a_key_begins_with_the_prefix_where_there_is_one(self) -> None:
        assert names.folder("", "1", "r", "", "db-1") == "account=1/region=r/cluster=none/instance=db-1/"
        assert names.folder("a/b", "1", "r", "c", "db-1").startswith("a/b/account=1/region=r/cluster=c/")


def test_a_state_is_read_as_it_is_written() -> None:
    item = {"sk": "file#i", "name": "n", "size": 9, "position": 5, "marker": "9:5", "marker_at": 5, "chain": "ab",
            "status": "deferred", "attempts": 2, "first_seen": "2026-01-02T03:04:05", "version": 3, "behind_since": 7}  # fmt: skip
    found = states.saved_of(item)
    assert (found.identity, found.position, found.marker, found.first_seen) == ("i", 5, "9:5", "2026-01-02")
    assert (found.behind_since_ms, found.intent_end, found.status) == (7, None, "deferred")


def test_calls_are_spread() -> None:
    moments = iter([0.0, 0.0, 0.0, 10.0])
    pace = Pace(2, lambda: next(moments))
    assert [pace.reserve() for _ in range(4)] == [0.0, 0.5, 1.0, 0.0]


class TestSettings:
    """What the file may say."""

    def resolved(self, **changes):
        return environments.resolve(raw({"audit_logs": {**SECTION, **changes}})).settings.audit_logs

    def test_defaults(self) -> None:
        found = self.resolved()
        assert (found.schedule, found.reader, found.compression, found.most_batches) == (
            "*/5 * * * *",
            "auto",
            "zstd",
            20,
        )

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"most_batches": 51}, "most_batches"),
            ({"compression": "lz4"}, "compression"),
            ({"prefix": "a/"}, "prefix"),
            ({"places": []}, "places"),
            ({"places": SECTION["places"] * 2}, "places"),
            ({"state_table": "aurora-ops-runs"}, "state_table"),
            ({"most_batches": 1, "places": [*SECTION["places"], {**SECTION["places"][0], "region": "eu-west-2"}]}, "most_batches"),
            ({"storage": {"lock_days": 0}}, "lock_days"),
            ({"places": [{**SECTION["places"][0], "engines": ["postgres"]}]}, "engines"),
            ({"readers": "x"}, "readers"),
        ],
    )  # fmt: skip
    def test_wrong_values_are_named(self, changes, field) -> None:
        with pytest.raises(PermanentError, match=rf"audit_logs.*{field}"):
            self.resolved(**changes)
