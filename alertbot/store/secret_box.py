"""Secrets that the database keeps: encrypted with a key that it does not hold, and told apart without being there."""

import base64
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from alertbot.errors import ConfigError

# The key is long and random, or a phrase that somebody made up: then guessing has to take its time.
_SALT_OF_KEY = b"alertbot database.key"
_COST = 2**14  # 16 MB and some 40 ms
_COSTLY, _QUICK = "scrypt", "sha256"


class SecretBox:
    """Locks texts with a key, and opens what was locked with the same one."""

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(_stretched(key.strip(), _SALT_OF_KEY)))

    def encrypt(self, text: str) -> str:
        """The text encrypted; each time another one, so that it tells one writing from the next."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, locked: str) -> str | None:
        """The text again; None if another key has locked it, or it was changed since."""
        try:
            return self._fernet.decrypt(locked.encode()).decode()
        except (InvalidToken, UnicodeError):
            return None


def digest(secret: str, *, is_guessable: bool) -> str:
    """By what a secret is known again; what it was cannot be found out from that in reasonable time.

    What somebody made up is guessable, and made costly to guess; a token of a server's is long and random.
    """
    kind = _COSTLY if is_guessable else _QUICK
    salt = secrets.token_hex(16)
    return f"{kind}${salt}${_hashed(kind, salt, secret)}"


def is_of(found: str, secret: str) -> bool:
    """Whether a digest is that of this secret."""
    kind, salt, hashed = ([*found.split("$"), "", ""])[:3]
    return kind in {_COSTLY, _QUICK} and secrets.compare_digest(hashed, _hashed(kind, salt, secret))


def _hashed(kind: str, salt: str, secret: str) -> str:
    if kind == _COSTLY:
        return _stretched(secret, salt.encode()).hex()
    return hashlib.sha256(f"{salt}{secret}".encode()).hexdigest()


def _stretched(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=_COST, r=8, p=1, dklen=32)


def read_key(path: Path) -> str | None:
    """The key in a file; None where there is no file. Raises ConfigError where it cannot be used."""
    try:
        key = path.read_text(encoding="utf-8-sig").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError([f"database.key: {path} cannot be read: {why}"]) from error
    if not key:
        raise ConfigError([f"database.key: {path} is empty"])
    return key


def make_key(path: Path) -> str:
    """A new key, which only this user can read; the one that is there if another process was first."""
    key = secrets.token_urlsafe(32)
    try:
        _write_new(path, f"{key}\n")
    except FileExistsError:
        there = read_key(path)
        assert there is not None, "it exists"
        return there
    except OSError as error:
        why = error.strerror or "unknown reason"
        raise ConfigError(
            [f"database.key: expected a key, or a folder where one can be kept: {path}: {why}"]
        ) from error
    return key


def _write_new(path: Path, text: str) -> None:
    """Write a file whole or not at all; a FileExistsError if it is there already."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # with O_EXCL, for its owner only
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(number)
        os.link(name, path)  # it appears complete, and never in place of another one
    finally:
        Path(name).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # what is encrypted with it will be in the database for good, so must it be
    finally:
        os.close(folder)
