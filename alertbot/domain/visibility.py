"""Who may look a source up: who asks, and from where → what exists for them, and which texts give nothing hidden away.

Every surface asks a `Sight` and nothing else: whether an alert, a rule, a silence or a text exists for somebody.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from alertbot.domain.metrics import DIMENSIONS
from alertbot.domain.rules import Rule, Selector, Severity, glob
from alertbot.domain.silences import Matcher, MatchType, Silence

Labelled = frozenset[tuple[str, str]]  # values with the label that they are values of: ("source", "acme")
_PARTS = {
    "name": "ai_llm",
    "workspace_name": "workspace",
    "repo_name": "repo",
}  # names are held against the same patterns
_COMMON = frozenset({"provider", "model"})  # what these are called is no secret
_GIVEN = frozenset({*DIMENSIONS, *_PARTS})  # labels whose values the sources give
_EVERYWHERE: Labelled = frozenset({("builtin", "true"), *(("severity", severity.value) for severity in Severity)})
_LEAST_NAME = 3  # letters: a shorter name would be found in any text
_NO_NAME = "\x00"  # what nothing is called: an expression that fits it fits everything


@dataclass(frozen=True, slots=True)
class VisibilityRule:
    """Who may look a source up: everybody who asks in one of these channels (by id or `#name`), and these people."""

    source: str
    channels: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who asks. `places` are the names of where they ask: a channel's id, and its `#name` where it is known."""

    user: str
    places: frozenset[str] = frozenset()
    is_operator: bool = False


@dataclass(frozen=True, slots=True)
class AccessScope:
    """What exists for somebody. `sources` is None where nothing is hidden.

    `sums` are the rules over everything whose sums hold no hidden source: the rest could be subtracted from another one.
    `sees_all` says that every configured source is among `sources`. `shown` and `hidden` are what things are called at
    the sources that the person sees, and at the others. `author` is the person: what they wrote is no secret to them, and
    `own_rules` are the rules that they wrote.
    """

    sources: frozenset[str] | None = None
    sums: frozenset[str] = frozenset()
    sees_all: bool = True
    shown: Labelled = frozenset()
    hidden: Labelled = frozenset()
    author: str = ""
    own_rules: frozenset[str] = frozenset()

    # --- what exists

    def shows(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels exists for them."""
        if self.sources is None:
            return True
        source, rule = labels.get("source"), labels.get("rule", "")
        if not self.shows_handle(rule):
            return False
        return rule in self.sums if source is None else source in self.sources

    def rule_as_shown(self, rule: Rule, sources: Iterable[str]) -> Rule | None:
        """A rule as it exists for them, without the patterns and the text that tell of something hidden.

        None where it does not exist: all that it looks at is hidden, or its sum or its name would tell of it. On what
        they see, it finds the same as the whole rule.
        """
        if self.sources is None or rule.name in self.own_rules:
            return rule
        is_counted = rule.name in self.sums if rule.per == "all" else counted_by(rule, sources) & self.sources
        where = [
            (name, tuple(each for each in globs if self._shows_glob(name, each))) for name, globs in rule.where.globs
        ]
        if not is_counted or not self.shows_handle(rule.name) or not all(globs for _, globs in where):
            return None
        labels = {name: value for name, value in rule.labels.items() if self.shows_text(value)}
        about = rule.description if self.shows_text(rule.description) else ""
        return replace(rule, where=Selector(tuple(where)), labels=labels, description=about)

    def silence_as_shown(self, silence: Silence) -> Silence | None:
        """A silence as it exists for them, without a comment that tells of something hidden.

        None where it does not exist: one of its matchers fits nothing that they see, or tells of something hidden.
        """
        if self.sources is None or (self.author and silence.author == self.author):
            return silence
        if not all(self._shows_matcher(matcher) for matcher in silence.matchers):
            return None
        return replace(silence, comment=silence.comment if self.shows_text(silence.comment) else "")

    def shows_handle(self, name: str) -> bool:
        """Whether what operators called a rule or a rotation names no hidden source.

        What else is hidden does not count: whoever calls an AI LLM as a rule is called must not make that rule vanish.
        """
        return not _names_any(name, _of("source", self.hidden), around=_of("source", self.shown))

    def shows_text(self, text: str) -> bool:
        """Whether a text names nothing hidden."""
        return not _names_any(text, self._secrets(), around=self._common())

    def shows_more_of(self, text: str, other: "AccessScope") -> bool:
        """Whether a text names something that this sight shows and the other one hides."""
        return _names_any(text, other._secrets() - self._secrets(), around=other._common())  # noqa: SLF001 — of the same kind

    def _secrets(self) -> frozenset[str]:
        """What a text must not name: hidden sources and rules, and what only hidden sources have."""
        common = self._common()
        return frozenset(
            value
            for label, value in self.hidden
            if label == "source" or (label not in _COMMON and len(value) >= _LEAST_NAME and value not in common)
        )

    def _common(self) -> frozenset[str]:
        """What things are called at the sources that they see. Names and labels of rules are not: people choose those."""
        return frozenset(value for label, value in self.shown if label in _GIVEN)

    # --- what a pattern tells

    def _shows_glob(self, dimension: str, pattern: str) -> bool:
        """Whether a pattern of a rule fits something that they see: then it tells no more than the names of that."""
        return any(glob(pattern).match(value) for value in self._values(dimension))

    def _shows_matcher(self, matcher: Matcher) -> bool:
        meant = replace(
            matcher, sign=MatchType.IS if matcher.sign in {MatchType.IS, MatchType.IS_NOT} else MatchType.FITS
        )
        if not any(meant.matches({matcher.label: value}) for value in self._values(matcher.label)):
            return False
        if meant.sign is MatchType.IS:
            return True
        # An expression can name several things: it is kept back where one of them is hidden, unless it means
        # everything.
        hidden = [] if meant.matches({matcher.label: _NO_NAME}) else self._values(matcher.label, hidden=True)
        return self.shows_text(matcher.value) and not any(meant.matches({matcher.label: value}) for value in hidden)

    def _values(self, label: str, *, hidden: bool = False) -> list[str]:
        """What the things of this label are called, by id and by name."""
        named = self.hidden if hidden else self.shown
        return [value for known, value in named if label in {known, _PARTS.get(known)}]

    # --- what they may do

    def is_within(self, where: Selector) -> bool:
        """Whether it names its sources one by one, and they see them all: else it may mean others, now or later."""
        named = [pattern for name, globs in where.globs if name == "source" for pattern in globs]
        return self.sees_all or (bool(named) and set(named) <= self._own_sources())

    def confine(self, where: Selector) -> Selector | None:
        """The same for the sources that they see, each by its name; None where it means none of them."""
        if self.sees_all:
            return where
        meant = Selector(tuple((name, globs) for name, globs in where.globs if name == "source"))
        named = tuple(name for name in sorted(self._own_sources()) if meant.selects({"source": name}))
        others = tuple((name, globs) for name, globs in where.globs if name != "source")
        return Selector((*others, ("source", named))) if named else None

    def covers(self, matchers: Sequence[Matcher]) -> bool:
        """Whether a silence of these matchers mutes nothing but what they see."""
        theirs = {self._only_theirs(), *(Matcher("source", MatchType.IS, name) for name in self._own_sources())}
        theirs |= {Matcher("rule", MatchType.IS, name) for name in self.sums}
        return self.sees_all or not theirs.isdisjoint(matchers)

    def confined(self, matchers: Sequence[Matcher]) -> tuple[Matcher, ...]:
        """The matchers, and one more where they could mute what the person does not see."""
        return tuple(matchers) if self.covers(matchers) else (*matchers, self._only_theirs())

    def _only_theirs(self) -> Matcher:
        names = sorted(self._own_sources())
        if len(names) == 1:
            return Matcher("source", MatchType.IS, names[0])
        return Matcher("source", MatchType.FITS, "|".join(re.escape(name).replace(r"\-", "-") for name in names))

    def _own_sources(self) -> frozenset[str]:
        return self.sources or frozenset()


FULL_ACCESS = AccessScope()
NO_ACCESS = AccessScope(frozenset(), sees_all=False)
NO_NAMES: Labelled = frozenset()


def access_scope_of(
    viewer: Viewer,
    entries: Collection[VisibilityRule],
    sources: Collection[str],
    rules: Sequence[Rule],
    *,
    names: Callable[[frozenset[str]], tuple[Labelled, Labelled]] = lambda _visible: (NO_NAMES, NO_NAMES),
    own_rules: Collection[str] = (),
) -> AccessScope:
    """What exists for somebody who asks. A source without an entry is visible to all; operators see every source.

    `names` tells what things are called at these sources and at all others; it is asked only where something is hidden.
    """
    if viewer.is_operator or not entries:
        return FULL_ACCESS
    kept = {entry.source for entry in entries}
    granted = {entry.source for entry in entries if viewer.user in entry.users or viewer.places & entry.channels}
    visible = frozenset(name for name in sources if name not in kept or name in granted)
    shown, hidden = names(visible)
    access = AccessScope(
        visible,
        sums=frozenset(rule.name for rule in rules if rule.per == "all" and counted_by(rule, sources) <= visible),
        sees_all=visible.issuperset(sources),
        shown=shown | _EVERYWHERE | {("source", name) for name in visible},
        hidden=hidden | {("source", name) for name in {*sources, *kept} - visible},
        author=viewer.user,
        own_rules=frozenset(own_rules),
    )
    seen = {rule.name: found for rule in rules if (found := access.rule_as_shown(rule, sources)) is not None}
    return replace(
        access,
        shown=access.shown | {pair for name, rule in seen.items() for pair in (("rule", name), *rule.labels.items())},
        hidden=access.hidden | {("rule", rule.name) for rule in rules if rule.name not in seen},
    )


def counted_by(rule: Rule, sources: Iterable[str]) -> frozenset[str]:
    """The sources that a rule looks at, as far as its `where` names them."""
    patterns = [glob(pattern) for name, globs in rule.where.globs if name == "source" for pattern in globs]
    return frozenset(name for name in sources if not patterns or any(one.match(name) for one in patterns))


def _of(label: str, named: Labelled) -> frozenset[str]:
    return frozenset(value for known, value in named if known == label)


def _names_any(text: str, names: Collection[str], *, around: Collection[str]) -> bool:
    """Whether a text names one of these. In `acme-eu` nobody is named who is called `acme`, if that is one of `around`."""
    said = [name for name in names if _says(text, name)]
    if said:
        longer = {value for value in around if any(name != value and _says(value, name) for name in said)}
        for value in sorted(longer, key=len, reverse=True):
            text = re.sub(re.escape(value), " ", text, flags=re.IGNORECASE)
    return any(_says(text, name) for name in said)


def _says(text: str, name: str) -> bool:
    """Whether a name stands in a text, in whatever case, and not as a part of a longer word."""
    text, name = text.casefold(), name.casefold()
    place = text.find(name)
    while place >= 0:
        if not text[place - 1 : place].isalnum() and not text[place + len(name) : place + len(name) + 1].isalnum():
            return True
        place = text.find(name, place + 1)
    return False
