"""App Home: what stands there for somebody, and publishing it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from slack_sdk import WebClient

from alertbot.domain.silences import Silence
from alertbot.domain.visibility import Sight
from alertbot.errors import SlackDestination, SlackError, SlackGone, SlackRejected
from alertbot.flows import homes
from alertbot.slack.desk import Desk
from alertbot.slack.failures import translated
from alertbot.slack.views import figures
from alertbot.slack.views.home import Board, home_view

log = structlog.get_logger()
# What will not be otherwise until somebody changes it: Home is switched off, the person is gone, Slack does not take it.
_FOR_GOOD = (SlackDestination, SlackGone, SlackRejected)


def board_of(desk: Desk) -> Board:
    """What stands in somebody's Home now."""
    now, silences = desk.clock(), desk.silences()
    return Board(
        user=desk.user,
        rows=desk.open_alerts(),
        status=desk.status(),
        silences=silences,
        on_call={name: one.who(now) for name, one in desk.on_call.items()},
        budgets=_budgets(desk),
        may_operate=desk.may_operate(),
        may_end=_may_end(desk, silences),
        command=desk.command,
        now=now,
    )


def _may_end(desk: Desk, silences: Sequence[Silence]) -> frozenset[int]:
    return frozenset(silence.number for silence in silences if desk.may_end(silence))


def _budgets(desk: Desk) -> list[dict[str, Any]]:
    budgets = desk.budgets()
    blocks: list[dict[str, Any]] = figures.budget_answer(budgets)["blocks"] if budgets.usages or budgets.notes else []
    return blocks


def opened(desk: Desk, client: WebClient, event: Mapping[str, Any]) -> None:
    """Publish the Home of somebody who looks at it. It is told for the tab of messages as well, which is not ours."""
    if event.get("tab") == "home":
        publish(desk.for_person(str(event.get("user"))), client, page=0)


def publish(desk: Desk, client: WebClient, *, page: int | None = None, note: str = "") -> None:
    """Show the person of the desk how things stand: a page of it, or the one that they look at. Never raises a SlackError.

    `note`, safe mrkdwn, stands on top: what became of a click.
    """
    now = desk.clock()
    if page is None:
        page = homes.page_in_sight(desk.database, desk.user, now=now) or 0
    homes.open_home(desk.database, desk.user, page=page, now=now)
    _show(desk, client, replace(board_of(desk), page=page, note=note))


def publish_if_in_sight(desk: Desk, client: WebClient) -> None:
    """Show the person of the desk what they did elsewhere, if they may have their Home before their eyes."""
    page = homes.page_in_sight(desk.database, desk.user, now=desk.clock())
    if page is not None:
        publish(desk, client, page=page)


def refresh(desk: Desk, client: WebClient) -> None:
    """Publish the Homes that people may look at and that no longer show how things stand."""
    boards: dict[Sight, Board] = {}  # those who see the same are shown the same
    for home in homes.stale_homes(desk.database, now=desk.clock()):
        person = desk.for_person(home.user)
        if person.sight not in boards:
            boards[person.sight] = board_of(person)
        board = boards[person.sight]
        may_operate, may_end = person.may_operate(), _may_end(person, board.silences)
        _show(
            person, client, replace(board, user=person.user, may_operate=may_operate, may_end=may_end, page=home.page)
        )


def _show(desk: Desk, client: WebClient, board: Board) -> None:
    try:
        with translated("views.publish"):
            client.views_publish(user_id=desk.user, view=home_view(board))
    except SlackError as error:
        for_good = isinstance(error, _FOR_GOOD)
        log.warning("home_not_published", user=desk.user, code=error.code, why=error.lines[0])
        homes.home_failed(desk.database, desk.user, for_good=for_good)
