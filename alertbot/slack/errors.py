"""What each way of failing means: Slack's error codes and the transport's exceptions, in one table.

Codes: Slack's reference of Web API methods and errors, as of 2026-08. A code that is not here is treated as our own
mistake: the same payload is not sent again.
"""

import http.client
import re
import socket
import ssl
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager

from slack_sdk.errors import SlackApiError, SlackClientError

from alertbot.errors import (
    SlackBusy,
    SlackDestination,
    SlackError,
    SlackGone,
    SlackRefused,
    SlackRejected,
    SlackUnavailable,
    SlackUncertain,
)

_BUSY = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_UNAVAILABLE = frozenset({"service_unavailable", "external_channel_migrating", "team_added_to_org"})
_UNCERTAIN = frozenset({"fatal_error", "internal_error", "request_timeout", "update_failed"})
_REFUSED = frozenset(
    {
        "access_denied",
        "accesslimited",
        "account_inactive",
        "app_access_restricted",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "forbidden_team",
        "invalid_auth",
        "link_disabled",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "team_not_found",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
    }
)
_DESTINATION = frozenset(
    {
        "channel_not_found",
        "channel_is_limited_access",
        "is_archived",
        "is_inactive",
        "messages_tab_disabled",
        "not_in_channel",
        "posting_to_channel_denied",
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "user_not_found",
        "user_not_in_channel",
    }
)
_GONE = frozenset(
    {
        "block_mismatch",
        "cannot_reply_to_message",
        "cant_update_message",
        "edit_window_closed",
        "message_not_found",
        "restricted_action_thread_locked",
        "thread_not_found",
    }
)
_KINDS: tuple[tuple[frozenset[str], type[SlackError]], ...] = (
    (_UNCERTAIN, SlackUncertain),
    (_UNAVAILABLE, SlackUnavailable),
    (_DESTINATION, SlackDestination),
    (_GONE, SlackGone),
)
_CODE = re.compile(r"[a-z0-9_]{1,80}")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_DEFAULT_PAUSE = 30.0  # seconds, where Slack says "rate limited" without Retry-After
_SHORTEST_PAUSE, _LONGEST_PAUSE = (
    1.0,
    86_400.0,
)  # a proxy's "0" must not make us hammer, nor its nonsense stop us for good


@contextmanager
def translate_errors(method: str) -> Iterator[None]:
    """Turn whatever a call to Slack raises into the SlackError that tells what to do about it."""
    try:
        yield
    except SlackApiError as error:
        raise _by_answer(method, error) from error
    except urllib.error.HTTPError as error:
        raise _by_status(method, error.code, {}) from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        raise _by_transport(method, error) from error
    except (ValueError, SlackClientError, TypeError, AttributeError, LookupError, RecursionError) as error:
        # The SDK could not make sense of the answer (not JSON, a list, an unknown charset …): Slack may have acted on
        # it.
        raise SlackUncertain(f"{method}: the answer cannot be read", code="unreadable_answer") from error


def _by_answer(method: str, error: SlackApiError) -> SlackError:
    response = error.response
    status = getattr(response, "status_code", 200)
    headers = getattr(response, "headers", None) or {}
    body = getattr(response, "data", response)
    code = body.get("error") if isinstance(body, dict) else None
    if not isinstance(code, str) or not _CODE.fullmatch(code):  # the SDK puts a body it cannot read there
        return _by_status(method, status, headers)
    if code in _BUSY or status == 429:
        return SlackBusy(f"{method}: Slack asks to wait", code=code, retry_after=_retry_after(headers))
    if code in _REFUSED:
        needed = f" (needed: {body['needed']})" if isinstance(body, dict) and body.get("needed") else ""
        return SlackRefused(f"{method}: Slack refuses the app: {code}{needed}", code=code)
    kind = next((kind for codes, kind in _KINDS if code in codes), SlackRejected)
    return kind(f"{method}: {code}{_pointers(body)}", code=code)


def _pointers(body: object) -> str:
    """Where in our payload Slack found fault; the places, not what stands there."""
    problems = body.get("errors") if isinstance(body, dict) else None
    if not isinstance(problems, list):
        return ""
    return " at " + ", ".join(
        str(problem.get("pointer", "?") if isinstance(problem, dict) else problem)[:100] for problem in problems[:5]
    )


def _by_status(method: str, status: int, headers: object) -> SlackError:
    if status == 429:
        return SlackBusy(f"{method}: HTTP 429", code="http_429", retry_after=_retry_after(headers))
    # A 5xx, or a 200 that is not Slack's JSON: what lies behind a proxy may have acted.
    return SlackUncertain(f"{method}: HTTP {status} without a readable answer", code=f"http_{status}")


def _retry_after(headers: object) -> float:
    by_name = {str(name).lower(): value for name, value in headers.items()} if hasattr(headers, "items") else {}
    value = by_name.get("retry-after")
    text = str(value[0] if isinstance(value, list) else value).strip()
    seconds = float(text) if _SECONDS.fullmatch(text) else _DEFAULT_PAUSE
    return min(max(seconds, _SHORTEST_PAUSE), _LONGEST_PAUSE)


def _by_transport(method: str, error: Exception) -> SlackError:
    reason = getattr(error, "reason", error)
    if isinstance(reason, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError):
        return SlackUnavailable(f"{method}: Slack cannot be reached ({reason})", code="unreachable")
    return SlackUncertain(f"{method}: no answer came ({type(reason).__name__})", code="no_answer")
