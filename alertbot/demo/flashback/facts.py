"""What exists and what happens in the simulated world: configurations, policies, exchanges, and the ledger of their sums.

An `Exchange` is the single fact that every answer of the simulated API is made of: a few calls of one person to one model
in the same moment, with all that the policies found in them.
"""

import operator
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Generic, TypeVar

COUNTERS = (
    "api_calls",
    "tokens_in",
    "tokens_out",
    "llm_tokens_in",
    "llm_tokens_out",
    "policy_violations",
    "policy_alerts",
    "policy_blocks",
)
SEVERITY_COUNTS = ("severity_low", "severity_medium", "severity_high")
STORAGE_AMOUNTS = ("upload_bytes", "download_bytes", "size_change_bytes")
NAMESPACE = uuid.UUID("6f7a1c52-5d0e-4b43-9a3e-0c1f6f1d2b77")


class Severity(StrEnum):
    """How bad a violation is; a violation may also have none."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class Action(IntEnum):
    """What a policy does with a violation, in the numbers of the API."""

    LOG = 0
    ALERT = 1
    BLOCK = 2


class Resolution(StrEnum):
    """The length of the time buckets that points are added up in."""

    MINUTE = "minute"
    DAY = "daily"

    def floor(self, moment: datetime) -> datetime:
        """The start of the bucket that `moment` falls into."""
        whole = moment.replace(second=0, microsecond=0)
        return whole if self is Resolution.MINUTE else whole.replace(hour=0, minute=0)


@dataclass(frozen=True, slots=True)
class Named:
    """A person, a repository, an API key or a workspace: an id, and the name that people read."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Model:
    """A language model as a point names it: provider (`llmType`), model and host."""

    provider: str
    name: str
    host: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What must not be said to a model. `breaches_per_call` is how often it is, on an ordinary day."""

    id: str
    name: str
    content: str
    risk: Severity = Severity.MEDIUM
    action: Action = Action.LOG
    explanations: tuple[str, ...] = ("The prompt breaks this policy.",)
    breaches_per_call: float = 0.0


PLAIN_MODEL = Model("OPENAI", "gpt-4o", "api.openai.com")
PLAIN_POLICY = Policy("policy-1", "No customer PII", "No personal data of customers in prompts.")
PLAIN_CREATION = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Configuration:
    """One AI LLM configuration with everybody and everything that uses it. `calls_per_minute` is at the busiest hour."""

    id: str
    name: str
    workspace: Named = Named("workspace-1", "Main")
    models: tuple[Model, ...] = (PLAIN_MODEL,)
    people: tuple[Named, ...] = (Named("user-1", "Ana Ruiz"),)
    repos: tuple[
        Named, ...
    ] = ()  # one of its own if none is given: evidence leads to a configuration by its repositories
    api_key: Named = Named("key-1", "production")
    policies: tuple[Policy, ...] = (PLAIN_POLICY,)
    created_at: datetime = PLAIN_CREATION
    calls_per_minute: float = 0.0
    tokens_in_per_call: int = 900
    tokens_out_per_call: int = 260
    opening: Mapping[str, int] = field(default_factory=dict)  # what the totals were when the world began

    def __post_init__(self) -> None:
        if not self.repos:
            object.__setattr__(self, "repos", (Named(f"{self.id}-repo", f"{self.name}-repo"),))
        if not (self.models and self.people and self.policies):
            raise ValueError(f"configuration {self.id}: needs a model, a person and a policy at least")

    def lanes(self) -> "tuple[Lane, ...]":
        """Every way through the gateway that is used: each person works in one repository, with every model."""
        return tuple(
            Lane(self, person, self.repos[place % len(self.repos)], model)
            for place, person in enumerate(self.people)
            for model in self.models
        )


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One way through the gateway: a person, in a repository, to a model. What a point is counted by; equal to itself only."""

    configuration: Configuration
    person: Named
    repo: Named
    model: Model

    def conversation(self, moment: datetime) -> str:
        """The id of the conversation that this person keeps with this model on that day."""
        route = (self.configuration.id, self.person.id, self.repo.id, self.model.name, moment.date().isoformat())
        return str(uuid.uuid5(NAMESPACE, "/".join(route)))


@dataclass(frozen=True, slots=True)
class Violation:
    """The evidence behind one unit of `policy_violations`."""

    id: str
    at: datetime
    policy: Policy
    lane: Lane
    explanation: str
    severity: Severity | None
    block: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """The evidence behind one unit of `policy_alerts`."""

    id: str
    at: datetime
    policy: Policy
    lane: Lane
    message: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """A storage bucket and the traffic of its busiest minute, in bytes."""

    id: str
    name: str
    repo: Named
    host: str
    bytes_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one lane did in one moment: the single fact that every answer of the API is made of."""

    at: datetime
    lane: Lane
    amounts: Mapping[str, int]
    latency_ms: int = 0
    violations: tuple[Violation, ...] = ()
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """What went in and out of one bucket in one moment."""

    at: datetime
    bucket: Bucket
    amounts: Mapping[str, int]
    latency_ms: int = 0


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that goes wrong with one configuration for a while: violations come, or calls and tokens multiply."""

    ai_llm: str
    start: datetime
    end: datetime
    violations_per_minute: float = 0.0
    policy: str = ""  # a name; the configuration's first policy if empty
    calls: float = 1.0
    tokens: float = 1.0


Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class Point(Generic[Key]):
    """What one lane (or storage bucket) did within one time bucket, as far as the clock has come."""

    opened_at: datetime
    key: Key
    amounts: Mapping[str, int]
    latency_ms: int


class Ledger(Generic[Key]):
    """Amounts by time bucket and key, at both resolutions. `names` are the amounts it counts."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        # Lists, not mappings: days of minutes are kept, and a list of integers is a third of the size.
        self._sums: dict[Resolution, dict[datetime, dict[Key, list[int]]]] = {each: {} for each in Resolution}

    def add(self, at: datetime, key: Key, amounts: Mapping[str, int], *, latency_ms: int, weight: int) -> None:
        """Counts `amounts` in the minute and in the day of `at`; the latency is averaged by `weight`."""
        added = [*(amounts.get(name, 0) for name in self._names), latency_ms * weight, weight]
        for resolution, buckets in self._sums.items():
            by_key = buckets.setdefault(resolution.floor(at), {})
            sums = by_key.get(key)
            by_key[key] = added if sums is None else list(map(operator.add, sums, added))

    def points(self, resolution: Resolution, start: datetime | None, end: datetime | None) -> Iterator[Point[Key]]:
        """The points whose bucket opened within [start, end], oldest first."""
        for opened_at, by_key in sorted(self._sums[resolution].items()):
            if (start is None or opened_at >= start) and (end is None or opened_at <= end):
                for key, (*amounts, latency, weight) in by_key.items():
                    named = dict(zip(self._names, amounts, strict=True))
                    yield Point(opened_at, key, named, latency // weight if weight else 0)

    def forget(self, *, minutes_before: datetime) -> None:
        """Drops old minutes; days stay."""
        minutes = self._sums[Resolution.MINUTE]
        for opened_at in [opened_at for opened_at in minutes if opened_at < minutes_before]:
            del minutes[opened_at]

    def erase(self, keys: Iterable[Key]) -> None:
        """Drops all that was ever counted for `keys`."""
        for buckets in self._sums.values():
            for by_key in buckets.values():
                for key in keys:
                    by_key.pop(key, None)
