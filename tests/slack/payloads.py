"""What is looked for in a payload before it may go to Slack."""

import json
import re
from collections.abc import Iterator
from typing import Any

from alertbot.demo.slack.limits import check_message

EDITED_TEXT = 4000  # chat.update refuses more
_ENTITY = re.compile(r"&(?:amp|lt|gt);")
_MARKUP = re.compile(r"<[^<>]*>")
_DATE = re.compile(r"<!date\^[0-9]+\^\{(?:date_short_pretty\} \{)?time\}\|[0-9: -]+UTC>")


def texts(value: Any, *, literal: bool = False) -> Iterator[str]:
    """Every text that Slack reads as mrkdwn or shows in a notification; with `literal` those that it shows letter by letter."""
    if isinstance(value, list):
        for part in value:
            yield from texts(part, literal=literal)
    elif isinstance(value, dict):
        is_literal = value.get("type") in {"text", "plain_text"}
        for name, part in value.items():
            if name in {"text", "fallback"} and isinstance(part, str):
                if is_literal is literal:
                    yield part
            else:
                yield from texts(part, literal=literal)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a payload."""
    if isinstance(value, list):
        for part in value:
            yield from objects(part)
    elif isinstance(value, dict):
        yield value
        for part in value.values():
            yield from objects(part)


def assert_sendable(payload: dict[str, Any]) -> None:
    """Within Slack's limits, and of characters that can travel."""
    json.dumps(payload, ensure_ascii=False).encode()
    assert 0 < len(payload["text"]) <= EDITED_TEXT
    refusal = check_message(payload.get("blocks"), payload.get("attachments"))
    assert refusal is None, refusal


def assert_harmless(payload: dict[str, Any], *, markup: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Nothing in it pings, links or hides but what we mean: `markup` and dates; and Slack makes nothing of its own."""
    for text in texts(payload):
        left = _ENTITY.sub("", text)
        for found in _MARKUP.findall(left):
            assert found in markup or _DATE.fullmatch(found), f"{found!r} in {text!r}"
        left = _MARKUP.sub("", left)
        assert not set("<>&") & set(left), f"an open end in {text!r}"
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), repr(text)
    for each in objects(payload):
        if each.get("type") == "mrkdwn":
            assert each.get("verbatim") is True, each
