"""YAML as it was written: every scalar stays text, so `1.10` keeps its digits and `no` stays `no`.

A place that cannot be used becomes an `Unusable`, which carries its own sentence; whoever reads that place tells it.
`${NAME}` and `${NAME:-default}` are taken from the environment (the default also where NAME is empty, as in a shell);
`$${` writes `${`. Any other dollar is a dollar.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Self

import yaml

from alertbot.errors import ConfigError, Mistake

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TEXT_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp"))
_COLLECTION_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_MOST_NODES = 100_000  # a few hundred bytes of nested aliases can stand for billions of values
_DOLLAR = re.compile(r"\$\$\{|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
_VARIABLE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:(?!\$\{).)*))?", re.DOTALL)
# Between { and } YAML takes the braces of ${NAME} for its own. While it is parsed, they and what they enclose are
# letters of a private plane, one for one, so that columns stay what they are.
_VEILED = re.compile(r"""\$\{[^}\n"']*\}""")
_PRIVATE = 0x10FF00
_VEIL = {code: _PRIVATE + code for code in range(0x20, 0x7F) if not chr(code).isalnum()}
_UNVEIL = {private: code for code, private in _VEIL.items()}
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASS|KEY|WEBHOOK|CREDENTIAL|DSN|DATABASE|_URL", re.IGNORECASE)


class RawScalar(str):
    """A scalar as its author wrote it, variables filled in.

    `shown` is what a mistake may quote: variables whose name sounds like a secret stand there unfilled.
    """

    __slots__ = ("shown",)
    shown: str

    def __new__(cls, text: str, shown: str | None = None) -> Self:
        written = super().__new__(cls, text)
        written.shown = text if shown is None else shown
        return written


class InvalidValue(str):
    """A place that cannot be read, with the sentence that says so.

    `absent` says that what was written there is right, but what it points to (a variable, a file) is not there.
    """

    __slots__ = ("absent", "sentence")
    sentence: str
    absent: bool

    def __new__(cls, sentence: str, *, absent: bool = False) -> Self:
        unusable = super().__new__(cls)
        unusable.sentence = sentence
        unusable.absent = absent
        return unusable


def read_yaml(text: str | bytes, *, origin: str) -> Any:
    """The one document in `text` as dicts, lists, `Written` and None; `origin` names the file in messages.

    Raises ConfigError with file, line and column where it is not YAML.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig")
        node = yaml.compose(_VEILED.sub(_veil, decoded), Loader=yaml.SafeLoader)
        return None if node is None else _Tree().value(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise ConfigError(
            Mistake(f"{origin}, line {line}, column {column}", f"expected correct YAML, got {_fault(error)}")
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            Mistake(origin, "expected text in UTF-8, got a character that YAML does not allow")
        ) from error
    except RecursionError as error:
        raise ConfigError(Mistake(origin, "expected a few levels of keys, got far more than can be read")) from error


def _veil(found: re.Match[str]) -> str:
    return found[0].translate(_VEIL)


def as_written(value: Any) -> Any:
    """The same tree with every scalar as text: for values that another YAML reader, or JSON, has read."""
    match value:
        case None | RawScalar() | InvalidValue():
            return value
        case bool():
            return RawScalar("true" if value else "false")
        case date():
            return RawScalar(value.isoformat())
        case Mapping():
            return {str(key): as_written(inner) for key, inner in value.items()}
        case list() | tuple():
            return [as_written(inner) for inner in value]
        case _:
            return RawScalar(str(value))


def fill_variables(tree: Any, environ: Mapping[str, str]) -> Any:
    """The same tree with `${NAME}` and `${NAME:-default}` replaced; where that cannot be, `Unusable`."""
    match tree:
        case dict():
            return {key: fill_variables(value, environ) for key, value in tree.items()}
        case list():
            return [fill_variables(value, environ) for value in tree]
        case RawScalar() if "${" in tree:
            return _filled(tree, environ)
        case _:
            return tree


def _filled(written: RawScalar, environ: Mapping[str, str]) -> RawScalar | InvalidValue:
    parts: list[str] = []
    shown: list[str] = []
    missing: list[str] = []
    rest = 0
    for found in _DOLLAR.finditer(written):
        between = written[rest : found.start()]
        rest = found.end()
        variable = _VARIABLE.fullmatch(found["inside"]) if found["end"] else None
        if found[0] == "$${":
            value, quoted = "${", "${"
        elif variable is None:
            return InvalidValue("expected ${NAME} or ${NAME:-default}, got another ${ (a literal one is written $${)")
        else:
            name, default = variable["name"], variable["default"]
            known = environ.get(name) or default
            if known is None and name not in environ:
                missing.append(name)
            value = known or ""
            quoted = found[0] if _SECRET_NAME.search(name) else value
        parts += [between, value]
        shown += [between, quoted]
    if missing:
        names = " and ".join(dict.fromkeys(missing))
        verb = "variables {} are" if len(set(missing)) > 1 else "variable {} is"
        return InvalidValue(f"the {verb.format(names)} not set", absent=True)
    return RawScalar("".join(parts) + written[rest:], "".join(shown) + written[rest:])


class _Tree:
    """Turns the composed nodes of one document into values."""

    def __init__(self) -> None:
        self._nodes = 0
        self._open: set[int] = set()  # nodes that we are inside of: an alias to one of them has no end

    def value(self, node: yaml.Node) -> Any:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise yaml.MarkedYAMLError(problem=f"more than {_MOST_NODES} values", problem_mark=node.start_mark)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if node.tag not in _COLLECTION_TAGS:
            return InvalidValue(f"expected a plain value, got one with the tag {node.tag}")
        if id(node) in self._open:
            return InvalidValue("expected a value, got an alias to the place that holds it")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(child) for child in node.value]
            return self._mapping(node)
        finally:
            self._open.remove(id(node))

    def _mapping(self, node: yaml.Node) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key that is not plain text", problem_mark=key_node.start_mark)
            key = str(key_node.value).translate(_UNVEIL)
            if key == "<<" and key_node.style is None:
                merged = self._merged(value_node) | merged
            elif key in own:
                own[key] = InvalidValue(f"expected this key once, got it in line {lines[key]} and again in line {line}")
            else:
                lines[key] = line
                own[key] = self.value(value_node)
        return merged | own

    def _merged(self, node: yaml.Node) -> dict[str, Any]:
        value = self.value(node)
        sources = value if isinstance(value, list) else [value]
        merged: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, dict):
                raise yaml.MarkedYAMLError(problem="<< with no keys to take over", problem_mark=node.start_mark)
            merged = source | merged
        return merged


def _scalar(node: yaml.ScalarNode) -> RawScalar | InvalidValue | None:
    if node.tag not in _TEXT_TAGS:
        # What SafeLoader resolves by itself (`=`, `<<`) is text to us; what the author tagged is not.
        if node.tag not in {"tag:yaml.org,2002:value", "tag:yaml.org,2002:merge"}:
            return InvalidValue(f"expected a plain value, got one with the tag {node.tag}")
        return RawScalar(node.value)
    if node.style is None and node.value in _NULLS and node.tag != "tag:yaml.org,2002:str":
        return None
    return RawScalar(node.value.translate(_UNVEIL))


def _fault(error: yaml.MarkedYAMLError) -> str:
    """What is wrong, in words that a person who does not know YAML's grammar can use; never the text of the line."""
    problem = error.problem or error.context or ""
    for sign, words in _FAULTS:
        if sign in problem:
            return words
    return problem


_FAULTS = (
    (r"'\t'", "a tab (indent with spaces)"),
    ("cannot start any token", "a character that must stand in quotes"),
    ("mapping values are not allowed", 'a ":" where none can be (wrong indentation, or a text that needs quotes)'),
    ("could not find expected ':'", 'a line without ":" where a key was begun'),
    ("expected <block end>", "a line whose indentation fits nothing above it"),
    ("found unexpected end of stream", "the end of the file inside quotes"),
    ("expected ',' or", "an opening [ or { that is not closed, or a missing comma"),
    ("expected a single document", "a second document (---)"),
    ("but found another document", "a second document (---)"),
    (
        "expected the node content",
        "a sign, or the end, where a value was expected (a text that begins with it needs quotes)",
    ),
    ("undefined alias", "an alias (*name) that no anchor (&name) defines; a text that begins with * needs quotes"),
    ("duplicate anchor", "an anchor (&name) that stands there twice"),
    ("unknown escape", "a backslash that means nothing in double quotes (use single quotes)"),
)
