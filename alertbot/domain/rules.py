"""The kinds of rule, and what each needs to be judged.

A rule is data: which growth it looks at (`metric`, `per`, `where`), how (`condition`), and what an alert of it is like
(`hold`, `keep_firing`, `labels`). `findings.check` judges it.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fnmatch import translate
from fractions import Fraction
from functools import lru_cache

from alertbot.domain.metrics import unit_of
from alertbot.domain.suggestions import did_you_mean
from alertbot.domain.times import format_duration


class Severity(StrEnum):
    """How bad, lowest first. `info` is what a forecast says."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Comparison(StrEnum):
    """How a value is held against a threshold."""

    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"
    AT_MOST = "at_most"

    def holds(self, value: Fraction | int, threshold: Fraction | int) -> bool:
        return _HOLDS[self](value, threshold)

    @property
    def is_upper_bound(self) -> bool:
        """Whether too much is what is bad."""
        return self in {Comparison.ABOVE, Comparison.AT_LEAST}


_HOLDS: Mapping[Comparison, Callable[[Fraction | int, Fraction | int], bool]] = {
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
}


def _whole(number: Fraction) -> Fraction | int:
    return number.numerator if number.denominator == 1 else number


@dataclass(frozen=True, slots=True)
class Levels:
    """Thresholds of one alert by severity, mildest first. `clear` is where a firing one stops (at exactly `clear` it still fires)."""

    comparison: Comparison
    thresholds: tuple[tuple[Severity, Fraction], ...]
    clear: Fraction | None = None

    def judge(self, value: Fraction | int) -> tuple[Severity, Fraction] | None:
        """The highest level that is true for this value."""
        return self.judging()(value)

    def judging(self) -> Callable[[Fraction | int], tuple[Severity, Fraction] | None]:
        """`judge` for many values: whole thresholds are compared as integers, several times as fast as fractions."""
        holds = _HOLDS[self.comparison]
        ladder = [(_whole(level[1]), level) for level in reversed(self.thresholds)]

        def judge(value: Fraction | int) -> tuple[Severity, Fraction] | None:
            for threshold, level in ladder:
                if holds(value, threshold):
                    return level
            return None

        return judge

    def stays(self, value: Fraction | int) -> bool:
        """Whether an alert that fires already goes on firing at this value."""
        if self.clear is None:
            return self.judge(value) is not None
        return value >= self.clear if self.comparison.is_upper_bound else value <= self.clear

    @property
    def mildest(self) -> tuple[Severity, Fraction]:
        return self.thresholds[0]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The metric's increase over `window`, or its mean over `window` where the metric is a mean (latency)."""

    metric: str
    window: timedelta
    levels: Levels


@dataclass(frozen=True, slots=True)
class Rate:
    """The increase over `window` divided by the window, scaled to `unit` (a minute, an hour or a day)."""

    metric: str
    window: timedelta
    unit: timedelta
    levels: Levels


@dataclass(frozen=True, slots=True)
class Ratio:
    """increase(metric) / increase(of) over `window`; false where increase(of) is below `min_of`."""

    metric: str
    of: str
    window: timedelta
    min_of: int
    levels: Levels


@dataclass(frozen=True, slots=True)
class Spike:
    """The increase over `window` against the mean of earlier windows: those of `baseline`, or of the same time on `same_hour` days.

    The levels are factors; `at_least` is the least increase that can be a spike. `timezone` is whose clock shows the same time.
    """

    metric: str
    window: timedelta
    levels: Levels
    at_least: int
    baseline: timedelta | None = None
    same_hour: int | None = None
    timezone: str = "UTC"


class Period(StrEnum):
    """Calendar periods of a budget."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Budget:
    """Growth since the calendar period began, in percent of `amount` (levels are inclusive percentages)."""

    metric: str
    amount: Fraction
    period: Period
    levels: Levels
    timezone: str = "UTC"
    week_starts: int = 0  # Monday, as datetime.weekday() counts
    forecast: bool = False


@dataclass(frozen=True, slots=True)
class Burn:
    """In every one of `windows` the growth per time exceeds factor × amount / period.

    Multi-window, multi-burn-rate alerts: Google, The Site Reliability Workbook, chapter 5.
    """

    metric: str
    windows: tuple[timedelta, ...]
    amount: Fraction
    period: timedelta
    levels: Levels


@dataclass(frozen=True, slots=True)
class Absence:
    """No growth of `metric` for `window` where there was some in the window before; without a metric: no good reading for `window`."""

    metric: str | None
    window: timedelta
    severity: Severity


Condition = Threshold | Rate | Ratio | Spike | Budget | Burn | Absence
KINDS: Mapping[type, str] = {
    Threshold: "threshold",
    Rate: "rate",
    Ratio: "ratio",
    Spike: "spike",
    Budget: "budget",
    Burn: "burn",
    Absence: "absence",
}


@dataclass(frozen=True, slots=True)
class Selector:
    """Which members a rule, a route or a look-up means: per dimension one or more globs, held against the id and the name."""

    globs: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether every dimension named here fits one of its globs. `name` in the labels is the name of the `ai_llm`."""
        for dimension, patterns in self.globs:
            values = [labels.get(dimension, "")]
            named = "name" if dimension == "ai_llm" else f"{dimension}_name"
            if named in labels:
                values.append(labels[named])
            if not any(glob(pattern).match(value) for pattern in patterns for value in values):
                return False
        return True


EVERYTHING = Selector()
_OF_LLM = ("ai_llm", "provider", "workspace")


def unmatched_globs(places: Iterable[tuple[str, Selector]], llms: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """One line for each glob that fits no LLM, `places` naming where it stands: a rule with a typing error never fires.

    While no LLM is known nothing is said.
    """
    for place, where in places if llms else ():
        of_sources = tuple(glob for glob in where.globs if glob[0] == "source")
        for dimension, patterns in where.globs:
            for pattern in patterns if dimension in _OF_LLM else ():
                if not any(Selector((*of_sources, (dimension, (pattern,)))).selects(labels) for labels in llms):
                    named = "name" if dimension == "ai_llm" else f"{dimension}_name"
                    known = {labels[label] for labels in llms for label in (dimension, named) if labels.get(label)}
                    yield f'{place}: {dimension} "{pattern}" fits none of the {len(llms)} LLMs{did_you_mean(pattern, known)}'


def is_called(labels: Mapping[str, str], wanted: str | None) -> bool:
    """Whether an LLM is meant by its id, its name or a glob, whatever the letters' case. Without a name all are meant."""
    if wanted is None:
        return True
    pattern = glob(wanted.lower())
    return any(pattern.fullmatch(labels.get(label, "").lower()) for label in ("ai_llm", "name"))


def nobody_called(wanted: str, llms: Iterable[Mapping[str, str]]) -> str:
    """What to say where no LLM is meant."""
    known = {labels[label] for labels in llms for label in ("ai_llm", "name") if labels.get(label)}
    hint = did_you_mean(wanted, known) or " (a name, an id, or a pattern such as support-*)"
    return f'no LLM is called "{wanted}"{hint}'


@lru_cache(maxsize=4096)
def glob(pattern: str) -> re.Pattern[str]:
    """A shell glob as a compiled pattern that has to fit the whole text; upper and lower case differ.

    `fnmatch` makes each `*` an atomic group, which is never tried again: the work is at most pattern times text.
    """
    return re.compile(translate(pattern))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `hold` is the configuration's `for`."""

    name: str
    condition: Condition
    per: str = "ai_llm"
    where: Selector = EVERYTHING
    hold: timedelta = timedelta(0)
    keep_firing: timedelta = timedelta(0)
    labels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    enabled: bool = True
    builtin: bool = False

    @property
    def kind(self) -> str:
        return KINDS[type(self.condition)]

    @property
    def is_about_readings(self) -> bool:
        """Whether it counts nothing, but tells of a source that was not read for a while: it is judged by the clock."""
        return isinstance(self.condition, Absence) and self.condition.metric is None

    @property
    def identity(self) -> str:
        """What makes a rule the same one: a change of any of these closes the old alerts. The name stands beside it."""
        return f"{self.kind}/{self.condition.metric or 'readings'}/{self.per}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """What it counts; empty for a rule about the readings themselves."""
        condition = self.condition
        if condition.metric is None:
            return ()
        return (condition.metric, condition.of) if isinstance(condition, Ratio) else (condition.metric,)

    @property
    def dimensions(self) -> frozenset[str]:
        """By what it tells apart or chooses what it counts."""
        return frozenset({self.per, *(name for name, _ in self.where.globs)})

    @property
    def unit(self) -> str:
        """The unit of the value that is compared, in words for people."""
        match self.condition:
            case Ratio():
                return "%"
            case Burn():
                return "×"
            case Absence(metric=None):
                return "s"
            case condition:
                return unit_of(condition.metric or "")

    @property
    def comparison(self) -> str:
        """How the value is held against the threshold, in a word."""
        levels: Levels | None = getattr(self.condition, "levels", None)
        return "at least" if levels is None else levels.comparison.value.replace("_", " ")

    @property
    def over(self) -> str:
        """What the value is counted over, in words: "in 15 min"."""
        match self.condition:
            case Rate(window=window, unit=unit):
                return f"per {_UNIT_NAMES[unit]} over {format_duration(window)}"
            case Ratio(of=of, window=window):
                return f"of {unit_of(of)} in {format_duration(window)}"
            case Budget(period=period):
                return f"this {period.value}"
            case Burn(windows=windows, period=period):
                burning = " and ".join(format_duration(window) for window in windows)
                return f"times the pace of {format_duration(period)}, over {burning}"
            case Absence(metric=None):
                return "since the last good reading"
            case condition:
                return f"in {format_duration(condition.window)}"


_UNIT_NAMES = {timedelta(minutes=1): "minute", timedelta(hours=1): "hour", timedelta(days=1): "day"}
SOURCE_BLIND = "source-blind"
