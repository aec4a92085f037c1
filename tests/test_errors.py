"""What people read of an error names no path, user, host or address; operators read all of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from alertbot import config
from alertbot.app import Bot
from alertbot.errors import AlertbotError, ConfigError, FlashbackBusy, FlashbackError, SlackBusy, SlackError, UsageError

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
    path = tmp_path / "config.yaml"
    path.write_text(
        f"database: {{url: 'sqlite:///{tmp_path}/secret-place.db'}}\n"
        "sources: [{name: acme, base_url: 'http://127.0.0.1:9', access_token: x}]\n",
        encoding="utf-8",
    )
    bot = Bot(config.load(path, {}, needs=()))
    assert bot.unready() == {"database": "the database is not available; try again in a minute"}
