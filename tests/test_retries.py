"""Which tests are tried once more where CI asks for it: those of whole processes, and no others."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
TEST = """
from pathlib import Path

def test_{name}():
    tries = Path(__file__).with_suffix(".tries")
    with tries.open("a") as file:
        file.write("x")
    assert tries.stat().st_size > {failures}, "as a race that was lost"
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "end_to_end").mkdir()
    return tmp_path


def add(folder: Path, name: str, *, failures: int) -> None:
    (folder / f"test_{name}.py").write_text(TEST.format(name=name, failures=failures), encoding="utf-8")


def ran(suite: Path, *options: str, workers: int = 0) -> tuple[int, str]:
    """The exit code, and what pytest prints, with our conftest.py."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]
    configured = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(suite), "-p", "no:cacheprovider"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *configured,
        "-p",
        "tests.conftest",
        "-n",
        str(workers),
        *options,
        str(suite),
    ]
    done = subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def options_of_ci() -> list[str]:
    arguments = re.search(r'ARGS="([^"]*)"', CI)
    assert arguments is not None
    return arguments[1].split()


def test_in_ci_a_test_of_whole_processes_is_tried_once_more_and_that_is_told(suite: Path):
    add(suite / "end_to_end", "lost_once", failures=1)
    code, output = ran(suite, *options_of_ci())
    assert code == 0, output
    assert output.splitlines()[-1].startswith("1 passed, 1 rerun in ")
    assert "RERUN end_to_end/test_lost_once.py::test_lost_once" in output
    assert "as a race that was lost" in output


def test_in_ci_what_fails_twice_has_failed_and_so_has_any_other_test_that_fails_once(suite: Path):
    add(suite / "end_to_end", "lost_once", failures=1)
    add(suite / "end_to_end", "lost_twice", failures=2)
    add(suite, "wrong_once", failures=1)
    code, output = ran(suite, *options_of_ci(), workers=2)
    assert code == 1, output
    assert output.splitlines()[-1].startswith("2 failed, 1 passed, 2 rerun in ")
    failed = {line.split("::")[1].split()[0] for line in output.splitlines() if line.startswith("FAILED ")}
    assert failed == {"test_lost_twice", "test_wrong_once"}


def test_elsewhere_nothing_is_tried_once_more(suite: Path):
    add(suite / "end_to_end", "lost_once", failures=1)
    code, output = ran(suite)
    assert code == 1, output
    assert "rerun" not in output


def test_ci_runs_everything_once(suite: Path):
    """The linters, the types and the imports are never tried again: one make, and nothing after it."""
    commands = [line for line in CI.splitlines() if line and not line.startswith("#")]
    assert commands[-1].startswith("exec make test ")
    assert [line for line in commands if "make" in line] == commands[-1:]
