"""Unit tests of rules are played by the live engine, and tell in a person's words where it does other than expected."""

import logging
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from alertbot.cli import main
from alertbot.errors import ConfigError
from alertbot.rule_test_files import Nothing, read_rule_tests, read_samples
from alertbot.rule_test_files.keys import Amount
from alertbot.rule_tests import run_rule_tests, show_result
from tests.builders import patiently

EXAMPLES = sorted((Path(__file__).parents[1] / "docs" / "rule-tests").glob("*.yaml"))
MISSED, ABSENT = Nothing.MISSED, Nothing.ABSENT
RULE = "{name: burst, metric: policy_violations, window: 15m, above: {warning: 5, critical: 20}}"
CONTRACT = """
rules: config.yaml            # or inline
interval: 1m
start: 2026-01-05T00:00Z
tests:
  - name: a burst pages once
    readings: {acme/llm-1: {policy_violations: "0 0 3 _ 9"}}
    expect:
      - {at: 4m, alert: violation-burst, llm: llm-1, state: firing, severity: warning, value: 9}
      - {at: 18m, alert: violation-burst, llm: llm-1, state: firing, value: 6}
      - {at: 19m, alert: violation-burst, llm: llm-1, state: none}
    heard: [{at: 4m, kind: first, ping: true}, {at: 19m, kind: resolved, ping: false}]
"""
CONFIG = """
sources: [{name: acme, access_token: "${FLASHBACK_TOKEN}", base_url: "${BASE_URL:-https://backend.flashback.tech}"}]
slack: {bot_token: "${SLACK_BOT_TOKEN}"}
rules: [{name: violation-burst, metric: policy_violations, window: 15m, above: {warning: 5, critical: 20}}]
"""


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The command silences logs for its process, which here is everybody's."""
    settings, root, own = structlog.get_config(), logging.getLogger(), logging.getLogger("alertbot")
    before = list(root.handlers), root.level, own.level
    yield
    structlog.configure(**settings)
    root.handlers[:], root.level, own.level = before


def in_file(folder: Path, text: str, name: str = "burst.yaml") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def one_test(body: str, rules: str = RULE, head: str = "") -> str:
    """A file with one test, whose keys `body` has."""
    return f"rules: [{rules}]\n{head}\ntests:\n  - name: t\n{textwrap.indent(textwrap.dedent(body), '    ')}"


def told(path: Path) -> str:
    """Everything that is printed about the tests of a file, as wide as it likes to be."""
    console = Console(file=StringIO(), width=200, highlight=False)
    for result in run_rule_tests(read_rule_tests(path, {})):
        show_result(console, result)
    assert isinstance(console.file, StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def run(*words: str | Path, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(main, ["rules", "test", *map(str, words)])


# --- what is written as a series


@pytest.mark.parametrize(
    ("written", "samples"),
    [
        ("7", [7]),
        ("7x3", [7, 7, 7, 7]),
        ("7x0", [7]),
        ("0+3x3", [0, 3, 6, 9]),
        ("9-2x3", [9, 7, 5, 3]),
        ("_", [MISSED]),
        ("_x3", [MISSED] * 3),
        ("-", [ABSENT]),
        ("-x2", [ABSENT] * 2),
        ("0 0 3 _ 9", [0, 0, 3, MISSED, 9]),
        ("18446744073709551616+1x1", [2**64, 2**64 + 1]),
        ("  1\n 2\t3 ", [1, 2, 3]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_series_is_read_as_promtool_reads_it(written, samples):
    assert list(read_samples(written)) == samples


@pytest.mark.parametrize(
    "wrong",
    ["a+bx", "1+2", "1+2x", "x3", "1x", "_3", "_x0", "__", "--", "+1", "1.5", "1_000", "0x3x3", "٣", "1+-2x3", "nan"],
)
def test_what_is_no_series_is_named(wrong):
    with pytest.raises(ValueError, match="expected samples such as") as raised:
        read_samples(f"0 1 {wrong} 2")
    assert f'"{wrong}"' in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("", "got nothing"),
        ("3-1x4", "stays at 0 or above"),
        ("0x999999", "at most 100000 samples"),
        ("_x60000 _x60000", "at most 100000 samples"),
        ("1+2x1000000", "expected samples"),
    ],
)
def test_a_series_that_cannot_be_is_told(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_samples(wrong)


COUNTS = st.integers(0, 10**25)
TIMES = st.integers(0, 20)
WORDS = st.one_of(
    st.builds(lambda count: (str(count), [count]), COUNTS),
    st.builds(lambda count, times: (f"{count}x{times}", [count] * (times + 1)), COUNTS, TIMES),
    st.builds(
        lambda count, step, times: (f"{count}+{step}x{times}", [count + turn * step for turn in range(times + 1)]),
        COUNTS,
        COUNTS,
        TIMES,
    ),
    st.builds(
        lambda rest, step, times: (
            f"{rest + step * times}-{step}x{times}",
            [rest + step * (times - turn) for turn in range(times + 1)],
        ),
        COUNTS,
        COUNTS,
        TIMES,
    ),
    st.builds(lambda sign, times: (f"{sign.value}x{times + 1}", [sign] * (times + 1)), st.sampled_from(Nothing), TIMES),
    st.builds(lambda sign: (sign.value, [sign]), st.sampled_from(Nothing)),
)


@patiently
@given(st.lists(WORDS, min_size=1, max_size=8))
def test_every_series_is_as_long_as_its_words_say(words):
    assert list(read_samples(" ".join(text for text, _ in words))) == [one for _, samples in words for one in samples]


@patiently
@given(st.text(alphabet="0123456789+-_x ab", max_size=20))
def test_any_other_text_is_a_mistake_and_nothing_worse(text):
    try:
        samples = read_samples(text)
    except ValueError as error:
        assert str(error).startswith("expected ")
    else:
        assert all(one in Nothing or (isinstance(one, int) and one >= 0) for one in samples)


@pytest.mark.parametrize(
    ("number", "decimals", "value", "fits"),
    [
        (Fraction(9), 0, Fraction(9), True),
        (Fraction(9), 0, Fraction(10), False),
        (Fraction("0.33"), 2, Fraction(1, 3), True),
        (Fraction("0.34"), 2, Fraction(1, 3), False),
        (Fraction("0.02"), 2, Fraction("0.0249"), False),
        (Fraction(0), 0, None, False),
    ],
    ids=["the same", "another", "a third to two places", "not a third", "nothing is rounded that has an end", "none"],
)
def test_a_value_fits_exactly_or_where_it_has_no_end_as_far_as_it_is_written(number, decimals, value, fits):
    assert Amount(number, decimals, "").fits(value) is fits


# --- what is played


def test_the_example_of_the_documentation_passes_and_no_secret_is_needed(tmp_path):
    in_file(tmp_path, CONFIG, "config.yaml")
    result = run(in_file(tmp_path, CONTRACT))

    assert (result.exit_code, result.output) == (0, "ok      a burst pages once\n1 test: all ok\n")


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_every_example_of_the_documentation_passes(path):
    assert not [line for line in told(path).splitlines() if not line.startswith("ok ")]


def test_there_are_a_dozen_examples():
    assert len(EXAMPLES) >= 12


PASSING = {
    "a missed poll is one of the whole source, whichever series it stands in": """
        readings:
          acme/llm-1: {policy_violations: "0 _ 6"}
          acme/llm-2: {policy_violations: "0 9 9"}
          lab/llm-3: {policy_violations: "0 9 9"}
        expect:
          - {at: 1m, alert: burst, llm: llm-2, state: none}
          - {at: 1m, alert: burst, llm: llm-3, state: firing}
          - {at: 2m, alert: burst, llm: llm-2, state: firing}
        """,
    "after its end a series stays as it was, also after a missed poll": """
        readings: {acme/llm-1: {policy_violations: "0 9 _"}}
        expect: [{at: 16m, alert: burst, state: none}]
        """,
    "a source that never answers is never read": """
        readings: {acme/llm-1: {policy_violations: "_x3"}}
        expect: [{at: 20m, alert: source-blind, state: firing}, {at: 20m, alert: burst, state: none}]
        """,
    "a configuration is absent if one of its series says so": """
        readings: {acme/llm-1: {policy_violations: "- 9", api_calls: "5 9"}}
        expect: [{at: 1m, alert: burst, state: firing, value: 9}]
        """,
    "what is expected between two polls is looked at there": """
        interval: 1h
        readings: {acme/llm-1: {policy_violations: "0 9"}}
        expect: [{at: 59m59s, alert: burst, state: none}, {at: 61m, alert: burst, state: firing}]
        heard: [{at: 1h, kind: first}, {at: 2h, kind: resolved}]
        """,
    "notices may be said to be about one alert": """
        readings: {acme/llm-1: {policy_violations: "0 9"}, acme/llm-2: {policy_violations: "0 9"}}
        heard: [{at: 1m, kind: first, ping: true, alert: burst, llm: llm-2}]
        """,
    "an acknowledgement that is given back lets it repeat": """
        interval: 4h
        start: 2026-03-29T00:00+01:00
        readings: {acme/llm-1: {policy_violations: "0+9x4"}}
        acts: [{at: 5h, do: acknowledge, alert: burst}, {at: 6h, do: unacknowledge, alert: burst, by: ben}]
        heard:
          - {at: 4h, kind: first}
          - {at: 5h, kind: acknowledged}
          - {at: 8h, kind: repeat}
          - {at: 12h, kind: repeat}
          - {at: 16h, kind: repeat}
        """,
    "comments and assignments are no notices": """
        readings: {acme/llm-1: {policy_violations: "0 9"}}
        acts:
          - {at: 90s, do: comment, alert: burst, text: looking, by: ana}
          - {at: 90s, do: assign, alert: burst, llm: llm-1, to: ben}
        heard: [{at: 1m, kind: first}]
        """,
    "an act after the end is too late and changes nothing": """
        readings: {acme/llm-1: {policy_violations: "0 9"}}
        acts: [{at: 17m, do: acknowledge, alert: burst}]
        expect: [{at: 18m, alert: burst, state: none}]
        heard: [{at: 1m, kind: first}, {at: 16m, kind: resolved}]
        """,
    "all may be silenced": """
        readings: {acme/llm-1: {policy_violations: "0 9"}}
        acts: [{at: 0m, do: silence, matchers: all, for: 5m}]
        heard: [{at: 5m, kind: first}]
        expect: [{at: 10m, alert: burst, state: firing}]
        """,
}


@pytest.mark.parametrize("body", PASSING.values(), ids=PASSING)
def test_what_is_played_is_what_is_written(tmp_path, body):
    assert told(in_file(tmp_path, one_test(body))) == "ok      t"


def test_a_config_file_brings_its_routes_and_how_soon_a_source_is_blind(tmp_path):
    config = CONFIG.replace("acme,", "acme, blind_after: 90s,") + "routes: [{repeat: 10m, group_wait: 1h}]\n"
    in_file(tmp_path, config, "config.yaml")
    path = in_file(
        tmp_path,
        """
        rules: config.yaml
        tests:
          - name: t
            readings: {acme/llm-1: {policy_violations: "0 9"}, lab/llm-2: {policy_violations: "0 _x9"}}
            expect: [{at: 5m, alert: source-blind, series: lab, state: firing}]
            heard: [{at: 1m, kind: first, alert: violation-burst}, {at: 5m, kind: first, alert: source-blind},
                    {at: 10m, kind: resolved, alert: source-blind}, {at: 11m, kind: repeat}]
          - name: u
            readings: {acme/llm-1: {policy_violations: "0 _x9"}}
            expect: [{at: 89s, alert: source-blind, state: none}, {at: 90s, alert: source-blind, state: firing}]
        """,
    )

    assert told(path) == "ok      t\nok      u"


def test_a_config_file_gets_its_variables_from_the_environment_but_not_its_keys(tmp_path):
    in_file(tmp_path, CONFIG.replace(":-https://backend.flashback.tech", ""), "config.yaml")

    result = run(in_file(tmp_path, CONTRACT), BASE_URL="https://flashback.example", ALERTBOT_RULES="[]")

    assert result.exit_code == 0, result.output


# --- what is otherwise

FAILING = {
    "levels": (
        """
        readings: {acme/llm-1: {policy_violations: "0 0 3 _ 9"}}
        expect:
          - {at: 2m, alert: burst, llm: llm-1, state: firing, severity: warning, value: 3}
          - {at: 4m, alert: burst, llm: llm-1, state: firing, severity: critical, value: 8, threshold: 20}
          - {at: 17m, alert: burst, state: none}
          - {at: 19m, alert: burst, value: 6}
        """,
        """
        at   what         expected                                   got                                     why
        2m   burst llm-1  firing, warning, value 3                   none                                    sees 3 violations in 15 min, needs above 5
        4m   burst llm-1  firing, critical, value 8, threshold 20    firing, warning, value 9, threshold 5   sees 9 violations in 15 min, above 5; firing since 4m: the condition became true
        17m  burst        none                                       firing                                  sees 6 violations in 15 min, above 5; firing since 4m: the condition became true
        19m  burst        value 6                                    none                                    sees 0 violations in 15 min on acme/llm-1, needs above 5
        """,
    ),
}
