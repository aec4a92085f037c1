"""The log: one event a line, for machines or people, and nothing in it that nobody may see."""

import logging

import pytest
import structlog

from tests.captured_log import OURS, captured_log

SECRET = "xoxb-very-secret"


def test_an_event_is_a_line_of_json_with_its_fields_its_level_and_its_time():
    with captured_log() as log:
        structlog.get_logger(OURS).info("source_read", source="acme", configurations=50)
    (line,) = log.lines()
    assert (line["event"], line["source"], line["configurations"], line["level"]) == ("source_read", "acme", 50, "info")
    assert line["timestamp"].endswith("Z")


def test_what_has_line_ends_in_it_is_one_line_all_the_same():
    with captured_log() as log:
        structlog.get_logger(OURS).info("x", error="a\nb\r\nc")
        structlog.get_logger(OURS).error("y", exc_info=RuntimeError("a\nb"))
    assert len(log.text.strip().split("\n")) == 2
    assert log.lines()[0]["error"] == "a\nb\r\nc"


def test_what_is_milder_than_the_level_is_not_written():
    with captured_log(level="warning") as log:
        structlog.get_logger(OURS).info("quiet")
        structlog.get_logger(OURS).warning("loud")
    assert [line["event"] for line in log.lines()] == ["loud"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_local_variables(form):
    with captured_log(form=form) as log:
        try:
            _fails_with(SECRET)
        except RuntimeError:
            structlog.get_logger(OURS).exception("it_broke")
    assert "it_broke" in log.text
    assert "_fails_with" in log.text
    assert SECRET not in log.text


def _fails_with(token: str) -> None:
    assert token
    raise RuntimeError("broken")


@pytest.mark.parametrize("level", ["debug", "info"])
def test_the_libraries_tell_of_warnings_only(level):
    with captured_log(level=level) as log:
        for name in ("httpx", "httpcore", "slack_sdk.web.base_client", "alembic.runtime", "apscheduler", "urllib3"):
            logging.getLogger(name).info("a request with %s", SECRET)
            logging.getLogger(name).debug("a body with %s", SECRET)
        assert log.text == ""
        logging.getLogger("slack_sdk").warning("something is wrong")
    assert "something is wrong" in log.text


def test_a_warning_of_a_library_is_json_too():
    with captured_log() as log:
        logging.getLogger("waitress").warning("Task queue depth is %d", 3)
    (line,) = log.lines()
    assert (line["event"], line["level"]) == ("Task queue depth is 3", "warning")


def test_for_people_a_line_is_short_and_without_colours_where_there_is_no_terminal():
    with captured_log(form="console") as log:
        structlog.get_logger(OURS).info("source_read", source="acme")
    assert "source_read" in log.text
    assert "source=acme" in log.text
    assert "\x1b" not in log.text


def test_configuring_twice_writes_each_line_once():
    with captured_log(), captured_log() as log:
        structlog.get_logger(OURS).info("once")
    assert len(log.lines()) == 1
