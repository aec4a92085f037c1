"""What a figure over a window is counted from, and what it could not see. Not known is never zero."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alertbot.domain.datasets import Feeds
from alertbot.domain.history import SourceState
from alertbot.domain.metrics import by_what
from alertbot.domain.points import Dataset
from alertbot.domain.times import format_moment
from alertbot.domain.windows import Window

_DATASETS = {Dataset.TOTALS: "totals", Dataset.AI: "minute statistics", Dataset.STORAGE: "storage statistics"}
_COLLECTORS = {Dataset.TOTALS: "llm_stats", Dataset.AI: "ai_minutes", Dataset.STORAGE: "storage_minutes"}
_STALE_AFTER = 3  # intervals without a good reading; /readyz counts the same


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is behind a figure.

    `since` is the first moment that is counted, None where nothing is known of any source. `unknown` and `late` are
    sentences, each about a source that is not counted, or that is counted from later on than `since`.
    """

    since: datetime | None
    unknown: tuple[str, ...] = ()
    late: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.unknown, *self.late)

    @property
    def is_known(self) -> bool:
        """Whether there is a figure at all."""
        return self.since is not None

    def begins_late(self, window: Window) -> bool:
        """Whether counting began inside the window: the figure is a part, not the whole."""
        return self.since is not None and self.since > window.start


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know: by which dimensions, over (start, end], and which datasets could answer."""

    dimensions: Collection[str]
    window: Window
    able: Sequence[Dataset]

    @property
    def by(self) -> str:
        return by_what(self.dimensions)


def coverage_of(
    asked: Asked, sources: Iterable[str], feeds: Mapping[str, Feeds], chosen: Mapping[str, Dataset]
) -> Coverage:
    """What is known of these sources; `chosen` is the dataset that answers for each, where one is collected."""
    starts: dict[str, datetime] = {}
    unknown: list[str] = []
    for name in sources:
        state = feeds.get(name, {}).get(chosen[name]) if name in chosen else None
        if not feeds.get(name):
            unknown.append(f"{name}: nothing has been read yet")
        elif state is None:
            unknown.append(_not_collected(name, asked))
        elif state.read_at is None or state.missing:
            unknown.append(_never_read(name, asked, state, _DATASETS[chosen[name]]))
        elif asked.window.end < _first_read(state):
            later = _read_later(name, asked, state, _DATASETS[chosen[name]])
            unknown.append(later + backfill_hint(asked.able, feeds[name]))
        else:
            unknown += _stale(name, asked, state, _DATASETS[chosen[name]])
            if not is_outside(state, asked.window):
                starts[name] = max(asked.window.start, _first_read(state))
    first = min(starts.values(), default=None)
    late = [
        _late(name, since) + backfill_hint(asked.able, feeds[name])
        for name, since in starts.items()
        if first is not None and since > first
    ]
    return Coverage(first, tuple(unknown), tuple(late))


def is_outside(state: SourceState, window: Window) -> bool:
    """Whether nothing is known of the window: it ends before the first reading, or begins after the last one of a feed that fails."""
    if state.read_at is None or window.end < _first_read(state):
        return True
    return state.read_at <= window.start and _is_stale(state, window)


def without_silent(coverage: Coverage, metric: str, *, asked: Iterable[str], counted: Collection[str]) -> Coverage:
    """The coverage where some of the sources that were asked do not report the metric: a missing counter is not 0."""
    sources = sorted(set(asked))
    silent = [name for name in sources if name not in counted]
    if not silent:
        return coverage
    notes = [f"{name}: {metric.replace('_', ' ')} are not reported" for name in silent]
    since = coverage.since if len(silent) < len(sources) else None
    return Coverage(since, (*coverage.unknown, *notes), coverage.late)


def coverage_json(coverage: Coverage) -> dict[str, Any]:
    """For scripts: `known_since`, null where nothing is known, and a sentence for each source that is not whole."""
    since = coverage.since
    return {"known_since": None if since is None else format_moment(since), "not_known": list(coverage.notes)}


def backfill_hint(able: Iterable[Dataset], feeds: Iterable[Dataset]) -> str:
    """How to get what was before; empty where Flashback keeps no history of it, or none is collected."""
    has_history = {*able} & {*feeds} - {Dataset.TOTALS}
    return "; `alertbot backfill` reads earlier data" if has_history else ""


def _not_collected(name: str, asked: Asked) -> str:
    if not asked.able:
        return f"{name}: not known{asked.by}"
    dataset = asked.able[0]
    return (
        f"{name}: not known{asked.by}; its {_DATASETS[dataset]} are not collected (`collect: {_COLLECTORS[dataset]}`)"
    )


def _never_read(name: str, asked: Asked, state: SourceState, dataset: str) -> str:
    why = f" ({state.error})" if state.error else ""
    if state.missing:
        return f"{name}: not known{asked.by}; the server has no {dataset}{why}"
    return f"{name}: not known{asked.by}; its {dataset} were never read{why}"


def _read_later(name: str, asked: Asked, state: SourceState, dataset: str) -> str:
    first = format_moment(_first_read(state).replace(microsecond=0))
    return f"{name}: not known{asked.by}; its {dataset} were first read {first}"


def _first_read(state: SourceState) -> datetime:
    assert state.read_at is not None, "asked only of what was read"
    return state.first_at or state.read_at


def _is_stale(state: SourceState, window: Window) -> bool:
    assert state.read_at is not None, "asked only of what was read"
    return window.end - state.read_at > state.interval * _STALE_AFTER


def _stale(name: str, asked: Asked, state: SourceState, dataset: str) -> list[str]:
    assert state.read_at is not None, "asked only of what was read"
    if not _is_stale(state, asked.window):
        return []
    why = f" ({state.error})" if state.error else ""
    last = format_moment(state.read_at.replace(microsecond=0))
    return [f"{name}: not known{asked.by} after {last}, when its {dataset} were last read{why}"]


def _late(name: str, since: datetime) -> str:
    return f"{name}: counted since {format_moment(since.replace(microsecond=0))}"
