"""Answers to slash commands: tables that fit a phone, and one line where one line will do."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from alertbot.domain.alerts import Action, ActionType, Alert, Outcome
from alertbot.domain.formatting import headline, limit, name_of, shown_severity
from alertbot.domain.reports import (
    ActionResult,
    AlertRow,
    Explanation,
    Health,
    SilencePreview,
    SourceRow,
    StatusReport,
    explain_lines,
)
from alertbot.domain.silences import Silence
from alertbot.domain.times import count_of
from alertbot.slack.parse import COMMANDS, NAMES, Command
from alertbot.slack.views.blocks import context_line, section
from alertbot.slack.views.takers import taker_of
from alertbot.slack.views.text import (
    MARKS,
    SECTION_LIMIT,
    cut,
    escape,
    fit,
    literal,
    mention_user,
    slack_date,
    with_moments,
)

_MOST_ALERTS = 20
_HEALTH = {
    Health.OK: ":large_green_circle:",
    Health.FAILING: ":large_orange_circle:",
    Health.BLIND: ":red_circle:",
    Health.NEVER_READ: ":white_circle:",
}
Response = dict[str, Any]


def text_response(text: str) -> Response:
    """A plain answer; `text` is mrkdwn that is safe already."""
    shown = fit(text.split("\n"), SECTION_LIMIT)
    return {"text": shown, "blocks": [section(shown)]}


def error_response(text: str) -> Response:
    """What was wrong with the question."""
    return text_response(f":warning: {literal(text, 2000)}")


def status_response(report: StatusReport, command: str = "/alertbot") -> Response:
    sources = [source_line(row) for row in report.sources[:20]]
    oldest = f", the oldest since {slack_date(report.oldest_at)}" if report.oldest_at else ""
    waiting = f"{count_of(report.waiting, 'notification')} waiting to be sent{oldest}"
    lines = [
        *not_running_lines(report),
        f"*{report.firing} firing* ({report.acknowledged} acknowledged), {report.pending} pending",
        *sources,
        *([waiting] if report.waiting else []),
    ]
    response = text_response("\n".join(lines))
    foot = f"alertbot {escape(report.version)} · `{escape(command)} help` lists all commands"
    return response | {"blocks": [*response["blocks"], context_line(foot)]}


def not_running_lines(report: StatusReport) -> list[str]:
    """A warning if no process reads the sources: their state is outdated then."""
    if report.is_running:
        return []
    since = (
        f"has been reading the sources since {slack_date(report.alive_at)}"
        if report.alive_at
        else "has read the sources yet"
    )
    return [f":warning: No alertbot process {since}. Until one does, no alert fires or resolves."]


def source_line(row: SourceRow) -> str:
    """How a source is, in a line; below it what is wrong with it."""
    return (
        f"{_HEALTH[row.state]} *{literal(row.name, 100)}*: {row.state.value}, "
        + (f"last reading {slack_date(row.last_reading_at)}, " if row.last_reading_at else "")
        + ("1 LLM" if row.configurations == 1 else f"{row.configurations} LLMs")
        + "".join(f"\n      {literal(text, 300)}" for text in (row.error, row.doubt) if text)
    )


def alerts_response(rows: Sequence[AlertRow]) -> Response:
    if not rows:
        return text_response(":white_check_mark: Nothing is pending or firing.")
    lines = [_alert_line(row) for row in rows[:_MOST_ALERTS]]
    return text_response(fit(lines, SECTION_LIMIT, hidden=len(rows) - len(lines)))


def _alert_line(row: AlertRow) -> str:
    alert = row.alert
    taken = f", :eyes: {taker}" if (taker := taker_of(alert)) else ""
    worst = f" (was {alert.worst})" if shown_severity(alert) is not alert.worst else ""
    since = slack_date(alert.started_at or alert.pending_since)
    group = f" G{row.group}" if row.group else ""
    return f"{MARKS[shown_severity(alert)]} `A{alert.number}{group}` {literal(headline(alert), 200)}, {literal(limit(alert), 80)}: {alert.state.value}{worst} since {since}{taken}"


def why_response(explanations: Sequence[Explanation]) -> Response:
    paragraphs = []
    for explanation in explanations[:10]:
        name = explanation.finding.series.labels.get("name") or explanation.finding.series.key
        first = f"*{literal(explanation.rule.name, 100)} on {literal(name, 200)}*, {slack_date(explanation.at)}"
        rest = [with_moments(literal(line, 400)) for line in explain_lines(explanation)[1:]]
        paragraphs.append("\n".join([first, *rest]))
    return text_response("\n\n".join(paragraphs))


def silences_response(silences: Sequence[Silence]) -> Response:
    if not silences:
        return text_response("Nothing is silenced.")
    lines = [silence_line(silence) for silence in silences[:_MOST_ALERTS]]
    return text_response(fit(lines, SECTION_LIMIT, hidden=len(silences) - len(lines)))


def silenced_response(silence: Silence, preview: SilencePreview) -> Response:
    """The new silence, and what it mutes now."""
    warning = ":warning: " if preview.matches_nothing else ""
    return text_response(f"{silence_line(silence)}\n{warning}{preview.sentence}")


def silence_line(silence: Silence) -> str:
    """What is silenced, from when until when, by whom and why."""
    what = " ".join(str(matcher) for matcher in silence.matchers) or "everything"
    comment = f": {literal(silence.comment, 200)}" if silence.comment else ""
    until = "until it is unmuted" if silence.is_endless else f"until {slack_date(silence.ends_at)}"
    since = f"from {slack_date(silence.starts_at)} {until}"
    line = f":mute: *Silence {silence.number}*: `{_code(what)}`, {since} by {mention_user(silence.author)}{comment}"
    problem = f"\n:warning: Not valid, so it mutes nothing: {literal(silence.problem, 500)}" if silence.problem else ""
    return line + problem


def unmuted_response(rule: str) -> Response:
    return text_response(f":loud_sound: {literal(rule, 100)} is unmuted.")


def oncall_response(on_call: Mapping[str, str]) -> Response:
    if not on_call:
        return text_response("Nobody is on call: no rotation is configured (`oncall` in the configuration).")
    return text_response(
        "\n".join(f":pager: *{literal(name, 80)}*: {mention_user(user)}" for name, user in on_call.items())
    )


def _code(text: str) -> str:
    """Foreign text between backticks: it must not end them."""
    return literal(text.replace("`", "'"), 400)


def format_count(number: int | None) -> str:
    """A count in at most seven characters; exact up to 99,999."""
    if number is None:
        return "?"
    if number < 100_000:
        return f"{number:,}"
    for size, letter in ((10**3, "k"), (10**6, "M"), (10**9, "G"), (10**12, "T")):
        if number < 999.5 * size:  # from there on three digits round to the next letter
            return f"{number / size:.3g}{letter}"
    return f"{Decimal(number):.1e}"  # a counter may be too large for a float


def action_response(result: ActionResult) -> Response:
    """The result of an action, for the person who did it."""
    if result.again and not result.outcomes:
        return text_response("This was already done.")
    lines = []
    for outcome in Outcome:
        about = [alert for alert, reached in result.outcomes if reached is outcome]
        if about:
            outcome_text = _done(result.action) if outcome is Outcome.DONE else _OUTCOMES[outcome]
            lines.append(f"{outcome_text} {_names(about)}")
    return text_response("\n".join(lines) or "No alert was changed.")


def _done(action: Action) -> str:
    """What was done, for whom and until when."""
    if action.kind is ActionType.SNOOZE and action.until is not None:
        return f":white_check_mark: Done, snoozed until {slack_date(action.until)}:"
    if action.kind is ActionType.ASSIGN:
        return f":white_check_mark: Done, assigned to {mention_user(action.text)}:"
    return ":white_check_mark: Done:"


_OUTCOMES = {
    Outcome.ALREADY: "No change:",
    Outcome.TOO_LATE: ":hourglass: Too late, already resolved:",
}


def _names(about: Sequence[Alert]) -> str:
    shown = ", ".join(f"`A{alert.number}` {literal(name_of(alert), 80)}" for alert in about[:10])
    return shown if len(about) <= 10 else f"{shown} and {len(about) - 10} more"


def help_response(command: str, topic: str) -> Response:
    if topic:
        known = NAMES[topic]
        return text_response(
            f"{_usage(command, known)}\n{escape(known.summary)}\nFor example: `{command} {escape(known.example)}`"
        )
    named = {name for _, names in _CHAPTERS for name in names}
    chapters = [*_CHAPTERS, ("More", [known.name for known in COMMANDS if known.name not in named])]
    sections = [
        "\n".join([f"*{title}*", *(_help_line(command, NAMES[name]) for name in names if name in NAMES)])
        for title, names in chapters
        if names
    ]
    tried = "  ".join(f"`{command} {escape(example)}`" for example in _TRIED)
    first = f"For example {tried}"
    texts = (first, *sections)
    return {"text": cut("\n".join(texts), _MOST_TEXT), "blocks": [section(cut(text, SECTION_LIMIT)) for text in texts]}


def _help_line(command: str, known: Command) -> str:
    return f"{_usage(command, known)}  {escape(known.summary)}"


_MOST_TEXT = 3900  # of what stands where blocks cannot be shown
_TRIED = ("ack A42", "silence violation-burst 2h", "top violators yesterday")
_CHAPTERS: tuple[tuple[str, Sequence[str]], ...] = (
    ("What is going on", ("status", "alerts", "why", "chart", "oncall")),
    ("Respond to an alert", ("ack", "unack", "assign", "comment")),
    ("Mute notifications", ("snooze", "silence", "silences", "unsilence", "mute", "unmute")),
    ("Usage and violations", ("top", "violations", "stats", "spend", "budget")),
    ("Rules", ("rules",)),
)


def _usage(command: str, known: Command) -> str:
    return f"`{escape(f'{command} {known.name} {known.arguments}'.strip())}`"
