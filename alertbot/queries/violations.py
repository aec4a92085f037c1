"""What a person asks about the evidence: which violations there were, by whom, and what is behind an alert. Read-only."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from alertbot.domain.alerts import Alert
from alertbot.domain.evidence import (
    EvidenceKind,
    Privacy,
    Scope,
    Summary,
    ViolationQuery,
    ViolationReport,
    fits,
    mask,
    redact,
    strictest,
)
from alertbot.domain.rules import EVERYTHING, Rule, Selector
from alertbot.domain.suggestions import did_you_mean
from alertbot.domain.times import format_moment
from alertbot.domain.windows import Window
from alertbot.errors import UsageError
from alertbot.flows.message_content import evidence_of
from alertbot.store import evidence, evidence_fetches, groups
from alertbot.store.database import Database, Tx
from alertbot.store.evidence_fetches import EvidenceState

_MOST_NAMES = 500  # that a slip is compared with


def violations(
    database: Database,
    *,
    sources: Collection[str],
    query: ViolationQuery,
    window: Window,
    privacy: Mapping[str, Privacy] | None = None,
    most: int | None = None,
) -> ViolationReport:
    """The violations that fit the query, the newest first and `most` at most, redacted by `privacy`.

    Raises UsageError for filters that fit nothing, or that select people where those may not be shown.
    """
    asked = _sources(sources, query)
    careful = {name: (privacy or {}).get(name, Privacy.FULL) for name in asked}
    tells = strictest(careful.values())
    if query.names_people and tells is not Privacy.FULL:
        raise UsageError(
            "people, repositories, keys and hosts are not shown here (privacy); filter by policy, model, severity or ai_llm"
        )
    with database.reading() as tx:
        scopes = _scopes(tx, asked, query, window)
        summary = evidence.summary(tx, scopes) or Summary(EvidenceKind.VIOLATION, 0)
        shown = evidence.listed(
            tx, [scope for scope in scopes if careful[scope.source] is not Privacy.COUNTS], limit=most
        )
        states = evidence_fetches.states(tx, asked)
        slips = [] if summary.total else list(_unknown_names(tx, scopes, query))
    return ViolationReport(
        tuple(violation if careful[violation.source] is Privacy.FULL else mask(violation) for violation in shown),
        redact(summary, tells),
        (*slips, *(note for name in asked for note in _notes(name, states.get(name), window))),
        is_known=any(_is_listed(states.get(name), window) for name in asked),
    )


def _unknown_names(tx: Tx, scopes: Sequence[Scope], query: ViolationQuery) -> Iterator[str]:
    """One sentence for each filter that fits no name in the window, with the nearest."""
    everything = [replace(scope, where=EVERYTHING) for scope in scopes]
    for dimension, patterns in query.where.globs:
        if dimension in {"source", "ai_llm"}:  # asked about before
            continue
        known = evidence.names(tx, everything, dimension, most=_MOST_NAMES)
        for pattern in patterns:
            if known and not fits([pattern], known, any_case=True):
                yield f'no {dimension.replace("_", " ")} is called "{pattern}" in this time{did_you_mean(pattern, known)}'


def _sources(sources: Collection[str], query: ViolationQuery) -> list[str]:
    globs = [pattern for name, patterns in query.where.globs if name == "source" for pattern in patterns]
    names = [name for name in sources if not globs or fits(globs, (name,), any_case=True)]
    if globs and not names:
        raise UsageError(f'no source is called "{", ".join(globs)}"')
    return names


def _scopes(tx: Tx, sources: Sequence[str], query: ViolationQuery, window: Window) -> list[Scope]:
    """One scope a source. A configuration is looked for by its repositories."""
    by_llm = [pattern for name, patterns in query.where.globs if name == "ai_llm" for pattern in patterns]
    where = Selector(tuple((name, globs) for name, globs in query.where.globs if name not in {"source", "ai_llm"}))
    repos: dict[str, frozenset[str]] = {}
    if by_llm:
        meant = [
            owner
            for owner in evidence.owners(tx, sources)
            if fits(by_llm, (owner.labels["ai_llm"], owner.labels["name"]), any_case=True)
        ]
        if not meant:
            raise UsageError(f'no LLM is called "{", ".join(by_llm)}" (a name, an id, or a pattern such as support-*)')
        for owner in meant:
            name = owner.labels["source"]
            repos[name] = repos.get(name, frozenset()) | owner.repos
    return [
        Scope(
            source=name,
            kind=EvidenceKind.VIOLATION,
            start=window.start,
            end=window.end,
            repos=repos.get(name, frozenset()) if by_llm else None,
            where=where,
            any_case=True,
        )
        for name in sources
    ]


def _is_listed(state: EvidenceState | None, window: Window) -> bool:
    """Whether the violations of a source were fetched, at least for a part of the window."""
    if state is None or state.read_at is None or EvidenceKind.VIOLATION in state.missing:
        return False
    begins_later = state.complete_since is not None and window.end < state.complete_since
    return not begins_later and not (state.error and state.read_at <= window.start)


def _notes(name: str, state: EvidenceState | None, window: Window) -> list[str]:
    """What limits the evidence of a source."""
    if state is None or (state.read_at is None and not state.error):
        return [f"{name}: no evidence has been fetched yet"]
    if EvidenceKind.VIOLATION in state.missing:
        return [f"{name}: there is no list of violations, only their count ({state.error})"]
    notes = []
    if state.complete_since is not None and state.complete_since > window.start:
        notes.append(f"{name}: complete only since {format_moment(state.complete_since.replace(microsecond=0))}")
    if state.error:
        notes.append(f"{name}: new evidence could not be fetched ({state.error})")
    if state.differs:
        notes.append(f"{name}: {state.differs}")
    return notes


@dataclass(frozen=True, slots=True)
class Behind:
    """The evidence behind the alerts of a message, redacted by the `privacy` of the message, and what is wrong with it."""

    summary: Summary | None
    notes: tuple[str, ...] = ()
    privacy: Privacy = Privacy.FULL


def behind(database: Database, group: int, alerts: Sequence[Alert], rules: Sequence[Rule]) -> Behind:
    """What is known of the evidence behind these alerts of a message."""
    names = {alert.labels["source"] for alert in alerts if "source" in alert.labels}
    with database.reading() as tx:
        stored_group = groups.load(tx, group)
        privacy = Privacy(stored_group.route.privacy) if stored_group is not None else Privacy.COUNTS
        summary = evidence_of(tx, alerts, rules, privacy)
        states = evidence_fetches.states(tx, names)
    if summary is None:
        return Behind(None, privacy=privacy)
    notes = tuple(f"{name}: {state.differs}" for name, state in states.items() if state.differs)
    return Behind(summary, notes, privacy)
