"""Values of the configuration that hold keys of the author's choice: what a rule or a route matches, levels, labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from alertbot.config.keys import given
from alertbot.config.mistakes import Location, mistake, mistakes_at, nearest, quoted
from alertbot.config.raw_values import InvalidValue, RawScalar
from alertbot.config.values import LABEL_NAME, TEXT, ValueType, choice
from alertbot.domain.metrics import DIMENSIONS
from alertbot.domain.patterns import LONGEST_PATTERN
from alertbot.domain.rules import EVERYTHING, Comparison, Levels, Selector, Severity

Thresholds = tuple[tuple[Severity | None, Fraction], ...]  # mildest first; without a severity there is one only
SEVERITY = choice("info, warning or critical", Severity)


def plain(number: Fraction) -> str:
    """A number for a message."""
    return f"{float(number):g}"


@dataclass(frozen=True)
class Match:
    """Reads `{ai_llm: "support-*"}`: globs, or lists of them, by dimension; with `labels` a label of any other name, too."""

    known: tuple[str, ...]
    labels: bool = False

    def read(self, value: object) -> Selector:
        if isinstance(value, Selector):
            return value
        if value is None:
            return EVERYTHING
        if not isinstance(value, Mapping):
            unreadable = f'expected keys with values such as {{ai_llm: "support-*"}}, got {quoted(value)}'
            raise mistake(value.sentence if isinstance(value, InvalidValue) else unreadable)
        found: list[tuple[Location, str]] = []
        globs: list[tuple[str, tuple[str, ...]]] = []
        for name, written in value.items():
            sentence = self._unknown(name)
            if sentence:
                found.append(((name,), sentence))
                continue
            patterns = written if isinstance(written, list) else [written]
            wrong = [*_wrong_globs(name, patterns, listed=isinstance(written, list))]
            found += wrong
            if not wrong:
                globs.append((name, tuple(str(pattern) for pattern in patterns)))
        if found:
            raise mistakes_at(found)
        return Selector(tuple(globs))

    def _unknown(self, name: str) -> str:
        if name in self.known:
            return ""
        # A rule may carry any label, but one that is almost a known name is a typing error.
        meant = nearest(name, self.known, cutoff=0.8 if self.labels else 0.65)
        if meant:
            return f'expected a known key, got "{name}"; did you mean "{meant}"?'
        if not self.labels:
            return f'expected one of {", ".join(self.known)}, got "{name}"'
        try:
            LABEL_NAME.parse(name)
        except ValueError:
            return f'expected {LABEL_NAME.expected}, got "{name}"'
        return ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        globs = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
        properties = {name: dict(globs) for name in self.known}
        return {"type": "object", "properties": properties, "additionalProperties": globs if self.labels else False}


def _wrong_globs(name: str, patterns: list[Any], *, listed: bool) -> Iterator[tuple[Location, str]]:
    if not patterns:
        yield (name,), 'expected a glob such as "support-*" or a list of them, got an empty list'
    for index, pattern in enumerate(patterns):
        location: Location = (name, index) if listed else (name,)
        if isinstance(pattern, InvalidValue):
            yield location, pattern.sentence
        elif not isinstance(pattern, str) or not pattern:
            yield location, f'expected a glob such as "support-*" or a list of them, got {quoted(pattern)}'
        elif len(pattern) > LONGEST_PATTERN:
            yield location, f"expected a glob of at most {LONGEST_PATTERN} characters, got {len(pattern)}"
        elif name == "severity" and not set(pattern) & set("*?[") and pattern not in list(Severity):
            meant = nearest(pattern, list(Severity))
            hint = f'; did you mean "{meant}"?' if meant else ""
            yield location, f"expected info, warning or critical, got {quoted(pattern)}{hint}"


WHERE = Match(DIMENSIONS)
PRICED = Match(("source", "ai_llm", "provider", "model", "workspace"))
LABELS = Match(("severity", "rule", *DIMENSIONS), labels=True)


@dataclass(frozen=True)
class LevelsOf:
    """Reads a threshold: a number, or levels such as `{warning: 5, critical: 20}`, the worse the further out."""

    number: ValueType
    falling: bool = False  # whether less is worse

    @property
    def expected(self) -> str:
        return f"{self.number.expected}, or levels such as {{warning: 5, critical: 20}}"

    def read(self, value: object) -> Thresholds | None:
        if not given(value):
            return None
        if not isinstance(value, Mapping):
            return ((None, self.number.read(value)),)
        found: list[tuple[Location, str]] = []
        thresholds: list[tuple[Severity, Fraction]] = []
        for name, written in value.items():
            try:
                severity = SEVERITY.read(RawScalar(name))
            except ValueError as error:
                found.append(((name,), str(error)))
                continue
            try:
                thresholds.append((severity, self.number.read(written)))
            except ValueError as error:
                found.append(((name,), str(error)))
        thresholds.sort(key=lambda level: level[0].rank)
        for (milder, low), (worse, high) in pairwise(thresholds):
            if low == high or (low < high) is self.falling:
                side = "less" if self.falling else "more"
                found.append(
                    ((worse.value,), f"expected {side} than the {plain(low)} of {milder}, got {quoted(value[worse])}")
                )
        if not value:
            raise mistake(f"expected {self.expected}, got neither")
        if found:
            raise mistakes_at(found)
        return tuple(thresholds)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = dict(self.number.schema)
        levels = {
            "type": "object",
            "properties": {severity.value: number for severity in Severity},
            "additionalProperties": False,
            "minProperties": 1,
        }
        return {"anyOf": [number, levels, {"type": "null"}]}


@dataclass(frozen=True)
class LabelsOf:
    """Reads the labels that a rule adds to its alerts."""

    taken = ("rule", "severity", "builtin", "name", "series", *DIMENSIONS, *(f"{name}_name" for name in DIMENSIONS))

    def read(self, value: object) -> dict[str, str]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            unreadable = f"expected keys with values such as {{team: support}}, got {quoted(value)}"
            raise mistake(value.sentence if isinstance(value, InvalidValue) else unreadable)
        found: list[tuple[Location, str]] = []
        for name, text in value.items():
            try:
                LABEL_NAME.read(RawScalar(name))
                TEXT.read(text)
            except ValueError as error:
                found.append(((name,), str(error)))
            if name in self.taken:
                found.append(((name,), f'expected a label of your own, got "{name}", which every alert has'))
        if found:
            raise mistakes_at(found)
        return {str(name): str(text) for name, text in value.items()}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "string"}}


def severity_beside_levels(keys: Mapping[str, Any], *places: str) -> Iterator[tuple[Location, str]]:
    if given(keys.get("severity")) and any(isinstance(keys.get(place), Mapping) for place in places):
        yield ("severity",), f"expected no severity beside levels, which name their own, got {quoted(keys['severity'])}"


def levels_of(
    comparison: Comparison, thresholds: Thresholds, severity: Severity | None, clear: Fraction | None = None
) -> Levels:
    """A number without a severity is a warning."""
    named = tuple((own or severity or Severity.WARNING, number) for own, number in thresholds)
    return Levels(comparison, named, clear)
