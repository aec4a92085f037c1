"""What a person did is acknowledged when it is kept; Slack is not made to wait longer than it does."""

import threading

import pytest

from alertbot.slack.surface import acknowledged_after


def test_the_deed_comes_before_its_acknowledgement() -> None:
    happened: list[str] = []
    with acknowledged_after(lambda: happened.append("acknowledged")):
        happened.append("done")
    assert happened == ["done", "acknowledged"]


def test_what_takes_long_is_acknowledged_in_time() -> None:
    acknowledged = threading.Event()
    with acknowledged_after(acknowledged.set, patience=0.01):
        assert acknowledged.wait(60)


def test_what_fails_is_acknowledged_too_since_the_person_is_told_by_an_answer() -> None:
    acknowledged = threading.Event()
    with pytest.raises(LookupError), acknowledged_after(acknowledged.set):
        raise LookupError
    assert acknowledged.is_set()
