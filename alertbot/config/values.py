"""The kinds of value in the configuration: how each is written, what it is read into, and how it is told when it does not fit.

A field says its kind in its annotation: `interval: Annotated[timedelta, DURATION]`.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from alertbot.config.mistakes import Mismatch, mistake, nearest, quoted
from alertbot.config.raw_values import InvalidValue
from alertbot.domain.times import DURATION as DURATION_FORM
from alertbot.domain.times import LONGEST, OutOfBounds, bounded_moment, parse_duration

NOT_NEEDED = SecretStr("")  # stands for a secret that is absent and that this command does not need


def or_variable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON Schema that also takes `${NAME}` in place of the value."""
    return {"anyOf": [dict(schema), {"type": "string", "pattern": r"\$\{"}]}


@dataclass(frozen=True)
class ValueType:
    """One kind of scalar value. A value that already is of the type `gives` was made by a program and is taken as it is."""

    expected: str
    parse: Callable[[str], Any]
    gives: type
    schema: Mapping[str, Any]
    optional: bool = False
    secret: bool = False
    refuses_null: bool = False

    def or_none(self) -> "ValueType":
        """The same kind where nothing may be written, too."""
        return replace(self, optional=True)

    def read(self, value: object) -> Any:
        if isinstance(value, InvalidValue):
            raise mistake(value.sentence)
        if isinstance(value, SecretStr):
            return self._secret(value)
        if isinstance(value, self.gives) and not isinstance(value, str):
            return value
        if self.optional and (value == "" or (value is None and not self.refuses_null)):
            return None
        if not isinstance(value, str) or not value:
            raise mistake(f"expected {self.expected}, got {quoted(value)}")
        if self.secret:
            return self._secret(SecretStr(value))
        try:
            return self.parse(value)
        except ValueError as error:
            told = str(error) if isinstance(error, Mismatch) and str(error) else self.expected
            expected, hint = _split_hint(told)
            raise mistake(f"expected {expected}, got {quoted(value)}{hint}") from error

    def _secret(self, value: SecretStr) -> SecretStr | None:
        text = without_line_ends(value.get_secret_value())
        if not text and (self.optional or value is NOT_NEEDED):
            return None if self.optional else NOT_NEEDED
        try:
            return SecretStr(self.parse(text))
        except ValueError as error:
            told = str(error) if isinstance(error, Mismatch) and str(error) else self.expected
            if _is_in_quotation_marks(text):
                told = f"{self.expected} without quotation marks around it"
            # `from None`: what urllib says may hold a part of the secret, and a log could show it.
            raise mistake(f"expected {told}, got {quoted(value) if text else 'nothing'}") from None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [dict(self.schema), {"type": "null"}]} if self.optional else dict(self.schema)


def _split_hint(told: str) -> tuple[str, str]:
    """`a metric; did you mean "tokens"?` is said around the value that was got."""
    expected, _, hint = told.partition("; ")
    return expected, f"; {hint}" if hint else ""


def choice(expected: str, names: Iterable[str], *, any_case: bool = False) -> ValueType:
    """One of a few names; the nearest is suggested."""
    known = tuple(names)

    def parse(text: str) -> str:
        name = text.strip().lower() if any_case else text
        if name in known:
            return known[known.index(name)]  # the member, where the names are those of an enumeration
        meant = nearest(text, known)
        if meant:
            raise Mismatch(f'{expected}; did you mean "{meant}"?')
        raise Mismatch(f"one of {', '.join(known)}")

    return ValueType(expected, parse, str, or_variable({"enum": [str(name) for name in known]}))


def matching(expected: str, pattern: str) -> ValueType:
    """Text that fits a regular expression."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise Mismatch
        return str(text)

    return ValueType(expected, parse, str, or_variable({"type": "string", "pattern": f"^(?:{pattern})$"}))


# --- durations -------------------------------------------------------------------------------------------------------

_WORDS = r"[0-9a-z].* ?(?:second|minute|hour|day|week|year)s?"  # for editors: what words mean the reader knows
_DURATION_SCHEMA = or_variable({"type": "string", "pattern": f"^(?:{DURATION_FORM.pattern}|{_WORDS})$"})


def _bounded_duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except OutOfBounds as error:
        raise Mismatch(f"a duration of at most {LONGEST.days}d") from error
    except ValueError as error:
        raise Mismatch from error


def _positive_duration(text: str) -> timedelta:
    duration = _bounded_duration(text)
    if not duration:
        raise Mismatch("a duration of at least 1s")
    return duration


DURATION = ValueType("a duration such as 15m", _positive_duration, timedelta, _DURATION_SCHEMA)
WAIT = ValueType("a duration such as 15m", _bounded_duration, timedelta, _DURATION_SCHEMA)
LONG_DURATION = ValueType("a duration such as 7d or 3y", _positive_duration, timedelta, _DURATION_SCHEMA)

# --- numbers ---------------------------------------------------------------------------------------------------------

# Never through a binary float: 0.1 is one tenth. Exponents are short so that nobody's typing error fills the memory.
_NUMBER = re.compile(r"[+-]?[0-9](?:_?[0-9]){0,39}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?")
_WHOLE = re.compile(r"\+?[0-9](?:_?[0-9]){0,39}")
_NUMBER_SCHEMA = {"type": "number"}


def parse_number(text: str) -> Fraction:
    """Read `5`, `-1`, `0.02`, `50_000_000` or `1e6` exactly. Raises ValueError."""
    written = text.strip()
    if not _NUMBER.fullmatch(written):
        raise Mismatch
    return Fraction(written.replace("_", ""))


def parse_share(text: str) -> Fraction:
    """Read a fraction `0.02`, or `2%`, which is the same. Raises ValueError."""
    written = text.strip()
    return parse_number(written[:-1]) / 100 if written.endswith("%") else parse_number(written)


def parse_percentage(text: str) -> Fraction:
    """Read `80`, or `80%`, which is the same. Raises ValueError."""
    return parse_number(text.strip().removesuffix("%"))


def _amount(text: str) -> Fraction:
    number = parse_number(text)
    if number <= 0:
        raise Mismatch("a number above 0")
    return number


def _money(text: str) -> Decimal:
    if parse_number(text) < 0:
        raise Mismatch("a price of at least 0")
    return Decimal(text.strip().replace("_", ""))


def whole(expected: str, *, least: int, most: int | None = None) -> ValueType:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        written = text.strip()
        if not _WHOLE.fullmatch(written):
            raise Mismatch
        number = int(written.replace("_", ""))
        if number < least or (most is not None and number > most):
            raise Mismatch(f"{expected} of at least {least}" if most is None else f"{expected} from {least} to {most}")
        return number

    bounds = {"minimum": least} if most is None else {"minimum": least, "maximum": most}
    return ValueType(expected, parse, int, or_variable({"type": "integer", **bounds}))


NUMBER = ValueType("a number", parse_number, Fraction, or_variable(_NUMBER_SCHEMA))
SHARE = ValueType(
    "a fraction such as 0.02, or 2%",
    parse_share,
    Fraction,
    {"anyOf": [_NUMBER_SCHEMA, {"type": "string", "pattern": r"%$|\$\{"}]},
)
PERCENTAGE = ValueType(
    "a percentage such as 80", parse_percentage, Fraction, {"anyOf": [_NUMBER_SCHEMA, {"type": "string"}]}
)
AMOUNT = ValueType(
    "a number such as 50000000", _amount, Fraction, or_variable({**_NUMBER_SCHEMA, "exclusiveMinimum": 0})
)
MONEY = ValueType("a price in dollars such as 2.50", _money, Decimal, or_variable({**_NUMBER_SCHEMA, "minimum": 0}))

_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _flag(text: str) -> bool:
    try:
        return _TRUTHS[text.strip().lower()]
    except KeyError as error:
        raise Mismatch from error


FLAG = ValueType("true or false", _flag, bool, or_variable({"type": "boolean"}))

# --- text, names, people ---------------------------------------------------------------------------------------------


def _one_line(text: str) -> str:
    if text != text.strip() or not text.isprintable() or len(text) > 100:
        raise Mismatch
    return str(text)


TEXT = ValueType("text", str, str, {"type": "string"})
RULE_NAME = ValueType(
    "a name of one line, at most 100 characters", _one_line, str, {"type": "string", "maxLength": 100}
)
NAME = matching("a name without spaces, such as acme", r"[^\s/,;:\"'`<>*?\[\]]{1,100}")
LABEL_NAME = matching("a label name such as team", r"[A-Za-z_][A-Za-z0-9_]{0,62}")
USER = matching("the id of a Slack user such as U012AB3CD", r"[UW][A-Z0-9]+")
GROUP = matching("the id of a Slack user group such as S0123TEAM", r"S[A-Z0-9]+")
PERSON = matching("the id of a Slack user or user group such as U012AB3CD or S0123TEAM", r"[UWS][A-Z0-9]+")
MENTION = matching(
    "a user (U012AB3CD), a user group (S0123TEAM), @oncall:NAME, @here or @channel",
    r"[UWS][A-Z0-9]+|@oncall:[^\s]+|@here|@channel|@everyone",
)
COMMAND = matching("a slash command such as /alertbot", r"/[a-z0-9_-]{1,31}")
_CHANNEL = re.compile(r"(?P<id>[CGD][A-Z0-9]+)|#?(?P<name>[^\s#@<>,.:;!?\"'`/A-Z]{1,80})")


def _channel(text: str) -> str:
    found = _CHANNEL.fullmatch(text)
    if found is None:
        if text != text.lower() and _CHANNEL.fullmatch(text.lower()):
            raise Mismatch('the name of a channel in lower case, such as "#ai-alerts", or its id')
        raise Mismatch
    return found["id"] or f"#{found['name']}"


CHANNEL = ValueType(
    'a channel such as "#ai-alerts" (in quotes, because # begins a comment) or its id',
    _channel,
    str,
    {"type": "string"},
)
# `channel: #leads` without quotes is a key with nothing but a comment: never take it for "the default channel".
CHANNEL_OR_DEFAULT = replace(CHANNEL, optional=True, refuses_null=True)

# --- addresses, secrets ----------------------------------------------------------------------------------------------

_QUOTATION_MARKS = "\"'`“”„‘’‚«»"


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", text):
        raise Mismatch
    if parts.username or parts.password:
        raise Mismatch("a URL without a user or a password")
    if parts.port == 0 or parts.query or parts.fragment:
        raise Mismatch
    return text.rstrip("/")


def _secret_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", text):
        raise Mismatch
    return str(text)


def without_line_ends(secret: str) -> str:
    """A secret without what editors and shells put around it: the mark of an encoding before it, and line ends."""
    return secret.removeprefix("\ufeff").strip("\r\n")


def _is_in_quotation_marks(text: str) -> bool:
    """Docker's `--env-file` and systemd's unit files take quotation marks for a part of the value."""
    return len(text) > 1 and text[0] in _QUOTATION_MARKS and text[-1] in _QUOTATION_MARKS


def _token(text: str) -> str:
    # A header cannot carry anything else; most often it came along when the token was copied.
    if not text.isascii() or re.search(r"\s", text) or not text.isprintable() or _is_in_quotation_marks(text):
        raise Mismatch("a token without spaces or line ends")
    return str(text)


def _password(text: str) -> str:
    # Nobody can type these: they are the rest of a file that holds more than a password.
    if any(unicodedata.category(letter) in {"Cc", "Zl", "Zp"} for letter in text) or "\ufeff" in text:
        raise Mismatch("a password of one line")
    return str(text)


def token_not(expected: str, *, prefix: str, kind: str) -> ValueType:
    """A token which is not one of another kind: Slack's two are easily exchanged."""

    def parse(text: str) -> str:
        if text.startswith(prefix):
            raise Mismatch(f"{expected}, not {kind}")
        return _token(text)

    return replace(TOKEN, expected=expected, parse=parse)


_SECRET_SCHEMA = {"type": "string"}
URL = ValueType(
    "a URL such as https://backend.flashback.tech", _url, str, or_variable({"type": "string", "pattern": "^https?://"})
)
TOKEN = ValueType("a token", _token, SecretStr, _SECRET_SCHEMA, optional=True, secret=True)
PASSWORD = ValueType("a password", _password, SecretStr, _SECRET_SCHEMA, optional=True, secret=True)
SECRET_URL = ValueType(
    "a URL that begins with https://", _secret_url, SecretStr, _SECRET_SCHEMA, optional=True, secret=True
)

_DATABASES = ("sqlite", "postgresql", "postgresql+psycopg")


def _database_url(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if scheme == "postgres":  # what several hosters hand out
        scheme = "postgresql"
    if not separator or scheme not in _DATABASES or re.search(r"\s", scheme):
        raise Mismatch
    if scheme == "sqlite" and (not rest.startswith("/") or rest == "/"):
        raise Mismatch("sqlite:/// with three slashes and a file (four for an absolute path)")
    return f"{scheme}://{rest}"


DATABASE_URL = ValueType(
    "sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE", _database_url, SecretStr, _SECRET_SCHEMA, secret=True
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(text: str) -> Address:
    host, _, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise Mismatch
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535 or re.search(r"[\s/@]", host):
        raise Mismatch
    return Address(host or "0.0.0.0", int(port))  # noqa: S104 -- `:8080` means every interface, as everywhere


LISTEN = ValueType("an address such as 127.0.0.1:8080", _address, Address, or_variable({"type": "string"}))

# --- time ------------------------------------------------------------------------------------------------------------


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        names = {name.lower(): name for name in available_timezones()}
        meant = nearest(text, names, cutoff=0.6)
        hint = f'; did you mean "{names[meant]}"?' if meant else ""
        raise Mismatch(f"a time zone such as Europe/Madrid{hint}") from error
    return str(text)


ZONE = ValueType("a time zone such as Europe/Madrid", _zone, str, {"type": "string"})
MOMENT = ValueType(
    "a date and time such as 2026-01-05T09:00",
    lambda text: bounded_moment(datetime.fromisoformat(text.strip())),
    datetime,
    or_variable({"type": "string", "pattern": r"^[0-9]{4}-"}),
)
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")  # in cron's count
_DAYS = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[1-7]))?")


def _weekday(text: str) -> int:
    return int(text) if re.fullmatch("[0-7]", text) else _WEEKDAYS.index(text.lower())


def _weekdays(field: str) -> str:
    """Cron's days of the week by name: APScheduler 3 counts them from Monday, cron from Sunday, and both know names."""
    days: set[int] = set()
    for part in field.split(","):
        found = _DAYS.fullmatch(part)
        if found is None:
            raise Mismatch
        first = 0 if found["all"] else _weekday(found["first"])
        last = 6 if found["all"] else _weekday(found["last"] or found["first"])
        if last < first:  # FRI-MON
            last += 7
        days.update(day % 7 for day in range(first, last + 1, int(found["step"] or 1)))
    return "*" if len(days) == 7 else ",".join(_WEEKDAYS[day] for day in sorted(days))


def _cron(text: str) -> str:
    from apscheduler.triggers.cron import CronTrigger

    fields = text.split()
    if len(fields) != 5:
        raise Mismatch
    schedule = " ".join([*fields[:4], _weekdays(fields[4])])
    CronTrigger.from_crontab(schedule, timezone="UTC")
    return schedule


CRON = ValueType('a cron schedule such as "0 9 * * MON"', _cron, str, {"type": "string"})
