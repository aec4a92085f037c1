"""Small checks of JSON that combine into larger ones; the words they refuse with are those of Slack's API."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """One rule that a payload breaks, and where."""

    pointer: str
    code: str
    message: str
    constraint: JsonObject = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.message} [json-pointer:{self.pointer}]"

    def as_json(self) -> JsonObject:
        """Give it as blocks.validate answers it."""
        return {"pointer": self.pointer, "code": self.code, "message": self.message, "constraint": self.constraint}


class Check(Protocol):
    """Yields what is wrong with a value at a place."""

    def __call__(self, value: Any, pointer: str, /) -> Iterator[Problem]: ...


def problem(pointer: str, code: str, message: str, **constraint: object) -> Problem:
    """Name one broken rule."""
    return Problem(pointer, code, message, constraint)


def boolean(value: Any, pointer: str) -> Iterator[Problem]:
    """Accept true and false."""
    if not isinstance(value, bool):
        yield problem(pointer, "type", "must be a boolean")


def mapping(value: Any, pointer: str) -> Iterator[Problem]:
    """Accept any object; what is in it is checked elsewhere."""
    if not isinstance(value, dict):
        yield problem(pointer, "type", "must be an object")


def string(most: int, least: int = 1) -> Check:
    """Accept a string of so many code points."""

    def check(value: Any, pointer: str, /) -> Iterator[Problem]:
        if not isinstance(value, str):
            yield problem(pointer, "type", "must be a string")
        elif len(value) < least:
            yield problem(pointer, "min_length", f"must be more than {least - 1} characters", min=least)
        elif len(value) > most:
            yield problem(pointer, "max_length", f"must be less than {most + 1} characters", max=most)

    return check


def number(least: float | None = None, most: float | None = None) -> Check:
    """Accept a number within bounds."""

    def check(value: Any, pointer: str, /) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield problem(pointer, "type", "must be a number")
        elif (least is not None and value < least) or (most is not None and value > most):
            yield problem(pointer, "range", f"must be between {least} and {most}")

    return check


def values_in(*allowed: str) -> Check:
    """Accept one of a few words."""

    def check(value: Any, pointer: str, /) -> Iterator[Problem]:
        if value not in allowed:
            yield problem(pointer, "enum", f"must be a valid enum value ({', '.join(allowed)})")

    return check


def list_of(part: Check, most: int, least: int = 1) -> Check:
    """Accept a list of so many parts, each of which is checked."""

    def check(value: Any, pointer: str, /) -> Iterator[Problem]:
        if not isinstance(value, list):
            yield problem(pointer, "type", "must be an array")
            return
        if len(value) < least:
            yield problem(pointer, "min_items", f"no fewer than {least} items allowed", min=least)
        if len(value) > most:
            yield problem(pointer, "max_items", f"no more than {most} items allowed", max=most)
        for index, member in enumerate(value):
            yield from part(member, f"{pointer}/{index}")

    return check


def one_of(*checks: Check) -> Check:
    """Accept what any of the checks accepts, and tell the nearest miss."""

    def check(value: Any, pointer: str, /) -> Iterator[Problem]:
        found = [list(candidate(value, pointer)) for candidate in checks]
        # The deepest complaint belongs to the alternative that was meant.
        yield from min(
            found, key=lambda problems: (bool(problems), -max((len(p.pointer) for p in problems), default=0))
        )

    return check


def typed(shapes: Mapping[str, "Shape"]) -> Check:
    """Accept an object whose `type` names one of the shapes, and hold it to that shape."""

    def check(value: Any, pointer: str, /) -> Iterator[Problem]:
        kind = value.get("type") if isinstance(value, dict) else None
        shape = shapes.get(kind) if isinstance(kind, str) else None
        if shape is None:
            yield problem(pointer, "unsupported_type", f"unsupported type: {kind}")
        else:
            yield from shape(value, pointer, extra={"type": string(255), "block_id": string(255)})

    return check


@dataclass(frozen=True, slots=True)
class Shape:
    """An object's fields, which of them it needs, and whether others are refused."""

    fields: Mapping[str, Check]
    required: Collection[str] = ()
    closed: bool = True
    nullable: bool = False
    also: Callable[[JsonObject, str], Iterator[Problem]] | None = None

    def __call__(self, value: Any, pointer: str, extra: Mapping[str, Check] | None = None) -> Iterator[Problem]:
        """Yield what is wrong with a value that should have this shape."""
        if value is None and self.nullable:
            return
        if not isinstance(value, dict):
            yield problem(pointer, "type", "must be an object")
            return
        for name in sorted(set(self.required) - value.keys()):
            yield problem(pointer, "missing_field", f"missing required field: {name}")
        known = {**self.fields, **(extra or {})}
        for name, part in value.items():
            if name in known:
                yield from known[name](part, f"{pointer}/{name}")
            elif self.closed:
                yield problem(pointer, "additional_property", f"invalid additional property: {name}")
        if self.also is not None:
            yield from self.also(value, pointer)


def text(most: int) -> Check:
    """Accept a text object, mrkdwn or plain, of so many characters."""
    return typed(
        {
            "mrkdwn": Shape({"text": string(most), "verbatim": boolean}, required={"text"}),
            "plain_text": Shape({"text": string(most), "emoji": boolean}, required={"text"}),
        }
    )


def plain(most: int) -> Check:
    """Accept a plain_text object of so many characters."""
    return typed({"plain_text": Shape({"text": string(most), "emoji": boolean}, required={"text"})})
