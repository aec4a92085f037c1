"""Modals: opening them, and saving what people fill in."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient

from alertbot.domain.alerts import Action, ActionType, Alert, Outcome
from alertbot.domain.formatting import severity_order
from alertbot.domain.reports import SilencePreview
from alertbot.domain.silences import Matcher, MatchType, SilenceRequest, check_matchers, parse_matcher
from alertbot.domain.times import parse_duration
from alertbot.errors import UsageError
from alertbot.flows import alert_actions
from alertbot.slack.acting import InTime, Reply, act, delivery_of, submitted
from alertbot.slack.actions import chosen, clicked_menu
from alertbot.slack.context import RequestContext
from alertbot.slack.surface import Surface
from alertbot.slack.typed_text import split, typed_text
from alertbot.slack.views.modals import (
    ANY,
    UNTIL,
    Draft,
    View,
    comment_modal,
    silence_modal,
    silenced_modal,
    snooze_modal,
)
from alertbot.slack.views.private_metadata import decode_private_metadata, encode_private_metadata

_DAY = timedelta(days=1)
_LONGEST = timedelta(days=366)  # a date further away is a slip of the finger


class _InvalidField(Exception):
    """What is wrong with a field."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


# --- a silence


def asks_for_silence(body: Mapping[str, Any]) -> bool:
    """Whether a slash command asks for the form: `silence` and nothing more."""
    return typed_text(str(body.get("text") or "")).strip().lower() == "silence"


def ask_silence(request_context: RequestContext, body: Mapping[str, Any], about: str = "") -> View:
    """The form of a new silence, filled in with what the alerts of `A42` or `G17` have in common. Raises UsageError."""
    here = request_context.for_whom(body)
    here.require_operator()
    draft = _draft_about(here.alerts(about)) if about else Draft()
    return _silence_form(here, draft, _metadata(here, body, about))


def _draft_about(alerts: Sequence[Alert]) -> Draft:
    rules = {alert.rule for alert in alerts}
    sources = {alert.labels.get("source", ANY) for alert in alerts}
    llm = ""
    if len(alerts) == 1:
        labels = alerts[0].labels
        names = [labels[label] for label in ("name", "ai_llm") if labels.get(label)]
        # A name with a wildcard in it would mean others as well.
        llm = next((name for name in names if not set("*?") & set(name) and len(name) <= 300), "")
    return Draft(
        rule=rules.pop() if len(rules) == 1 else ANY, source=sources.pop() if len(sources) == 1 else ANY, llm=llm
    )


def recount(request_context: RequestContext, body: Mapping[str, Any]) -> View:
    """The form with a new preview, after a field was changed."""
    return _silence_form(request_context.for_whom(body), _draft_in(body), body["view"]["private_metadata"])


def _silence_form(request_context: RequestContext, draft: Draft, metadata: str, *, is_doubted: bool = False) -> View:
    if draft.lasts == UNTIL and draft.until is None:
        draft = replace(draft, until=_whole_hour(request_context.clock() + _DAY))
    return silence_modal(
        draft,
        _preview(request_context, draft),
        rules=[rule.name for rule in request_context.rules],
        sources=list(request_context.intervals),
        metadata=metadata,
        is_doubted=is_doubted,
    )


def _preview(request_context: RequestContext, draft: Draft) -> SilencePreview:
    try:
        preview = request_context.preview_silence(request_context.confined(_matchers_of(draft)))
    except (_InvalidField, UsageError) as error:
        return SilencePreview((), len(request_context.open_alerts()), problem=str(error))
    return replace(preview, muted=sorted(preview.muted, key=severity_order))


def _draft_in(body: Mapping[str, Any]) -> Draft:
    seconds = _filled(body, "until")
    return Draft(
        rule=_filled(body, "rule") or ANY,
        source=_filled(body, "source") or ANY,
        llm=str(_filled(body, "llm") or "").strip(),
        more=str(_filled(body, "more") or "").strip(),
        lasts=_filled(body, "lasts") or "1h",
        until=datetime.fromtimestamp(int(seconds), UTC) if seconds else None,
        comment=str(_filled(body, "comment") or "").strip(),
    )


def _filled(body: Mapping[str, Any], field: str) -> Any:
    """What stands in a field; None where it is empty or not there."""
    state: Mapping[str, Any] = next(iter(body["view"]["state"]["values"].get(field, {}).values()), {})
    if "selected_option" in state:
        return (state["selected_option"] or {}).get("value")
    if "value" in state:
        return typed_text(state["value"] or "")
    return next((state[name] for name in ("selected_date_time", "selected_user") if name in state), None)


def _matchers_of(draft: Draft) -> tuple[Matcher, ...]:
    """The matchers that a draft means. Raises _InvalidField."""
    chosen_ones = [
        Matcher(label, MatchType.IS, value)
        for label, value in (("rule", draft.rule), ("source", draft.source), ("ai_llm", draft.llm))
        if value not in {ANY, ""}
    ]
    words = split(draft.more)
    everything = [word.lower() for word in words] == ["all"] and not chosen_ones
    try:
        matchers = [*chosen_ones, *([] if everything else (parse_matcher(word) for word in words))]
        return check_matchers(matchers, everything=everything)
    except ValueError as error:
        raise _InvalidField("more", str(error)) from error


def save_silence(request_context: RequestContext, body: Mapping[str, Any]) -> Reply:
    """Create the silence that was filled in; mistakes stand below their fields.

    If it matches nothing that has been read so far, it must be submitted twice: otherwise a typing error would show only
    when somebody is paged.
    """
    here, draft = request_context.for_whom(body), _draft_in(body)
    now = here.clock()
    try:
        here.require_operator()
        matchers, is_until = here.confined(_matchers_of(draft)), draft.lasts == UNTIL
        request = SilenceRequest(matchers, _length(draft, now), draft.comment, has_fixed_end=is_until)
        preview, meant = _preview(here, draft), _fingerprint(request.matchers)
        if preview.matches_nothing and decode_private_metadata(body).get("doubted") != meant:
            metadata = encode_private_metadata(**{**decode_private_metadata(body), "doubted": meant})
            return {"response_action": "update", "view": _silence_form(here, draft, metadata, is_doubted=True)}
        silence = alert_actions.add_silence(here.database, request, author=here.user, now=now, key=_key(body))
    except _InvalidField as invalid:
        return _errors(invalid.field, str(invalid))
    except UsageError as error:
        return _errors("rule", error.public)
    here.wake()
    return {"response_action": "update", "view": silenced_modal(silence, preview)}


def _fingerprint(matchers: Sequence[Matcher]) -> str:
    """A short hash of the matchers: a view remembers 3,000 characters at most."""
    return hashlib.sha256(repr(matchers).encode(errors="replace")).hexdigest()[:16]


def _length(draft: Draft, now: datetime) -> timedelta:
    if draft.lasts != UNTIL:
        return parse_duration(draft.lasts)
    if draft.until is None:
        raise _InvalidField("lasts", "choose the date below")
    return _ahead(draft.until, now)


def _ahead(until: datetime, now: datetime) -> timedelta:
    """How far a chosen moment is ahead. Raises _InvalidField where it is not."""
    if until <= now:
        raise _InvalidField("until", "this time has passed; choose a later one")
    if until - now > _LONGEST:
        raise _InvalidField("until", "this is more than a year away; choose an earlier date")
    return until - now


# --- a snooze until a date


def ask_snooze(request_context: RequestContext, body: Mapping[str, Any], about: str) -> View:
    """The form that asks until when to snooze what `A42` or `G17` means. Raises UsageError."""
    here = request_context.for_whom(body)
    until = _whole_hour(here.clock() + timedelta(hours=4))
    metadata = _metadata(here, body, about)
    return snooze_modal(here.alerts(about), until=until, may_operate=here.may_operate(), metadata=metadata)


def _whole_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def save_snooze(request_context: RequestContext, body: Mapping[str, Any]) -> Reply:
    """Snooze until the chosen moment: up to a day for everybody, longer for operators."""
    here, now = request_context.for_whom(body), request_context.clock()
    until = datetime.fromtimestamp(int(_filled(body, "until")), UTC)
    try:
        if _ahead(until, now) > _DAY and not here.may_operate():
            return _errors(
                "until", "only operators may snooze for more than a day; choose a time within the next 24 hours"
            )
        return _act(here, body, ActionType.SNOOZE, field="until", until=until)
    except _InvalidField as invalid:
        return _errors(invalid.field, str(invalid))
    except UsageError as error:
        return _errors("until", error.public)


# --- a comment


def ask_comment(request_context: RequestContext, body: Mapping[str, Any], about: str) -> View:
    """The form that asks for a comment on an alert, and whom to assign it to. Raises UsageError."""
    here = request_context.for_whom(body)
    return comment_modal(here.alerts(about)[0], metadata=_metadata(here, body, about))


def save_comment(request_context: RequestContext, body: Mapping[str, Any]) -> Reply:
    """Write the comment and assign the alert, whichever was filled in."""
    here, text, whom = (
        request_context.for_whom(body),
        str(_filled(body, "comment") or "").strip(),
        _filled(body, "assignee"),
    )
    if not text and not whom:
        return _errors("comment", "write a comment, or choose a person below")
    try:
        # What may come too late goes first, so that a second try does not write the comment twice.
        reply = _act(here, body, ActionType.ASSIGN, field="assignee", text=str(whom)) if whom else {}
        return reply or (_act(here, body, ActionType.COMMENT, field="comment", text=text) if text else {})
    except UsageError as error:
        return _errors("comment", error.public)


def _act(
    request_context: RequestContext,
    body: Mapping[str, Any],
    kind: ActionType,
    *,
    field: str,
    text: str = "",
    until: datetime | None = None,
) -> Reply:
    """Do the action. If it is too late, that stands below the field; if another delivery did it before, it is done."""
    action = Action(
        kind=kind,
        who=request_context.user,
        at=request_context.clock(),
        key=f"{_key(body)} {kind}",
        text=text,
        until=until,
        has_fixed_end=until is not None,  # the form asks for a date
    )
    result = request_context.act(str(decode_private_metadata(body).get("about")), action)
    outcomes = {outcome for _, outcome in result.outcomes}
    return _errors(field, "too late: already resolved") if outcomes == {Outcome.TOO_LATE} else {}


def _metadata(request_context: RequestContext, body: Mapping[str, Any], about: str) -> str:
    """What a modal remembers: what it is about, where that was seen, and the page of details below it."""
    below = decode_private_metadata(body) if (body.get("view") or {}).get("callback_id") == "details" else {}
    return encode_private_metadata(
        about=about, channel=request_context.message_ref, below=below.get("about", ""), page=below.get("page", "")
    )


def _key(body: Mapping[str, Any]) -> str:
    """The same for each delivery of one submission."""
    view = body["view"]
    return f"view {view['id']} {view.get('hash')}"


def _errors(field: str, problem: str) -> Reply:
    return {"response_action": "errors", "errors": {field: problem[:1].upper() + problem[1:]}}


# --- listening


def listen(app: App, request_context: RequestContext, in_time: InTime) -> None:
    """Register what opens and submits modals."""

    @app.action("silence")
    def open_silence(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        about = str(body["actions"][0].get("value") or "")
        Surface(request_context, client, body).open(lambda: ask_silence(request_context, body, about))

    @app.action(re.compile("silence_(rule|source|llm|more|lasts)"))
    def count_anew(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        Surface(request_context, client, body).update(lambda: recount(request_context, body))

    @app.action("alert_menu", middleware=[in_time])
    def menu(body: Mapping[str, Any], client: WebClient, context: BoltContext) -> None:
        about, what = chosen(body)
        surface = Surface(request_context, client, body)
        asks = {"comment": ask_comment, "silence": ask_silence}.get(what)
        if asks is not None:
            delivery_of(context).acknowledge()
            surface.open(lambda: asks(request_context, body, about))
            return
        act(surface, context, lambda: clicked_menu(request_context, body))

    for name, save in (("silence", save_silence), ("snooze_until", save_snooze), ("comment", save_comment)):
        app.view(name, middleware=[in_time])(submitted(request_context, save))
