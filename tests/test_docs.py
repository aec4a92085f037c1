"""What the README and docs/ say is so: commands, configuration, metrics, log events, links and pictures."""

import ast
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest

from alertbot import config
from alertbot.app.http import Metrics
from alertbot.cli import main
from alertbot.config.layers import override_layer
from alertbot.slack.parse import NAMES, parse

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
OPERATING = ROOT / "docs" / "operating.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PAGES = sorted([README, ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
COMMAND = config.SlackConfig.model_fields["command"].default
LARGEST_PICTURE = 150_000  # bytes; they are part of every clone
SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "SLACK_OPERATOR_WEBHOOK": "https://hooks.example.com/1",
    "HEARTBEAT_URL": "https://heartbeat.example.com/1",
}

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
# The program, perhaps with its folder, and its arguments up to the end of the line or of the shell's command.
_PROGRAM = re.compile(r"(?:^|[\s/])(?<!--name )alertbot (?!alertbot )((?:--)?[a-z][^|;&\n]*)")


def blocks(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    return [(found[1], found[2]) for found in _FENCE.finditer(page.read_text(encoding="utf-8"))]


def inline(page: Path) -> list[str]:
    """What stands between backticks in running text and tables."""
    return _INLINE.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def code(page: Path) -> Iterator[str]:
    """Every line of code."""
    yield from inline(page)
    for _, text in blocks(page):
        yield from text.replace("\\\n", " ").splitlines()


def programs(page: Path) -> Iterator[list[str]]:
    """The arguments of each call of `alertbot`."""
    for line in code(page):
        if not line.startswith(COMMAND):
            yield from (shlex.split(found[1]) for found in _PROGRAM.finditer(line))


def leaves(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each command of the command line."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*above, name))
        else:
            yield (*above, name)


def read_arguments(arguments: list[str]) -> tuple[str, ...]:
    """Parse as the command line does, without running anything; the path of the command."""
    context = main.make_context("alertbot", list(arguments))
    path: list[str] = []
    command: click.Command = main
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert name is not None
        assert found is not None
        path.append(name)
        command = found
        context = command.make_context(name, rest, parent=context)
    return tuple(path)


PROGRAMS = [(page, arguments) for page in PAGES for arguments in programs(page)]
SLASHES = [(page, line) for page in PAGES for line in code(page) if line.startswith(f"{COMMAND} ") or line == COMMAND]
YAML = [(page, text) for page in PAGES for language, text in blocks(page) if language == "yaml"]


@pytest.mark.parametrize("arguments", [arguments for _, arguments in PROGRAMS], ids=" ".join)
def test_a_documented_call_of_the_program_is_understood_by_it(arguments: list[str]):
    read_arguments(arguments)


@pytest.mark.parametrize("line", sorted({line for _, line in SLASHES}))
def test_a_documented_slash_command_is_understood(line: str):
    parse(line.removeprefix(COMMAND).strip())


def test_the_readme_names_every_command_of_the_command_line():
    named = {read_arguments(arguments) for page, arguments in PROGRAMS if page == README}
    assert named == set(leaves(main))


def test_the_readme_names_every_sub_command_of_the_slash_command():
    named = {parse(line.removeprefix(COMMAND).strip()).command for page, line in SLASHES if page == README}
    assert named == set(NAMES)


@pytest.mark.parametrize(
    ("page", "text"), YAML, ids=[f"{page.name} {text.split(':')[0].strip()}" for page, text in YAML]
)
def test_a_documented_configuration_loads(page: Path, text: str, tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    config.load(path, environment_of(text), needs=config.NOTHING)


def test_the_first_configuration_of_the_readme_is_all_that_the_bot_needs(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text(next(text for page, text in YAML if page == README), encoding="utf-8")
    loaded = config.load(path, {**SECRETS, "FLASHBACK_PASSWORD": "1"})
    assert loaded.slack.missing_tokens == ()
    assert loaded.notes == ()


def environment_of(text: str) -> Mapping[str, str]:
    return {name: SECRETS.get(name, "1") for name in re.findall(r"\$\{(\w+)", text)}


def test_documented_variables_override_keys_that_exist():
    text = "".join(path.read_text(encoding="utf-8") for path in (*PAGES, ROOT / "Dockerfile"))
    names = set(re.findall(r"\bALERTBOT_[A-Z_]+[A-Z]\b", text))
    overrides = override_layer(dict.fromkeys(names, "1"))
    mistakes = [*overrides.mistakes, *overrides.ignored]
    assert len(names) > 3
    assert mistakes == []


def test_the_metrics_that_are_documented_are_those_that_there_are():
    exposed = set()
    for family in Metrics().registry.collect():
        exposed.add(f"{family.name}_total" if family.type == "counter" else family.name)
    assert set(first_column(OPERATING, "Metrics")) == exposed
    assert set(re.findall(r"alertbot_[a-z_]+", OPERATING.read_text(encoding="utf-8"))) == exposed


def test_the_labels_of_metrics_are_documented():
    documented = {row[0].strip("`"): set(_INLINE.findall(row[1])) for row in rows(OPERATING, "Metrics")}
    for name, labels in documented.items():
        worker: Any = Metrics().registry._names_to_collectors[name]
        assert labels == set(worker._labelnames), name


def test_documented_log_events_are_logged_by_the_code():
    documented = set(first_column(OPERATING, "Logs"))
    assert len(documented) > 10
    assert documented <= {event for path in (ROOT / "alertbot").rglob("*.py") for event, _ in logged(path)}


def test_documented_levels_are_those_of_the_code():
    levels: dict[str, set[str]] = {}
    for path in (ROOT / "alertbot").rglob("*.py"):
        for event, level in logged(path):
            levels.setdefault(event, set()).add("error" if level == "exception" else level)
    for row in rows(OPERATING, "Logs"):
        for event in _INLINE.findall(row[0]):
            assert row[1] in levels[event], event


def logged(path: Path) -> Iterator[tuple[str, str]]:
    """Each event that a module logs, and its level."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log"), attr=level), args=[ast.Constant(value=str(event)), *_]
            ):
                yield event, level


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    text = page.read_text(encoding="utf-8")
    below = re.split(rf"^#+ {heading}$", text, maxsplit=1, flags=re.MULTILINE)[1]
    table = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[0].splitlines()[2:]]


def first_column(page: Path, heading: str) -> list[str]:
    return [name for row in rows(page, heading) for name in _INLINE.findall(row[0])]


LINKS = [
    (page, target)
    for page in (*PAGES, CONTRIBUTING, ROOT / "SECURITY.md")
    for target in re.findall(
        r"\]\(([^)]+)\)|(?:src|srcset)=\"([^\"]+)\"", _FENCE.sub("", page.read_text(encoding="utf-8"))
    )
]


@pytest.mark.parametrize(("page", "targets"), LINKS, ids=[f"{page.name} {''.join(targets)}" for page, targets in LINKS])
def test_a_link_leads_somewhere(page: Path, targets: tuple[str, str]):
    target = "".join(targets)
    if target.startswith("https://"):
        return
    name, _, anchor = target.partition("#")
    found = (page.parent / name).resolve() if name else page
    assert found.is_file()
    assert found.is_relative_to(ROOT)
    if anchor:
        headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_files_that_newcomers_are_led_to_are_there():
    files = [name for name in inline(CONTRIBUTING) if re.fullmatch(r"[a-z_/-]+(\.py|/)", name)]
    assert len(files) > 30
    missing = [name for name in files if not any((ROOT / top / name).exists() for top in ("", "alertbot"))]
    assert missing == []


def test_every_picture_is_shown_and_is_small():
    shown = {(page.parent / "".join(targets)).resolve() for page, targets in LINKS if targets[1]}
    pictures = set((ROOT / "docs" / "images").iterdir())
    assert pictures == shown
    assert [picture.name for picture in pictures if picture.stat().st_size > LARGEST_PICTURE] == []
