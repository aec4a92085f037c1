"""The whole tree of our errors.

    AlertbotError                   a user reads its text, one line a problem; exit code 1
    ├── ConfigError                 the configuration is wrong: every mistake with its place
    ├── UsageError                  a person asked for something that does not exist or cannot be done
    ├── StoreError                  the database cannot be reached, is locked or of another version
    ├── FlashbackError              one request to Flashback did not bring an answer that can be used
    │   ├── FlashbackUnavailable    retry: time-out, dropped connection, 5xx, an answer cut off or not JSON
    │   ├── FlashbackBusy           retry after a pause: 429
    │   ├── FlashbackRefused        401: the access token is wrong or has expired
    │   ├── FlashbackForbidden      403: the token may not read this
    │   ├── FlashbackMissing        404: this server has no such thing
    │   ├── FlashbackRejected       400 and other 4xx, or 200 with `success: false`
    │   └── FlashbackUnreadable     JSON, but not of the documented shape
    └── SlackError                  one call to Slack did not do what it should
        ├── SlackBusy               retry after a pause: 429
        ├── SlackUnavailable        retry: it surely did not arrive
        ├── SlackUncertain          it may have arrived: look before trying again
        ├── SlackDestination        this channel cannot be written to: gone, archived, not a member …
        ├── SlackRefused            the whole app may not send: token, scope, workspace
        ├── SlackGone               the message to edit or to reply to is not there any more
        └── SlackRejected           Slack does not take what we made: our mistake, never to be sent again as it is

Whether to try again is in the type, not in the text.
"""

from collections.abc import Callable
from typing import NamedTuple


class AlertbotError(Exception):
    """Something a person has to know, in words that person understands."""

    @property
    def lines(self) -> list[str]:
        """One line a problem, as printed on stderr."""
        return [" ".join(str(self).split())]

    @property
    def public(self) -> str:
        """One sentence that anybody may read, in Slack or at `/readyz`: it names no path, user, host or address.

        The rest is for operators: the log, the command line, the operators' channel.
        """
        return "this did not work; the bot's log says why"


class Mistake(NamedTuple):
    """A mistake in the configuration: where, such as `rules[2].window`, and what: `expected a duration, got …`.

    The place is empty where the text says it.
    """

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text


class ConfigError(AlertbotError):
    """The configuration holds one or more mistakes."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__("; ".join(map(str, mistakes)))
        self.mistakes = mistakes

    @property
    def lines(self) -> list[str]:
        return [" ".join(str(mistake).split()) for mistake in self.mistakes]

    @property
    def public(self) -> str:
        return self.lines[0]


class UsageError(AlertbotError):
    """What a person asked for does not exist or cannot be done; says what would work."""

    @property
    def public(self) -> str:
        return self.lines[0]


class StoreError(AlertbotError):
    """The database cannot be used as it is."""

    @property
    def public(self) -> str:
        return "the database is not available; try again in a minute"


class FlashbackError(AlertbotError):
    """A request to Flashback did not bring an answer that can be used.

    `kind` is one word for logs and metrics; `endpoint` is the path that was asked. `detail` goes on with the message in
    foreign words, such as the server's own, which may name machines: it is for operators only.
    """

    kind = "error"

    def __init__(self, message: str, *, endpoint: str, detail: str = "") -> None:
        super().__init__(message, detail)
        self.endpoint = endpoint

    def __str__(self) -> str:
        return "".join(self.args)

    @property
    def public(self) -> str:
        return " ".join(str(self.args[0]).split())

    def redact(self, redact: Callable[[str], str]) -> None:
        """Take something out of all that the error says."""
        self.args = tuple(redact(part) for part in self.args)


class FlashbackUnavailable(FlashbackError):
    """No complete answer came, or a 5xx: the same request may work later."""

    kind = "unavailable"


class FlashbackBusy(FlashbackError):
    """429: the quota is used up; `retry_after` is the pause in seconds that the server asked for, None if it named none."""

    kind = "busy"

    def __init__(self, message: str, *, endpoint: str, retry_after: float | None, detail: str = "") -> None:
        super().__init__(message, endpoint=endpoint, detail=detail)
        self.retry_after = retry_after


class FlashbackRefused(FlashbackError):
    """401: the access token is wrong or has expired."""

    kind = "refused"


class FlashbackForbidden(FlashbackError):
    """403: the token is known, but may not read this."""

    kind = "forbidden"


class FlashbackMissing(FlashbackError):
    """404: this server has no such endpoint or thing."""

    kind = "missing"


class FlashbackRejected(FlashbackError):
    """The server understood and said no: another 4xx, or a 200 with `success: false`."""

    kind = "rejected"


class FlashbackUnreadable(FlashbackError):
    """JSON came, but not of the documented shape; the message names the path that does not fit."""

    kind = "unreadable"


class SlackError(AlertbotError):
    """A call to Slack did not do what it should; `code` is Slack's name for it, or one of ours for transport failures."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def public(self) -> str:
        return f"Slack did not accept it ({self.code}); try again"


class SlackBusy(SlackError):
    """429: `retry_after` is the pause in seconds that Slack asked for."""

    def __init__(self, message: str, *, code: str, retry_after: float) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class SlackUnavailable(SlackError):
    """Slack could not take the call, and surely did not act on it."""


class SlackUncertain(SlackError):
    """The answer was lost, or cannot be read: Slack may have acted on the call."""


class SlackDestination(SlackError):
    """The one channel, user or conversation cannot be written to."""


class SlackRefused(SlackError):
    """The whole app may not do this: its token, its scopes or its workspace."""


class SlackGone(SlackError):
    """The message that was to be edited or replied to is not there any more, or may not be changed."""


class SlackRejected(SlackError):
    """Slack does not take what was sent: the same payload will never pass."""
