"""Plays a test to the flows of the live bot: a database of its own, simulated time, sources that answer as written."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from alertbot.domain.alerts import Action, ActionType, Alert, State
from alertbot.domain.rules import Absence, Rule
from alertbot.domain.silences import SilenceRequest
from alertbot.domain.snapshots import Configuration, Counter, Snapshot
from alertbot.errors import FlashbackUnavailable
from alertbot.flows import alert_actions
from alertbot.flows.collect import FeedPoll, PollOutcome, collect
from alertbot.flows.evaluate import EvaluationContext, blind_rule, evaluate
from alertbot.flows.notify import notify_due
from alertbot.rule_tests.compare import (
    Difference,
    Stage,
    compare_heard,
    compare_state,
    named_in,
    report_broken,
    since_start,
)
from alertbot.rule_tests.keys import Deed, Drawn, Nothing, Selected
from alertbot.rule_tests.reading import RuleTest
from alertbot.store import alerts, groups, migrate, outbox, sources
from alertbot.store.database import Database

_OWNER = "rules test"
_TICK = timedelta(milliseconds=1)  # what ends "inclusive" is over just after


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a test: no differences where everything was as expected."""

    file: Path
    name: str
    differences: tuple[Difference, ...]


def run_rule_tests(tests: Iterable[RuleTest]) -> Iterator[Result]:
    """Play each test, one after the other, each from an empty database on."""
    with tempfile.TemporaryDirectory(prefix="alertbot-rules-") as folder:
        file, template = Path(folder) / "test.db", Path(folder) / "template.db"
        # One engine for all tests: what it has compiled of each statement is most of a short test's time.
        database = Database(f"sqlite:///{file}", durable=False)
        migrate.upgrade(database)
        database.close()  # the last one out writes what is in the WAL back into the file
        shutil.copyfile(file, template)
        for test in tests:
            shutil.copyfile(template, file)
            try:
                yield Result(test.file, test.keys.name, Play(test, database).run())
            finally:
                database.close()


class Player:
    """One source: answers each poll as the test has written it. `turn` is the number of the last poll, from 0."""

    def __init__(self, drawn: Sequence[Drawn], described: Sequence[Configuration]) -> None:
        self.turn = -1
        self._drawn = drawn
        self._described = tuple(described)

    def read(self, _last_at: datetime | None, /) -> tuple[tuple[Snapshot, ...], tuple[Configuration, ...] | None]:
        """The next poll. Raises FlashbackUnavailable for one that was missed."""
        self.turn += 1
        return self.answer(), self._described or None

    def answer(self) -> tuple[Snapshot, ...]:
        """What this poll finds. Raises FlashbackUnavailable where it was missed."""
        samples = [(drawn, drawn.sample(self.turn)) for drawn in self._drawn]
        if any(sample is Nothing.MISSED for _, sample in samples):
            raise FlashbackUnavailable("the poll was missed, as the test says", endpoint="rules test")
        absent = {drawn.ai_llm for drawn, sample in samples if sample is Nothing.ABSENT}
        totals: dict[str, dict[Counter, int]] = {drawn.ai_llm: {} for drawn, _ in samples if drawn.ai_llm not in absent}
        for drawn, sample in samples:
            if isinstance(sample, int) and drawn.ai_llm in totals:
                totals[drawn.ai_llm][drawn.counter] = sample
        return tuple(Snapshot(ai_llm, counters) for ai_llm, counters in totals.items())


class Play:
    """One test on its database."""

    def __init__(self, test: RuleTest, database: Database) -> None:
        self._test = test
        self._database = database
        self._context = _context_of(test)
        self._stage = Stage(test, self._context, database)
        self._feed_polls = [_feed_poll(test, name) for name in self._context.intervals]
        self._by_clock = [rule for rule in self._context.rules if rule.is_about_readings]
        self._read_at = dict.fromkeys(self._context.intervals, test.start)
        self._recovered_at = dict.fromkeys(self._context.intervals, test.start)
        self._silent: set[str] = set()
        self._broken: set[str] = set()
        self._stops = {test.start + entry.at for entry in _entries(test)}
        with database.transaction() as tx:
            sources.register(tx, list(self._context.intervals))

    def run(self) -> tuple[Difference, ...]:
        """Go from poll to poll, and to every moment between them at which something may happen or is expected."""
        found: list[Difference] = []
        moment, end = self._test.start, self._test.start + self._test.length
        while moment <= end:
            found += self._act_and_check(moment)
            moment = self._next(moment)
        with self._database.reading() as tx:
            found += compare_heard(tx, self._test, outbox.sent_notifications(tx))
        return tuple(sorted(found, key=lambda one: one.at))

    def _act_and_check(self, now: datetime) -> Iterator[Difference]:
        if not (now - self._test.start) % self._test.interval:
            for feed_poll in self._feed_polls:
                self._note(feed_poll.name, collect(self._database, feed_poll, owner=_OWNER, now=now, at_once=True), now)
        evaluate(self._database, self._context, now=now)
        notify_due(self._database, now=now)
        for name in sorted(self._context.broken & (named_in(self._test) or self._context.broken) - self._broken):
            self._broken.add(name)
            yield report_broken(self._stage, name, now)
        for number, deed in enumerate(self._test.keys.acts):
            if self._test.start + deed.at == now:
                yield from self._do(deed, number, now)
        for expectation in self._test.keys.expect:
            if self._test.start + expectation.at == now:
                yield from compare_state(self._stage, expectation, now)

    def _note(self, name: str, polled: PollOutcome, now: datetime) -> None:
        if polled is not PollOutcome.READ:
            self._silent.add(name)
            return
        if name in self._silent:
            self._silent.discard(name)
            self._recovered_at[name] = now
        self._read_at[name] = now

    def _next(self, now: datetime) -> datetime:
        """When to look again: at the next poll, or before it where the live bot, which looks each second, would act."""
        turn = (now - self._test.start) // self._test.interval + 1
        moments = {self._test.start + turn * self._test.interval, *self._stops, *self._clock_moments()}
        with self._database.reading() as tx:
            look_at = groups.next_check_at(tx)
        if look_at is not None:
            moments.add(max(look_at, now + _TICK))
        return min(moment for moment in moments if moment > now)

    def _clock_moments(self) -> Iterator[datetime]:
        """When a rule about the readings themselves may change though none comes."""
        for rule in self._by_clock:
            assert isinstance(rule.condition, Absence), "the only rules that are judged by the clock"
            for name in self._context.intervals:
                if rule.where.selects({"source": name}):
                    yield self._read_at[name] + rule.condition.window
                    yield self._recovered_at[name] + rule.keep_firing

    def _do(self, deed: Deed, number: int, now: datetime) -> Iterator[Difference]:
        """What a person does at this moment."""
        if deed.matchers is not None:
            request = SilenceRequest(deed.matchers, deed.lasts, "")
            alert_actions.add_silence(self._database, request, author=deed.by, now=now)
            return
        meant = self._meant(deed)
        if not meant:
            at = since_start(self._test, now)
            yield Difference(at, f"{deed.alert}", f"an alert to {deed.do}", "none", "it never fired until then")
            return
        kind, until = ActionType(deed.do), now + deed.lasts if deed.lasts else None
        act = Action(kind, deed.by, now, key=f"act {number}", text=deed.to or deed.text, until=until)
        alert_actions.act(self._database, [alert.number for alert in meant], act)

    def _meant(self, deed: Selected) -> list[Alert]:
        """The open alerts that an act is about; where there are none, the newest that ended."""
        series = self._test.series_of(deed)
        with self._database.reading() as tx:
            known = alerts.listed(tx, states=[State.PENDING, State.FIRING, State.RESOLVED])
        fitting = [alert for alert in known if alert.rule == deed.alert and series in {None, alert.series}]
        return [alert for alert in fitting if alert.state.is_open] or fitting[:1]


def _entries(test: RuleTest) -> list[Selected]:
    return [*test.keys.expect, *(test.keys.heard or ()), *test.keys.acts]


def _context_of(test: RuleTest) -> EvaluationContext:
    """As the live bot watches, but for the routes' group_wait."""
    intervals = dict.fromkeys((drawn.source for drawn in test.keys.readings), test.interval)
    blind: list[Rule] = [blind_rule(name, test.blind_after[name]) for name in intervals]
    routes = tuple(replace(route, group_wait=test.group_wait) for route in test.ruleset.routes)
    ruleset = test.ruleset
    return EvaluationContext((*ruleset.rules, *blind), routes, intervals, ruleset.operator_channel, ruleset.prices)


def _feed_poll(test: RuleTest, name: str) -> FeedPoll:
    drawn = [one for one in test.keys.readings if one.source == name]
    described = [known for (source, _), known in test.described.items() if source == name]
    return FeedPoll(name, test.interval, test.interval, Player(drawn, described))
