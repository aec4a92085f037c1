"""What a file of rule tests may hold: the series as they are written, what is expected, what people do."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from fractions import Fraction
from typing import Annotated, Any, NamedTuple

from pydantic import Field, GetCoreSchemaHandler, PlainValidator
from pydantic_core import CoreSchema, core_schema

from alertbot.config.keys import Section, given, repeated
from alertbot.config.mappings import SEVERITY
from alertbot.config.mistakes import Location, Mismatch, mistake, mistakes_at, quoted
from alertbot.config.raw_values import InvalidValue
from alertbot.config.values import DURATION, FLAG, NAME, RULE_NAME, TEXT, WAIT, ValueType, choice, parse_share
from alertbot.domain.alerts import State
from alertbot.domain.metrics import METRICS, TOTALS, metric_called
from alertbot.domain.notifications import NotificationKind
from alertbot.domain.rules import Severity
from alertbot.domain.silences import Matcher, check_matchers, parse_matcher
from alertbot.domain.snapshots import Counter
from alertbot.domain.times import OutOfBounds, parse_moment

MOST_POLLS = 100_000  # of one test: nobody waits for more, and a typing error in a pattern must not fill the memory


class Nothing(Enum):
    """What a poll may bring in place of a number."""

    MISSED = "_"
    ABSENT = "-"
    UNKNOWN = "?"  # the answer lists the LLM without this counter


Sample = int | Nothing
_SAMPLES = re.compile(
    r"(?:(?P<nothing>[_?-])|(?P<first>[0-9]{1,300})(?:(?P<sign>[+-])(?P<step>[0-9]{1,300})(?=x))?)"
    r"(?:x(?P<times>[0-9]{1,6}))?"
)
_FORMS = "samples such as 7, 7x10, 0+3x10, 9-1x3, _, _x5 or -"


def parse_samples(text: str) -> tuple[Sample, ...]:
    """The polls of a written series, one an interval: `a+bxn`, `a-bxn`, `axn`, `_`, `_xn`, `-`, `?`.

    Raises ValueError with a sentence about the first word that cannot be read.
    """
    found: list[Sample] = []
    for word in text.split():
        shape = _SAMPLES.fullmatch(word)
        if shape is None or (shape["nothing"] and shape["times"] and not int(shape["times"])):
            raise ValueError(f"expected {_FORMS}, got {quoted(word)}")
        times = int(shape["times"] or 0)
        if len(found) + times >= MOST_POLLS:
            raise ValueError(f"expected at most {MOST_POLLS} samples, got {quoted(word)}")
        if shape["nothing"]:
            found += [Nothing(shape["nothing"])] * max(1, times)
            continue
        first, step = int(shape["first"]), int(f"{shape['sign'] or '+'}{shape['step'] or 0}")
        if first + times * step < 0:
            raise ValueError(f"expected a counter that stays at 0 or above, got {quoted(word)}")
        found += [first + turn * step for turn in range(times + 1)]
    if not found:
        raise ValueError(f"expected {_FORMS}, got nothing")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One counter of one configuration, poll by poll."""

    source: str
    ai_llm: str
    counter: Counter
    samples: tuple[Sample, ...]

    def sample(self, turn: int) -> Sample:
        """What a poll finds. After the end the last value is repeated; a missed poll is none."""
        if turn < len(self.samples):
            return self.samples[turn]
        values = (sample for sample in reversed(self.samples) if sample is not Nothing.MISSED)
        return next(values, Nothing.MISSED)


_COUNTER = choice("a counter", Counter)


@dataclass(frozen=True)
class ReadingsOf:
    """Reads `{source/llm: {metric: samples}}`."""

    expected: str = 'readings such as {acme/llm-1: {api_calls: "0+5x10"}}'

    def read(self, value: object) -> tuple[Drawn, ...]:
        found: list[tuple[Location, str]] = []
        drawn: list[Drawn] = []
        for key, counters in _keys_of(value, self.expected).items():
            try:
                source, ai_llm = _name(key)
                written = _keys_of(counters, 'counters such as {api_calls: "0+5x10"}')
            except ValueError as error:
                found.append(((key,), str(error)))
                continue
            for name, text in written.items():
                try:
                    counter = Counter(_counter(name))
                    if any((each.source, each.ai_llm, each.counter) == (source, ai_llm, counter) for each in drawn):
                        raise mistake(f'expected {counter} once, got "{name}" as well')
                    drawn.append(Drawn(source, ai_llm, counter, _samples(text)))
                except ValueError as error:
                    found.append(((key, name), str(error)))
        if found:
            raise mistakes_at(found)
        return tuple(drawn)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)


def _keys_of(value: object, expected: str) -> Mapping[str, object]:
    if isinstance(value, InvalidValue):
        raise mistake(value.sentence)
    if not isinstance(value, Mapping) or not value:
        raise mistake(f"expected {expected}, got {quoted(value or None)}")
    return value


def _name(key: str) -> tuple[str, str]:
    """The source and the configuration that a key names."""
    source, _, ai_llm = key.partition("/")
    try:
        NAME.read(source)
    except ValueError:
        ai_llm = ""
    if not ai_llm:
        raise ValueError(f"expected a source and a configuration such as acme/llm-1, got {quoted(key)}")
    return source, ai_llm


def _samples(text: object) -> tuple[Sample, ...]:
    if isinstance(text, InvalidValue):
        raise mistake(text.sentence)
    if not isinstance(text, str):
        raise mistake(f"expected {_FORMS}, got {quoted(text)}")
    return parse_samples(text)


def _counter(name: str) -> str:
    metric = metric_called(name) or name
    if metric in TOTALS and metric not in list(Counter):
        parts = " and ".join(METRICS[metric].parts)
        raise ValueError(f'expected one of the counters that it is made of ({parts}), got "{name}"')
    return str(_COUNTER.read(metric))


class Amount(NamedTuple):
    """A number as it was written, to so many decimals."""

    number: Fraction
    decimals: int
    written: str

    def fits(self, value: Fraction | None) -> bool:
        """Whether it is the value: exactly, or rounded as written where the value (1/3) cannot be written exactly."""
        if value is None:
            return False
        return value == self.number or (_is_endless(value) and round(value, self.decimals) == self.number)


def _is_endless(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest > 1


_LARGE = re.compile(r"[0-9]{1,300}")
_YEARS = "a year from 1990 to 2900"


def _amount(text: str) -> Amount:
    number = Fraction(int(text)) if _LARGE.fullmatch(text) else parse_share(text)
    _, _, decimals = text.strip().removesuffix("%").partition(".")
    return Amount(number, len(decimals) + 2 * text.strip().endswith("%"), text.strip())


def _state(text: str) -> State:
    if text not in {State.NONE, State.PENDING, State.FIRING}:
        raise Mismatch("none, pending or firing" + ("; one that has ended is none" if text == State.RESOLVED else ""))
    return State(text)


def _moment(text: str) -> datetime:
    try:
        moment = parse_moment(text)
    except OutOfBounds as error:
        raise Mismatch(_YEARS) from error
    if not 1990 <= moment.year <= 2900:  # windows look back, and calendars end
        raise Mismatch(_YEARS)
    return moment


def _matchers(text: str) -> tuple[Matcher, ...]:
    words = shlex.split(text)
    return check_matchers([parse_matcher(word) for word in words if words != ["all"]], everything=words == ["all"])


_AMOUNT = ValueType("a number, or a share such as 2%", _amount, Amount, {}, optional=True)
_STATE = ValueType("none, pending or firing", _state, State, {}, optional=True)
_START = ValueType("a date and time such as 2026-01-05T00:00Z", _moment, datetime, {}, optional=True)
_MATCHERS = ValueType("matchers such as rule=violation-burst, or all", _matchers, tuple, {}, optional=True)
_NAMED = TEXT.or_none()
_KINDS = tuple(kind for kind in NotificationKind if kind not in {NotificationKind.ACTION, NotificationKind.EDIT})


class Selected(Section):
    """What picks an alert: its rule, and where there are several its LLM (with its source where two have it) or its series."""

    at: Annotated[timedelta, WAIT]
    alert: Annotated[str | None, RULE_NAME.or_none()] = None
    source: Annotated[str | None, _NAMED] = None
    llm: Annotated[str | None, _NAMED] = None
    series: Annotated[str | None, _NAMED] = None

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        if given(keys.get("llm")) and given(keys.get("series")):
            yield (), "expected llm or series, got both"
        if given(keys.get("source")) and not given(keys.get("llm")):
            yield ("source",), f"expected it only beside llm, got {quoted(keys['source'])} alone"

    def means(self, key: str) -> bool:
        """Whether it means the LLM whose key is `acme/llm-1`, or leaves that open."""
        source, _, ai_llm = key.partition("/")
        return self.llm in {None, key, ai_llm} and self.source in {None, source}


class Expectation(Selected):
    """What has to be so at a moment, of one rule; only what it names."""

    alert: Annotated[str, RULE_NAME]
    state: Annotated[State | None, _STATE] = None
    severity: Annotated[Severity | None, SEVERITY.or_none()] = None
    value: Annotated[Amount | None, _AMOUNT] = None
    threshold: Annotated[Amount | None, _AMOUNT] = None
    note: Annotated[str | None, _NAMED] = None

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        yield from super().mistakes_between(keys)
        of_alert = [name for name in ("severity", "value", "threshold", "note") if given(keys.get(name))]
        if keys.get("state") == State.NONE:
            for name in of_alert:
                yield (name,), f"expected nothing beside `state: none`, which has no {name}, got {quoted(keys[name])}"
        elif not of_alert and not given(keys.get("state")):
            yield (), "expected state, severity, value, threshold or note, got none of them"


class HeardNotification(Selected):
    """One notification that people have to hear."""

    kind: Annotated[NotificationKind, choice("a kind of notice", _KINDS)]
    ping: Annotated[bool | None, FLAG.or_none()] = None


_NEEDED = {
    "acknowledge": ("alert",),
    "unacknowledge": ("alert",),
    "snooze": ("alert", "for"),
    "assign": ("alert", "to"),
    "comment": ("alert", "text"),
    "silence": ("matchers", "for"),
}


class Deed(Selected):
    """What a person does."""

    do: Annotated[str, choice("something that a person does", _NEEDED)]
    by: Annotated[str, TEXT] = "somebody"
    lasts: Annotated[timedelta, DURATION] = Field(timedelta(0), alias="for")
    to: Annotated[str, TEXT] = ""
    text: Annotated[str, TEXT] = ""
    matchers: Annotated[tuple[Matcher, ...] | None, _MATCHERS] = None

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        yield from super().mistakes_between(keys)
        kind = str(keys.get("do"))
        if kind not in _NEEDED:
            return
        for name in _NEEDED[kind]:
            if not given(keys.get(name)):
                yield (name,), f"expected `{name}` beside `do: {kind}`, got nothing"
        selects = ("source", "llm", "series") if "alert" in _NEEDED[kind] else ()
        for name in cls.keys().keys() & keys.keys() - {"at", "do", "by", *_NEEDED[kind], *selects}:
            if given(keys[name]):
                yield (name,), f"expected no `{name}` beside `do: {kind}`, got {quoted(keys[name])}"


class RuleTestKeys(Section):
    """One test as it is written."""

    name: Annotated[str, RULE_NAME]
    interval: Annotated[timedelta | None, DURATION.or_none()] = None
    start: Annotated[datetime | None, _START] = None
    group_wait: Annotated[timedelta | None, WAIT.or_none()] = None
    readings: Annotated[tuple[Drawn, ...], ReadingsOf()]
    expect: tuple[Expectation, ...] = ()
    heard: tuple[HeardNotification, ...] | None = None
    acts: tuple[Deed, ...] = ()

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        if not keys.get("expect") and "heard" not in keys:
            yield (), "expected expect or heard, got neither"


class Described(Section):
    """What is known of a configuration beside its counters."""

    name: Annotated[str | None, _NAMED] = None
    provider: Annotated[str, TEXT] = ""
    workspace: Annotated[str, TEXT] = ""


class FileKeys(Section):
    """A file of rule tests as it is written. `rules` is read by itself."""

    rules: Annotated[Any, PlainValidator(lambda value: value)] = None
    interval: Annotated[timedelta, DURATION] = timedelta(minutes=1)
    start: Annotated[datetime, _START] = datetime(2026, 1, 5, tzinfo=UTC)
    group_wait: Annotated[timedelta, WAIT] = timedelta(0)
    configurations: dict[str, Described] = Field(default_factory=dict)
    tests: tuple[RuleTestKeys, ...] = Field(min_length=1)

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        for location, sentence in repeated(keys.get("tests"), "name", place="tests"):
            yield ("tests", *location), sentence
