"""The modal behind the Details button: every alert of a message, a page at a time, each with a menu of its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from alertbot.domain.alerts import Alert, State
from alertbot.domain.evidence import Summary
from alertbot.domain.formatting import format_severity, headline, limit, shown_severity
from alertbot.slack.views.blocks import (
    Block,
    action_row,
    context_line,
    mrkdwn,
    option,
    page_buttons,
    plain_text,
    section,
)
from alertbot.slack.views.evidence import evidence_block
from alertbot.slack.views.private_metadata import encode_private_metadata
from alertbot.slack.views.takers import taker_of
from alertbot.slack.views.text import MARKS, SECTION_LIMIT, cut, literal, mention_user, slack_date

PAGE = 30  # alerts a page: two blocks each at most, of the 100 that a view may have
View = dict[str, Any]


def details_view(
    group: int,
    alerts: Sequence[Alert],
    *,
    now: datetime,
    page: int = 0,
    channel: str = "",
    note: str = "",
    evidence: Summary | None = None,
    doubts: Sequence[str] = (),
) -> View:
    """One page of a message's alerts, the firing and worst ones first, and below them the evidence with the `doubts` about it.

    `note`, safe mrkdwn, is the result of a click.
    """
    order = sorted(
        alerts, key=lambda alert: (alert.state is not State.FIRING, -shown_severity(alert).rank, alert.number)
    )
    last = max(0, (len(order) - 1) // PAGE)
    page = min(max(0, page), last)
    blocks: list[dict[str, Any]] = [section(cut(note, SECTION_LIMIT))] if note else []
    for alert in order[page * PAGE : (page + 1) * PAGE]:
        blocks.append(_line(alert, now))
        if note_text := literal(alert.note, 1000):
            blocks.append(context_line(note_text))
    if evidence is not None:
        blocks.append(evidence_block(evidence, doubts))
    if last:
        blocks.append(_pages(group, page, last))
    title = f"Alert A{order[0].number}" if len(order) == 1 else f"G{group}: {len(order)} alerts"
    return {
        "type": "modal",
        "callback_id": "details",
        "private_metadata": encode_private_metadata(about=f"G{group}", page=page, channel=channel),
        "title": plain_text(cut(title, 24)),
        "close": plain_text("Close"),
        "blocks": blocks,
    }


def _line(alert: Alert, now: datetime) -> dict[str, Any]:
    mark = MARKS[alert.severity] if alert.state.is_open else ":white_check_mark:"
    first = f"{mark} `A{alert.number}` *{literal(headline(alert), 400)}*"
    threshold = [literal(alert.rule, 100), *([literal(limit(alert), 100)] if limit(alert) else [])]
    threshold += [format_severity(alert)] if alert.worst is not alert.severity else []
    if alert.state.is_open:
        state = f"{alert.state.value} since {slack_date(alert.started_at or alert.pending_since)}"
    else:
        state = f"{alert.state.value} {slack_date(alert.resolved_at or alert.pending_since)}"
    section: dict[str, Any] = {
        "type": "section",
        "text": mrkdwn(f"{first}\n{' · '.join([*threshold, state, *_standing(alert, now)])}"),
    }
    return section | {"accessory": _menu(alert)}


def _standing(alert: Alert, now: datetime) -> list[str]:
    """Who acknowledged it or is assigned, and until when it is snoozed."""
    parts = []
    if taker := taker_of(alert):
        parts.append(f":eyes: {taker}")
    if alert.assigned_to:
        parts.append(f":bust_in_silhouette: {mention_user(alert.assigned_to)}")
    if alert.state.is_open and alert.snoozed_until is not None and alert.snoozed_until > now:
        parts.append(f":zzz: until {slack_date(alert.snoozed_until)}")
    return parts


def _menu(alert: Alert) -> dict[str, Any]:
    """What can be done to one alert. What has ended takes comments only."""
    taken = alert.acknowledged_at is not None
    choices = [
        ("unacknowledge", "Unacknowledge") if taken else ("acknowledge", "Acknowledge"),
        ("snooze", "Snooze 1 hour"),
        ("assign", "Assign to me"),
        ("comment", "Comment or assign…"),
        ("silence", "Silence…"),
    ]
    offered = choices if alert.state.is_open else choices[3:4]
    return {
        "type": "overflow",
        "action_id": "alert_menu",
        "options": [option(f"A{alert.number} {what}", words) for what, words in offered],
    }


def _pages(group: int, page: int, last: int) -> Block:
    elements = page_buttons("details_page", page, last, value=f"G{group} {{page}}")
    return action_row(*elements, block_id=f"pages-{page}")
