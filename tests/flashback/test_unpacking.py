"""What a server sends is measured while it is unpacked: a small answer cannot become a large one in memory."""

import gzip
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest

from alertbot.errors import FlashbackUnreadable
from alertbot.flashback.payloads import MOST_VALUES, parse_stats
from alertbot.flashback.unpacking import NotPacked, TooLarge, TooSlow, UnknownCoding, unpack
from tests.flashback.scripted_server import answer

MEBIBYTE = 1024 * 1024
BOMB = gzip.compress(bytes(64 * MEBIBYTE))  # 64 KB


def in_chunks(body: bytes, size: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_what_was_packed_comes_out_whole_however_it_was_cut(size: int) -> None:
    body = b"".join(b"%d" % number for number in range(100_000))
    assert unpack(in_chunks(gzip.compress(body), size), "gzip", largest=MEBIBYTE) == body
    assert unpack(in_chunks(body, size), "", largest=MEBIBYTE) == body


def test_a_bomb_is_given_up_at_the_limit_and_not_after_it() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpack([BOMB], "gzip", largest=2 * MEBIBYTE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * MEBIBYTE, "the limit, and not what the bomb would be"


def test_nothing_more_is_taken_from_the_server_once_the_limit_is_passed() -> None:
    taken: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(1000):
            taken.append(number)
            yield bytes(1000)

    with pytest.raises(TooLarge):
        unpack(chunks(), "", largest=10_000)
    assert len(taken) == 11


def test_time_is_looked_at_while_one_chunk_is_unpacked() -> None:
    looks = iter([True, True, True, False])
    with pytest.raises(TooSlow):
        unpack([BOMB], "gzip", largest=100 * MEBIBYTE, has_time=lambda: next(looks))


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,gzip", "br", "deflate", "zstd", "gzip, identity"])
def test_no_other_coding_than_one_gzip_is_unpacked(coding: str) -> None:
    with pytest.raises(UnknownCoding):
        unpack([gzip.compress(b"{}")], coding, largest=MEBIBYTE)


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"{}")[:-1],
        gzip.compress(b"{}")[:5],
        b"",
        b"{}",
        zlib.compress(b"{}"),
        gzip.compress(b"{}") + b"x",
    ],
    ids=["without its end", "a beginning", "nothing", "not packed", "packed otherwise", "more than was packed"],
)
def test_what_is_not_one_whole_gzip_is_named_as_such(body: bytes) -> None:
    with pytest.raises(NotPacked):
        unpack(in_chunks(body), "gzip", largest=MEBIBYTE)


def test_a_bomb_within_a_bomb_is_refused_with_one_clear_line(server, client) -> None:
    server.will(answer(200, gzip.compress(BOMB), content_encoding="gzip, gzip"))
    with pytest.raises(FlashbackUnreadable) as caught:
        client().totals()
    assert str(caught.value) == 'Content-Encoding: expected none or one gzip, got "gzip, gzip"'
    assert server.requests[0].headers["accept-encoding"] == "gzip", "nothing else is asked for"


def test_a_list_of_millions_of_values_is_refused_before_any_of_them_is_built() -> None:
    body = b'{"stats": [' + b"{}," * 5_000_000 + b"{}]}"
    tracemalloc.start()
    try:
        with pytest.raises(FlashbackUnreadable, match=f"^answer: expected at most {MOST_VALUES:,} values, got more$"):
            parse_stats(body, endpoint="/ai/llm/stats")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEBIBYTE
