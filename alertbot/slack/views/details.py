"""The modal behind the Details button: every alert of a message, a page at a time, each with a button of its own."""

from collections.abc import Sequence
from typing import Any

from alertbot.domain.alerts import Alert, State
from alertbot.domain.wording import headline, limit
from alertbot.slack.views.text import MARKS, cut, literal, mention, moment

PAGE = 30  # alerts a page: three blocks each at most, of the 100 that a view may have
View = dict[str, Any]


def details_view(group: int, alerts: Sequence[Alert], *, page: int = 0) -> View:
    """One page of a message's alerts, the firing and worst ones first."""
    order = sorted(alerts, key=lambda alert: (alert.state is not State.FIRING, -alert.severity.rank, alert.number))
    last = max(0, (len(order) - 1) // PAGE)
    page = min(max(0, page), last)
    blocks: list[dict[str, Any]] = []
    for alert in order[page * PAGE : (page + 1) * PAGE]:
        blocks.append(_line(alert))
        if alert.note:
            blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": literal(alert.note, 1000)}]})
    if last:
        blocks.append(_pages(group, page, last))
    return {
        "type": "modal",
        "callback_id": "details",
        "private_metadata": f"G{group} {page}",
        "title": {"type": "plain_text", "text": cut(f"G{group}: {len(order)} alerts", 24)},
        "close": {"type": "plain_text", "text": "Close"},
        "blocks": blocks,
    }


def _line(alert: Alert) -> dict[str, Any]:
    mark = MARKS[alert.severity] if alert.state is State.FIRING else ":white_check_mark:"
    text = f"{mark} `A{alert.number}` {literal(headline(alert), 400)}"
    if limit(alert):
        text += f", {literal(limit(alert), 100)}"
    text += f"\n{alert.state.value} since {moment(alert.started_at or alert.pending_since)}"
    if alert.acknowledged_at is not None:
        text += f", :eyes: {mention(alert.acknowledged_by)}"
    section: dict[str, Any] = {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, 3000)}}
    if alert.state is State.FIRING and alert.acknowledged_at is None:
        section["accessory"] = {
            "type": "button",
            "action_id": "acknowledge",
            "text": {"type": "plain_text", "text": "Acknowledge"},
            "value": f"A{alert.number}",
        }
    return section


def _pages(group: int, page: int, last: int) -> dict[str, Any]:
    elements = [
        {
            "type": "button",
            "action_id": f"details_page_{words.lower()}",
            "text": {"type": "plain_text", "text": f"{words} ({target + 1} of {last + 1})"},
            "value": f"G{group} {target}",
        }
        for words, target in (("Previous", page - 1), ("Next", page + 1))
        if 0 <= target <= last
    ]
    return {"type": "actions", "block_id": f"pages-{page}", "elements": elements}
