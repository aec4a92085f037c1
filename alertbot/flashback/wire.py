"""One request over the wire: it ends by its deadline whatever the server does, and its body stays below a limit.

httpx's time-outs hold for one `recv` each, so a server that sends a byte now and then keeps a request alive for hours, in
its headers as well as in its body. Here the time-out that travels with a request is a `Deadline`, which httpcore passes on
untouched to the network stream, and the stream asks it before each read how much is left. (Only the system's own look-up
of a host name is out of reach; it has a limit of its own.)
"""

import functools
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import httpcore
import httpx

from alertbot.errors import ConfigError, FlashbackUnavailable, FlashbackUnreadable, Mistake
from alertbot.flashback.payloads import one_line
from alertbot.flashback.unpacking import ACCEPTED, NotPacked, TooLarge, TooSlow, UnknownCoding, unpack
from alertbot.proxies import proxy_for

_MEBIBYTE = 1024 * 1024
_WRONG_NAME_IN_CERTIFICATE = {62, 64}  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH

_WORDS_FOR_SYSTEM: Mapping[type[OSError], str] = {
    socket.gaierror: "the host name cannot be looked up",
    ConnectionRefusedError: "connection refused",
    ConnectionResetError: "connection reset by the server",
    BrokenPipeError: "connection reset by the server",
}
# The second half is a part of what h11, httpcore and httpx say; the first that fits is taken.
_WORDS_FOR_PROTOCOL: Mapping[tuple[type[httpx.RequestError], str], str] = {
    (httpx.RemoteProtocolError, "disconnected without"): "the server closed the connection without an answer",
    (httpx.RemoteProtocolError, "peer closed"): "the answer was cut off",
    (httpx.RemoteProtocolError, "in location header"): "the server redirects to an unreadable address",
    (httpx.RemoteProtocolError, ""): "the answer is no HTTP",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent, complete and unpacked, whatever its status."""

    status: int
    reason: str
    headers: Mapping[str, str]  # without regard to upper and lower case
    body: bytes


class Deadline(float):
    """The seconds that a whole request may take, as a time-out that knows how many of them are left."""

    _monotonic: Callable[[], float]
    _ends_at: float

    def __new__(cls, seconds: float, monotonic: Callable[[], float]) -> Self:
        deadline = super().__new__(cls, seconds)
        deadline._monotonic = monotonic
        deadline._ends_at = monotonic() + seconds
        return deadline

    @property
    def left(self) -> float:
        return self._ends_at - self._monotonic()


class Wire:
    """Connections to one server, kept open and shared by threads.

    Proxies are those of the environment, see proxies.py. SSL_CERT_FILE and SSL_CERT_DIR replace the trusted certificates.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        connections: int,
        largest_body: int,
        monotonic: Callable[[], float],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        # At INFO and DEBUG these two print whole addresses and headers.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        url = _checked(base_url)
        transport = httpx.HTTPTransport(
            verify=_trusted_certificates() if tls is None else tls,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            proxy=proxy_for(str(url)),
        )
        # httpcore takes a backend as an argument, but httpx does not hand one on.
        transport._pool._network_backend = _PunctualBackend()  # noqa: SLF001
        self._client = httpx.Client(
            base_url=url,
            headers={"Accept-Encoding": ACCEPTED, **headers},
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )
        self._largest_body = largest_body
        self._monotonic = monotonic

    def get(self, endpoint: str, *, query: Mapping[str, str], headers: Mapping[str, str], seconds: float) -> Answer:
        """The server's answer; FlashbackUnavailable if it is not complete within `seconds`."""
        return self._send("GET", endpoint, seconds=seconds, params=dict(query), headers=dict(headers))

    def post(self, endpoint: str, *, body: Mapping[str, str], seconds: float) -> Answer:
        """The server's answer to a JSON object; FlashbackUnavailable if it is not complete within `seconds`."""
        return self._send("POST", endpoint, seconds=seconds, json=dict(body))

    def _send(self, method: str, endpoint: str, *, seconds: float, **content: Any) -> Answer:
        deadline = Deadline(seconds, self._monotonic)
        status = None
        try:
            with self._client.stream(method, endpoint, timeout=httpx.Timeout(deadline), **content) as response:
                status = response.status_code
                body = self._body(response, endpoint, deadline)
                return Answer(status, response.reason_phrase, response.headers, body)
        except httpx.TimeoutException as error:
            text = f"{_what_was_missing(error, status)} within {max(round(seconds, 1), 0.1):g} s"
            raise FlashbackUnavailable(text, endpoint=endpoint) from error
        except httpx.RequestError as error:
            # Of a breach of the protocol h11 quotes what the server sent, which may be our own token.
            cause = None if isinstance(error, httpx.ProtocolError) else error
            detail = f" ({one_line(str(error), 100)})" if isinstance(error, httpx.ProxyError) else ""
            raise FlashbackUnavailable(in_words(error), endpoint=endpoint, detail=detail) from cause

    def close(self) -> None:
        self._client.close()

    def _body(self, response: httpx.Response, endpoint: str, deadline: Deadline) -> bytes:
        coding = response.headers.get("content-encoding", "")
        try:
            return unpack(response.iter_raw(), coding, largest=self._largest_body, has_time=lambda: deadline.left > 0)
        except TooLarge:
            limit = f"{self._largest_body / _MEBIBYTE:g} MiB"
            raise FlashbackUnreadable(f"the answer is larger than {limit}", endpoint=endpoint) from None
        except UnknownCoding:
            text = f'Content-Encoding: expected none or one gzip, got "{one_line(coding, 60)}"'
            raise FlashbackUnreadable(text, endpoint=endpoint) from None
        except NotPacked as error:
            raise FlashbackUnavailable("the answer cannot be decompressed", endpoint=endpoint) from error
        except TooSlow as error:
            raise httpx.ReadTimeout("unpacking the answer took too long") from error


class _PunctualStream(httpcore.NetworkStream):
    """A network stream that looks at the request's deadline before each step."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _PunctualStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


class _PunctualBackend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _PunctualStream(super().connect_tcp(host, port, left, local_address, socket_options))


def _left(timeout: float | None, too_late: type[Exception]) -> float | None:
    if not isinstance(timeout, Deadline):
        return timeout
    left = timeout.left
    if left <= 0:
        raise too_late
    return left


@functools.cache
def _trusted_certificates() -> ssl.SSLContext:
    """One for all sources: it takes 18 ms to build and half a megabyte to keep. Raises ConfigError for a bad SSL_CERT_FILE."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        path = os.environ.get("SSL_CERT_FILE", "")
        raise ConfigError(
            Mistake("SSL_CERT_FILE", f'expected a file of certificates in PEM form, got "{path}": {reason}')
        ) from error


def _checked(base_url: str) -> httpx.URL:
    """The address as httpx takes it. The mistakes do not repeat it: a password may stand in it."""
    try:
        url = httpx.URL(base_url.strip())
        url.host.encode("idna")  # what the look-up of the name will do, too late for a clear message
        port_exists = (url.port or 443) < 65536
    except (httpx.InvalidURL, UnicodeError):
        port_exists = False
    if not port_exists:
        raise ConfigError(Mistake("base_url", "expected an address such as https://backend.flashback.tech")) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(Mistake("base_url", "expected an address that begins with https:// or http:// and a host"))
    if url.userinfo or url.query or url.fragment:
        raise ConfigError(Mistake("base_url", "expected an address without user, password, query (?) and fragment (#)"))
    return url


def _what_was_missing(error: httpx.TimeoutException, status: int | None) -> str:
    if isinstance(error, httpx.PoolTimeout):
        return "none of the connections to the server became free"
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection"
    return "no answer" if status is None else "no complete answer"


def in_words(error: httpx.RequestError) -> str:
    """What went wrong on the way, for a person who has to mend it."""
    cause = _system_error(error)
    if isinstance(cause, ssl.SSLError):
        return _tls_in_words(cause)
    for kind, words in _WORDS_FOR_SYSTEM.items():
        if isinstance(cause, kind):
            return words
    if cause is not None:
        return f"no connection ({(cause.strerror or 'unknown reason').lower()})"
    if isinstance(error, httpx.ProxyError):
        return "the proxy did not let the request through"
    for (protocol_kind, part), words in _WORDS_FOR_PROTOCOL.items():
        if isinstance(error, protocol_kind) and part in str(error):
            return words
    return "the connection broke off"


def _tls_in_words(error: ssl.SSLError) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"no secure connection ({(error.reason or 'TLS failed').replace('_', ' ').lower()})"
    if error.verify_code in _WRONG_NAME_IN_CERTIFICATE:
        return "certificate not trusted (it was made for another host name)"
    return f"certificate not trusted ({error.verify_message})"


def _system_error(error: httpx.RequestError) -> OSError | None:
    """What the operating system or TLS said: httpx raises from httpcore's error, which carries it as its argument."""
    inner = error.__cause__
    cause = inner.args[0] if inner is not None and inner.args else None
    return cause if isinstance(cause, OSError) else None
