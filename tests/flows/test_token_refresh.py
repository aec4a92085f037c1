"""Access goes on as long as it can: tokens are exchanged in time, once, by one; what cannot be mended is told at once."""

import base64
import json
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import stamina

from alertbot.demo.flashback.server import FlashbackServer
from alertbot.demo.flashback.traffic import World
from alertbot.errors import (
    ConfigError,
    FlashbackBusy,
    FlashbackError,
    FlashbackRefused,
    FlashbackUnavailable,
    StoreError,
)
from alertbot.flashback.client import FlashbackClient
from alertbot.flashback.tokens import LOGIN, REFRESH, Credentials, TokenServer
from alertbot.flows.token_refresh import Account, TokenRefresher, open_box
from alertbot.store import outbox
from alertbot.store.database import Database
from alertbot.store.secret_box import SecretBox
from alertbot.store.tables import credentials
from tests.builders import MINUTE, START
from tests.captured_log import captured_log
from tests.fakes import KilledError
from tests.store.racing import in_threads

STATS = "/ai/llm/stats"
BOX, OTHER_BOX = SecretBox("the key of these tests"), SecretBox("the key of somebody else")
HOUR = 60 * MINUTE


@dataclass
class Office:
    """Flashback, a database, and any number of processes that read from the one and store in the other."""

    database: Database
    server: FlashbackServer
    now: datetime = START
    interval: timedelta = MINUTE
    waited: list[float] = field(default_factory=list)
    while_waiting: Callable[[], object] = lambda: None
    asked: Callable[[str], None] = lambda endpoint: None

    @property
    def refreshing(self) -> Credentials:
        return Credentials(refresh_token=self.server.refresh_token)

    @property
    def logging_in(self) -> Credentials:
        return Credentials(email=self.server.email, password=self.server.password)

    def process(self, given: Credentials, *, box: SecretBox = BOX, owner: str = "one", **more: Any) -> TokenRefresher:
        def wait(seconds: float) -> None:
            self.waited.append(seconds)
            self.now += timedelta(seconds=seconds)
            self.while_waiting()

        server = TokenServer(
            self.server.url,
            timeout=5 * timedelta(seconds=1),
            now=lambda: self.now,
            on_request=lambda endpoint, _outcome, _seconds: self.asked(endpoint),
        )
        return TokenRefresher(
            self.database,
            Account("acme", given, self.interval, timedelta(seconds=5)),
            server,
            box,
            owner=owner,
            operators="#bots",
            clock=lambda: self.now,
            pause=wait,
            **more,
        )

    def read(self, refresher: TokenRefresher) -> None:
        """Poll the source once."""
        with FlashbackClient(
            self.server.url,
            access_token=refresher.access_token,
            on_refused=refresher.renew,
            timeout=timedelta(seconds=5),
            now=lambda: self.now,
        ) as client:
            client.totals()

    def poll(self, refresher: TokenRefresher, *, minutes: float) -> list[str]:
        """Poll once a minute for so long: how each poll ended."""
        ended = []
        for _ in range(round(minutes)):
            self.now += MINUTE
            try:
                self.read(refresher)
                ended.append("read")
            except FlashbackError as error:
                ended.append(error.kind)
        return ended

    def told(self) -> list[str]:
        with self.database.reading() as tx:
            return [line for _, notification in outbox.sent_notifications(tx) for line in notification.lines]

    def row(self) -> sa.RowMapping:
        with self.database.reading() as tx:
            return tx.execute(sa.select(credentials)).mappings().one()

    @property
    def exchanges(self) -> int:
        return self.server.count(REFRESH) + self.server.count(LOGIN)


@pytest.fixture(autouse=True)
def _one_attempt() -> Iterator[None]:
    """A request that fails is not made again by the poll itself, which would only take time here."""
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    yield from opened(database)


@pytest.fixture
def small_office(sqlite: Database) -> Iterator[Office]:
    """For what has nothing to do with the kind of database."""
    yield from opened(sqlite)


def opened(database: Database) -> Iterator[Office]:
    server = FlashbackServer(World.still(["llm-1"], start=START), clock=lambda: opened_office.now)
    opened_office = Office(database, server)
    with server:
        yield opened_office


def jwt(**claims: object) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in ({}, claims))
    return f"{'.'.join(parts)}.signature"


def issue(office: Office, path: str = REFRESH, *, times: int | None = 1, **fields: object) -> None:
    """Let Flashback answer the next exchange with this."""
    office.server.fail(path, 200, body={"success": True, **fields}, times=times)


# --- the ordinary life of a token


def test_a_refresh_token_brings_the_first_access_token_and_its_successor_is_stored(office):
    office.read(office.process(office.refreshing))
    assert office.exchanges == 1
    (sent,) = [seen.body for seen in office.server.requests if seen.path == REFRESH]
    assert sent == {"refreshToken": office.server.refresh_token, "refresh_token": office.server.refresh_token}
    row = office.row()
    assert row["expires_at"] == office.now + HOUR
    assert office.server._tokens._refresh == {BOX.decrypt(row["refresh_token"])}


def test_nothing_in_the_database_can_be_read_without_the_key(office):
    given = replace(office.refreshing, access_token=office.server.token)
    office.server.expire_tokens()
    office.read(office.process(given))
    tokens = [*office.server._tokens._access, *office.server._tokens._refresh]
    with office.database.reading() as tx:
        stored = " ".join(str(value) for value in tx.execute(sa.select(credentials)).one())
    for secret in (*tokens, given.access_token, given.refresh_token):
        assert secret not in stored
        assert base64.b64encode(secret.encode()).decode() not in stored


def test_an_access_token_that_is_configured_is_used_until_flashback_refuses_it(office):
    refresher = office.process(replace(office.refreshing, access_token=office.server.token))
    assert office.poll(refresher, minutes=3) == ["read"] * 3
    assert office.exchanges == 0
    office.server.expire_tokens()
    assert office.poll(refresher, minutes=3) == ["read"] * 3
    assert office.exchanges == 1
    assert office.told() == []


def test_tokens_are_exchanged_before_they_expire_so_that_no_request_is_refused(small_office):
    refresher = small_office.process(small_office.refreshing)
    assert small_office.poll(refresher, minutes=250) == ["read"] * 250
    assert small_office.exchanges == 6, "the first, and one each 48 minutes"
    assert small_office.server.count(STATS) == 250, "none was made twice"


@pytest.mark.parametrize(
    ("ends", "due_minutes"),
    {
        "seconds": (int((START + HOUR).timestamp()), 48),
        "milliseconds": (int((START + HOUR).timestamp() * 1000), 48),
        "digits": (str(int((START + HOUR).timestamp())), 48),
        "ISO 8601": ((START + HOUR).isoformat(), 48),
        "a fraction": ((START + HOUR).timestamp() + 0.5, 48),
        "nothing": (None, None),
        "the past": (int((START - HOUR).timestamp()), None),
        "nonsense": ("tomorrow", None),
        "a number that no date has": (10**30, None),
        "true": (True, None),
    }.values(),
    ids=str,
)
def test_the_end_of_a_token_is_read_however_it_is_written(small_office, ends, due_minutes):
    issue(small_office, accessToken="opaque", refreshToken="R1", expiresAt=ends)
    issue(small_office, accessToken="fresh", refreshToken="R2")
    refresher = small_office.process(small_office.refreshing)
    assert refresher.access_token() == "opaque"
    small_office.now += ((due_minutes or 10_000) - 0.1) * MINUTE
    assert refresher.access_token() == "opaque"
    small_office.now += 0.2 * MINUTE
    assert refresher.access_token() == ("fresh" if due_minutes else "opaque")


@pytest.mark.parametrize("skew", [-24, -0.95, 0.95, 24])
def test_a_clock_that_differs_from_flashback_s_changes_nothing(small_office, skew):
    """The life of a token is a length of time, which its own two moments tell."""
    began = START.timestamp() + skew * 3600
    issue(small_office, accessToken=jwt(iat=began, exp=began + 3600), refreshToken="R1")
    issue(small_office, accessToken="fresh", refreshToken="R2")
    refresher = small_office.process(small_office.refreshing)
    refresher.access_token()
    small_office.now += 47 * MINUTE
    assert refresher.access_token() != "fresh"
    small_office.now += 2 * MINUTE
    assert refresher.access_token() == "fresh"


def test_a_configured_token_that_ends_soon_is_exchanged_before_it_is_used(small_office):
    ends = int((START + HOUR).timestamp())
    given = replace(small_office.refreshing, access_token=jwt(exp=ends))
    refresher = small_office.process(given)
    small_office.now = START + 58 * MINUTE
    assert refresher.access_token() == given.access_token
    small_office.now = START + 59.5 * MINUTE
    assert refresher.access_token() != given.access_token


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "a.!!!.c", f"a.{'A' * 3}.c", jwt(exp="soon"), jwt(exp=None)])
def test_a_configured_token_that_tells_nothing_of_its_end_is_used_as_it_is(small_office, token):
    given = replace(small_office.refreshing, access_token=token or "x")
    assert small_office.process(given).access_token() == given.access_token


def test_a_server_that_does_not_replace_refresh_tokens_is_fine(small_office):
    issue(small_office, times=None, accessToken="fresh")
    refresher = small_office.process(small_office.refreshing)
    assert refresher.access_token() == "fresh"
    assert BOX.decrypt(small_office.row()["refresh_token"]) == small_office.server.refresh_token


# --- restarts, and other configurations


def test_after_a_restart_the_stored_tokens_count_not_the_used_up_one_of_the_configuration(office):
    given = replace(office.refreshing, access_token=office.server.token)
    office.server.expire_tokens()
    office.read(office.process(given))
    for turn in range(2, 5):
        office.read(office.process(given))
        assert office.exchanges == turn - 1
        office.server.expire_tokens()
        office.now += MINUTE
        office.read(office.process(given))
        assert office.exchanges == turn
    assert office.told() == []


def test_a_refresh_token_that_is_new_in_the_configuration_counts(office):
    office.read(office.process(Credentials(refresh_token=office.server.refresh_token)))
    issue(office, accessToken="of-the-new-one")
    assert office.process(Credentials(refresh_token="new")).access_token() == "of-the-new-one"
    assert office.server.requests[-1].body["refreshToken"] == "new"


def test_an_access_token_that_is_new_in_the_configuration_counts_and_the_stored_refresh_token_stays(office):
    given = office.refreshing
    office.read(office.process(given))
    refresher = office.process(replace(given, access_token="new"))
    assert refresher.access_token() == "new"
    office.read(refresher)
    assert office.exchanges == 2, "the successor of the configured one was used"


def test_a_process_with_an_older_configuration_does_not_undo_the_newer_one(office):
    before = office.process(office.refreshing)
    office.read(before)
    after = office.process(Credentials(refresh_token="new"), owner="two")
    with pytest.raises(FlashbackUnavailable, match="are older than those of another process: restart this one"):
        before.renew(before.access_token())
    issue(office, accessToken="of-the-new-one")
    assert after.access_token() == "of-the-new-one"
    assert before.renew("refused by now")
    assert before.access_token() == "of-the-new-one"


# --- one at a time


def test_many_threads_exchange_once(office):
    refresher = office.process(replace(office.refreshing, access_token=office.server.token))
    office.server.expire_tokens()
    office.server.delay(REFRESH, 0.05)
    in_threads(8, lambda _: office.read(refresher))
    assert office.exchanges == 1
    assert office.told() == []


def test_many_processes_exchange_once(office):
    given = office.refreshing
    refreshers = [office.process(given, owner=f"process {number}") for number in range(4)]
    turn = threading.Event()
    for refresher in refreshers:
        refresher._pause = lambda seconds: turn.wait(0.02)
    office.server.delay(REFRESH, 0.1)
    tokens = in_threads(4, lambda number: refreshers[number].access_token())
    assert len(set(tokens)) == 1
    assert office.exchanges == 1
    assert office.told() == []


def test_whoever_comes_second_takes_the_tokens_that_the_first_brought(office):
    given = replace(office.refreshing, access_token=office.server.token)
    one, two = office.process(given), office.process(given, owner="two")
    assert one.access_token() == two.access_token()
    office.server.expire_tokens()
    office.read(one)
    office.read(two)
    assert office.exchanges == 1
    office.now += 50 * MINUTE
    office.read(two)
    office.read(one)
    assert office.exchanges == 2


def test_in_good_time_nobody_waits_for_another_process(office):
    one, two = office.process(office.refreshing), office.process(office.refreshing, owner="two")
    office.read(one)
    office.read(two)
    office.now += 50 * MINUTE
    office.asked = lambda endpoint: office.read(two) if endpoint == REFRESH else None
    office.read(one)
    assert office.waited == []
    assert office.exchanges == 2


def test_whoever_died_while_it_exchanged_is_not_waited_for_longer_than_that_takes(office):
    given = replace(office.refreshing, access_token=office.server.token)
    dying, other = office.process(given), office.process(given, owner="two")
    office.server.expire_tokens()
    office.server.fail(REFRESH, 503, times=1)  # so it did not arrive
    office.asked = die_at(REFRESH)
    with pytest.raises(KilledError):
        office.read(dying)
    office.asked = lambda endpoint: None
    office.read(other)
    assert 11 <= sum(office.waited) <= 13
    assert office.told() == []


def die_at(path: str) -> Callable[[str], None]:
    """The process is killed when Flashback has answered and nothing is stored yet."""

    def die(endpoint: str) -> None:
        if endpoint == path:
            raise KilledError

    return die


# --- what goes wrong on the way


def test_a_refresh_token_that_was_lost_in_a_crash_is_tried_once_more_and_then_told(office):
    office.asked = die_at(REFRESH)
    with pytest.raises(KilledError):
        office.read(office.process(office.refreshing))
    office.asked = lambda endpoint: None
    office.now += MINUTE
    with pytest.raises(FlashbackRefused, match=r"the refresh token is wrong, was used before or has expired \(401\)"):
        office.read(office.process(office.refreshing))
    assert office.exchanges == 2
    assert len(office.told()) == 1


def test_a_refresh_token_that_was_lost_in_a_crash_is_replaced_by_a_login_where_there_is_one(office):
    refresher = office.process(office.logging_in)
    office.read(refresher)
    office.server.expire_tokens()
    office.now += MINUTE
    office.asked = die_at(REFRESH)
    with pytest.raises(KilledError):
        office.read(refresher)
    office.asked = lambda endpoint: None
    office.now += MINUTE
    office.read(office.process(office.logging_in))
    assert (office.server.count(LOGIN), office.server.count(REFRESH)) == (2, 2)
    assert office.told() == []


def test_tokens_that_cannot_be_stored_are_not_used_and_not_lost(small_office):
    office = small_office
    refresher = office.process(office.refreshing)
    office.asked = lambda endpoint: move_table(office, "credentials", "away") if endpoint == REFRESH else None
    for _ in range(2):
        with pytest.raises(StoreError):
            office.read(refresher)
    assert office.server.count(STATS) == 0, "not used before it is stored"
    move_table(office, "away", "credentials")
    office.read(refresher)
    assert office.exchanges == 1
    assert office.told() == []


def move_table(office: Office, before: str, after: str) -> None:
    with office.database.transaction() as tx:
        tx.execute(sa.text(f"ALTER TABLE {before} RENAME TO {after}"))


def test_whoever_was_frozen_after_the_answer_still_brings_the_only_tokens_that_work(office):
    one, two = office.process(office.refreshing), office.process(office.refreshing, owner="two")

    def meanwhile(endpoint: str) -> None:
        office.asked = lambda endpoint: None
        office.now += MINUTE  # its lease is over
        with pytest.raises(FlashbackRefused):
            office.read(two)

    office.asked = meanwhile
    office.read(one)
    assert len(office.told()) == 2, "told, and taken back"
    office.read(two)
    assert office.exchanges == 2


FAILURES: dict[str, tuple[Callable[[FlashbackServer], None], type[FlashbackError]]] = {
    "503": (lambda server: server.fail(REFRESH, 503), FlashbackUnavailable),
    "500": (lambda server: server.fail(REFRESH, 500), FlashbackUnavailable),
    "408": (lambda server: server.fail(REFRESH, 408), FlashbackUnavailable),
    "429": (lambda server: server.fail(REFRESH, 429, retry_after=30), FlashbackBusy),
    "a page of a proxy": (lambda server: server.answer_html(REFRESH, 200), FlashbackUnavailable),
    "nothing": (lambda server: server.answer_nothing(REFRESH), FlashbackUnavailable),
    "a reset": (lambda server: server.reset_connection(REFRESH), FlashbackUnavailable),
    "a redirect": (lambda server: server.fail(REFRESH, 302), FlashbackError),
    "a list": (lambda server: server.fail(REFRESH, 200, body=b'["eyJhbGciOi"]'), FlashbackError),
    "a text": (lambda server: server.fail(REFRESH, 200, body=b'"eyJhbGciOi"'), FlashbackError),
    "no token": (lambda server: server.fail(REFRESH, 200, body={"success": True}), FlashbackError),
    "a token with a line end": (lambda server: server.fail(REFRESH, 200, body={"accessToken": "a\nb"}), FlashbackError),
    "a token that is a number": (lambda server: server.fail(REFRESH, 200, body={"accessToken": 5}), FlashbackError),
    "a refresh token that is none": (
        lambda server: server.fail(REFRESH, 200, body={"accessToken": "eyJhbGciOi", "refreshToken": ["eyJhbGciOi"]}),
        FlashbackError,
    ),
}


@pytest.mark.parametrize(("fail", "kind"), FAILURES.values(), ids=FAILURES.keys())
def test_what_may_pass_by_itself_is_tried_by_each_poll_once_and_not_told(small_office, fail, kind):
    office = small_office
    refresher = office.process(office.refreshing)
    fail(office.server)
    for turn in (1, 2, 3):
        office.now += MINUTE
        for _ in range(3):  # as many requests as a poll may make
            with pytest.raises(kind) as caught:
                office.read(refresher)
            assert not isinstance(caught.value, FlashbackRefused)
            assert "eyJ" not in str(caught.value)
        assert office.exchanges == turn
    office.server.clear()
    office.now += MINUTE
    office.read(refresher)
    assert office.told() == []


def test_as_long_as_a_token_works_a_failed_exchange_harms_nobody(small_office):
    office = small_office
    refresher = office.process(office.refreshing)
    office.read(refresher)
    office.server.fail(REFRESH, 503)
    ended = office.poll(refresher, minutes=62)
    assert ended == ["read"] * 59 + ["unavailable"] * 3
    assert office.exchanges == 1 + 15, "once a minute, from 48 minutes on"
    office.server.clear()
    assert office.poll(refresher, minutes=1) == ["read"]
    assert office.told() == []


# --- refusals


@pytest.mark.parametrize("status", [401, 403, 400, 404])
def test_a_refused_refresh_is_told_at_once_and_once_tried_seldom_and_taken_back(office, status):
    refresher = office.process(office.refreshing)
    office.server.fail(REFRESH, status, body={"success": False, "message": "<!channel> no"})
    assert office.poll(refresher, minutes=1) == ["refused"]
    (told,) = office.told()
    assert told.startswith("acme cannot be read now: ")
    assert str(status) in told
    assert office.poll(refresher, minutes=60) == ["refused"] * 60
    assert office.exchanges == 1 + 6, "after 2, 4, 8, 15, 15 and 15 minutes"
    assert office.told() == [told]
    office.server.clear()
    office.poll(refresher, minutes=15)
    assert office.poll(refresher, minutes=1) == ["read"]
    assert office.told() == [told, "Flashback gives acme access tokens again. It could get none since 00:01 UTC."]


def test_a_200_that_says_no_is_a_refusal(small_office):
    small_office.server.refuse(REFRESH, "Session was revoked")
    with pytest.raises(FlashbackRefused, match="Session was revoked"):
        small_office.read(small_office.process(small_office.refreshing))
    assert len(small_office.told()) == 1


def test_the_pause_after_a_refusal_outlives_restarts(office):
    office.server.fail(REFRESH, 401)
    for _ in range(5):
        with pytest.raises(FlashbackRefused):
            office.read(office.process(office.refreshing))
    assert office.exchanges == 1
    assert len(office.told()) == 1


def test_a_person_who_asks_does_not_wait_for_the_pause(office):
    office.server.fail(REFRESH, 401, times=1)
    with pytest.raises(FlashbackRefused):
        office.read(office.process(office.refreshing))
    office.read(office.process(office.refreshing, at_once=True))


def test_new_credentials_end_the_trouble(office):
    office.server.fail(REFRESH, 401, times=1)
    with pytest.raises(FlashbackRefused):
        office.read(office.process(office.refreshing))
    office.read(office.process(replace(office.refreshing, access_token=office.server.token)))
    assert office.told()[1:] == ["acme was given new credentials. It could get none since 00:00 UTC."]


def test_a_refusal_in_good_time_is_told_while_the_source_is_still_read(small_office):
    office = small_office
    refresher = office.process(office.refreshing)
    office.read(refresher)
    office.server.fail(REFRESH, 401)
    ended = office.poll(refresher, minutes=62)
    assert ended == ["read"] * 59 + ["refused"] * 3
    (told,) = office.told()
    assert told.startswith("acme cannot be read after 01:00 UTC: the refresh token is wrong")
    assert office.exchanges == 1 + 4, "at 48, 50, 54 and 62 minutes"


def test_a_token_that_was_refused_before_its_end_is_not_said_to_be_good(small_office):
    office = small_office
    refresher = office.process(office.refreshing)
    office.read(refresher)
    office.server.expire_tokens()
    office.server.fail(REFRESH, 401)
    assert office.poll(refresher, minutes=10) == ["refused"] * 10
    (told,) = office.told()
    assert told.startswith("acme cannot be read now: ")
    assert office.exchanges == 1 + 3, "after 1, 3 and 7 minutes"


def test_flashback_that_refuses_every_access_token_does_not_use_up_refresh_tokens(small_office):
    office = small_office
    refresher = office.process(office.refreshing)
    office.server.fail(STATS, 401)
    assert office.poll(refresher, minutes=60) == ["refused"] * 60
    assert office.exchanges <= 9
    office.server.clear()
    assert office.poll(refresher, minutes=120) == ["read"] * 120


def test_a_login_is_made_at_first_and_when_the_refresh_is_refused(office):
    refresher = office.process(office.logging_in)
    office.read(refresher)
    assert (office.server.count(LOGIN), office.server.count(REFRESH)) == (1, 0)
    office.now += 50 * MINUTE
    office.read(refresher)
    assert (office.server.count(LOGIN), office.server.count(REFRESH)) == (1, 1)
    office.server.fail(REFRESH, 401)
    office.now += 50 * MINUTE
    office.read(refresher)
    assert (office.server.count(LOGIN), office.server.count(REFRESH)) == (2, 2)
    assert office.told() == []


def test_a_wrong_password_is_told_and_a_right_one_is_tried_at_once(office):
    given = replace(office.logging_in, password="guessed wrongly")
    with pytest.raises(FlashbackRefused, match=r"email or password is wrong \(401\): Invalid credentials"):
        office.read(office.process(given))
    assert len(office.told()) == 1
    office.read(office.process(office.logging_in))
    assert len(office.told()) == 2


# --- the key


def test_a_key_that_does_not_fit_is_one_clear_line_and_no_refresh_token_is_used_up(office):
    office.read(office.process(office.refreshing))
    for _ in range(3):
        with pytest.raises(ConfigError) as caught:
            office.process(office.refreshing, box=OTHER_BOX)
        (line,) = caught.value.lines
        assert line.startswith("database.key: the tokens of acme were stored with another key: ")
    assert office.exchanges == 1
    office.read(office.process(office.refreshing))


def test_new_credentials_can_be_stored_with_another_key(office):
    office.read(office.process(office.refreshing))
    office.read(office.process(office.logging_in, box=OTHER_BOX))
    assert OTHER_BOX.decrypt(office.row()["refresh_token"])


def test_processes_with_different_keys_are_told_of_and_use_up_nothing(office):
    right, wrong = office.process(office.refreshing), office.process(office.refreshing, box=OTHER_BOX, owner="two")
    office.read(right)
    for _ in range(3):
        with pytest.raises(FlashbackRefused, match="stored with another key"):
            office.read(wrong)
    assert office.exchanges == 1
    assert len(office.told()) == 1


def test_the_key_file_is_made_at_first_and_never_in_place_of_one_that_is_needed(office, tmp_path: Path):
    file, accounts = tmp_path / "alertbot.db.key", {"acme": office.refreshing}
    box = open_box(office.database, "", file, accounts)
    office.read(office.process(office.refreshing, box=box))
    office.read(office.process(office.refreshing, box=open_box(office.database, "", file, accounts)))
    assert office.exchanges == 1
    file.unlink()
    with pytest.raises(ConfigError, match=r"alertbot\.db\.key is gone; put it back, or give new credentials"):
        open_box(office.database, "", file, accounts)
    assert not file.exists()
    assert open_box(office.database, "", file, {"acme": office.logging_in})


def test_a_key_file_that_others_can_read_is_told(small_office, tmp_path: Path):
    file = tmp_path / "key"
    open_box(small_office.database, "", file, {})
    with captured_log() as log:
        open_box(small_office.database, "", file, {})
        assert log.text == "", "as we made it, it is for its user alone"
        file.chmod(0o640)
        open_box(small_office.database, "", file, {})
    assert f"chmod 600 {file}" in log.text


def test_a_key_that_is_configured_needs_no_file(small_office, tmp_path: Path):
    file = tmp_path / "key"
    locked = open_box(small_office.database, "a key that is configured", file, {}).encrypt("text")
    assert SecretBox("a key that is configured").decrypt(locked) == "text"
    assert not file.exists()


# --- secrets


SECRETS = {
    "a refresh token": Credentials(refresh_token=jwt(jti=1)),
    "a password": Credentials(email="operator@acme.example", password="correct horse battery staple"),
    "a short password": Credentials(email="operator@acme.example", password="s3cret"),
}


@pytest.mark.parametrize("given", SECRETS.values(), ids=SECRETS.keys())
def test_what_was_sent_is_in_no_text_not_even_where_flashback_quotes_it(small_office, given):
    office, path = small_office, LOGIN if given.email else REFRESH
    secret = given.password or given.refresh_token
    body = {"success": False, "message": f"{secret} is wrong", "error_code": secret[:12]}
    for status in (401, 400, 503, 429, 302, 200):
        office.server.fail(path, status, body=body, times=1)
    office.server.answer_html(path, 200, times=1)
    office.server.fail(path, 200, body={"accessToken": secret, "refreshToken": [secret]}, times=1)
    office.server.fail(path, 200, body=json.dumps(secret).encode(), times=1)
    seen = [repr(given)]
    with captured_log(level="debug") as log:
        for _ in range(9):
            office.now += 20 * MINUTE
            refresher = office.process(given, at_once=True)
            with pytest.raises(FlashbackError) as caught:
                refresher.access_token()
            seen += [repr(refresher), "".join(traceback.format_exception(caught.value))]
    assert office.exchanges == 9
    seen += [*office.told(), log.text]
    for text in seen:
        assert secret not in text
        assert secret[:12] not in text
