"""A scene in simulated time: sources that answer as drawn on paper, the flows as the bot calls them, and a fake Slack.

`Scene(database, "0 0 3 _ 9", rule()).until(4)` polls each minute up to minute 4, and looks again between the polls
whenever the bot has something to do. What is drawn is written as for tests/builders.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

import sqlalchemy as sa

from alertbot.app.wiring import RULE_PARSER
from alertbot.domain.alerts import Action, ActionType, Alert, State
from alertbot.domain.columns import Amount
from alertbot.domain.history import History, group, increase
from alertbot.domain.notifications import NotificationKind
from alertbot.domain.reports import ActionResult
from alertbot.domain.routes import Route
from alertbot.domain.rules import EVERYTHING, Rule
from alertbot.domain.snapshots import Configuration, Counter, Snapshot
from alertbot.errors import FlashbackError
from alertbot.flows import alert_actions
from alertbot.flows.collect import FeedPoll, PollOutcome, collect
from alertbot.flows.deliver import Delivery, claim_due, deliver, probe_broken
from alertbot.flows.evaluate import EvaluationContext, blind_rule, evaluate
from alertbot.flows.give_up import give_up_old
from alertbot.flows.notify import notify_due
from alertbot.flows.rulebook import Rulebook
from alertbot.rule_tests import runner
from alertbot.rule_tests.keys import Drawn, Nothing, parse_samples
from alertbot.store import alerts, configurations, groups, outbox, slices, sources
from alertbot.store.database import Database, Tx
from alertbot.store.tables import outbox as outbox_table
from alertbot.store.tables import transitions
from tests.builders import MINUTE, START, at
from tests.fakes import FakeSlack, KilledError

CHANNEL, LEADS, BOTS, FALLBACK = "#ai-alerts", "#leads", "#bots", "#fallback"
AT_ONCE = Route(CHANNEL, group_wait=timedelta(0))
Written = str | Mapping[str, str | Mapping[str, str]]
_LONGEST = 10_000  # polls of a scene


class Player(runner.Player):
    """One source: answers each poll as it was drawn, or as `errors` and `described` say for a turn."""

    def __init__(self, drawn: Sequence[Drawn]) -> None:
        super().__init__(drawn, described=())
        self.asked = 0
        self.errors: dict[int, FlashbackError] = {}
        self.described: dict[int, tuple[Configuration, ...]] = {}

    def read(self, last_at: datetime | None, /) -> tuple[tuple[Snapshot, ...], tuple[Configuration, ...] | None]:
        self.asked += 1
        if self.turn in self.errors:
            raise self.errors[self.turn]
        return self.answer(), self.described.get(self.turn)


class Scene:
    """The bot on a stage."""

    def __init__(
        self,
        database: Database,
        drawn: Written,
        *rules: Rule,
        routes: Sequence[Route] = (AT_ONCE,),
        interval: timedelta = MINUTE,
        blind_after: timedelta | None = None,
    ) -> None:
        self.database = database
        self.slack = FakeSlack()
        self.alarms: list[str] = []
        self.now = START
        self.interval = interval
        self.is_feed_poll = self.is_evaluating = self.is_sending = True
        self.players = _players(drawn)
        blind = tuple(blind_rule(name, blind_after) for name in self.players) if blind_after else ()
        self.context = _context((*rules, *blind), routes, dict.fromkeys(self.players, interval))
        self._polled: datetime | None = None
        self._lives = 0
        self._live()

    def _live(self) -> None:
        self._lives += 1
        self.owner = f"process {self._lives}"
        self.delivery = Delivery(self.slack, self.owner, lambda: self.now, FALLBACK, BOTS, alarm=self.alarms.append)
        with self.database.transaction() as tx:
            sources.register(tx, list(self.players))

    # --- what happens

    def until(self, minute: float) -> "Scene":
        """Let time pass up to a moment, that moment included."""
        while (moment := self._next()) <= at(minute):
            self.now = moment
            self.act()
        if self.now != at(minute):
            self.now = at(minute)
            self.act()
        return self

    def rest_until(self, minute: float) -> "Scene":
        """The same without a poll: quicker, where no reading would change anything."""
        self.is_feed_poll = False
        self.until(minute)
        self.is_feed_poll = True
        return self

    def act(self) -> "Scene":
        """Do what the bot does each second, once, at the present moment."""
        if self.is_feed_poll and not (self.now - START) % self.interval and self._polled != self.now:
            self._polled = self.now
            for name in self.players:
                self.poll(name)
        if self.is_evaluating:
            evaluate(self.database, self.context, now=self.now)
            notify_due(self.database, now=self.now)
        if self.is_sending:
            self.send()
        return self

    def poll(self, name: str = "acme", *, at_once: bool = False) -> PollOutcome:
        player = self.players[name]
        player.turn = (self.now - START) // self.interval
        feed_poll = FeedPoll(name, self.interval, 2 * self.interval, player)
        return collect(
            self.database, feed_poll, owner=self.owner, now=self.now, at_once=at_once, recent=self.context.recent
        )

    def send(self) -> None:
        give_up_old(self.database, operators=BOTS, now=self.now)
        probe_broken(self.database, self.delivery)
        while rows := claim_due(self.database, self.delivery):
            for row in rows:
                deliver(self.database, self.delivery, row)

    def send_and_die(self) -> None:
        """The process is killed in the middle of sending, and another one starts."""
        try:
            self.send()
        except KilledError:
            self.slack.mend()
        else:
            raise AssertionError("nothing was sent that could have been interrupted")
        self.restart()

    def restart(self, *, rules: Sequence[Rule] | None = None, routes: Sequence[Route] | None = None) -> "Scene":
        """Another process on the same database, with the same configuration or another one."""
        self.database.close()
        blind = tuple(rule for rule in self.context.rules if rule.builtin)
        kept = tuple(rule for rule in self.context.rules if not rule.builtin) if rules is None else tuple(rules)
        self.context = _context((*kept, *blind), routes or self.context.routes, self.context.intervals)
        self._live()
        return self

    def person(
        self,
        kind: ActionType,
        name: str = "A1",
        *,
        who: str = "U1",
        key: str = "",
        text: str = "",
        lasts: float = 0,
        has_fixed_end: bool = False,
    ) -> ActionResult:
        """Somebody does something to an alert (A1) or to a message (G1); what it causes is sent at once."""
        until = self.now + timedelta(minutes=lasts) if lasts else None
        key = key or f"{kind} {name} {self.now}"
        act = Action(kind, who, self.now, key, text=text, until=until, has_fixed_end=has_fixed_end)
        acted = alert_actions.act(self.database, alert_actions.find(self.database, name), act)
        if self.is_sending:
            self.send()
        return acted

    def _next(self) -> datetime:
        """The next moment at which the bot has something to do; far away where it does nothing by itself."""
        moments = [START + timedelta(days=3650)]
        if self.is_feed_poll:
            turn = (self.now - START) // self.interval + 1
            moments.append(START if self._polled is None else START + turn * self.interval)
        with self.database.reading() as tx:
            moments += [
                moment
                for moment in (groups.next_check_at(tx), next_due(tx) if self.is_sending else None)
                if moment is not None and moment > self.now
            ]
        return min(moments)

    # --- what came of it

    def grown(self, window: float = 10_000, metric: str = "policy_violations") -> dict[str, Amount | None]:
        """How far each configuration has grown in the last minutes."""
        start, end = self.now - timedelta(minutes=window), self.now
        with self.database.reading() as tx:
            states = sources.states(tx, self.context.intervals)
            members = configurations.members(tx, states)
            wanted = dict.fromkeys(((name, moment) for name in states for moment in (start, end)), frozenset(Counter))
            history = History(states, members, slices.slices(tx, wanted))
        found = group(members.values(), "ai_llm", EVERYTHING)
        return {one.labels["ai_llm"]: increase(history, one, metric, start, end).value for one in found}

    def heard(self) -> list[str]:
        """What people heard, each with the minute of the evaluation that caused it: `4 first`."""
        with self.database.reading() as tx:
            return [
                f"{_minute(moment)} {notification.kind}"
                for moment, notification in outbox.sent_notifications(tx)
                if notification.kind is not NotificationKind.OPERATOR
            ]

    def told_operators(self) -> list[str]:
        with self.database.reading() as tx:
            return [
                line
                for _, notification in outbox.sent_notifications(tx)
                if notification.kind is NotificationKind.OPERATOR
                for line in notification.lines
            ]

    def alerts(self, *states: State) -> list[Alert]:
        """The alerts in these states, all of them without any; the oldest first."""
        with self.database.reading() as tx:
            return alerts.listed(tx, states=states or list(State))[::-1]

    def standing(self) -> list[str]:
        """The alerts that wait or fire, in words: `llm-1 firing warning 9`."""
        return [
            f"{alert.labels.get('ai_llm', alert.series)} {alert.state} {alert.severity} {_number(alert.value)}"
            for alert in self.alerts(State.PENDING, State.FIRING)
        ]

    def changes(self) -> list[str]:
        """Every transition, in words: `4 none → firing: the condition became true`."""
        with self.database.reading() as tx:
            rows = tx.execute(sa.select(transitions).order_by(transitions.c.number)).all()
        return [f"{_minute(row.at)} {row.before} → {row.after}: {row.reason}" for row in rows]


def next_due(tx: Tx) -> datetime | None:
    """When the next waiting entry of the outbox is due."""
    waiting = outbox_table.c.state == "waiting"
    moment: datetime | None = tx.execute(sa.select(sa.func.min(outbox_table.c.due_at)).where(waiting)).scalar()
    return moment


def _context(rules: Sequence[Rule], routes: Sequence[Route], intervals: Mapping[str, timedelta]) -> EvaluationContext:
    """As the bot watches: people may make more rules."""
    return EvaluationContext(tuple(rules), tuple(routes), dict(intervals), BOTS, book=Rulebook(rules, RULE_PARSER))


def _players(written: Written) -> dict[str, Player]:
    drawn: dict[str, list[Drawn]] = {}
    for key, given in ({"acme/llm-1": written} if isinstance(written, str) else written).items():
        source, ai_llm = key.split("/", 1)
        for name, text in ({"policy_violations": given} if isinstance(given, str) else given).items():
            polls = parse_samples(text)
            silence = polls[-1:] * _LONGEST if polls[-1] is Nothing.MISSED else ()  # nobody answers from then on
            drawn.setdefault(source, []).append(Drawn(source, ai_llm, Counter(name), (*polls, *silence)))
    return {source: Player(series) for source, series in drawn.items()}


def _minute(moment: datetime) -> str:
    return f"{(moment - START) / MINUTE:.4g}"


def _number(value: Fraction | None) -> str:
    return "unknown" if value is None else str(value)


def named(rule: Rule, name: str) -> Rule:
    return replace(rule, name=name)
