"""What people type, as Slack sends it: other quotation marks, links that nobody made, patterns with backslashes."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertbot.domain.coverage import Coverage
from alertbot.domain.formatting import id_endings
from alertbot.domain.history import Member
from alertbot.domain.rankings import Ranking, RankingRow
from alertbot.domain.silences import Matcher, MatchType, muted_llms, parse_matcher
from alertbot.domain.snapshots import Configuration
from alertbot.domain.times import parse_duration, short_form
from alertbot.domain.visibility import VisibilityRule
from alertbot.domain.windows import Window
from alertbot.errors import UsageError
from alertbot.flows.rule_actions import make_rule
from alertbot.slack.parse import Request, parse
from alertbot.slack.typed_text import split, typed_text
from alertbot.slack.views.analytics import top_response
from tests.builders import START, rule
from tests.slack.office import office


@pytest.mark.parametrize(
    ("sent", "typed"),
    [
        ("<http://chat.acme.io|chat.acme.io>", "chat.acme.io"),
        ("<https://acme.io/>", "https://acme.io/"),
        ("<http://acme.io/|acme.io>", "acme.io"),
        ("<https://wiki/run|the runbook>", "https://wiki/run"),
        ("<mailto:ana@acme.io|ana@acme.io>", "ana@acme.io"),
        ("<tel:+34123|+34123>", "+34123"),
        ("<@U1|ana> <@U2>", "@ana @U2"),
        ("<#C1|general> <#C2>", "#general #C2"),
        ("<!subteam^S1|@ops> <!subteam^S1> <!here>", "@ops @S1 @here"),
        ("&lt;b&gt; R&amp;D &amp;lt;", "<b> R&D &lt;"),
        ("pasted\u200b\ufeff", "pasted"),
    ],
)
def test_what_slack_made_of_the_text_is_undone(sent: str, typed: str) -> None:
    assert typed_text(sent) == typed


@pytest.mark.parametrize("opened", "\"\u201c\u201d\u201e\u201f\u00ab\u00bb'\u2018\u2019\u201a\u2039")
@pytest.mark.parametrize("closed", "\"\u201c\u201d\u00bb\u00ab'\u2018\u2019\u203a")
def test_words_in_quotation_marks_of_any_kind_are_one(opened: str, closed: str) -> None:
    single = "'\u2018\u2019\u201a\u2039\u203a"
    if (opened in single) is (closed in single):
        assert split(f"policy={opened}No customer PII{closed} today") == ["policy=No customer PII", "today"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"ai_llm=~support-\d+ 1h", [r"ai_llm=~support-\d+", "1h"]),
        (r'ai_llm=~"support \d+" 1h', [r"ai_llm=~support \d+", "1h"]),
        ("2h it's Ana\u2019s 'big day' isn't it", ["2h", "it's", "Ana\u2019s", "big day", "isn't", "it"]),
        ('he said "wait', ["he", "said", '"wait']),
        ("stats\u00a0support-chat\u202f1h\u2003", ["stats", "support-chat", "1h"]),
        ('x=""', ["x="]),
    ],
)
def test_backslashes_apostrophes_and_odd_spaces_are_what_they_are(text: str, words: list[str]) -> None:
    assert split(text) == words


@given(st.text())
def test_without_quotation_marks_words_are_what_stands_between_spaces(text: str) -> None:
    marks = "\"'\u201c\u201d\u201e\u201f\u00ab\u00bb\u301d\u301e\uff02\u2018\u2019\u201a\u201b\u2039\u203a"
    plain = {ord(mark): None for mark in marks}
    assert split(" ".join(text.translate(plain).split())) == text.translate(plain).split()


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("1 hour 30 minutes", "1h30m"),
        ("1h 30m", "1h30m"),
        ("1 hour and 30 minutes", "1h30m"),
        ("two hours", "2h"),
        ("An hour", "1h"),
        ("half an hour", "30m"),
        ("2 Weeks, 3 days", "2w3d"),
        ("90 min", "90m"),
        ("2h", "2h"),
        ("30 minutes 1 hour", "30 minutes 1 hour"),  # more likely a duration and what follows it
        ("5 mississippi", "5 mississippi"),
        ("soon", "soon"),
    ],
)
def test_a_duration_in_words_means_all_of_its_words(words: str, meant: str) -> None:
    assert short_form(words) == meant
    if meant != words:
        assert parse_duration(words) == parse_duration(meant)


NINETY = timedelta(minutes=90)


@pytest.mark.parametrize(
    ("text", "lasts", "comment"),
    [
        ("silence violation-burst 1 hour 30 minutes", NINETY, ""),
        ("silence violation-burst for an hour and 30 minutes it's planned", NINETY, "it's planned"),
        ("silence violation-burst for two hours", timedelta(hours=2), ""),
        (
            "silence rule=violation-burst for half an hour for Ana\u2019s deploy",
            timedelta(minutes=30),
            "for Ana\u2019s deploy",
        ),
        ("silence 1h 30m violation-burst", NINETY, ""),
        ("SILENCE\u00a0violation-burst\u00a02 H", timedelta(hours=2), ""),
    ],
)
def test_a_silence_lasts_as_long_as_was_said(text: str, lasts: timedelta, comment: str) -> None:
    silence = parse(text).silence
    assert silence is not None
    assert silence.matchers == (Matcher("rule", MatchType.IS, "violation-burst"),)
    assert (silence.duration, silence.comment) == (lasts, comment)


def test_a_comment_keeps_its_own_quotation_marks_and_dashes() -> None:
    assert parse("comment A1 -v2 he said \u201chi\u201d  R&amp;D") == Request(
        "comment", target="A1", text="-v2 he said \u201chi\u201d  R&D"
    )


def test_names_that_slack_takes_for_addresses_arrive_as_typed_in_commands_and_forms(sqlite) -> None:
    with office(sqlite, {"acme/chat.acme.io": "0 9", "acme/R&D": "0 9"}) as here:
        here.scene.until(1)
        assert "`ai_llm=chat.acme.io`" in here.ask("silence ai_llm=chat.acme.io 1h")
        here.slack.command("/alertbot silence")
        here.submit(here.modal(), silence_llm="R&D")
        assert [str(silence.matchers[0]) for silence in here.context.for_person("U1").silences()] == [
            "ai_llm=chat.acme.io",
            "ai_llm=R&D",
        ]
        assert "Growth" in here.ask("stats chat.acme.io")


# --- what a silence mutes


PREVIEWED = {
    "silence ai_llm=llm-1 1h": "Mutes 1 firing alert and 1 LLM now.",
    "silence rule=violation-burst 1h": "Mutes 2 firing alerts and 3 LLMs now.",
    "silence all 1h": "Mutes 2 firing alerts and 3 LLMs now.",
    "silence name=idle 1h": "Mutes no firing alerts and 1 LLM now.",
    "silence name=llm-1 rule=violation-burst 1h": "Mutes 1 firing alert and 1 LLM now.",
    "silence ai_llm=idle 1h": "Mutes no firing alerts and 1 LLM now.",
    r"silence ai_llm=~llm-\d+ 1h": "Mutes 2 firing alerts and 2 LLMs now.",
    "silence severity=critical 1h": "Mutes no firing alerts and 3 LLMs now.",
    "silence ai_llm=LLM-1 1h": "matches nothing that has been read so far",
    "silence rule=violaton-burst ai_llm=llm-1 1h": "matches nothing that has been read so far",
    "silence user=ana 1h": "matches nothing that has been read so far",
    "mute violation-burst": "Mutes 2 firing alerts and 3 LLMs now.",
}


@pytest.mark.parametrize(("typed", "told"), PREVIEWED.items())
def test_a_silence_is_answered_with_what_it_mutes_now(sqlite, typed: str, told: str) -> None:
    with office(sqlite, {"acme/llm-1": "0 9", "acme/llm-2": "0 9", "acme/idle": "0 0"}) as here:
        here.scene.until(1)
        assert told in here.ask(typed)
        assert len(here.context.for_person("U1").silences()) == 1


def test_what_a_silence_mutes_tells_nothing_of_a_hidden_source(sqlite) -> None:
    drawn = {"acme/llm-1": "0 9", "globex/llm-2": "0 9"}
    with office(sqlite, drawn, visibility=[VisibilityRule("globex", users=frozenset({"U9"}))]) as here:
        here.scene.until(1)
        assert "Mutes 1 firing alert and 1 LLM now." in here.ask("silence ai_llm=llm-* 1h")


class Counted(dict[str, str]):
    """The labels of an LLM, counting how often they are looked at."""

    looks = 0

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        Counted.looks += 1
        return super().get(key, default)


def test_what_a_draft_would_mute_is_found_by_one_look_at_each_llm_however_many_rules_there_are() -> None:
    members = [Member(number, Counted(source="acme", ai_llm=f"llm-{number}"), START) for number in range(200)]
    matcher = parse_matcher(r"ai_llm=~(\w+-?)+-test")
    looks = []
    for rules in (1, 50):
        Counted.looks = 0
        assert (
            muted_llms([matcher], [replace(rule(), name=f"rule-{number}") for number in range(rules)], members) == set()
        )
        looks.append(Counted.looks)
    assert looks == [200, 200]


# --- names that are not quite those


MISTYPED = {
    "stats suport-chat": "did you mean support-chat?",
    "stats SUPPORT-CHAT": "Growth",
    "stats Support*": "Growth",
    "chart policy_violations suport-chat": "did you mean support-chat?",
    "stats zzz": 'no LLM is called "zzz" (a name, an id, or a pattern such as support-*)',
    "why violation-burst SUPPORT-CHAT": "violation-burst on support-chat",
    "why violation-burst suport-chat": "there is no data for suport-chat before 2026-01-05T00:01:00Z; did you mean support-chat?",
    "why VIOLATION-BRST": "did you mean violation-burst?",
    "mute VIOLATION-BURST": "did you mean violation-burst?",
    "top violatons today": "is not counted; did you mean violations?",
    "chart tokns": '"tokns" is not counted, nor is it a rule; did you mean tokens?',
    "chart VIOLATION-BURST": '"VIOLATION-BURST" is not counted, nor is it a rule; did you mean violation-burst?',
    "top violations by foo": 'nothing is counted by "foo"; there are ai_llm, source, provider,',
    "top tokens per modle today": "did you mean model?",
}


@pytest.mark.parametrize(("typed", "told"), MISTYPED.items())
def test_a_name_in_other_letters_is_understood_and_one_that_is_near_is_offered(sqlite, typed: str, told: str) -> None:
    with office(sqlite, {"acme/support-chat": "0 9"}) as here:
        here.scene.until(1)
        assert told in here.ask(typed)


@pytest.mark.parametrize(
    ("named", "endings"),
    [
        ([("a", "acme/1234"), ("b", "acme/5678")], ["", ""]),
        ([("a", "acme/1234"), ("a", "acme/5678")], [" …1234", " …5678"]),
        ([("a", "acme/x-1234"), ("a", "acme/y-1234"), ("b", "acme/z")], [" …x-1234", " …y-1234", ""]),
        ([("a", "acme/1"), ("a", "acme/1")], ["", ""]),
        ([("a", "acme/x"), ("a", "x")], [" …me/x", " …x"]),
    ],
)
def test_two_of_one_name_are_told_apart_by_the_end_of_their_ids(
    named: list[tuple[str, str]], endings: list[str]
) -> None:
    assert id_endings(named) == endings


def test_two_llms_of_one_name_are_told_apart_in_tables(sqlite) -> None:
    with office(sqlite, {"acme/chat-0001": "0 9", "acme/chat-0002": "0 8"}) as here:
        here.scene.players["acme"].described[0] = tuple(
            Configuration(ai_llm, "support-chat-of-the-north") for ai_llm in ("chat-0001", "chat-0002")
        )
        here.scene.until(1)
        for typed in ("stats", "top violations"):
            delivery = here.slack.command(f"/alertbot {typed}", "U1")
            (answer,) = here.slack.wait_for(lambda: here.slack.answers(delivery))  # noqa: B023
            assert "…0001" in str(answer.blocks)
            assert "…0002" in str(answer.blocks)


def test_people_who_may_only_be_told_by_a_short_name_are_not_told_apart_by_their_ids() -> None:
    rows = [RankingRow(1, f"acme/user=ana-{number}", "A. R.", "acme", 9) for number in (1111, 2222)]
    window = Window(START, START + timedelta(hours=1), "in the last 1 h")
    shown = str(top_response(Ranking("tokens", "user", window, tuple(rows), Coverage(START))))
    assert "1111" not in shown
    assert shown.count("A. R.") == 2


def test_there_may_be_so_many_rules_made_in_slack_and_no_more(sqlite) -> None:
    with office(sqlite) as here:
        keys = {"metric": "api_calls", "window": "1h", "above": "1"}
        for number in range(200):
            make_rule(sqlite, here.context.book, {"name": f"r-{number}", **keys}, by="U1", now=START, key=f"{number}")
        with pytest.raises(UsageError, match="200 rules that were made in Slack"):
            make_rule(sqlite, here.context.book, {"name": "one-more", **keys}, by="U1", now=START, key="200")
        assert len(here.context.book.rules_in(sqlite)) == 201
