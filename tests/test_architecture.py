"""Each library has one door, and what only reads writes nothing: held for every module, without a list of packages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import alertbot

PACKAGE = Path(alertbot.__file__).parent
DOORS = {
    "alembic": ("store",),
    "apscheduler": ("app/scheduler.py", "config/values.py"),  # the configuration reads cron lines with the same library
    "httpcore": ("flashback",),
    "httpx": ("flashback",),
    "psycopg": ("store",),
    "slack_bolt": ("slack",),
    "slack_sdk": ("slack",),
    "sqlalchemy": ("store",),
    "sqlite3": ("store",),
    "stamina": ("flashback",),
}


def imports() -> Iterator[tuple[str, str]]:
    """Each module below alertbot/, with each package that it imports."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                yield path.relative_to(PACKAGE).as_posix(), name.partition(".")[0]


@pytest.mark.parametrize(("library", "doors"), DOORS.items(), ids=DOORS)
def test_only_its_door_knows_a_library(library: str, doors: tuple[str, ...]) -> None:
    users = {module for module, imported in imports() if imported == library}
    assert users or library in {"psycopg", "sqlite3"}, (
        "nobody imports it any more"
    )  # SQLAlchemy loads these two by name
    assert {user for user in users if not any(user == door or user.startswith(f"{door}/") for door in doors)} == set()


def test_queries_write_nothing() -> None:
    modules = sorted((PACKAGE / "queries").glob("*.py"))
    assert len(modules) > 5
    assert [path.name for path in modules if ".transaction(" in path.read_text(encoding="utf-8")] == []
