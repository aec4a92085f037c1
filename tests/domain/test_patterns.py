"""Patterns that people give: whatever they are, the work is bounded by the length of pattern and text."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import alertbot
from alertbot.domain.patterns import LONGEST_PATTERN, InvalidPattern, regex, regex_problem
from alertbot.domain.rules import glob

LONG_NAME = "a" * 10_000 + "!"
# Each of these holds Python's `re` for longer than anybody lives.
PATHOLOGICAL = [
    r"(((.+)+)+)+!!",
    r"(\w+-?)+-test",
    r"(a+)+b",
    r"(a|a)*b",
    r"(a|aa)+b",
    r"(.*a){20}b",
    r"(a*)*b",
    r"([a-z]+)*=",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(a?){50}a{50}b",
]


@pytest.mark.parametrize("pattern", PATHOLOGICAL)
def test_a_pattern_that_backtracks_for_ever_elsewhere_is_answered(pattern: str) -> None:
    assert regex(pattern).fullmatch(LONG_NAME) is False


@pytest.mark.parametrize(
    "pattern", ["*a" * 60 + "*b", "*" * 300 + "b", "*" + "a" * 150 + "b*" + "?" * 140, "*[a-z]" * 50]
)
def test_a_glob_that_fits_in_many_ways_is_answered(pattern: str) -> None:
    assert glob(pattern).fullmatch(LONG_NAME) is None


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(?=a)b", "look-around"),
        ("(?!test).*", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "back-references"),
        ("(?P<x>a)(?P=x)", "back-references"),
        ("(?>a)", "atomic groups"),
        ("a++", "possessive"),
        ("(a)(?(1)b|c)", "conditions"),
        ("(", "missing )"),
        ("[a", "missing ]"),
        ("*a", "no argument for repetition"),
        ("a{1001}", "invalid repetition size"),
        (r"\pL{300}", "too large"),
        ("((a?){30}){30}" * 2, "fewer repetitions"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(pattern: str, told: str) -> None:
    problem = regex_problem(pattern)
    assert told in problem
    assert "\n" not in problem
    with pytest.raises(InvalidPattern):
        regex(pattern)


@given(st.text(max_size=LONGEST_PATTERN + 5), st.text(max_size=50))
def test_whatever_is_typed_matches_or_is_refused(pattern: str, text: str) -> None:
    if not regex_problem(pattern):
        assert regex(pattern).fullmatch(text) in {True, False}


def test_a_name_that_is_no_valid_unicode_is_matched_too() -> None:
    assert regex("a.*").fullmatch("a\ud800")


# Functions that hand the text of a person or of a caller to Python's `re`, and why they may.
_BOUNDED = {
    ("config/values.py", "matching"),  # its callers give constants
    ("domain/rules.py", "glob"),  # fnmatch makes atomic groups of it
}


def test_python_compiles_no_pattern_that_somebody_typed() -> None:
    root = Path(alertbot.__file__).parent
    found = {(str(path.relative_to(root)), name) for path in root.rglob("*.py") for name in _compiles_variables(path)}
    assert found == _BOUNDED


def _compiles_variables(path: Path) -> set[str]:
    """The functions of a file that call a function of `re`, or `fnmatch` itself, with a pattern that is no constant."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return {
        function.name
        for function in functions
        for call in ast.walk(function)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "re"
        and call.func.attr != "escape"
        and not isinstance(call.args[0], ast.Constant)
        and not _is_escaped(call.args[0])
        and not (isinstance(call.args[0], ast.Name) and call.args[0].id.isupper())  # a constant of its module
    }


def _is_escaped(pattern: ast.expr) -> bool:
    """Whether it is `re.escape(…)`, in which nothing is left to backtrack."""
    return isinstance(pattern, ast.Call) and isinstance(pattern.func, ast.Attribute) and pattern.func.attr == "escape"
