"""Reads files of rule tests, and names every mistake in them at once: file, place, what was expected, what was got."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from alertbot.app.wiring import prices_of
from alertbot.config import NOTHING, SourceConfig, load, parse_rules, read_yaml
from alertbot.config.keys import given
from alertbot.config.layers import PREFIX
from alertbot.config.mistakes import Location, in_order, mistakes_in, nearest, place_of, quoted
from alertbot.config.raw_values import InvalidValue
from alertbot.domain.history import Member, group
from alertbot.domain.prices import NOTHING_PRICED, Prices
from alertbot.domain.routes import Route
from alertbot.domain.rules import EVERYTHING, SOURCE_BLIND, Rule
from alertbot.domain.snapshots import Configuration
from alertbot.domain.times import format_duration_short
from alertbot.errors import ConfigError, Mistake
from alertbot.rule_tests.keys import MOST_POLLS, Drawn, FileKeys, RuleTestKeys, Selected


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules under test, and what else a config file says that matters here."""

    rules: tuple[Rule, ...]
    routes: tuple[Route, ...] = (Route(channel="#ai-alerts"),)
    operator_channel: str = "#ai-alerts"
    blind_after: Mapping[str, timedelta] = field(default_factory=dict)
    prices: Prices = NOTHING_PRICED


@dataclass(frozen=True, slots=True)
class RuleTest:
    """One test, ready to be played. `group_wait` stands in place of that of every route."""

    file: Path
    keys: RuleTestKeys
    ruleset: Ruleset
    interval: timedelta
    start: datetime
    group_wait: timedelta
    described: Mapping[tuple[str, str], Configuration]
    blind_after: Mapping[str, timedelta]

    @property
    def length(self) -> timedelta:
        """Until when it is played: to the end of the longest series, and to the last moment that it names."""
        polls = max(len(drawn.samples) for drawn in self.keys.readings) - 1
        named = (*self.keys.expect, *(self.keys.heard or ()), *self.keys.acts)
        return max(self.interval * polls, *(entry.at for entry in named), timedelta(0))

    def series_of(self, entry: Selected) -> str | None:
        """The key of the series that an entry means; None where it leaves that open."""
        if entry.llm is None:
            return entry.series
        return next(key for key in keys_of(self.keys.readings) if entry.means(key))


def keys_of(readings: Sequence[Drawn]) -> list[str]:
    """The configurations, as `source/llm`."""
    return list(dict.fromkeys(f"{drawn.source}/{drawn.ai_llm}" for drawn in readings))


def read_all(paths: Sequence[Path], environ: Mapping[str, str]) -> list[RuleTest]:
    """The tests in several files. Raises ConfigError with the mistakes of all of them."""
    tests: list[RuleTest] = []
    mistakes: list[Mistake] = []
    for path in paths:
        try:
            tests += read_rule_tests(path, environ)
        except ConfigError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ConfigError(*mistakes)
    return tests


def read_rule_tests(path: Path, environ: Mapping[str, str]) -> tuple[RuleTest, ...]:
    """The tests in a file. `environ` fills the variables of a config file that it names.

    Raises ConfigError with every mistake, each with the file, its place, what was expected and what was got.
    """
    tree = _tree(path)
    mistakes: list[Mistake] = []
    ruleset, keys = None, None
    try:
        ruleset = _ruleset(tree.get("rules"), path.parent, environ)
    except ConfigError as error:
        mistakes += error.mistakes
    try:
        keys = FileKeys.model_validate(tree)
    except ValidationError as error:
        mistakes += mistakes_in(error)
    located = list(_unknown_names(tree, ruleset))
    tests: tuple[RuleTest, ...] = ()
    if keys is not None and ruleset is not None and not located:
        tests = tuple(_rule_test(path, test, keys, ruleset) for test in keys.tests)
        located = [*_mismatches(tests), *_not_read(keys)]
    mistakes += [Mistake(place_of("", location), text) for location, text in located]
    if mistakes:
        raise ConfigError(*(Mistake(f"{path}: {place}", text) for place, text in in_order(mistakes)))
    return tests


def _tree(path: Path) -> dict[str, Any]:
    try:
        tree = read_yaml(path.read_bytes(), origin=str(path))
    except OSError as error:
        fault = (error.strerror or "an error of the system").lower()
        raise ConfigError(Mistake(str(path), f"expected a file of rule tests, got {fault}")) from error
    if not isinstance(tree, dict):
        raise ConfigError(Mistake(str(path), f"expected keys with values (rules, tests), got {quoted(tree)}"))
    return tree


def _ruleset(value: object, folder: Path, environ: Mapping[str, str]) -> Ruleset:
    if isinstance(value, list):
        return Ruleset(parse_rules(value, "rules"))
    if not isinstance(value, str) or isinstance(value, InvalidValue) or not value:
        got = (
            value.sentence
            if isinstance(value, InvalidValue)
            else f"expected rules or a config file, got {quoted(value)}"
        )
        raise ConfigError(Mistake("rules", got))
    path = folder / value
    if not path.is_file():
        raise ConfigError(Mistake("rules", f"expected rules, or a config file beside this one, got {quoted(value)}"))
    # The tests are about what is written: keys of this machine's environment must not change them.
    written = {name: text for name, text in environ.items() if not name.upper().startswith(PREFIX)}
    try:
        config = load(path, written, needs=NOTHING)
    except ConfigError as error:
        places = [mistake.place.removeprefix(str(path)).lstrip(", ") for mistake in error.mistakes]
        lines = [str(Mistake(place, text)) for place, (_, text) in zip(places, error.mistakes, strict=True)]
        raise ConfigError(*(Mistake(f"rules: {value}", line) for line in lines)) from error
    blind_after = {source.name: source.blind_after for source in config.sources}
    return Ruleset(config.rules, config.routes, config.slack.operator_channel, blind_after, prices_of(config))


def _rule_test(path: Path, test: RuleTestKeys, keys: FileKeys, ruleset: Ruleset) -> RuleTest:
    interval = test.interval or keys.interval
    read = keys_of(test.readings)
    described = {
        (source, ai_llm): Configuration(ai_llm, known.name or ai_llm, known.provider, known.workspace)
        for key, known in keys.configurations.items()
        for source, _, ai_llm in [key.partition("/")]
        if key in read
    }
    return RuleTest(
        file=path,
        keys=test,
        ruleset=ruleset,
        interval=interval,
        start=test.start or keys.start,
        group_wait=keys.group_wait if test.group_wait is None else test.group_wait,
        described=described,
        blind_after={name: _blind_after(name, interval, ruleset) for name in {key.partition("/")[0] for key in read}},
    )


def _blind_after(name: str, interval: timedelta, ruleset: Ruleset) -> timedelta:
    """As the config file says, else what a source of this interval has."""
    if name in ruleset.blind_after:
        return ruleset.blind_after[name]
    return SourceConfig.model_validate({"name": name, "interval": interval, "access_token": "unused"}).blind_after


def _entries(test: object) -> Iterator[tuple[Location, Mapping[str, Any]]]:
    """Everything in a test that names alerts and configurations."""
    for section in ("expect", "heard", "acts"):
        listed = test.get(section) if isinstance(test, Mapping) else None
        for index, entry in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(entry, Mapping):
                yield (section, index), entry


def _unknown_names(tree: Mapping[str, Any], ruleset: Ruleset | None) -> Iterator[tuple[Location, str]]:
    """Alerts that no rule makes and configurations that are not read; asked of what is written, so that no mistake hides it."""
    listed = tree.get("tests")
    rules = _rule_names(tree, ruleset)
    for index, test in enumerate(listed if isinstance(listed, list) else ()):
        readings = test.get("readings") if isinstance(test, Mapping) else None
        keys = list(readings) if isinstance(readings, Mapping) else []
        for location, entry in _entries(test):
            place = ("tests", index, *location)
            alert, llm, source = entry.get("alert"), entry.get("llm"), entry.get("source")
            if isinstance(alert, str) and given(alert) and rules and alert not in rules:
                yield (*place, "alert"), _unknown("the name of a rule", alert, rules)
            if not isinstance(llm, str) or not given(llm) or not keys:
                continue
            listed_there = [key for key in keys if source is None or key.partition("/")[0] == source]
            if not listed_there:
                yield (*place, "source"), _unknown("a source of the readings", str(source), _sources_of(keys))
                continue
            meant = [key for key in listed_there if llm in {key, key.partition("/")[2]}]
            if not meant:
                names = [key.partition("/")[2] for key in listed_there]
                yield (*place, "llm"), _unknown("a configuration of the readings", llm, names)
            elif len(meant) > 1 and llm not in meant:
                yield (*place, "llm"), f"expected one of {', '.join(meant)}, got {quoted(llm)}"


def _sources_of(keys: Sequence[str]) -> list[str]:
    return [key.partition("/")[0] for key in keys]


def _rule_names(tree: Mapping[str, Any], ruleset: Ruleset | None) -> list[str]:
    """What alerts may be called; empty where nobody knows, because the config file cannot be read."""
    if ruleset is not None:
        return [*(rule.name for rule in ruleset.rules), SOURCE_BLIND]
    rules = tree.get("rules")
    written = [keys.get("name") for keys in rules if isinstance(keys, Mapping)] if isinstance(rules, list) else []
    return [*(str(name) for name in written), SOURCE_BLIND] if written else []


def _unknown(expected: str, got: str, known: Collection[str]) -> str:
    meant = nearest(got, known)
    hint = f'; did you mean "{meant}"?' if meant else f"; known: {', '.join(dict.fromkeys(known))}"
    return f"expected {expected}, got {quoted(got)}{hint}"


def _mismatches(tests: Sequence[RuleTest]) -> Iterator[tuple[Location, str]]:
    """Series that a rule does not have, and tests that are too long."""
    for index, test in enumerate(tests):
        sections = {"expect": test.keys.expect, "heard": test.keys.heard or (), "acts": test.keys.acts}
        for section, entries in sections.items():
            for number, entry in enumerate(entries):
                for key, sentence in _wrong_series(entry, test):
                    yield ("tests", index, section, number, key), sentence
        if test.length / test.interval > MOST_POLLS:
            length, interval = format_duration_short(test.length), format_duration_short(test.interval)
            sentence = f"expected at most {MOST_POLLS} polls, got {length} at an interval of {interval}"
            yield ("tests", index), sentence


def _wrong_series(entry: Selected, test: RuleTest) -> Iterator[tuple[str, str]]:
    rule = next((rule for rule in test.ruleset.rules if rule.name == entry.alert), None)
    by_source = entry.alert == SOURCE_BLIND or (rule is not None and rule.is_about_readings)
    if (rule is None and not by_source) or (entry.llm is None and entry.series is None):
        return
    series = _series_known(test, "source" if rule is None else rule.per)
    if entry.llm is not None and (rule is None or rule.per != "ai_llm"):
        per = "source" if rule is None else rule.per
        told = f"{entry.alert} is per {per}; series: {', '.join(series)}"
        yield "llm", f"expected series in its place, got {quoted(entry.llm)} ({told})"
    elif entry.series is not None and entry.series not in series:
        yield "series", _unknown(f"a series of {entry.alert}", entry.series, series)


def _series_known(test: RuleTest, per: str) -> list[str]:
    """The keys of every series that a rule can have in the test, whether or not it selects them."""
    members = []
    for number, key in enumerate(keys_of(test.keys.readings)):
        source, _, ai_llm = key.partition("/")
        known = test.described.get((source, ai_llm)) or Configuration(ai_llm, ai_llm)
        labels = {"source": source, "ai_llm": ai_llm, "provider": known.provider, "workspace": known.workspace}
        members.append(Member(number, labels, test.start))
    return [series.key for series in group(members, per, EVERYTHING)]


def _not_read(keys: FileKeys) -> Iterator[tuple[Location, str]]:
    read = [key for test in keys.tests for key in keys_of(test.readings)]
    for key in keys.configurations:
        if key not in read:
            yield ("configurations", key), _unknown("a configuration of the readings", key, read)
