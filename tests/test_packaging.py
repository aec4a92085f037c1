"""What is handed out: the wheel, the lock, and the tree itself."""

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pip._internal.models.index import PyPI, TestPyPI

import alertbot

ROOT = Path(__file__).parents[1]
TOP_LEVEL = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "alertbot",
    "benchmarks",
    "config.example.yaml",
    "docs",
    "migrations",
    "pyproject.toml",
    "requirements.lock",
    "tests",
}
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[a-z0-9,-]+\])?==(\S+)")
_PATH = re.compile(rb"(?<![\w.-])/[\w.-]+(?:/[\w.-]+)+")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that has our wheel, and sees the dependencies of this one."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
        str(wheel),
        cwd=folder,
    )
    # A folder that a .pth names is searched, but the .pth files in it are not read: our own checkout stays out of sight.
    seen = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    (seen / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return environment / "bin"


def run(*command: str, cwd: Path) -> str:
    """What a program prints. Fails with what it complained about."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("ALERTBOT_", "PIP_", "PYTHON"))
    }
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_package_is_the_one_that_is_tested(installed: Path, tmp_path: Path):
    found = run(str(installed / "python"), "-c", "import alertbot; print(alertbot.__file__)", cwd=tmp_path)
    assert Path(found.strip()).is_relative_to(installed.parent)


def test_the_installed_program_says_its_version(installed: Path, tmp_path: Path):
    assert run(str(installed / "alertbot"), "--version", cwd=tmp_path).split()[-1] == alertbot.__version__


def test_the_installed_program_makes_its_database_in_an_empty_folder(installed: Path, tmp_path: Path):
    told = run(str(installed / "alertbot"), "migrate", cwd=tmp_path)
    newest = max(path.name for path in (ROOT / "migrations" / "versions").glob("*.py"))
    assert told.split()[-1] == newest.partition("_")[0]
    assert (tmp_path / "alertbot.db").stat().st_size > 0


def test_the_installed_package_has_the_page_of_the_demo(installed: Path, tmp_path: Path):
    listed = (
        "import alertbot.demo, pathlib; print(*(p.name for p in pathlib.Path(alertbot.demo.__file__).parent.iterdir()))"
    )
    names = set(run(str(installed / "python"), "-c", listed, cwd=tmp_path).split())
    assert {
        path.name for path in (ROOT / "alertbot" / "demo").iterdir() if path.suffix in {".html", ".css", ".js"}
    } <= names


def pins() -> Iterator[tuple[str, str, int]]:
    """Name, version and number of hashes of each package in the lock."""
    for entry in re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8")):
        if entry.strip() and not entry.startswith("#"):
            pin = _PIN.match(entry)
            assert pin is not None, entry.splitlines()[0]
            yield canonicalize_name(pin[1]), pin[2], entry.count("--hash=sha256:")


def test_the_lock_has_hashes_for_every_package_and_no_url():
    assert [name for name, _, hashes in pins() if not hashes] == []
    assert re.findall(r"\S*://\S*|^-\S.*", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE) == []


def test_the_lock_fits_what_the_project_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = (one for extra in project["optional-dependencies"].values() for one in extra)
    wanted = [Requirement(text) for text in (*project["dependencies"], *optional)]
    locked = {name: version for name, version, _ in pins()}
    others = [one for one in wanted if one.name != "alertbot"]
    assert [str(one) for one in others if locked.get(canonicalize_name(one.name), "") not in one.specifier] == []


def test_whatever_is_installed_was_held_against_a_hash():
    hashed = {"--require-hashes"}  # of the lock
    checked = {"--no-index"}  # out of a folder that holds only what was
    ours = {"--no-deps", "--no-build-isolation"}  # this project, built by what is there
    for name in ("Makefile", "Dockerfile"):
        text = re.sub(r"\\\n", " ", (ROOT / name).read_text(encoding="utf-8"))
        options = re.search(r"^PIP_OPTIONS := (.*)", text, re.MULTILINE)
        text = text.replace("$(PIP_OPTIONS)", options[1] if options else "")
        commands = re.findall(r"\bpip (?:\S+ \S+ )?(?:install|download|wheel)\b[^;&\n]*", text)
        assert len(commands) > 2, name
        unchecked = [each for each in commands if not any(way <= set(each.split()) for way in (hashed, checked, ours))]
        assert unchecked == [], name
        built = [each for each in commands if "--require-hashes" in each and "--only-binary :all:" not in each]
        assert built == [], "what is built on the way gets its tools without a hash"


def test_the_image_is_built_on_what_a_digest_names():
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)) == {"${PYTHON_IMAGE}"}
    assert re.findall(r"^ARG PYTHON_IMAGE=python:3\.11\.\d+-\S+@sha256:[0-9a-f]{64}$", dockerfile, re.MULTILINE)


def tracked() -> list[Path]:
    """Every file that is handed out: what git tracks, or all of it where there is no git."""
    if not (ROOT / ".git").exists():
        own = [path for path in ROOT.rglob("*") if path.is_file()]
        return [path for path in own if not any(part[0] in "._" for part in path.relative_to(ROOT).parts)]
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_the_top_level_holds_what_it_should_and_nothing_else():
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} - TOP_LEVEL == set()


def test_no_file_names_a_package_registry():
    hosts = {host for index in (PyPI, TestPyPI) for host in (index.netloc, index.file_storage_domain)}
    named = re.compile("|".join(re.escape(host) for host in hosts).encode(), re.IGNORECASE)
    assert len(hosts) > 2
    assert [str(path) for path in tracked() if named.search(path.read_bytes())] == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on():
    # Others may well have a checkout in /opt or a home in /home, so that only what is really there is a path of ours.
    own = [Path.home(), ROOT, *([ROOT.parent] if len(ROOT.parts) > 2 else [])]
    found = []
    for path in tracked():
        for name in {Path(name.decode()) for name in _PATH.findall(path.read_bytes())}:
            ours = name.exists() and any(name.is_relative_to(folder) for folder in own)
            if ours or name.is_relative_to(tempfile.gettempdir()):
                found.append(f"{path.relative_to(ROOT)}: {name}")
    assert found == []
