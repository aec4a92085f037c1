"""Encrypting the secrets that the database stores, and digests by which a secret is recognised."""

import base64
import hashlib
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from alertbot.errors import ConfigError, Mistake

# The key may be a phrase that somebody made up, so guessing it has to be slow.
_SALT_OF_KEY = b"alertbot database.key"
_COST = 2**14  # of scrypt: 16 MB and about 40 ms
_COSTLY, _QUICK = "scrypt", "sha256"


class SecretBox:
    """Encrypts texts with a key, and decrypts them with the same one."""

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(_stretched(key.strip(), _SALT_OF_KEY)))

    def encrypt(self, text: str) -> str:
        """Encrypts. Equal texts give different ciphertexts, so the ciphertext also identifies the write."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, ciphertext: str) -> str | None:
        """The text; None if it was encrypted with another key, or the ciphertext was changed."""
        try:
            return self._fernet.decrypt(ciphertext.encode()).decode()
        except (InvalidToken, UnicodeError):
            return None


def digest(secret: str, *, is_guessable: bool) -> str:
    """A salted digest by which `is_of` recognises the secret, and from which it cannot be guessed in reasonable time.

    A secret that a person made up is guessable, and gets a slow digest; a server's token is long and random.
    """
    kind = _COSTLY if is_guessable else _QUICK
    salt = secrets.token_hex(16)
    return f"{kind}${salt}${_hashed(kind, salt, secret)}"


def is_of(stored: str, secret: str) -> bool:
    """Whether a digest is that of this secret."""
    kind, salt, hashed = ([*stored.split("$"), "", ""])[:3]
    return kind in {_COSTLY, _QUICK} and secrets.compare_digest(hashed, _hashed(kind, salt, secret))


def _hashed(kind: str, salt: str, secret: str) -> str:
    if kind == _COSTLY:
        return _stretched(secret, salt.encode()).hex()
    return hashlib.sha256(f"{salt}{secret}".encode()).hexdigest()


def _stretched(secret: str, salt: bytes) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=_COST, r=8, p=1, dklen=32)


def read_key(path: Path) -> str | None:
    """The key in a file; None if there is no file. Raises ConfigError if the file cannot be used."""
    try:
        key = path.read_text(encoding="utf-8-sig").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(Mistake("database.key", f"{path} cannot be read: {why}")) from error
    if not key:
        raise ConfigError(Mistake("database.key", f"{path} is empty"))
    return key


def make_key(path: Path) -> str:
    """A new key in a file that only this user can read, or the key of a process that was first. Raises ConfigError."""
    key = secrets.token_urlsafe(32)
    try:
        _write_new(path, f"{key}\n")
    except FileExistsError:
        existing = read_key(path)
        assert existing is not None, "it exists"
        return existing
    except OSError as error:
        why = error.strerror or "unknown reason"
        raise ConfigError(
            Mistake("database.key", f"expected a key, or a folder where one can be kept: {path}: {why}")
        ) from error
    return key


def _write_new(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises FileExistsError."""
    number, name = tempfile.mkstemp(
        prefix=f".{path.name}-", dir=path.parent
    )  # opened with O_EXCL, readable by its owner only
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(number)
        os.link(name, path)  # atomic, and never replaces a file
    finally:
        Path(name).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the key must last as long as what is encrypted with it
    finally:
        os.close(folder)
