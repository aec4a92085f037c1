"""Violations and policy alerts as Flashback lists them, and their summaries."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alertbot.domain.evidence import NAMED, TOP, Count, Evidence, EvidenceKind, RepoOwner, Scope, Summary, TopN, fits
from alertbot.store.chunks import chunks
from alertbot.store.configurations import LABEL_COLUMNS, labels_of
from alertbot.store.database import Tx
from alertbot.store.tables import configurations, evidence, sources
from alertbot.store.upserts import upsert

_CHUNK = 500  # rows a statement
_MOST_REPOS = 20_000  # in a statement; with more, all repositories of the source are taken
_MOST_MATCHES = 5000  # names that a glob may match
_COLUMNS = tuple(column.name for column in evidence.columns if column.name not in {"source", "kind"})
_CHANGEABLE = tuple(name for name in _COLUMNS if name != "id")


def keep(tx: Tx, source: int, listed: Iterable[Evidence]) -> list[Evidence]:
    """Store evidence in place of what has the same kind and id. Returns what is new."""
    unique = list({(entry.kind, entry.id): entry for entry in listed}.values())
    new: list[Evidence] = []
    # A list without policy names does not erase one that an earlier list had.
    statement = upsert(tx, evidence, update=_CHANGEABLE, keep_if_empty=["policy_name"])
    for chunk in chunks(unique, _CHUNK):
        known = _known(tx, source, chunk)
        new += [entry for entry in chunk if (entry.kind, entry.id) not in known]
        tx.execute(statement, [_values(source, entry) for entry in chunk])
    return new


def _known(tx: Tx, source: int, chunk: Sequence[Evidence]) -> set[tuple[str, str]]:
    query = sa.select(evidence.c.kind, evidence.c.id).where(evidence.c.source == source)
    rows = tx.execute(query.where(evidence.c.id.in_([entry.id for entry in chunk])))
    return {(kind, identity) for kind, identity in rows}


def _values(source: int, entry: Evidence) -> dict[str, object]:
    return {"source": source, "kind": entry.kind.value, **{name: getattr(entry, name) for name in _COLUMNS}}


def count(tx: Tx, source: int, kind: EvidenceKind, start: datetime, end: datetime | None = None) -> int:
    """How much evidence of a kind a source has from `start` to before `end`."""
    query = sa.select(sa.func.count()).where(
        evidence.c.source == source, evidence.c.kind == kind.value, evidence.c.at >= start
    )
    number: int = tx.execute(query if end is None else query.where(evidence.c.at < end)).scalar_one()
    return number


def owners(tx: Tx, names: Iterable[str] | None, *, ai_llm: str | None = None) -> list[RepoOwner]:
    """The configurations of these sources (None: of all), or of one id, each with its repositories."""
    query = sa.select(configurations.c.repos, *LABEL_COLUMNS).join(sources, sources.c.number == configurations.c.source)
    if names is not None:
        query = query.where(sources.c.name.in_(list(names)))
    rows = tx.execute(query if ai_llm is None else query.where(configurations.c.ai_llm == ai_llm))
    return [RepoOwner(labels_of(values), frozenset(repo[0] for repo in repos)) for repos, *values in rows]


def listed(tx: Tx, scopes: Sequence[Scope], *, limit: int | None = None) -> list[Evidence]:
    """The evidence in any of the scopes, newest first."""
    query = (
        sa.select(evidence, sources.c.name.label("of"))
        .join(sources, sources.c.number == evidence.c.source)
        .where(_any_of(tx, scopes))
        .order_by(evidence.c.at.desc(), evidence.c.id)
        .limit(limit)
    )
    return [_evidence(row) for row in tx.execute(query).mappings()]


def names(tx: Tx, scopes: Sequence[Scope], dimension: str, *, most: int) -> set[str]:
    """The ids and names in a dimension of the evidence in these scopes, from at most `most` rows."""
    columns = [evidence.c[dimension], *([evidence.c[f"{dimension}_name"]] if dimension in NAMED else [])]
    rows = tx.execute(sa.select(*columns).where(_any_of(tx, scopes)).distinct().limit(most))
    return {name for row in rows for name in row if name}


def people(tx: Tx, source: str, users: Collection[str]) -> dict[str, str]:
    """The names of a source's users, as far as evidence has them, by id."""
    names: dict[str, str] = {}
    number = sa.select(sources.c.number).where(sources.c.name == source).scalar_subquery()
    for chunk in chunks(sorted(users), _CHUNK):
        rows = tx.execute(
            sa.select(evidence.c.user, sa.func.max(evidence.c.user_name).label("name"))
            .where(evidence.c.source == number, evidence.c.user.in_(chunk))
            .where(evidence.c.user_name != "")
            .group_by(evidence.c.user)
        )
        names |= {row.user: row.name for row in rows}
    return names


def summary(tx: Tx, scopes: Sequence[Scope], *, top: int = TOP) -> Summary | None:
    """A summary of the evidence in the scopes; None if there is none."""
    if not scopes:
        return None
    in_scope = _any_of(tx, scopes)
    columns = evidence.c
    row = tx.execute(
        sa.select(
            sa.func.count().label("total"),
            sa.func.count(sa.case((columns.blocked.is_(True), 1))).label("blocked"),
            *(sa.func.count(sa.case((columns.severity == name, 1))).label(name) for name in ("HIGH", "MEDIUM", "LOW")),
        ).where(in_scope)
    ).one()
    if not row.total:
        return None
    policies = _leaders(tx, in_scope, columns.policy, columns.policy_name, top)
    return Summary(
        kind=scopes[0].kind,
        total=row.total,
        blocked=row.blocked,
        severities={name: row._mapping[name] for name in ("HIGH", "MEDIUM", "LOW") if row._mapping[name]},  # noqa: SLF001 — the documented name of a row's mapping
        policies=policies,
        people=_leaders(tx, in_scope, columns.user, columns.user_name, top),
        models=_leaders(tx, in_scope, columns.model, columns.model, top),
        newest=_newest(tx, in_scope, policies),
    )


def _newest(tx: Tx, in_scope: sa.ColumnElement[bool], policies: TopN) -> Evidence | None:
    """The newest entry with an explanation: of the leading policy if that has one, or of any."""
    columns = evidence.c
    order: list[sa.ColumnElement[Any]] = [columns.at.desc(), columns.id]
    if policies.first:
        leader = policies.first[0]
        # What has no id is known by its name.
        of_leader = columns.policy == leader.key if leader.key else columns.policy_name == leader.name
        order.insert(0, sa.case((of_leader, 0), else_=1))
    rows = tx.execute(
        sa.select(evidence, sources.c.name.label("of"))
        .join(sources, sources.c.number == columns.source)
        .where(in_scope, columns.explanation != "")
        .order_by(*order)
        .limit(1)
    )
    row = rows.mappings().first()
    return None if row is None else _evidence(row)


def _leaders(tx: Tx, in_scope: sa.ColumnElement[bool], key: sa.Column[Any], name: sa.Column[Any], top: int) -> TopN:
    """The values that occur most, without those that have neither a name nor an id."""
    named = sa.and_(in_scope, sa.or_(key != "", name != ""))
    # What has no id is known by its name.
    identity = sa.case((key != "", key), else_=name)
    rows = tx.execute(
        sa.select(
            sa.func.max(key).label("key"),
            sa.func.max(name).label("name"),
            sa.func.count().label("times"),
            sa.func.count().over().label("in_all"),  # of all groups, before the limit
        )
        .where(named)
        .group_by(identity)
        .order_by(sa.desc("times"), sa.desc(sa.func.max(evidence.c.at)), identity)
        .limit(top)
    ).all()
    return TopN(tuple(Count(row.name or row.key, row.times, row.key) for row in rows), rows[0].in_all if rows else 0)


def _any_of(tx: Tx, scopes: Sequence[Scope]) -> sa.ColumnElement[bool]:
    return sa.or_(sa.false(), *(_in_scope(tx, scope) for scope in scopes))


def _in_scope(tx: Tx, scope: Scope) -> sa.ColumnElement[bool]:
    """`Scope.covers` in SQL."""
    columns = evidence.c
    number = sa.select(sources.c.number).where(sources.c.name == scope.source).scalar_subquery()
    parts: list[sa.ColumnElement[bool]] = [
        columns.source == number,
        columns.kind == scope.kind.value,
        columns.at >= scope.start,
    ]
    if scope.end is not None:
        parts.append(columns.at < scope.end)
    if scope.repos is not None and len(scope.repos) <= _MOST_REPOS:
        parts.append(columns.repo.in_(sorted(scope.repos)))
    if scope.blocked:
        parts.append(columns.blocked.is_(True))
    if scope.severity:
        parts.append(columns.severity == scope.severity)
    parts += [columns[name] == value for name, value in scope.same]
    within = sa.and_(*parts)
    # Globs are matched in Python against the distinct names, which are few: databases have no glob in common.
    parts += [_matching(tx, within, name, globs, any_case=scope.any_case) for name, globs in scope.where.globs]
    return sa.and_(*parts)


def _matching(
    tx: Tx, within: sa.ColumnElement[bool], name: str, globs: Sequence[str], *, any_case: bool
) -> sa.ColumnElement[bool]:
    columns = [evidence.c[name], *([evidence.c[f"{name}_name"]] if name in NAMED else [])]
    rows = tx.execute(sa.select(*columns).where(within).distinct())
    names = [tuple(row) for row in rows if fits(globs, list(row), any_case=any_case)][:_MOST_MATCHES]
    return sa.tuple_(*columns).in_(names) if len(columns) > 1 else columns[0].in_([row[0] for row in names])


def _evidence(row: Mapping[str, Any] | sa.RowMapping) -> Evidence:
    return Evidence(kind=EvidenceKind(row["kind"]), source=row["of"], **{name: row[name] for name in _COLUMNS})
