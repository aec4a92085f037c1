"""Rules created in Slack: their form, its backtest, saving and deleting."""

from collections.abc import Mapping
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient

from alertbot.domain.rules import Rule
from alertbot.errors import ConfigError, UsageError
from alertbot.flows.rule_actions import change_rule, delete_rule, make_rule, stored_rule
from alertbot.queries.backtest import backtest, is_collected
from alertbot.slack.acting import InTime, Reply, act, submitted
from alertbot.slack.actions import Done
from alertbot.slack.context import RequestContext
from alertbot.slack.parse import Request, parse
from alertbot.slack.rule_drafts import Keys, MistakesInRule, by_field, draft_in, draft_of, keys_of, new_draft
from alertbot.slack.surface import Surface
from alertbot.slack.views import responses
from alertbot.slack.views.private_metadata import decode_private_metadata, encode_private_metadata
from alertbot.slack.views.responses import Response
from alertbot.slack.views.rule_form import RuleDraft, View, rule_form, saved_rule_view
from alertbot.slack.views.text import literal


def asked_for(body: Mapping[str, Any]) -> Request | None:
    """The request of a slash command that opens the form: `rules new`, or `rules change NAME`."""
    try:
        request = parse(str(body.get("text") or ""))
    except UsageError:
        return None
    return request if request.command == "rules" and request.target in {"new", "change"} else None


def ask_rule(request_context: RequestContext, body: Mapping[str, Any], name: str = "") -> View:
    """The form of a new rule, or of one that was created in Slack. Raises UsageError."""
    here = request_context.for_whom(body)
    here.require_operator()
    if not name:
        return rule_form(
            new_draft("threshold", timezone=_zone(here)), metadata=encode_private_metadata(channel=here.message_ref)
        )
    _require_may_change(here, name)
    stored = stored_rule(here.database, here.book, name)
    here.require_names_allowed(*stored.keys.get("where") or ())
    draft = draft_of(stored)
    return rule_form(
        draft, metadata=encode_private_metadata(channel=here.message_ref, about=name, version=draft.version)
    )


def _require_may_change(here: RequestContext, name: str) -> None:
    """Raise UsageError if the rule does not exist for the person, or covers more than they may see.

    What an invalid rule covers is not known.
    """
    if here.access.sources is not None and all(rule.name != name for rule in here.rules):
        raise UsageError(f'there is no rule "{name}" that was made in Slack')
    if name in here.fixed:
        raise UsageError(f"{name} may cover more than you can see; ask somebody who sees every source to change it")


def reshape(request_context: RequestContext, body: Mapping[str, Any]) -> View:
    """The form with the fields of the type that was chosen."""
    return rule_form(_draft(request_context.for_whom(body), body), metadata=body["view"]["private_metadata"])


def try_it(request_context: RequestContext, body: Mapping[str, Any]) -> View:
    """The form with a backtest of the rule; nothing is stored."""
    here = request_context.for_whom(body)
    here.require_operator()
    draft, metadata = _draft(here, body), body["view"]["private_metadata"]
    try:
        _, rule = _parse_draft(here, draft)
    except MistakesInRule as mistakes:
        problems = [f"{name.replace('_', ' ')}: {sentence}" for name, sentence in mistakes.by_field.items()]
        return rule_form(draft, metadata=metadata, problems=problems)
    backtest_result = backtest(
        here.database, rule, here.intervals, now=here.clock(), prices=here.prices, privacy=here.privacy()
    )
    return rule_form(draft, metadata=metadata, backtest_result=backtest_result)


def save_rule(request_context: RequestContext, body: Mapping[str, Any]) -> Reply:
    """Create or change the rule that was filled in; mistakes stand below their fields."""
    here = request_context.for_whom(body)
    draft = _draft(here, body)
    key = f"view {body['view']['id']} {body['view'].get('hash')}"
    try:
        here.require_operator()
        keys, rule = _parse_draft(here, draft)
        by, now = here.user, here.clock()
        if draft.about:
            _require_may_change(here, draft.about)
            change_rule(here.database, here.book, keys, seen=draft.version, by=by, now=now, key=key)
        else:
            make_rule(here.database, here.book, keys, by=by, now=now, key=key)
    except MistakesInRule as mistakes:
        return _errors(mistakes.by_field)
    except (ConfigError, UsageError) as error:
        return _errors({"type" if draft.about else "name": error.public})
    here.wake()
    shown = saved_rule_view(rule.name, is_new=not draft.about, notes=_notes(here, rule))
    return {"response_action": "update", "view": shown}


def _notes(here: RequestContext, rule: Rule) -> list[str]:
    notes = []
    if not here.access.sees_all:
        named = [pattern for name, globs in rule.where.globs if name == "source" for pattern in globs]
        notes.append(f"It covers {', '.join(named)} only, because you cannot see other sources.")
    if not rule.enabled:
        notes.append("It is disabled, so it is not evaluated.")
    if not is_collected(here.database, rule, here.intervals):
        notes.append("No source collects the data it needs, so it will never fire.")
    return notes


def _parse_draft(here: RequestContext, draft: RuleDraft) -> tuple[Keys, Rule]:
    """The keys and the rule that a draft means. Raises MistakesInRule."""
    try:
        more = here.book.grammar.keys(draft.fields.get("more", ""))
    except ConfigError as error:
        raise MistakesInRule({"more": "; ".join(error.lines)}) from error
    keys = keys_of(draft, more)
    if not draft.about and not here.access.sees_all:
        # Names of hidden rules are taken, and nobody may find out which: these get names that no other rule has.
        keys = {**keys, "name": _personal_name(str(keys["name"]), here.user)}
    try:
        rule = here.book.grammar.rule(keys)
        where = here.access.confine(rule.where)
        here.require_names_allowed(*(dimension for dimension, _ in rule.where.globs))
        if where == rule.where:
            return keys, rule
        if where is None:
            named = ", ".join(pattern for name, globs in rule.where.globs if name == "source" for pattern in globs)
            raise MistakesInRule({"where": f'there is no source "{named}"' if named else "there is no source"})
        keys = {**keys, "where": {name: list(globs) for name, globs in where.globs}}
        return keys, here.book.grammar.rule(keys)
    except ConfigError as error:
        raise MistakesInRule(by_field(draft, error.mistakes)) from error
    except UsageError as error:
        raise MistakesInRule({"where": error.lines[0]}) from error


def _personal_name(name: str, user: str) -> str:
    end = f"-{user.lower()}"
    return name if not name or name.endswith(end) else name + end


def _draft(here: RequestContext, body: Mapping[str, Any]) -> RuleDraft:
    metadata = decode_private_metadata(body)
    about, version = str(metadata.get("about") or ""), int(metadata.get("version") or 0)
    return draft_in(body, about=about, version=version, timezone=_zone(here))


def _zone(here: RequestContext) -> str:
    """The person's own time zone, where it has a name."""
    return str(getattr(here.zone_of(here.user), "key", "UTC"))


def _errors(problems: Mapping[str, str]) -> Reply:
    return {
        "response_action": "errors",
        "errors": {name: text[:1].upper() + text[1:] for name, text in problems.items()},
    }


def remove(here: RequestContext, name: str, *, key: str) -> Response:
    """Delete a rule for the person of the context. Raises UsageError."""
    here.require_operator()
    _require_may_change(here, name)
    delete_rule(here.database, here.book, name, by=here.user, now=here.clock(), key=key)
    here.wake()
    return responses.text_response(
        f":wastebasket: *{literal(name, 200)}* was deleted. Its open alerts are resolved now."
    )


def clicked_delete(request_context: RequestContext, body: Mapping[str, Any]) -> Done:
    """Delete the rule of the button."""
    here, action = request_context.for_whom(body), body["actions"][0]
    try:
        return Done(remove(here, str(action.get("value") or ""), key=f"click {action.get('action_ts')} {here.user}"))
    except UsageError as error:
        return Done(responses.error_response(error.public))


def listen(app: App, request_context: RequestContext, in_time: InTime) -> None:
    """Register what opens the form, and what is clicked in it."""

    @app.action("rule_new")
    def new(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        Surface(request_context, client, body).open(lambda: ask_rule(request_context, body))

    @app.action("rule_change")
    def change(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        name = str(body["actions"][0].get("value") or "")
        Surface(request_context, client, body).open(lambda: ask_rule(request_context, body, name))

    @app.action("rule_delete", middleware=[in_time])
    def delete(body: Mapping[str, Any], client: WebClient, context: BoltContext) -> None:
        act(Surface(request_context, client, body), context, lambda: clicked_delete(request_context, body))

    @app.action("rule_type")
    def choose_type(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        Surface(request_context, client, body).update(lambda: reshape(request_context, body))

    @app.action("rule_try")
    def attempt(ack: Ack, body: Mapping[str, Any], client: WebClient) -> None:
        ack()
        Surface(request_context, client, body).update_slowly(lambda: try_it(request_context, body))

    app.view("rule", middleware=[in_time])(submitted(request_context, save_rule))
