"""Tells a watcher outside, such as a dead man's switch, that a cycle polled, evaluated and drained."""

import http.client
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import structlog

from alertbot.punctual import open_url

log = structlog.get_logger()
_TIMEOUT = 10.0  # seconds for all of it


class Heartbeat:
    """Pings one URL; a failure is logged when it begins, for the watcher will miss the ping by itself.

    The URL may be a secret, so no text holds more of it than its host.
    """

    def __init__(self, url: str, *, timeout: float = _TIMEOUT) -> None:
        self._url = url
        self._timeout = timeout
        self._error = ""

    def ping(self) -> None:
        """Ask the URL once."""
        error = self._ask()
        if error and error != self._error:
            log.warning("heartbeat_failed", host=urlsplit(self._url).hostname, error=error)
        elif self._error and not error:
            log.info("heartbeat_works", host=urlsplit(self._url).hostname)
        self._error = error

    def _ask(self) -> str:
        """What went wrong; empty where nothing did."""
        request = urllib.request.Request(self._url, headers={"User-Agent": "alertbot"})  # noqa: S310 — the config takes http(s) only
        try:
            with open_url(request, timeout=self._timeout) as answer:
                answer.read(1024)
        except urllib.error.HTTPError as error:
            error.close()
            return f"HTTP {error.code}"
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            return "no complete answer in time" if isinstance(reason, TimeoutError) else type(reason).__name__
        except http.client.HTTPException:
            return "the answer is no HTTP"
        return ""
