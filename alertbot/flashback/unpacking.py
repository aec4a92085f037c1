"""Unpacks a body step by step, so that its size and the time it takes are looked at before the memory is spent.

Gzip makes 1,000 bytes of one, and gzip within gzip a million: whoever unpacks first and measures afterwards has lost. So
there is one coding at most, and it is unpacked in small steps.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator

_STEP = 64 * 1024  # bytes that are unpacked before size and time are looked at again
_GZIP = zlib.MAX_WBITS | 16  # zlib's way to say that a gzip header comes first
ACCEPTED = "gzip"  # the header Accept-Encoding of our requests


class UnknownCoding(Exception):
    """The body is packed in a way that we did not ask for, or more than once."""


class NotPacked(Exception):
    """The body is not gzip, though its header says so, or it breaks off."""


class TooLarge(Exception):
    """The body is larger than its limit."""


class TooSlow(Exception):
    """The time was over before all of the body was unpacked."""


def unpack(
    chunks: Iterable[bytes], content_encoding: str, *, largest: int, has_time: Callable[[], bool] = lambda: True
) -> bytes:
    """The whole body, of `largest` bytes at most. `has_time` is asked at each step.

    Raises UnknownCoding, NotPacked, TooLarge or TooSlow, and takes no further chunk then.
    """
    body = bytearray()
    for step in _steps(chunks, content_encoding.strip().lower()):
        if len(body) + len(step) > largest:
            raise TooLarge
        if not has_time():
            raise TooSlow
        body += step
    return bytes(body)


def _steps(chunks: Iterable[bytes], coding: str) -> Iterable[bytes]:
    if coding in {"", "identity"}:
        return chunks
    if coding in {"gzip", "x-gzip"}:
        return _unzipped(chunks)
    raise UnknownCoding


def _unzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    unzip = zlib.decompressobj(_GZIP)
    try:
        for chunk in chunks:
            packed = chunk
            while packed and not unzip.eof:
                yield unzip.decompress(packed, _STEP)
                packed = unzip.unconsumed_tail
            if packed or unzip.unused_data:
                raise NotPacked
        while not unzip.eof and (rest := unzip.decompress(b"", _STEP)):
            yield rest
    except zlib.error as error:
        raise NotPacked from error
    if not unzip.eof:
        raise NotPacked
