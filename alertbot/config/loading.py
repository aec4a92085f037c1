"""Reads the whole configuration, and names every mistake in it at once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from alertbot.config.layers import (
    EVERYTHING,
    SECRETS_FOLDER,
    Layer,
    LayerSource,
    Need,
    SecretReader,
    file_layer,
    override_layer,
    wellknown_env_layer,
)
from alertbot.config.metrics import POINTS, collectors_of
from alertbot.config.mistakes import in_order, place_of, sentences_of
from alertbot.config.raw_values import InvalidValue
from alertbot.config.rules import DEFAULT_RULES
from alertbot.config.sections import (
    ConfigFile,
    DatabaseConfig,
    HeartbeatConfig,
    HttpConfig,
    LogConfig,
    OnCallConfig,
    PriceConfig,
    Report,
    SlackConfig,
    SourceConfig,
)
from alertbot.config.values import Address
from alertbot.domain.metrics import by_what
from alertbot.domain.routes import Route
from alertbot.domain.rules import Rule, Selector
from alertbot.domain.times import format_duration_short
from alertbot.errors import ConfigError, Mistake
from alertbot.proxies import is_loopback

DEFAULT_PATH = Path("config.yaml")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is configured. `notes` are sentences to say at start; `path` is None where there is no file."""

    database: DatabaseConfig
    sources: tuple[SourceConfig, ...]
    prices: tuple[PriceConfig, ...]
    slack: SlackConfig
    oncall: tuple[OnCallConfig, ...]
    routes: tuple[Route, ...]  # the last one is the default and matches everything
    rules: tuple[Rule, ...]
    reports: tuple[Report, ...]
    http: HttpConfig
    heartbeat: HeartbeatConfig
    log: LogConfig
    path: Path | None
    notes: tuple[str, ...]

    @property
    def origin(self) -> str:
        """Where it was read, for people who may have meant another file."""
        if self.path is None:
            return f"no configuration file, as there is no {DEFAULT_PATH.absolute()}"
        return f"configuration {self.path.absolute()}"


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    needs: Collection[Need] = EVERYTHING,
    secrets_folder: Path = SECRETS_FOLDER,
) -> Config:
    """The configuration of a file (None: config.yaml, which may be missing) and the environment.

    A secret that `needs` does not ask for may be missing: its variable unset, its file not there. It is None then
    (an empty URL of the database). Raises ConfigError with every mistake at once, each with its place.
    """
    overrides = override_layer(environ)
    mistakes = list(overrides.mistakes)
    named = path or (Path(environ["ALERTBOT_CONFIG"]) if environ.get("ALERTBOT_CONFIG") else None)
    written = Layer({})
    used: Path | None = named or DEFAULT_PATH
    if named or DEFAULT_PATH.exists():
        try:
            written = file_layer(named or DEFAULT_PATH, environ)
        except ConfigError as error:
            # Nothing else can be judged: what is missing may well stand in the file.
            raise ConfigError(*in_order([*mistakes, *error.mistakes])) from error
    else:
        used = None
    reader = SecretReader(needs, secrets_folder)
    layers = [reader.fill(layer) for layer in (overrides.layer, written, wellknown_env_layer(environ))]
    sources = next((layer.keys["sources"] for layer in layers if layer.keys.get("sources") is not None), None)
    if Need.SOURCES in needs and not sources and not isinstance(sources, InvalidValue):
        mistakes.append(Mistake("sources", "expected at least one source, got none; write one, or set FLASHBACK_TOKEN"))
    try:
        keys = ConfigFile(_build_sources=(tuple(LayerSource(layer) for layer in layers), {}))
    except ValidationError as error:
        mistakes += (Mistake(_place(layers, location), sentence) for location, sentence in sentences_of(error))
        raise ConfigError(*in_order(mistakes)) from None  # pydantic's own text would hold what was written
    if mistakes:
        raise ConfigError(*in_order(mistakes))
    return _config(keys, used, ignored=overrides.ignored)


def _place(layers: list[Layer], location: tuple[str | int, ...]) -> str:
    """Where a person finds it: the first layer that has something there has the say."""
    places = (layer.place(location) for layer in layers)
    return next((place for place in places if place is not None), place_of("", location))


def _config(keys: ConfigFile, path: Path | None, *, ignored: Sequence[str]) -> Config:
    channel = keys.slack.channel
    rules = DEFAULT_RULES if keys.rules is None else tuple(rule.rule() for rule in keys.rules)
    return Config(
        database=keys.database,
        sources=keys.sources,
        prices=keys.prices,
        slack=keys.slack,
        oncall=keys.oncall,
        routes=(*(route.route(channel) for route in keys.routes), Route(channel=channel)),
        rules=rules,
        reports=tuple(Report(report.schedule, report.channel or channel, report.timezone) for report in keys.reports),
        http=keys.http,
        heartbeat=keys.heartbeat,
        log=keys.log,
        path=path,
        notes=(*_notes(keys, rules, path), *_ignored_note(ignored)),
    )


def _notes(keys: ConfigFile, rules: tuple[Rule, ...], path: Path | None) -> Iterator[str]:
    if path is None:
        read = ", ".join(f"{source.name} at {source.base_url}" for source in keys.sources) or "none"
        yield f"no config file; the source from the environment: {read}"
    if keys.rules is None:
        yield f"no rules are configured; the default rules are used: {', '.join(rule.name for rule in rules)}"
    elif not rules:
        yield "the list of rules is empty; nothing is watched but whether the sources can be read"
    for source in keys.sources:
        if source.blind_after < source.interval:
            yield (
                f"source {source.name} is read every {format_duration_short(source.interval)} "
                f"but counts as blind after {format_duration_short(source.blind_after)}"
            )
        if _is_open_to_others(source.base_url):
            yield f"source {source.name}: base_url begins with http://, so its access token can be read on the way; use https://"
    if _is_open_to_others(keys.slack.api_url):
        yield "slack.api_url begins with http://, so the bot's token can be read on the way; use https://"
    yield from _not_collected(keys.sources, rules)
    yield from _matched_by_nothing(keys)
    yield from _without_effect(keys)


def _ignored_note(names: Sequence[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - 1} more variables" if len(names) > 1 else ""
        yield f"environment: {names[0]}{more} ignored: no key of the configuration is named so"


def _is_open_to_others(url: str) -> bool:
    """Whether a token that is sent there can be read on the way: plain HTTP to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _not_collected(sources: tuple[SourceConfig, ...], rules: tuple[Rule, ...]) -> Iterator[str]:
    collected = {worker for source in sources for worker in source.collect}
    for rule in rules if sources else ():
        dimensions = (rule.per, *(name for name, _ in rule.where.globs))
        for metric in rule.metrics:
            wanted = collectors_of(metric, dimensions)
            if not collected.intersection(wanted):
                yield f"rule {rule.name} looks at {metric}{by_what(dimensions)}, which no source collects (collect: {' or '.join(wanted)})"


def _matched_by_nothing(keys: ConfigFile) -> Iterator[str]:
    """Names in routes and prices that are almost certainly typing errors; not mistakes, because sources come and go."""
    names = [source.name for source in keys.sources]
    wheres = [(f"routes[{index}].match", route.match) for index, route in enumerate(keys.routes)]
    wheres += [(f"prices[{index}].match", price.match) for index, price in enumerate(keys.prices)]
    wheres += [(f"rules[{index}].where", rule.where) for index, rule in enumerate(keys.rules or ())]
    for place, where in wheres if names else ():
        for dimension, globs in where.globs:
            known = [Selector(((dimension, (glob,)),)) for glob in globs] if dimension == "source" else []
            if known and not any(each.selects({"source": name}) for each in known for name in names):
                yield f"{place}.source fits none of the sources ({', '.join(names)})"


def _without_effect(keys: ConfigFile) -> Iterator[str]:
    """Keys that change nothing beside the others: whoever wrote them expects something."""
    if keys.reports:
        yield "reports: this release does not post any"
    slack = keys.slack
    unused = ("app_token", slack.app_token) if slack.mode == "http" else ("signing_secret", slack.signing_secret)
    if unused[1] is not None:
        yield f"slack.{unused[0]} is not used with mode {slack.mode}"
    for source in keys.sources:
        if "reread" in source.model_fields_set and not POINTS.intersection(source.collect):
            yield f"source {source.name}: reread is not used, as no points are collected (collect: ai_minutes …)"
    matches = [route.match.globs for route in keys.routes]
    if () in matches[:-1]:
        place = matches.index(())
        yield f"routes[{place + 1}] and what comes after it is never reached: routes[{place}] matches every alert"


class _Schema(GenerateJsonSchema):
    """JSON Schema whose defaults are written as in the file."""

    def encode_default(self, dft: Any) -> Any:
        match dft:
            case timedelta():
                return format_duration_short(dft)
            case SecretStr():
                return dft.get_secret_value()  # a default is no secret
            case Address():
                return str(dft)
            case Selector():
                return {}
            case ((_, _), *_) as levels:
                return {str(severity): float(number) for severity, number in levels}
            case _:
                return super().encode_default(dft)


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the config file, for editors."""
    schema = ConfigFile.model_json_schema(schema_generator=_Schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "alertbot's config.yaml",
        "description": "Every key of the config file. Any value may hold ${NAME} or ${NAME:-default}.",
    }
