r"""Regular expressions that people give. RE2 matches them in time linear in the text, whatever the expression.

Python's `re` backtracks: `(\w+-?)+-test` against a name of 44 letters holds the interpreter for years. So it compiles
constants of this code only, and globs, which `fnmatch` translates to atomic groups.
"""

import re
from functools import lru_cache

import re2

LONGEST_PATTERN = 300  # characters that a person may type, as in the forms
_MOST_INSTRUCTIONS = 2000  # of a compiled expression: matching takes at most so many steps a letter
_MOST_BYTES = 256 * 1024  # of memory that one compiled expression and its states may take; RE2 allows 8 MiB
# What RE2 leaves out because it cannot be matched in linear time, and what people call it.
_NOT_SUPPORTED = (
    (re.compile(r"\(\?<?[=!]"), "look-around such as (?=…) or (?<!…) is not supported"),
    (re.compile(r"\\[1-9]|\(\?P="), r"back-references such as \1 are not supported"),
    (re.compile(r"\(\?>|[*+?}]\+"), "atomic groups and possessive repetitions such as a++ are not supported"),
    (re.compile(r"\(\?\("), "conditions such as (?(1)…) are not supported"),
)


class InvalidPattern(ValueError):
    """Text that is no regular expression, or one that is not supported; the message says which."""


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _MOST_BYTES
    options.log_errors = False
    options.never_capture = True  # only whether it matches is asked
    return options


class Regex:
    """A compiled regular expression. Other threads run while it is matched."""

    __slots__ = ("_compiled",)

    def __init__(self, pattern: str) -> None:
        """Compile it. Raises InvalidPattern."""
        try:
            self._compiled = re2.compile(pattern, _options())
        except (re2.error, UnicodeEncodeError) as error:
            raise InvalidPattern(
                f'expected a regular expression, got "{pattern[:LONGEST_PATTERN]}" ({_reason(pattern, error)})'
            ) from error
        if self._compiled.programsize > _MOST_INSTRUCTIONS:
            shown = pattern[:LONGEST_PATTERN]
            raise InvalidPattern(f'expected a shorter regular expression, or one with fewer repetitions, got "{shown}"')

    def fullmatch(self, text: str) -> bool:
        """Whether the whole text matches."""
        return self._compiled.fullmatch(text.encode(errors="replace")) is not None


def _reason(pattern: str, error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds half of a surrogate pair"
    known = (sentence for unsupported, sentence in _NOT_SUPPORTED if unsupported.search(pattern))
    reason: bytes = error.args[0]
    return next(known, reason.decode(errors="replace"))


@lru_cache(maxsize=1024)
def regex(pattern: str) -> Regex:
    """The compiled expression. Raises InvalidPattern."""
    return Regex(pattern)


@lru_cache(maxsize=1024)
def regex_problem(pattern: str) -> str:
    """Why a regular expression cannot be used, in one line; empty for one that can be used."""
    try:
        regex(pattern)
    except InvalidPattern as error:
        return str(error)
    return ""
