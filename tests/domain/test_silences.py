"""Silences: what their matchers match, and how much of them there may be."""

import pytest

from alertbot.domain.silences import ENDLESS, Matcher, MatchType, Silence, parse_matcher, parse_silence
from tests.builders import START

NAME = "analytics-batch-translation-support-chat-bots"  # 45 letters


@pytest.mark.parametrize("sign", ["=~", "!~"])
@pytest.mark.parametrize("pattern", [r"(\w+-?)+-test", "(((.+)+)+)+!"])
def test_a_silence_with_a_pattern_that_backtracks_is_made_and_evaluated(sign: str, pattern: str) -> None:
    matcher = parse_matcher(f"ai_llm{sign}{pattern}")
    assert matcher.matches({"ai_llm": NAME * 200}) is (sign == "!~")


@pytest.mark.parametrize("sign", [MatchType.FITS, MatchType.FITS_NOT])
def test_a_stored_silence_whose_pattern_cannot_be_used_mutes_nothing_and_says_why(sign: MatchType) -> None:
    silence = Silence((Matcher("ai_llm", sign, "(?!test).*"),), START, ENDLESS, "U1")
    assert not silence.covers({"ai_llm": NAME}, START)
    assert "look-around" in silence.problem
    assert Silence((Matcher("ai_llm", MatchType.FITS, "a.*"),), START, ENDLESS, "U1").problem == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ai_llm=~(?!a).*", "1h"], "look-around such as"),
        (["ai_llm!=llm-1", "1h"], "this would silence all the rest"),
        (["ai_llm=*", "1h"], "this would silence everything"),
        (["ai_llm=~" + "a" * 301, "1h"], "at most 300 characters, got 301"),
        (["ai_llm=" + "a" * 301, "1h"], "at most 300 characters, got 301"),
        ([f"label{number}=a" for number in range(21)] + ["1h"], "at most 20 matchers, got 21"),
        (["rule=a", "1h", "x" * 501], "at most 500 characters, got 501"),
    ],
)
def test_a_silence_that_costs_too_much_is_refused_with_the_limit(words: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_silence(words)
