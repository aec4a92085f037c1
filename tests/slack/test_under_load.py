"""Many people at once, slow work, a locked database: quick acts stay quick, and everybody is answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from alertbot.demo.slack.records import User
from alertbot.demo.slack.server import SlackServer
from alertbot.slack.parse import parse
from alertbot.store.database import Database
from tests.slack.office import Office, office, said

ONE = "0 9x200"
SEVEN = [User(f"U{number}", f"name{number}", f"Name {number}", "UTC") for number in range(1, 8)]


class Gate:
    """Where pictures wait until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._arrived = threading.Semaphore(0)

    def pause(self, _seconds: float) -> None:
        self._arrived.release()
        assert self._opened.wait(60)

    def wait_for(self, pictures: int) -> None:
        for _ in range(pictures):
            assert self._arrived.acquire(timeout=60)

    def open(self) -> None:
        self._opened.set()

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()


@contextmanager
def drawing(sqlite: Database) -> Iterator[tuple[Office, Gate]]:
    """An office in which no picture becomes ready before the gate is opened."""
    gate, slack = Gate(), SlackServer(users=SEVEN, page=False, file_seconds=3600)
    with office(sqlite, ONE, slack=slack, pause=gate.pause) as here:
        try:
            here.scene.until(1)
            yield here, gate
        finally:
            gate.open()


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Somebody else writes to SQLite, and does not come to an end."""
    with database.engine.connect() as other, other.begin():
        yield


def test_while_six_charts_are_drawn_somebody_else_is_answered_and_acknowledges(sqlite):
    with drawing(sqlite) as (here, gate):
        for user in SEVEN[:6]:
            here.click(here.message(), "chart", user.id)
        gate.wait_for(3)
        assert "1 firing" in here.ask("status", "U7")
        here.click(here.message(), "acknowledge", "U7")
        assert here.actions() == ["U7 acknowledge A1 done"]
        assert not gate.is_open, "all of this while no chart was done"


def test_a_second_click_on_chart_hears_that_the_first_is_being_worked_on(sqlite):
    with drawing(sqlite) as (here, gate):
        here.click(here.message(), "chart", "U1")
        gate.wait_for(1)
        assert "already" in here.answer_to(here.click(here.message(), "chart", "U1"))


def test_where_too_many_charts_wait_people_hear_so(sqlite):
    with drawing(sqlite) as (here, _):
        executor = here.context.executors.slow
        gate = threading.Event()
        waiting = [executor.start(lambda: gate.wait(60)) for _ in range(15)]
        try:
            assert "too many people" in here.answer_to(here.click(here.message(), "chart", "U1"))
            assert "too many people" in here.ask("chart policy_violations 1h", "U2")
        finally:
            gate.set()
        assert len(waiting) == 15


def test_an_act_that_waits_for_a_locked_database_is_acknowledged_and_confirmed_once_it_is_done(sqlite):
    with office(sqlite, ONE, patience=0.1) as here:
        here.scene.until(1)
        message = here.message()
        with locked(sqlite):
            delivery = here.click(message, "acknowledge", "U2")
            (told,) = here.slack.wait_for(lambda: here.slack.answers(delivery))
            assert "not done yet" in told.text
            assert here.actions() == []
        assert here.answer_to(delivery) == ":white_check_mark: Done: `A1` llm-1"
        assert here.actions() == ["U2 acknowledge A1 done"]


def test_a_form_that_waits_for_a_locked_database_says_in_its_place_what_became_of_it(sqlite):
    with office(sqlite, ONE, patience=0.1) as here:
        here.scene.until(1)
        here.click(here.message(), "silence")
        form = here.modal()
        with locked(sqlite):
            delivery = here.submit(form)
            assert delivery.acknowledged
            waiting = here.modal()
            assert "longer than usual" in said(waiting)
        assert "rule=violation-burst" in said(here.changed(waiting))
        assert len(here.context.for_person("U1").silences()) == 1


def test_an_error_of_ours_gives_whoever_clicked_a_sentence(sqlite):
    def wake() -> None:
        raise RuntimeError("the pool is gone")

    with office(sqlite, ONE, wake=wake) as here, structlog.testing.capture_logs() as logs:
        here.scene.until(1)
        here.scene.send()
        ours = "went wrong on our side"
        assert ours in here.answer_to(here.click(here.message(), "acknowledge"))
        assert ours in here.ask("mute violation-burst")
        here.click(here.message(), "details")
        details = here.modal()
        here.click(details, "alert_menu", value="A1 snooze")
        assert ours in said(here.changed(details))
        home = here.open_home()
        here.click(home, "give_back")
        here.slack.wait_for(lambda: ours in here.home())
        assert len([log for log in logs if log["event"] == "listener_failed"]) == 4


def test_an_error_of_ours_while_something_is_shown_gives_a_sentence(sqlite):
    def upload(_png: bytes, _title: str) -> str:
        raise RuntimeError("no folder to draw in")

    with office(sqlite, ONE, upload=upload) as here, structlog.testing.capture_logs():
        here.scene.until(1)
        ours = "went wrong on our side"
        assert ours in here.answer_to(here.click(here.message(), "chart"))
        assert ours in here.ask("chart policy_violations 1h")


def test_a_database_that_is_away_is_told_without_saying_where_it_is(sqlite):
    with office(sqlite, ONE) as here, structlog.testing.capture_logs() as logs:
        here.scene.until(1)
        message = here.message()
        here.click(message, "details")
        details = here.modal()
        home = here.open_home()
        with sqlite.transaction() as tx:
            tx.exec_driver_sql("ALTER TABLE alerts RENAME TO elsewhere")
        away = "the database is not available"
        answers = [
            here.answer_to(here.click(message, "acknowledge")),
            here.answer_to(here.click(message, "chart")),
            here.ask("status"),
            here.ask("ack A1"),
            here.ask("alerts"),
        ]
        here.click(details, "alert_menu", value="A1 acknowledge")
        answers.append(said(here.changed(details)))
        here.click(home, "home_refresh")
        here.slack.wait_for(lambda: away in here.home())
        answers.append(here.home())
    assert [away in answer for answer in answers] == [True] * 7, answers
    assert not any(str(sqlite.url.database) in answer or "no such table" in answer for answer in answers)
    assert any("no such table" in str(log.get("error")) for log in logs), "operators read the rest in the log"


def test_an_alert_is_given_to_a_whole_group_by_operators_only(sqlite):
    with office(sqlite, ONE, operators=["U1"]) as here:
        here.scene.until(1)
        assert parse("assign A1 <!subteam^S0123TEAM|@ai-team>").text == "S0123TEAM", "so Slack sends a mention of it"
        for typed in ("@S0123TEAM", "S0123TEAM", "@ai-team"):
            assert "name a person" in here.ask(f"assign A1 {typed}", "U2")
        assert here.actions() == []
        here.ask("assign A1 @S0123TEAM", "U1")
        here.ask("assign A1 @ben", "U2")
        assert here.actions() == ["U1 assign A1 done", "U2 assign A1 done"]
