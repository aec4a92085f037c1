"""What comes from the environment and from secrets' files, what is not there, and what nobody may see."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertbot.config import DEFAULT_RULES, EVERYTHING, NOTHING, Need, load
from alertbot.domain.times import format_duration_short
from alertbot.errors import ConfigError
from tests.config_files import CONTRACT, ENVIRON, loaded, mistakes


def test_with_no_file_a_token_is_enough_and_the_notes_say_what_is_watched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load(None, {"FLASHBACK_TOKEN": "t", "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"})

    (source,) = config.sources
    assert (source.name, source.base_url) == ("flashback", "https://backend.flashback.tech")
    assert config.path is None
    assert config.rules == DEFAULT_RULES
    assert config.slack.missing_tokens == ()
    assert "flashback at https://backend.flashback.tech" in config.notes[0]
    assert all(rule.name in config.notes[1] for rule in DEFAULT_RULES)
    elsewhere = load(None, {"FLASHBACK_TOKEN": "t", "FLASHBACK_URL": "http://localhost:1/"}).sources[0]
    assert elsewhere.base_url == "http://localhost:1"


def test_with_no_file_and_no_token_there_is_nothing_to_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="FLASHBACK_TOKEN"):
        load(None, {})
    assert load(None, {}, needs=NOTHING).sources == ()
    with pytest.raises(ConfigError, match=r"^FLASHBACK_URL: expected a URL"):
        load(None, {"FLASHBACK_TOKEN": "t", "FLASHBACK_URL": "nowhere"})


def test_the_default_file_is_config_yaml_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text("log: {level: debug}")
    Path("other.yaml").write_text("log: {level: error}")
    assert load(None, ENVIRON).log.level == "debug"
    assert load(None, ENVIRON).path == Path("config.yaml")
    assert load(None, ENVIRON | {"ALERTBOT_CONFIG": "other.yaml"}).log.level == "error"
    assert load(Path("config.yaml"), ENVIRON | {"ALERTBOT_CONFIG": "other.yaml"}).log.level == "debug"


def test_default_rules_are_used_where_the_file_has_none(tmp_path):
    assert loaded(tmp_path, "log: {level: info}").rules == DEFAULT_RULES
    assert loaded(tmp_path, "rules:\n#  - nothing yet\n").rules == DEFAULT_RULES
    assert loaded(tmp_path, "rules: []").rules == ()
    assert (
        loaded(tmp_path, "").notes[0].startswith("no rules are configured; the default rules are used: violation-burst")
    )


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("ALERTBOT_DATABASE__URL", "postgresql://u:p${x}@h/d", lambda c: c.database.url.get_secret_value()),
        ("ALERTBOT_DATABASE__KEEP__RAW", "5d", lambda c: format_duration_short(c.database.keep.raw)),
        ("ALERTBOT_SLACK__MODE", "http", lambda c: c.slack.mode),
        ("ALERTBOT_SLACK__OPERATORS", "U1,S2", lambda c: ",".join(c.slack.operators)),
        ("ALERTBOT_SLACK__OPERATORS", '["U1", "S2"]', lambda c: str(list(c.slack.operators)).replace("'", '"')),
        ("ALERTBOT_HTTP__LISTEN", "0.0.0.0:80", lambda c: str(c.http.listen)),
        ("ALERTBOT_LOG__LEVEL", "WARNING", lambda c: c.log.level.upper()),
    ],
)
def test_a_variable_overrides_its_key(tmp_path, variable, value, read):
    assert read(loaded(tmp_path, CONTRACT, ENVIRON | {variable: value})) == value


def test_a_section_or_a_list_may_be_overridden_as_yaml(tmp_path):
    environ = ENVIRON | {
        "ALERTBOT_LOG": "{level: debug}",
        "ALERTBOT_LOG__FORMAT": "console",
        "ALERTBOT_SOURCES": '[{"name": "lab", "access_token": "x"}]',
        "ALERTBOT_SLACK__VISIBILITY": "[]",
        "ALERTBOT_RULES": "[]",
    }
    config = loaded(tmp_path, CONTRACT, environ)
    assert (config.log.level, config.log.format) == ("debug", "console")
    assert [source.name for source in config.sources] == ["lab"]
    assert config.rules == ()


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("ALERTBOT_DATABSE__URL", "x", 'ALERTBOT_DATABSE__URL: expected the path of a key, got "databse.url"; did you mean ALERTBOT_DATABASE__URL?'),
        ("ALERTBOT_NOTHING__AT_ALL", "x", 'ALERTBOT_NOTHING__AT_ALL: expected the path of a key, got "nothing.at_all"'),
        ("ALERTBOT_DATABASES", "x", 'ALERTBOT_DATABASES: expected the path of a key, got "databases"; did you mean ALERTBOT_DATABASE?'),
        ("ALERTBOT_SOURCES__0__NAME", "x", 'ALERTBOT_SOURCES__0__NAME: expected a key outside a list, got "sources.0.name"; the list is given whole, as ALERTBOT_SOURCES'),
        ("ALERTBOT_LOG__LEVEL", "loud", 'ALERTBOT_LOG__LEVEL: expected one of debug, info, warning, error, got "loud"'),
        ("ALERTBOT_SLACK__OPERATORS", "U1,ana", 'ALERTBOT_SLACK__OPERATORS[1]: expected the id of a Slack user or user group such as U012AB3CD or S0123TEAM, got "ana"'),
        ("ALERTBOT_LOG", "{level: loud}", 'ALERTBOT_LOG.level: expected one of debug, info, warning, error, got "loud"'),
        ("ALERTBOT_LOG", "{level: [", "ALERTBOT_LOG, line 1, column 10: expected correct YAML, got a sign, or the end, where a value was expected (a text that begins with it needs quotes)"),
        ("ALERTBOT_SLACK__BOT_TOKEN_FILE", "/nonexistent", 'ALERTBOT_SLACK__BOT_TOKEN_FILE: expected a file that can be read, got "/nonexistent" (no such file)'),
        ("ALERTBOT_DATABASE__URL", "mysql://u:hunter2@h", "ALERTBOT_DATABASE__URL: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE, got a value that is not shown here"),
    ],
)  # fmt: skip
def test_a_variable_that_is_wrong_is_told_by_its_own_name(tmp_path, variable, value, line):
    assert mistakes(tmp_path, CONTRACT, ENVIRON | {variable: value}) == (line,)


# What Kubernetes puts into each container beside a Service that is called alertbot, with a port that is called http.
SERVICE = {
    "ALERTBOT_SERVICE_HOST": "10.96.7.7",
    "ALERTBOT_SERVICE_PORT": "8080",
    "ALERTBOT_SERVICE_PORT_HTTP": "8080",
    "ALERTBOT_PORT": "tcp://10.96.7.7:8080",
    "ALERTBOT_PORT_8080_TCP": "tcp://10.96.7.7:8080",
    "ALERTBOT_PORT_8080_TCP_PROTO": "tcp",
    "ALERTBOT_PORT_8080_TCP_PORT": "8080",
    "ALERTBOT_PORT_8080_TCP_ADDR": "10.96.7.7",
}


def test_a_service_that_is_called_alertbot_keeps_no_bot_from_starting(tmp_path):
    note = loaded(tmp_path, CONTRACT, ENVIRON | SERVICE).notes[-1]
    assert note.startswith("environment: ALERTBOT_PORT and 7 more variables")
    note = loaded(tmp_path, CONTRACT, ENVIRON | {"ALERTBOT_IMAGE_TAG": "1.2"}).notes[-1]
    assert note.startswith("environment: ALERTBOT_IMAGE_TAG ignored")


def test_variables_are_filled_in_anywhere_in_a_value(tmp_path):
    environ = ENVIRON | {"CHANNEL": "ops", "WAIT": "30", "SET_BUT_EMPTY": ""}
    config = loaded(
        tmp_path,
        'slack: {channel: "#${CHANNEL}-${TEAM}", fallback_channel: ${NOT_SET:-spare}, operator_channel: ${SET_BUT_EMPTY:-own}}\n'
        "routes: [{group_wait: ${WAIT}s}]\n"
        "rules: [{name: r, metric: tokens, window: 1h, above: 1, description: 'a $5 bill, $$, $${TEAM} and ${TEAM}'}]\n",
        environ,
    )
    assert (config.slack.channel, config.slack.fallback_channel) == ("#ops-blue", "#spare")
    assert config.slack.operator_channel == "#own"
    assert config.routes[0].group_wait == timedelta(seconds=30)
    assert config.rules[0].description == "a $5 bill, $$, ${TEAM} and blue"


# --- secrets ---------------------------------------------------------------------------------------------------------

SECRETS = """
database: {url: %s}
sources:
  - {name: acme, access_token: %s, refresh_token: %s}
  - {name: lab, email: a@example.com, password: %s}
slack: {bot_token: %s, app_token: %s, signing_secret: %s, operator_webhook: %s}
heartbeat: {url: %s}
"""


def _secrets(url: str, token: str, web: str) -> str:
    return SECRETS % (url, token, token, token, token, token, token, web, web)


@settings(max_examples=50, deadline=None)
@given(st.text("abcdefgXYZ0189", min_size=8, max_size=20), st.sampled_from(["fine", "spaced", "wrong"]))
def test_no_secret_is_ever_shown(tmp_path_factory, secret, how):
    """Neither by what is printed of a config, nor by a mistake in the secret's own key, nor by one elsewhere."""
    folder = tmp_path_factory.getbasetemp()
    url = f"postgresql://user:{secret}@host/database"
    token, web = secret, f"https://hooks.example.com/{secret}"
    if how == "spaced":
        url, token, web = f"mysql://user:{secret}@host/database", f"{secret} {secret}", f"hooks.example.com/{secret}"
    if how == "wrong":
        url = token = web = f"[{secret}]"
    text = _secrets(url, token, web)
    if how == "fine":
        config = loaded(folder, text)
        assert config.database.shown_url == "postgresql://user@host/database"
        assert secret not in f"{config!r} {config} {config.slack.model_dump()}"
    else:
        with pytest.raises(ConfigError) as raised:
            loaded(folder, text)
        assert len(raised.value.lines) == (8 if how == "spaced" else 9)
        assert secret not in f"{raised.value!r} {raised.value.__cause__!r}"
    with pytest.raises(ConfigError) as raised:
        loaded(folder, text + "log: {level: loud}\nhttp: {listen: '${SECRET_TOKEN}'}\n", {"SECRET_TOKEN": secret})
    assert secret not in f"{raised.value!r}"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n", "\r"])
@pytest.mark.parametrize(
    "how", ["key_file", "path below the folder of secrets", "variable with such a path", "override"]
)
def test_a_secret_may_be_a_file(tmp_path, how, ending):
    folder = tmp_path / "secrets"
    folder.mkdir()
    file = folder / "bot-token"
    file.write_bytes(b"xoxb-from-the-file" + ending.encode())
    text, environ = {
        "key_file": (f"slack: {{bot_token_file: '{file}', bot_token: ''}}", {}),
        "path below the folder of secrets": (f"slack: {{bot_token: '{file}'}}", {}),
        "variable with such a path": ("", {"SLACK_BOT_TOKEN": str(file)}),
        "override": ("slack: {bot_token: xoxb-other}", {"ALERTBOT_SLACK__BOT_TOKEN_FILE": str(file)}),
    }[how]

    config = loaded(tmp_path, text, {"FLASHBACK_TOKEN": "t", **environ}, secrets_folder=folder)

    assert config.slack.bot_token
    assert config.slack.bot_token.get_secret_value() == "xoxb-from-the-file"


@pytest.mark.parametrize(
    "content",
    [
        b" pass word ",
        b" pass word \n",
        b" pass word \n\n",
        b" pass word \r\n",
        b"\xef\xbb\xbf pass word \r\n\r\n",
        b"\r pass word \r",
    ],
)
@pytest.mark.parametrize("is_file", [True, False])
def test_what_editors_and_shells_put_around_a_secret_is_no_part_of_it(tmp_path, content: bytes, is_file: bool):
    (tmp_path / "password").write_bytes(content)
    key = f"password_file: '{tmp_path / 'password'}'" if is_file else "password: '${PASSWORD}'"
    text = f"sources: [{{name: a, email: a@b, {key}}}]"
    password = loaded(tmp_path, text, ENVIRON | {"PASSWORD": content.decode()}).sources[0].password
    assert password
    assert password.get_secret_value() == " pass word "


@pytest.mark.parametrize("content", ["pass\nword", "pass\rword\n", "pass\0word", "pass\ufeffword", "pass\u2028word"])
def test_a_password_of_several_lines_is_refused_and_not_shown(tmp_path, content: str):
    (tmp_path / "password").write_text(content, newline="")
    (told,) = mistakes(tmp_path, f"sources: [{{name: a, email: a@b, password_file: '{tmp_path / 'password'}'}}]")
    assert told == "sources[0].password_file: expected a password of one line, got a value that is not shown here"


@pytest.mark.parametrize("quoted", ['"xoxb-1"', "'xoxb-1'", "“xoxb-1”", '"xoxb-1"\r'])
def test_a_token_with_the_quotation_marks_of_its_line_is_refused_and_says_so(tmp_path, quoted: str):
    (told,) = mistakes(tmp_path, "log: {level: info}", ENVIRON | {"SLACK_BOT_TOKEN": quoted})
    expected = "expected a bot token (xoxb-…) without quotation marks around it, got a value that is not shown here"
    assert told == f"SLACK_BOT_TOKEN: {expected}"


def test_every_secret_may_be_a_file_in_a_list_too(tmp_path):
    (tmp_path / "secret").write_text("from-file\n")
    (tmp_path / "url").write_text("postgres://u:p@h/d\n")
    text = "".join(
        line.replace("FILE", str(tmp_path / "secret")).replace("URL", str(tmp_path / "url"))
        for line in (
            "database: {url_file: URL}\n",
            "sources: [{name: a, access_token_file: FILE, refresh_token_file: FILE}]\n",
            "slack: {app_token_file: FILE, signing_secret_file: FILE}\n",
        )
    )
    config = loaded(tmp_path, text)
    assert config.database.url.get_secret_value() == "postgresql://u:p@h/d"
    assert config.database.shown_url == "postgresql://u@h/d"
    assert config.sources[0].refresh_token
    assert config.sources[0].refresh_token.get_secret_value() == "from-file"
    assert config.slack.missing_tokens == ()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "slack.bot_token_file: expected a secret in the file, got"),
        (b"\n", "slack.bot_token_file: expected a secret in the file, got"),
        (b"\xff\xfe", "slack.bot_token_file: expected a file with text, got"),
        (b"xoxb-1\nxoxb-2", "slack.bot_token_file: expected a token without spaces or line ends, got a value that"),
        (None, "slack.bot_token_file: expected a file that can be read, got"),
    ],
)
def test_a_secret_s_file_that_cannot_be_used_is_told_by_its_key(tmp_path, content, line):
    file = tmp_path / "token"
    file.write_bytes(content) if content is not None else file.mkdir()
    (told,) = mistakes(tmp_path, f"slack: {{bot_token_file: '{file}'}}")
    assert told.startswith(line)


def test_the_file_s_token_goes_before_the_customary_variable_and_an_empty_one_does_not(tmp_path):
    def token(text: str) -> str:
        found = loaded(tmp_path, text, {"FLASHBACK_TOKEN": "t", "SLACK_BOT_TOKEN": "xoxb-env"}).slack.bot_token
        return found.get_secret_value() if found else ""

    assert token("slack: {bot_token: xoxb-file}") == "xoxb-file"
    assert token("slack: {bot_token: '${NOT_SET:-}'}") == "xoxb-env"
    assert token("slack: {mode: socket}") == "xoxb-env"
    assert token("slack:\n#  mode: socket") == "xoxb-env"


def test_an_override_heals_a_variable_that_is_not_set(tmp_path):
    assert loaded(tmp_path, "slack: {bot_token: '${NOT_SET}'}", ENVIRON | {"ALERTBOT_SLACK__BOT_TOKEN": "xoxb-1"})


# --- what a command does not need --------------------------------------------------------------------------------------


def test_check_names_every_variable_that_is_missing(tmp_path):
    assert mistakes(tmp_path, CONTRACT, {}) == (
        "slack.bot_token: the variable SLACK_BOT_TOKEN is not set",
        "sources[0].access_token: the variable FLASHBACK_TOKEN is not set",
    )


def test_a_secret_that_a_command_does_not_need_may_be_missing(tmp_path):
    config = loaded(tmp_path, CONTRACT, {}, needs=NOTHING)
    assert config.sources[0].access_token is None
    assert config.slack.missing_tokens == ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")
    assert len(config.rules) == 2

    keys = "{name: a, email: a@b, password: '${NOT_SET}'}, {name: b, access_token_file: /nonexistent}"
    text = f"sources: [{keys}]\ndatabase: {{url: 'postgresql://u:${{NOT_SET}}@h/d'}}"
    config = loaded(tmp_path, text, {}, needs=NOTHING)
    assert [source.password for source in config.sources] == [None, None]
    assert config.database.url.get_secret_value() == ""
    assert len(mistakes(tmp_path, text, {}, needs=EVERYTHING)) == 3
    assert mistakes(tmp_path, text, {}, needs={Need.DATABASE, Need.SLACK}) == (
        "database.url: the variable NOT_SET is not set",
    )


def test_what_is_not_a_secret_must_be_there_whatever_a_command_needs(tmp_path):
    text = "slack: {channel: '${NOT_SET}', bot_token: '${NOT_SET}', app_token: 'two words'}\nlog: {level: loud}"
    assert [line.partition(":")[0] for line in mistakes(tmp_path, text, {}, needs=NOTHING)] == [
        "log.level",
        "slack.app_token",
        "slack.channel",
    ]


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ("mode: socket", ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")),
        ("mode: http", ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET")),
        ("mode: http, signing_secret: s", ("SLACK_BOT_TOKEN",)),
        ("mode: socket, bot_token: b, signing_secret: s", ("SLACK_APP_TOKEN",)),
    ],
)
def test_tokens_that_slack_s_mode_needs_are_named_by_their_variables(tmp_path, keys, missing):
    assert loaded(tmp_path, f"slack: {{{keys}}}", {"FLASHBACK_TOKEN": "t"}).slack.missing_tokens == missing
