"""Evidence in Slack: in the message, in Details and for whoever asks; harmless whatever outsiders wrote, and no more than may be told."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertbot.demo.slack.limits import check_view
from alertbot.demo.slack.server import CHANNELS, SlackServer
from alertbot.demo.slack.transcript import plain_text
from alertbot.domain.evidence import (
    Count,
    Evidence,
    EvidenceKind,
    Privacy,
    Summary,
    TopN,
    ViolationReport,
    mask,
    redact,
)
from alertbot.domain.routes import Route
from alertbot.domain.snapshots import Configuration
from alertbot.domain.visibility import VisibilityRule
from alertbot.domain.windows import Window
from alertbot.slack.parse import NAMES
from alertbot.slack.views.details import details_view
from alertbot.slack.views.evidence import MOST_ROWS, evidence_block, evidence_lines, violations_response
from alertbot.slack.views.message import notification_message
from alertbot.slack.views.text import slack_date
from alertbot.store import evidence, evidence_fetches, sources
from tests.builders import at, minutes
from tests.flows.scene import CHANNEL
from tests.slack.messages import FIRED, NOW, alert, alert_message, found, listing, many, summary
from tests.slack.office import Office, office, said
from tests.slack.payloads import assert_harmless, assert_sendable, texts
from tests.slack.test_views import evil

DAY = Window(NOW - timedelta(hours=24), NOW, "in the last 24 h")


def table_of(answer: dict[str, Any]) -> list[str]:
    (text,) = (text for block in answer["blocks"] for text in texts(block, literal=True))
    return text.splitlines()


# --- whatever is in it


def evil_summary(text: str, privacy: Privacy = Privacy.FULL) -> Summary:
    leaders = TopN(tuple(Count(text, number, text) for number in (3, 2, 1)), 10**9)
    newest = found(policy_name=text, user_name=text, explanation=text, model=text)
    plain = Summary(EvidenceKind.VIOLATION, 10**30, 5, {"HIGH": 7}, leaders, leaders, leaders, newest)
    return redact(plain, privacy)


@given(evil, st.sampled_from(Privacy))
@settings(deadline=None)
def test_whatever_outsiders_wrote_pings_nobody_and_fits(text, privacy):
    payload = notification_message(replace(alert_message(), evidence=evil_summary(text, privacy)))
    assert_sendable(payload)
    assert_harmless(payload)
    view = details_view(17, many(60), now=NOW, evidence=evil_summary(text, privacy), doubts=[text] * 9)
    assert check_view(view) == []
    assert_harmless(view)


@given(evil, st.sampled_from(Privacy), st.integers(0, 40))
@settings(deadline=None)
def test_an_answer_takes_any_text(text, privacy, count):
    one = found(policy_name=text, policy=text, user_name=text, user=text, explanation=text)
    listed = () if privacy is Privacy.COUNTS else tuple([one if privacy is Privacy.FULL else mask(one)] * count)
    answer = violations_response(ViolationReport(listed, evil_summary(text, privacy), (text,) * 9), DAY, UTC)
    assert_sendable(answer)
    assert_harmless(answer)
    if listed:
        assert all(len(line) <= 40 for line in table_of(answer))


SECRETS = ("Ana Ruiz", "card number", "user-0001", "customers-repo")


@pytest.mark.parametrize("privacy", [Privacy.MASKED, Privacy.COUNTS])
def test_what_may_not_be_told_stands_nowhere(privacy):
    careful = redact(summary(), privacy)
    listed = () if privacy is Privacy.COUNTS else tuple(mask(one) for one in listing().violations)
    for payload in (
        notification_message(replace(alert_message(), evidence=careful)),
        details_view(17, [alert()], now=NOW, evidence=careful),
        violations_response(ViolationReport(listed, careful), DAY, UTC),
    ):
        assert not any(secret in str(payload) for secret in SECRETS)


# --- how it looks


def leaders(line: str) -> tuple[str, list[str | int], str]:
    """Of what a line names the first, each with how many it has, and how many are not named."""
    kind, _, rest = line.partition("  ")
    *counted, left = re.split(r" \((\d+)\)(?:, )?", rest)
    each = [int(part) if number % 2 else part for number, part in enumerate(counted)]
    return kind.strip("*"), each, "".join(re.findall(r"\d+", left))


def test_a_message_names_the_leaders_and_quotes_the_newest():
    first, *named, newest, quote = evidence_lines(summary())
    assert first.startswith("9 ")
    assert slack_date(FIRED - timedelta(minutes=15)) in first
    assert [leaders(line) for line in named] == [
        ("Policies", ["No customer PII", 7, "Prompt injection", 2], ""),
        ("People", ["Ana Ruiz", 5, "Bo Chen", 3, "Cy", 1], "2"),
        ("Models", ["claude-sonnet-4-5", 9], ""),
    ]
    assert [part in newest for part in (found().policy_name, found().user_name, slack_date(found().at))] == [True] * 3
    assert quote == f"&gt; {found().explanation}"


def test_what_has_no_names_is_counted():
    assert evidence_lines(Summary(EvidenceKind.ALERT, 1)) == ["1 policy alert listed"]
    (line,) = evidence_lines(redact(replace(summary(), since=None), Privacy.COUNTS))
    kinds = ("violations", "policies", "people", "model", "high", "low", "blocked")
    assert [re.findall(rf"(\d+) {kind}\b", line) for kind in kinds] == [["9"], ["2"], ["5"], ["1"], ["6"], ["1"], ["4"]]


@pytest.mark.parametrize("privacy", list(Privacy))
def test_the_list_says_from_when_to_when_it_counts(privacy):
    since, until = FIRED - timedelta(minutes=15), FIRED + timedelta(hours=1)
    shown = redact(replace(summary(), since=since, until=until), privacy)
    assert evidence_lines(shown)[0].startswith(f"9 violations listed from {slack_date(since)} to {slack_date(until)}")


def test_details_show_what_is_wrong_with_the_evidence():
    (text,) = texts(evidence_block(summary(), ["acme: 2 are not listed"]))
    assert text.endswith(":warning: acme: 2 are not listed")


def test_times_are_those_of_the_persons_own_clock_with_the_day_where_it_matters():
    asked = violations_response(listing(), DAY, ZoneInfo("Asia/Tokyo"))
    assert table_of(asked)[1].startswith("19:05 high! No customer PII")
    week = Window(NOW - timedelta(days=7), NOW, "this week")
    assert table_of(violations_response(listing(), week, UTC))[1].startswith("01-05 10:05 high!")


def test_a_long_list_is_cut_and_counted():
    many_of_them = ViolationReport((found(),) * 40, replace(summary(), total=1234))
    table = table_of(violations_response(many_of_them, DAY, UTC))
    assert len(table) == MOST_ROWS + 3
    assert table[-1] == "… and 1,219 more"


# --- asking for it


def remember(here: Office, source: str, *entries: Evidence) -> None:
    with here.scene.database.transaction() as tx:
        number = sources.number_of(tx, source)
        evidence.keep(tx, number, entries)
        claimed = evidence_fetches.claim(tx, source, owner="test", lease=minutes(1), now=here.scene.now)
        assert claimed is not None
        until = {EvidenceKind.VIOLATION: here.scene.now}
        evidence_fetches.mark_read(tx, claimed, read_at=here.scene.now, until=until, complete_since=at(-9999))


def entry(identity: str, **more: Any) -> Evidence:
    return replace(found(**more), id=identity, at=at(0.5))


def shown(here: Office, text: str, user: str = "U1", channel: str = CHANNEL) -> str:
    """All that the answer to a command shows."""
    delivery = here.slack.command(f"/alertbot {text}", user, channel)
    (answer,) = here.slack.wait_for(lambda: here.slack.answers(delivery))
    return plain_text(answer)


def opened(database: Any, *, privacy: str = "full", **more: Any) -> Any:
    route = Route("#ai-alerts", group_wait=minutes(0), privacy=privacy)
    return office(database, {"acme/llm-1": "0 9", "globex/llm-2": "0 9"}, route=route, **more)


def prepare(here: Office) -> Office:
    for name, ai_llm in (("acme", "llm-1"), ("globex", "llm-2")):
        described = (Configuration(ai_llm, f"{name}-bot", repos=((f"{name}-repo", "x"),)),)
        here.scene.players[name].described[0] = described
    here.scene.until(1)
    remember(here, "acme", entry("1", repo="acme-repo"))
    remember(here, "globex", entry("2", repo="globex-repo", user_name="Gil", policy_name="Their policy"))
    return here


@pytest.fixture
def here(sqlite: Any) -> Iterator[Office]:
    with opened(sqlite) as place:
        yield prepare(place)


def test_somebody_asks_and_shares_the_answer(here):
    delivery = here.slack.command("/alertbot violations today", "U1")
    (answer,) = here.slack.wait_for(lambda: here.slack.answers(delivery))
    assert "*2 violations* today" in plain_text(answer)
    assert "Their policy" in plain_text(answer)
    here.click(answer, "share", "U1")
    shared = here.slack.wait_for(lambda: [one for one in here.slack.messages(CHANNEL) if "*2 violations*" in one.text])
    assert "shared by <@U1>" in plain_text(shared[-1])


NOTHING = violations_response(ViolationReport((), Summary(EvidenceKind.VIOLATION, 0)), DAY, UTC)["text"]


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ('violations policy="their policy"', "*1 violation*"),
        ("violations user=“gi*” today", "*1 violation*"),
        ("violations source=acme ai_llm=acme-bot 1h", "*1 violation*"),
        ('violations policy="their policy" 1 hour 30 minutes', "*1 violation*"),
        ("violations last two hours", "*2 violations* in the last 2 h"),
        ("violations model=nothing", NOTHING),
        ("violations ana", "expected filters such as policy="),
        ("violations source=nobody", "no source is called"),
        ("violation", "*2 violations*"),
        ("violatoins", "did you mean violations?"),
        ("help violations", NAMES["violations"].summary),
    ],
)
def test_filters_are_typed_as_people_type_them(here, asked, answer):
    assert answer in shown(here, asked)


def test_details_show_the_evidence_of_their_message(here):
    message = next(one for one in here.slack.messages(CHANNEL) if "acme" in one.text)
    here.click(message, "details")
    text = said(here.modal())
    assert "No customer PII (1)" in text
    assert "Their policy" not in text


def test_a_hidden_source_is_hidden_with_its_evidence(sqlite):
    slack = SlackServer(page=False, channels=(*CHANNELS, "#globex-ai"))
    hidden = [VisibilityRule("globex", channels=frozenset({"#globex-ai"}))]
    with opened(sqlite, operators=["U3"], visibility=hidden, slack=slack) as place:
        here = prepare(place)
        for asked in ("violations", "violations user=gil", "violations source=globex", "violations ai_llm=globex-bot"):
            answer = shown(here, asked, "U2")
            assert "Their policy" not in answer
            assert "Gil" not in answer
        assert "*1 violation*" in shown(here, "violations", "U2")
        assert "*2 violations*" in shown(here, "violations", "U2", "#globex-ai")
        assert "*2 violations*" in shown(here, "violations", "U3")


@pytest.mark.parametrize("privacy", ["masked", "counts"])
def test_a_look_up_in_slack_is_as_careful_as_the_route(sqlite, privacy):
    with opened(sqlite, privacy=privacy) as place:
        here = prepare(place)
        answer = shown(here, "violations")
        assert "*2 violations*" in answer
        assert "Ana" not in answer
        assert "Gil" not in answer
        assert "card number" not in answer
        assert "not shown here" in shown(here, "violations user=gil")
