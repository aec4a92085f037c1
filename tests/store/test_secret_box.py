"""What the database keeps of secrets can be used by the bot, and by nobody who has only the database."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alertbot.errors import ConfigError
from alertbot.store import secret_box
from alertbot.store.secret_box import SecretBox

KEY = "a key that somebody made up"


def test_what_was_locked_is_opened_with_the_same_key_and_with_no_other():
    box = SecretBox(KEY)
    locked = box.encrypt("tökén")
    assert "tökén" not in locked
    assert (box.decrypt(locked), SecretBox(f"{KEY}\n").decrypt(locked)) == ("tökén", "tökén")
    assert SecretBox(f"{KEY}!").decrypt(locked) is None


@pytest.mark.parametrize("changed", ["", "no such text", "gAAAAAB", "ä"])
def test_what_nobody_has_locked_is_not_opened(changed: str):
    assert SecretBox(KEY).decrypt(changed) is None


def test_the_same_text_is_never_locked_to_the_same_twice():
    box = SecretBox(KEY)
    assert box.encrypt("token") != box.encrypt("token")


def test_a_box_shows_nothing_of_its_key():
    assert KEY not in repr(SecretBox(KEY))


@pytest.mark.parametrize("is_guessable", [True, False])
def test_a_secret_is_known_again_by_its_digest(is_guessable: bool):
    found = secret_box.digest("secret", is_guessable=is_guessable)
    assert "secret" not in found
    assert secret_box.is_of(found, "secret")
    assert not secret_box.is_of(found, "Secret")
    assert found != secret_box.digest("secret", is_guessable=is_guessable), "salted"


@pytest.mark.parametrize("found", ["", "$", "md5$salt$0", "sha256$salt"])
def test_what_is_no_digest_is_nobody_s(found: str):
    assert not secret_box.is_of(found, "")


def test_a_key_file_is_for_its_owner_only_and_stays_what_it_is(tmp_path: Path):
    file = tmp_path / "alertbot.db.key"
    assert secret_box.read_key(file) is None
    made = secret_box.make_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(made) >= 43
    assert secret_box.read_key(file) == secret_box.make_key(file) == made
    assert list(tmp_path.iterdir()) == [file]


def test_processes_that_make_the_key_at_the_same_time_have_the_same(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: secret_box.make_key(tmp_path / "key"), range(8)))) == 1


def test_the_mark_of_an_encoding_is_no_part_of_the_key(tmp_path: Path):
    (tmp_path / "database.key").write_bytes(f"\ufeff{KEY}\r\n".encode())
    assert secret_box.read_key(tmp_path / "database.key") == KEY


def test_a_key_that_cannot_be_kept_is_told_with_what_to_do(tmp_path: Path):
    with pytest.raises(
        ConfigError, match=r"^database\.key: expected a key, or a folder where one can be kept: .*No such"
    ):
        secret_box.make_key(tmp_path / "nowhere" / "key")


@pytest.mark.parametrize(("content", "told"), [(b" \n", "is empty"), (b"\xff\xfe", "cannot be read: it is no text")])
def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, told: str):
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        secret_box.read_key(file)
