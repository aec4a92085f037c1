"""Stages for the tests of the whole bot."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.stage import Stage


@pytest.fixture
def new_stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Sets up stages, each with servers of its own; all are gone after the test."""
    stages: list[Stage] = []

    def make(**more: Any) -> Stage:
        folder = tmp_path / f"stage-{len(stages)}"
        folder.mkdir()
        stage = Stage(folder, **more)
        stages.append(stage)
        stage.open()
        return stage

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def stage(new_stage: Callable[..., Stage]) -> Stage:
    return new_stage()
