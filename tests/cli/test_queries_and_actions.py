"""Looking up and acting on the command line: what scripts and people get to read."""

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alertbot import __version__
from alertbot.domain.metrics import TOTALS
from alertbot.store import redating
from alertbot.store.database import Database
from tests.cli.desk import LONG, Desk, environ


def _isotime(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) is not None


def test_status_as_json_has_the_shape_that_scripts_rely_on(firing):
    status = firing.json("status")
    (source,) = status.pop("sources")
    assert _isotime(source.pop("last_reading_at"))
    assert _isotime(status.pop("alive_at"))
    assert source == {"name": "acme", "state": "ok", "configurations": 3}
    outbox = status.pop("outbox")
    assert outbox.keys() == {"waiting", "oldest_at"}
    assert outbox["waiting"] <= 1  # the evidence came after the message, which may be edited again in ten seconds
    assert status == {
        "version": __version__,
        "alerts": {"pending": 0, "firing": 1, "acknowledged": 0},
        "silences": 0,
        "on_call": {},
    }


def test_look_ups_go_by_the_bots_time_where_the_clock_was_set_back_since(firing):
    database = Database(firing.keys["database"]["url"])
    with database.transaction() as tx:
        ahead = timedelta(minutes=30)
        redating.move_back(tx, since=datetime(2020, 1, 1, tzinfo=UTC), by=-ahead, now=datetime.now(UTC))
    database.close()
    counted = {row["ai_llm"]: row["policy_violations"] for row in firing.json("stats")}
    assert counted["llm-1"] == 10, "the newest readings are half an hour ahead of the clock, and count"


def test_violations_as_json_have_the_shape_that_scripts_rely_on(firing):
    found = firing.json("violations", "today", "user=ana*")
    assert len(found) == 10
    for one in found:
        assert _isotime(one.pop("at"))
        assert one.pop("id")
    assert found[0] == {
        "policy": "No customer PII",
        "severity": "MEDIUM",
        "blocked": False,
        "user": "Ana Ruiz",
        "model": "gpt-4o",
        "provider": "OPENAI",
        "repo": "support-chat-repo",
        "source": "acme",
        "explanation": "The prompt breaks this policy.",
    }
    assert firing.json("violations", "severity=high") == []


def test_violations_are_a_table_that_tells_everything(firing):
    ended = firing.run("violations")
    assert ended.output.count("The prompt breaks this policy.") == 10
    assert "No violations listed in the last 24 h." in firing.run("violations", "policy=other").output
    mistaken = firing.run("violations", "ana")
    assert (mistaken.code, mistaken.output) == (1, "")
    assert "expected filters such as policy=" in mistaken.errors


def test_alerts_as_json_have_the_shape_that_scripts_rely_on(firing, slack):
    (alert,) = firing.json("alerts")
    assert _isotime(alert.pop("started_at"))
    assert re.fullmatch(r"\d+\.\d{6}", alert.pop("message_ts"))
    assert alert == {
        "id": "A1",
        "group": "G1",
        "rule": "burst",
        "source": "acme",
        "ai_llm": "llm-1",
        "name": "support-chat",
        "series": "acme/llm-1",
        "peak_severity": "warning",
        "taken_by": None,
        "taken_at": None,
        "state": "firing",
        "severity": "warning",
        "value": 10,
        "threshold": 5,
        "unit": "violations",
        "resolved_at": None,
        "acknowledged_by": None,
        "acknowledged_at": None,
        "channel": slack.channel("#ai-alerts").id,
    }
    firing.run("ack", "A1", "--by", "ana")
    (alert,) = firing.json("alerts")
    assert alert["acknowledged_by"] == "ana"
    assert _isotime(alert["acknowledged_at"])


def test_stats_as_json_have_the_shape_that_scripts_rely_on(firing):
    rows = {row["ai_llm"]: row for row in firing.json("stats")}
    assert set(rows) == {"llm-1", "llm-2", "llm-3"}
    row = rows["llm-1"]
    assert set(row) == {"source", "ai_llm", "name", "from", "to", "baseline_at", *TOTALS}
    assert all(_isotime(row[name]) for name in ("from", "to", "baseline_at"))
    assert (row["source"], row["name"], row["policy_violations"], row["api_calls"]) == ("acme", "support-chat", 10, 0)
    assert firing.json("stats", "support-*", "--window", "1h")[0]["ai_llm"] == "llm-1"
    assert firing.run("stats", "nobody").mistakes == [
        'no LLM is called "nobody" (a name, an id, or a pattern such as support-*)'
    ]


def test_counts_larger_than_any_float_are_exact_in_json(firing, flashback):
    huge = 2**64 + 1
    flashback.world.set_total("llm-2", "tokens_in", huge)
    assert firing.run("poll").code == 0
    (row,) = firing.json("stats", "llm-2")
    assert row["tokens_in"] == huge


def test_nothing_to_show_is_said_and_is_an_empty_list_for_scripts(desk):
    assert desk.run("migrate").code == 0
    assert desk.run("alerts").output == "Nothing is pending or firing.\n"
    assert desk.run("stats").output == "growth in the last 24 h: not known.\nacme: nothing has been read yet\n"
    assert (desk.json("alerts"), desk.json("stats")) == ([], [])
    assert "never read" in desk.run("status").output


TERMINALS = [("status", 60), ("stats", 60), ("alerts", 60), ("stats", 100), ("stats", 200)]


@pytest.mark.parametrize(("command", "width"), TERMINALS)
def test_tables_fit_the_terminal_and_lose_no_letter(firing, command, width):
    shown = _in_terminal(firing, command, width)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shown.splitlines()]
    assert all(len(line) <= width for line in lines), lines
    if command == "stats":
        first = "".join(line.split("  ")[0].strip() for line in lines)
        assert LONG in first
    assert "\x1b[31m" not in shown
    assert "\u202e" not in shown


def _in_terminal(desk: Desk, command: str, width: int) -> str:
    """What a command prints in a terminal of that width."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        desk.command(command),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={name: value for name, value in environ(TERM="xterm").items() if name != "COLUMNS"},
    )
    os.close(theirs)
    shown = bytearray()
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # how a terminal says that its other end was closed
        pass
    os.close(ours)
    assert process.wait(30) == 0, shown.decode()
    return shown.decode()


def test_into_a_pipe_nothing_is_folded(firing):
    assert LONG in firing.run("stats").output


def test_an_alert_is_taken_given_back_snoozed_assigned_and_commented(firing, slack):
    for arguments, said in (
        (["ack", "A1", "--by", "ana"], "done"),
        (["ack", "G1", "--by", "ben"], "no change"),
        (["unack", "A1", "--by", "ana"], "done"),
        (["unack", "A1", "--by", "ana"], "no change"),
        (["snooze", "G1", "2h", "--by", "ana"], "done"),
        (["assign", "A1", "ben", "--by", "ana"], "done"),
        (["comment", "A1", "rolled", "back", "--by", "ana"], "done"),
        (["comment", "A1", "-v2", "--by", "ana"], "done"),
        (["snooze", "G1", "1 hour 30 minutes", "--by", "ana"], "done"),
    ):
        ended = firing.run(*arguments)
        assert ended.output == f"A1 support-chat: {said}\n"
        assert ended.code == (0 if said == "done" else 1)
    before = len(slack.messages("#ai-alerts"))
    assert firing.run("poll").code == 0
    lines = [message.text for message in slack.messages("#ai-alerts")[before:]]
    assert ":speech_balloon: ana: rolled back" in lines
    assert ":speech_balloon: ana assigned it to ben: support-chat" in lines
    assert any(line.startswith(":speech_balloon: ana snoozed it until ") for line in lines)


@pytest.mark.parametrize("wanted", ["A9", "G9", "nonsense", "A", "A1x", "99999999999999999999"])
def test_an_id_that_means_nothing_is_told_so(firing, wanted):
    ended = firing.run("ack", wanted)
    assert ended.code == 1
    assert len(ended.mistakes) == 1
    assert wanted in ended.mistakes[0]


def test_bytes_that_are_no_text_end_in_no_traceback(firing):
    broken = "caf\udce9"  # as Python gives a letter of another encoding than the terminal's
    for arguments in (
        ["comment", "A1", broken, "--by", broken],
        ["assign", "A1", broken],
        ["ack", broken],
        ["stats", broken],
    ):
        ended = firing.run(*arguments)
        assert ended.code in {0, 1}
    (alert,) = firing.json("alerts")
    assert alert["id"] == "A1"


def test_a_silence_is_answered_with_what_it_mutes_now(firing):
    assert (
        "Mutes 1 firing alert and 1 LLM now."
        in firing.run("silence", "add", "ai_llm=llm-1", "1h", "--by", "ana").output
    )
    nothing = firing.run("silence", "add", "ai_llm=lllm-1", "1h", "--by", "ana")
    assert nothing.code == 0
    assert any("matches nothing that has been read so far" in line for line in nothing.mistakes)
