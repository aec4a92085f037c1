"""Which channel hears of an alert, and how."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from alertbot.domain.rules import EVERYTHING, Selector


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an escalation: `after` people heard of what nobody took, mention these, in this channel (None: the message's)."""

    after: timedelta
    mention: tuple[str, ...] = ()
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Where the alerts that `match` are told, and in what manner. Times of section 4 of the engine's promises."""

    channel: str
    match: Selector = EVERYTHING
    mention: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ("rule", "source")
    group_wait: timedelta = timedelta(seconds=10)
    group_interval: timedelta = timedelta(minutes=5)
    repeat: timedelta = timedelta(hours=4)
    flap_limit: int = 6
    forget_brief: bool = False
    privacy: str = "full"
    send_resolved: bool = True
    escalate: tuple[Step, ...] = ()


def route_for(labels: Mapping[str, str], routes: Sequence[Route]) -> Route:
    """The first route that matches; the last one given has to match everything (the default)."""
    return next(route for route in routes if route.match.selects(labels))


def group_key(route: Route, labels: Mapping[str, str]) -> str:
    """What alerts that share one message have in common, e.g. `rule=violation-burst source=acme`."""
    return " ".join(f"{name}={_quoted(labels.get(name, ''))}" for name in route.group_by)


def _quoted(value: str) -> str:
    """In quotation marks where it could be taken for two: no other labels have the same key."""
    return json.dumps(value) if re.search(r'[\s"]', value) else value
