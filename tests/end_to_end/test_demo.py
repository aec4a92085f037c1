"""`alertbot demo`: no account, no token, no network; something to see within seconds."""

import urllib.request

from tests.end_to_end.stage import Stage


def _address(stage: Stage, name: str) -> str:
    """What the demo prints behind a name, in a line of its own."""
    (line,) = stage.wait_for(lambda: [line for line in stage.bot.output.splitlines() if line.startswith(f"{name}: ")])
    return line.removeprefix(f"{name}: ")


def test_the_demo_tells_its_addresses_shows_an_alert_and_ends_by_itself(stage):
    stage.bot = stage.spawn("demo", "--seconds", "15", "--speed", "120")
    page, flashback, token = (_address(stage, name) for name in ("page", "flashback", "token"))
    with urllib.request.urlopen(page, timeout=60) as answer:
        assert (answer.status, b"<html" in answer.read()) == (200, True)
    request = urllib.request.Request(f"{flashback}/ai/llm/stats", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert b'"success": true' in answer.read()
    assert stage.bot.wait() == 0
    lines = stage.bot.output.splitlines()
    assert [line.partition(":")[0] for line in lines[:3]] == ["page", "flashback", "token"]
    assert any("firing" in line for line in lines), stage.bot.output
    assert stage.bot.errors == ""
    assert not list(stage.folder.glob("*.db"))


def test_a_demo_without_a_page_prints_none_and_ends_when_asked(stage):
    stage.bot = stage.spawn("demo", "--no-page")
    _address(stage, "flashback")
    assert "page:" not in stage.bot.output
    code, seconds = stage.bot.terminate()
    assert (code, seconds < 10) == (0, True), stage.bot.errors
