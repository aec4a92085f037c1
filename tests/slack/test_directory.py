"""What Slack says of groups, channels and people is remembered for a while, and no longer than it may be relied on."""

from collections.abc import Callable
from datetime import timedelta

import structlog

from alertbot.errors import SlackUnavailable
from alertbot.slack.bot import web_client
from alertbot.slack.directory import Remembered, members_of
from tests.slack.scripted_slack import ScriptedSlack

JSON = {"Content-Type": "application/json"}
HOUR = 3600.0


class Asked:
    """A Slack that says who is in a group, or is away; and a clock."""

    def __init__(self) -> None:
        self.now, self.calls, self.is_away = 0.0, 0, False
        self.members = frozenset({"U1"})

    def __call__(self, _group: str) -> frozenset[str]:
        self.calls += 1
        if self.is_away:
            raise SlackUnavailable("usergroups.users.list: away", code="unreachable")
        return self.members


def remembered(asked: Asked) -> Callable[[str], frozenset[str]]:
    return Remembered[frozenset[str]]("user group", asked, otherwise=frozenset(), monotonic=lambda: asked.now)


def test_slack_is_asked_once_in_five_minutes():
    asked = Asked()
    members = remembered(asked)
    for asked.now in (0.0, 100.0, 299.0, 301.0, 500.0):
        assert members("S1") == {"U1"}
    assert asked.calls == 2


def test_the_last_answer_holds_for_an_hour_and_then_nobody_is_in_the_group():
    asked = Asked()
    members = remembered(asked)
    assert members("S1") == {"U1"}
    asked.is_away = True
    with structlog.testing.capture_logs() as logs:
        for asked.now in (HOUR / 2, HOUR - 1):
            assert members("S1") == {"U1"}
        for asked.now in (HOUR + 31, 5 * HOUR):
            assert members("S1") == frozenset(), "who was an operator an hour ago may be none any more"
    assert [(log["event"], log["last_answer_holds"]) for log in logs] == [
        ("slack_lookup_failed", True),
        ("slack_lookup_failed", True),
        ("slack_lookup_failed", False),
        ("slack_lookup_failed", False),
    ]
    asked.is_away, asked.now = False, 6 * HOUR
    assert members("S1") == {"U1"}


def test_an_old_answer_is_not_used_while_another_asks():
    asked, meanwhile = Asked(), list[frozenset[str]]()

    def ask(group: str) -> frozenset[str]:
        answer = asked(group)
        if asked.calls == 2:  # a second thread asks while the first one waits for Slack
            meanwhile.append(members(group))
        return answer

    members = Remembered[frozenset[str]]("user group", ask, otherwise=frozenset(), monotonic=lambda: asked.now)
    assert members("S1") == {"U1"}
    asked.now, asked.members = 2 * HOUR, frozenset()
    assert members("S1") == frozenset()
    assert meanwhile == [frozenset()]


def test_the_one_that_was_not_asked_for_the_longest_is_forgotten_first():
    asked = Asked()
    members = Remembered[frozenset[str]](
        "user group", asked, otherwise=frozenset(), most=3, monotonic=lambda: asked.now
    )
    for name in ("S1", "S2", "S3", "S1", "S4", "S1"):
        members(name)
    assert asked.calls == 4
    members("S2")
    assert asked.calls == 5


def test_members_are_read_from_slack_and_a_revoked_one_is_gone_after_an_hour_of_silence():
    now = [0.0]
    with ScriptedSlack() as slack:
        client = web_client("xoxb-1", api_url=slack.api_url, timeout=timedelta(seconds=5))
        members = members_of(client, monotonic=lambda: now[0])
        slack.will(200, '{"ok": true, "users": ["U1", "U2"]}', JSON)
        assert members("S1") == {"U1", "U2"}
        slack.will(200, '{"ok": false, "error": "internal_error"}', JSON)
        now[0] = HOUR + 1
        assert members("S1") == frozenset()
