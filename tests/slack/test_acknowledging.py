"""What a person did is acknowledged when it is kept; Slack is not made to wait longer than it does."""

import threading
from typing import Any

from alertbot.slack.deliveries import Deliveries, Delivery


def arrived(acknowledged: list[Any], deliveries: Deliveries, late: threading.Event) -> Delivery:
    def give_up() -> None:
        acknowledged.append("late")
        late.set()

    return deliveries.arrive(lambda **reply: acknowledged.append(reply), late=give_up)


def test_what_is_done_in_time_is_acknowledged_with_its_reply():
    acknowledged: list[Any] = []
    delivery = arrived(acknowledged, Deliveries(patience=3600), threading.Event())
    assert acknowledged == [], "not before it is done: a process that is killed has acknowledged nothing"
    assert delivery.acknowledge(text="done")
    assert acknowledged == [{"text": "done"}]


def test_what_takes_long_is_acknowledged_in_time_and_the_person_waits_for_an_answer():
    acknowledged, late = list[Any](), threading.Event()
    delivery = arrived(acknowledged, Deliveries(patience=0.01), late)
    assert late.wait(60)
    assert not delivery.acknowledge(text="done"), "the reply has to be brought another way"
    assert acknowledged == ["late"]


def test_the_more_are_under_way_the_sooner_each_is_acknowledged():
    deliveries = Deliveries(patience=3600)
    waiting = [arrived([], deliveries, threading.Event()) for _ in range(4)]
    assert [delivery.patience for delivery in waiting] == [3600, 1800, 1200, 900]
    for delivery in waiting:
        delivery.acknowledge()
    assert arrived([], deliveries, threading.Event()).patience == 3600


def test_what_was_not_begun_is_never_acknowledged():
    acknowledged: list[Any] = []
    late = threading.Event()
    arrived(acknowledged, Deliveries(patience=0.05), late).drop()
    assert not late.wait(0.2)
    assert acknowledged == []


def test_what_was_dealt_with_is_counted_once():
    deliveries = Deliveries(patience=3600)
    delivery = arrived([], deliveries, threading.Event())
    delivery.acknowledge()
    delivery.drop()
    assert arrived([], deliveries, threading.Event()).patience == 3600
