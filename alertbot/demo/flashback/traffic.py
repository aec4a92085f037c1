"""The world behind the simulated Flashback API: who calls which model, second by second, and what the policies saw.

Everything that happens is drawn once, from dice that depend on nothing but the seed, the configuration and the minute.
Totals, points and evidence are sums of the same exchanges, so they agree to the unit, and two worlds of one seed are
equal whatever was asked of them in between.

`set_total` and `reset` are the exception: they change totals alone, as a provider's reset or a stale replica does.
"""

import math
import random
import threading
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alertbot.demo.flashback.facts import (
    COUNTERS,
    SEVERITY_COUNTS,
    STORAGE_AMOUNTS,
    Action,
    Alert,
    Bucket,
    Configuration,
    Exchange,
    Incident,
    Lane,
    Ledger,
    Point,
    Policy,
    Resolution,
    Severity,
    Transfer,
    Violation,
)

MINUTE = timedelta(minutes=1)
MINUTES_KEPT = timedelta(days=3)  # a demo at 3,600 times real time must not eat the machine's memory
MOST_EVIDENCE_AT_ONCE = 100_000  # a record each; larger totals are made with `set_total`


def rush(moment: datetime) -> float:
    """How busy people are at that time, from 0.15 (a night on Sunday) to 1 (two in the afternoon on a working day)."""
    hour = moment.hour + moment.minute / 60
    daily = 0.25 + 0.75 * ((1 + math.cos((hour - 14) / 24 * math.tau)) / 2) ** 2
    return daily * (1.0 if moment.weekday() < 5 else 0.6)


def draw_minute(
    configuration: Configuration,
    lanes: Sequence[Lane],
    minute: datetime,
    *,
    seed: int,
    incidents: Iterable[Incident] = (),
) -> list[Exchange]:
    """Everything that happens to one configuration in one minute; the same for the same arguments, always."""
    dice = random.Random(f"{seed}/{configuration.id}/{minute:%Y-%m-%dT%H:%M}")
    running = [each for each in incidents if each.start < minute + MINUTE and minute < each.end]
    mean = configuration.calls_per_minute * rush(minute) * math.prod(each.calls for each in running)
    tokens = math.prod(each.tokens for each in running)
    calls = _draw_count(dice, mean)
    weights = [policy.breaches_per_call for policy in configuration.policies]
    exchanges = []
    groups = min(calls, 6 + calls // 10)  # enough to move the totals every few seconds, few enough to stay cheap
    for group in range(groups):
        size = calls // groups + (group < calls % groups)
        lane, at = dice.choice(lanes), minute + timedelta(milliseconds=dice.randrange(60_000))
        breach = dice.random() < size * sum(weights)
        broken = dice.choices(configuration.policies, weights)[0] if breach else None
        exchanges.append(_draw_exchange(dice, lane, at, calls=size, tokens=tokens, broken=broken))
    for incident in running:
        policies = [
            policy for policy in configuration.policies if policy.name == incident.policy
        ] or configuration.policies
        culprit = lanes[sum(map(ord, incident.policy)) % len(lanes)]  # one person's script, as it mostly is
        for _ in range(_draw_count(dice, incident.violations_per_minute)):
            at = minute + timedelta(milliseconds=dice.randrange(60_000))
            exchange = _draw_exchange(dice, culprit, at, calls=1, tokens=1.0, broken=policies[0])
            if incident.start <= at < incident.end:
                exchanges.append(exchange)
    return exchanges


def draw_transfer(bucket: Bucket, minute: datetime, *, seed: int) -> Transfer:
    """What goes in and out of one bucket in one minute."""
    dice = random.Random(f"{seed}/{bucket.id}/{minute:%Y-%m-%dT%H:%M}")
    uploaded = int(bucket.bytes_per_minute * rush(minute) * dice.uniform(0.2, 1.0))
    deleted = int(uploaded * dice.uniform(0.0, 1.6))  # some minutes delete more than they bring
    downloaded = int(uploaded * dice.uniform(1.0, 6.0))
    amounts = {"upload_bytes": uploaded, "download_bytes": downloaded, "size_change_bytes": uploaded - deleted}
    at = minute + timedelta(milliseconds=dice.randrange(60_000))
    return Transfer(at, bucket, amounts, latency_ms=dice.randrange(20, 180))


def _draw_exchange(
    dice: random.Random, lane: Lane, at: datetime, *, calls: int, tokens: float, broken: Policy | None
) -> Exchange:
    tokens_in = int(calls * tokens * lane.configuration.tokens_in_per_call * dice.lognormvariate(0.0, 0.3))
    tokens_out = int(calls * tokens * lane.configuration.tokens_out_per_call * dice.lognormvariate(0.0, 0.3))
    violations: tuple[Violation, ...] = ()
    alerts: tuple[Alert, ...] = ()
    if broken is not None:
        severity = dice.choices([broken.risk, *Severity, None], [14, 1, 1, 1, 1])[0]
        text, block = dice.choice(broken.explanations), broken.action is Action.BLOCK
        violations = (Violation(_draw_id(dice), at, broken, lane, text, severity, block),)
        if broken.action is Action.ALERT:
            alerts = (Alert(_draw_id(dice), at, broken, lane, f"{broken.name}: {text}"),)
    amounts = {
        "api_calls": calls,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "llm_tokens_in": int(tokens_in * dice.uniform(0.92, 0.98)),
        "llm_tokens_out": int(tokens_out * dice.uniform(0.92, 0.98)),
        "policy_violations": len(violations),
        "policy_alerts": len(alerts),
        "policy_blocks": sum(violation.block for violation in violations),
    }
    latency = int(400 + tokens_out / calls * dice.uniform(4.0, 9.0))
    return Exchange(at, lane, amounts, latency, violations, alerts)


def _draw_count(dice: random.Random, mean: float) -> int:
    """How many independent things happen where `mean` are expected (a Poisson number)."""
    if mean > 30:
        return max(0, round(dice.gauss(mean, math.sqrt(mean))))
    count, product, limit = 0, dice.random(), math.exp(-mean)
    while product > limit:
        product *= dice.random()
        count += 1
    return count


def _draw_id(dice: random.Random) -> str:
    return str(uuid.UUID(int=dice.getrandbits(128), version=4))


@dataclass(slots=True)
class _Account:
    """What the API knows of one configuration."""

    configuration: Configuration
    lanes: tuple[Lane, ...]
    totals: dict[str, int]
    hidden: set[str]  # counters that the answer leaves out


class World:
    """Configurations with their traffic, seen at one moment that only moves forward. Every method may be called by any thread.

    `advance` brings the world to a time; with `follow` it also catches up with a clock before each act. An `ai_llm` is
    named by its id or by its name.
    """

    def __init__(
        self,
        configurations: Iterable[Configuration] = (),
        *,
        start: datetime,
        seed: int = 0,
        incidents: Sequence[Incident] = (),
        buckets: Sequence[Bucket] = (),
        moving: bool = True,
    ) -> None:
        self._lock = threading.RLock()
        self._start = self._now = start
        self._clock: Callable[[], datetime] | None = None
        self._seed = seed
        self._incidents = tuple(incidents)
        self._buckets = tuple(buckets)
        self._moving = moving
        self._next_minute = Resolution.MINUTE.floor(start)
        self._pending: deque[Exchange | Transfer] = deque()
        self._accounts: dict[str, _Account] = {}
        self._calls: Ledger[Lane] = Ledger((*COUNTERS, *SEVERITY_COUNTS))
        self._storage: Ledger[Bucket] = Ledger(STORAGE_AMOUNTS)
        self._violations: list[Violation] = []
        self._alerts: list[Alert] = []
        self._dice = random.Random(f"{seed}/by hand")
        for configuration in configurations:
            self.add(configuration)

    @classmethod
    def still(
        cls, configurations: Iterable[Configuration | str] = (), *, start: datetime, buckets: Sequence[Bucket] = ()
    ) -> "World":
        """A world without traffic of its own, where only acts change anything. A bare string is a configuration's id and name."""
        world = cls(start=start, buckets=buckets, moving=False)
        for each in configurations:
            world.add(Configuration(each, each) if isinstance(each, str) else each)
        return world

    # ---- time

    @property
    def now(self) -> datetime:
        """The moment that the world has come to."""
        with self._lock:
            return self._now

    def follow(self, clock: Callable[[], datetime]) -> None:
        """From now on acts happen at the time of `clock`."""
        with self._lock:
            self._clock = clock

    def advance(self, to: datetime) -> None:
        """Lets everything happen up to and including `to`; an earlier time than the world's own changes nothing."""
        with self._lock:
            while self._moving and self._next_minute <= to:
                self._draw_minute(self._next_minute)
                self._next_minute += MINUTE
                self._record_until(to)
            self._record_until(to)
            self._now = max(self._now, to)

    # ---- acts

    def bump(self, ai_llm: str, counter: str, amount: int) -> None:
        """Adds `amount` to a counter now, and to the newest points; violations and alerts get a record of evidence each."""
        _refuse_unknown(counter)
        if amount < 0:
            raise ValueError(f"amount: expected 0 or more, got {amount}; a total that falls is made with set_total")
        if counter == "policy_violations":
            self.violate(ai_llm, amount)
            return
        with self._lock:
            account = self._catch_up(ai_llm)
            alerts: tuple[Alert, ...] = ()
            at = _round_down(self._now)
            if counter == "policy_alerts":
                policy = account.configuration.policies[0]
                text = f"{policy.name}: {policy.explanations[0]}"
                alerts = tuple(Alert(_draw_id(self._dice), at, policy, account.lanes[0], text) for _ in _each(amount))
            self._record(Exchange(at, account.lanes[0], {counter: amount}, latency_ms=850, alerts=alerts))

    def violate(
        self,
        ai_llm: str,
        count: int = 1,
        *,
        policy: str = "",
        severity: Severity | None = Severity.MEDIUM,
        block: bool = False,
        explanation: str = "",
    ) -> None:
        """Makes `count` violations now: totals, points and evidence grow by as many. `policy` is the name of one of its policies."""
        with self._lock:
            account = self._catch_up(ai_llm)
            named = [each for each in account.configuration.policies if not policy or each.name == policy]
            if not named:
                raise ValueError(f"policy: {account.configuration.name} has none named {policy!r}")
            broken, lane, at = named[0], account.lanes[0], _round_down(self._now)
            text = explanation or broken.explanations[0]
            violations = tuple(
                Violation(_draw_id(self._dice), at, broken, lane, text, severity, block) for _ in _each(count)
            )
            amounts = {"policy_violations": count, "policy_blocks": count if block else 0}
            self._record(Exchange(at, lane, amounts, violations=violations))

    def set_total(self, ai_llm: str, counter: str, value: int | None) -> None:
        """Makes a total exactly `value`, up or down; None leaves it out of the answers until it is set again."""
        _refuse_unknown(counter)
        with self._lock:
            account = self._catch_up(ai_llm)
            if value is None:
                account.hidden.add(counter)
            elif value < 0:
                raise ValueError(f"value: expected 0 or more, got {value}")
            else:
                account.hidden.discard(counter)
                account.totals[counter] = value

    def reset(self, ai_llm: str) -> None:
        """Starts a configuration's totals again at 0, as the provider may; its points and evidence stay."""
        with self._lock:
            account = self._catch_up(ai_llm)
            account.totals = dict.fromkeys(COUNTERS, 0)

    def add(self, configuration: Configuration | str) -> None:
        """Creates a configuration; a bare string is its id and name, and it is created now."""
        with self._lock:
            if self._clock is not None:
                self.advance(self._clock())
            if isinstance(configuration, str):
                configuration = Configuration(configuration, configuration, created_at=self._now)
            if configuration.id in self._accounts:
                raise ValueError(f"ai_llm: {configuration.id!r} is there already")
            totals = {counter: configuration.opening.get(counter, 0) for counter in COUNTERS}
            self._accounts[configuration.id] = _Account(configuration, configuration.lanes(), totals, set())

    def remove(self, ai_llm: str) -> None:
        """Deletes a configuration with all that was counted for it; it is in no answer any more."""
        with self._lock:
            account = self._catch_up(ai_llm)
            gone = frozenset(account.lanes)
            del self._accounts[account.configuration.id]
            self._pending = deque(each for each in self._pending if isinstance(each, Transfer) or each.lane not in gone)
            self._calls.erase(gone)
            self._violations = [each for each in self._violations if each.lane not in gone]
            self._alerts = [each for each in self._alerts if each.lane not in gone]

    def transfer(self, bucket: str, *, uploaded: int = 0, downloaded: int = 0, size_change: int = 0) -> None:
        """Moves bytes in and out of a storage bucket now."""
        with self._lock:
            if self._clock is not None:
                self.advance(self._clock())
            found = [each for each in self._buckets if bucket in (each.id, each.name)]
            if not found:
                raise LookupError(f"bucket: there is none called {bucket!r}")
            amounts = {"upload_bytes": uploaded, "download_bytes": downloaded, "size_change_bytes": size_change}
            self._record(Transfer(self._now, found[0], amounts, latency_ms=90))

    # ---- what can be seen

    def configurations(self) -> tuple[Configuration, ...]:
        """The configurations that exist now, oldest first."""
        with self._lock:
            return tuple(account.configuration for account in self._accounts.values())

    def totals(self) -> dict[str, dict[str, int]]:
        """The totals by the configurations' ids; a hidden counter is missing."""
        with self._lock:
            return {
                ai_llm: {name: total for name, total in account.totals.items() if name not in account.hidden}
                for ai_llm, account in self._accounts.items()
            }

    def points(
        self, resolution: Resolution, start: datetime | None = None, end: datetime | None = None
    ) -> list[Point[Lane]]:
        """The points of calls whose bucket opened within [start, end], oldest first."""
        with self._lock:
            return list(self._calls.points(resolution, start, end))

    def storage_points(
        self, resolution: Resolution, start: datetime | None = None, end: datetime | None = None
    ) -> list[Point[Bucket]]:
        """The points of storage whose bucket opened within [start, end], oldest first."""
        with self._lock:
            return list(self._storage.points(resolution, start, end))

    def violations(self) -> list[Violation]:
        """All violations, newest first."""
        with self._lock:
            return self._violations[::-1]

    def alerts(self) -> list[Alert]:
        """All alerts that policies raised, newest first."""
        with self._lock:
            return self._alerts[::-1]

    # ---- within

    def _draw_minute(self, minute: datetime) -> None:
        happened: list[Exchange | Transfer] = [
            draw_transfer(bucket, minute, seed=self._seed) for bucket in self._buckets if bucket.bytes_per_minute
        ]
        for ai_llm, account in self._accounts.items():
            incidents = [each for each in self._incidents if each.ai_llm == ai_llm]
            happened += draw_minute(account.configuration, account.lanes, minute, seed=self._seed, incidents=incidents)
        self._pending.extend(sorted((each for each in happened if each.at >= self._start), key=lambda each: each.at))
        if minute.minute == 0:
            self._calls.forget(minutes_before=minute - MINUTES_KEPT)
            self._storage.forget(minutes_before=minute - MINUTES_KEPT)

    def _record_until(self, to: datetime) -> None:
        while self._pending and self._pending[0].at <= to:
            self._record(self._pending.popleft())

    def _record(self, happened: Exchange | Transfer) -> None:
        if isinstance(happened, Transfer):
            self._storage.add(happened.at, happened.bucket, happened.amounts, latency_ms=happened.latency_ms, weight=1)
            return
        totals = self._accounts[happened.lane.configuration.id].totals
        for counter, amount in happened.amounts.items():
            totals[counter] += amount
        severities = Counter(f"severity_{each.severity.lower()}" for each in happened.violations if each.severity)
        amounts = {**happened.amounts, **severities}
        calls = happened.amounts.get("api_calls", 0)
        self._calls.add(happened.at, happened.lane, amounts, latency_ms=happened.latency_ms, weight=calls)
        self._violations += happened.violations
        self._alerts += happened.alerts

    def _catch_up(self, ai_llm: str) -> _Account:
        """Brings the world to the clock's time; the account that `ai_llm` names."""
        if self._clock is not None:
            self.advance(self._clock())
        if ai_llm in self._accounts:
            return self._accounts[ai_llm]
        for account in self._accounts.values():
            if account.configuration.name == ai_llm:
                return account
        raise LookupError(f"ai_llm: there is none called {ai_llm!r}")


def _round_down(moment: datetime) -> datetime:
    """To the millisecond, the finest that the API writes: a `to` that was read from an answer must find it again."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _refuse_unknown(counter: str) -> None:
    if counter not in COUNTERS:
        raise ValueError(f"counter: expected one of {', '.join(COUNTERS)}, got {counter!r}")


def _each(count: int) -> range:
    if not 0 <= count <= MOST_EVIDENCE_AT_ONCE:
        raise ValueError(f"amount: expected 0 to {MOST_EVIDENCE_AT_ONCE} records of evidence, got {count}")
    return range(count)
