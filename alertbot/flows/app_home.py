"""Who looks at the app's Home, and whose has to be published anew. What it shows is asked as any other look-up is."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from alertbot.store import homes
from alertbot.store.database import Database
from alertbot.store.homes import Home

_WATCHED = timedelta(hours=1)  # whoever opened it this long ago may have it before their eyes still
_PAUSE = timedelta(seconds=10)  # between two publications of one Home: it is looked at, not read aloud
_MOST = 12  # Homes a time: Slack takes 100 calls of views.* a minute, and modals want some


def open_home(database: Database, user: str, *, page: int, now: datetime) -> None:
    """Note that somebody looks at a page of their Home, as it is published now."""
    with database.transaction() as tx:
        homes.opened(tx, user, page=page, shown=homes.fingerprint(tx, now), now=now)


def page_in_access(database: Database, user: str, *, now: datetime) -> int | None:
    """The page of their Home that somebody may have before their eyes; None if they have not opened it lately."""
    with database.reading() as tx:
        return homes.page_of(tx, user, opened_since=now - _WATCHED)


def stale_homes(database: Database, *, now: datetime) -> Sequence[Home]:
    """The Homes that no longer show how things stand. They count as published now: see `home_failed`."""
    with database.reading() as tx:
        if not homes.recently_opened(tx, since=now - _WATCHED):
            return []
        shown = homes.fingerprint(tx, now)
        found = homes.stale(tx, shown=shown, opened_since=now - _WATCHED, published_until=now - _PAUSE, most=_MOST)
    if not found:
        return []
    with database.transaction() as tx:
        return [home for home in found if homes.claim(tx, home, shown=shown, now=now)]


def home_failed(database: Database, user: str, *, for_good: bool) -> None:
    """Note that a Home was not published: it is tried again, or `for_good` not before somebody opens it."""
    with database.transaction() as tx:
        if for_good:
            homes.forget(tx, user)
        else:
            homes.mark_unpublished(tx, user)
