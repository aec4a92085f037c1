"""Through which proxy a request goes: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, for everything that leaves the house.

NO_PROXY may hold networks (10.0.0.0/8), as curl and Go read it. The standard library compares names only, so it would hand
what is meant for such a network, with the token in it, to the proxy.
"""

import http.client
import ipaddress
import re
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

from alertbot.errors import ConfigError, Mistake

_SEPARATORS = re.compile(r"[,\s]+")
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}


def proxy_for(url: str) -> str | None:
    """The proxy's address for a request to `url`; None where it goes straight there. Raises ConfigError."""
    parts = urlsplit(url)
    proxy = _proxies().get(_HTTP_SCHEMES.get(parts.scheme, parts.scheme))
    return None if proxy is None or _is_excepted(parts.netloc.rpartition("@")[2]) else proxy


class ProxyHandler(urllib.request.ProxyHandler):
    """Makes urllib, and with it the Slack SDK, go the same ways. Raises ConfigError."""

    def __init__(self) -> None:
        super().__init__(_proxies())

    def proxy_open(self, req: urllib.request.Request, proxy: str, type: str) -> http.client.HTTPResponse | None:  # noqa: A002 — named so by the library
        return None if _is_excepted(req.host or "") else super().proxy_open(req, proxy, type)


def _proxies() -> dict[str, str]:
    variables = urllib.request.getproxies()
    return {scheme: proxy for scheme in ("http", "https") if (proxy := _checked(scheme, variables))}


def _checked(scheme: str, variables: Mapping[str, str]) -> str | None:
    address = variables.get(scheme) or variables.get("all")
    if not address:
        return None
    address = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(address)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:  # without its cause, which quotes the address and a password with it
        name = f"{scheme.upper()}_PROXY" if variables.get(scheme) else "ALL_PROXY"
        raise ConfigError(Mistake(name, "expected an address such as http://proxy:3128")) from None
    return address


def _is_excepted(netloc: str) -> bool:
    """Whether a host, with or without its port, is reached without proxy: loopback always, others by NO_PROXY."""
    host = urlsplit(f"//{netloc}").hostname or ""
    entries = _SEPARATORS.split(urllib.request.getproxies().get("no", ""))
    return (
        is_loopback(host)
        or any(is_in_network(host, entry) for entry in entries)
        or bool(urllib.request.proxy_bypass(netloc))
    )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_in_network(host: str, network: str) -> bool:
    """Whether a host is an address in a network such as 10.0.0.0/8, or that very address. A name is in no network."""
    try:
        address = ipaddress.ip_address(host)
        mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:10.1.2.3 leads to 10.1.2.3
        return (mapped or address) in ipaddress.ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False
