"""Unit tests of rules are played by the live engine, and tell in a person's words where it does other than expected."""

import re
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from alertbot.rule_tests import run_rule_tests
from alertbot.rule_tests.reading import read_rule_tests
from tests.rule_test_cases import CONFIG, CONTRACT, RULE, in_file, one_test, run, told

PAGE = Path(__file__).parents[2] / "docs" / "rule-tests.md"
EXAMPLES = sorted(PAGE.with_suffix("").glob("*.yaml"))


def test_the_example_of_the_documentation_passes_and_no_secret_is_needed(tmp_path):
    in_file(tmp_path, CONFIG, "config.yaml")
    result = run(in_file(tmp_path, CONTRACT))

    assert (result.exit_code, result.output) == (0, "ok      a burst pages once\n1 test: all ok\n")


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_every_example_of_the_documentation_passes(path):
    assert not [line for line in told(path).splitlines() if not line.startswith("ok ")]


def test_the_page_about_them_shows_a_file_that_passes_and_a_failure_as_it_is_told(tmp_path):
    example, acts, failure = re.findall(
        r"^```\w*\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    in_file(tmp_path, CONFIG, "config.yaml")
    assert told(in_file(tmp_path, example)) == "ok      a burst pages once"
    assert read_rule_tests(in_file(tmp_path, example + textwrap.indent(acts, "    ")), {})

    wrong = example.replace("at: 4m, alert", "at: 2m, alert").replace("severity: warning, value: 9", "value: 3")
    wrong = wrong.replace("kind: resolved, ping: false", "kind: resolved, ping: true")
    assert told(in_file(tmp_path, wrong)).splitlines() == failure.splitlines()[:-1]


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
        # 4m  slow  firing  pending  sees 9 violations in 15 min, at least 1; pending since 2m: true, waiting for its `for`
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
        # 1m  share llm-2  firing  none  the value is unknown: policy_blocks was never reported
        # 1m  burst llm-3  firing  none  there is no data for lab/llm-3 before 2026-01-05T00:01:00Z
        # 1m  support  firing  none  there is no data for support before 2026-01-05T00:01:00Z
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
        # 1m  heard  first, pings about burst  nothing  G1 at 1m: waiting for alerts that fire together (group_wait)
        # 4m  heard  first, no ping about burst llm-1  first, pings about burst acme/llm-1, burst acme/llm-2  9 violations in 15 min on llm-1 (acme)
        # 5m  heard  nothing  acknowledged, no ping about burst acme/llm-1, burst acme/llm-2  ana acknowledged: llm-1, llm-2
        # 9m  heard  nothing  first, pings about slow acme/llm-1, slow acme/llm-2  9 violations in 15 min on llm-1 (acme)
        # 10m  heard  repeat, pings  nothing  G2 at 9m: announced as first
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


@pytest.mark.parametrize(
    ("named", "fails"), [("other", True), ("burst", False)], ids=["fails", "fails no test of another"]
)
def test_a_test_of_a_rule_that_cannot_be_evaluated(tmp_path, named, fails):
    # No rule that the configuration takes raises; one on a metric that nothing counts does.
    body = f'readings: {{acme/llm-1: {{policy_violations: "0 0"}}}}\nexpect: [{{at: 1m, alert: {named}, state: none}}]'
    path = in_file(tmp_path, one_test(body, rules=f"{RULE}, {RULE.replace('burst', 'other')}"))
    (test,) = read_rule_tests(path, {})
    sound, raising = test.ruleset.rules
    raising = replace(raising, condition=replace(raising.condition, metric="nothing"))
    test = replace(test, ruleset=replace(test.ruleset, rules=(sound, raising)))

    (result,) = run_rule_tests([test])

    assert [(one.about, one.got) for one in result.differences] == [("other", "one that raises")] * fails
    assert all("The rule other cannot be evaluated" in one.why for one in result.differences)


def test_one_failure_is_enough_to_fail_and_files_are_told_apart(tmp_path):
    good = in_file(tmp_path, one_test('readings: {a/b: {policy_violations: "0"}}\nheard: []'), "good.yaml")
    bad = in_file(tmp_path, one_test('readings: {a/b: {policy_violations: "0 9"}}\nheard: []'), "bad.yaml")

    result = run(good, bad)

    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert (lines[0], lines[1]) == (f"ok      {good}: t", f"FAILED  {bad}: t")
    assert lines[-1] == "2 tests: 1 ok, 1 FAILED"
    assert all(len(line) < 300 for line in lines), "a line is as long as what it says, also in a pipe"


def test_what_a_file_says_moves_no_cursor(tmp_path):
    path = in_file(tmp_path, one_test('readings: {"a/\\e[2Jb": {policy_violations: "0 9"}}\nheard: []'))

    assert "\x1b" not in told(path)
