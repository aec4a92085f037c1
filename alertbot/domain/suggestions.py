"""The nearest of the names that there are, for one that was mistyped."""

from collections.abc import Iterable
from difflib import get_close_matches

_TELLING = 3  # letters of a name from which on it can be guessed


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """`; did you mean support-chat?`, where a known name holds what was typed or is near to it, whatever the letters' case."""
    by_lower, typed = {name.lower(): name for name in sorted(known)}, text.lower()
    near = get_close_matches(typed, by_lower, n=1) or [
        name for name in by_lower if typed in name and len(typed) >= _TELLING
    ]
    return f"; did you mean {by_lower[near[0]]}?" if near else ""
