"""Unit tests of rules are played by the live engine, and tell in a person's words where it does other than expected."""

import logging
import re
import textwrap
from collections.abc import Iterator
from dataclasses import replace
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
        assert all(isinstance(one, Nothing) or one >= 0 for one in samples)


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

RULES = """
rules:
  - {name: burst, metric: policy_violations, window: 15m, above: {warning: 5, critical: 20}}
  - {name: slow, metric: policy_violations, window: 15m, at_least: 1, for: 5m}
  - {name: off, metric: api_calls, window: 15m, above: 5, enabled: false}
  - {name: share, type: ratio, metric: policy_blocks, of: api_calls, window: 10m, min_of: 50, above: 2%}
  - {name: stopped, type: absence, metric: api_calls, window: 2m}
  - {name: support, metric: policy_violations, window: 15m, above: 5, where: {ai_llm: support}}
tests:
"""
FAILING = {
    "states, values and thresholds": """
        - name: t
          readings: {acme/llm-1: {policy_violations: "0 0 3 _ 9"}}
          expect:
            - {at: 2m, alert: burst, llm: llm-1, state: firing, severity: warning, value: 3}
            - {at: 4m, alert: burst, llm: llm-1, state: firing, severity: critical, value: 8, threshold: 20}
            - {at: 17m, alert: burst, state: none}
            - {at: 19m, alert: burst, value: 6}
            - {at: 4m, alert: slow, state: firing}
            - {at: 4m, alert: burst, note: gap}
        # FAILED  t
        # at  what  expected  got  why
        # 2m  burst llm-1  firing, warning, value 3  none  sees 3 violations in 15 min, needs above 5
        # 4m  burst llm-1  firing, critical, value 8, threshold 20  firing, warning, value 9, threshold 5  sees 9 violations in 15 min, above 5; firing since 4m: the condition became true
        # 4m  slow  firing  pending  sees 9 violations in 15 min, at least 1; pending since 2m: true, and waits for its `for`
        # 4m  burst  note "gap"  firing, note ""  sees 9 violations in 15 min, above 5; firing since 4m: the condition became true
        # 17m  burst  none  firing  sees 6 violations in 15 min, above 5; firing since 4m: the condition became true
        # 19m  burst  value 6  none  sees 0 violations in 15 min on acme/llm-1, needs above 5
        """,
    "an alert that ended": """
        - name: t
          readings: {acme/llm-1: {policy_violations: "0 6"}}
          expect: [{at: 18m, alert: burst, llm: llm-1, state: firing}]
        # FAILED  t
        # at  what  expected  got  why
        # 18m  burst llm-1  firing  none  sees 0 violations in 15 min, needs above 5; resolved since 16m: the condition ended
        """,
    "whatever else may be the reason": """
        - name: t
          readings:
            acme/llm-1: {policy_violations: "9 9 1 10 10", api_calls: "0 9 9 9 9", policy_blocks: "0 9"}
            acme/llm-2: {policy_violations: "0 9 9"}
            lab/llm-3: {policy_violations: "_x5"}
          expect:
            - {at: 1m, alert: off, state: firing}
            - {at: 1m, alert: share, llm: llm-1, state: firing, value: 100%}
            - {at: 1m, alert: share, llm: llm-2, state: firing}
            - {at: 1m, alert: burst, llm: llm-3, state: firing}
            - {at: 1m, alert: support, state: firing}
            - {at: 1m, alert: source-blind, series: acme, state: firing}
            - {at: 3m, alert: burst, llm: llm-1, state: firing, value: 9}
            - {at: 3m, alert: slow, severity: warning}
            - {at: 4m, alert: stopped, state: none}
        # FAILED  t
        # at  what  expected  got  why
        # 1m  off  firing  none  the rule is not enabled
        # 1m  share llm-1  firing, value 100%  none  9 of 9 api_calls: fewer than min_of 50
        # 1m  share llm-2  firing  none  nothing can be said: policy_blocks was never reported
        # 1m  burst llm-3  firing  none  no series of burst fits "lab/llm-3" in a reading at or before 2026-01-05T00:01:00Z
        # 1m  support  firing  none  support has no series in a reading at or before 2026-01-05T00:01:00Z
        # 1m  source-blind acme  firing  none  it never fired until then
        # 3m  burst llm-1  firing, value 9  none  sees 1 violation in 15 min, needs above 5, policy_violations fell from 9 to 1 (held), policy_violations fell from 9 to 10 (recovered)
        # 3m  slow  warning  2 alerts  say which: acme/llm-1, acme/llm-2
        # 4m  stopped  none  firing  sees 0 calls in 2 min, 9 in the window before; firing since 3m: the condition became true
        """,
    "notices": """
        - name: t
          group_wait: 3m
          readings: {acme/llm-1: {policy_violations: "0 9"}, acme/llm-2: {policy_violations: "0 7 30"}}
          acts: [{at: 30s, do: acknowledge, alert: burst}, {at: 5m, do: acknowledge, alert: burst, by: ana}]
          heard:
            - {at: 1m, kind: first, ping: true, alert: burst}
            - {at: 4m, kind: first, ping: false, alert: burst, llm: llm-1}
            - {at: 10m, kind: repeat, ping: true}
        # FAILED  t
        # at  what  expected  got  why
        # 30s  burst  an alert to acknowledge  none  it never fired until then
        # 1m  heard  first, pings about burst  nothing  G1 at 1m: gathers alerts that fire together (group_wait)
        # 4m  heard  first, no ping about burst llm-1  first, pings about burst acme/llm-1, burst acme/llm-2  9 violations in 15 min on llm-1 (acme)
        # 10m  heard  repeat, pings  acknowledged, no ping at 5m about burst acme/llm-1, burst acme/llm-2  ana acknowledged: llm-1, llm-2
        # 9m  heard  nothing  first, pings about slow acme/llm-1, slow acme/llm-2  9 violations in 15 min on llm-1 (acme)
        """,
    "noise, and silence": """
        - name: t
          readings: {acme/llm-1: {policy_violations: "0 6"}}
          heard: []
        - name: u
          readings: {acme/llm-1: {policy_violations: "0 0"}}
          heard: [{at: 1m, kind: first}]
        # FAILED  t
        # at  what  expected  got  why
        # 1m  heard  nothing  first, pings about burst acme/llm-1  6 violations in 15 min on llm-1 (acme)
        # FAILED  u
        # at  what  expected  got  why
        # 1m  heard  first  nothing  no alert had fired until then
        """,
}


@pytest.mark.parametrize("text", FAILING.values(), ids=FAILING)
def test_what_is_otherwise_is_told_with_its_reason(tmp_path, text):
    text = textwrap.dedent(text)

    lines = [re.sub(" {2,}", "  ", line.strip()) for line in told(in_file(tmp_path, RULES + text)).splitlines()]

    assert lines == [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]


def test_a_rule_that_cannot_be_evaluated_fails_every_test_of_its_file(tmp_path):
    # No rule that the configuration takes raises; a metric that the store does not know does.
    path = in_file(
        tmp_path,
        one_test('readings: {acme/llm-1: {policy_violations: "0"}}\nexpect: [{at: 0s, alert: burst, state: none}]'),
    )
    (test,) = read_rule_tests(path, {})
    broken = replace(
        test.ruleset.rules[0], name="other", condition=replace(test.ruleset.rules[0].condition, metric="x")
    )
    test = replace(test, ruleset=replace(test.ruleset, rules=(*test.ruleset.rules, broken)))

    (result,) = run_rule_tests([test])

    (difference,) = result.differences
    assert (difference.about, difference.expected) == ("heard", "nothing")
    assert "The rule other cannot be evaluated" in difference.why


def test_one_failure_is_enough_to_fail_and_files_are_told_apart(tmp_path):
    good = in_file(tmp_path, one_test('readings: {a/b: {policy_violations: "0"}}\nheard: []'), "good.yaml")
    bad = in_file(tmp_path, one_test('readings: {a/b: {policy_violations: "0 9"}}\nheard: []'), "bad.yaml")

    result = run(good, bad)

    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert (lines[0], lines[1]) == (f"ok      {good}: t", f"FAILED  {bad}: t")
    assert lines[-1] == "2 tests: 1 ok, 1 FAILED"


def test_what_a_file_says_moves_no_cursor(tmp_path):
    path = in_file(tmp_path, one_test('readings: {"a/\\e[2Jb": {policy_violations: "0 9"}}\nheard: []'))

    assert "\x1b" not in told(path)


# --- what is wrong with a file

MISTAKES = {
    "unknown keys": (
        one_test('readings: {a/b: {api_calls: "0"}}\nheard: []\nexpct: []', head="intervall: 1m"),
        'intervall: expected a known key, got "intervall"; did you mean "interval"?',
        'tests[0].expct: expected a known key, got "expct"; did you mean "expect"?',
    ),
    "times": (
        one_test(
            'readings: {a/b: {api_calls: "0"}}\nexpect: [{at: 15, alert: burst, state: none}]',
            head="interval: 0s\nstart: soon",
        ),
        'interval: expected a duration of at least 1s, got "0s"',
        'start: expected a date and time such as 2026-01-05T00:00Z, got "soon"',
        'tests[0].expect[0].at: expected a duration such as 15m, got "15"',
    ),
    "a year that calendars do not have room for": (
        one_test('readings: {a/b: {api_calls: "0"}}\nheard: []\nstart: 0001-01-01T00:00Z'),
        'tests[0].start: expected a year from 1990 to 2900, got "0001-01-01T00:00Z"',
    ),
    "patterns and counters": (
        one_test("""
            readings:
              acme/llm-1: {policy_violations: "0 a+bx 3", tokens: "0", violations: "5", api_calls: [1, 2]}
              llm-2: {api_calls: "0"}
              acme/llm-3: {}
            heard: []
            """),
        "tests[0].readings.acme/llm-1.api_calls: expected samples such as 7, 7x10, 0+3x10, 9-1x3, _, _x5 or -, got a list",
        'tests[0].readings.acme/llm-1.policy_violations: expected samples such as 7, 7x10, 0+3x10, 9-1x3, _, _x5 or -, got "a+bx"',
        'tests[0].readings.acme/llm-1.tokens: expected one of the counters that it is made of (tokens_in and tokens_out), got "tokens"',
        'tests[0].readings.acme/llm-1.violations: expected a counter, got "violations"; did you mean "policy_violations"?',
        'tests[0].readings.acme/llm-3: expected counters such as {api_calls: "0+5x10"}, got nothing',
        'tests[0].readings.llm-2: expected a source and a configuration such as acme/llm-1, got "llm-2"',
    ),
    "names that nothing has": (
        one_test("""
            readings: {acme/llm-1: {api_calls: "0"}, lab/llm-1: {api_calls: "0"}}
            expect:
              - {at: 1m, alert: brust, state: none}
              - {at: 1m, alert: burst, llm: llm-7, state: none}
              - {at: 1m, alert: burst, llm: llm-1, state: none}
            heard: [{at: 1m, kind: frist}]
            """),
        'tests[0].expect[0].alert: expected the name of a rule, got "brust"; did you mean "burst"?',
        'tests[0].expect[1].llm: expected a configuration of the readings, got "llm-7"; did you mean "llm-1"?',
        'tests[0].expect[2].llm: expected one of acme/llm-1, lab/llm-1, got "llm-1"',
        'tests[0].heard[0].kind: expected a kind of notice, got "frist"; did you mean "first"?',
    ),
    "series that a rule does not have": (
        one_test(
            """
            readings: {acme/llm-1: {api_calls: "0"}}
            expect:
              - {at: 1m, alert: burst, llm: llm-1, state: none}
              - {at: 1m, alert: burst, series: acm, state: none}
              - {at: 1m, alert: source-blind, llm: llm-1, state: none}
            """,
            rules=RULE.replace("}}", "}, per: source}"),
            head="configurations: {acme/llm-9: {name: Chat}}",
        ),
        'configurations.acme/llm-9: expected a configuration of the readings, got "acme/llm-9"; did you mean "acme/llm-1"?',
        'tests[0].expect[0].llm: expected series in its place, got "llm-1" (burst is per source; series: acme)',
        'tests[0].expect[1].series: expected a series of burst, got "acm"; did you mean "acme"?',
        'tests[0].expect[2].llm: expected series in its place, got "llm-1" (source-blind is per source; series: acme)',
    ),
    "expectations that say nothing, or what cannot be": (
        one_test("""
            readings: {acme/llm-1: {api_calls: "0"}}
            expect:
              - {at: 1m, alert: burst}
              - {at: 1m, alert: burst, state: resolved}
              - {at: 1m, alert: burst, state: none, value: 3}
              - {at: 1m, alert: burst, state: firing, llm: llm-1, series: acme/llm-1}
            """),
        "tests[0].expect[0]: expected state, severity, value, threshold or note, got none of them",
        'tests[0].expect[1].state: expected none, pending or firing, got "resolved"; one that has ended is none',
        'tests[0].expect[2].value: expected nothing beside `state: none`, which has no value, got "3"',
        "tests[0].expect[3]: expected llm or series, got both",
    ),
    "acts": (
        one_test("""
            readings: {acme/llm-1: {api_calls: "0"}}
            heard: []
            acts:
              - {at: 1m, do: acknowlege, alert: burst}
              - {at: 1m, do: snooze, alert: burst}
              - {at: 1m, do: silence, matchers: "!!", for: 1h}
              - {at: 1m, do: comment, alert: burst, text: hm, for: 1h}
            """),
        'tests[0].acts[0].do: expected something that a person does, got "acknowlege"; did you mean "acknowledge"?',
        "tests[0].acts[1].for: expected `for` beside `do: snooze`, got nothing",
        'tests[0].acts[2].matchers: expected matchers such as rule=violation-burst, or all, got "!!"',
        'tests[0].acts[3].for: expected no `for` beside `do: comment`, got "1h"',
    ),
    "a test of nothing, twice": (
        f'rules: [{RULE}]\ntests: [{{name: t, readings: {{a/b: {{api_calls: "0"}}}}}}, {{name: t, heard: []}}]',
        "tests[0]: expected expect or heard, got neither",
        'tests[1].name: expected a name that is used once, got "t", which tests[0] has',
        'tests[1].readings: expected readings such as {acme/llm-1: {api_calls: "0+5x10"}}, got nothing',
    ),
    "a test without an end": (
        one_test('readings: {a/b: {api_calls: "0"}}\nexpect: [{at: 300d, alert: burst, state: none}]'),
        "tests[0]: expected at most 100000 polls, got 300d at an interval of 1m",
    ),
    "rules": (
        one_test(
            'readings: {a/b: {api_calls: "0"}}\nexpect: [{at: 1m, alert: brust, state: none}]',
            rules="{name: burst, metric: api_calls}",
        ),
        "rules[0]: expected one of above, at_least, below, at_most, got none",
        "rules[0].window: expected a duration such as 15m, got nothing",
        'tests[0].expect[0].alert: expected the name of a rule, got "brust"; did you mean "burst"?',
    ),
    "no rules": (
        "tests: []",
        "rules: expected rules or a config file, got nothing",
        "tests: expected a list of at least one, got an empty one",
    ),
    "a config file that is not there": (
        CONTRACT,
        'rules: expected rules, or a config file beside this one, got "config.yaml"',
    ),
}


@pytest.mark.parametrize(("text", "lines"), [(text, lines) for text, *lines in MISTAKES.values()], ids=MISTAKES)
def test_a_wrong_file_is_told_in_exactly_these_lines(tmp_path, text, lines):
    path = in_file(tmp_path, text)

    result = run(path)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [f"{path}: {line}" for line in lines]


def test_mistakes_in_the_config_file_are_told_with_its_name(tmp_path):
    in_file(tmp_path, CONFIG.replace("15m", "15"), "config.yaml")

    with pytest.raises(ConfigError) as raised:
        read_rule_tests(in_file(tmp_path, CONTRACT), {})

    assert raised.value.lines == [
        f'{tmp_path / "burst.yaml"}: rules: config.yaml: rules[0].window: expected a duration such as 15m, got "15"'
    ]


def test_what_is_no_file_of_tests_is_told_and_nothing_is_run(tmp_path):
    missing, folder = tmp_path / "missing.yaml", tmp_path
    broken, text = in_file(tmp_path, "tests:\n\t- name", "broken.yaml"), in_file(tmp_path, "hello", "text.yaml")

    result = run(missing, folder, broken, text)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"{missing}: expected a file of rule tests, got no such file or directory",
        f"{folder}: expected a file of rule tests, got is a directory",
        f"{broken}, line 2, column 1: expected correct YAML, got a tab (indent with spaces)",
        f'{text}: expected keys with values (rules, tests), got "hello"',
    ]


def test_without_a_file_it_is_wrong_use():
    assert run().exit_code == 2
