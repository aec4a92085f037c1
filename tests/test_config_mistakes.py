"""Every mistake in the configuration is told at once, each in one sentence with its place, and without any secret."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alertbot.config import Config, load, read_yaml
from alertbot.config.keys import Section, sections_in
from alertbot.config.sections import ConfigFile
from alertbot.errors import ConfigError
from tests.config_files import ENVIRON, mistakes, write

BROKEN = sorted((Path(__file__).parent / "configs").glob("*.yaml"))
SENTENCE = re.compile(r"[^ :][^:]*(?:, line \d+, column \d+)?: (?:expected .+|the variables? .+ not set)", re.DOTALL)
JARGON = re.compile(r"pydantic|Input should|type=|validation|NoneType|dict|tuple|Traceback|object at 0x", re.IGNORECASE)


@pytest.mark.parametrize("path", BROKEN, ids=[path.stem for path in BROKEN])
def test_a_broken_file_is_told_in_exactly_these_lines(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = [line.removeprefix("# ") for line in lines[: next(i for i, s in enumerate(lines) if s[:2] != "# ")]]

    with pytest.raises(ConfigError) as raised:
        load(Path(path.name), ENVIRON)

    assert raised.value.lines == expected
    assert all(SENTENCE.fullmatch(line) and not JARGON.search(line) for line in expected)
    assert not re.search(r"hunter2|hush", "".join(expected)), "no secret is ever shown"


def test_one_mistake_hides_no_other_and_they_come_sorted_by_place(tmp_path):
    """Every file with one broken rule, source, entry of on-call or route, put together into one."""
    together: dict[str, list[Any]] = {"sources": [], "oncall": [], "routes": [], "rules": []}
    expected = []
    for path in BROKEN:
        text = path.read_text(encoding="utf-8")
        section = path.stem.split("_")[0].replace("source", "sources").replace("route", "routes")
        section = "rules" if section in {"rule", "rate", "ratio", "spike", "budget", "burn", "absence"} else section
        found = re.findall(r"^# (.*)$", text, re.MULTILINE)
        listed = read_yaml(text, origin=path.name).get(section) if section in together else None
        if not isinstance(listed, list) or len(listed) != 1 or "@oncall:" in text:
            continue
        expected += [re.sub(r"^(\w+)\[0\]", rf"\1[{len(together[section])}]", line) for line in found]
        together[section] += listed
    for entries in together.values():
        for index, keys in enumerate(entries):
            if isinstance(keys, dict) and keys.get("name") in {"r", "acme", "primary"}:
                keys["name"] = f"{keys['name']}-{index}"

    told = mistakes(tmp_path, yaml.safe_dump(_plain(together)))

    assert len(expected) > 80
    assert sorted(told) == sorted(expected)
    places = [re.split(r"[\[\]]", line)[:2] for line in told]
    assert places == sorted(places, key=lambda place: (place[0], int(place[1]))), "rules[2] stands before rules[10]"


def _plain(tree: Any) -> Any:
    match tree:
        case dict():
            return {str(key): _plain(value) for key, value in tree.items()}
        case list():
            return [_plain(value) for value in tree]
        case None:
            return None
        case _:
            return str(tree)


def _words() -> list[str]:
    """Every key that the file knows, at any depth."""
    words: set[str] = set()
    waiting: list[type[Section]] = [ConfigFile]
    while waiting:
        section = waiting.pop()
        keys = section.keys()
        words |= set(keys)
        waiting += [inner for field in keys.values() for inner in sections_in(field.annotation)]
        waiting += section.__subclasses__()
    return sorted(words)


SCALARS = st.one_of(
    st.sampled_from(["", "no", "1:30", "5", "-1", "1e5", "15m", "2%", "tokens", "#a", "U1", "acme", "budget", "spike"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=6),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(_words()), st.text("ab._-", max_size=3)), inner, max_size=5),
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(list(ConfigFile.keys())), TREES, max_size=4))
def test_whatever_stands_in_the_file_is_a_config_or_a_list_of_sentences(tmp_path_factory, tree):
    path = write(tmp_path_factory.getbasetemp(), yaml.safe_dump(tree, allow_unicode=True))
    try:
        lines = [] if isinstance(load(path, ENVIRON), Config) else ["nothing came"]
    except ConfigError as error:
        lines = error.lines or ["no mistake was named"]
    assert [line for line in lines if not re.match(r".+?: expected .+", line)] == []
    assert [line for line in lines if re.search(r"pydantic|Input should|type=", line)] == []


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_yaml_or_one_sentence(text):
    lines: list[str] = []
    try:
        read_yaml(text, origin="x.yaml")
    except ConfigError as error:
        lines = error.lines
    assert len(lines) <= 1
    assert [line for line in lines if not re.match(r"x\.yaml(, line \d+, column \d+)?: expected ", line)] == []


def test_a_file_that_is_named_and_missing_is_a_mistake(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.yaml: expected a config file, got nothing there"):
        load(tmp_path / "gone.yaml", ENVIRON)
    with pytest.raises(ConfigError, match=r"gone\.yaml: expected a config file, got nothing there"):
        load(None, ENVIRON | {"ALERTBOT_CONFIG": str(tmp_path / "gone.yaml")})
    with pytest.raises(ConfigError, match=r"expected a config file that can be read, got a folder"):
        load(tmp_path, ENVIRON)


def test_a_file_that_is_not_text_is_a_mistake(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"log: {level: \xff\xfe}")
    with pytest.raises(ConfigError, match="expected text in UTF-8"):
        load(path, ENVIRON)
    path.write_bytes(b"log: {level: \x00}")
    with pytest.raises(ConfigError, match="expected text in UTF-8"):
        load(path, ENVIRON)


def test_a_few_lines_of_aliases_do_not_fill_the_memory(tmp_path):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    assert "more than 100000 values" in mistakes(tmp_path, bomb)[0]
    assert "far more than can be read" in mistakes(tmp_path, "a: " + "[" * 600 + "]" * 600)[0]
