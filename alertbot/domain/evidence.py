"""The evidence behind the counts: single violations and policy alerts, which of them an alert is about, and what may be told.

A *scope* says which evidence is meant, such as that of one configuration in the last hour. `Scope.covers` and the store's
queries mean the same by it.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from alertbot.domain.alerts import Alert, State
from alertbot.domain.history import Slice
from alertbot.domain.routes import Route
from alertbot.domain.rules import EVERYTHING, Burn, Rule, Selector, glob
from alertbot.domain.times import format_moment
from alertbot.domain.windows import TimeRange, take_time_range

TOP = 3  # of policies, people and models
CLOCKS_APART = timedelta(minutes=2)  # the server dates its evidence by its own clock
_BEFORE = timedelta(hours=1)  # what counts for an alert whose rule has no window, from before it fired
_ANY_TIME = datetime.min.replace(tzinfo=UTC)
_WORDS = re.compile(r"[^\W_]+")
_LONG_ID = 8  # of a shorter one, four characters are too much to tell


class EvidenceKind(StrEnum):
    """What Flashback lists."""

    VIOLATION = "violation"
    ALERT = "alert"


class Privacy(StrEnum):
    """How much of the evidence people are told, the most first."""

    FULL = "full"
    MASKED = "masked"
    COUNTS = "counts"

    @property
    def rank(self) -> int:
        return tuple(Privacy).index(self)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One violation or policy alert as Flashback lists it. `severity` is empty, and `blocked` None, where it says neither."""

    id: str
    kind: EvidenceKind
    at: datetime
    source: str = ""
    policy: str = ""
    policy_name: str = ""
    severity: str = ""
    blocked: bool | None = None
    repo: str = ""
    repo_name: str = ""
    user: str = ""
    user_name: str = ""
    api_key: str = ""
    api_key_name: str = ""
    provider: str = ""
    model: str = ""
    host: str = ""
    explanation: str = ""

    @property
    def labels(self) -> Mapping[str, str]:
        """What filters are held against."""
        return {
            "source": self.source,
            **{name: getattr(self, name) for name in FILTERS if name != "ai_llm"},
            **{f"{name}_name": getattr(self, f"{name}_name") for name in NAMED},
        }


# What evidence can be told apart by; a configuration only through its repositories.
FILTERS = ("policy", "user", "model", "severity", "ai_llm", "provider", "repo", "api_key", "host")
NAMED = ("policy", "user", "repo", "api_key")
_OF_EVIDENCE = ("model", "user", "repo", "api_key", "host")  # dimensions of a rule that evidence has by itself
_OF_CONFIGURATION = ("source", "ai_llm", "provider", "workspace")


@dataclass(frozen=True, slots=True)
class RepoOwner:
    """A configuration and the repositories that lead to it: evidence does not name the configuration."""

    labels: Mapping[str, str]
    repos: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which evidence is meant: of one source, of a kind, in [start, end). `repos` is None where any will do.

    `severity` empty means any; `same` holds dimensions with the value they must have, `where` globs on ids and names, which
    with `any_case` do not tell upper case from lower.
    """

    source: str
    kind: EvidenceKind
    start: datetime
    end: datetime | None = None
    repos: frozenset[str] | None = None
    blocked: bool = False
    severity: str = ""
    same: tuple[tuple[str, str], ...] = ()
    where: Selector = EVERYTHING
    any_case: bool = False

    def covers(self, one: Evidence) -> bool:
        """Whether a piece of evidence is meant."""
        labels = one.labels
        return (
            (one.source, one.kind) == (self.source, self.kind)
            and self.start <= one.at
            and (self.end is None or one.at < self.end)
            and (self.repos is None or one.repo in self.repos)
            and (not self.blocked or one.blocked is True)
            and self.severity in {"", one.severity}
            and all(labels[name] == value for name, value in self.same)
            and all(
                fits(patterns, _values(labels, name), any_case=self.any_case) for name, patterns in self.where.globs
            )
        )


def _values(labels: Mapping[str, str], dimension: str) -> tuple[str, ...]:
    return (labels[dimension], labels[f"{dimension}_name"]) if dimension in NAMED else (labels[dimension],)


def fits(patterns: Iterable[str], values: Collection[str], *, any_case: bool) -> bool:
    """Whether one of the globs means one of the values."""
    if any_case:
        patterns, values = [pattern.lower() for pattern in patterns], [value.lower() for value in values]
    return any(glob(pattern).match(value) for pattern in patterns for value in values)


# --- which evidence belongs to an alert


def _selection(metric: str) -> tuple[EvidenceKind, bool, str] | None:
    """The kind, whether only what was blocked, and the severity that a metric counts; None where there is no evidence."""
    match metric:
        case "policy_violations":
            return EvidenceKind.VIOLATION, False, ""
        case "policy_blocks":
            return EvidenceKind.VIOLATION, True, ""
        case "policy_alerts":
            return EvidenceKind.ALERT, False, ""
        case "severity_low" | "severity_medium" | "severity_high":
            return EvidenceKind.VIOLATION, False, metric.removeprefix("severity_").upper()
        case _:
            return None


def has_evidence(alert: Alert) -> bool:
    """Whether there may be evidence of what an alert is about: of too much of what policies find."""
    _, metric, _ = identified(alert)
    return alert.kind != "absence" and alert.comparison not in {"below", "at most"} and _selection(metric) is not None


def identified(alert: Alert) -> tuple[str, str, str]:
    """The type, the metric and the dimension of an alert's rule."""
    kind, metric, per = alert.identity.split("/")
    return kind, metric, per


def scopes_of(alerts: Iterable[Alert], rules: Sequence[Rule], owners: Sequence[RepoOwner]) -> tuple[Scope, ...]:
    """The evidence that these alerts are about; empty where they are about something else.

    Of what fires that is what its value counts; of what is over, all from its beginning to its end. `owners` are the
    configurations of the sources in question.
    """
    named = {rule.name: rule for rule in rules}
    merged: dict[Scope, Scope] = {}
    for alert in alerts:
        if has_evidence(alert):
            for scope in _scopes(alert, named.get(alert.rule), owners):
                alike = replace(scope, repos=None if scope.repos is None else frozenset(), start=_ANY_TIME)
                before = merged.get(alike)
                merged[alike] = scope if before is None else _together(before, scope)
    return tuple(merged.values())


def _together(one: Scope, other: Scope) -> Scope:
    repos = None if one.repos is None or other.repos is None else one.repos | other.repos
    return replace(one, repos=repos, start=min(one.start, other.start))


def _scopes(alert: Alert, rule: Rule | None, owners: Sequence[RepoOwner]) -> list[Scope]:
    _, metric, per = identified(alert)
    selected = _selection(metric)
    assert selected is not None, "asked for only then"
    kind, blocked, severity = selected
    where = rule.where.globs if rule is not None else ()
    coarse = Selector(tuple((name, globs) for name, globs in where if name in _OF_CONFIGURATION))
    fine = Selector(tuple((name, globs) for name, globs in where if name in _OF_EVIDENCE))
    same = ((per, alert.labels.get(per, "")),) if per in _OF_EVIDENCE else ()
    given = {per: alert.labels.get(per, "")} if per in _OF_CONFIGURATION else {}
    given |= {"source": alert.labels["source"]} if "source" in alert.labels else {}
    mine = [owner for owner in owners if _owns(owner, given) and coarse.selects(owner.labels)]
    # All of a source may also have evidence of what belongs to no configuration that we know.
    whole = per not in {"ai_llm", "provider", "workspace"} and all(name == "source" for name, _ in coarse.globs)
    start, end = period_of_evidence(alert, rule)
    found = []
    for source in sorted({owner.labels["source"] for owner in mine}):
        repos = frozenset().union(*(owner.repos for owner in mine if owner.labels["source"] == source))
        if whole or repos:
            scope = Scope(source, kind, start, end, None if whole else repos, blocked, severity, same, fine)
            found.append(scope)
    return found


def _owns(owner: RepoOwner, given: Mapping[str, str]) -> bool:
    return all(owner.labels.get(name, "") == value for name, value in given.items())


def period_of_evidence(alert: Alert, rule: Rule | None) -> tuple[datetime, datetime | None]:
    """From when until when evidence belongs to the alert; without an end while it fires."""
    began = alert.pending_since - _window_of(rule)
    if alert.state is State.FIRING or alert.resolved_at is None:
        return alert.baseline_at or began, None
    return min(began, alert.baseline_at or began), alert.resolved_at


def _window_of(rule: Rule | None) -> timedelta:
    if rule is None:
        return _BEFORE
    if isinstance(rule.condition, Burn):
        return max(rule.condition.windows)
    window: timedelta = getattr(rule.condition, "window", _BEFORE)
    return window


# --- what is told of it


@dataclass(frozen=True, slots=True)
class Count:
    """How often something or somebody occurs. `key` is the id, which is not told where the name is shortened."""

    name: str
    count: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class TopN:
    """Those that occur most, and how many there are in all."""

    first: tuple[Count, ...] = ()
    in_all: int = 0


@dataclass(frozen=True, slots=True)
class Summary:
    """Much evidence in a few words, listed from `since` on, and up to `until` where the list is closed.

    `severities` counts those that have one. `newest` is the newest of the leading policy that has an explanation; where
    that policy has none, the newest of all.
    """

    kind: EvidenceKind
    total: int
    blocked: int = 0
    severities: Mapping[str, int] | None = None
    policies: TopN = TopN()
    people: TopN = TopN()
    models: TopN = TopN()
    newest: Evidence | None = None
    privacy: Privacy = Privacy.FULL
    since: datetime | None = None
    until: datetime | None = None


def redact(summary: Summary, privacy: Privacy) -> Summary:
    """The summary without what may not be told."""
    if privacy is Privacy.FULL:
        return summary
    if privacy is Privacy.MASKED:
        people = tuple(Count(abbreviate(one.name, one.key), one.count) for one in summary.people.first)
        return replace(summary, newest=None, privacy=privacy, people=replace(summary.people, first=people))
    return replace(
        summary,
        newest=None,
        privacy=privacy,
        policies=replace(summary.policies, first=()),
        people=replace(summary.people, first=()),
        models=replace(summary.models, first=()),
    )


def mask(one: Evidence) -> Evidence:
    """The evidence without personal data: who and where as initials and the end of an id, and without its explanation."""
    return replace(
        one,
        user="",
        user_name=abbreviate(one.user_name, one.user),
        repo="",
        repo_name=abbreviate(one.repo_name, one.repo),
        api_key="",
        api_key_name=abbreviate(one.api_key_name, one.api_key),
        explanation="",
    )


def abbreviate(name: str, identity: str) -> str:
    """A name as its initials and the last four of the id: `A. R. …4c11`. One can tell two apart, and not who they are."""
    initials = " ".join(f"{word[0].upper()}." for word in _WORDS.findall(name)[:3])
    end = f"…{identity[-4:]}" if len(identity) >= _LONG_ID else ""
    return f"{initials} {end}".strip()


def privacy_of(source: str, routes: Iterable[Route]) -> Privacy:
    """What a look-up in Slack tells of a source: no more than the most careful of the routes that speak of it."""
    meant = [
        Privacy(route.privacy)
        for route in routes
        if all(name != "source" or fits(globs, (source,), any_case=False) for name, globs in route.match.globs)
    ]
    return strictest(meant)


def strictest(several: Iterable[Privacy]) -> Privacy:
    """The one that tells least; of none, all may be told."""
    return max(several, key=lambda privacy: privacy.rank, default=Privacy.FULL)


# --- what people ask


@dataclass(frozen=True, slots=True)
class ViolationQuery:
    """What somebody asks to see: globs by dimension, and how far back. Without a span: the last 24 hours."""

    where: Selector = EVERYTHING
    time_range: TimeRange | None = None

    @property
    def names_people(self) -> bool:
        return any(name in {"user", "repo", "api_key"} for name, _ in self.where.globs)


def parse_violation_query(words: Sequence[str]) -> ViolationQuery:
    """Read `[filters] [window]`, in any order, such as `policy="No customer PII" user=ana* today`.

    Raises ValueError for what is no filter.
    """
    rest, time_range = list(words), None
    globs: dict[str, tuple[str, ...]] = {}
    while rest:
        found, before = take_time_range(rest)
        if found is not None and time_range is None:
            time_range, rest = found, before
            continue
        word = rest.pop()
        name, equals, pattern = word.partition("=")
        name = name.lower()
        if not equals or name not in (*FILTERS, "source") or not pattern:
            named = ", ".join((*FILTERS, "source"))
            raise ValueError(f'expected filters such as policy="No customer PII", by {named}; got "{word}"')
        globs[name] = (pattern, *globs.get(name, ()))
    return ViolationQuery(Selector(tuple(reversed(globs.items()))), time_range)


@dataclass(frozen=True, slots=True)
class ViolationReport:
    """Evidence for somebody who asked: the newest of it, all of it in a few words, and what they have to know of it."""

    violations: tuple[Evidence, ...]
    summary: Summary
    notes: tuple[str, ...] = ()
    is_known: bool = True  # whether the list of one source at least could be read


def evidence_json(one: Evidence) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": format_moment(one.at),
        "policy": one.policy_name or one.policy,
        "severity": one.severity or None,
        "blocked": one.blocked,
        "user": one.user_name or one.user,
        "model": one.model,
        "provider": one.provider,
        "repo": one.repo_name or one.repo,
        "source": one.source,
        "explanation": one.explanation,
    }


# --- whether it agrees with the counts


def growth(older: Slice, newer: Slice, counter: str) -> int | None:
    """How far a counter has grown over a whole source from one reading to another; None where that is not known."""
    before, after = older.grown[counter], newer.grown[counter]
    if not after:
        return None
    return sum(int(total) - int(before.get(number, 0)) for number, total in after.items())


def difference(grown: int, *, at_least: int, at_most: int) -> str:
    """What is wrong where the list cannot be what was counted; empty where it can.

    `at_least` of the list surely are of the time in which so much was counted, `at_most` may be.
    """
    if at_most < grown:
        return f"{grown:,} violations were counted in an hour, but only {at_most:,} are listed; the count is used"
    if at_least > grown:
        return f"{at_least:,} violations are listed for an hour, but only {grown:,} were counted; the count is used"
    return ""
