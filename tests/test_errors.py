"""What people read of an error names no path, user, host or address; operators read all of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alertbot.app.http import Metrics
from alertbot.app.probes import Probes
from alertbot.errors import (
    AlertbotError,
    ConfigError,
    FlashbackBusy,
    FlashbackError,
    SlackBusy,
    SlackError,
    StoreError,
    UsageError,
)
from alertbot.store.database import Database

CANARY = "postgresql://alertbot:hush@db.internal:5432/x in /var/lib/alertbot"
# What these say is about what the person wrote themselves.
OF_THE_PERSON = (UsageError, ConfigError)


def kinds(parent: type[AlertbotError] = AlertbotError) -> Iterator[type[AlertbotError]]:
    yield parent
    for child in parent.__subclasses__():
        yield from kinds(child)


def made(kind: type[AlertbotError]) -> AlertbotError:
    if issubclass(kind, FlashbackBusy):
        return kind("the server failed (500)", endpoint="/x", retry_after=None, detail=f": {CANARY}")
    if issubclass(kind, FlashbackError):
        return kind("the server failed (500)", endpoint="/x", detail=f": {CANARY}")
    if issubclass(kind, SlackBusy):
        return kind(CANARY, code="ratelimited", retry_after=1.0)
    if issubclass(kind, SlackError):
        return kind(CANARY, code="fatal_error")
    return kind(CANARY)


@pytest.mark.parametrize("kind", [kind for kind in kinds() if not issubclass(kind, OF_THE_PERSON)])
def test_people_read_a_sentence_and_operators_the_rest(kind):
    error = made(kind)
    assert CANARY in " ".join(error.lines)
    assert error.public
    assert not any(part in error.public for part in ("hush", "db.internal", "/var", "alertbot:"))


def test_readyz_does_not_say_where_the_database_is(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/secret-place.db")  # without a schema, nothing can be read of it
    probes = Probes(
        database,
        Metrics(),
        {"acme": timedelta(seconds=60)},
        needs_sources=True,
        clock=lambda: datetime(2026, 1, 5, tzinfo=UTC),
        database_error=lambda: "",
        slack_error=lambda refused: refused,
    )
    with pytest.raises(StoreError):
        probes.check_readiness()
    assert probes.not_ready_reasons() == {"database": "the database is not available; try again in a minute"}
