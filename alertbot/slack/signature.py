"""Slack's HTTP mode: only what Slack signed reaches Bolt, and only where it can be read.

Bolt reads a body before it looks whose it is, and fails over one that is broken, or over a time stamp that is no number.
"""

import io
import json
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import parse_qs

import structlog
from slack_bolt import App
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk.signature import SignatureVerifier

log = structlog.get_logger()
_Environ = dict[str, Any]
_Respond = Callable[[str, list[tuple[str, str]]], Any]
Wsgi = Callable[[_Environ, _Respond], Iterable[bytes]]
_MOST_DIGITS = 12  # of a time stamp; Python refuses to read numbers of thousands of digits


def verify_signature(app: App, *, signing_secret: str) -> Wsgi:
    """A WSGI application that hands Slack's deliveries to the Bolt app, and answers everybody else with 401."""
    verifier = SignatureVerifier(signing_secret)
    bolt = cast("Wsgi", SlackRequestHandler(app))

    def answer(environ: _Environ, respond: _Respond) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if b"ssl_check=1" in body.split(b"&"):  # not signed: Slack looks at our certificate
            return _text(respond, "200 OK", "")
        if not _is_signed(verifier, environ, body):
            log.warning("delivery_refused", why="not signed by Slack, or too old")
            return _text(respond, "401 Unauthorized", "not signed by Slack, or too old\n")
        try:
            _require_object(environ, body)
            return bolt({**environ, "wsgi.input": io.BytesIO(body)}, respond)
        except (ValueError, RecursionError, TypeError, AttributeError, LookupError) as error:
            log.warning("delivery_unreadable", why=type(error).__name__)
            return _text(respond, "400 Bad Request", "expected a request from Slack\n")

    return answer


def _is_signed(verifier: SignatureVerifier, environ: _Environ, body: bytes) -> bool:
    stamp = str(environ.get("HTTP_X_SLACK_REQUEST_TIMESTAMP", ""))
    signature = str(environ.get("HTTP_X_SLACK_SIGNATURE", ""))
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= _MOST_DIGITS and signature.isascii()):
        return False
    try:
        return verifier.is_valid(body, stamp, signature)
    except UnicodeDecodeError:  # what Slack sends is UTF-8
        return False


def _require_object(environ: _Environ, body: bytes) -> None:
    """Raise ValueError where the body, or the JSON in its form, is not what Slack sends."""
    text = body.decode()
    if environ.get("CONTENT_TYPE", "").startswith("application/json"):
        payloads = [text]
    else:
        payloads = parse_qs(text, keep_blank_values=True).get("payload", [])
    if not all(isinstance(json.loads(payload), dict) for payload in payloads):
        raise ValueError("expected an object")


def _text(respond: _Respond, status: str, text: str) -> list[bytes]:
    body = text.encode()
    respond(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
