"""Flashback's JSON → domain values. What does not fit is named by its path: `stats[3].totalApiCalls: expected …`.

Counts are strictly decimal. Python's own conversions are too kind: int("+5"), int(" 7 "), int("1_000") and int(True) all
succeed, and a float such as 1e3 has lost its last digits before anybody can look at it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from alertbot.domain.snapshots import Configuration, Counter, Snapshot, SnapshotColumns
from alertbot.errors import FlashbackRejected, FlashbackUnavailable, FlashbackUnreadable

LONGEST_NAME = 200
LONGEST_WORDS = 300
LONGEST_QUOTE = 60
# Of one answer: ten for each LLM that a source may have, and some. A body may hold millions of empty objects, which are
# gigabytes of Python's.
MOST_VALUES = 1_200_000
_LONGEST_FAILURE = 64 * 1024  # of the answer that goes with an error: nobody reads more of a reason

# 39 digits hold 2^128, and are what a NUMERIC(39,0) remembers.
_DECIMAL = re.compile(r"[0-9]{1,39}")
_LARGEST_COUNT = 10**39 - 1
_EPOCH = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_FIRST_IN_MILLISECONDS = 100_000_000_000  # in seconds that is the year 5138, in milliseconds 1973
# Control characters, line and paragraph separators, marks that turn the direction of text around, lone surrogates.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_PLAIN_ID = re.compile(r"[!-~]+")
_HTML_TITLE = re.compile(rb"<title[^>]*>([^<]*)", re.IGNORECASE)

_COUNTER_OF_FIELD = {
    "totalApiCalls": Counter.API_CALLS,
    "totalTokensIn": Counter.TOKENS_IN,
    "totalTokensOut": Counter.TOKENS_OUT,
    "totalLlmTokensIn": Counter.LLM_TOKENS_IN,
    "totalLlmTokensOut": Counter.LLM_TOKENS_OUT,
    "totalPolicyViolations": Counter.POLICY_VIOLATIONS,
    "totalAlerts": Counter.POLICY_ALERTS,
    "totalBlocks": Counter.POLICY_BLOCKS,
}

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class StatsPage:
    """What `GET /ai/llm/stats` answered: the totals of each LLM, or one that sums them all and names none."""

    snapshots: Sequence[Snapshot]
    total: Mapping[Counter, int] | None = None

    @property
    def is_total(self) -> bool:
        """Only a sum came, without a name: the configurations have to be asked for one by one."""
        return self.total is not None and not self.snapshots

    @property
    def ids(self) -> set[str]:
        """The LLMs that it names."""
        if isinstance(self.snapshots, SnapshotColumns):
            return set(self.snapshots.ids)
        return {snapshot.ai_llm for snapshot in self.snapshots}

    def snapshot_of(self, ai_llm: str) -> Snapshot | None:
        """The snapshot of the one LLM that was asked for; None means that it is absent from a good answer."""
        if self.total is not None and not self.snapshots:  # an answer to a filtered question need not repeat the filter
            return Snapshot(ai_llm, self.total)
        return next((snapshot for snapshot in self.snapshots if snapshot.ai_llm == ai_llm), None)


@dataclass(frozen=True, slots=True)
class Literal:
    """A number in the JSON that is no plain decimal (1e3, 1.0, NaN, 4,000 digits), kept as it was written."""

    text: str


def parse_stats(body: bytes, *, endpoint: str) -> StatsPage:
    """The totals in an answer of `GET /ai/llm/stats`; a field that is missing or null is unknown, so not in `totals`."""
    columns = plain_columns(body)
    return parse_one_by_one(body, endpoint=endpoint) if columns is None else StatsPage(columns)


def parse_one_by_one(body: bytes, *, endpoint: str) -> StatsPage:
    """The same, whatever the answer is. Raises FlashbackError, which names the first value that cannot be used."""
    snapshots, total = [], None
    seen: dict[str | None, int] = {}
    for position, entry in enumerate(listed(body, "stats", endpoint)):
        path = f"stats[{position}]"
        fields = expect(dict, entry, path, "an object", endpoint)
        ai_llm = None if fields.get("aiLlmId") in (None, "") else parse_identity(fields, "aiLlmId", path, endpoint)
        if ai_llm in seen:
            named = "the same configuration" if ai_llm else "no configuration"
            raise FlashbackUnreadable(f"{path}.aiLlmId: names {named} as stats[{seen[ai_llm]}]", endpoint=endpoint)
        seen[ai_llm] = position
        totals = _totals(fields, path, endpoint)
        if ai_llm is None:
            total = totals
        else:
            snapshots.append(Snapshot(ai_llm, totals))
    return StatsPage(tuple(snapshots), total)


def plain_columns(body: bytes) -> SnapshotColumns | None:
    """The totals of an answer in which everything is as it should be; None where anything is odd or only one LLM came.

    Looks at ten thousand values at once; what it does not take, `parse_stats` looks at one by one, and says what is wrong.
    """
    try:
        answer = json.loads(body) if count_values(body) <= MOST_VALUES else None
    except (ValueError, RecursionError):
        return None
    entries = answer.get("stats") if isinstance(answer, dict) and answer.get("success") in (True, None) else None
    if not isinstance(entries, list) or len(entries) < 2 or set(map(type, entries)) != {dict}:
        return None
    ids = [entry.get("aiLlmId") for entry in entries]
    if not _are_plain_ids(ids):
        return None
    totals: dict[Counter, Sequence[int | None]] = {}
    for field, counter in _COUNTER_OF_FIELD.items():
        counts = _plain_counts([entry.get(field) for entry in entries])
        if counts is None:
            return None
        totals[counter] = counts
    return SnapshotColumns.from_lists(tuple(ids), totals)


def _are_plain_ids(ids: list[Any]) -> bool:
    """Whether each is an id that needs no cleaning, and no two are the same."""
    if set(map(type, ids)) != {str} or len(set(ids)) < len(ids):
        return False
    lengths = list(map(len, ids))
    together = "".join(ids)
    return (
        min(lengths) > 0
        and max(lengths) <= LONGEST_NAME
        and together.isascii()
        and _PLAIN_ID.fullmatch(together) is not None
    )


def _plain_counts(values: list[Any]) -> Sequence[int | None] | None:
    """Counts, where all of them are decimal texts or integers in bounds, or missing; None where one is not."""
    present = [value for value in values if value is not None] if None in values else values
    kinds = set(map(type, present))
    if kinds == {str}:
        together = "".join(present)
        if (
            not (together.isascii() and together.isdigit())
            or not 0 < min(map(len, present)) <= max(map(len, present)) <= 39
        ):
            return None
        return (
            list(map(int, values)) if present is values else [None if value is None else int(value) for value in values]
        )
    if kinds == {int}:
        return values if min(present) >= 0 and max(present) <= _LARGEST_COUNT else None
    return values if not present else None


def parse_configurations(body: bytes, *, endpoint: str) -> tuple[Configuration, ...]:
    """The configurations in an answer of `GET /ai/llm`; one that is listed twice (shared by two workspaces) comes once."""
    configurations: dict[str, Configuration] = {}
    for position, entry in enumerate(listed(body, "aiLlms", endpoint)):
        path = f"aiLlms[{position}]"
        fields = expect(dict, entry, path, "an object", endpoint)
        ai_llm = parse_identity(fields, "id", path, endpoint)
        configuration = Configuration(
            ai_llm=ai_llm,
            name=parse_name(fields, "name", path, endpoint) or ai_llm,
            provider=parse_name(fields, "aiType", path, endpoint),
            workspace=parse_name(fields, "workspaceId", path, endpoint),
            created_at=parse_moment(fields.get("createdAt")),
            repos=_repos(fields.get("repos"), path, endpoint),
        )
        configurations.setdefault(ai_llm, configuration)
    return tuple(configurations.values())


def parse_names(body: bytes, *, endpoint: str, key: str) -> dict[str, str]:
    """What things are called, by id, in an answer that lists them under `key`: workspaces, policies."""
    names: dict[str, str] = {}
    for position, entry in enumerate(listed(body, key, endpoint)):
        path = f"{key}[{position}]"
        fields = expect(dict, entry, path, "an object", endpoint)
        identity = parse_identity(fields, "id", path, endpoint)
        names[identity] = parse_name(fields, "name", path, endpoint)
    return names


def parse_organisations(body: bytes, *, endpoint: str) -> tuple[str, ...]:
    """The organisations that the configurations in an answer of `GET /ai/llm` belong to, each once."""
    found: dict[str, None] = {}
    for position, entry in enumerate(listed(body, "aiLlms", endpoint)):
        path = f"aiLlms[{position}]"
        fields = expect(dict, entry, path, "an object", endpoint)
        found[parse_name(fields, "orgId", path, endpoint)] = None
    return tuple(one for one in found if one)


def server_words(body: bytes) -> str:
    """What a server says about a failure, one cut line without control characters; empty if it says nothing readable."""
    if len(body) > _LONGEST_FAILURE:
        return _title(body)
    try:
        answer = parse_json(body)
    except (ValueError, RecursionError):
        return _title(body)
    if not isinstance(answer, dict):
        return ""
    message, code = answer.get("message"), answer.get("error_code")
    words = [message] if isinstance(message, str) else []
    if isinstance(code, str) and code:
        words.append(f"[{code}]")
    return one_line(" ".join(words), LONGEST_WORDS)


def one_line(text: str, longest: int, *, squeeze: bool = True) -> str:
    """A foreign text as one line that can be stored, logged and shown, cut to `longest` characters."""
    line = _UNPRINTABLE.sub(" ", text)
    if squeeze:
        line = " ".join(line.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def listed(body: bytes, key: str, endpoint: str) -> list[Any]:
    """The list that an answer carries under `key`, once the answer has proved to be a good one."""
    return listed_with_total(body, key, endpoint)[0]


def listed_with_total(body: bytes, key: str, endpoint: str) -> tuple[list[Any], int | None]:
    """The same with the length that the server says the whole list has, where this is a page of it; None if it says none."""
    answer = expect(dict, parse_answer(body, endpoint), "answer", "an object", endpoint)
    require_success(answer, body, endpoint)
    entries = expect(list, answer.get(key), key, "a list", endpoint)
    return entries, parse_count(answer, "total", "answer", endpoint)


def require_success(answer: dict[str, Any], body: bytes, endpoint: str) -> None:
    """Raise FlashbackRejected where the answer itself says that it is none."""
    success = answer.get("success")
    if success is False:
        words = server_words(body) or "no reason given"
        raise FlashbackRejected('the server answered "success": false', endpoint=endpoint, detail=f": {words}")
    if success is not None and success is not True:
        mismatch("success", "true or false", success, endpoint)


def parse_answer(body: bytes, endpoint: str) -> Any:
    """The JSON of a 200. What is no JSON was written by a proxy or cut off on its way, so asking again may help."""
    # Each value but the first of all comes after one of these, so they are at least as many: counted before anything is
    # built.
    if count_values(body) > MOST_VALUES:
        raise FlashbackUnreadable(f"answer: expected at most {MOST_VALUES:,} values, got more", endpoint=endpoint)
    try:
        return parse_json(body)
    except RecursionError as error:
        raise FlashbackUnreadable("answer: nested too deeply", endpoint=endpoint) from error
    except ValueError as error:
        instead, title = _instead_of_json(body, error)
        raise FlashbackUnavailable(f"expected JSON, got {instead}", endpoint=endpoint, detail=title) from error


def count_values(body: bytes) -> int:
    """No fewer than the values in a JSON text, without parsing it."""
    return sum(body.count(sign) for sign in (b",", b"[", b"{"))


def parse_json(body: bytes) -> Any:
    """JSON whose numbers keep all of their digits. Raises ValueError or RecursionError."""
    return json.loads(body, parse_int=_whole_number, parse_float=Literal, parse_constant=Literal)


def _whole_number(text: str) -> int | Literal:
    # int() of more than 4,300 digits is a ValueError, which would read as "not JSON".
    return int(text) if len(text) <= 40 else Literal(text)


def _instead_of_json(body: bytes, error: ValueError) -> tuple[str, str]:
    """What came instead, in our words; and what a page calls itself."""
    start = body[:1024].strip()
    if not start:
        return "an empty body", ""
    if start.startswith(b"<"):
        title = _title(body)
        return "HTML", f" ({title})" if title else ""
    if isinstance(error, json.JSONDecodeError):
        return f"something that breaks off or is damaged at character {error.pos + 1} of {len(error.doc)}", ""
    return "bytes that are no text", ""


def _title(body: bytes) -> str:
    """The title of an HTML page: all that is worth repeating of one."""
    found = _HTML_TITLE.search(body[:_LONGEST_FAILURE])
    return one_line(found[1].decode(errors="replace"), 100) if found else ""


def _totals(fields: dict[str, Any], path: str, endpoint: str) -> dict[Counter, int]:
    found = {counter: parse_count(fields, field, path, endpoint) for field, counter in _COUNTER_OF_FIELD.items()}
    return {counter: total for counter, total in found.items() if total is not None}


def parse_count(fields: dict[str, Any], field: str, path: str, endpoint: str) -> int | None:
    """A number of 0 or more, as digits or as a JSON integer; None where it is missing or null."""
    value = fields.get(field)
    if value is None:
        return None
    if type(value) is str and _DECIMAL.fullmatch(value):
        return int(value)
    if type(value) is not int or not 0 <= value <= _LARGEST_COUNT:  # a bool is an int, too, but not of this type
        mismatch(f"{path}.{field}", "a decimal number", value, endpoint)
    return value


def parse_identity(fields: dict[str, Any], field: str, path: str, endpoint: str) -> str:
    """An id as it came. One that would have to be cleaned is no id: two of them might become the same."""
    value = fields.get(field)
    if not isinstance(value, str) or not value or value != one_line(value, LONGEST_NAME):
        mismatch(f"{path}.{field}", "an id", value, endpoint)
    return value


def parse_name(fields: dict[str, Any], field: str, path: str, endpoint: str) -> str:
    value = fields.get(field)
    if value is None:
        return ""
    return one_line(expect(str, value, f"{path}.{field}", "a text", endpoint), LONGEST_NAME)


def _repos(value: Any, path: str, endpoint: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    repos = []
    for position, entry in enumerate(expect(list, value, f"{path}.repos", "a list", endpoint)):
        place = f"{path}.repos[{position}]"
        fields = expect(dict, entry, place, "an object", endpoint)
        repo = parse_identity(fields, "id", place, endpoint)
        repos.append((repo, parse_name(fields, "name", place, endpoint) or repo))
    return tuple(repos)


def parse_moment(value: Any) -> datetime | None:
    """A time of creation, or None: a reading is not lost for it, the counting only learns less at first sight."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: year 1 or 9999, pushed over the edge by its offset
        return None


def parse_epoch(value: Any) -> datetime | None:
    """A moment as seconds or milliseconds since 1970, or in ISO 8601; None where it cannot be read."""
    if isinstance(value, str) and not _EPOCH.fullmatch(value):
        return parse_moment(value)
    if isinstance(value, bool) or not isinstance(value, int | str | Literal):
        return None
    try:
        seconds = float(value.text if isinstance(value, Literal) else value)
        return datetime.fromtimestamp(seconds / 1000 if seconds >= _FIRST_IN_MILLISECONDS else seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def expect(kind: type[_Value], value: Any, path: str, wanted: str, endpoint: str) -> _Value:
    if not isinstance(value, kind):
        mismatch(path, wanted, value, endpoint)
    return value


def mismatch(path: str, wanted: str, value: Any, endpoint: str) -> NoReturn:
    raise FlashbackUnreadable(f"{path}: expected {wanted}", endpoint=endpoint, detail=f", got {_quoted(value)}")


def _quoted(value: Any) -> str:
    """A value as a person may read it in one short line; what holds others is only named."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f'"{one_line(value, LONGEST_QUOTE, squeeze=False)}"'
    if isinstance(value, Literal):
        return one_line(value.text, LONGEST_QUOTE)
    if value is None:
        return "nothing"
    return one_line(json.dumps(value), LONGEST_QUOTE)
