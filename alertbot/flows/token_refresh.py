"""Tokens of access: exchanged for new ones in time, by one process at a time, and never lost on the way.

A refresh token works once. So the new one is stored before anything is asked with the access token that came with it;
who exchanges holds a lease, not a transaction, while Flashback answers; and who comes second takes the new tokens from
the database. Two things are decided by what is stored, not by the lease: tokens that came are kept if those that were
given for them are still the stored ones, and a refusal counts only if nobody has written meanwhile.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from alertbot.domain import operator_texts
from alertbot.errors import ConfigError, FlashbackBusy, FlashbackError, FlashbackRefused, FlashbackUnavailable, Mistake
from alertbot.flashback.payloads import one_line
from alertbot.flashback.token_payloads import TokenLifetime, TokenResponse, parse_token_lifetime
from alertbot.flashback.tokens import REFRESH, Credentials, TokenServer
from alertbot.flows.operator_alerts import notify_operators
from alertbot.store import credentials, operator_alerts, secret_box, sources
from alertbot.store.credentials import NewTokens, StoredCredentials
from alertbot.store.database import Database, Tx, is_open_to_others
from alertbot.store.operator_alerts import OperatorAlert
from alertbot.store.secret_box import SecretBox

log = structlog.get_logger()
_USED_UP = 0.8  # of its life: then an access token is exchanged, while it still works
_IN_TIME = timedelta(minutes=1)  # before its end, where nothing tells when its life began
_LONGEST_PAUSE = timedelta(minutes=15)  # between two exchanges that are refused
_LOOK_EVERY = 0.25  # seconds, while another process exchanges
_MISFIT = "the tokens of {name} were stored with another key: {cure}"
_CURE = "give that one, or new credentials for the source"


@dataclass(frozen=True, slots=True)
class Account:
    """A source as far as its access goes: what the configuration gives, how often it is read, how long a request may take."""

    name: str
    given: Credentials
    interval: timedelta
    timeout: timedelta

    @property
    def lease(self) -> timedelta:
        """How long an exchange is left to whoever began it: it may be two requests."""
        return 2 * self.timeout + timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class _Held:
    """An access token, from when on another one is wanted, and when it ends; None where that is not known."""

    access_token: str = field(repr=False)
    due_at: datetime | None
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """What an exchange brought and could not be stored yet: the only refresh token that works."""

    claimed: StoredCredentials
    new: NewTokens


def open_box(database: Database, key: str, file: Path, accounts: Mapping[str, Credentials]) -> SecretBox:
    """What tokens are stored in: locked with the key that is configured, or the one in the file, which is made at first.

    Raises ConfigError where the file is gone that the stored tokens were locked with: a new one would not open them.
    """
    if key:
        return SecretBox(key)
    found = secret_box.read_key(file)
    if found is None:
        with database.reading() as tx:
            fingerprints = credentials.fingerprints(tx)
        lost = [
            name
            for name, given in accounts.items()
            if name in fingerprints and _CredentialsFingerprint(fingerprints[name]).is_of(given)
        ]
        if lost:
            cure = f"{file} is gone; put it back, or give new credentials for the source"
            raise ConfigError(*(Mistake("database.key", _MISFIT.format(name=name, cure=cure)) for name in lost))
        found = secret_box.make_key(file)
        log.info("encryption_key_created", file=str(file))
    elif is_open_to_others(file):
        log.warning("key_open_to_others", file=str(file), cure=f"chmod 600 {file}")
    return SecretBox(found)


class TokenRefresher:
    """The access token of one source; shared by threads, one in each process.

    Raises ConfigError where what is stored was locked with another key. `owner` names this process, `operators` is where
    a refusal is told. With `at_once` the pauses between refusals are not kept: for a person who asks.
    """

    def __init__(
        self,
        database: Database,
        account: Account,
        server: TokenServer,
        box: SecretBox,
        *,
        owner: str,
        operators: str,
        clock: Callable[[], datetime],
        at_once: bool = False,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._database = database
        self._account = account
        self._server = server
        self._box = box
        self._owner = owner
        self._operators = operators
        self._clock = clock
        self._at_once = at_once
        self._pause = pause
        self._lock = threading.Lock()
        self._held: _Held | None = None
        self._unsaved: _Unsaved | None = None
        self._failed: tuple[FlashbackError, datetime, datetime] | None = None  # and from when until when it counts
        self._fingerprint = self._settle()

    def access_token(self) -> str:
        """The access token to ask with now. Raises FlashbackError where there is none that might work."""
        with self._taking_turns():
            now = self._clock()
            if self._held is None:
                self._held = self._stored()
            held = self._held
            if held is None:
                held = self._held = self._exchange(worn="", waits=True)
            elif _is_past(held.due_at, now):
                held = self._in_good_time(held, now)
            return held.access_token

    def renew(self, refused: str) -> bool:
        """Whether `access_token` has another one than this, which Flashback refused. Raises FlashbackError where it cannot."""
        with self._taking_turns():
            self._held = self._stored()
            if self._held is not None and self._held.access_token != refused:
                return True
            if self._puts_off():
                return False
            self._held = None  # whatever it says of its end, it is over
            self._held = self._exchange(worn=refused, waits=True)
            return True

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        with self._lock:
            try:
                self._save_again()
                yield
            except _WrongKey as error:
                with self._database.transaction() as tx:
                    self._tell(tx, str(error), now=self._clock())
                raise

    # --- what is stored

    def _settle(self) -> str:
        """Give the source its row, and forget what came of another configuration; the seed that stands there then."""
        name, given = self._account.name, self._account.given
        while True:
            with self._database.transaction() as tx:
                sources.register(tx, [name])
                found = credentials.find(tx, name) or credentials.begin(tx, name, _CredentialsFingerprint.of(given))
                fingerprint = _CredentialsFingerprint(found.fingerprint)
                if fingerprint.is_of(given):
                    self._require_fitting(found)
                    if fingerprint.has(given.access_token):
                        return found.fingerprint
                fresh = _CredentialsFingerprint.of(given)
                if credentials.begin_again(tx, found, fresh, keeps_refresh_token=fingerprint.is_of(given)):
                    self._take_back(tx, operator_texts.credentials_replaced)
                    return fresh

    def _require_fitting(self, stored: StoredCredentials) -> None:
        for locked in (stored.access_token, stored.refresh_token):
            if locked and self._box.decrypt(locked) is None:
                raise ConfigError(Mistake("database.key", _MISFIT.format(name=self._account.name, cure=_CURE)))

    def _find(self, tx: Tx) -> StoredCredentials:
        found = credentials.find(tx, self._account.name)
        assert found is not None, "made at the start, and never deleted"
        return found

    def _opened(self, locked: str) -> str:
        """A stored token. Another process may have a key of its own since we began: then nothing is tried."""
        text = self._box.decrypt(locked) if locked else ""
        if text is None:
            raise _WrongKey("database.key: " + _MISFIT.format(name=self._account.name, cure=_CURE), endpoint=REFRESH)
        return text

    def _stored(self) -> _Held | None:
        """The newest access token that there is; None if there is none."""
        with self._database.reading() as tx:
            return self._held_in(self._find(tx))

    def _held_in(self, stored: StoredCredentials) -> _Held | None:
        if stored.access_token:
            life = TokenLifetime(stored.refreshed_at, stored.expires_at)
            return _Held(self._opened(stored.access_token), _due_at(life), stored.expires_at)
        # What another configuration gives is for its process; ours may be older than that.
        given = self._account.given.access_token if stored.fingerprint == self._fingerprint else ""
        life = parse_token_lifetime(given)
        return _Held(given, _due_at(life), life.ends) if given else None

    def _save_again(self) -> None:
        """Store what could not be stored when it came: the database was away."""
        if self._unsaved is not None:
            self._held = self._save(self._unsaved.claimed, self._unsaved.new)

    def _save(self, claimed: StoredCredentials, new: NewTokens) -> _Held | None:
        self._unsaved = _Unsaved(claimed, new)
        with self._database.transaction() as tx:
            if credentials.keep(tx, claimed, new):
                self._take_back(tx, operator_texts.tokens_accepted, now=new.refreshed_at)
        self._unsaved = None
        return self._stored()

    # --- exchanging

    def _in_good_time(self, held: _Held, now: datetime) -> _Held:
        """Another token than this one, which is used up but may still work; this one, where none is to be had yet."""
        if self._recent_failure(now) is not None and not _is_past(held.ends_at, now):
            return held
        try:
            self._held = self._exchange(worn=held.access_token, waits=False)
        except FlashbackError:
            if _is_past(held.ends_at, now):
                raise
            return held
        return self._held

    def _puts_off(self) -> bool:
        """Whether the newest token was refused as soon as it was there: then another one would be as well, but for a while."""
        now = self._clock()
        with self._database.transaction() as tx:
            found = self._find(tx)
            age = None if found.refreshed_at is None else now - found.refreshed_at
            is_new = age is not None and timedelta(0) <= age < self._account.interval / 2
            if is_new and not credentials.is_put_off(found):
                credentials.put_off(tx, found, retry_at=now + self._patience(found))
            return is_new or (credentials.is_put_off(found) and self._waits(found, now))

    def _exchange(self, *, worn: str, waits: bool) -> _Held:
        """Other tokens than the worn one: those that somebody else has brought, or new ones.

        With `waits` somebody else who exchanges right now is waited for.
        """
        for _ in range(int(self._account.lease.total_seconds() / _LOOK_EVERY) + 2 if waits else 1):
            claimed = self._claim(worn)
            if isinstance(claimed, _Held):
                return claimed
            if claimed is not None:
                return self._ask(claimed, worn)
            if waits:
                self._pause(_LOOK_EVERY)
        raise FlashbackUnavailable("another process is exchanging the tokens of access", endpoint=REFRESH)

    def _claim(self, worn: str) -> StoredCredentials | _Held | None:
        """The right to exchange; or the tokens that are there already; None while somebody else exchanges."""
        now = self._clock()
        with self._database.transaction() as tx:
            found = self._find(tx)
            held = self._held_in(found)
            if held is not None and held.access_token != worn and not _is_past(held.due_at, now):
                return held
            failed = self._recent_failure(now)
            if failed is not None:
                raise failed.with_traceback(None)
            if found.refused and self._waits(found, now):
                raise FlashbackRefused(found.refused, endpoint=REFRESH)
            return credentials.claim(tx, found, owner=self._owner, lease=self._account.lease, now=now)

    def _ask(self, claimed: StoredCredentials, worn: str) -> _Held:
        """Exchange the tokens, and store what comes before it is used."""
        try:
            used, issued = self._brought(claimed)
        except FlashbackRefused as error:
            return self._note_refusal(claimed, error, worn)
        except FlashbackError as error:
            self._note_failure(claimed, error)
            raise
        now = self._clock()
        new = NewTokens(
            self._box.encrypt(issued.access_token),
            self._box.encrypt(issued.refresh_token or used) if issued.refresh_token or used else "",
            _expires_at(issued.life, now),
            now,
        )
        self._failed = None
        held = self._save(claimed, new)
        log.info("tokens_exchanged", source=self._account.name, expires_at=_written(new.expires_at))
        if held is None:
            raise FlashbackUnavailable("the tokens were given up by another process", endpoint=REFRESH)
        return held

    def _brought(self, claimed: StoredCredentials) -> tuple[str, TokenResponse]:
        """New tokens, and the refresh token that they were given for; after a login there is none."""
        given = self._account.given
        refresh_token = self._opened(claimed.refresh_token)
        if not refresh_token and claimed.fingerprint != self._fingerprint:
            text = "the credentials in the configuration are older than those of another process: restart this one"
            raise FlashbackUnavailable(text, endpoint=REFRESH)
        refresh_token = refresh_token or given.refresh_token
        if refresh_token:
            try:
                return refresh_token, self._server.refresh(refresh_token)
            except FlashbackRefused as error:
                if not given.email:
                    raise
                log.info("refresh_refused", source=self._account.name, error=error.lines[0], instead="logging in")
        return "", self._server.log_in(given.email, given.password)

    # --- what goes wrong

    def _recent_failure(self, now: datetime) -> FlashbackError | None:
        """Why the last exchange failed, while it is too early for another. A failure after `now` was dated by a wrong clock."""
        if self._failed is None or not self._failed[1] <= now < self._failed[2]:
            return None
        return self._failed[0]

    def _note_failure(self, claimed: StoredCredentials, error: FlashbackError) -> None:
        """Not tried again by each request of a poll, but by the next poll."""
        pause = self._account.interval / 2
        if isinstance(error, FlashbackBusy) and error.retry_after is not None:
            pause = timedelta(seconds=error.retry_after)
        now = self._clock()
        self._failed = error, now, now + pause
        log.warning("tokens_not_exchanged", source=self._account.name, kind=error.kind, error=error.lines[0])
        with self._database.transaction() as tx:
            credentials.release(tx, claimed)

    def _note_refusal(self, claimed: StoredCredentials, error: FlashbackRefused, worn: str) -> _Held:
        """Tell the operators at once; or take the tokens that somebody else has brought meanwhile."""
        now = self._clock()
        reason, retry_at = error.lines[0], now + self._patience(claimed)
        with self._database.transaction() as tx:
            is_ours = credentials.refuse(tx, claimed, reason, retry_at=retry_at)
            if is_ours:
                self._tell(tx, self._in_words(reason, now), now=now)
        if not is_ours:
            stored = self._stored()
            if stored is not None and stored.access_token != worn:
                return stored
        self._failed = error, now, retry_at
        log.error("tokens_refused", source=self._account.name, error=reason)
        raise error

    def _in_words(self, reason: str, now: datetime) -> str:
        ends_at = self._held.ends_at if self._held is not None else None
        works_until = ends_at if ends_at is not None and now < ends_at else None
        return operator_texts.tokens_refused(self._account.name, one_line(reason, 140), works_until=works_until)

    def _patience(self, stored: StoredCredentials) -> timedelta:
        """How long to leave it after one more refusal: twice as long each time."""
        longest = max(_LONGEST_PAUSE, 2 * self._account.interval)
        return min(self._account.interval * (2 << min(stored.attempts, 10)), longest)

    def _waits(self, stored: StoredCredentials, now: datetime) -> bool:
        """Whether the pause after a refusal is not over. One that ends too far ahead was written before the clock was set back."""
        longest = max(_LONGEST_PAUSE, 2 * self._account.interval)
        return stored.retry_at is not None and not self._at_once and now < stored.retry_at <= now + 2 * longest

    def _tell(self, tx: Tx, text: str, *, now: datetime) -> None:
        if operator_alerts.begin(tx, OperatorAlert(self._trouble, one_line(text, 200), now, self._owner, now)):
            notify_operators(tx, text, operators=self._operators, now=now)

    def _take_back(self, tx: Tx, text: Callable[..., str], *, now: datetime | None = None) -> None:
        """Tell the operators that the trouble is over, if they were told of it; `text` takes the source and since when."""
        standing = operator_alerts.standing(tx).get(self._trouble)
        if standing is not None and operator_alerts.end(tx, standing):
            line = text(self._account.name, since=standing.since)
            notify_operators(tx, line, operators=self._operators, now=now or self._clock())

    @property
    def _trouble(self) -> str:
        return f"tokens {self._account.name}"


class _WrongKey(FlashbackRefused):
    """What is stored cannot be opened."""


class _CredentialsFingerprint(str):
    """By what it is known again what the configuration gave: what lasts (a refresh token, or a login), and the access token."""

    __slots__ = ()

    @classmethod
    def of(cls, given: Credentials) -> "_CredentialsFingerprint":
        lasting = secret_box.digest(_lasting(given), is_guessable=not given.refresh_token)
        return cls(f"{lasting} {secret_box.digest(given.access_token, is_guessable=False)}")

    def is_of(self, given: Credentials) -> bool:
        """Whether what lasts is the same."""
        return secret_box.is_of(self.partition(" ")[0], _lasting(given))

    def has(self, access_token: str) -> bool:
        return secret_box.is_of(self.partition(" ")[2], access_token)


def _lasting(given: Credentials) -> str:
    return given.refresh_token or f"{given.email}\n{given.password}"


def _due_at(life: TokenLifetime) -> datetime | None:
    """From when on a token should be exchanged; None where nothing tells when it ends: then Flashback will."""
    if life.ends is None:
        return None
    if life.begins is None or life.begins >= life.ends:
        return life.ends - _IN_TIME
    return life.begins + (life.ends - life.begins) * _USED_UP


def _expires_at(life: TokenLifetime, now: datetime) -> datetime | None:
    """When a token that came now expires by our clock, which may differ from the one that wrote its life."""
    if life.ends is None:
        return None
    length = life.ends - (life.begins or now)
    return now + length if length > timedelta(0) else None


def _is_past(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and now >= moment


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
