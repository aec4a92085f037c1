"""Modals that ask for something: a new silence, until when to snooze, a comment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alertbot.domain.alerts import Alert
from alertbot.domain.formatting import headline
from alertbot.domain.reports import SilencePreview, count_llms
from alertbot.domain.silences import Silence
from alertbot.slack.views.blocks import Block, option, plain_text, section, select
from alertbot.slack.views.responses import silence_line
from alertbot.slack.views.text import SECTION_LIMIT, fit, literal

View = dict[str, Any]
ANY = "*"  # the choice that leaves a label out
UNTIL = "until"  # the choice that asks for a date
_MOST_CHOICES = 100
_MOST_NAMED = 5
DURATIONS = (
    ("30m", "30 minutes"),
    ("1h", "1 hour"),
    ("2h", "2 hours"),
    ("4h", "4 hours"),
    ("8h", "8 hours"),
    ("1d", "1 day"),
    ("3d", "3 days"),
    ("1w", "1 week"),
    (UNTIL, "Until a date…"),
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A silence as somebody has filled it in so far. `more` are further matchers, as they are typed in a command."""

    rule: str = ANY
    source: str = ANY
    llm: str = ""
    more: str = ""
    lasts: str = "1h"
    until: datetime | None = None
    comment: str = ""


def silence_modal(
    draft: Draft,
    preview: SilencePreview,
    *,
    rules: Iterable[str],
    sources: Iterable[str],
    metadata: str,
    is_doubted: bool = False,
) -> View:
    """Ask what to silence, until when, and why; `is_doubted` asks once more, because nothing read so far matches."""
    blocks: list[Block] = [
        _choice("rule", "Rule", "Every rule", rules, draft.rule),
        _choice("source", "Source", "Every source", sources, draft.source),
        _field(
            "llm",
            "LLM",
            draft.llm,
            hint="A name, an id, or a pattern such as support-*. Empty means every LLM.",
        ),
        _lasts(draft.lasts),
        *([_date("until", "Until", draft.until)] if draft.lasts == UNTIL else []),
        section(_preview(preview, is_doubted=is_doubted), block_id="reach"),
        {
            "type": "input",
            "block_id": "comment",
            "optional": True,
            "label": plain_text("Comment"),
            "element": {
                "type": "plain_text_input",
                "action_id": "comment",
                "max_length": 500,
                "placeholder": plain_text("Why this is silenced"),
                **({"initial_value": draft.comment} if draft.comment else {}),
            },
        },
        _field(
            "more",
            "More matchers",
            draft.more,
            hint="For experts: matchers such as severity=warning provider!=OPENAI. Write `all` to match every alert.",
        ),
    ]
    return _modal("silence", "New silence", "Silence anyway" if is_doubted else "Silence", blocks, metadata)


def silenced_modal(silence: Silence, preview: SilencePreview) -> View:
    """Replaces the form after the silence was created."""
    muted = _counted(len(preview.muted), "open alert", "open alerts")
    lines = [
        silence_line(silence),
        f"It mutes {muted} now, and applies to {count_llms(preview.llms)}. Muted alerts are still evaluated and recorded.",
    ]
    return {
        "type": "modal",
        "callback_id": "silenced",
        "title": plain_text("Silenced"),
        "close": plain_text("Close"),
        "blocks": [section("\n".join(lines))],
    }


def snooze_modal(alerts: Sequence[Alert], *, until: datetime, may_operate: bool, metadata: str) -> View:
    """Ask until when to snooze these alerts. `until` is the default."""
    hint = "In your time zone, up to a year ahead." if may_operate else "In your time zone, at most a day ahead."
    blocks = [_about(alerts), _date("until", "Snooze until", until, hint=hint)]
    return _modal("snooze_until", "Snooze", "Snooze", blocks, metadata)


def comment_modal(alert: Alert, *, metadata: str) -> View:
    """Ask for a comment on an alert, and whom to assign it to."""
    blocks: list[Block] = [
        _about([alert]),
        {
            "type": "input",
            "block_id": "comment",
            "optional": True,
            "label": plain_text("Comment"),
            "hint": plain_text("Posted in the thread of the message."),
            "element": {"type": "plain_text_input", "action_id": "comment", "multiline": True, "max_length": 2000},
        },
    ]
    if alert.state.is_open:
        blocks.append(
            {
                "type": "input",
                "block_id": "assignee",
                "optional": True,
                "label": plain_text("Assign to"),
                "element": {
                    "type": "users_select",
                    "action_id": "assignee",
                    "placeholder": plain_text("Choose a person"),
                },
            }
        )
    return _modal("comment", f"Comment on A{alert.number}"[:24], "Save", blocks, metadata)


def _modal(name: str, title: str, submit: str, blocks: Sequence[Block], metadata: str) -> View:
    return {
        "type": "modal",
        "callback_id": name,
        "private_metadata": metadata,
        "title": plain_text(title),
        "submit": plain_text(submit),
        "close": plain_text("Cancel"),
        "blocks": list(blocks),
    }


def _preview(preview: SilencePreview, *, is_doubted: bool) -> str:
    if preview.problem:
        return f":warning: {literal(preview.problem, 500)}"
    if preview.matches_nothing:
        return f":warning: {preview.sentence}{' To silence it anyway, submit again.' if is_doubted else ''}"
    llms = f"It applies to {count_llms(preview.llms)}."
    if not preview.open_alerts:
        return f"No alert is open now. {llms}"
    total = _counted(preview.open_alerts, "open alert", "open alerts")
    if not preview.muted:
        return f"{f'Mutes none of the {total}.' if preview.open_alerts > 1 else f'Does not mute the {total}.'} {llms}"
    lines = [f":mute: Mutes *{len(preview.muted)}* of {total}:"]
    lines += [f"• `A{alert.number}` {literal(headline(alert), 150)}" for alert in preview.muted[:_MOST_NAMED]]
    shown = fit(lines, SECTION_LIMIT - len(llms) - 1, hidden=max(0, len(preview.muted) - _MOST_NAMED))
    return f"{shown}\n{llms}"


def _about(alerts: Sequence[Alert]) -> Block:
    """What a modal is about."""
    lines = [f"`A{alert.number}` {literal(headline(alert), 200)}" for alert in alerts[:_MOST_NAMED]]
    hidden = len(alerts) - len(lines)
    return section(fit(lines, SECTION_LIMIT, hidden=hidden), block_id="about")


def _counted(count: int, singular: str, plural: str) -> str:
    return f"{count} {singular if count == 1 else plural}"


def _choice(name: str, label: str, every: str, choices: Iterable[str], chosen: str) -> Block:
    """A menu of names. The one that is chosen is offered even where there are more than a menu can hold."""
    known = [choice for choice in dict.fromkeys([*([chosen] if chosen != ANY else []), *choices]) if len(choice) <= 75]
    options = [option(ANY, every), *(option(choice, choice) for choice in sorted(known[: _MOST_CHOICES - 1]))]
    return {
        "type": "input",
        "block_id": name,
        "dispatch_action": True,
        "label": plain_text(label),
        "element": select(f"silence_{name}", options, chosen=chosen if chosen in known else ANY),
    }


def _field(name: str, label: str, value: str, *, hint: str) -> Block:
    element = {
        "type": "plain_text_input",
        "action_id": f"silence_{name}",
        "max_length": 300,
        "dispatch_action_config": {"trigger_actions_on": ["on_enter_pressed", "on_character_entered"]},
        **({"initial_value": value} if value else {}),
    }
    return {
        "type": "input",
        "block_id": name,
        "optional": True,
        "dispatch_action": True,
        "label": plain_text(label),
        "hint": plain_text(hint),
        "element": element,
    }


def _lasts(chosen: str) -> Block:
    options = [option(value, words) for value, words in DURATIONS]
    return {
        "type": "input",
        "block_id": "lasts",
        "dispatch_action": True,
        "label": plain_text("How long"),
        "element": select("silence_lasts", options, chosen=chosen),
    }


def _date(name: str, label: str, value: datetime | None, *, hint: str = "In your time zone.") -> Block:
    """A date and a time in the person's time zone; Slack sends a timestamp."""
    initial = {"initial_date_time": int(value.timestamp())} if value is not None else {}
    return {
        "type": "input",
        "block_id": name,
        "label": plain_text(label),
        "hint": plain_text(hint),
        "element": {"type": "datetimepicker", "action_id": name, **initial},
    }
