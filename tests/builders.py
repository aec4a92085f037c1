"""Small builders, so that tests draw series as on paper: `increase(polled("5 8 1 2")) == 5`.

A series is drawn as in the tests of rules: `a+bxn` is a, a+b, … a+n·b, `axn` is a, n+1 times, `_` a poll of the whole
source that was missed, `_xn` n of them, `-` a good reading without the configuration; after its end the last value is
repeated. Here `?` also is a good reading of the configuration that does not give the counter.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import settings

from alertbot.domain import history as past
from alertbot.domain.alerts import Alert, State, Transition, advance
from alertbot.domain.columns import Amount
from alertbot.domain.findings import Finding, Verdict, check, check_some, moments
from alertbot.domain.history import CounterReset, History, Member, Series, Slice, SourceState
from alertbot.domain.rules import (
    EVERYTHING,
    Absence,
    Budget,
    Burn,
    Comparison,
    Condition,
    Levels,
    Period,
    Rate,
    Ratio,
    Rule,
    Selector,
    Severity,
    Spike,
    Threshold,
)
from alertbot.domain.series import Odometers, first_sight, read_on
from alertbot.domain.snapshots import Counter
from alertbot.domain.standing import Standing
from alertbot.domain.times import parse_duration
from alertbot.rule_tests.keys import Nothing, Sample, parse_samples
from alertbot.store import snapshots
from alertbot.store.database import Tx
from alertbot.store.snapshots import Counted

START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
patiently = settings(deadline=None)  # a busy machine breaks no promise


def at(minute: float) -> datetime:
    """The moment so many minutes after the start."""
    return START + minute * MINUTE


def minutes(count: float) -> timedelta:
    return count * MINUTE


def write_slice(tx: Tx, reading: int, counted: Iterable[Counted], taken_at: datetime) -> None:
    """Store a reading of configurations as counting left them."""
    counted = list(counted)
    listed = {f"llm-{one.number}": one.number for one in counted if not one.absent}
    snapshots.write_standing(tx, reading, Standing.of({one.number: one.odometers for one in counted}, listed))
    snapshots.write_totals(tx, counted, taken_at)


@dataclass
class Polled:
    """What was read so far, remembered as the store remembers it: slices of odometers, falls, first sights."""

    interval: timedelta = MINUTE
    members: dict[int, Member] = field(default_factory=dict)
    counter_resets: list[CounterReset] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    _taken: dict[str, list[tuple[datetime, frozenset[int]]]] = field(default_factory=dict)
    _odometers: dict[str, list[dict[int, Odometers]]] = field(default_factory=dict)

    def read(self, source: str, taken_at: datetime, totals: Mapping[str, Mapping[Counter, int]]) -> None:
        """Apply a good reading: a configuration that is not in it is absent."""
        taken, slices = self._taken.setdefault(source, []), self._odometers.setdefault(source, [])
        odometers = dict(slices[-1]) if slices else {}
        known = {self.members[number].labels["ai_llm"]: number for number in odometers}
        for ai_llm, seen in totals.items():
            if ai_llm in known:
                odometers[known[ai_llm]], steps = read_on(odometers[known[ai_llm]], seen)
                self.counter_resets += [
                    CounterReset(known[ai_llm], step.counter, step.kind, taken_at, step.last, step.seen)
                    for step in steps
                ]
            else:
                number = len(self.members) + 1
                labels = {"source": source, "ai_llm": ai_llm, "name": ai_llm.upper(), "provider": ai_llm.split("-")[0]}
                self.members[number] = Member(number, labels, taken_at)
                odometers[number] = first_sight(seen, from_zero=bool(slices))
        absent = frozenset(number for ai_llm, number in known.items() if ai_llm not in totals)
        taken.append((taken_at, absent))
        slices.append(odometers)

    def moments(self) -> list[datetime]:
        """When readings were taken, oldest first."""
        return sorted({moment for taken in self._taken.values() for moment, _ in taken})

    def slice_as_of(self, source: str, moment: datetime) -> Slice:
        """The newest reading at or before the moment; before the first reading, the first reading."""
        taken = self._taken[source]
        place = max((index for index, (taken_at, _) in enumerate(taken) if taken_at <= moment), default=0)
        grown: dict[str, dict[int, Amount]] = {
            counter: {
                number: odometers[counter].grown
                for number, odometers in self._odometers[source][place].items()
                if odometers[counter].total is not None
            }
            for counter in Counter
        }
        next_at = taken[place + 1][0] if place + 1 < len(taken) else None
        return Slice(taken[place][0], next_at, grown, taken[place][1])

    def sources(self, now: datetime) -> dict[str, SourceState]:
        """The sources as they were known at a moment; one of `failing` was never read where nothing was."""
        found = {}
        for name in sorted({*self._taken, *self.failing}):
            read = [moment for moment, _ in self._taken.get(name, []) if moment <= now]
            first_at, read_at = (read[0], read[-1]) if read else (None, None)
            found[name] = SourceState(name, self.interval, first_at, read_at, START, failing=name in self.failing)
        return found

    def history(self, now: datetime, *wanted: datetime) -> History:
        """What rules are judged by at a moment, with the slices as of the wanted moments."""
        members = {number: member for number, member in self.members.items() if member.seen_at <= now}
        slices = {
            (source, moment): self.slice_as_of(source, moment)
            for source, taken in self._taken.items()
            if taken[0][0] <= now
            for moment in wanted
        }
        counter_resets = [counter_reset for counter_reset in self.counter_resets if counter_reset.at <= now]
        return History(self.sources(now), members, slices, counter_resets)


def readings(drawn: Mapping[str, Mapping[str, str]], *, interval: timedelta = MINUTE) -> Polled:
    """What was read of many configurations: `{"acme/llm-1": {"policy_violations": "0 0 3 _ 9"}}`."""
    series = []
    for key, counters in drawn.items():
        source, ai_llm = key.split("/", 1)
        series += [(source, ai_llm, Counter(counter), parse_samples(text)) for counter, text in counters.items()]
    polled = Polled(interval)
    for turn in range(max(len(polls) for *_, polls in series)):
        now = [(source, ai_llm, counter, polls[min(turn, len(polls) - 1)]) for source, ai_llm, counter, polls in series]
        for source in dict.fromkeys(source for source, *_ in now):
            mine = [answer for answer in now if answer[0] == source]
            if all(sample is not Nothing.MISSED for *_, sample in mine):
                polled.read(source, START + turn * interval, _totals(mine))
    return polled


def _totals(answers: Iterable[tuple[str, str, Counter, Sample]]) -> dict[str, dict[Counter, int]]:
    totals: dict[str, dict[Counter, int]] = {}
    for _, ai_llm, counter, sample in answers:
        if sample is Nothing.ABSENT:
            continue
        given = totals.setdefault(ai_llm, {})
        if isinstance(sample, int):
            given[counter] = sample
    return totals


def polled(violations: str, *, interval: timedelta = MINUTE, **others: str) -> Polled:
    """What was read of one configuration, its policy violations first: `polled("5 8 1 2", api_calls="9 9 1 2")`."""
    return readings({"acme/llm-1": {"policy_violations": violations, **others}}, interval=interval)


def only_series(metric_of: Polled) -> Series:
    (series,) = past.group(metric_of.members.values(), "all", EVERYTHING)
    return series


def increase(
    of: Polled, metric: str = "policy_violations", *, since: float | None = None, until: float | None = None
) -> Amount | None:
    """Growth of everything over (since, until], in minutes; over all that was read unless said otherwise."""
    return grown(of, metric, since=since, until=until).value


def grown(
    of: Polled, metric: str = "policy_violations", *, since: float | None = None, until: float | None = None
) -> past.Increase:
    """The increase of everything, with what it was measured from."""
    taken = of.moments()
    start, end = taken[0] if since is None else at(since), taken[-1] if until is None else at(until)
    return past.increase(of.history(end, start, end), only_series(of), metric, start, end)


def fallen(of: Polled) -> list[str]:
    """The falls in words: `held 8→1`."""
    return [f"{counter_reset.kind} {counter_reset.last}→{counter_reset.seen}" for counter_reset in of.counter_resets]


def levels(
    comparison: Comparison, given: float | str | Mapping[str, float | str], clear: float | None = None
) -> Levels:
    """A number is a warning; `{"warning": 5, "critical": 20}` are levels."""
    named = given if isinstance(given, Mapping) else {"warning": given}
    thresholds = tuple((Severity(severity), Fraction(number)) for severity, number in named.items())
    return Levels(comparison, thresholds, None if clear is None else Fraction(clear))


def threshold(
    metric: str = "policy_violations",
    *,
    window: str = "15m",
    clear: float | None = None,
    **compared: float | Mapping[str, float | str],
) -> Threshold:
    """`threshold(above={"warning": 5, "critical": 20})`."""
    ((comparison, given),) = compared.items()
    return Threshold(metric, parse_duration(window), levels(Comparison(comparison), given, clear))


def rate(given: float, *, window: str = "2m", unit: str = "1m", comparison: str = "above") -> Rate:
    return Rate(
        "policy_violations", parse_duration(window), parse_duration(unit), levels(Comparison(comparison), given)
    )


def ratio(given: float | str, *, window: str = "2m", min_of: int = 1, comparison: str = "above") -> Ratio:
    found = levels(Comparison(comparison), given)
    return Ratio("policy_violations", "api_calls", parse_duration(window), min_of, found)


def burn(factor: float | str | Mapping[str, float | str] = 2) -> Burn:
    """100 violations in 100 minutes are the budget: one a minute is what may burn."""
    windows = (minutes(5), minutes(2))
    return Burn("policy_violations", windows, Fraction(100), minutes(100), levels(Comparison.ABOVE, factor))


def absence(metric: str | None = "policy_violations", window: str = "3m") -> Absence:
    return Absence(metric, parse_duration(window), Severity.WARNING)


def spike(
    factor: float | str | Mapping[str, float | str] = 3,
    *,
    window: str = "1m",
    baseline: str | None = None,
    same_hour: int | None = None,
    timezone: str = "UTC",
    at_least: int = 1,
    clear: float | None = None,
) -> Spike:
    found = levels(Comparison.AT_LEAST, factor, clear)
    before = None if baseline is None else parse_duration(baseline)
    return Spike("policy_violations", parse_duration(window), found, at_least, before, same_hour, timezone)


def budget(
    period: Period = Period.HOUR,
    *,
    amount: int = 100,
    levels_at: Mapping[str, float | str] | None = None,
    timezone: str = "UTC",
    week_starts: int = 0,
    forecast: bool = False,
) -> Budget:
    """Of 100 violations an hour, warning at 80 % and critical at 100 % unless said otherwise."""
    found = levels(Comparison.AT_LEAST, levels_at or {"warning": 80, "critical": 100})
    return Budget("policy_violations", Fraction(amount), period, found, timezone, week_starts, forecast)


def rule(
    condition: Condition | None = None,
    *,
    hold: str = "0s",
    keep_firing: str = "0s",
    where: Selector = EVERYTHING,
    per: str = "ai_llm",
    labels: Mapping[str, str] | None = None,
) -> Rule:
    """A rule that is called "rule"; more than 5 violations in 15 minutes unless said otherwise."""
    return Rule(
        "rule",
        condition or threshold(above=5),
        per,
        where,
        parse_duration(hold),
        parse_duration(keep_firing),
        labels or {},
    )


def only(**globs: str) -> Selector:
    """`only(source="acme")`."""
    return Selector(tuple((dimension, (pattern,)) for dimension, pattern in globs.items()))


def findings(of: Polled, judged: Rule, minute: float) -> list[Finding]:
    """What the rule sees for each of its series; also that nothing which is true is screened out."""
    now = at(minute)
    frame = of.history(now)
    history = of.history(now, *moments(judged, frame, now))
    seen = check(judged, history, now)
    key = seen[0].series.key if seen else ""
    some = check_some(judged, history, now, keys=[key])
    assert [one for one in seen if one.verdict is Verdict.TRUE or one.series.key == key] == [
        one for one in some if one.verdict is Verdict.TRUE or one.series.key == key
    ]
    return seen


def finding(of: Polled, judged: Rule, minute: float) -> Finding:
    """What the rule sees for its one series."""
    (found,) = findings(of, judged, minute)
    return found


def verdicts(of: Polled, judged: Rule) -> str:
    """What the rule sees of its one series at each reading: T true, f false, - nothing can be said."""
    marks = {Verdict.TRUE: "T", Verdict.FALSE: "f", Verdict.UNKNOWN: "-"}
    return " ".join(marks[finding(of, judged, (moment - START) / MINUTE).verdict] for moment in of.moments())


def lived(of: Polled, judged: Rule) -> Iterator[tuple[float, Transition]]:
    """Every change of the one series' alert, reading by reading, with its minute."""
    alert: Alert | None = None
    for moment in of.moments():
        minute = (moment - START) / MINUTE
        for transition in advance(judged, alert, finding(of, judged, minute), moment):
            alert = transition.alert
            if transition.is_change:
                yield minute, transition


def saw(verdict: Verdict = Verdict.TRUE, severity: Severity | None = Severity.WARNING, **more: Any) -> Finding:
    """A finding about one series; a false one names no severity."""
    series = Series("acme/llm-1", {"source": "acme", "ai_llm": "llm-1"}, (1,), ("acme",))
    plain = Finding(series, verdict, 6, Fraction(5), severity if verdict is Verdict.TRUE else None)
    return plain._replace(**more)


def alert_of(state: State, judged: Rule | None = None, **more: Any) -> Alert:
    """An alert of a rule in this state, as one true finding at the start began it."""
    holding = replace(judged or rule(), hold=minutes(1) if state is State.PENDING else minutes(0))
    (transition,) = advance(holding, None, saw(), START)
    return replace(transition.alert, state=state, **more)
