import gzip
import re
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpcore
import httpx
import pytest

from alertbot.errors import (
    ConfigError,
    FlashbackUnavailable,
    FlashbackUnreadable,
)
from alertbot.flashback import wire
from alertbot.flashback.client import FlashbackClient
from alertbot.flashback.wire import in_words
from tests.flashback.conftest import NOON, SECOND, TOKEN
from tests.flashback.scripted_server import (
    Step,
    answer,
    drip_body,
    drip_head,
    json_body,
    silence,
)

NO_STATS = json_body({"success": True, "stats": []})


@pytest.mark.usefixtures("no_pauses")
def test_a_port_where_nobody_listens_is_named_as_such(client):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        with pytest.raises(FlashbackUnavailable) as caught:
            client(f"http://127.0.0.1:{taken.getsockname()[1]}").totals()
    assert str(caught.value) == "connection refused"


def test_a_host_that_does_not_exist_is_named_as_such():
    """The chain of causes is as it was seen with a name that does not exist."""
    error = httpx.ConnectError("[Errno -2] …")
    error.__cause__ = httpcore.ConnectError(socket.gaierror(-2, "Name or service not known"))
    assert in_words(error) == "the host name cannot be looked up"


@pytest.mark.usefixtures("no_pauses")
def test_a_server_without_tls_is_named_as_such(server, client):
    server.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with pytest.raises(FlashbackUnavailable) as caught:
        client(server.url.replace("http:", "https:")).totals()
    assert re.fullmatch(r"no secure connection \([a-z ]+\)", str(caught.value))


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        (18, "self-signed certificate", "certificate not trusted (self-signed certificate)"),
        (10, "certificate has expired", "certificate not trusted (certificate has expired)"),
        (62, "Hostname mismatch, …", "certificate not trusted (it was made for another host name)"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_named_with_its_reason(code: int, reason: str, message: str):
    """Where the chain of causes is as it was seen with real certificates."""
    certificate_error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] …")
    certificate_error.verify_code = code
    certificate_error.verify_message = reason
    error = httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] …")
    error.__cause__ = httpcore.ConnectError(certificate_error)
    assert in_words(error) == message


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (silence, "no answer within 0.2 s"),
        (drip_head(every=0.02), "no answer within 0.2 s"),
        (drip_body(b'{"success": true, "stats": []}' + b" " * 1000, every=0.02), "no complete answer within 0.2 s"),
    ],
    ids=["silence", "head", "body"],
)
def test_a_request_ends_in_time_even_if_the_server_sends_a_byte_now_and_then(server, client, step: Step, message: str):
    server.will(step)
    began = time.monotonic()
    # A budget that leaves no time for a second attempt.
    with pytest.raises(FlashbackUnavailable) as caught:
        client(timeout=timedelta(seconds=0.2), budget=timedelta(seconds=0.21)).totals()
    assert str(caught.value) == message
    assert time.monotonic() - began < 5  # all of the body would take twenty
    assert len(server.requests) == 1


@pytest.mark.usefixtures("no_pauses")
def test_a_server_that_accepts_no_connection_in_time_is_named_as_such(client):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address), pytest.raises(FlashbackUnavailable) as caught:
            client(f"http://127.0.0.1:{address[1]}", timeout=timedelta(seconds=0.1)).totals()
    assert str(caught.value) == "no connection within 0.1 s"


def test_a_body_that_is_too_large_is_not_read_to_its_end(server, client):
    server.will(answer(200, b"[" + b" " * (3 * 1024 * 1024)))
    with pytest.raises(FlashbackUnreadable) as caught:
        client(largest_body=2 * 1024 * 1024).totals()
    assert str(caught.value) == "the answer is larger than 2 MiB"


def test_a_small_body_that_unpacks_to_a_large_one_is_too_large(server, client):
    server.will(answer(200, gzip.compress(b" " * (3 * 1024 * 1024)), content_encoding="gzip"))
    with pytest.raises(FlashbackUnreadable):
        client(largest_body=2 * 1024 * 1024).totals()


def test_one_connection_serves_many_requests(server, client):
    server.will(NO_STATS)
    asking = client()
    for _ in range(5):
        asking.totals()
    assert (len(server.requests), server.connections) == (5, 1)


def test_threads_share_as_many_connections_as_are_allowed(server, client):
    together = threading.Barrier(3)

    def meet(line: Any) -> None:
        together.wait(timeout=60)
        NO_STATS(line)

    server.will(meet)
    asking = client(concurrency=3, timeout=timedelta(seconds=5))
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(asking.totals_of, map(str, range(12))))
    assert len(server.requests) == 12
    assert server.connections == 3


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "backend.example",
        "ftp://backend.example",
        "https://",
        "https://me:hunter2hunter2@backend.example",
        "https://backend.example?key=hunter2hunter2",
        "https://backend.example#hunter2hunter2",
        "https://backend.example:hunter2hunter2",
        "https://backend.example:99999",
        f"https://{'a' * 70}.example",
    ],
)
def test_a_base_url_that_cannot_work_is_a_mistake_of_the_configuration(base_url: str):
    with pytest.raises(ConfigError) as caught:
        FlashbackClient(base_url, access_token=lambda: TOKEN, timeout=SECOND, now=lambda: NOON)
    (line,) = caught.value.lines
    assert line.startswith("base_url: expected an address ")
    assert "hunter2" not in line


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), ("", "it holds no certificate"), ("no PEM", "it holds no certificate")],
    ids=["no file", "an empty one", "no certificate"],
)
def test_certificates_that_cannot_be_used_are_a_mistake_of_the_configuration(
    client, environment, tmp_path, content: str | None, reason: str
):
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_text(content)
    environment.setenv("SSL_CERT_FILE", str(path))
    wire._trusted_certificates.cache_clear()
    with pytest.raises(ConfigError) as caught:
        client("https://flashback.example")
    assert caught.value.lines == [f'SSL_CERT_FILE: expected a file of certificates in PEM form, got "{path}": {reason}']


def test_the_proxy_of_the_environment_is_used(server, client, environment):
    server.will(NO_STATS)
    environment.setenv("HTTP_PROXY", server.url)
    client("http://backend.example/prefix").totals()
    assert server.requests[0].headers["host"] == "backend.example"


def test_a_host_that_the_environment_excepts_is_reached_without_proxy(server, client, environment):
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    environment.setenv("NO_PROXY", "elsewhere.example,0.0.0.0")  # this machine, by an address that is not loopback
    server.will(NO_STATS)
    client(server.url.replace("127.0.0.1", "0.0.0.0")).totals()
    assert len(server.requests) == 1


def test_a_network_that_the_environment_excepts_is_reached_without_proxy(server, client, environment):
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    environment.setenv("NO_PROXY", "10.0.0.0/8, 0.0.0.0/30")
    server.will(NO_STATS)
    client(server.url.replace("127.0.0.1", "0.0.0.0")).totals()
    assert len(server.requests) == 1


def test_loopback_is_reached_without_proxy(server, client, environment):
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.will(NO_STATS)
    client().totals()
    client(server.url.replace("127.0.0.1", "localhost")).totals()
    assert len(server.requests) == 2


@pytest.mark.parametrize("proxy", ["socks5://me:hunter2@proxy:1080", "http://", "gopher://proxy"])
def test_a_proxy_that_cannot_be_used_is_a_mistake_of_the_configuration(client, environment, proxy: str):
    environment.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigError) as caught:
        client("https://backend.example")
    assert caught.value.lines == ["HTTPS_PROXY: expected an address such as http://proxy:3128"]


@pytest.mark.usefixtures("no_pauses")
def test_a_proxy_that_refuses_is_named_as_such(server, client, environment):
    environment.setenv("HTTPS_PROXY", server.url)
    server.will(answer(407))
    with pytest.raises(FlashbackUnavailable) as caught:
        client("https://backend.example").totals()
    assert str(caught.value) == ("the proxy did not let the request through (407 Proxy Authentication Required)")
