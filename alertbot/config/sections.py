"""The keys of the configuration file, one class a section; the contract's YAML as types."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from alertbot.config.keys import Section, given, repeated
from alertbot.config.mappings import LABELS, PRICED
from alertbot.config.mistakes import Location, Mismatch, mistakes_at, quoted
from alertbot.config.raw_values import InvalidValue
from alertbot.config.rules import RULES
from alertbot.config.values import (
    CHANNEL,
    CHANNEL_OR_DEFAULT,
    COMMAND,
    CRON,
    DATABASE_URL,
    DURATION,
    FLAG,
    GROUP,
    LABEL_NAME,
    LISTEN,
    LONG_DURATION,
    MENTION,
    MOMENT,
    MONEY,
    NAME,
    NOT_NEEDED,
    PASSWORD,
    PERSON,
    SECRET_URL,
    TEXT,
    TOKEN,
    URL,
    USER,
    WAIT,
    ZONE,
    Address,
    choice,
    token_not,
    whole,
)
from alertbot.domain.routes import Route, Step
from alertbot.domain.rules import EVERYTHING, Selector
from alertbot.domain.times import format_duration_short

_SHORTEST_KEY = 16


def _key(text: str) -> str:
    if len(text) < _SHORTEST_KEY:
        raise Mismatch
    return text


KEY = replace(PASSWORD, expected=f"a key of at least {_SHORTEST_KEY} characters", parse=_key)
_URL_DEFAULT = SecretStr("sqlite:///alertbot.db")
COLLECTORS = ("llm_stats", "ai_minutes", "evidence", "ai_days", "storage_minutes", "storage_days")


class RetentionConfig(Section):
    """How long things are kept: readings, finer and coarser, evidence, and what people were told and did."""

    raw: Annotated[timedelta, LONG_DURATION] = Field(timedelta(days=7), description="Every reading.")
    hourly: Annotated[timedelta, LONG_DURATION] = Field(timedelta(days=90), description="The last of each hour.")
    daily: Annotated[timedelta, LONG_DURATION] = Field(timedelta(days=3 * 365), description="The last of each day.")
    evidence: Annotated[timedelta, LONG_DURATION] = Field(
        timedelta(days=90), description="Violations and policy alerts, with who, what and why."
    )
    audit: Annotated[timedelta, LONG_DURATION] = Field(
        timedelta(days=3 * 365), description="Alerts, messages, silences and acts that are over, and changes of rules."
    )

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        kept: list[tuple[str, timedelta]] = []
        for name in ("raw", "hourly", "daily"):
            field = cls.model_fields[name]
            try:
                kept.append((name, LONG_DURATION.read(keys[name]) if name in keys else field.default))
            except ValueError:
                continue  # told by the key itself
        for (finer, short), (coarser, long) in pairwise(kept):
            if long < short:
                shown = format_duration_short(short)
                yield (coarser,), f'expected at least the {shown} of {finer}, got "{format_duration_short(long)}"'


class DatabaseConfig(Section):
    """Where everything is remembered."""

    url: Annotated[SecretStr, DATABASE_URL] = Field(
        _URL_DEFAULT,
        description="sqlite:///FILE (relative to the working folder) or postgresql://USER:PASSWORD@HOST/DB.",
    )
    key: Annotated[SecretStr | None, KEY] = Field(
        None, description="Encrypts the tokens that sources were given; without it a file of the bot's own does."
    )
    keep: RetentionConfig = Field(default_factory=RetentionConfig, description="How long things are kept.")

    @property
    def shown_url(self) -> str:
        """The URL without its password, for people and logs."""
        scheme, _, rest = self.url.get_secret_value().partition("://")
        user, at, host = rest.rpartition("@")
        name = user.partition(":")[0]
        return f"{scheme}://{name}{at}{host.partition('?')[0]}"


class SourceConfig(Section):
    """One Flashback account that is read."""

    name: Annotated[str, NAME] = Field(description="Unique; stands in alerts, matchers and commands.")
    base_url: Annotated[str, URL] = Field("https://backend.flashback.tech", description="Where its API answers.")
    access_token: Annotated[SecretStr | None, TOKEN] = Field(None, description="The bearer token.")
    refresh_token: Annotated[SecretStr | None, TOKEN] = Field(None, description="Brings a new access token.")
    email: Annotated[str | None, TEXT.or_none()] = Field(None, description="With password: in place of refresh_token.")
    password: Annotated[SecretStr | None, PASSWORD] = Field(None, description="With email.")
    interval: Annotated[timedelta, DURATION] = Field(timedelta(seconds=60), description="How often it is read.")
    timeout: Annotated[timedelta, DURATION] = Field(timedelta(seconds=10), description="Of one request.")
    blind_after: Annotated[timedelta, DURATION] = Field(
        default_factory=lambda read: _usual_blind_after(read["interval"]),
        description="Without a good reading for so long it counts as blind; default 5m, or three intervals if that is more.",
    )
    collect: tuple[Annotated[str, choice("something to collect", COLLECTORS)], ...] = Field(
        ("llm_stats", "ai_minutes", "evidence"), min_length=1, description="Which endpoints are read."
    )
    concurrency: Annotated[int, whole("a whole number", least=1, most=100)] = Field(
        8, description="Parallel requests to this source."
    )
    reread: Annotated[timedelta, DURATION] = Field(
        timedelta(minutes=10), description="How far back points are read again."
    )
    priced: Annotated[str, choice("tokens or llm_tokens", ("tokens", "llm_tokens"))] = Field(
        "tokens", description="Which pair of tokens is charged."
    )

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        if any(keys.get(name) is NOT_NEEDED for name in cls.secret_keys()):
            return
        refresh, email, password = (given(keys.get(name)) for name in ("refresh_token", "email", "password"))
        if refresh and (email or password):
            yield (), "expected refresh_token, or email and password, got both"
        elif email is not password:
            missing, there = ("password", "email") if email else ("email", "password")
            yield (missing,), f"expected {missing} beside {there}, got nothing"
        elif not (given(keys.get("access_token")) or refresh or email):
            yield ("access_token",), "expected an access token, a refresh token, or email and password, got nothing"


def _usual_blind_after(interval: timedelta) -> timedelta:
    """5 minutes; a source that is read more seldom than that would be blind between two readings."""
    return timedelta(minutes=5) if interval < timedelta(minutes=5) else 3 * interval


class PriceConfig(Section):
    """What tokens cost where the list of published prices does not fit."""

    match: Annotated[Selector, PRICED] = Field(EVERYTHING, description="Globs by dimension.")
    usd_per_million_in: Annotated[Decimal, MONEY] = Field(description="Dollars for a million tokens in.")
    usd_per_million_out: Annotated[Decimal, MONEY] = Field(description="Dollars for a million tokens out.")


class VisibilityConfig(Section):
    """Who may look a source up: people in these channels, and these people."""

    source: Annotated[str, NAME] = Field(description="The name of a source.")
    channels: tuple[Annotated[str, CHANNEL], ...] = Field((), description="Everybody in these channels.")
    users: tuple[Annotated[str, USER], ...] = Field((), description="These people.")


class SlackConfig(Section):
    """Where people read and answer."""

    bot_token: Annotated[SecretStr | None, token_not("a bot token (xoxb-…)", prefix="xapp-", kind="an app token")] = (
        Field(None, description="The bot's token; also from SLACK_BOT_TOKEN.")
    )
    app_token: Annotated[SecretStr | None, token_not("an app token (xapp-…)", prefix="xoxb-", kind="a bot token")] = (
        Field(None, description="For mode socket; also from SLACK_APP_TOKEN.")
    )
    signing_secret: Annotated[SecretStr | None, TOKEN] = Field(
        None, description="For mode http; also from SLACK_SIGNING_SECRET."
    )
    mode: Annotated[str, choice("socket or http", ("socket", "http"))] = Field(
        "socket",
        description="How Slack reaches the bot: over a socket that the bot opens, or by requests to http.listen.",
    )
    api_url: Annotated[str, URL] = Field("https://slack.com/api/", description="Where Slack's Web API answers.")
    command: Annotated[str, COMMAND] = Field("/alertbot", description="The slash command.")
    channel: Annotated[str, CHANNEL] = Field("#ai-alerts", description="Where alerts go that match no route.")
    fallback_channel: Annotated[str, CHANNEL] = Field(
        "#ai-alerts-fallback", description="Where alerts go whose channel is broken."
    )
    operator_channel: Annotated[str, CHANNEL] = Field(
        default_factory=lambda read: read["fallback_channel"],
        description="Where the bot speaks about itself; default the fallback channel.",
    )
    operator_webhook: Annotated[SecretStr | None, SECRET_URL] = Field(
        None, description="An incoming webhook: the last way out when the token is refused."
    )
    operators: tuple[Annotated[str, PERSON], ...] = Field(
        (), description="Users or user groups who may silence, edit rules and see every source; empty: everybody."
    )
    visibility: tuple[VisibilityConfig, ...] = Field(
        (), description="Who may look a source up; without an entry everybody."
    )

    @field_validator("api_url")
    @classmethod
    def _ends_with_a_slash(cls, api_url: str) -> str:
        return f"{api_url.rstrip('/')}/"  # Slack's client appends the method's name

    @property
    def missing_tokens(self) -> tuple[str, ...]:
        """The customary variables of the tokens that this mode needs and that are not there; the bot token first."""
        second = (
            ("SLACK_APP_TOKEN", self.app_token)
            if self.mode == "socket"
            else ("SLACK_SIGNING_SECRET", self.signing_secret)
        )
        return tuple(name for name, token in (("SLACK_BOT_TOKEN", self.bot_token), second) if token is None)


class RotationConfig(Section):
    """People who are on call in turns."""

    every: Annotated[timedelta, DURATION] = Field(description="How long a turn is.")
    timezone: Annotated[str, ZONE] = Field("UTC", description="Whose clock `start` is on.")
    start: Annotated[datetime, MOMENT] = Field(description="When the first person's first turn began.")
    people: tuple[Annotated[str, USER], ...] = Field(min_length=1, description="Slack users, in their order.")

    @field_validator("start")
    @classmethod
    def _on_the_clock(cls, start: datetime, others: ValidationInfo) -> datetime:
        """In the rotation's zone, so that adding whole days keeps the hour of the hand-over."""
        zone = ZoneInfo(others.data.get("timezone", "UTC"))
        return start.replace(tzinfo=zone) if start.tzinfo is None else start.astimezone(zone)


class OnCallConfig(Section):
    """Who is meant by `@oncall:NAME`."""

    name: Annotated[str, NAME] = Field(description="Unique; mentioned as @oncall:NAME.")
    rotation: RotationConfig | None = Field(None, description="People in turns; or say usergroup.")
    usergroup: Annotated[str | None, GROUP.or_none()] = Field(None, description="A Slack user group; or say rotation.")

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        both = [given(keys.get(name)) for name in ("rotation", "usergroup")]
        if sum(both) != 1:
            yield (), f"expected rotation or usergroup, got {'both' if all(both) else 'neither'}"


class EscalationStepConfig(Section):
    """One step of an escalation."""

    after: Annotated[timedelta, DURATION] = Field(description="After the message's first post.")
    mention: tuple[Annotated[str, MENTION], ...] = Field((), description="Who is called.")
    channel: Annotated[str | None, CHANNEL_OR_DEFAULT] = Field(
        None, description="Where; default the message's channel."
    )

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        if not keys.get("mention") and not given(keys.get("channel")):
            yield (), "expected mention or channel, got neither"


_ROUTE = Route(channel="")  # the domain's defaults


class RouteConfig(Section):
    """Where the alerts that match are told, and in what manner."""

    match: Annotated[Selector, LABELS] = Field(EVERYTHING, description="Globs by label; without it every alert.")
    channel: Annotated[str | None, CHANNEL_OR_DEFAULT] = Field(None, description="Default slack.channel.")
    mention: tuple[Annotated[str, MENTION], ...] = Field((), description="Who is pinged.")
    group_by: tuple[Annotated[str, LABEL_NAME], ...] = Field(
        _ROUTE.group_by, description="Alerts that have these in common share one message."
    )
    group_wait: Annotated[timedelta, WAIT] = Field(
        _ROUTE.group_wait, description="How long the first message waits for alerts that fire together."
    )
    group_interval: Annotated[timedelta, WAIT] = Field(
        _ROUTE.group_interval, description="The shortest time between two pings about new members."
    )
    repeat: Annotated[timedelta, DURATION] = Field(
        _ROUTE.repeat, description="A message that nobody acknowledges pings again after this."
    )
    flap_limit: Annotated[int, whole("a whole number", least=1)] = Field(
        _ROUTE.flap_limit, description="More changes in an hour than this are told as flapping."
    )
    forget_brief: Annotated[bool, FLAG] = Field(
        default=_ROUTE.forget_brief, description="Do not tell alerts that ended before they could be told."
    )
    privacy: Annotated[str, choice("full, masked or counts", ("full", "masked", "counts"))] = Field(
        _ROUTE.privacy, description="How much evidence is shown, and whether people are named."
    )
    send_resolved: Annotated[bool, FLAG] = Field(default=_ROUTE.send_resolved, description="Say that it is over.")
    escalate: tuple[EscalationStepConfig, ...] = Field((), description="Who is called when nobody acknowledges.")

    @field_validator("escalate")
    @classmethod
    def _one_after_another(cls, steps: tuple[EscalationStepConfig, ...]) -> tuple[EscalationStepConfig, ...]:
        found: list[tuple[Location, str]] = []
        for index, (before, step) in enumerate(pairwise(steps), start=1):
            if step.after <= before.after:
                earlier, got = format_duration_short(before.after), format_duration_short(step.after)
                found.append(((index, "after"), f'expected more than the {earlier} of the step before, got "{got}"'))
        if found:
            raise mistakes_at(found)
        return steps

    def route(self, default_channel: str) -> Route:
        steps = tuple(Step(step.after, step.mention, step.channel) for step in self.escalate)
        return Route(
            channel=self.channel or default_channel,
            match=self.match,
            mention=self.mention,
            group_by=self.group_by,
            group_wait=self.group_wait,
            group_interval=self.group_interval,
            repeat=self.repeat,
            flap_limit=self.flap_limit,
            forget_brief=self.forget_brief,
            privacy=self.privacy,
            send_resolved=self.send_resolved,
            escalate=steps,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A compliance report that is posted by itself; `schedule` is for APScheduler's `CronTrigger.from_crontab`."""

    schedule: str
    channel: str
    timezone: str


class ReportConfig(Section):
    """A compliance report that is posted by itself."""

    schedule: Annotated[str, CRON] = Field(description="Minute, hour, day, month, weekday, as for cron.")
    channel: Annotated[str | None, CHANNEL_OR_DEFAULT] = Field(None, description="Default slack.channel.")
    timezone: Annotated[str, ZONE] = Field("UTC", description="Whose clock the schedule is on.")


class HttpConfig(Section):
    """The HTTP server: /healthz /readyz /metrics, and /slack/events in http mode."""

    listen: Annotated[Address, LISTEN] = Field(Address("127.0.0.1", 8080), description="Address and port.")


class HeartbeatConfig(Section):
    """Somebody who notices when the bot itself is silent."""

    url: Annotated[SecretStr | None, SECRET_URL] = Field(
        None, description="Pinged after every cycle that polled, evaluated and drained."
    )


class LogConfig(Section):
    """The bot's own log, on stderr."""

    format: Annotated[str | None, choice("json or console", ("json", "console")).or_none()] = Field(
        None, description="For machines, or people; default console on a terminal, else json."
    )
    level: Annotated[
        str, choice("debug, info, warning or error", ("debug", "info", "warning", "error"), any_case=True)
    ] = Field("info", description="The mildest that is written.")


class ConfigFile(Section, BaseSettings):
    """Every key of the file. A key outside a list may be overridden by ALERTBOT_ and its path with `__`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    database: DatabaseConfig = Field(default_factory=DatabaseConfig, description="Where everything is remembered.")
    sources: tuple[SourceConfig, ...] = Field((), description="The Flashback accounts that are read.")
    prices: tuple[PriceConfig, ...] = Field((), description="Prices of tokens where the published ones do not fit.")
    slack: SlackConfig = Field(default_factory=SlackConfig, description="Where people read and answer.")
    oncall: tuple[OnCallConfig, ...] = Field((), description="Who is meant by @oncall:NAME.")
    routes: tuple[RouteConfig, ...] = Field((), description="First match wins; no match: slack.channel.")
    rules: RULES | None = Field(None, description="What is watched; without this key a few default rules.")
    reports: tuple[ReportConfig, ...] = Field((), description="Reports that are posted by themselves.")
    http: HttpConfig = Field(default_factory=HttpConfig, description="The HTTP server.")
    heartbeat: HeartbeatConfig = Field(
        default_factory=HeartbeatConfig, description="Somebody who notices when the bot is silent."
    )
    log: LogConfig = Field(default_factory=LogConfig, description="The bot's own log.")

    @classmethod
    def mistakes_between(cls, keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
        for section in ("sources", "oncall"):
            for location, sentence in repeated(keys.get(section), "name", place=section):
                yield (section, *location), sentence
        yield from _unknown_on_call(keys)
        yield from _unknown_visibility(keys)


def _dicts(value: object) -> list[tuple[int, Mapping[str, Any]]]:
    """The elements of a list that hold keys; what else stands there is told by its own reader."""
    listed = value if isinstance(value, list) else []
    return [(index, keys) for index, keys in enumerate(listed) if isinstance(keys, Mapping)]


def _names(value: object) -> list[str]:
    return [str(keys["name"]) for _, keys in _dicts(value) if isinstance(keys.get("name"), str)]


def _unknown_on_call(keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    known = _names(keys.get("oncall"))
    places: list[tuple[Location, Mapping[str, Any]]] = []
    for index, route in _dicts(keys.get("routes")):
        places.append((("routes", index), route))
        places += [
            (("routes", index, "escalate", step), step_keys) for step, step_keys in _dicts(route.get("escalate"))
        ]
    for location, holder in places:
        mentions = holder.get("mention")
        for index, mention in enumerate(mentions if isinstance(mentions, list) else []):
            name = mention.removeprefix("@oncall:") if isinstance(mention, str) else ""
            if isinstance(mention, str) and mention.startswith("@oncall:") and name not in known:
                names = ", ".join(known) or "none is configured"
                yield (
                    (*location, "mention", index),
                    f"expected @oncall: and a name of oncall ({names}), got {quoted(mention)}",
                )


def _unknown_visibility(keys: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    known = _names(keys.get("sources"))
    slack = keys.get("slack")
    for index, entry in _dicts(slack.get("visibility") if isinstance(slack, Mapping) else None):
        source = entry.get("source")
        # A typing error here would leave the source visible to everybody.
        if isinstance(source, str) and given(source) and not isinstance(source, InvalidValue) and source not in known:
            names = ", ".join(known) or "none is configured"
            yield (
                ("slack", "visibility", index, "source"),
                f"expected the name of a source ({names}), got {quoted(source)}",
            )
