"""Files of rule tests: series are read as promtool reads them, and every mistake is told with its place."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.errors import ConfigError
from alertbot.rule_tests.keys import Amount, Nothing, parse_samples
from alertbot.rule_tests.reading import read_rule_tests
from tests.builders import patiently
from tests.rule_test_cases import CONFIG, CONTRACT, RULE, in_file, one_test, run

MISSED, ABSENT = Nothing.MISSED, Nothing.ABSENT


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
        ("1 ?x2", [1, Nothing.UNKNOWN, Nothing.UNKNOWN]),
        ("0 0 3 _ 9", [0, 0, 3, MISSED, 9]),
        ("18446744073709551616+1x1", [2**64, 2**64 + 1]),
        ("  1\n 2\t3 ", [1, 2, 3]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_series_is_read_as_promtool_reads_it(written, samples):
    assert list(parse_samples(written)) == samples


@pytest.mark.parametrize(
    "wrong",
    ["a+bx", "1+2", "1+2x", "x3", "1x", "_3", "_x0", "__", "--", "+1", "1.5", "1_000", "0x3x3", "٣", "1+-2x3", "nan"],
)
def test_what_is_no_series_is_named(wrong):
    with pytest.raises(ValueError, match="expected samples such as") as raised:
        parse_samples(f"0 1 {wrong} 2")
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
        parse_samples(wrong)


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
    assert list(parse_samples(" ".join(text for text, _ in words))) == [one for _, samples in words for one in samples]


@patiently
@given(st.text(alphabet="0123456789+-_x ab", max_size=20))
def test_any_other_text_is_a_mistake_and_nothing_worse(text):
    try:
        samples = parse_samples(text)
    except ValueError:
        return
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
              acme/llm-1: {policy_violations: "0 a+bx 3", tokens: "0", policy_violation: "5", api_calls: [1, 2]}
              llm-2: {api_calls: "0"}
              acme/llm-3: {}
              acme/llm-4: {policy_violations: "5", violations: "5"}
            heard: []
            """),
        "tests[0].readings.acme/llm-1.api_calls: expected samples such as 7, 7x10, 0+3x10, 9-1x3, _, _x5 or -, got a list",
        'tests[0].readings.acme/llm-1.policy_violation: expected a counter, got "policy_violation"; did you mean "policy_violations"?',
        'tests[0].readings.acme/llm-1.policy_violations: expected samples such as 7, 7x10, 0+3x10, 9-1x3, _, _x5 or -, got "a+bx"',
        'tests[0].readings.acme/llm-1.tokens: expected one of the counters that it is made of (tokens_in and tokens_out), got "tokens"',
        'tests[0].readings.acme/llm-3: expected counters such as {api_calls: "0+5x10"}, got nothing',
        'tests[0].readings.acme/llm-4.violations: expected policy_violations once, got "violations" as well',
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
    "sources beside an LLM": (
        one_test("""
            readings: {acme/llm-1: {api_calls: "0"}, lab/llm-1: {api_calls: "0"}}
            expect:
              - {at: 1m, alert: burst, source: lba, llm: llm-1, state: none}
              - {at: 1m, alert: burst, source: lab, llm: llm-1, state: none}
            """),
        'tests[0].expect[0].source: expected a source of the readings, got "lba"; did you mean "lab"?',
    ),
    "a source alone": (
        one_test('readings: {a/b: {api_calls: "0"}}\nexpect: [{at: 1m, alert: burst, source: a, state: none}]'),
        'tests[0].expect[0].source: expected it only beside llm, got "a" alone',
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
