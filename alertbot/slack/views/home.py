"""App Home: open alerts, budgets, sources, who is on call, and silences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from alertbot.domain.alerts import Alert, State, labels_with_severity
from alertbot.domain.formatting import headline, limit
from alertbot.domain.reports import AlertRow, StatusReport
from alertbot.domain.silences import Silence
from alertbot.slack.views.blocks import (
    DIVIDER,
    Block,
    action_row,
    button,
    context_line,
    header,
    page_buttons,
    plain_text,
    section,
)
from alertbot.slack.views.responses import not_running_lines, silence_line, source_line
from alertbot.slack.views.takers import no_longer_taken
from alertbot.slack.views.text import MARKS, SECTION_LIMIT, cut, escape, fit, literal, mention_user, slack_date

View = dict[str, Any]
ROWS = 12  # messages a page, three blocks each; with all the rest a view of at most 100 blocks
_MOST_PENDING = 10
_MOST_BUDGETS = 8
_MOST_SOURCES = 20
_MOST_SILENCES = 15


@dataclass(frozen=True, slots=True)
class HomeData:
    """The content of a person's Home. `rows` are the open alerts; `note`, safe mrkdwn, is the result of a click.

    `budgets` are a block each, the fullest first; `may_end` are the silences that the person may end.
    """

    user: str
    rows: Sequence[AlertRow]
    status: StatusReport
    silences: Sequence[Silence]
    on_call: Mapping[str, str]
    may_operate: bool
    command: str
    now: datetime
    budgets: Sequence[Block] = ()
    page: int = 0
    note: str = ""
    may_end: frozenset[int] = frozenset()


def home_view(board: HomeData) -> View:
    """One page of Home."""
    bundles = _bundles(board)
    last = max(0, (len(bundles) - 1) // ROWS)
    page = min(max(0, board.page), last)
    shown = bundles[page * ROWS : (page + 1) * ROWS]
    blocks = [
        *_top(board),
        *_rows(board, shown),
        *([_pages(page, last)] if last else []),
        *_pending(board),
        *_titled("Budgets", board.budgets[:_MOST_BUDGETS]),
        *_titled("Sources", _sources(board)),
        *_titled("On call now", _on_call(board)),
        *_titled("Silences", _silences(board)),
    ]
    return {"type": "home", "callback_id": "home", "blocks": blocks}


def _top(board: HomeData) -> Iterator[Block]:
    if board.note:
        yield section(cut(board.note, SECTION_LIMIT))
    report = board.status
    for line in not_running_lines(report):
        yield section(line)
    alerts = "1 alert is firing" if report.firing == 1 else f"{report.firing} alerts are firing"
    yield header(alerts if report.firing else "Nothing is firing")
    counted = [f"{report.acknowledged} acknowledged"] if report.firing else []
    if report.pending:
        counted.append(f"{report.pending} pending")
    parts = [*counted, f"as of {slack_date(board.now)}", f"`{escape(board.command)} help`"]
    yield context_line(" · ".join(parts))
    buttons = [button("home_refresh", "Refresh")]
    if board.may_operate:
        buttons.append(button("silence", "New silence…"))
    yield action_row(*buttons, block_id="top")


@dataclass(frozen=True, slots=True)
class _Bundle:
    """The open alerts of one message, the worst first."""

    group: int
    alerts: Sequence[Alert]

    def belongs_to(self, user: str) -> bool:
        return any(user in {alert.acknowledged_by, alert.assigned_to} for alert in self.alerts)

    @property
    def is_acknowledged(self) -> bool:
        return all(alert.acknowledged_at is not None for alert in self.alerts)


def _bundles(board: HomeData) -> list[_Bundle]:
    """The person's own messages first, then those that nobody has acknowledged, then the others; the worst first."""
    grouped: dict[int, list[Alert]] = {}
    for row in board.rows:
        if row.group is not None and row.alert.state is State.FIRING:
            grouped.setdefault(row.group, []).append(row.alert)
    bundles = [_Bundle(group, sorted(alerts, key=_severity_order)) for group, alerts in grouped.items()]
    return sorted(
        bundles,
        key=lambda bundle: (
            not bundle.belongs_to(board.user),
            bundle.is_acknowledged,
            *_severity_order(bundle.alerts[0]),
        ),
    )


def _severity_order(alert: Alert) -> tuple[int, Fraction, int]:
    return (-alert.severity.rank, -(alert.peak or Fraction(0)), -alert.number)


def _rows(board: HomeData, shown: Sequence[_Bundle]) -> Iterator[Block]:
    yours = [bundle for bundle in shown if bundle.belongs_to(board.user)]
    for title, bundles in (("Yours", yours), ("Open", shown[len(yours) :])):
        if bundles:
            yield from (DIVIDER, header(title))
        for bundle in bundles:
            yield section(_bundle_text(board, bundle))
            yield context_line(_about(bundle))
            yield _buttons(board, bundle)


def _bundle_text(board: HomeData, bundle: _Bundle) -> str:
    worst, others = bundle.alerts[0], len(bundle.alerts) - 1
    more = f" and {others} more" if others else ""
    more += f", was {worst.worst}" if worst.worst is not worst.severity else ""
    standing = " · ".join(_standing(board, bundle))
    return f"{MARKS[worst.severity]} *{literal(headline(worst), 300)}*{more}" + (f"\n{standing}" if standing else "")


def _about(bundle: _Bundle) -> str:
    worst = bundle.alerts[0]
    since = min((alert.started_at for alert in bundle.alerts if alert.started_at is not None), default=None)
    rules = ", ".join(sorted({alert.rule for alert in bundle.alerts}))
    parts = [
        literal(rules, 200),
        *([literal(limit(worst), 100)] if limit(worst) else []),
        *([f"since {slack_date(since)}"] if since is not None else []),
        f"A{worst.number} · G{bundle.group}" if len(bundle.alerts) == 1 else f"G{bundle.group}",
    ]
    return " · ".join(parts)


def _standing(board: HomeData, bundle: _Bundle) -> list[str]:
    """Who acknowledged it or is assigned, and why it is muted."""
    parts, alerts = [], bundle.alerts
    taken = [alert for alert in alerts if alert.acknowledged_at is not None]
    if taken:
        who = ", ".join(mention_user(name) for name in sorted({alert.acknowledged_by for alert in taken})[:3])
        parts.append(f":eyes: {who}" if len(taken) == len(alerts) else f":eyes: {who} ({len(taken)} of {len(alerts)})")
    parts += [f":eyes: {line}" for line in no_longer_taken(alerts)[:1]]
    assignees = sorted({alert.assigned_to for alert in alerts if alert.assigned_to})
    if assignees:
        parts.append(f":bust_in_silhouette: {', '.join(mention_user(name) for name in assignees[:3])}")
    snoozed = [alert.snoozed_until for alert in alerts if alert.snoozed_until and alert.snoozed_until > board.now]
    if len(snoozed) == len(alerts):
        parts.append(f":zzz: until {slack_date(max(snoozed))}")
    if all(
        any(silence.covers(labels_with_severity(alert), board.now) for silence in board.silences) for alert in alerts
    ):
        parts.append(":mute: silenced")
    return parts


def _buttons(board: HomeData, bundle: _Bundle) -> Block:
    name = f"G{bundle.group}"
    if not bundle.is_acknowledged:
        elements = [button("acknowledge", "Acknowledge", name, style="primary")]
    elif any(alert.acknowledged_by == board.user for alert in bundle.alerts):
        elements = [button("give_back", "Unacknowledge", name)]
    else:
        elements = []
    return action_row(*elements, button("details", "Details", name), block_id=f"row-{name}")


def _pages(page: int, last: int) -> Block:
    return action_row(*page_buttons("home_page", page, last), block_id="pages")


def _pending(board: HomeData) -> list[Block]:
    """Pending alerts, and firing ones that have no message yet."""
    pending = [row.alert for row in board.rows if row.group is None or row.alert.state is State.PENDING]
    lines = [
        f":hourglass_flowing_sand: `A{alert.number}` {literal(headline(alert), 200)} · {literal(alert.rule, 100)}"
        for alert in pending[:_MOST_PENDING]
    ]
    return _titled("Pending", _lines(lines, hidden=len(pending) - len(lines)))


def _sources(board: HomeData) -> list[Block]:
    rows = board.status.sources
    lines = [source_line(row) for row in rows[:_MOST_SOURCES]]
    return _lines(lines, hidden=len(rows) - len(lines))


def _on_call(board: HomeData) -> list[Block]:
    return _lines(
        [f":pager: *{literal(name, 80)}*: {mention_user(who)}" for name, who in list(board.on_call.items())[:20]]
    )


def _silences(board: HomeData) -> Iterator[Block]:
    for silence in board.silences[:_MOST_SILENCES]:
        line = section(silence_line(silence), block_id=f"silence-{silence.number}")
        yield line | ({"accessory": _end(silence)} if silence.number in board.may_end else {})
    yield from _lines([], hidden=max(0, len(board.silences) - _MOST_SILENCES))


def _end(silence: Silence) -> dict[str, Any]:
    confirm = {
        "title": plain_text("End this silence?"),
        "text": plain_text("Notifications for alerts that still fire are sent at once."),
        "confirm": plain_text("End it"),
        "deny": plain_text("Keep it"),
    }
    return button("end_silence", "End", str(silence.number)) | {"confirm": confirm}


def _titled(title: str, blocks: Sequence[Block] | Iterator[Block]) -> list[Block]:
    listed = list(blocks)
    return [DIVIDER, header(title), *listed] if listed else []


def _lines(lines: Sequence[str], *, hidden: int = 0) -> list[Block]:
    text = fit(lines, SECTION_LIMIT, hidden=hidden)
    return [section(text)] if text else []
