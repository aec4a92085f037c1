"""What goes through a proxy, and what must not: a token must not reach a proxy on its way into an excepted network."""

import urllib.request

import pytest

from alertbot.errors import ConfigError
from alertbot.proxies import ProxyHandler, proxy_for

PROXY = "http://proxy:3128"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


EXCEPTED = {
    "an address in a network": ("10.0.0.0/8", "https://10.1.2.3/x"),
    "an address in a network, with a port": ("10.0.0.0/8", "https://10.1.2.3:8443/x"),
    "an address in one of several networks": ("a.example, 172.16.0.0/12,10.0.0.0/8", "https://10.1.2.3"),
    "networks with blanks between": ("172.16.0.0/12 10.0.0.0/8", "https://10.1.2.3"),
    "a network that is written by one of its addresses": ("10.1.2.99/24", "https://10.1.2.3"),
    "an address alone": ("10.1.2.3", "https://10.1.2.3"),
    "an address of six": ("fd00::/8", "https://[fd12::1]:8443"),
    "an address of six in brackets": ("[fd12::1]", "https://[fd12::1]"),
    "an address of four written as one of six": ("10.0.0.0/8", "https://[::ffff:10.1.2.3]"),
    "a name": ("backend.example", "https://backend.example"),
    "a domain": (".example", "https://backend.example"),
    "a name with its port": ("backend.example:8443", "https://backend.example:8443"),
    "everything": ("*", "https://backend.example"),
    "a web socket": ("10.0.0.0/8", "wss://10.1.2.3/link"),
    "loopback, whatever is excepted": ("", "http://127.0.0.1:8080"),
    "loopback of six": ("", "http://[::1]:8080"),
    "loopback by name": ("", "http://localhost:8080"),
}


@pytest.mark.parametrize(("no_proxy", "url"), EXCEPTED.values(), ids=EXCEPTED.keys())
def test_what_is_excepted_goes_through_no_proxy(environment, no_proxy: str, url: str):
    environment.setenv("HTTPS_PROXY", PROXY)
    environment.setenv("HTTP_PROXY", PROXY)
    environment.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url) is None
    request = urllib.request.Request(url.replace("wss:", "https:"))
    ProxyHandler().proxy_open(request, PROXY, "https")
    assert not request.has_proxy()
    assert "proxy" not in request.host


THROUGH = {
    "an address outside of the network": ("10.0.0.0/8", "https://11.1.2.3"),
    "a name, whatever its address": ("10.0.0.0/8", "https://backend.example"),
    "a network that makes no sense": ("10.0.0.0/99", "https://10.1.2.3"),
    "a name that only ends alike": ("example.com", "https://notexample.com"),
    "nothing excepted": ("", "https://backend.example"),
    "a web socket": ("", "wss://wss-primary.slack.com/link"),
}


@pytest.mark.parametrize(("no_proxy", "url"), THROUGH.values(), ids=THROUGH.keys())
def test_everything_else_goes_through_the_proxy(environment, no_proxy: str, url: str):
    environment.setenv("HTTPS_PROXY", "proxy:3128")
    environment.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url) == PROXY
    request = urllib.request.Request(url.replace("wss:", "https:"))
    ProxyHandler().proxy_open(request, PROXY, "https")
    assert request.host == "proxy:3128"


def test_one_proxy_for_all_is_used_where_none_is_named_for_the_scheme(environment):
    environment.setenv("ALL_PROXY", PROXY)
    environment.setenv("HTTP_PROXY", "http://other:3128")
    assert (proxy_for("https://a.example"), proxy_for("http://a.example")) == (PROXY, "http://other:3128")


def test_a_proxy_that_cannot_be_used_is_a_mistake_that_shows_no_password(environment):
    environment.setenv("ALL_PROXY", "socks5://me:hunter2@proxy:1080")
    with pytest.raises(ConfigError) as caught:
        proxy_for("https://a.example")
    assert caught.value.lines == ["ALL_PROXY: expected an address such as http://proxy:3128"]
