"""How a mistake in the configuration is told: its place, what was expected, what was got. No secret, ever."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from pydantic import SecretStr, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from alertbot.config.raw_values import RawScalar
from alertbot.errors import Mistake

Location = tuple[str | int, ...]
_SHOWN = 80  # characters of a wrong value that a message quotes
# What a mistake never quotes, wherever it was written: passwords in URLs, tokens, webhooks.
_SECRETS = re.compile(r"(?<=://)[^/\s]*(?=@)|\b(?:xox[a-z]|xapp)-\S+|\beyJ[\w.-]{8,}|(?<=hooks\.slack\.com/)\S+")
_NUMERAL = re.compile(r"[0-9]+")


class Mismatch(ValueError):
    """A text that does not fit; its message, where there is one, says more exactly what was expected."""


def quoted(value: object) -> str:
    """A wrong value as a message names it. A secret is never shown."""
    match value:
        case None | "":
            return "nothing"
        case SecretStr():
            return "a value that is not shown here"
        case str():
            text = value.shown if isinstance(value, RawScalar) else str(value)
            visible = "".join(letter if letter.isprintable() else " " for letter in _SECRETS.sub("…", text))
            return f'"{visible}"' if len(visible) <= _SHOWN else f'"{visible[:_SHOWN]}…"'
        case list() | tuple():
            return "a list"
        case Mapping():
            return "keys with values"
        case _:
            return f'"{value}"'


def mistake(sentence: str) -> PydanticCustomError:
    """An error whose whole text is our own sentence."""
    return PydanticCustomError("mistake", "{sentence}", {"sentence": sentence})


def mistakes_at(found: Iterable[tuple[Location, str]]) -> ValidationError:
    """Several of them at once, each at its location below the place that is being read."""
    return ValidationError.from_exception_data(
        "configuration",
        [InitErrorDetails(type=mistake(sentence), loc=location, input=None) for location, sentence in found],
    )


def sentences_of(error: ValidationError) -> list[tuple[Location, str]]:
    """What `mistakes_at` was given, also from deeper levels."""
    return [(found["loc"], found["msg"]) for found in error.errors(include_url=False, include_input=False)]


def place_of(start: str, location: Location) -> str:
    """A location as people write it: `rules[2].above.warning`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return (start + "".join(steps)).removeprefix(".")


def mistakes_in(error: ValidationError, start: str = "") -> list[Mistake]:
    """The same with their places, below the place `start`."""
    return [Mistake(place_of(start, location), text) for location, text in sentences_of(error)]


def in_order(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Sorted by place, each once; rules[2] stands before rules[10]."""
    return sorted(dict.fromkeys(mistakes), key=_sort_key)


def _sort_key(mistake: Mistake) -> Mistake:
    return mistake._replace(place=_NUMERAL.sub(lambda numeral: numeral[0].zfill(9), mistake.place))


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.65) -> str | None:
    """The known name that was probably meant."""
    return next(iter(get_close_matches(name.lower(), list(known), n=1, cutoff=cutoff)), None)
