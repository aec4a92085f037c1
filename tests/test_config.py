"""What a config file makes: the contract's keys and defaults, the example, the schema, and values as people write them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alertbot.config import Address, Config, SourceConfig, config_schema, load, read_yaml
from alertbot.config.keys import Section, is_list, sections_in
from alertbot.config.rule_types import KINDS
from alertbot.config.sections import ConfigFile
from alertbot.domain.routes import Route, Step, route_for
from alertbot.domain.rules import Selector
from tests.config_files import CONTRACT, ENVIRON, loaded

NO_REPORTS = "reports: this release does not post any"
EXAMPLE = Path(__file__).parent.parent / "config.example.yaml"
jsonschema = import_module("jsonschema")  # it brings no types


def test_the_contract_is_taken_word_for_word(tmp_path):
    config = loaded(tmp_path, CONTRACT)

    (source,) = config.sources
    assert source.access_token
    assert source.access_token.get_secret_value() == "token"
    assert (source.refresh_token, source.interval, source.concurrency) == (None, timedelta(minutes=1), 8)
    assert config.prices[0].usd_per_million_in == Decimal("2.50")
    assert config.prices[0].match == Selector((("ai_llm", ("support-*",)),))
    assert config.slack.visibility[0].channels == ("#acme-ai",)
    rotation = config.oncall[0].rotation
    assert rotation
    assert rotation.start.astimezone(UTC) == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert config.routes[0].escalate == (
        Step(timedelta(minutes=15), ("@oncall:primary",)),
        Step(timedelta(minutes=30), ("S0LEADS",), "#leads"),
    )
    assert config.routes[-1] == Route(channel="#ai-alerts")
    assert [rule.name for rule in config.rules] == ["violation-burst", "token-budget"]
    assert config.reports[0].schedule == "0 9 * * mon"
    assert config.http.listen == Address("127.0.0.1", 8080)
    assert config.heartbeat.url is None
    assert config.notes == (NO_REPORTS,)


def test_the_defaults_are_the_contract_s(tmp_path):
    full = loaded(tmp_path, CONTRACT)
    bare = loaded(tmp_path, "sources:\n  - name: acme\n    access_token: ${FLASHBACK_TOKEN}\n")

    assert bare.database == full.database
    assert bare.sources == full.sources
    assert bare.slack == full.slack.model_copy(update={"operators": (), "visibility": ()})
    assert (bare.http, bare.heartbeat, bare.log.level) == (full.http, full.heartbeat, full.log.level)
    assert (bare.log.format, full.log.format) == (None, "json")  # by itself it depends on the terminal
    assert bare.routes == (Route(channel="#ai-alerts"),)
    assert (bare.prices, bare.oncall, bare.reports) == ((), (), ())
    empty_route = loaded(tmp_path, "routes: [{}]").routes[0]
    assert empty_route == Route(channel="#ai-alerts")


def test_the_example_names_every_key_and_loads():
    config = load(EXAMPLE, ENVIRON)
    assert config.notes == (NO_REPORTS,)
    assert {rule.kind for rule in config.rules} == {
        "threshold", "rate", "ratio", "spike", "budget", "burn", "absence",
    }  # fmt: skip

    # A rule has the keys of its type, which stand in classes below the one that the list of rules is declared with.
    written = _paths(read_yaml(EXAMPLE.read_bytes(), origin="example"))
    assert _paths_of(ConfigFile) - written == set()
    assert {f"rules[].{key}" for key in _rule_keys()} - written == set()


def _paths(tree: Any, above: str = "") -> set[str]:
    """Where something stands: `rules[].name`."""
    if isinstance(tree, list):
        return {path for value in tree for path in _paths(value, f"{above}[]")}
    if not isinstance(tree, dict):
        return set()
    here = {f"{above}.{key}".removeprefix(".") for key in tree}
    return here.union(*(_paths(value, f"{above}.{key}".removeprefix(".")) for key, value in tree.items()))


def _paths_of(section: type[Section], above: str = "") -> set[str]:
    paths = set()
    for key, field in section.keys().items():
        path = f"{above}.{key}".removeprefix(".")
        paths.add(path)
        inside = f"{path}[]" if is_list(field) else path
        paths |= {found for inner in sections_in(field.annotation) for found in _paths_of(inner, inside)}
    return paths


def _rule_keys() -> set[str]:
    return {key for kind in KINDS.values() for key in list(kind.keys())}


def test_the_schema_takes_the_example_and_refuses_typing_errors():
    schema = config_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")))) == []
    for wrong in (
        "databse: {}",
        "log: {levl: info}",
        "slack: {mode: https}",
        "sources: [{name: a, interval: 15}]",
        "rules: [{name: a, type: budget, metric: tokens, amount: 5, period: day, window: 5m}]",
        "rules: [{name: a, metric: tokenz, window: 5m, above: 1}]",
        "rules: [{name: a, metric: tokens, window: 5m, above: {warn: 1}}]",
    ):
        assert not validator.is_valid(yaml.safe_load(wrong)), wrong
    for right in ("log: {level: '${LEVEL:-info}'}", "slack: {bot_token_file: /etc/token}", "database: {url_file: /x}"):
        assert validator.is_valid(yaml.safe_load(right)), right


def test_the_schema_has_a_description_of_every_key_and_defaults_as_they_are_written():
    schema = config_schema()
    for name, section in {"ConfigFile": schema, **schema["$defs"]}.items():
        for key, value in section["properties"].items():
            described = schema["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
            assert described.get("description") or key in {"type", "metric", "severity", "rotation"}, f"{name}.{key}"
    source = schema["$defs"]["SourceConfig"]["properties"]
    assert (source["interval"]["default"], source["concurrency"]["default"]) == ("1m", 8)
    assert schema["$defs"]["HttpConfig"]["properties"]["listen"]["default"] == "127.0.0.1:8080"
    assert schema["$defs"]["BudgetRule"]["properties"]["at"]["default"] == {"warning": 80, "critical": 100}
    assert schema["$defs"]["DatabaseConfig"]["properties"]["url"]["default"] == "sqlite:///alertbot.db"


def test_scalars_are_what_was_written_and_not_what_yaml_makes_of_them(tmp_path):
    config = loaded(
        tmp_path,
        "sources:\n  - {name: no, access_token: 0123, email: }\n  - {name: 1e3, access_token: on}\n"
        "oncall:\n  - {name: 007, usergroup: S1}\n"
        "prices:\n  - {usd_per_million_in: 0.10, usd_per_million_out: 1_000.50}\n"
        "routes:\n  - {match: {provider: null-*, team: yes}, forget_brief: on, send_resolved: No, flap_limit: 1_0}\n",
    )
    assert [source.name for source in config.sources] == ["no", "1e3"]
    assert [source.access_token.get_secret_value() for source in config.sources if source.access_token] == [
        "0123",
        "on",
    ]
    assert config.oncall[0].name == "007"
    assert (config.prices[0].usd_per_million_in, config.prices[0].usd_per_million_out) == (
        Decimal("0.10"),
        Decimal("1000.50"),
    )
    route = config.routes[0]
    assert route.match == Selector((("provider", ("null-*",)), ("team", ("yes",))))
    assert (route.forget_brief, route.send_resolved, route.flap_limit) == (True, False, 10)


def test_anchors_and_merge_keys_work(tmp_path):
    config = loaded(
        tmp_path,
        "sources:\n  - &acme {name: acme, access_token: a, interval: 30s}\n  - {<<: *acme, name: lab}\n"
        "  - {<<: [{name: third}, *acme], timeout: 5s}\n",
    )
    assert [(source.name, source.interval.seconds) for source in config.sources] == [
        ("acme", 30),
        ("lab", 30),
        ("third", 30),
    ]


@given(st.integers(1, 500), st.sampled_from("smhdw"))  # ten years at most
def test_every_duration_is_read_as_it_was_written(number, unit):
    seconds = number * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]
    assert SourceConfig(name="a", access_token="a", interval=f"{number}{unit}").interval == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("written", "days"),
    [("7d", 7), ("2w", 14), ("3y", 1095), ("1y2w", 379), ("1 year and 2 weeks", 379), ("ten days", 10)],
)
def test_what_is_kept_may_be_written_in_years_and_in_words(tmp_path, written, days):
    assert (
        loaded(tmp_path, f"database: {{keep: {{daily: {written}, raw: 1d, hourly: 1d}}}}").database.keep.daily.days
        == days
    )


@pytest.mark.parametrize(
    ("written", "channel"),
    [
        ("'#ai-alerts'", "#ai-alerts"),
        ("ai-alerts", "#ai-alerts"),
        ("C012AB3CD", "C012AB3CD"),
        ("D1", "D1"),
        ("'#störung'", "#störung"),
    ],
)
def test_a_channel_is_a_name_with_or_without_its_sign_or_an_id(tmp_path, written, channel):
    config = loaded(tmp_path, f"slack: {{channel: {written}}}\nreports: [{{schedule: 0 9 * * *}}]\nroutes: [{{}}]")
    assert (config.slack.channel, config.reports[0].channel) == (channel, channel)
    assert {route.channel for route in config.routes} == {channel}


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("':9000'", Address("0.0.0.0", 9000)),
        ("'[::1]:80'", Address("::1", 80)),
        ("localhost:0", Address("localhost", 0)),
    ],
)
def test_an_address_is_a_host_and_a_port(tmp_path, written, address):
    assert loaded(tmp_path, f"http: {{listen: {written}}}").http.listen == address


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0 9 * * 1", "0 9 * * mon"),
        ("0 9 * * 0", "0 9 * * sun"),
        ("0 9 * * 7", "0 9 * * sun"),
        ("0 9 * * 1-5", "0 9 * * mon,tue,wed,thu,fri"),
        ("0 9 * * FRI-MON", "0 9 * * sun,mon,fri,sat"),
        ("0 9 * * 0-7", "0 9 * * *"),
        ("*/5 8-18 1,15 * */2", "*/5 8-18 1,15 * sun,tue,thu,sat"),
    ],
)
def test_days_of_the_week_are_counted_as_cron_counts_them(tmp_path, written, read):
    """APScheduler counts 0 as Monday, cron as Sunday; by name they agree."""
    assert loaded(tmp_path, f"reports: [{{schedule: '{written}'}}]").reports[0].schedule == read


def test_a_rotation_keeps_the_hour_of_its_hand_over_when_the_clocks_change(tmp_path):
    rotation = loaded(tmp_path, CONTRACT).oncall[0].rotation
    assert rotation
    summer = rotation.start + 20 * rotation.every
    assert (summer.hour, summer.astimezone(UTC).hour) == (9, 7)
    offset = loaded(tmp_path, CONTRACT.replace("2026-01-05T09:00", "2026-01-05T08:00Z")).oncall[0].rotation
    assert offset == rotation


def test_the_last_route_takes_what_no_other_does(tmp_path):
    config = loaded(tmp_path, "routes:\n  - {match: {severity: critical}, channel: '#a'}\n")
    assert route_for({"severity": "critical"}, config.routes).channel == "#a"
    assert route_for({"severity": "warning"}, config.routes) == Route(channel="#ai-alerts")


def test_a_source_that_is_read_seldom_is_not_blind_between_two_readings(tmp_path):
    def source(keys: str) -> Config:
        return loaded(tmp_path, f"sources: [{{name: a, access_token: a, {keys}}}]")

    assert source("interval: 4m").sources[0].blind_after == timedelta(minutes=5)
    assert source("interval: 10m").sources[0].blind_after == timedelta(minutes=30)
    assert "counts as blind after 5m" in " ".join(source("interval: 10m, blind_after: 5m").notes)


def test_notes_say_what_will_never_be_seen(tmp_path):
    notes = loaded(
        tmp_path,
        "sources: [{name: acme, access_token: a, collect: [llm_stats]}]\n"
        "routes: [{match: {source: acne}, channel: '#a'}]\n"
        "rules:\n  - {name: r, metric: tokens, window: 1h, above: 5, per: user}\n"
        "  - {name: s, metric: upload_bytes, window: 1h, above: 5}\n"
        "  - {name: t, metric: tokens, window: 1h, above: 5}\n",
    ).notes
    assert notes == (
        "rule r looks at tokens by user, which no source collects (collect: ai_minutes or ai_days)",
        "rule s looks at upload_bytes, which no source collects (collect: storage_minutes or storage_days)",
        "routes[0].match.source fits none of the sources (acme)",
    )
    assert "nothing is watched" in loaded(tmp_path, "rules: []").notes[0]


IDLE = {
    "a token of the other mode": (
        "slack: {mode: http, app_token: xapp-1, signing_secret: s}",
        "slack.app_token is not used with mode http",
    ),
    "a secret of the other mode": ("slack: {signing_secret: s}", "slack.signing_secret is not used with mode socket"),
    "reading points again that are not collected": (
        "sources: [{name: acme, access_token: a, collect: [llm_stats], reread: 5m}]",
        "source acme: reread is not used, as no points are collected (collect: ai_minutes …)",
    ),
    "routes behind one that takes everything": (
        "routes: [{match: {rule: a}}, {channel: '#b'}, {match: {rule: c}}]",
        "routes[2] and what comes after it is never reached: routes[1] matches every alert",
    ),
    "reports": ("reports: [{schedule: '0 9 * * MON'}]", NO_REPORTS),
}


@pytest.mark.parametrize(("text", "told"), IDLE.values(), ids=IDLE.keys())
def test_notes_name_keys_that_do_nothing(tmp_path, text: str, told: str):
    assert told in loaded(tmp_path, text).notes


def test_keys_that_do_something_are_not_noted(tmp_path):
    text = "slack: {mode: http, signing_secret: s}\nroutes: [{match: {rule: a}}, {channel: '#b'}]\nrules: []\n"
    assert loaded(tmp_path, text).notes == (
        "the list of rules is empty; nothing is watched but whether the sources can be read",
    )


@pytest.mark.parametrize(
    ("address", "is_noted"),
    [
        ("https://flashback.example", False),
        ("http://flashback.example", True),
        ("HTTP://10.0.0.7:8080/v1", True),
        ("http://[2001:db8::1]", True),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("http://localhost:8080", False),
        ("http://localhost.example", True),
    ],
)
def test_a_token_that_travels_unencrypted_to_another_machine_is_noted(tmp_path, address, is_noted):
    notes = loaded(tmp_path, f"sources: [{{name: acme, base_url: '{address}', access_token: t}}]").notes
    assert any("acme: base_url begins with http://" in note for note in notes) is is_noted
    notes = loaded(tmp_path, f"slack: {{api_url: '{address}', channel: '#c', bot_token: xoxb-1}}").notes
    assert any("slack.api_url begins with http://" in note for note in notes) is is_noted
