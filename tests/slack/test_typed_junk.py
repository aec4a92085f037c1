"""Whatever is typed behind /alertbot, whoever typed it gets a sentence; and never that something went wrong."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alertbot.slack.commands import answer
from alertbot.slack.parse import COMMANDS
from tests.slack.office import office
from tests.slack.payloads import assert_sendable

WORDS = st.sampled_from(
    [
        *("A1", "a1", "G1", "A99999999999999999999", "A²", "G0", "-1", "²", "٣", "9" * 30, str(2**63)),
        *("1h", "0s", "9999999d", "999999999w", "1e9h", "90m", "today", "last week", "0001-01-01T00:00+14:00"),
        *("rule=x", "ai_llm=~(", "=~a", "x=~a{9999}", "rule=*", "all", "source!=", "by", "user", "model", "tokens"),
        *("violation-burst", "support-chat", "policy_violations", "<@U1|ana>", "<!subteam^S0LEADS|@leads>", "@S0LEADS"),
        *("*" * 80, "[", "new", "change", "delete", "tomorrow", "for", "--", "\\", '"', "'", "\x00", "\ud800", "💥"),
    ]
) | st.text(max_size=20)
TYPED = st.lists(WORDS, max_size=5).map(" ".join)


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_each_command_answers_whatever_follows_it(sqlite, command):
    with office(sqlite, "0 9", operators=["U1"]) as here:
        here.scene.until(1)

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(TYPED, st.sampled_from(["U1", "U2"]))
        @example("A1 @S0LEADS", "U2")
        @example("²", "U1")
        @example("rule=x 9999999d", "U1")
        @example("rule=x 999999999w", "U1")
        @example("A99999999999999999999", "U1")
        def answers(text: str, user: str) -> None:
            body = {"text": f"{command} {text}".strip(), "user_id": user, "channel_id": "C1", "trigger_id": repr(text)}
            reply = answer(here.context, body)
            assert reply["text"].strip()
            assert_sendable(reply)

        answers()
