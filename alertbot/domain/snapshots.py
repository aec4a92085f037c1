"""What one reading of a source saw."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from alertbot.domain.columns import Column, Rows

MOST_LLMS = 100_000  # of one source: each costs a row in each reading, and every rule looks at each of them
MOST_REPOS = 1000  # of one LLM, by which violations are found to be its own
# What is absent for longer has one row for all of the readings to come, and not one in each of them.
RESTS_AFTER = timedelta(days=7)


class Counter(StrEnum):
    """The totals that Flashback keeps for each AI LLM configuration, in the contract's words."""

    API_CALLS = "api_calls"
    TOKENS_IN = "tokens_in"
    TOKENS_OUT = "tokens_out"
    LLM_TOKENS_IN = "llm_tokens_in"
    LLM_TOKENS_OUT = "llm_tokens_out"
    POLICY_VIOLATIONS = "policy_violations"
    POLICY_ALERTS = "policy_alerts"
    POLICY_BLOCKS = "policy_blocks"


@dataclass(frozen=True, slots=True)
class Configuration:
    """One AI LLM configuration as `GET /ai/llm` describes it: where names and dimensions come from.

    What its workspace is called comes from `GET /workspace`; empty where that is not known.
    """

    ai_llm: str
    name: str
    provider: str = ""
    workspace: str = ""
    created_at: datetime | None = None
    repos: tuple[tuple[str, str], ...] = ()  # (id, name)
    workspace_name: str = ""


def with_workspace_names(known: Iterable[Configuration], told: Iterable[Configuration]) -> dict[str, Configuration]:
    """The configurations by id, as they are told now or else were known before.

    What a workspace is called holds for all that are in it, also for those that are gone or have just come.
    """
    before, now = list(known), list(told)
    names = {one.workspace: one.workspace_name for one in (*before, *now) if one.workspace_name}
    return {one.ai_llm: replace(one, workspace_name=names.get(one.workspace, "")) for one in (*before, *now)}


def renamed(
    known: Mapping[str, tuple[int, Configuration]], present: Mapping[str, Configuration]
) -> dict[int, Configuration]:
    """The configurations, by number, that are described otherwise now than they were known."""
    return {number: present[ai_llm] for ai_llm, (number, before) in known.items() if present[ai_llm] != before}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One configuration's counters in a reading. A counter that is not in `totals` is unknown, not 0."""

    ai_llm: str
    totals: Mapping[Counter, int]


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotColumns(Sequence[Snapshot]):
    """The snapshots of a reading, as columns in the order of their ids. Where a counter is not `known`, its total is 0."""

    ids: tuple[str, ...]
    totals: Mapping[Counter, NDArray[Any]]
    known: Mapping[Counter, NDArray[np.bool_]]

    @classmethod
    def of(cls, snapshots: Sequence[Snapshot]) -> "SnapshotColumns":
        """The same snapshots as columns."""
        if isinstance(snapshots, SnapshotColumns):
            return snapshots
        given = {counter: [one.totals.get(counter) for one in snapshots] for counter in Counter}
        return cls.from_lists(tuple(one.ai_llm for one in snapshots), given)

    @classmethod
    def from_lists(cls, ids: tuple[str, ...], totals: Mapping[Counter, Sequence[int | None]]) -> "SnapshotColumns":
        """Of totals in the order of the ids, None where they are unknown."""
        rows = Rows(np.arange(len(ids)))
        columns = {counter: Column.from_optional(rows, given) for counter, given in totals.items()}
        return cls(
            ids,
            {counter: column.array for counter, column in columns.items()},
            {counter: column.known for counter, column in columns.items()},
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(self.ids)

    @overload
    def __getitem__(self, place: int) -> Snapshot: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Snapshot, ...]: ...

    def __getitem__(self, place: int | slice) -> Snapshot | tuple[Snapshot, ...]:
        if isinstance(place, slice):
            return tuple(self[index] for index in range(*place.indices(len(self))))
        totals = {counter: self.totals[counter].item(place) for counter in Counter if self.known[counter][place]}
        return Snapshot(self.ids[place], totals)


@dataclass(frozen=True, slots=True)
class Reading:
    """One successful poll of one source. A configuration that is not in it was absent from a good answer.

    `configurations` is None where the names could not be read this time: the old ones stay.
    """

    source: str
    taken_at: datetime
    snapshots: Sequence[Snapshot]
    configurations: tuple[Configuration, ...] | None = field(default=None)


def within_limit(
    snapshots: Sequence[Snapshot], known: Collection[str], *, most: int = MOST_LLMS
) -> tuple[Sequence[Snapshot], int]:
    """The snapshots of no more than `most` LLMs, and how many were left out.

    What is known keeps its place, so that a flood of ids hides nothing that was watched. Of what is new, that with the
    most calls comes first.
    """
    if len(snapshots) <= most:
        return snapshots, 0
    new = [snapshot for snapshot in snapshots if snapshot.ai_llm not in known]
    new.sort(key=lambda snapshot: (-snapshot.totals.get(Counter.API_CALLS, 0), snapshot.ai_llm))
    room = max(0, most - (len(snapshots) - len(new)))
    left_out = {snapshot.ai_llm for snapshot in new[room:]}
    return tuple(snapshot for snapshot in snapshots if snapshot.ai_llm not in left_out), len(left_out)
