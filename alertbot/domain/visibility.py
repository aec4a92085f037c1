"""Who may look a source up: who asks, and from where → what exists for them."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from alertbot.domain.rules import Rule, glob
from alertbot.domain.silences import Sign, Silence

_WORDS = re.compile(r"[^\w.-]+")  # what stands between the names in a pattern such as `globex|acme-.*`


@dataclass(frozen=True, slots=True)
class Entry:
    """Who may look a source up: everybody who asks in one of these channels (by id or `#name`), and these people."""

    source: str
    channels: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who asks. `places` are the names of where they ask: a channel's id, and its `#name` where it is known."""

    user: str
    places: frozenset[str] = frozenset()
    is_operator: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """What exists for somebody. `sources` is None where nothing is hidden.

    `sums` are the rules over everything whose sums hold no hidden source: the rest could be subtracted from another one.
    """

    sources: frozenset[str] | None = None
    sums: frozenset[str] = frozenset()

    def shows(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels exists for them."""
        if self.sources is None:
            return True
        source = labels.get("source")
        return labels.get("rule") in self.sums if source is None else source in self.sources

    def shows_rule(self, rule: Rule, sources: Iterable[str]) -> bool:
        """Whether a rule exists for them: it does unless all that it looks at is hidden, or its sum would tell of it."""
        if self.sources is None:
            return True
        counted = counted_by(rule, sources)
        return rule.name in self.sums if rule.per == "all" else not counted or bool(counted & self.sources)

    def shows_silence(self, silence: Silence, sources: Iterable[str]) -> bool:
        """Whether a silence exists for them: it does unless one of its matchers names a hidden source."""
        if self.sources is None:
            return True
        hidden = set(sources) - self.sources
        return not any(_names(silence, source) for source in hidden)


SEES_EVERYTHING = Sight()
SEES_NOTHING = Sight(frozenset())


def sight_of(asker: Asker, entries: Collection[Entry], sources: Collection[str], rules: Sequence[Rule]) -> Sight:
    """What exists for somebody who asks. A source without an entry is visible to all; operators see every source."""
    if asker.is_operator or not entries:
        return SEES_EVERYTHING
    kept = {entry.source for entry in entries}
    granted = {entry.source for entry in entries if asker.user in entry.users or asker.places & entry.channels}
    visible = frozenset(name for name in sources if name not in kept or name in granted)
    sums = frozenset(rule.name for rule in rules if rule.per == "all" and counted_by(rule, sources) <= visible)
    return Sight(visible, sums)


def counted_by(rule: Rule, sources: Iterable[str]) -> frozenset[str]:
    """The sources that a rule looks at, as far as its `where` names them."""
    patterns = [glob(pattern) for name, globs in rule.where.globs if name == "source" for pattern in globs]
    return frozenset(name for name in sources if not patterns or any(one.match(name) for one in patterns))


def _names(silence: Silence, source: str) -> bool:
    """Whether a matcher of the silence speaks of the source, be it to mean it or to leave it out."""
    for matcher in silence.matchers:
        if matcher.label == "source":
            meaning = replace(matcher, sign=Sign.IS if matcher.sign in {Sign.IS, Sign.IS_NOT} else Sign.FITS)
            if meaning.matches({"source": source}) or source in _WORDS.split(matcher.value):
                return True
    return False
