"""App Home and the forms, on the real process: it follows what happens, and shows each person what that person may see."""

from tests.end_to_end.stage import Stage


def test_home_follows_what_happens_and_hides_what_is_hidden(stage: Stage) -> None:
    stage.config["slack"] |= {"operators": ["U3"], "visibility": [{"source": "acme", "users": ["U1"]}]}
    stage.config["database"] = {"url": "sqlite:///alertbot.db"}
    stage.start()
    stage.slack.wait_for_connection()
    for user in ("U1", "U2"):
        stage.slack.open_home(user)
    quiet = stage.wait_for(lambda: stage.slack.home("U1"))
    stage.wait_for(lambda: stage.slack.home("U2"))
    assert "Nothing is firing" in str(quiet)

    stage.bump(10)
    stage.wait_for_message()
    home = stage.wait_for(lambda: _home_that_says(stage, "U1", "violations in 20 s on config-7"))
    stage.slack.click(home, "acknowledge", "U1")
    stage.wait_for_word("Acknowledged")
    stage.wait_for(lambda: _home_that_says(stage, "U1", "Unacknowledge"))

    assert "acme" not in str(stage.slack.home("U2"))
    assert "there is no alert A1" in stage.command("ack A1", "U2")
    assert "acme" not in stage.command("status", "U2")
    assert "only operators" in stage.command("mute violation-burst", "U1")
    assert "until it is unmuted" in stage.command("mute violation-burst", "U3")
    stage.wait_for(lambda: _home_that_says(stage, "U1", "until it is unmuted"))


def _home_that_says(stage: Stage, user: str, words: str):
    found = stage.slack.home(user)
    return found if found is not None and words in str(found.content) else None
