"""The evidence behind an alert in a few lines, and the answer to `violations`. It is redacted before it comes here."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from alertbot.domain.evidence import EvidenceKind, Privacy, Summary, TopN, ViolationReport
from alertbot.domain.windows import Window
from alertbot.slack.views.blocks import context_line, preformatted, section
from alertbot.slack.views.responses import Response, format_count, text_response
from alertbot.slack.views.text import (
    SECTION_LIMIT,
    cut,
    cut_between_words,
    fit,
    literal,
    slack_date,
    visible,
    with_moments,
)

MOST_ROWS = 15
_COLUMNS = 40  # what a telephone shows of a line without folding it
_NAME_LIMIT = 80
_QUOTE_LIMIT = 300
_MOST_NOTES = 5
_SEVERITIES = {"HIGH": "high", "MEDIUM": "med", "LOW": "low"}
_KINDS = {EvidenceKind.VIOLATION: ("violation", "violations"), EvidenceKind.ALERT: ("policy alert", "policy alerts")}


def evidence_block(summary: Summary, notes: Sequence[str] = ()) -> dict[str, Any]:
    """A section with who and what is behind an alert; `notes` are what is wrong with the evidence."""
    warned = [f":warning: {literal(note, _QUOTE_LIMIT)}" for note in notes[:_MOST_NOTES]]
    return section(fit([*evidence_lines(summary), *warned], SECTION_LIMIT))


def evidence_lines(summary: Summary) -> list[str]:
    """The leading policies, people and models, and the newest explanation; where only numbers may be shown, one line."""
    if summary.privacy is Privacy.COUNTS:
        parts = [
            _counted(summary.policies.in_all, "policy", "policies"),
            _counted(summary.people.in_all, "person", "people"),
            _counted(summary.models.in_all, "model", "models"),
        ]
        return [f"{_listed(summary)}: {', '.join(parts)}{_of_them(summary)}"]
    named = (("Policies", summary.policies), ("People", summary.people), ("Models", summary.models))
    lines = [f"*{what}*  {_leading(leaders)}" for what, leaders in named if leaders.first]
    # An alert's value counts a window, the list may count more: each says since when.
    head = [_listed(summary)] if summary.since is not None or not lines else []
    return [*head, *lines, *_quote(summary)]


def _listed(summary: Summary) -> str:
    """How much there is, and since when: `77 violations listed since 18:02`."""
    if summary.since is None:
        return f"{_amount(summary)} listed"
    if summary.until is None:
        return f"{_amount(summary)} listed since {slack_date(summary.since)}"
    return f"{_amount(summary)} listed from {slack_date(summary.since)} to {slack_date(summary.until)}"


def _leading(leaders: TopN) -> str:
    shown = ", ".join(f"{literal(top.name, _NAME_LIMIT) or 'unknown'} ({top.count:,})" for top in leaders.first)
    others = leaders.in_all - len(leaders.first)
    return f"{shown} and {others:,} more" if others > 0 else shown


def _quote(summary: Summary) -> list[str]:
    """The newest explanation, with its policy, person and time. `&gt;` at the beginning of a line makes it a quotation."""
    newest = summary.newest
    if newest is None or not (text := literal(newest.explanation, _QUOTE_LIMIT)):
        return []
    policy = newest.policy_name or newest.policy if summary.policies.in_all > 1 else ""
    known = [literal(name, _NAME_LIMIT) for name in (policy, newest.user_name or newest.user) if name]
    return [f"*Newest*  {', '.join([*known, slack_date(newest.at)])}", f"&gt; {text}"]


def _amount(summary: Summary) -> str:
    return _counted(summary.total, *_KINDS[summary.kind])


def _of_them(summary: Summary) -> str:
    """How bad they were, and how many were stopped."""
    severities = [f"{count:,} {name.lower()}" for name, count in (summary.severities or {}).items()]
    parts = [*severities, *([f"{summary.blocked:,} blocked"] if summary.blocked else [])]
    return f"; {', '.join(parts)}" if parts else ""


def _counted(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"


# --- what somebody asked for


def violations_response(listing: ViolationReport, window: Window, zone: tzinfo) -> Response:
    """How many there were, who leads, and a table of the newest with the time on the person's own clock."""
    summary = listing.summary
    notes = [
        f":information_source: {with_moments(literal(note, _QUOTE_LIMIT))}" for note in listing.notes[:_MOST_NOTES]
    ]
    if not summary.total:
        nothing = (
            f"No violations listed {window.name}." if listing.is_known else f"Violations {window.name}: not known."
        )
        return text_response("\n".join([nothing, *notes]))
    head = f"*{_amount(summary)}* {window.name}{_of_them(summary)}"
    blocks: list[dict[str, Any]] = [
        section(fit([head, *evidence_lines(summary)], SECTION_LIMIT)),
        *([preformatted("\n".join(_table(listing, window, zone)))] if listing.violations else []),
        *([context_line("\n".join(notes))] if notes else []),
    ]
    return {"text": head, "blocks": blocks}


def _table(listing: ViolationReport, window: Window, zone: tzinfo) -> list[str]:
    """Lines of at most 40 characters."""
    rows = listing.violations[:MOST_ROWS]
    form = "%H:%M" if window.length <= timedelta(hours=24) else "%m-%d %H:%M"
    times = [_clock(violation.at, zone, form) for violation in rows]
    space = _COLUMNS - len(times[0]) - 8
    named = [
        (visible(violation.policy_name or violation.policy), visible(violation.user_name or violation.user))
        for violation in rows
    ]
    people = max(len("who"), *(len(_called(who, space * 2 // 5)) for _, who in named))
    policy = min(space - people, max(len("policy"), *(len(what) for what, _ in named)))
    table = [f"{'':<{len(times[0])}} {'':<5} {'policy':<{policy}} who"]
    for at, violation, (what, who) in zip(times, rows, named, strict=True):
        severity = _SEVERITIES.get(violation.severity, "-") + ("!" if violation.blocked else "")
        table.append(
            f"{at} {severity:<5} {cut_between_words(what, policy):<{policy}} {_called(who, space - policy)}".rstrip()
        )
    if any(violation.blocked for violation in rows):
        table.append("! = blocked")
    if listing.summary.total > len(rows):
        table.append(f"… and {format_count(listing.summary.total - len(rows))} more")
    return table


def _called(name: str, space: int) -> str:
    """A person's name; where it is too long the family name as its initial: `Nadia K.`."""
    first, _, others = name.partition(" ")
    if len(name) <= space or not others or len(first) + 3 > space:
        return cut(name, space)
    return f"{first} {others.split()[-1][0]}."


def _clock(at: datetime, zone: tzinfo, form: str) -> str:
    return f"{at.astimezone(zone):{form}}"
