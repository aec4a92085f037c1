"""Whatever is typed behind a command, it ends with an answer or with a sentence, and never with a traceback."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.cli.desk import Desk

COMMANDS: Sequence[Sequence[str]] = [
    ["status"],
    ["stats"],
    ["top"],
    ["violations"],
    ["spend"],
    ["budget"],
    ["alerts"],
    ["why"],
    ["ack"],
    ["unack"],
    ["snooze"],
    ["assign"],
    ["comment"],
    ["silence", "add"],
    ["silence", "end"],
    ["silence", "list"],
    ["rules", "delete"],
    ["rules", "test"],
    ["manifest"],
]
WORDS = st.sampled_from(
    [
        *("A1", "G1", "A99999999999999999999", "A²", "-1", "²", "٣", "9" * 30, str(2**63), "1h", "9999999d", "0s"),
        *("burst", "rule=x", "all", "today", "last week", "[", "*", "by", "model", "tokens", "--json", "--by", "me"),
        *("--at", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "2026-11-22T10:05Z", "--window", "999999999w"),
        *("--timezone", "Europe/Madrid", "../..", "America", "💥", "--", "--mode", "http", "--url"),
    ]
) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=15)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_ends_with_an_answer_or_a_sentence(firing: Desk, command: Sequence[str]):
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(WORDS, max_size=4))
    @example(["99999999999999999999"])
    @example(["burst", "--at", "0001-01-01T00:00+14:00"])
    @example(["--window", "9999999d"])
    @example(["rule=x", "9999999d"])
    def ends(words: list[str]) -> None:
        ended = firing.run(*command, *words)  # raises what would have been a traceback
        assert ended.code in {0, 1, 2}
        assert ended.code == 0 or ended.errors.strip() or ended.output.strip()

    ends()


FAR = ["9999999d", "999999999w", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "9" * 30, "²d"]


@pytest.mark.parametrize("since", FAR)
def test_backfill_refuses_a_time_that_no_calendar_has(desk: Desk, since: str):
    ended = desk.run("backfill", "--since", since)
    assert ended.code == 2
    assert "expected a " in ended.errors
