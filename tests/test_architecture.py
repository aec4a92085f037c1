"""Imports point down: the contracts stand in pyproject.toml, under [tool.importlinter]."""

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from alertbot.store import migrate


def test_every_import_points_down():
    assert lint_imports() == EXIT_STATUS_SUCCESS


def test_the_schema_that_look_ups_expect_is_the_newest_migration():
    assert migrate.newest() == migrate.HEAD
