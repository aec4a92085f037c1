"""App Home: what stands there, what its buttons do, and that it stays true while somebody looks at it."""

import re
from datetime import timedelta
from fractions import Fraction

import pytest
import structlog

from alertbot.demo.slack.limits import check_view
from alertbot.domain.alerts import State
from alertbot.domain.oncall import OnCall
from alertbot.domain.reports import Health, SourceRow
from alertbot.domain.rules import Severity
from alertbot.domain.silences import ENDLESS, Silence, parse_matcher
from alertbot.flows import app_home
from alertbot.slack.views.home import ROWS, HomeData, home_view
from tests.builders import at, minutes
from tests.slack.messages import NOW, alert, row, status, taken
from tests.slack.office import Office, labels, office, said

SEVERAL = {"acme/llm-1": "0 9x300", "globex/llm-2": "0 12x300", "initech/llm-3": "0 0 7x300"}
ON_CALL = {"primary": OnCall("primary", usergroup="S0123TEAM")}


def headers(here: Office, user: str = "U1") -> list[str]:
    view = here.slack.home(user)
    assert view is not None
    return [block["text"]["text"] for block in view.blocks if block["type"] == "header"]


def firing(here: Office, user: str = "U1") -> int:
    """How many alerts fire, as the first header says; the one that says that none does has no number."""
    return int("".join(re.findall(r"\d", headers(here, user)[0])) or 0)


def published(here: Office) -> int:
    return here.calls("views.publish")


# --- what stands there


def test_home_shows_what_is_open_the_sources_who_is_on_call_and_what_is_silenced(sqlite):
    with office(sqlite, SEVERAL, on_call=ON_CALL) as here:
        here.scene.until(2)
        here.ask("silence source=globex 2h planned", "U2")
        here.open_home()
        assert firing(here) == 3
        assert headers(here)[1:] == ["Open", "Sources", "On call now", "Silences"]
        shown = here.home()
        assert "*12 violations in 15 min on llm-2 (globex)*\n:mute: silenced" in shown
        assert "*acme*: ok" in shown
        assert "*primary*: <!subteam^S0123TEAM>" in shown
        assert "`source=globex`" in shown


def test_what_is_mine_stands_on_top(sqlite):
    with office(sqlite, SEVERAL) as here:
        here.scene.until(2)
        here.ask("ack G1", "U2")
        here.ask("assign A3 @ana", "U2")
        here.open_home("U2")
        assert headers(here, "U2")[1:3] == ["Yours", "Open"]
        here.open_home("U1")
        mine, others = here.home("U1").split("*9 violations in 15 min on llm-1 (acme)*")[0], here.home("U1")
        assert "llm-3 (initech)" in mine  # assigned to her, and before what others have
        assert "*12 violations in 15 min on llm-2 (globex)*" in others


def test_a_quiet_home_says_so(sqlite):
    with office(sqlite, "0 0") as here:
        here.scene.until(1)
        here.open_home()
        assert firing(here) == 0
        assert headers(here)[1:] == ["Sources"]
        assert "pending" not in here.home()


def test_a_source_that_cannot_be_read_is_seen_with_its_reason(sqlite):
    with office(sqlite, {"acme/llm-1": "0 0", "globex/llm-2": "0 _x9"}) as here:
        here.scene.until(6)
        here.open_home()
        assert ":red_circle: *globex*: blind" in here.home()
        assert "the poll was missed, as the test says" in here.home()


def test_only_operators_are_offered_what_only_they_may_do(sqlite):
    with office(sqlite, SEVERAL, operators=["U3"]) as here:
        here.scene.until(2)
        here.ask("silence source=globex 2h", "U3")
        assert {"New silence…", "End"} & set(labels(here.open_home("U1"))) == set()
        assert {"New silence…", "End"} <= set(labels(here.open_home("U3")))


# --- what its buttons do


def test_an_alert_can_be_taken_and_given_back(sqlite):
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        before = here.open_home("U2")
        here.click(before, "acknowledge", "U2")
        taken_by_me = here.changed(before)
        assert ":eyes: <@U2>" in said(taken_by_me)
        assert headers(here, "U2")[1] == "Yours"
        here.click(taken_by_me, "give_back", "U2")
        assert "Acknowledge" in labels(here.changed(taken_by_me))
        assert here.actions() == ["U2 acknowledge A1 done", "U2 unacknowledge A1 done"]


def test_what_somebody_else_has_taken_is_not_offered_to_be_taken(sqlite):
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        here.ask("ack A1", "U3")
        assert labels(here.open_home("U2")) == ["Refresh", "New silence…", "Details"]


def test_details_and_a_new_silence_open_from_home(sqlite):
    with office(sqlite, "0 9x300") as here:
        here.scene.until(1)
        home = here.open_home("U2")
        here.click(home, "details", "U2")
        assert "*9 violations in 15 min on llm-1 (acme)*" in said(here.modal("U2"))
        here.slack.close_view(here.modal("U2"))
        here.click(home, "silence", "U2")
        here.submit(here.modal("U2"), silence_llm="llm-1")
        assert "`ai_llm=llm-1`" in said(here.changed(home))  # at once, not when it is looked after the next time


def test_a_silence_is_ended_from_home_and_a_second_click_is_no_mistake(sqlite):
    with office(sqlite, "0 9x300") as here:
        here.scene.until(1)
        here.ask("silence rule=violation-burst 2h", "U2")
        before = here.open_home("U3")
        delivery = here.click(before, "end_silence", "U3", value="1")
        after = here.changed(before)
        assert "End" not in labels(after)
        here.slack.redeliver(delivery)
        assert ":warning:" not in said(here.changed(after))


def test_a_click_that_came_too_late_is_told_on_top(sqlite):
    with office(sqlite, "0 9x15 9x30") as here:
        here.scene.until(1)
        before = here.open_home()
        here.scene.until(20)
        here.click(before, "acknowledge")
        after = here.changed(before)
        assert after.blocks[0]["text"]["text"].startswith(":hourglass: ")
        assert "`A1`" in after.blocks[0]["text"]["text"]
        assert firing(here) == 0


def test_many_messages_are_pages_and_the_page_is_kept(sqlite):
    many = {f"s{number:02}/llm": "0 9x300" for number in range(ROWS + 3)}
    with office(sqlite, many) as here:
        here.scene.until(1)
        first = here.open_home()
        assert labels(first).count("Details") == ROWS
        here.click(first, "home_page_next")
        second = here.changed(first)
        assert labels(second).count("Details") == 3
        assert "Previous (1 of 2)" in labels(second)
        here.click(second, "home_refresh")
        third = here.changed(second)
        assert labels(third).count("Details") == 3
        here.click(third, "home_page_previous")
        assert labels(here.changed(third)).count("Details") == ROWS


# --- it stays true


def test_a_home_that_is_looked_at_follows_what_happens(sqlite):
    with office(sqlite, "0 9x14 9x30") as here:
        here.scene.until(1)
        here.open_home()
        here.scene.until(2)
        here.refresh_homes()
        assert published(here) == 1  # nothing has changed
        here.ask("ack A1", "U2")
        here.refresh_homes()
        assert ":eyes: <@U2>" in here.home()
        here.scene.until(20)
        here.refresh_homes()
        assert firing(here) == 0
        assert published(here) == 3


def test_one_home_is_published_at_most_each_ten_seconds(sqlite):
    with office(sqlite, "0 9x300") as here:
        here.scene.until(1)
        here.open_home()
        here.ask("ack A1", "U2")
        here.refresh_homes()
        here.scene.now += timedelta(seconds=9)
        here.refresh_homes()
        assert published(here) == 1
        here.scene.now += timedelta(seconds=1)
        here.refresh_homes()
        assert published(here) == 2


def test_a_home_that_nobody_has_opened_for_an_hour_is_left_alone(sqlite):
    with office(sqlite, "0 9x300") as here:
        here.scene.until(1)
        here.open_home()
        here.scene.until(62)
        here.ask("ack A1", "U2")
        here.refresh_homes()
        assert published(here) == 1


def test_of_several_replicas_one_publishes(sqlite):
    with office(sqlite, "0 9x300") as here:
        here.scene.until(1)
        for user in ("U1", "U2"):
            here.open_home(user)
        here.ask("ack A1", "U3")
        now = at(1) + minutes(1)
        assert {home.user for home in app_home.stale_homes(sqlite, now=now)} == {"U1", "U2"}
        assert app_home.stale_homes(sqlite, now=now) == []


def test_the_tab_of_messages_is_not_home(sqlite):
    with office(sqlite, "0 9") as here:
        here.scene.until(1)
        here.slack.send_event({"type": "app_home_opened", "user": "U1", "tab": "messages", "channel": "D1"}, "U1")
        here.open_home("U2")
        assert here.slack.home("U1") is None


# --- when Slack does not take it


@pytest.mark.parametrize("error", ["not_enabled", "user_not_found", "view_too_large"])
def test_a_home_that_slack_will_never_take_is_not_tried_again(sqlite, error):
    with office(sqlite, "0 9x300") as here, structlog.testing.capture_logs() as logs:
        here.scene.until(1)
        here.slack.fault("error", "views.publish", error=error, times=None)
        assert here.slack.open_home("U1").acknowledged
        here.slack.wait_for(lambda: published(here) == 1)
        here.slack.wait_for(lambda: any(log["event"] == "home_not_published" for log in logs))
        here.ask("ack A1", "U2")
        here.scene.until(2)
        here.refresh_homes()
        assert published(here) == 1
        assert [log for log in logs if log["log_level"] == "error"] == []


def test_a_home_that_slack_could_not_take_is_tried_again(sqlite):
    with office(sqlite, "0 9x300") as here:
        here.scene.until(1)
        here.open_home()
        here.ask("ack A1", "U2")
        here.scene.until(2)
        here.slack.fault("rate_limited", "views.publish")
        here.refresh_homes()
        assert ":eyes:" not in here.home()
        here.refresh_homes()
        assert ":eyes:" not in here.home()  # not at once
        here.scene.until(3)
        here.refresh_homes()
        assert ":eyes: <@U2>" in here.home()


def test_an_act_in_a_home_that_cannot_be_published_is_done(sqlite):
    with office(sqlite, "0 9x300") as here:
        here.scene.until(1)
        home = here.open_home()
        here.slack.fault("server_error", "views.publish")
        here.click(home, "acknowledge")
        here.slack.wait_for(lambda: "Acknowledged" in here.message().text)
        assert here.actions() == ["U1 acknowledge A1 done"]


# --- within Slack's limits, whatever there is

EVIL = "<!channel> & `x` \u202e" * 30


def board(count: int, *, text: str = "acme", page: int = 0) -> HomeData:
    alerts = [
        alert(n, rule=text, labels={"source": text, "name": f"{text}{n}"}, severity=Severity.CRITICAL, assigned_to="U2")
        for n in range(count)
    ]
    pending = [row(alert(n, state=State.PENDING), group=None) for n in range(count)]
    matchers = (parse_matcher("rule=x"), parse_matcher(f"source={text}"))
    silences = [Silence(matchers, NOW, ENDLESS, text, text, number) for number in range(count)]
    budget = {"type": "section", "text": {"type": "mrkdwn", "text": "a budget", "verbatim": True}}
    return HomeData(
        user="U1",
        rows=[*(row(taken(one, by="U1"), group=n) for n, one in enumerate(alerts)), *pending],
        status=status(*[SourceRow(text, Health.FAILING, NOW, 1, text)] * count, firing=count),
        silences=silences,
        on_call=dict.fromkeys([f"{text}{number}" for number in range(count)], "U3"),
        may_operate=True,
        command="/alertbot",
        now=NOW,
        budgets=[budget] * count,
        page=page,
        note=text,
    )


@pytest.mark.parametrize("count", [0, 1, ROWS, ROWS + 1, 1000])
@pytest.mark.parametrize("page", [0, 1, 10**9])
def test_slack_takes_every_home(count, page):
    view = home_view(board(count, page=page))
    assert check_view(view) == []
    assert len(view["blocks"]) <= 100


def test_nothing_in_home_pings_by_accident():
    one = alert(1, rule=EVIL, labels={"source": EVIL, "name": EVIL}, value=Fraction(10**30), peak=Fraction(10**30))
    shown = home_view(
        HomeData(
            user="U1",
            rows=[row(one), row(alert(2, state=State.PENDING, labels={"source": EVIL, "name": EVIL}), group=None)],
            status=status(SourceRow(EVIL, Health.FAILING, NOW, 1, EVIL)),
            silences=[Silence((parse_matcher(f"rule={EVIL[:250]}"),), NOW, ENDLESS, EVIL, EVIL, 1)],
            on_call={EVIL: EVIL},
            may_operate=True,
            command="/alertbot",
            now=NOW,
        )
    )
    assert check_view(shown) == []
    assert "<!channel>" not in str(shown)
