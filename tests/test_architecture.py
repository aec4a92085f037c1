"""Imports point down: the contracts stand in pyproject.toml, under [tool.importlinter]."""

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_every_import_points_down():
    assert lint_imports() == EXIT_STATUS_SUCCESS
