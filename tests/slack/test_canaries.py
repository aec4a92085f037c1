"""A name that nobody may learn is put wherever a name can be put; then everything is asked, clicked and shared.

Every sub-command and every listener is taken from the code: a new one fails here until it is among those that are tried.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from alertbot.domain.evidence import Evidence, EvidenceKind
from alertbot.domain.oncall import OnCall
from alertbot.domain.routes import Route
from alertbot.domain.rules import Period, Selector
from alertbot.domain.silences import ENDLESS, Silence, parse_matcher
from alertbot.domain.snapshots import Configuration
from alertbot.domain.visibility import VisibilityRule
from alertbot.flows.rule_actions import make_rule
from alertbot.slack.commands import _SHAREABLE
from alertbot.slack.parse import NAMES
from alertbot.store import evidence, silences, sources
from tests.builders import START, at, budget, only, rule, threshold
from tests.slack.office import BURST, Office, office
from tests.slack.overheard import CHANNEL, Overheard, overheard

CANARY = "canary"  # in whatever the hidden source has, or others say of it
STRANGER, KNOWN = "U2", "U1"
Way = Callable[[Overheard, tuple[str, str]], None]
DIRECT = ("D1", "directmessage")
DRAWN = {
    "acme/llm-1": {"policy_violations": "0 9x300", "api_calls": "0 90x300"},
    "canary-source/canary-llm": {"policy_violations": "0 12x300", "api_calls": "0 90x300"},
}
NEVER = threshold(above=10**6)
BOTH = Selector((("source", ("acme", "canary-source")), ("ai_llm", ("llm-*", "canary-*"))))
RULES = (
    BURST,
    replace(rule(where=only(source="canary-source")), name="canary-alone"),
    replace(rule(where=only(ai_llm="canary-llm")), name="canary-one"),
    replace(
        rule(NEVER, where=BOTH, labels={"team": "canary-source"}), name="both", description="as canary-source does"
    ),
    replace(rule(), name="canary-source-burst"),
    replace(rule(per="all"), name="canary-sum"),
    replace(rule(budget(Period.DAY), per="source"), name="a-day"),
)
ROUTE = Route("#ai-alerts", group_wait=timedelta(0))
SILENCES = (
    "source=canary-source",
    "source!=canary-source",
    "source=~acme|canary-source",
    "source=~acme|c[a]nary-source",
    "ai_llm=canary-*",
    "ai_llm=canary-name rule=violation-burst",
    "rule=canary-alone",
    "team=canary-source",
    "nothing=canary-source",
)
IDS = [f"{letter}{number}" for letter in "AG" for number in range(1, 9)]


@pytest.fixture
def here(sqlite: Any) -> Iterator[Office]:
    hidden = [VisibilityRule("canary-source", channels=frozenset({"#theirs"}), users=frozenset({KNOWN}))]
    rotas = {
        "primary": OnCall("primary", usergroup="S1"),
        "canary-source-rota": OnCall("canary-source-rota", usergroup="S2"),
    }
    with office(sqlite, DRAWN, *RULES, visibility=hidden, on_call=rotas, route=ROUTE) as opened:
        opened.scene.players["canary-source"].described[0] = (
            Configuration("canary-llm", "canary-name", workspace="canary-w", workspace_name="canary-space"),
        )
        opened.scene.until(1)
        _put_it_everywhere(opened)
        yield opened


def _put_it_everywhere(here: Office) -> None:
    context, now = here.context, here.scene.now
    keys = {"metric": "policy_violations", "window": "1h", "above": 10**6}
    for name, where in (
        ("stored-canary", {"ai_llm": "canary-name"}),
        ("stored-both", {"source": ["acme", "canary-source"]}),
    ):
        made = {**keys, "name": name, "where": where, "description": "for canary-name"}
        make_rule(context.database, context.book, made, by=KNOWN, now=now, key=name)
    with context.database.transaction() as tx:
        for words in SILENCES:
            found = tuple(parse_matcher(word) for word in words.split())
            silences.add(tx, Silence(found, START, now + timedelta(hours=1), KNOWN, "canary-llm rests"))
        # These exist for everybody; what is said of them does not.
        silences.add(tx, Silence((parse_matcher("rule=both"),), START, ENDLESS, KNOWN, "because of canary-source"))
        seen = Evidence(
            "v1", EvidenceKind.VIOLATION, at(0.5), user="u-canary", user_name="Canary", policy_name="No canary"
        )
        evidence.keep(tx, sources.number_of(tx, "canary-source"), [replace(seen, explanation="a canary sang")])


COMMANDS: Mapping[str, tuple[str, ...]] = {
    "status": ("", "status"),
    "stats": ("stats", "stats c*", "stats *llm* 1h"),
    "top": ("top", "top source", "top provider 1h", "top calls workspace", "top user"),
    "spend": ("spend", "spend source"),
    "violations": ("violations", "violations user=*", "violations source=c*", "violations ai_llm=c*"),
    "budget": ("budget",),
    "chart": ("chart violations", "chart violations c*", "chart both", "chart a-day", "chart violation-burst"),
    "alerts": ("alerts",),
    "why": (
        "why violation-burst",
        "why violation-burst c*",
        "why both",
        "why nothing",
        "why a-day *",
        *(f"why {n}" for n in IDS),
    ),
    "ack": tuple(f"ack {name}" for name in IDS),
    "unack": tuple(f"unack {name}" for name in IDS),
    "snooze": tuple(f"snooze {name} 1h" for name in IDS),
    "assign": tuple(f"assign {name} <@{STRANGER}>" for name in IDS),
    "comment": tuple(f"comment {name} seen" for name in IDS),
    "silence": ("silence", "silence all 1h", "silence source=c* 1h", "silence violation-burst 1h", "silence can 1h"),
    "silences": ("silences",),
    "unsilence": tuple(f"unsilence {number}" for number in range(1, 16)),
    "mute": ("mute violation-burst", "mute nothing", "mute stored-canar"),
    "unmute": ("unmute violation-burst", "unmute nothing", "unmute both"),
    "rules": (
        "rules",
        "rules new",
        "rules change both",
        "rules change stored-both",
        "rules delete stored-both",
        "rules delete x",
    ),
    "oncall": ("oncall",),
    "help": ("help", *(f"help {name}" for name in NAMES), "canar"),
}


def _each_id(*actions: str) -> Way:
    def use(slack: Overheard, channel: tuple[str, str]) -> None:
        for action in actions:
            for value in IDS:
                slack.click(action, value, STRANGER, channel)

    return use


def _details_page(slack: Overheard, _channel: tuple[str, str]) -> None:
    for value in IDS:
        details: dict[str, Any] = {"callback": "details", "remembers": {"about": value, "page": 1}}
        for page in range(2):
            slack.click("details_page_next", f"{value} {page}", STRANGER, **details)


def _snooze(slack: Overheard, channel: tuple[str, str]) -> None:
    for value in IDS:
        slack.click("snooze", f"{value} 1h", STRANGER, channel)
        slack.click("snooze", f"{value} until", STRANGER, channel)


def _menu(slack: Overheard, _channel: tuple[str, str]) -> None:
    for value in IDS:
        for what in ("acknowledge", "snooze", "assign", "unacknowledge", "comment", "silence"):
            slack.click("alert_menu", f"{value} {what}", STRANGER, callback="details", remembers={"about": value})


def _home(slack: Overheard, _channel: tuple[str, str]) -> None:
    slack.look_at_home(STRANGER)
    slack.click("home_refresh", "x", STRANGER, callback="home", type="home")
    slack.click("home_page_next", "1", STRANGER, callback="home", type="home")


def _end_silence(slack: Overheard, _channel: tuple[str, str]) -> None:
    slack.look_at_home(STRANGER)
    for number in range(1, 16):
        slack.click("end_silence", str(number), STRANGER, callback="home", type="home")


def _silence(slack: Overheard, channel: tuple[str, str]) -> None:
    for value in ("", *IDS):
        slack.click("silence", value, STRANGER, channel)


def _silence_form(slack: Overheard, _channel: tuple[str, str]) -> None:
    for more in ("", "source=c*", "all", "ai_llm=c*"):
        fields = {"rule": "*", "source": "*", "lasts": "1h", "more": more}
        form: dict[str, Any] = {"callback": "silence", "menus": {"rule", "source", "lasts"}, "fields": fields}
        slack.click("silence_more", "x", STRANGER, **form)
        slack.submit(STRANGER, **form)


def _forms_of_an_alert(slack: Overheard, _channel: tuple[str, str]) -> None:
    for value in IDS:
        about = {"menus": set(), "remembers": {"about": value, "below": value}}
        slack.submit(STRANGER, callback="snooze_until", fields={"until": "1767600000"}, **about)
        slack.submit(STRANGER, callback="comment", fields={"comment": "hm"}, **about)


def _rule(slack: Overheard, channel: tuple[str, str]) -> None:
    for action in ("rule_new", "rule_change", "rule_delete"):
        for name in ("both", "stored-both", "violation-burst", "x"):
            slack.click(action, name, STRANGER, channel)


def _rule_form(**fields: str) -> dict[str, Any]:
    filled = {
        "type": "threshold",
        "metric": "policy_violations",
        "comparison": "above",
        "warning": "1",
        "window": "15m",
    }
    return {"callback": "rule", "menus": {"type", "metric", "comparison", "per"}, "fields": {**filled, **fields}}


def _rule_forms(slack: Overheard, _channel: tuple[str, str]) -> None:
    for fields in ({"name": "mine"}, {"name": "mine", "where": "source=c*"}, {"name": "m2", "per": "all"}):
        slack.click("rule_type", "budget", STRANGER, **_rule_form(**fields))
        slack.click("rule_try", "x", STRANGER, **_rule_form(**fields))
        slack.submit(STRANGER, **_rule_form(**fields))
    slack.submit(STRANGER, **_rule_form(), remembers={"about": "stored-both", "version": 1})


def _share(slack: Overheard, channel: tuple[str, str]) -> None:
    for texts in COMMANDS.values():
        for text in texts:
            slack.click("share", text, STRANGER, channel)


def _command(slack: Overheard, channel: tuple[str, str]) -> None:
    for texts in COMMANDS.values():
        for text in texts:
            slack.command(text, STRANGER, channel)


# Each listener, and how a stranger uses it: with every id that there is, and with what others were shown. `None` say nothing.
LISTENERS: Mapping[str, Way | None] = {
    "_answer_commands.<locals>.command": _command,
    "_answer_clicks.<locals>.acknowledge": _each_id("acknowledge"),
    "_answer_clicks.<locals>.give_back": _each_id("give_back"),
    "_answer_clicks.<locals>.details": _each_id("details"),
    "_answer_clicks.<locals>.turn_page": _details_page,
    "_answer_clicks.<locals>.snooze": _snooze,
    "_show_home.<locals>.opened": _home,
    "_show_home.<locals>.refresh": _home,
    "_show_home.<locals>.turn_page": _home,
    "_show_home.<locals>.end_silence": _end_silence,
    "listen.<locals>.open_silence": _silence,
    "listen.<locals>.count_anew": _silence_form,
    "listen.<locals>.menu": _menu,
    "submitted.<locals>.listen": _forms_of_an_alert,
    "listen.<locals>.new": _rule,
    "listen.<locals>.change": _rule,
    "listen.<locals>.delete": _rule,
    "listen.<locals>.choose_type": _rule_forms,
    "listen.<locals>.attempt": _rule_forms,
    "listen.<locals>.share": _share,
    "listen.<locals>.chart": _each_id("chart"),
    "build.<locals>.any_other": None,
    "build.<locals>.any_view": None,
    "build.<locals>.any_event": None,
}


VIEWS = {"home", "details", "silence", "silenced", "snooze_until", "comment", "rule", "rule_saved"}


def test_every_sub_command_and_every_listener_is_tried(here):
    assert set(COMMANDS) == set(NAMES)
    with overheard(here.context) as slack:
        assert slack.listeners == set(LISTENERS)


@pytest.mark.parametrize("channel", [CHANNEL, DIRECT], ids=["in a channel", "in direct messages"])
def test_a_stranger_learns_nothing_of_what_is_hidden(here, channel):
    with overheard(here.context) as slack:
        views: set[str] = set()
        for name, use in LISTENERS.items():
            if use is not None:
                use(slack, channel)
                told = slack.said()
                assert told, name
                assert around(told) == [], name
                views |= set(re.findall(r'"callback_id": ?"(\w+)"', told))
    assert views == VIEWS, "each of these is sent in above, or cannot be"


def around(told: str) -> list[str]:
    """Where the canary sings."""
    return re.findall(f".{{0,120}}{CANARY}.{{0,60}}", told, re.IGNORECASE)


def test_what_is_shared_is_what_everybody_in_the_channel_may_see(here):
    with overheard(here.context) as slack:
        for command in sorted(_SHAREABLE):
            texts = COMMANDS[command]
            for text in texts:
                slack.command(text, KNOWN)
            assert around(slack.said()) or command in {"spend", "chart"}, "whoever may see it, sees it"
            for text in (
                *texts,
                *(f"{text} canary-name" for text in texts),
                *(f"{text} source=canary-source" for text in texts),
            ):
                slack.click("share", text, KNOWN)
            public = [line for line in slack.said().splitlines() if '"in_channel"' in line]
            assert public, command
            assert around("\n".join(public)) == [], command


def test_a_chart_in_the_thread_is_one_that_everybody_in_the_channel_may_see(here):
    with overheard(here.context) as slack:
        for value in IDS:
            slack.click("chart", value, KNOWN)
        lines = slack.said().splitlines()
    posted = [line for line in lines if '"thread_ts"' in line]
    assert posted
    assert around("\n".join(posted)) == []
    assert around("\n".join(lines)), "whoever clicked sees it alone"


def test_a_hidden_name_is_answered_like_one_that_nobody_has(here):
    """Rules, AI LLMs, sources and ids."""
    asked = [
        "why {}",
        "mute {}",
        "unmute {}",
        "stats {}",
        "chart violations {}",
        "chart {}",
        "rules change {}",
        "rules delete {}",
    ]
    asked += [
        "silence {} 1h",
        "violations source={}",
        "violations ai_llm={}",
        "silence source={} 1h",
        "silence ai_llm={} 1h",
    ]
    with overheard(here.context) as slack:
        for text in asked:
            for name in ("canary-alone", "canary-source", "canary-llm", "stored-canary", "canary-name"):
                answers = []
                for typed in (name, "x" * len(name)):
                    slack.command(text.format(typed), STRANGER)
                    answers.append(re.sub(r"\*\d+\*|<[^>]*>|\d+", "", slack.said().replace(typed, "NAME")))
                assert answers[0] == answers[1], (text, name)


def test_a_name_that_a_hidden_rule_has_is_free_to_whoever_does_not_see_it(here):
    with overheard(here.context) as slack:
        for name in ("canary-alone", "stored-canary", "free"):
            slack.submit(STRANGER, **_rule_form(name=name, where="llm-1"))
            assert f"*{name}-u2* was created" in slack.said()
    with here.context.database.reading() as tx:
        made = here.context.book.kept(tx).stored["canary-alone-u2"]
    assert made.keys["where"] == {"ai_llm": ["llm-1"], "source": ["acme"]}


def test_a_rule_of_a_stranger_never_fires_for_what_is_hidden(here):
    with overheard(here.context) as slack:
        slack.submit(STRANGER, **_rule_form(name="all"))
        slack.submit(STRANGER, **_rule_form(name="hidden", where="source=canary-source"))
        refused = slack.said()
        slack.submit(STRANGER, **_rule_form(name="hidden", where="source=canary-sourcx"))
        assert refused.partition("errors")[2] == slack.said().partition("errors")[2].replace("sourcx", "source")
    here.scene.until(2)
    assert {one.labels["source"] for one in here.scene.alerts() if one.rule == "all-u2"} == {"acme"}
    assert not any(one.rule.startswith("hidden") for one in here.scene.alerts())


def test_a_silence_of_a_stranger_mutes_nothing_that_is_hidden(here):
    with overheard(here.context) as slack:
        for text in ("silence all 1h", "mute violation-burst", "silence source=c* 1h"):
            slack.command(text, STRANGER)
        assert "source=acme" in slack.said()
        slack.command("unmute both", STRANGER)
        assert "more than you can see" in slack.said()
    with here.context.database.reading() as tx:
        theirs = [one for one in silences.in_force(tx, here.scene.now) if one.author == STRANGER]
    assert len(theirs) == 3
    assert not any(one.covers({"source": "canary-source", "rule": "violation-burst"}, here.scene.now) for one in theirs)
