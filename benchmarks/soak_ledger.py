"""What a soak has caused, held against what Slack shows at its end."""

import itertools
import math
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

LINGERS = 15.0  # seconds after a fault in which what it held up is still on its way
IN_TIME = 3.0  # seconds that Slack waits for an acknowledgement
_TOLD = re.compile(r"\*(?P<word>[A-Z]\w+)\*: (?P<amount>[\d,]+) violations? in .* on (?P<name>config-\d+) \(")
_NUMBER = re.compile(r"\bA(\d+)\b")
_OVER = "Resolved"
CLOCK_WAS_WRONG = "ended by a clock that was wrong, and begun again when that was set right"


@dataclass(slots=True)
class Bump:
    """So many violations of one configuration at a moment, which people have to hear of. `at` is monotonic."""

    name: str
    amount: int
    at: float
    told_after: float | None = None
    in_calm: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One message as it stands at the end: about which configuration, and how many violations it tells."""

    ts: str
    name: str
    amount: int
    alert: int
    notification: str
    is_over: bool
    lines: tuple[tuple[str, str], ...] = ()  # of its thread: when, and what


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person did, and what came of it: kept, refused with a word to the person, or lost."""

    who: str
    what: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Gap:
    """The longest time between two readings of a source, in seconds: at all, and where no fault was near."""

    source: str
    interval: float
    longest: float
    in_calm: float

    @property
    def is_late(self) -> bool:
        """Whether the source waited longer than for two of its intervals, and nothing excuses it."""
        return self.in_calm > 2 * self.interval


@dataclass(frozen=True, slots=True)
class Asked:
    """Something that a person asked for: after how many seconds it was acknowledged, if it was in time."""

    kind: str
    seconds: float | None
    in_calm: bool


@dataclass(slots=True)
class Outcome:
    """The result of a soak, in numbers; what went wrong is told in `wrong`, a line each."""

    bumps: int = 0
    told: int = 0
    lost: int = 0
    duplicates: Counter[str] = field(default_factory=Counter)
    lines_twice: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    in_calm: int = 0
    gaps: list[Gap] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def parse(text: str, context: str, *, ts: str, notification: str, lines: Sequence[tuple[str, str]] = ()) -> Said | None:
    """What a message says; None where it is not about a configuration. `context` is its last line, with its numbers."""
    found, numbers = _TOLD.search(text), _NUMBER.search(context)
    if found is None or numbers is None:
        return None
    amount = int(found["amount"].replace(",", ""))
    return Said(ts, found["name"], amount, int(numbers[1]), notification, found["word"] == _OVER, tuple(lines))


class Ledger:
    """Bumps, faults and when people heard; used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, Bump] = {}
        self._under_way: dict[int, str] = {}
        self._ended_at = -LINGERS
        self._faults = 0
        self._past: list[tuple[float, float]] = []
        self._requests: list[tuple[str, float, float | None]] = []
        self.bumps: list[Bump] = []
        self.kinds: Counter[str] = Counter()

    def idle(self, names: Sequence[str]) -> list[str]:
        """Those of these configurations of which nothing waits to be told, or to end."""
        with self._lock:
            return [name for name in names if name not in self._open]

    def bumped(self, name: str, amount: int) -> None:
        """Note what people have to hear."""
        with self._lock:
            self._open[name] = bump = Bump(name, amount, self._clock(), in_calm=self._is_calm())
            self.bumps.append(bump)

    def heard(self, name: str, amount: int, *, is_over: bool) -> None:
        """Note what a channel shows: the first message about a bump, and its end."""
        with self._lock:
            bump = self._open.get(name)
            if bump is None or bump.amount != amount:
                return
            if bump.told_after is None:
                bump.told_after = self._clock() - bump.at
                bump.in_calm = bump.in_calm and self._is_calm()
            if is_over:
                del self._open[name]

    @property
    def waiting(self) -> int:
        """How many bumps are not told, or have not ended."""
        with self._lock:
            return len(self._open)

    @contextmanager
    def fault(self, kind: str) -> Iterator[None]:
        """A fault, from its beginning to its end."""
        with self._lock:
            self._faults += 1
            number, began = self._faults, self._clock()
            self._under_way[number] = kind
            self.kinds[kind] += 1
            for bump in self._open.values():
                if bump.told_after is None:
                    bump.in_calm = False
        try:
            yield
        finally:
            with self._lock:
                del self._under_way[number]
                self._ended_at = self._clock()
                self._past.append((began, self._ended_at))

    def asked(self, kind: str, at: float, seconds: float | None) -> None:
        """Note that somebody asked for something, and after how long that was acknowledged; None if it was not in time."""
        with self._lock:
            self._requests.append((kind, at, seconds))

    def every_asked(self) -> list[Asked]:
        """What was asked, and whether no fault was near. To be called when all of them have ended."""
        return [
            Asked(kind, seconds, self.was_calm(at, at + (IN_TIME if seconds is None else seconds)))
            for kind, at, seconds in self._requests
        ]

    def was_calm(self, since: float, until: float) -> bool:
        """Whether no fault was near. To be called when all of them have ended."""
        return not any(began <= until and since < ended + LINGERS for began, ended in self._past)

    def gap(self, source: str, interval: float, read_at: Sequence[float], *, since: float, until: float) -> Gap:
        """The longest time from one reading to the next, or from the beginning to the first, or from the last to the end."""
        moments = [since, *sorted(moment for moment in read_at if since < moment < until), until]
        steps = list(itertools.pairwise(moments))
        longest = max(later - earlier for earlier, later in steps)
        calm = [later - earlier for earlier, later in steps if self.was_calm(earlier, later)]
        return Gap(source, interval, longest, max(calm, default=0.0))

    def _is_calm(self) -> bool:
        return not self._under_way and self._clock() - self._ended_at >= LINGERS


def judge(
    bumps: Sequence[Bump], said: Sequence[Said], deeds: Sequence[Deed], explain: Callable[[Sequence[str]], str]
) -> Outcome:
    """Hold what was caused against what Slack shows. `explain` tells why a notification was posted more than once, if it is known."""
    outcome = Outcome(bumps=len(bumps))
    messages: defaultdict[tuple[str, int], list[Said]] = defaultdict(list)
    for one in said:
        messages[one.name, one.amount].append(one)
    for bump in bumps:
        found = messages.pop((bump.name, bump.amount), [])
        _judge_one(outcome, bump, found, explain)
        if found and bump.in_calm and bump.told_after is not None:
            outcome.in_calm += 1
            outcome.slowest = max(outcome.slowest, bump.told_after)
    for (name, amount), found in messages.items():
        outcome.wrong += [f"told, but never happened: {amount} violations on {name} (A{one.alert})" for one in found]
    for deed in deeds:
        outcome.deeds[deed.outcome] += 1
        if deed.outcome == "lost":
            outcome.wrong.append(f"lost: {deed.who} {deed.what}")
    return outcome


def _judge_one(outcome: Outcome, bump: Bump, found: Sequence[Said], explain: Callable[[Sequence[str]], str]) -> None:
    what = f"{bump.amount} violations on {bump.name}"
    if not found:
        outcome.lost += 1
        outcome.wrong.append(f"lost: {what}")
        return
    outcome.told += 1
    if len({one.alert for one in found}) > 1 and explain([one.ts for one in found]) != CLOCK_WAS_WRONG:
        outcome.wrong.append(f"told as several alerts: {what} ({', '.join(f'A{one.alert}' for one in found)})")
    for again in found[1:]:
        reason = explain([found[0].ts, again.ts])
        outcome.duplicates[reason or "unexplained"] += 1
        if not reason:
            outcome.wrong.append(f"posted twice: {what} (notices {found[0].notification} and {again.notification})")
    # Of a message that was posted twice one is kept up to date: the bot knows of no other.
    if not any(one.is_over for one in found):
        outcome.wrong.append(f"not ended in Slack: {what}")
    for one in found:
        moments: dict[str, str] = {}
        for ts, line in one.lines:
            before = moments.setdefault(line, ts)
            if before != ts:
                reason = explain([before, ts])
                outcome.lines_twice[reason or "unexplained"] += 1
                if not reason:
                    outcome.wrong.append(f"said twice in the thread of {what}: {line}")


def judge_the_load(outcome: Outcome, gaps: Sequence[Gap], asked: Sequence[Asked]) -> None:
    """Hold how long sources and people waited, where nothing excuses it, against what they were promised."""
    outcome.gaps, outcome.asked = list(gaps), list(asked)
    outcome.wrong += [
        f"not read for {gap.in_calm:.1f} s without faults: {gap.source}, every {gap.interval:g} s"
        for gap in gaps
        if gap.is_late
    ]
    ignored = Counter(each.kind for each in asked if each.in_calm and each.seconds is None)
    outcome.wrong += [f"not acknowledged in time, without faults: {count} {kind}" for kind, count in ignored.items()]


def about_the_load(outcome: Outcome) -> list[tuple[str, object]]:
    """The rows on how long sources and people waited."""
    rows: list[tuple[str, object]] = [
        ("sources", len(outcome.gaps)),
        ("  not read for two of their intervals, without faults", sum(gap.is_late for gap in outcome.gaps)),
    ]
    for interval, same in itertools.groupby(
        sorted(outcome.gaps, key=lambda gap: gap.interval), lambda gap: gap.interval
    ):
        alike = list(same)
        calm, longest = (max(alike, key=lambda gap: gap.in_calm), max(alike, key=lambda gap: gap.longest))
        every = f"  of the {len(alike)} that are read every {interval:g} s"
        rows.append((f"{every}: longest wait without faults ({calm.source})", f"{calm.in_calm:.1f} s"))
        rows.append((f"{every}: longest wait at all ({longest.source})", f"{longest.longest:.1f} s"))
    for kind in sorted({each.kind for each in outcome.asked}):
        for when, alike_asked in (
            ("", [each for each in outcome.asked if each.kind == kind]),
            (", without faults", [each for each in outcome.asked if each.kind == kind and each.in_calm]),
        ):
            taken = sorted(each.seconds for each in alike_asked if each.seconds is not None)
            rows.append((f"{kind}{when}", len(alike_asked)))
            rows.append(("  not acknowledged in time", len(alike_asked) - len(taken)))
            if taken:
                rows.append(
                    ("  99 of 100 of the others were within", f"{taken[math.ceil(0.99 * len(taken)) - 1]:.2f} s")
                )
    return rows


def drawn(title: str, rows: Sequence[tuple[str, object]], outcome: Outcome) -> str:
    """The outcome as a table that can be pasted anywhere."""
    every: list[tuple[str, object]] = [
        *rows,
        ("bumps that people have to hear of", outcome.bumps),
        ("told", outcome.told),
        ("lost", outcome.lost),
        ("messages posted twice", sum(outcome.duplicates.values())),
        *((f"  {reason}", count) for reason, count in sorted(outcome.duplicates.items())),
        ("lines in threads posted twice", sum(outcome.lines_twice.values())),
        *((f"  {reason}", count) for reason, count in sorted(outcome.lines_twice.items())),
        ("acts of people", sum(outcome.deeds.values())),
        *((f"  {result}", count) for result, count in sorted(outcome.deeds.items())),
        *about_the_load(outcome),
        (f"longest from bump to message, without faults ({outcome.in_calm} bumps)", f"{outcome.slowest:.1f} s"),
        ("what is wrong", len(outcome.wrong)),
    ]
    width = max(len(name) for name, _ in every)
    lines = [f"{name:<{width}}  {value!s:>8}" for name, value in every]
    return "\n".join([title, "-" * (width + 10), *lines, *(f"  ! {line}" for line in outcome.wrong)])
