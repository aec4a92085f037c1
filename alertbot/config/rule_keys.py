"""What the types of rule have in common: the keys of every rule, thresholds, factors."""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any, ClassVar, get_args

from pydantic import Field, ValidationInfo, field_validator

from alertbot.config.keys import Section, given
from alertbot.config.mappings import (
    SEVERITY,
    WHERE,
    LabelsOf,
    LevelsOf,
    Thresholds,
    levels_of,
    plain,
    severity_beside_levels,
)
from alertbot.config.metrics import COUNTED
from alertbot.config.mistakes import Location, mistake, mistakes_at
from alertbot.config.values import (
    DURATION,
    FLAG,
    NUMBER,
    RULE_NAME,
    TEXT,
    WAIT,
    choice,
)
from alertbot.domain.metrics import DIMENSIONS, METRICS
from alertbot.domain.rules import EVERYTHING, SOURCE_BLIND, Comparison, Condition, Levels, Rule, Selector, Severity

NUMBERS = LevelsOf(NUMBER)
_LOW_NUMBERS = LevelsOf(NUMBER, falling=True)


class RuleKeys(Section):
    """The keys that every rule has."""

    name: Annotated[str, RULE_NAME] = Field(description="Unique; together with its series it is an alert's identity.")
    metric: Annotated[str | None, COUNTED] = Field(description="What is counted.")
    per: Annotated[str | None, choice("a dimension", (*DIMENSIONS, "all"))] = Field(
        None,
        description="One alert for each of these; `all` for one over everything. Default ai_llm (storage: source).",
    )
    where: Annotated[Selector, WHERE] = Field(EVERYTHING, description="Only these; globs on id or name.")
    hold: Annotated[timedelta, WAIT] = Field(
        timedelta(0), alias="for", description="How long it has to be true before the alert fires."
    )
    keep_firing: Annotated[timedelta, WAIT] = Field(
        timedelta(0), description="How long it has to be false before the alert resolves."
    )
    labels: Annotated[dict[str, str], LabelsOf()] = Field(
        default_factory=dict, description="Labels of your own, for routes and silences."
    )
    description: Annotated[str, TEXT.or_none()] = Field("", description="What to do about it; shown with the alert.")
    enabled: Annotated[bool, FLAG] = Field(default=True, description="false closes its alerts and judges it no more.")

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name == SOURCE_BLIND:
            raise mistake(f'expected a name of your own, got "{name}", which is the built-in rule\'s')
        return name

    @field_validator("per")
    @classmethod
    def _per_fits(cls, per: str | None, others: ValidationInfo) -> str | None:
        known = _dimensions(others)
        dimensions = known if known == ("source",) else (*known, "all")
        if per is not None and per not in dimensions:
            raise mistake(f'expected {_one_of(dimensions)} for {_subject(others)}, got "{per}"')
        return per

    @field_validator("where")
    @classmethod
    def _where_fits(cls, where: Selector, others: ValidationInfo) -> Selector:
        dimensions = _dimensions(others)
        wrong = [name for name, _ in where.globs if name not in dimensions]
        if wrong:
            expected = f"expected {_one_of(dimensions)} for {_subject(others)}"
            raise mistakes_at(((name,), f'{expected}, got "{name}"') for name in wrong)
        return where

    @classmethod
    def report_unknown(cls, key: str) -> str:
        sentence = super().report_unknown(key)
        others = sorted(kind for kind, keys in _kinds() if key in keys)
        if not others:
            return sentence
        (mine,) = get_args(cls.model_fields["type"].annotation)
        return f'expected a key of {mine} rules, got "{key}", which {_listed(others)} rules have'

    @property
    def default_per(self) -> str:
        """What the rule is judged for where it does not say."""
        dimensions = METRICS[self.metric].dimensions if self.metric else ("source",)
        return "ai_llm" if "ai_llm" in dimensions else "source"

    @abstractmethod
    def condition(self) -> Condition:
        """What the domain judges."""

    def rule(self) -> Rule:
        return Rule(
            name=self.name,
            condition=self.condition(),
            per=self.per or self.default_per,
            where=self.where,
            hold=self.hold,
            keep_firing=self.keep_firing,
            labels=self.labels,
            description=self.description or "",
            enabled=self.enabled,
        )


def _kinds() -> Iterator[tuple[str, Collection[str]]]:
    """Each type of rule with its keys."""
    waiting = RuleKeys.__subclasses__()
    while waiting:
        keys = waiting.pop()
        waiting += keys.__subclasses__()
        if "type" in keys.model_fields:
            yield get_args(keys.model_fields["type"].annotation)[0], keys.keys()


def _dimensions(others: ValidationInfo) -> tuple[str, ...]:
    """Those of the metric; all where the metric could not be read, which is told already."""
    if "metric" not in others.data:
        return DIMENSIONS
    metric = others.data["metric"]
    return METRICS[metric].dimensions if metric else ("source",)


def _one_of(names: tuple[str, ...]) -> str:
    return f"one of {', '.join(names)}" if len(names) > 1 else names[0]


def _subject(others: ValidationInfo) -> str:
    return others.data.get("metric") or "a rule without a metric"


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


class ComparisonRuleKeys(RuleKeys):
    """Rules that hold a value against a threshold in one of four ways."""

    window: Annotated[timedelta, DURATION] = Field(description="The time that is looked back over.")
    above: Annotated[Thresholds | None, NUMBERS] = Field(None, description="Fires above it: a number, or levels.")
    at_least: Annotated[Thresholds | None, NUMBERS] = Field(None, description="Fires at it and above.")
    below: Annotated[Thresholds | None, _LOW_NUMBERS] = Field(None, description="Fires below it.")
    at_most: Annotated[Thresholds | None, _LOW_NUMBERS] = Field(None, description="Fires at it and below.")
    severity: Annotated[Severity | None, SEVERITY.or_none()] = Field(
        None, description="Of a threshold without levels; default warning."
    )
    clear: Annotated[Fraction | None, NUMBER.or_none()] = Field(
        None, description="A firing alert goes on until the value is past this on the good side."
    )

    @field_validator("above", "at_least", "below", "at_most")
    @classmethod
    def _can_be_crossed(cls, thresholds: Thresholds | None, others: ValidationInfo) -> Thresholds | None:
        metric = METRICS.get(others.data.get("metric", ""))
        if thresholds and not (metric and metric.may_fall):
            lowest = min(number for _, number in thresholds)
            if lowest < 0:
                raise mistake(f'expected a threshold of at least 0, got "{plain(lowest)}"')
            if lowest == 0 and others.field_name in {"at_least", "below"}:
                always = "always" if others.field_name == "at_least" else "never"
                raise mistake(f'expected a threshold above 0, got "0", which is {always} true')
        return thresholds

    @field_validator("clear")
    @classmethod
    def _clears_on_the_good_side(cls, clear: Fraction | None, others: ValidationInfo) -> Fraction | None:
        for comparison in Comparison:
            thresholds = others.data.get(comparison)
            if clear is None or not thresholds:
                continue
            mildest = thresholds[0][1]
            if clear > mildest if comparison.is_upper_bound else clear < mildest:
                bound = "at most" if comparison.is_upper_bound else "at least"
                raise mistake(f'expected {bound} the threshold of {plain(mildest)}, got "{plain(clear)}"')
        return clear

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        used = [comparison.value for comparison in Comparison if given(keys.get(comparison))]
        if len(used) != 1:
            found = _listed(used) if used else "none"
            yield (), f"expected one of {', '.join(Comparison)}, got {found}"
        yield from severity_beside_levels(keys, *used)

    @property
    def levels(self) -> Levels:
        for comparison in Comparison:
            thresholds = getattr(self, comparison)
            if thresholds:
                return levels_of(comparison, thresholds, self.severity, self.clear)
        raise AssertionError("mistakes_between lets no rule without a comparison pass")


class FactorRuleKeys(RuleKeys):
    """Rules whose threshold is a factor: how many times too much."""

    least_factor: ClassVar[Fraction] = Fraction(0)
    factor: Annotated[Thresholds, NUMBERS] = Field(description="How many times too much: a number, or levels.")
    severity: Annotated[Severity | None, SEVERITY.or_none()] = Field(None, description="Of a factor without levels.")
    clear: Annotated[Fraction | None, NUMBER.or_none()] = Field(
        None, description="A firing alert goes on until the factor is below this."
    )

    @field_validator("factor")
    @classmethod
    def _exceeds_the_usual(cls, factor: Thresholds | None) -> Thresholds:
        if not factor:
            raise mistake(f"expected {NUMBER.expected}, or levels, got nothing")
        lowest = min(number for _, number in factor)
        if lowest <= cls.least_factor:
            raise mistake(f'expected a factor above {cls.least_factor}, got "{plain(lowest)}"')
        return factor

    @field_validator("clear")
    @classmethod
    def _clears_below(cls, clear: Fraction | None, others: ValidationInfo) -> Fraction | None:
        factor = others.data.get("factor")
        if clear is not None and factor and clear > factor[0][1]:
            raise mistake(f'expected at most the factor of {plain(factor[0][1])}, got "{plain(clear)}"')
        return clear

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        yield from severity_beside_levels(keys, "factor")
