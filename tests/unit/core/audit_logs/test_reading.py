"""Chunks, boundaries and objects: whatever the API does, the bytes are the file's, in order, each once."""

from __future__ import annotations

import hashlib
import zlib

import pytest
import zstandard
from aurora_ops.core.audit_logs import boundaries as module
from aurora_ops.core.audit_logs.boundaries import Boundaries
from aurora_ops.core.audit_logs.chain import FIRST, link
from aurora_ops.core.audit_logs.chunks import Chunks, NotCarriedError, Page
from aurora_ops.core.audit_logs.packing import Assembly, Mark, Piece
from aurora_ops.core.audit_logs.prefix import Prefix, Stretch
from aurora_ops.core.errors import StateError, TransientError
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.audit_logs.model import Model, reference_boundaries

LINE = st.text(alphabet="ab',\\é", max_size=30).map(lambda text: text.encode() + b"\n")
TEXT = st.lists(LINE, max_size=40).map(b"".join)
RECORDS = st.lists(
    st.text(alphabet="ab,\n\\'", max_size=20).map(
        lambda query: (
            b"1700000000000000,db,u,h,1,2,QUERY,shop,'%s',0\n"
            % query.replace("\\", "\\\\").replace("'", "\\'").encode()
        )
    ),
    max_size=30,
).map(b"".join)
FORGED = [
    b"',0\n",
    b"20261121 11:10:57,x,u,h,1,2,QUERY,s,",
    b"1700000000000000,x,u,h,1,2,READ,s,t,",
    b"'",
    b",0",
    b"\n",
    b"\\",
    b"x",
]


def escaped(parts: list[bytes], newline: bytes) -> bytes:
    """A statement as the plugin writes it; what it makes of newlines differs."""
    return b"".join(parts).replace(b"\\", b"\\\\").replace(b"'", b"\\'").replace(b"\n", newline)


MIXED = st.one_of(
    st.sampled_from(
        [
            b"1700000000000000,db,u,h,1,0,CONNECT,shop,,0\n",
            b"20261121 11:10:57,vm,app,127.0.0.1,7,18,READ,d1,t1,\n",
            b"20261121 11:10:57,vm,app,127.0.0.1,7,18,QUERY,d1,'SELECT 1',0\r\n",
        ]
    ),
    st.tuples(st.lists(st.sampled_from(FORGED), max_size=12), st.sampled_from([b"\n", b"\\n", b" "])).map(
        lambda made: b"1700000000000000,db,u,h,1,2,QUERY,shop,'%s',0\n" % escaped(*made)
    ),
)
"""Records of all kinds; queries among them that look like several records."""


def chunks(model: Model, *, fills: bool = False, final: bool = True, at: int = 0, size: int | None = None) -> Chunks:
    marker = f"9:{at}" if at else "0"
    return Chunks(
        model.ask, marker=marker, at=at, size=len(model.data) if size is None else size, fills=fills, final=final
    )


class TestChunks:
    """The loop over DownloadDBLogFilePortion."""

    @given(TEXT, st.integers(60, 400), st.booleans(), st.sampled_from([0.0, 0.2]), st.integers(0, 5))
    def test_the_bytes_are_the_files(self, data, page_bytes, at_the_cut, whims, seed) -> None:
        model = Model(data, page_bytes=page_bytes, at_the_cut=at_the_cut, whims=whims, seed=seed)
        reader = chunks(model)
        found = b"".join(piece.data for piece in reader)
        assert data.startswith(found)
        if not whims:
            assert found == data
        assert reader.at == len(found)

    @given(TEXT, st.integers(60, 400))
    def test_each_marker_goes_on_behind_its_piece(self, data, page_bytes) -> None:
        at = 0
        for piece in chunks(Model(data, page_bytes=page_bytes)):
            at += len(piece.data)
            assert piece.marker == f"9:{at}"

    def test_the_first_call_has_marker_zero(self) -> None:
        model = Model(b"a\n" * 10)
        list(chunks(model))
        assert model.asked[0][0] == "0"

    def test_nothing_is_asked_twice_where_lines_are_alike(self) -> None:
        model = Model(b"x" * 149 + b"\n" * 1 + (b"x" * 149 + b"\n") * 200_000)
        list(chunks(model))
        assert model.served == len(model.data), "no page was cut"

    def test_a_cut_page_is_asked_for_with_fewer_lines(self) -> None:
        model = Model((b"x" * 3000 + b"\n") * 2000)
        assert b"".join(piece.data for piece in chunks(model)) == model.data

    def test_what_a_user_writes_is_no_notice(self) -> None:
        data = b"a [Your log message was truncated]\n" * 3
        assert b"".join(piece.data for piece in chunks(Model(data))) == data

    def test_goes_on_where_it_was(self) -> None:
        model = Model(b"first\nsecond\n")
        assert [piece.data for piece in chunks(model, at=6)] == [b"second\n"]
        assert model.asked[0][0] == "9:6"

    def test_reads_no_further_than_it_must(self) -> None:
        model = Model(b"a\n" * 100_000)
        reader = chunks(model, size=10)
        list(reader)
        assert len(model.asked) == 1

    def test_an_end_that_comes_too_early_is_none(self) -> None:
        pages = iter([Page(b"a\n", "9:2", False), Page(b"", "9:2", False), Page(b"b\n", "9:4", False)])
        reader = Chunks(lambda *_: next(pages), marker="0", at=0, size=4, fills=False, final=False)
        assert b"".join(piece.data for piece in reader) == b"a\nb\n"

    def test_an_end_that_stays_ends(self) -> None:
        reader = Chunks(lambda *_: Page(b"", "9:0", True), marker="0", at=0, size=4, fills=False, final=False)
        assert list(reader) == []
        assert reader.asked == 4

    @pytest.mark.parametrize(
        ("page", "kind"),
        [
            (Page(b"a\n", "9:3", True), "length"),
            (Page(b"a\n", "9:1", True), "length"),
            (Page(b"", "9:3", True), "empty"),
            (Page(b"ab [Your log message was truncated]\n", "9:99", True), "truncated"),
        ],
    )
    def test_what_does_not_fit_is_not_believed(self, page, kind) -> None:
        reader = Chunks(lambda *_: page, marker="0", at=0, size=100, fills=False, final=False)
        with pytest.raises(NotCarriedError) as caught:
            list(reader)
        assert (caught.value.kind, caught.value.at) == (kind, 0)

    @pytest.mark.parametrize("marker", ["0", None, ""])
    def test_a_marker_that_would_begin_again_is_not_followed(self, marker) -> None:
        reader = Chunks(lambda *_: Page(b"a\n", marker, True), marker="0", at=0, size=100, fills=False, final=False)
        found = iter(reader)
        assert next(found).data == b"a\n"
        with pytest.raises(NotCarriedError, match="marker"):
            next(found)

    def test_a_throttle_is_the_callers(self) -> None:
        def ask(*_):
            raise TransientError("Throttling")

        with pytest.raises(TransientError):
            list(Chunks(ask, marker="0", at=0, size=1, fills=True, final=True))

    def test_binary_is_left_to_the_stream(self) -> None:
        with pytest.raises(NotCarriedError, match="binary"):
            list(chunks(Model(b"a\nb\0c\n")))

    def test_a_line_over_a_page_is_left_to_the_stream(self) -> None:
        with pytest.raises(NotCarriedError, match="truncated") as caught:
            list(chunks(Model(b"short\n" + b"x" * 300 + b"\n", page_bytes=100)))
        assert caught.value.at == 6

    @given(
        st.lists(st.sampled_from([b"plain\n", b"b\0d\n", b"\0\0two\0\n", b"y" * 150 + b"\n"]), max_size=12),
        st.booleans(),
    )
    def test_filled_places_have_their_length_and_a_mark(self, lines, last) -> None:
        data = b"".join(lines) + b"end\n" * last
        model = Model(data, page_bytes=100)
        pieces = list(chunks(model, fills=True))
        found, marks = b"".join(piece.data for piece in pieces), [mark for piece in pieces for mark in piece.marks]
        assert len(found) == len(data)
        expected = bytearray(data)
        for mark in marks:
            expected[mark.begin : mark.begin + mark.size] = b"?" * mark.size
        assert found == bytes(expected)
        assert bool(marks) == (b"\0" in data or any(len(line) > 100 for line in lines))

    @pytest.mark.parametrize("written", [b"", b"one\n", b"one\ntwo\n"])
    def test_a_record_that_is_still_written_is_left_for_the_next_run(self, written) -> None:
        model = Model(written + b"half")
        pieces = list(chunks(model, final=False))
        assert b"".join(piece.data for piece in pieces) == written
        assert [piece.marker for piece in pieces] == [f"9:{len(written)}"] * bool(written)
        assert b"".join(piece.data for piece in chunks(model, final=True)) == model.data

    @pytest.mark.parametrize("size", [300_000, 900_000, 2_500_000])
    @pytest.mark.parametrize("width", [80, 158, 240])
    def test_little_is_asked_for_twice_because_of_it(self, size, width) -> None:
        """The last pages of a growing file are small: the one that ends within a record is asked for once more."""
        model = Model((b"x" * (width - 1) + b"\n") * (size // width) + b"half")
        found = b"".join(piece.data for piece in chunks(model, final=False))
        assert found == model.data.removesuffix(b"half")
        assert model.served <= len(model.data) + 2**17
        assert len(model.asked) <= size // (7 * 2**17) + 5

    def test_a_line_that_is_not_whole_yet_is_waited_for(self) -> None:
        model = Model(b"x" * 300, page_bytes=100)
        with pytest.raises(NotCarriedError):
            list(chunks(model, fills=True, final=False))


class TestBoundaries:
    """Where records end."""

    @given(RECORDS, st.lists(st.integers(1, 60), max_size=8))
    def test_as_found_byte_by_byte(self, data, sizes) -> None:
        found, at, wanted = Boundaries(), 0, list(reference_boundaries(data))
        for size in [*sizes, len(data)]:
            part = data[at : at + size]
            end = found.feed(part)
            inside = [one for one in wanted if at < one <= at + len(part)]
            assert (at + end if end else None) == (inside[-1] if inside else None)
            at += len(part)

    def test_a_quote_that_stands_alone_is_overcome(self) -> None:
        record = b"1700000000000000,db,u,h,1,2,READ,shop,%s,\n"
        data = record % b"it's" + (record % b"orders") * (module.LOOKS_LIKE_RECORDS + 1)
        found = Boundaries().feed(data)
        assert found == len(data) - len(record % b"orders")
        assert Boundaries().feed(data[: 10 * len(record)]) in (0, None)

    def test_after_that_it_goes_on(self) -> None:
        record = b"1700000000000000,db,u,h,1,2,READ,shop,%s,\n"
        found = Boundaries()
        found.feed(record % b"it's" + (record % b"orders") * 70)
        more = b"1700000000000000,db,u,h,1,2,QUERY,shop,'a\nb',0\n1700"
        assert found.feed(more) == len(more) - 4

    def test_lines_within_a_statement_are_none(self) -> None:
        data = b"1700000000000000,db,u,h,1,2,QUERY,shop,'a\n1700000000000001,x,0\nb',0\n"
        assert Boundaries().feed(data[:-1]) == 0
        assert Boundaries().feed(data) == len(data)

    @given(st.lists(MIXED, min_size=1, max_size=30).map(b"".join), st.data())
    def test_the_end_of_a_query_is_a_boundary_wherever_one_begins_to_look(self, data, draw) -> None:
        begin = draw.draw(st.integers(0, len(data)))
        end = draw.draw(st.integers(begin, len(data)))
        wanted = set(reference_boundaries(data))
        found = module._end_of_query(data[begin:end])
        assert found == 0 or begin + found in wanted

    @given(st.lists(MIXED, max_size=60).map(b"".join), st.lists(st.integers(1, 3000), max_size=6))
    def test_of_every_kind_of_record(self, data, sizes) -> None:
        found, at, wanted = Boundaries(), 0, list(reference_boundaries(data))
        for size in [*sizes, len(data)]:
            part = data[at : at + size]
            end = found.feed(part)
            inside = [one for one in wanted if at < one <= at + len(part)]
            assert (at + end if end else None) == (inside[-1] if inside else None)
            at += len(part)

    def test_a_quote_that_stands_alone_is_forgotten_after_a_query(self) -> None:
        odd, query = b"1700000000000000,db,u,h,1,2,READ,shop,it's,\n", b"1700000000000000,db,u,h,1,2,QUERY,shop,'a',0\n"
        data = odd + query + b"1700000000000000,db,u,h,1,2,QUERY,shop,'open\n"
        assert Boundaries().feed(data) == len(odd + query)

    def test_quotes_before_the_last_query_are_not_counted(self, monkeypatch) -> None:
        counted, odd = [], module._odd
        monkeypatch.setattr(module, "_odd", lambda data: counted.append(len(data)) or odd(data))
        record = b"1700000000000000,db,u,h,1,2,QUERY,shop,'it\\'s \\\\ \\n',0\n"
        other = b"20261121 11:10:57,vm,app,127.0.0.1,7,18,READ,d1,t1,\n" * 100
        assert Boundaries().feed(record * 1000 + other) == 1000 * len(record) + len(other)
        assert sum(counted) <= len(other)

    def test_statements_over_many_lines_are_given_up_soon(self) -> None:
        data = b"1700000000000000,db,u,h,1,2,QUERY,shop,'" + b"\\'a\\'\n" * 10_000
        assert module._end_of_query(b"x\n" + data) == 0
        assert module._end_of_query(b"x\n1700000000000000,db,u,h,1,2,QUERY,shop,'a',0\n" + data) == 0
        assert Boundaries().feed(data + b"',0\n") == len(data) + 4


class TestAssembly:
    """Objects made of pieces."""

    def unpacked(self, packed, compression) -> bytes:
        body = packed.body.read()
        assert len(body) == packed.stored_bytes
        if compression == "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
        return zlib.decompress(body, 31) if compression == "gzip" else body

    def objects(self, assembly: Assembly, data: bytes, sizes: list[int], *, whole: bool) -> list:
        found, at = [], 0
        for size in [*sizes, len(data)]:
            found += assembly.feed(Piece(data[at : at + size], f"9:{min(assembly.at + size, len(data))}"))
            at += size
            if at >= len(data):
                break
        last = assembly.finish(whole=whole)
        return [*found, last] if last else found

    @given(RECORDS, st.lists(st.integers(1, 90), max_size=12), st.booleans(), st.sampled_from(["zstd", "gzip", "none"]))
    def test_objects_are_the_bytes_up_to_a_boundary(self, data, sizes, whole, compression) -> None:
        found = self.objects(Assembly(0, compression, 100), data, sizes, whole=whole)
        contents = [self.unpacked(one, compression) for one in found]
        wanted = {0, *reference_boundaries(data)}
        joined = b"".join(contents)
        assert joined == data[: max(wanted)] if not whole else joined == data
        at = 0
        for one, content in zip(found, contents, strict=True):
            assert (one.begin, one.end) == (at, at + len(content))
            assert one.sha256 == hashlib.sha256(content).hexdigest()
            assert one.marker_at <= one.end
            at = one.end
            assert one.end in wanted or (whole and one is found[-1])

    @given(RECORDS.filter(lambda data: data.count(b"\n") > 3), st.lists(st.integers(1, 90), max_size=12), st.data())
    def test_a_retry_ends_its_first_object_where_the_first_try_did(self, data, sizes, draw) -> None:
        cut = draw.draw(st.sampled_from(list(reference_boundaries(data))))
        found = self.objects(Assembly(0, "none", 2**20, cut_at=cut), data, sizes, whole=False)
        assert (found[0].begin, found[0].end) == (0, cut)
        assert b"".join(one.body.read() for one in found) == data

    def test_less_than_was_begun_is_no_object(self) -> None:
        assembly = Assembly(0, "none", 100, cut_at=8)
        assert self.objects(assembly, b"abc\n", [], whole=True) == []

    def test_marks_are_in_the_object_that_has_their_bytes(self) -> None:
        assembly = Assembly(0, "none", 4)
        first, second = Mark("binary", 1, 1), Mark("binary", 5, 1)
        found = [*assembly.feed(Piece(b"a?c\n", None, (first,))), *assembly.feed(Piece(b"a?c\n", None, (second,)))]
        assert [one.marks for one in found] == [(first,), (second,)]

    def test_a_long_object_waits_on_disk(self) -> None:
        assembly = Assembly(0, "none", 2**30)
        for _ in range(6):
            list(assembly.feed(Piece(b"x" * (2**20 - 1) + b"\n")))
        packed = assembly.finish(whole=True)
        assert packed.body._rolled
        assert packed.end == 6 * 2**20


class TestPrefix:
    """What is stored is proven before anything is appended."""

    @given(st.binary(min_size=1, max_size=60), st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(1, 30))
    def test_the_same_passes_and_anything_else_does_not(self, data, ends, step) -> None:
        cuts = sorted({min(sum(ends[: n + 1]), len(data)) for n in range(len(ends))})
        stretches = [
            Stretch(begin, end, hashlib.sha256(data[begin:end]).hexdigest())
            for begin, end in zip([0, *cuts], cuts, strict=False)
        ]
        good = Prefix(stretches, "f")
        for at in range(0, len(data), step):
            good.feed(data[at : at + step])
        spoilt = bytes([data[0] ^ 1]) + data[1:]
        with pytest.raises(StateError, match="other content"):
            Prefix(stretches, "f").feed(spoilt)

    def test_what_chunks_could_not_carry_proves_nothing(self) -> None:
        Prefix([Stretch(0, 3, None), Stretch(3, 4, hashlib.sha256(b"d").hexdigest())], "f").feed(b"xyzd")


def test_the_chain_depends_on_everything_before() -> None:
    assert link(FIRST, 0, 5, "ab") == hashlib.sha256(("0" * 64 + ":0:5:ab").encode()).hexdigest()
    assert (
        len({link(FIRST, 0, 5, "ab"), link(FIRST, 0, 6, "ab"), link(FIRST, 1, 5, "ab"), link("1" * 64, 0, 5, "ab")})
        == 4
    )
