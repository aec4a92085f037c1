"""Silences: who is not to be heard of, from when until when. They stop speech, never evaluation."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from alertbot.domain.history import Member, group
from alertbot.domain.metrics import DIMENSIONS
from alertbot.domain.patterns import LONGEST_PATTERN, regex, regex_problem
from alertbot.domain.rules import Rule, Severity, glob
from alertbot.domain.times import parse_duration, quotable

ENDLESS = datetime(9999, 1, 1, tzinfo=UTC)  # the end of a silence that has none: a rule that is muted
MOST_MATCHERS = 20  # of one silence: each is held against every alert
LONGEST_COMMENT = 500  # characters, as in the form
_WRITTEN = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)(=~|!~|!=|=)(.*)", re.DOTALL)


class MatchType(StrEnum):
    """How a matcher holds a label against its value."""

    IS = "="
    IS_NOT = "!="
    FITS = "=~"
    FITS_NOT = "!~"

    @property
    def takes_regex(self) -> bool:
        """Whether the value is a regular expression; else it is a glob."""
        return self in {MatchType.FITS, MatchType.FITS_NOT}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label: a glob (`=`, `!=`) or a regular expression that has to fit whole (`=~`, `!~`).

    A configuration is meant by its id or by its name. A label that is not there counts as empty.
    A regular expression that cannot be used matches nothing, whatever the sign.
    """

    label: str
    sign: MatchType
    value: str

    @property
    def problem(self) -> str:
        """Why the value cannot be used, such as one that was stored when another syntax was read; empty if it can be."""
        return regex_problem(self.value) if self.sign.takes_regex else ""

    def matches(self, labels: Mapping[str, str]) -> bool:
        if self.problem:
            return False
        named = "name" if self.label == "ai_llm" else f"{self.label}_name"
        values = [labels.get(self.label, ""), *([labels[named]] if named in labels else [])]
        pattern = regex(self.value) if self.sign.takes_regex else glob(_literal_brackets(self.value))
        fits = any(pattern.fullmatch(value) for value in values)
        return fits if self.sign in {MatchType.IS, MatchType.FITS} else not fits

    def __str__(self) -> str:
        value = f'"{self.value}"' if re.search(r"\s|^$", self.value) else self.value
        return f"{self.label}{self.sign}{value}"


def _literal_brackets(pattern: str) -> str:
    """Only * and ? are wildcards here: names with brackets in them are common."""
    return pattern.replace("[", "[[]")


@dataclass(frozen=True, slots=True)
class Silence:
    """No speech about alerts that all `matchers` fit, from `starts_at` to `ends_at`, both inclusive. No matchers: all alerts.

    `has_fixed_end` says that somebody named the moment of its end, or none; else they named a length of time.
    """

    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str = ""
    number: int = 0
    ended_by: str = ""
    has_fixed_end: bool = False

    def covers(self, labels: Mapping[str, str], now: datetime) -> bool:
        return self.starts_at <= now <= self.ends_at and all(matcher.matches(labels) for matcher in self.matchers)

    @property
    def problem(self) -> str:
        """Why the silence mutes nothing; empty for one that is valid. A page too many is better than one too few."""
        return next((matcher.problem for matcher in self.matchers if matcher.problem), "")

    @property
    def is_endless(self) -> bool:
        """Whether it holds until somebody ends it."""
        return self.ends_at >= ENDLESS

    @property
    def muted_rule(self) -> str:
        """The rule that it mutes, maybe for some sources only; empty for a silence that is not a mute."""
        match self.matchers:
            case (Matcher("rule", MatchType.IS, name), *_) if self.is_endless:
                return name
        return ""


def parse_matcher(text: str) -> Matcher:
    """Read `label=value`, `label!=value`, `label=~regex` or `label!~regex`. Raises ValueError with what was expected."""
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError(f'expected a matcher such as rule=violation-burst, got "{text}"')
    matcher = Matcher(written[1], MatchType(written[2]), written[3])
    if len(matcher.value) > LONGEST_PATTERN:
        raise ValueError(f"expected a pattern of at most {LONGEST_PATTERN} characters, got {len(matcher.value)}")
    if matcher.problem:
        raise ValueError(matcher.problem)
    return matcher


def check_matchers(matchers: Sequence[Matcher], *, everything: bool) -> tuple[Matcher, ...]:
    """The matchers, if they are of use. Raises ValueError for a silence that would match everything without saying so.

    Asked as Prometheus' Alertmanager asks it: one matcher at least must not fit an empty label.
    """
    if len(matchers) > MOST_MATCHERS:
        raise ValueError(f"expected at most {MOST_MATCHERS} matchers, got {len(matchers)}")
    if not everything and all(matcher.matches({}) for matcher in matchers):
        if any(matcher.sign in {MatchType.IS_NOT, MatchType.FITS_NOT} for matcher in matchers):
            raise ValueError(
                "this would silence all the rest; say what you mean, such as rule=violation-burst, as well"
            )
        raise ValueError("this would silence everything; if you mean that, write `all` alone")
    return tuple(matchers)


_OF_LLM = frozenset({"source", "ai_llm", "provider", "workspace"})  # what every reading says of an LLM


def needs_points(matchers: Sequence[Matcher]) -> bool:
    """Whether the matchers name what only points tell of, such as `user`."""
    return any(matcher.label in DIMENSIONS and matcher.label not in _OF_LLM for matcher in matchers)


def muted_llms(
    matchers: Sequence[Matcher], rules: Sequence[Rule], members: Iterable[Member]
) -> frozenset[tuple[str, str]]:
    """The LLMs (source and id) about which the matchers mute alerts of these rules, whether or not any is open.

    Each member is held against the matchers once, not once a rule: this runs for each letter typed into a form.
    """
    of_member = [matcher for matcher in matchers if _is_of_member(matcher.label)]
    of_rule = [matcher for matcher in matchers if not _is_of_member(matcher.label)]
    known = {member.number: member for member in members if "ai_llm" in member.labels}
    fitting = [member for member in known.values() if all(matcher.matches(member.labels) for matcher in of_member)]
    muted: set[int] = set()
    for rule in rules:
        if not any(all(matcher.matches(labels) for matcher in of_rule) for labels in _labels_of(rule)):
            continue
        if rule.per not in {"source", "provider", "workspace", "all"}:
            muted.update(member.number for member in fitting if rule.where.selects(member.labels))
            continue
        for series in group(known.values(), rule.per, rule.where):
            if all(matcher.matches(series.labels) for matcher in of_member):
                muted.update(series.members)
    return frozenset((known[number].labels["source"], known[number].labels["ai_llm"]) for number in muted)


def _is_of_member(label: str) -> bool:
    """Whether an LLM has the label, or its alerts have it by what they are about: `user`, `name`, `workspace_name`."""
    return label == "name" or label.removesuffix("_name") in DIMENSIONS


def _labels_of(rule: Rule) -> Iterator[Mapping[str, str]]:
    """The labels of a rule's alerts but for those of their series."""
    builtin = {"builtin": "true"} if rule.builtin else {}
    return ({**rule.labels, **builtin, "rule": rule.name, "severity": severity.value} for severity in Severity)


@dataclass(frozen=True, slots=True)
class SilenceRequest:
    """What a person wants silenced, for how long, and why."""

    matchers: tuple[Matcher, ...]
    duration: timedelta
    comment: str
    has_fixed_end: bool = False  # they named the moment, not the length


def parse_silence(words: Sequence[str]) -> SilenceRequest:
    """Read `<matchers> <duration> [comment]`; `all` alone in place of the matchers means everything.

    Raises ValueError with what is missing or wrong.
    """
    if not words:
        raise ValueError("matchers such as rule=violation-burst, and a duration such as 2h, are missing")
    matchers: tuple[Matcher, ...] = ()
    if words[0] == "all":
        rest = list(words[1:])
    else:
        count = next((place for place, word in enumerate(words) if not _WRITTEN.fullmatch(word)), len(words))
        matchers, rest = tuple(parse_matcher(word) for word in words[:count]), list(words[count:])
        if not matchers:
            raise ValueError(
                f'expected rule=violation-burst or other matchers, then a duration such as 2h, got "{quotable(" ".join(words))}"'
            )
    if not rest:
        raise ValueError("a duration such as 2h is missing")
    duration = parse_duration(rest[0])
    if duration <= timedelta(0):
        raise ValueError("a silence must last longer than 0 seconds")
    checked = check_matchers(matchers, everything=words[0] == "all")
    comment = " ".join(rest[1:])
    if len(comment) > LONGEST_COMMENT:
        raise ValueError(f"expected a comment of at most {LONGEST_COMMENT} characters, got {len(comment)}")
    return SilenceRequest(checked, duration, comment)
