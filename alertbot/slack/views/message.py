"""The message of a group of alerts: what, where, how bad, since when, who acknowledged it, and its buttons."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from alertbot.domain.alerts import Alert, State
from alertbot.domain.chart_data import sparkline
from alertbot.domain.formatting import (
    MOST_ROWS,
    format_amount,
    format_duration_of,
    format_severity,
    headline,
    lasted,
    limit,
    measure,
    name_of,
    severity_order,
    shown_severity,
)
from alertbot.domain.notifications import AlertMessage
from alertbot.domain.points import SPEND
from alertbot.domain.times import format_duration, parse_duration
from alertbot.slack.views.blocks import (
    Block,
    action_row,
    button,
    context_line,
    mrkdwn,
    option,
    plain_text,
    section,
    select,
)
from alertbot.slack.views.evidence import evidence_block
from alertbot.slack.views.takers import no_longer_taken
from alertbot.slack.views.text import (
    COLOURS,
    ELLIPSIS,
    FALLBACK_LIMIT,
    MARKS,
    QUIET_COLOUR,
    RESOLVED_COLOUR,
    SECTION_LIMIT,
    cut,
    fit,
    literal,
    mention,
    mention_user,
    slack_date,
)

_MOST_ROTATIONS = 3
_LEAST_TREND = 3  # bars: fewer show no course
_UNITS = frozenset({"%", "×", "s", "USD"})
_URL = re.compile(r"https?://(?:(?!&[lg]t;)[^\s<>|])+")
SNOOZES = (
    ("30m", "30 minutes"),
    ("1h", "1 hour"),
    ("4h", "4 hours"),
    ("tomorrow", "Until tomorrow 9:00"),
    ("until", "Until a date…"),
)


def notification_message(message: AlertMessage, *, mentioned: Iterable[str] = ()) -> dict[str, Any]:
    """What chat.postMessage and chat.update take: `text` for lock screens and screen readers, and the coloured attachment."""
    state = _Look(message)
    whom = " ".join(mention(who) for who in mentioned)
    text = cut(f"{state.mark} {state.first_line}" + (f"  {whom}" if whom else ""), FALLBACK_LIMIT)
    blocks = _single_alert(message, state) if len(message.alerts) == 1 else _several_alerts(state)
    blocks += [
        *([evidence_block(message.evidence)] if message.evidence is not None else []),
        *_growers(message, state.worst),
    ]
    blocks += [_context(message, state)]
    if state.firing:
        blocks += [_buttons(message, is_taken=state.taken)]
    return {"text": text, "attachments": [{"color": state.colour, "fallback": text, "blocks": blocks}]}


class _Look:
    """How the group looks at a glance."""

    def __init__(self, message: AlertMessage) -> None:
        order = sorted(message.alerts, key=severity_order)
        self.firing = [alert for alert in order if alert.state is State.FIRING]
        self.ended = [alert for alert in order if alert.state is not State.FIRING]
        self.worst = order[0]
        self.taken = bool(self.firing) and all(alert.acknowledged_at is not None for alert in self.firing)
        self.snoozed = [a for a in self.firing if a.snoozed_until is not None and a.snoozed_until > message.shown_at]
        severity = shown_severity(self.worst)
        if not self.firing:
            self.mark, self.colour, self.word = ":white_check_mark:", RESOLVED_COLOUR, "Resolved"
        elif self.taken:
            self.mark, self.colour, self.word = ":eyes:", QUIET_COLOUR, "Acknowledged"
        elif len(self.snoozed) == len(self.firing):
            self.mark, self.colour, self.word = ":zzz:", QUIET_COLOUR, "Snoozed"
        else:
            self.mark, self.colour, self.word = MARKS[severity], COLOURS[severity], severity.value.capitalize()
        self.is_escalated = self.colour == COLOURS[severity] and bool(self.firing) and message.group.notified.steps > 0
        if self.is_escalated:
            self.mark = ":rotating_light:"
        self.first_line = self._first_line(message)

    def _first_line(self, message: AlertMessage) -> str:
        what = literal(headline(self.worst), 400)
        if len(message.alerts) == 1:
            return f"*{self.word}*: {what}"
        others = len(message.alerts) - 1
        return (
            f"*{self.word}*: {what} and {others} more"
            if self.firing
            else f"*{self.word}*: {len(message.alerts)} alerts of {_rule(message)}"
        )


def _rule(message: AlertMessage) -> str:
    names = sorted({alert.rule for alert in message.alerts})
    return literal(", ".join(names), 200)


def _single_alert(message: AlertMessage, state: _Look) -> list[Block]:
    alert = state.worst
    amount = alert.peak if alert.state is not State.FIRING else alert.value
    # The first line says what and where; it is not repeated here.
    window = f" ({literal(alert.over, 100)})" if alert.over else ""  # the evidence below may count more than that
    now = "Now" if alert.state is State.FIRING else "Worst"
    pairs = [(f"{now}{window}", _now(alert, amount)), _times(alert, message.shown_at)]
    if (state.firing and state.colour == QUIET_COLOUR) or alert.worst is not alert.severity:
        pairs.append(("Severity", format_severity(alert).capitalize()))
    if len([amount for amount in message.trend if amount is not None]) >= _LEAST_TREND:
        pairs.append((_trend_name(alert, len(message.trend)), sparkline(message.trend)))
    if state.firing and message.on_call:
        pairs.append(("On call", _on_call(message)))
    fields = [mrkdwn(f"*{name}*\n{text}") for name, text in pairs]
    return [{"type": "section", "fields": fields}, *_taken(state, [alert])]


def _trend_name(alert: Alert, windows: int) -> str:
    """What the bars are: `Per 15 min, last 3 h`."""
    window = alert.over.removeprefix("in ")
    if not window:
        return f"Last {windows} windows"
    try:
        whole = f", last {format_duration(parse_duration(window) * windows)}"
    except ValueError:  # such as "this day": a window without one length
        whole = f", last {windows}"
    return f"Per {literal(window, 60)}{whole}"


def _on_call(message: AlertMessage) -> str:
    """Who is on call. Nobody is pinged: Slack notifies nobody who is mentioned in an attachment."""
    if len(message.on_call) == 1:
        return mention_user(next(iter(message.on_call.values())))
    shown = [
        f"{literal(name, 60)}: {mention_user(who)}" for name, who in list(message.on_call.items())[:_MOST_ROTATIONS]
    ]
    return ", ".join(shown)


_DIMENSIONS = {"user": ("user", "Users"), "model": ("model", "Models"), "api_key": ("key", "Keys")}


def _growers(message: AlertMessage, alert: Alert) -> list[Block]:
    """The users, models and keys that grew most; where they may not be named, how many there are."""
    if message.growers_since is None:
        return []
    until = f" to {slack_date(message.growers_until)}" if message.growers_until is not None else ""
    begin = f"{'from' if until else 'since'} {slack_date(message.growers_since)}{until}"
    unit = "USD" if alert.identity.split("/")[1] == SPEND else ""
    lines, counted = [f"Grew most {begin}:"], []
    for growers in message.growers:
        singular, plural = _DIMENSIONS[growers.by]
        if growers.first:
            shown = ", ".join(
                f"{literal(grower.name, 80)} ({format_amount(grower.amount, unit)})" for grower in growers.first
            )
            others = growers.in_all - len(growers.first)
            lines.append(f"*{plural}*  {shown}" + (f" and {others:,} more" if others > 0 else ""))
        elif growers.in_all:
            counted.append(f"{growers.in_all:,} {singular if growers.in_all == 1 else plural.lower()}")
    if counted:
        lines = [f"Used {begin} by {', '.join(counted)}"]
    return [section(fit(lines, SECTION_LIMIT))]


def _described(text: str) -> str:
    """The rule's description with its links made clickable."""
    return _URL.sub(_link, literal(text, 600))


def _link(match: re.Match[str]) -> str:
    url = match[0].rstrip(".,:!?)")
    cut_off = match[0].endswith(ELLIPSIS)  # what is left of it would lead elsewhere
    return match[0] if cut_off else f"<{url}>{match[0][len(url) :]}"


def _now(alert: Alert, amount: Fraction | None) -> str:
    """The number against its threshold: `19 (above 5)`, and how bad it has been if it was worse."""
    threshold = limit(alert)
    text = literal(_number(alert, amount), 300)
    if threshold:
        text += f" {literal(threshold, 200)}" if alert.kind == "budget" else f" ({literal(threshold, 200)})"
    eased = alert.state is State.FIRING and alert.peak is not None and amount is not None and alert.peak != amount
    return f"{text}, at worst {literal(_number(alert, alert.peak), 100)}" if eased else text


def _number(alert: Alert, amount: Fraction | None) -> str:
    """The amount without what it counts, which the first line says; what is measured in a unit keeps it."""
    if alert.kind == "absence":
        return format_duration_of(amount) if alert.unit == "s" else measure(alert, amount)
    return format_amount(amount, alert.unit if alert.unit in _UNITS else "")


def _times(alert: Alert, now: datetime) -> tuple[str, str]:
    if alert.started_at is None:
        return "Since", slack_date(alert.pending_since)
    if alert.resolved_at is not None:
        return "Lasted", f"{lasted(alert, now)}: fired {_clock(alert.started_at)}, resolved {_clock(alert.resolved_at)}"
    return "Since", f"{slack_date(alert.started_at)}"


def _clock(at: datetime) -> str:
    return f"<!date^{int(at.timestamp())}^{{time}}|{at:%H:%M} UTC>"


def _several_alerts(state: _Look) -> list[Block]:
    order = [*state.firing, *state.ended]
    same = len({alert.unit for alert in order}) == 1  # then the first line has said what is counted
    lines = [_row(alert, _number if same else _measured) for alert in order[:MOST_ROWS]]
    counted = (
        f"*{len(state.firing)} firing*, {len(state.ended)} resolved" if state.ended else f"*{len(state.firing)} firing*"
    )
    since = min((alert.started_at for alert in order if alert.started_at is not None), default=None)
    head = counted + (f" since {slack_date(since)}" if since else "")
    limits = {limit(alert) for alert in order}
    if len(limits) == 1 and (shared := limits.pop()):
        head += f" · {literal(shared, 100)}"
    table = section(fit([head, *lines], SECTION_LIMIT, hidden=len(order) - len(lines)))
    return [table, *_taken(state, order)]


def _measured(alert: Alert, amount: Fraction | None) -> str:
    return format_amount(amount, alert.unit)


def _row(alert: Alert, written: Callable[[Alert, Fraction | None], str]) -> str:
    mark = MARKS[alert.severity] if alert.state is State.FIRING else ":white_check_mark:"
    amount = alert.value if alert.state is State.FIRING else alert.peak
    taken = " :eyes:" if alert.acknowledged_at is not None and alert.state is State.FIRING else ""
    worst = f", {format_severity(alert)}" if alert.worst is not alert.severity else ""
    return (
        f"{mark} `A{alert.number}` {literal(name_of(alert), 80)}: {literal(written(alert, amount), 60)}{worst}{taken}"
    )


def _taken(state: _Look, about: Sequence[Alert]) -> list[Block]:
    """Who acknowledged it or is assigned, and until when it is snoozed."""
    lines = []
    by = sorted({alert.acknowledged_by for alert in about if alert.acknowledged_at is not None})
    if by:
        at = max(alert.acknowledged_at for alert in about if alert.acknowledged_at is not None)
        verb = "Acknowledged by" if state.taken or not state.firing else "Partly acknowledged by"
        lines.append(f":eyes: {verb} {', '.join(mention_user(who) for who in by[:5])} {slack_date(at)}")
    lines += [f":eyes: {line}" for line in no_longer_taken(about)[:3]]
    if state.snoozed:
        until = max(alert.snoozed_until for alert in state.snoozed if alert.snoozed_until is not None)
        lines.append(f":zzz: Snoozed until {slack_date(until)}")
    if state.is_escalated:
        lines.append(":rotating_light: Escalated: nobody has acknowledged it")
    assignees = sorted({alert.assigned_to for alert in about if alert.assigned_to})
    if assignees:
        lines.append(f":bust_in_silhouette: Assigned to {', '.join(mention_user(who) for who in assignees[:5])}")
    return [section("\n".join(lines))] if lines else []


def _context(message: AlertMessage, state: _Look) -> Block:
    alert = state.worst
    ids = f"A{alert.number} · G{message.group.number}" if len(message.alerts) == 1 else f"G{message.group.number}"
    parts = [f"Rule {_rule(message)} · {ids}"]
    if message.description:
        parts.insert(0, _described(message.description))
    if len(message.alerts) > 1 and state.firing and message.on_call:
        parts.append(f"On call {_on_call(message)}")
    if len(message.alerts) == 1 and alert.note:
        parts.append(literal(alert.note, 300))
    if message.previous:
        parts.append(f"<{message.previous}|previous alert>")
    return context_line(" · ".join(parts))


def _buttons(message: AlertMessage, *, is_taken: bool) -> Block:
    group = f"G{message.group.number}"
    options = [option(f"{group} {length}", words) for length, words in SNOOZES]
    return action_row(
        button("give_back", "Unacknowledge", group)
        if is_taken
        else button("acknowledge", "Acknowledge", group, style="primary"),
        select("snooze", options) | {"placeholder": plain_text("Snooze")},
        button("silence", "Silence…", group),
        button("details", "Details", group),
        button("chart", "Chart", group),
        block_id=f"take-{group}",
    )
