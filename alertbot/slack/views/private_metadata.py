"""What a view remembers between two clicks: a few words in its `private_metadata`, which nobody sees."""

import json
from collections.abc import Mapping
from typing import Any


def encode_private_metadata(**words: str | int) -> str:
    """The words as a view's `private_metadata`; those that are empty are left out."""
    return json.dumps({name: word for name, word in words.items() if word != ""}, separators=(",", ":"))


def decode_private_metadata(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the view of a click or of a submission remembers; nothing where there is no view, or it is not ours."""
    text = str((body.get("view") or {}).get("private_metadata") or "")
    try:
        words = json.loads(text) if text else {}
    except ValueError:  # a view that was opened before an upgrade
        return {}
    return words if isinstance(words, dict) else {}
