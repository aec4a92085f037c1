"""App Home: its content for a person, and publishing it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from slack_sdk import WebClient

from alertbot.domain.silences import Silence
from alertbot.domain.visibility import AccessScope
from alertbot.errors import SlackDestination, SlackError, SlackGone, SlackRejected
from alertbot.flows import app_home
from alertbot.slack.context import RequestContext
from alertbot.slack.errors import translate_errors
from alertbot.slack.views import analytics
from alertbot.slack.views.home import HomeData, home_view

log = structlog.get_logger()
# Failures that last until somebody acts: Home is disabled, the person is gone, Slack rejects the view.
_FOR_GOOD = (SlackDestination, SlackGone, SlackRejected)


def home_data_of(context: RequestContext) -> HomeData:
    """The present content of a person's Home."""
    now, silences = context.clock(), context.silences()
    return HomeData(
        user=context.user,
        rows=context.open_alerts(),
        status=context.status(),
        silences=silences,
        on_call={name: rotation.who(now) for name, rotation in context.on_call.items()},
        budgets=_budgets(context),
        may_operate=context.may_operate(),
        may_end=_may_end(context, silences),
        command=context.command,
        now=now,
    )


def _may_end(context: RequestContext, silences: Sequence[Silence]) -> frozenset[int]:
    return frozenset(silence.number for silence in silences if context.may_end(silence))


def _budgets(context: RequestContext) -> list[dict[str, Any]]:
    budgets = context.budgets()
    blocks: list[dict[str, Any]] = (
        analytics.budget_response(budgets)["blocks"] if budgets.usages or budgets.notes else []
    )
    return blocks


def opened(context: RequestContext, client: WebClient, event: Mapping[str, Any]) -> None:
    """Publish the Home of a person who opened it. Slack sends this event for the Messages tab, too."""
    if event.get("tab") == "home":
        publish(context.for_person(str(event.get("user"))), client, page=0)


def publish(context: RequestContext, client: WebClient, *, page: int | None = None, note: str = "") -> None:
    """Publish Home for the person of the context, at `page` or at the page they are on. Never raises a SlackError.

    `note`, safe mrkdwn, is the result of a click and stands on top.
    """
    now = context.clock()
    if page is None:
        page = app_home.page_in_access(context.database, context.user, now=now) or 0
    app_home.open_home(context.database, context.user, page=page, now=now)
    _show(context, client, replace(home_data_of(context), page=page, note=note))


def publish_if_in_access(context: RequestContext, client: WebClient) -> None:
    """Publish Home for the person of the context, if they may have it open."""
    page = app_home.page_in_access(context.database, context.user, now=context.clock())
    if page is not None:
        publish(context, client, page=page)


def refresh(context: RequestContext, client: WebClient) -> None:
    """Publish the Homes that people may have open and that are outdated."""
    boards: dict[AccessScope, HomeData] = {}  # those who see the same are shown the same
    for home in app_home.stale_homes(context.database, now=context.clock()):
        person = context.for_person(home.user)
        if person.access not in boards:
            boards[person.access] = home_data_of(person)
        board = boards[person.access]
        may_operate, may_end = person.may_operate(), _may_end(person, board.silences)
        _show(
            person, client, replace(board, user=person.user, may_operate=may_operate, may_end=may_end, page=home.page)
        )


def _show(context: RequestContext, client: WebClient, board: HomeData) -> None:
    try:
        with translate_errors("views.publish"):
            client.views_publish(user_id=context.user, view=home_view(board))
    except SlackError as error:
        for_good = isinstance(error, _FOR_GOOD)
        log.warning("home_not_published", user=context.user, code=error.code, why=error.lines[0])
        app_home.home_failed(context.database, context.user, for_good=for_good)
