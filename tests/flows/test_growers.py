"""Who is behind the growth of tokens and money: the users, models and keys that a message names, by its route's privacy."""

from dataclasses import replace
from fractions import Fraction

import pytest

from alertbot.domain.evidence import Privacy
from alertbot.domain.notifications import AlertMessage
from alertbot.domain.points import LabelSet, Point
from alertbot.domain.prices import Prices
from alertbot.domain.privacy import alias
from alertbot.domain.rules import Rule, Selector
from alertbot.store.database import Database
from tests.builders import absence, at, budget, rule, threshold
from tests.flows.scene import AT_ONCE, CHANNEL
from tests.flows.test_points import QUIET, FewPrices, PointScene

ANA, BEN = "user-1111-aaaa", "user-2222-bbbb"
GPT = LabelSet("llm-1", "OPENAI", "gpt-4o", user=ANA, api_key="key-1")
USED = (
    (2, 900, GPT),
    (2, 100, replace(GPT, user=BEN, model="gpt-4o-mini", api_key="")),
    (3, 50, replace(GPT, user="", api_key="")),  # nobody knows whose
    (3, 7000, replace(GPT, ai_llm="llm-2", user="user-3333-cccc")),  # of another LLM
)
BURST = rule(threshold("tokens", above=500, window="10m"))
MONEY = rule(replace(budget(), metric="spend_usd", amount=Fraction(1, 1000)), per="source")
TO_ONE_LLM = Selector((("ai_llm", ("llm-1",)),))


def message(database: Database, watched: Rule, *, privacy: str = "full", until: float = 4) -> AlertMessage:
    """The message about llm-1, or about the first alert there is."""
    found = [Point(at(minute), of, {"tokens_in": amount, "tokens_out": 0}) for minute, amount, of in USED]
    scene = PointScene(database, QUIET, watched, found=found, without_totals=True)
    prices = Prices(FewPrices())
    scene.context = replace(scene.context, routes=(replace(AT_ONCE, privacy=privacy),), prices=prices)
    scene.delivery = replace(
        scene.delivery, rules=scene.context.rules, intervals=scene.context.intervals, prices=prices
    )
    scene.until(until)
    alert_message = scene.slack.posted(CHANNEL)[0].alert_message
    assert alert_message is not None
    return alert_message


def named(alert_message: AlertMessage) -> dict[str, list[tuple[str, Fraction | int]]]:
    return {growers.by: [(each.name, each.amount) for each in growers.first] for growers in alert_message.growers}


def in_all(alert_message: AlertMessage) -> list[int]:
    return [growers.in_all for growers in alert_message.growers]


def test_an_alert_about_tokens_names_who_used_them_and_nobody_of_another_llm(sqlite: Database) -> None:
    alert_message = message(sqlite, replace(BURST, where=TO_ONE_LLM))
    assert named(alert_message) == {
        "user": [(ANA, 900), (BEN, 100)],
        "model": [("gpt-4o", 950), ("gpt-4o-mini", 100)],
        "api_key": [("key-1", 900)],
    }
    assert alert_message.growers_since is not None
    assert (alert_message.growers_since <= at(2), alert_message.growers_until) == (True, None)


def test_an_alert_about_money_names_what_each_has_spent(sqlite: Database) -> None:
    alert_message = message(sqlite, MONEY)
    assert named(alert_message)["model"][0] == ("gpt-4o", Fraction(7950 * 5, 2_000_000))


def test_an_alert_about_one_user_names_only_that_users_models_and_keys(sqlite: Database) -> None:
    alert_message = message(sqlite, replace(BURST, per="user", where=Selector((("user", (ANA,)),))))
    assert named(alert_message) == {"user": [(ANA, 900)], "model": [("gpt-4o", 900)], "api_key": [("key-1", 900)]}


@pytest.mark.parametrize("privacy", [Privacy.MASKED, Privacy.COUNTS])
def test_a_route_that_names_nobody_names_no_grower(sqlite: Database, privacy: Privacy) -> None:
    alert_message = message(sqlite, replace(BURST, where=TO_ONE_LLM), privacy=privacy.value)
    assert in_all(alert_message) == [2, 2, 1]
    if privacy is Privacy.COUNTS:
        assert named(alert_message) == {"user": [], "model": [], "api_key": []}
    else:
        masked = [alias("acme", "user", user, name="", privacy=privacy) for user in (ANA, BEN)]
        assert [name for name, _ in named(alert_message)["user"]] == masked
        assert not any(secret in str(alert_message.growers) for secret in (ANA, BEN, "key-1"))


@pytest.mark.parametrize(
    "watched",
    [
        pytest.param(
            rule(threshold("policy_violations", at_least=1, window="10m"), per="source"), id="what has evidence"
        ),
        pytest.param(rule(absence("tokens_in", window="2m")), id="what did not grow"),
    ],
)
def test_other_alerts_name_no_grower(sqlite: Database, watched: Rule) -> None:
    scene = PointScene(sqlite, "0 5 5x50", watched, found=[Point(at(2), GPT, {"tokens_in": 5, "tokens_out": 0})])
    scene.delivery = replace(scene.delivery, rules=scene.context.rules, intervals=scene.context.intervals)
    scene.until(8)
    assert all(
        post.alert_message is not None and post.alert_message.growers == () for post in scene.slack.posted(CHANNEL)
    )
