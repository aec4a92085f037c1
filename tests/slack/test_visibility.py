"""A hidden source is hidden with its name: in commands, Home, details, forms and buttons; who may see it, sees it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from alertbot.demo.slack.server import CHANNELS, SlackServer
from alertbot.domain.routes import Route
from alertbot.domain.rules import Period
from alertbot.domain.visibility import VisibilityRule
from tests.builders import budget, minutes, only, rule
from tests.slack.office import BURST, Office, errors, labels, muted, office, options, reach, said

PLACE = "#globex-ai"
TRACES = ("globex", "secret")  # what would tell of the hidden source: its name, and that of its configuration
DRAWN = {"acme/llm-1": "0 9x300", "globex/secret-llm": "0 12x300"}
VISIBILITY = (VisibilityRule("globex", channels=frozenset({PLACE}), users=frozenset({"U1"})),)
RULES = (
    BURST,
    replace(rule(where=only(source="globex")), name="theirs-alone"),
    replace(rule(per="all"), name="sum-of-all"),
    replace(rule(budget(Period.DAY), per="source"), name="a-day"),
)
STRANGER, KNOWN, OPERATOR = "U2", "U1", "U3"


@pytest.fixture
def here(sqlite: Any) -> Iterator[Office]:
    slack = SlackServer(page=False, channels=(*CHANNELS, PLACE))
    route = Route("#ai-alerts", group_wait=minutes(0), group_by=("rule", "source"))
    with office(sqlite, DRAWN, *RULES, operators=[OPERATOR], visibility=VISIBILITY, slack=slack, route=route) as opened:
        opened.scene.until(1)
        yield opened


def ids(here: Office) -> dict[str, str]:
    """The short ids by what they are about: `A2` for violation-burst/globex, and so on."""
    return {f"{one.rule}/{one.labels.get('source', 'all')}": f"A{one.number}" for one in here.scene.alerts()}


def group_of(here: Office, alert: str) -> str:
    row = next(row for row in here.context.for_person(OPERATOR).open_alerts() if f"A{row.alert.number}" == alert)
    return f"G{row.group}"


def traces(answer: str) -> list[str]:
    return [trace for trace in TRACES if trace in answer]


COMMANDS = [
    "status",
    "stats",
    "stats 1h",
    "alerts",
    "why violation-burst",
    "rules",
    "silences",
    "top policy_violations 1h",
]
COMMANDS += ["budget", "why violation-burst secret*", "stats secret-llm", "why theirs-alone", "why sum-of-all", "help"]


def test_nothing_that_a_stranger_asks_tells_of_it(here):
    here.ask("silence source=globex 2h", OPERATOR)
    here.ask("silence source!~glo.* rule=other 2h", OPERATOR)
    for command in COMMANDS:
        asked = {word for word in TRACES if word in command}  # an answer may repeat what was typed
        assert set(traces(here.ask(command, STRANGER))) <= asked, command


@pytest.mark.parametrize("command", ["status", "alerts", "stats", "why theirs-alone", "rules", "silences"])
def test_who_may_see_it_is_told_of_it(here, command):
    here.ask("silence source=globex 2h", OPERATOR)
    marks = {"rules": "theirs-alone"}
    mark = marks.get(command, "globex")
    table = here.slack.answers  # a table's names stand in its blocks
    for user, place in ((KNOWN, "#ai-alerts"), (OPERATOR, "#ai-alerts"), (STRANGER, PLACE)):
        delivery = here.slack.command(f"/alertbot {command}", user, place)
        here.answer_to(delivery)
        found = str(table(delivery)[-1].blocks)
        assert mark in found or "secret-llm" in found, (user, place)


def test_counts_leave_it_out(here):
    assert "*4 firing*" in here.ask("status", KNOWN)  # with the rule for it alone, and with the sum over all
    assert "*1 firing*" in here.ask("status", STRANGER)


@pytest.mark.parametrize("act", ["ack", "unack", "snooze {} 1h", "assign {} @ana", "comment {} hello"])
def test_an_act_on_it_is_answered_as_if_it_did_not_exist(here, act):
    hidden = ids(here)["violation-burst/globex"]
    line = act if "{}" in act else f"{act} {{}}"
    answer = here.ask(line.format(hidden), STRANGER)
    assert answer == here.ask(line.format("A999"), STRANGER).replace("A999", hidden)
    assert here.actions() == []
    assert "Done" in here.ask(line.format(hidden), STRANGER, PLACE) or act == "unack"


def test_a_sum_that_holds_it_is_hidden_with_it(here):
    summed = ids(here)["sum-of-all/all"]
    assert "there is no alert" in here.ask(f"ack {summed}", STRANGER)
    assert "Done" in here.ask(f"ack {summed}", KNOWN)


def test_buttons_below_its_message_do_nothing_for_a_stranger(here):
    group = group_of(here, ids(here)["violation-burst/globex"])
    message = next(m for m in here.slack.messages("#ai-alerts") if f"take-{group}" in str(m.attachments))
    for action, value in (
        ("acknowledge", None),
        ("details", None),
        ("snooze", f"{group} 1h"),
        ("snooze", f"{group} until"),
    ):
        told = here.answer_to(here.click(message, action, STRANGER, value=value))
        assert told == f":warning: there is no message {group}"
    assert here.slack.modals(STRANGER) == []
    assert here.actions() == []
    here.click(message, "acknowledge", KNOWN)
    here.slack.wait_for(lambda: here.actions() == [f"{KNOWN} acknowledge {ids(here)['violation-burst/globex']} done"])


def test_in_its_channel_details_and_what_opens_from_them_work_for_everybody(sqlite):
    slack = SlackServer(page=False, channels=(*CHANNELS, PLACE))
    route = Route(PLACE, group_wait=minutes(0))
    with office(sqlite, DRAWN, BURST, visibility=VISIBILITY, slack=slack, route=route) as here:
        here.scene.until(1)
        alert = ids(here)["violation-burst/globex"]
        row = next(row for row in here.context.for_person(KNOWN).open_alerts() if f"A{row.alert.number}" == alert)
        message = next(m for m in here.slack.messages(PLACE) if f"take-G{row.group}" in str(m.attachments))
        here.click(message, "details", STRANGER)
        details = here.modal(STRANGER)
        here.click(details, "alert_menu", STRANGER, value=f"{alert} acknowledge")
        assert f":eyes: <@{STRANGER}>" in said(here.changed(details))
        here.click(here.modal(STRANGER), "alert_menu", STRANGER, value=f"{alert} comment")
        delivery = here.submit(here.modal(STRANGER, "comment"), comment="seen")
        assert errors(delivery) == {}
        assert here.actions() == [f"{STRANGER} acknowledge {alert} done", f"{STRANGER} comment {alert} done"]
        here.click(message, "snooze", STRANGER, value=f"G{row.group} until")
        assert errors(here.submit(here.modal(STRANGER, "snooze_until"))) == {}


def test_home_leaves_it_out(here):
    here.ask("silence source=globex 2h", OPERATOR)
    here.open_home(STRANGER)
    assert traces(here.home(STRANGER)) == []
    assert "acme" in here.home(STRANGER)
    for user in (KNOWN, OPERATOR):
        here.open_home(user)
        assert traces(here.home(user)) == list(TRACES[:1]) + (["secret"] if "secret" in here.home(user) else [])
        assert "globex" in here.home(user)


def test_a_home_that_is_brought_up_to_date_leaves_it_out_as_well(here):
    for user in (STRANGER, KNOWN):
        here.open_home(user)
    here.ask(f"ack {ids(here)['violation-burst/globex']}", OPERATOR)
    here.scene.until(2)
    here.refresh_homes()
    assert traces(here.home(STRANGER)) == []
    assert f":eyes: <@{OPERATOR}>" in here.home(KNOWN)


def test_the_form_of_a_silence_offers_and_counts_only_what_is_seen(sqlite):
    with office(sqlite, DRAWN, *RULES, visibility=VISIBILITY) as here:  # no operators: everybody may silence
        here.scene.until(1)
        here.slack.command("/alertbot silence", STRANGER)
        form = here.modal(STRANGER)
        assert options(form, "silence_source") == ["*", "acme"]
        assert "theirs-alone" not in options(form, "silence_rule")
        here.click(form, "silence_rule", STRANGER, value="violation-burst")
        counted = here.changed(form)
        assert reach(counted) == (1, 1)
        assert traces(said(counted)) == []
        here.submit(here.modal(STRANGER), silence_more="source=globex")
        assert "matches nothing that has been read so far" in said(here.modal(STRANGER))  # as for what does not exist
        here.submit(here.modal(STRANGER))
        assert muted(here.modal(STRANGER)) == 0


def test_without_operators_what_is_hidden_stays_hidden(sqlite):
    with office(sqlite, DRAWN, *RULES, visibility=VISIBILITY) as here:
        here.scene.until(1)
        assert traces(here.ask("status", STRANGER)) == []
        assert "New silence…" in labels(here.open_home(STRANGER))


# --- which channel it is


def body(name: str, channel: str) -> dict[str, str]:
    return {"user_id": STRANGER, "channel_id": channel, "channel_name": name}


def test_a_channel_is_known_by_the_name_in_the_command_or_by_asking_slack(here):
    channel = here.slack.channel(PLACE).id
    elsewhere = here.slack.channel("#leads").id
    before = here.calls("conversations.info")
    assert "globex" in here.context.for_whom(body("globex-ai", channel)).intervals
    assert here.calls("conversations.info") == before
    for name in ("privategroup", ""):  # what Slack calls a private channel, and what a click may lack
        assert "globex" in here.context.for_whom(body(name, channel)).intervals
        assert "globex" not in here.context.for_whom(body(name, elsewhere)).intervals
    assert here.calls("conversations.info") == before + 2  # asked once for each
    assert "globex" not in here.context.for_whom(body("directmessage", "")).intervals


def test_a_channel_whose_name_slack_does_not_tell_shows_nothing_hidden(here):
    here.slack.fault("error", "conversations.info", error="channel_not_found")
    assert "globex" not in here.context.for_whom(body("privategroup", "C0UNKNOWN")).intervals


def test_a_channel_may_be_named_by_its_id(sqlite):
    slack = SlackServer(page=False, channels=(*CHANNELS, PLACE))
    with office(sqlite, DRAWN, BURST, slack=slack) as here:
        entry = VisibilityRule("globex", channels=frozenset({here.slack.channel(PLACE).id}))
        context = replace(here.context, visibility=(entry,))
        assert "globex" in context.for_whom(body("privategroup", here.slack.channel(PLACE).id)).intervals
        assert "globex" not in context.for_whom(body("leads", here.slack.channel("#leads").id)).intervals
        assert here.calls("conversations.info") == 0


def test_a_context_that_is_nobodys_shows_nothing(here):
    assert here.context.open_alerts() == []
