"""The context of a request: what answering needs, limited to what the person may see."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from alertbot import __version__
from alertbot.domain.alerts import Action, Alert
from alertbot.domain.evidence import Privacy, privacy_of, strictest
from alertbot.domain.oncall import OnCall
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.privacy import PERSONAL, redact_alert, redact_series
from alertbot.domain.reports import ActionResult, AlertRow, SilencePreview, StatusReport
from alertbot.domain.routes import Route
from alertbot.domain.rules import Rule, Selector
from alertbot.domain.silences import Matcher, Silence
from alertbot.domain.usage import Budgets, Usage
from alertbot.domain.visibility import NO_ACCESS, AccessScope, Viewer, VisibilityRule, access_scope_of
from alertbot.domain.windows import DAY, Calendar, TimeRange, Window, window_of
from alertbot.errors import UsageError
from alertbot.flows import alert_actions
from alertbot.flows.rulebook import Rulebook
from alertbot.queries.alert_list import alerts_by_number, list_alerts
from alertbot.queries.budget import budget_usages
from alertbot.queries.silence_preview import preview_silence
from alertbot.queries.status import status_report
from alertbot.slack.executors import Executors
from alertbot.slack.views.private_metadata import decode_private_metadata
from alertbot.store.database import Database
from alertbot.store.names import known_names

# What Slack calls a channel whose name it does not tell.
_NO_NAMES = {"", "directmessage", "privategroup"}
_NAMES_PEOPLE = frozenset({*PERSONAL, *(f"{name}_name" for name in PERSONAL)})


def _whence(body: Mapping[str, Any]) -> tuple[str, str, str]:
    """The user of a command, a click or a submitted view, and the id and the name of the channel."""
    user, channel = body.get("user") or {}, body.get("channel") or {}
    # In a modal Slack names no channel: the modal remembers the one that it was opened in.
    place = body.get("channel_id") or channel.get("id") or decode_private_metadata(body).get("channel") or ""
    name = body.get("channel_name") or channel.get("name") or ""
    return str(body.get("user_id") or user.get("id") or "somebody"), str(place), str(name)


def _nameless(_channel: str) -> str:
    return ""


def _utc(_user: str) -> tzinfo:
    return UTC


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What answering needs: the store, the clock, what is configured. `wake` has new notifications sent at once.

    `executors` are the threads that answer, `zone_of` gives a person's time zone, `upload` uploads a picture to Slack and
    returns its id, `routes` say how much of the evidence may be shown. `fixed` are the rules that the person may not
    change, because they cover more than the person may see. `for_person` and `for_whom` give the context of a person, in
    which hidden sources do not exist.
    """

    database: Database
    clock: Callable[[], datetime]
    wake: Callable[[], None]
    command: str
    intervals: Mapping[str, timedelta]
    blind_after: Mapping[str, timedelta]
    book: Rulebook
    on_call: Mapping[str, OnCall]
    operators: frozenset[str]
    members_of: Callable[[str], frozenset[str]]
    executors: Executors
    visibility: tuple[VisibilityRule, ...] = ()
    name_of_channel: Callable[[str], str] = _nameless
    zone_of: Callable[[str], tzinfo] = _utc
    upload: Callable[[bytes, str], str] | None = None
    prices: Prices = NOTHING_PRICED
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    fixed: frozenset[str] = frozenset()
    access: AccessScope = NO_ACCESS
    user: str = ""
    message_ref: str = ""

    def operators_now(self) -> frozenset[str]:
        """The users who are operators, those of user groups too."""
        groups = [name for name in self.operators if name.startswith("S")]
        return self.operators.union(*(self.members_of(name) for name in groups))

    def for_whom(self, body: Mapping[str, Any]) -> "RequestContext":
        """The context of whoever sent a command, a click or a submitted view."""
        return self.for_person(*_whence(body))

    def for_channel(self, body: Mapping[str, Any]) -> "RequestContext":
        """The context for what is posted to the channel of a click: only what everybody there may see."""
        user, channel, name = _whence(body)
        person = self.for_person(user, channel, name)
        everybody = self._with_access_of(Viewer("", self._places(channel, name)), user=user, channel=channel)
        if everybody.access.sources != person.access.sources:
            return everybody
        # Who sees no more than everybody else there may share what they wrote themselves.
        return person

    def for_person(self, user: str, channel: str = "", channel_name: str = "") -> "RequestContext":
        """The context of a person in a channel, in Home or in a modal: what they may not see does not exist in it."""
        viewer = Viewer(user)
        if self.visibility:  # else nobody has to be asked; with no operators nobody is one who sees all
            viewer = Viewer(user, self._places(channel, channel_name), user in self.operators_now())
        return self._with_access_of(viewer, user=user, channel=channel)

    def _with_access_of(self, viewer: Viewer, *, user: str, channel: str) -> "RequestContext":
        names = list(self.intervals)
        with self.database.reading() as tx:
            rules = self.book.rules(tx)
            stored = self.book.kept(tx).stored.values()
            access = access_scope_of(
                viewer,
                self.visibility,
                names,
                rules,
                names=lambda visible: known_names(tx, visible),
                own_rules={rule.name for rule in stored if viewer.user and rule.changed_by == viewer.user},
            )
        visible = access.sources
        shown = [(rule, shown_rule) for rule in rules if (shown_rule := access.rule_as_shown(rule, names)) is not None]
        return replace(
            self,
            intervals={name: self.intervals[name] for name in names if visible is None or name in visible},
            blind_after={name: self.blind_after[name] for name in names if visible is None or name in visible},
            on_call={name: turns for name, turns in self.on_call.items() if access.shows_handle(name)},
            rules=tuple(shown_rule for _, shown_rule in shown),
            fixed=frozenset(
                rule.name for rule, shown_rule in shown if rule != shown_rule or not access.is_within(rule.where)
            ),
            access=access,
            user=user,
            message_ref=channel,
        )

    def _places(self, channel: str, name: str) -> frozenset[str]:
        """The names of a channel. Slack is asked only if it did not send the name and `visibility` needs it."""
        if (
            name in _NO_NAMES
            and channel
            and any(place.startswith("#") for entry in self.visibility for place in entry.channels)
        ):
            name = self.name_of_channel(channel)
        return frozenset({channel, *([f"#{name}"] if name not in _NO_NAMES else [])} - {""})

    def may_operate(self) -> bool:
        """Whether the person may silence, mute and edit rules. Nobody configured means everybody."""
        return not self.operators or self.user in self.operators_now()

    def require_operator(self) -> None:
        """Raise UsageError unless the person may silence."""
        if not self.may_operate():
            raise UsageError("only operators may do this; ask one of them, or snooze the alert for up to a day")

    def window(self, time_range: TimeRange | None) -> Window:
        """The window that the person means, in their time zone; by default the last 24 hours."""
        zone = self.zone_of(self.user) if isinstance(time_range, Calendar) else UTC
        return window_of(time_range or DAY, self.clock(), zone)

    def privacy(self) -> dict[str, Privacy]:
        """How much of the evidence of each source is shown, and whether people are named."""
        return {name: privacy_of(name, self.routes) for name in self.intervals}

    def require_names_allowed(self, *dimensions: str) -> None:
        """Raise UsageError if a filter selects people and people are not named here."""
        for dimension in dimensions:
            if dimension in _NAMES_PEOPLE and not self.tells_names():
                raise UsageError(
                    f"{dimension} is not shown here (privacy), so it cannot be used to filter; use rule, source or ai_llm"
                )

    def tells_names(self) -> bool:
        """Whether people, repositories, keys and hosts are named, whatever source they are of."""
        return strictest(self.privacy().values()) is Privacy.FULL

    def rule_without_people(self, rule: Rule) -> Rule:
        """The rule as a list of rules shows it: without patterns that name people where people are not named."""
        if self.tells_names():
            return rule
        globs = ((name, ("…",) if name in _NAMES_PEOPLE else patterns) for name, patterns in rule.where.globs)
        return replace(rule, where=Selector(tuple(globs)))

    def redact(self, alert: Alert) -> Alert:
        """The alert as an answer may show it: by the strictest route of its source."""
        return redact_alert(alert, privacy_of(alert.labels.get("source", ""), self.routes))

    # --- what exists for the person

    def status(self) -> StatusReport:
        """How the bot and its sources are."""
        report = status_report(
            self.database,
            version=__version__,
            intervals=self.intervals,
            blind_after=self.blind_after,
            now=self.clock(),
            access=self.access,
        )
        return replace(report, silences=len(self.silences()))

    def open_alerts(self) -> list[AlertRow]:
        """The alerts that are pending or firing."""
        rows = list_alerts(self.database, access=self.access)
        return [replace(row, alert=self.redact(row.alert)) for row in rows]

    def budgets(self) -> Budgets:
        """How far each budget is used."""
        budgets = budget_usages(
            self.database, rules=self.rules, intervals=self.intervals, now=self.clock(), prices=self.prices
        )
        return replace(budgets, usages=tuple(self._redact_usage(usage) for usage in budgets.usages))

    def _redact_usage(self, usage: Usage) -> Usage:
        privacy = privacy_of(usage.series.labels.get("source", ""), self.routes)
        return replace(usage, series=redact_series(usage.series, privacy))

    def find(self, name: str) -> tuple[int, ...]:
        """The alerts that a short id means: A42 one, G17 all of a message. Raises UsageError where there is none."""
        return alert_actions.find(self.database, name, access=self.access)

    def alerts(self, name: str) -> list[Alert]:
        """The alerts that a short id means, as they are now, redacted. Raises UsageError where there is none."""
        return [self.redact(alert) for alert in self.whole_alerts(name)]

    def whole_alerts(self, name: str) -> list[Alert]:
        """The same without redaction: for look-ups, not for showing."""
        return alerts_by_number(self.database, self.find(name))

    def act(self, name: str, action: Action) -> ActionResult:
        """Do something to the alerts that a short id means. Raises UsageError where there is none."""
        result = alert_actions.act(self.database, self.find(name), action)
        self.wake()
        return replace(result, outcomes=tuple((self.redact(alert), outcome) for alert, outcome in result.outcomes))

    def silences(self) -> list[Silence]:
        """The active and upcoming silences."""
        silences = alert_actions.list_silences(self.database, now=self.clock())
        shown = [self.access.silence_as_shown(silence) for silence in silences]
        return [self._without_people(silence) for silence in shown if silence is not None]

    def preview_silence(self, matchers: Sequence[Matcher]) -> SilencePreview:
        """What a silence with these matchers mutes now, of what exists for the person."""
        preview = preview_silence(
            self.database, matchers, rules=self.rules, intervals=self.intervals, now=self.clock(), access=self.access
        )
        return replace(preview, muted=[self.redact(alert) for alert in preview.muted])

    def _without_people(self, silence: Silence) -> Silence:
        if self.tells_names():
            return silence
        matchers = (
            replace(matcher, value="…") if matcher.label in _NAMES_PEOPLE else matcher for matcher in silence.matchers
        )
        return replace(silence, matchers=tuple(matchers))

    # --- what they may do: it reaches no further than what they see

    def confined(self, matchers: Sequence[Matcher]) -> tuple[Matcher, ...]:
        """The matchers of a new silence, limited to what the person may see. Raises UsageError."""
        self.require_names_allowed(*(matcher.label for matcher in matchers))
        if not self.intervals:
            raise UsageError("there is no source to silence")
        return self.access.confined(matchers)

    def may_end(self, silence: Silence) -> bool:
        """Whether the person may end a silence that they see."""
        return self.may_operate() and self.access.covers(silence.matchers)

    def require_may_end(self, silence: Silence) -> None:
        """Raise UsageError unless they may."""
        self.require_operator()
        if not self.may_end(silence):
            raise UsageError("this silence covers more than you can see; ask somebody who sees every source to end it")
