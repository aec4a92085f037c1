"""The types of rule in the configuration: the keys of each, and the domain's rule that they make."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from alertbot.config.keys import given
from alertbot.config.mappings import (
    SEVERITY,
    LevelsOf,
    Thresholds,
    levels_of,
    plain,
    severity_beside_levels,
)
from alertbot.config.metrics import COUNTED, METRIC
from alertbot.config.mistakes import Location, mistake, mistakes_at, quoted
from alertbot.config.rule_keys import ComparisonRuleKeys, FactorRuleKeys, RuleKeys
from alertbot.config.values import (
    AMOUNT,
    DURATION,
    FLAG,
    PERCENTAGE,
    SHARE,
    ZONE,
    choice,
    whole,
)
from alertbot.domain.metrics import METRICS
from alertbot.domain.rules import (
    Absence,
    Budget,
    Burn,
    Comparison,
    Condition,
    Period,
    Rate,
    Ratio,
    Rule,
    Severity,
    Spike,
    Threshold,
)
from alertbot.domain.times import format_duration_short

_SHARES = LevelsOf(SHARE)
_LOW_SHARES = LevelsOf(SHARE, falling=True)
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}


class ThresholdRule(ComparisonRuleKeys):
    """The metric's increase over `window`, or its mean where the metric is a mean."""

    type: Literal["threshold"] = "threshold"
    metric: Annotated[str, METRIC] = Field(description="What is counted, or a mean (latency).")

    def condition(self) -> Condition:
        return Threshold(self.metric, self.window, self.levels)


class RateRule(ComparisonRuleKeys):
    """The increase over `window` divided by the window."""

    type: Literal["rate"]
    metric: Annotated[str, COUNTED]
    per_unit: Annotated[str, choice("minute, hour or day", _UNITS)] = Field(
        "minute", description="What the rate is scaled to."
    )

    def condition(self) -> Condition:
        return Rate(self.metric, self.window, _UNITS[self.per_unit], self.levels)


class RatioRule(ComparisonRuleKeys):
    """increase(metric) / increase(of) over `window`."""

    type: Literal["ratio"]
    metric: Annotated[str, COUNTED]
    of: Annotated[str, COUNTED] = Field(description="The divisor.")
    min_of: Annotated[int, whole("a whole number", least=1)] = Field(
        1, description="With a smaller divisor it is false: 1 block of 1 call is not an outage."
    )
    above: Annotated[Thresholds | None, _SHARES] = Field(None, description="A fraction such as 0.02, or 2%; or levels.")
    at_least: Annotated[Thresholds | None, _SHARES] = Field(None, description="As above, inclusive.")
    below: Annotated[Thresholds | None, _LOW_SHARES] = Field(None, description="Fires below it.")
    at_most: Annotated[Thresholds | None, _LOW_SHARES] = Field(None, description="Fires at it and below.")
    clear: Annotated[Fraction | None, SHARE.or_none()] = Field(None, description="As for other rules, a fraction.")

    @field_validator("of")
    @classmethod
    def _of_fits(cls, of: str, others: ValidationInfo) -> str:
        metric = others.data.get("metric")
        if of == metric:
            raise mistake(f'expected another metric than the rule\'s own, got "{of}"')
        if metric and METRICS[of].dimensions != METRICS[metric].dimensions:
            raise mistake(f'expected a metric that has the dimensions of {metric}, got "{of}"')
        return of

    def condition(self) -> Condition:
        return Ratio(self.metric, self.of, self.window, self.min_of, self.levels)


class SpikeRule(FactorRuleKeys):
    """The increase over `window` against the mean of earlier windows of that length."""

    least_factor: ClassVar[Fraction] = Fraction(1)
    type: Literal["spike"]
    metric: Annotated[str, COUNTED]
    window: Annotated[timedelta, DURATION] = Field(description="The time that is looked back over.")
    baseline: Annotated[timedelta | None, DURATION.or_none()] = Field(
        None, description="Compared with the windows of this time before; or say same_hour."
    )
    same_hour: Annotated[int | None, whole("a number of days", least=1, most=366).or_none()] = Field(
        None, description="Compared with the same time of day on this many days before; or say baseline."
    )
    timezone: Annotated[str, ZONE] = Field("UTC", description="For same_hour: whose time of day.")
    at_least: Annotated[int, whole("a whole number", least=1)] = Field(
        1, description="The smallest increase that can be a spike."
    )

    @field_validator("baseline")
    @classmethod
    def _holds_windows(cls, baseline: timedelta | None, others: ValidationInfo) -> timedelta | None:
        window = others.data.get("window")
        if baseline and window and baseline < window:
            raise mistake(
                f'expected at least the window of {format_duration_short(window)}, got "{format_duration_short(baseline)}"'
            )
        return baseline

    @field_validator("same_hour")
    @classmethod
    def _windows_do_not_meet(cls, same_hour: int | None, others: ValidationInfo) -> int | None:
        window = others.data.get("window")
        if same_hour and window and window > timedelta(days=1):
            raise mistake(f'expected a window of at most 1d beside it, got "{format_duration_short(window)}"')
        return same_hour

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        used = [name for name in ("baseline", "same_hour") if given(keys.get(name))]
        if len(used) != 1:
            yield (), f"expected baseline or same_hour, got {'both' if used else 'neither'}"
        if used == ["baseline"] and given(keys.get("timezone")):
            yield (
                ("timezone",),
                f"expected no such key, because a baseline has no time of day, got {quoted(keys['timezone'])}",
            )
        yield from super().mistakes_between(keys)

    def condition(self) -> Condition:
        levels = levels_of(Comparison.AT_LEAST, self.factor, self.severity, self.clear)
        return Spike(self.metric, self.window, levels, self.at_least, self.baseline, self.same_hour, self.timezone)


class BudgetRule(RuleKeys):
    """Growth since the calendar period began, in percent of `amount`."""

    type: Literal["budget"]
    metric: Annotated[str, COUNTED]
    amount: Annotated[Fraction, AMOUNT] = Field(description="What may be used in a period, in the metric's units.")
    period: Annotated[Period, choice("hour, day, week or month", Period)] = Field(description="Counted from its start.")
    timezone: Annotated[str, ZONE] = Field("UTC", description="Where a period begins at midnight.")
    week_starts: Annotated[str, choice("monday or sunday", ("monday", "sunday"), any_case=True)] = Field(
        "monday", description="For period: week."
    )
    at: Annotated[Thresholds | None, LevelsOf(PERCENTAGE)] = Field(
        ((Severity.WARNING, Fraction(80)), (Severity.CRITICAL, Fraction(100))),
        description="Percent of the amount at which it speaks: a number, or levels; default 80 and 100.",
    )
    severity: Annotated[Severity | None, SEVERITY.or_none()] = Field(None, description="Where `at` is one number.")
    forecast: Annotated[bool, FLAG] = Field(
        default=False, description="Also say when the present pace will reach the amount before the period ends."
    )

    @field_validator("at")
    @classmethod
    def _above_nothing(cls, at: Thresholds | None) -> Thresholds:
        if not at:
            raise mistake("expected a percentage such as 80, or levels, got nothing")
        lowest = min(number for _, number in at)
        if lowest <= 0:
            raise mistake(f'expected a percentage above 0, got "{plain(lowest)}"')
        return at

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        yield from severity_beside_levels({"at": {}, **keys}, "at")
        at = keys.get("at")
        forecast = str(keys.get("forecast", "")).strip().lower() in {"true", "yes", "on"}
        if forecast and isinstance(at, Mapping) and Severity.INFO in at:
            yield (
                ("at", Severity.INFO.value),
                'expected warning or critical beside a forecast, which is info itself, got "info"',
            )

    @classmethod
    def report_unknown(cls, key: str) -> str:
        if key in {"window", "windows"}:
            return f'expected no such key, because a budget counts from the start of its period, got "{key}"'
        return super().report_unknown(key)

    def condition(self) -> Condition:
        levels = levels_of(Comparison.AT_LEAST, self.at or (), self.severity)
        week_starts = 0 if self.week_starts == "monday" else 6
        return Budget(self.metric, self.amount, self.period, levels, self.timezone, week_starts, self.forecast)


_MOST_WINDOWS = 8  # of a burn rate: each is added up at every evaluation


class BurnRule(FactorRuleKeys):
    """Growth over each of `windows` exceeds factor × amount / period."""

    type: Literal["burn"]
    metric: Annotated[str, COUNTED]
    amount: Annotated[Fraction, AMOUNT] = Field(description="What may be used in a period, in the metric's units.")
    period: Annotated[timedelta, DURATION] = Field(description="How long the amount has to last, e.g. 30d.")
    windows: tuple[Annotated[timedelta, DURATION], ...] = Field(
        min_length=1, description="A long and a short one, e.g. [1h, 5m]; all of them have to exceed."
    )

    @field_validator("windows")
    @classmethod
    def _inside_the_period(cls, windows: tuple[timedelta, ...], others: ValidationInfo) -> tuple[timedelta, ...]:
        period = others.data.get("period")
        if len(windows) > _MOST_WINDOWS:
            raise mistake(f"expected at most {_MOST_WINDOWS} windows, got {len(windows)}")
        for index, window in enumerate(windows):
            if window in windows[:index]:
                raise mistakes_at(
                    [((index,), f'expected another window than before, got "{format_duration_short(window)}"')]
                )
            if period and window > period:
                sentence = f'expected at most the period of {format_duration_short(period)}, got "{format_duration_short(window)}"'
                raise mistakes_at([((index,), sentence)])
        return windows

    def condition(self) -> Condition:
        levels = levels_of(Comparison.ABOVE, self.factor, self.severity, self.clear)
        return Burn(self.metric, self.windows, self.amount, self.period, levels)


class AbsenceRule(RuleKeys):
    """No growth of `metric` for `window` where there was some before; without a metric, no good reading for `for`."""

    type: Literal["absence"]
    metric: Annotated[str | None, COUNTED.or_none()] = Field(
        None, description="What has to grow; without it, readings of the source have to come."
    )
    window: Annotated[timedelta | None, DURATION.or_none()] = Field(None, description="With a metric: how long.")
    severity: Annotated[Severity, SEVERITY] = Severity.WARNING

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        if given(keys.get("metric")):
            if not given(keys.get("window")):
                yield ("window",), f"expected {DURATION.expected}, got nothing"
            return
        if given(keys.get("window")):
            yield ("window",), f"expected `for` in its place where there is no metric, got {quoted(keys['window'])}"
        elif not given(keys.get("for")):
            yield ("for",), f"expected {DURATION.expected}, got nothing"

    @field_validator("hold")
    @classmethod
    def _is_a_time(cls, hold: timedelta, others: ValidationInfo) -> timedelta:
        if not hold and others.data.get("metric", "") is None:
            raise mistake('expected a duration of at least 1s, got "0s"')
        return hold

    def condition(self) -> Condition:
        return Absence(self.metric, self.window or self.hold, self.severity)

    def rule(self) -> Rule:
        rule = super().rule()
        return rule if self.metric else replace(rule, hold=timedelta(0))


AnyRule = ThresholdRule | RateRule | RatioRule | SpikeRule | BudgetRule | BurnRule | AbsenceRule
KINDS: Mapping[str, type[RuleKeys]] = {
    "threshold": ThresholdRule,
    "rate": RateRule,
    "ratio": RatioRule,
    "spike": SpikeRule,
    "budget": BudgetRule,
    "burn": BurnRule,
    "absence": AbsenceRule,
}
