"""`backfill`: every source's own history, feed by feed."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from functools import partial

from alertbot.app.access import reader_of, refreshers_of
from alertbot.app.feeds import resolutions_of
from alertbot.app.http import Metrics
from alertbot.app.process_id import name_of_this_process
from alertbot.clock import SteadyClock
from alertbot.config import Config
from alertbot.domain.datasets import feed_name
from alertbot.domain.points import Resolution
from alertbot.errors import AlertbotError, FlashbackError
from alertbot.flows.backfill import Progress, backfill
from alertbot.store import migrate
from alertbot.store.database import Database


def backfill_all(config: Config, database: Database, *, since: datetime, now: datetime) -> Iterator[Progress]:
    """Read the points of every source back to a moment. Raises AlertbotError, with what is done kept, where one fails."""
    collecting = [source for source in config.sources if resolutions_of(source)]
    if not collecting:
        raise AlertbotError(
            "there is nothing to read: no source collects ai_minutes, ai_days, storage_minutes or storage_days"
        )
    migrate.upgrade(database)
    clock, metrics = SteadyClock(database.now), Metrics()
    clock.check()
    keep = {Resolution.MINUTE: config.database.keep.raw, Resolution.HOUR: config.database.keep.hourly}
    refreshers = refreshers_of(
        config, database, owner=name_of_this_process(), clock=clock, metrics=metrics, at_once=True
    )
    for source in collecting:
        reader = reader_of(source, clock=clock, metrics=metrics, refresher=refreshers.get(source.name))
        with closing(reader):
            for dataset in resolutions_of(source):
                feed = feed_name(source.name, dataset)
                try:
                    ask = partial(reader.client.points, dataset)
                    yield from backfill(database, feed, ask, since=since, now=now, keep=keep)
                except FlashbackError as error:
                    raise AlertbotError(f"{feed}: {error.lines[0]}; run it again to continue from there") from error
