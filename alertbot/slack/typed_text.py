r"""What a person typed, of what Slack makes of it, and its words. Pure.

Every command and every field of a form is read through `typed_text`: nothing else undoes Slack's escaping.
"""

import re

_UNSEEN = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))  # what comes along when a name is pasted
_MARKUP = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_DOUBLE = '"\u201c\u201d\u201e\u201f\u00ab\u00bb\u301d\u301e\uff02'
_SINGLE = "'\u2018\u2019\u201a\u201b\u2039\u203a"
# Quotation marks count at the beginning of a word or of a value. A single one ends only where a word ends, because it
# is an apostrophe, too: `it's`. A backslash is nothing special: `\d+` is a pattern.
_QUOTED = re.compile(
    rf"(?<![^\s=~])(?:[{_DOUBLE}](?P<double>[^{_DOUBLE}]*)[{_DOUBLE}]|[{_SINGLE}](?P<single>\S(?:.*?\S)?|)[{_SINGLE}](?!\S))",
    re.DOTALL,
)
_WORD = re.compile(rf"(?:{_QUOTED.pattern.replace('?P<double>', '?:').replace('?P<single>', '?:')}|\S)+", re.DOTALL)


def typed_text(text: str) -> str:
    """Undo Slack's escaping of what was typed.

    `<http://chat.acme.io|chat.acme.io>` was chat.acme.io, `<@U1|ana>` @ana, `<#C1|general>` #general, `&amp;` an ampersand.
    Whatever stands in angle brackets is Slack's: a bracket that a person typed comes as `&lt;`.
    """
    text = _MARKUP.sub(_typed, text.translate(_UNSEEN))
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _typed(markup: re.Match[str]) -> str:
    target, label = markup[1], markup[2] or ""
    if target[:1] in {"@", "#"}:
        return target if not label else f"{target[0]}{label.removeprefix(target[0])}"
    if target.startswith("!"):  # a user group, `<!here>`, or a date
        return label or f"@{target[1:].rpartition('^')[2]}"
    # Slack made a link of a name or an address. A link with a text of its own was pasted: its address says more.
    return label if label and target.removesuffix("/").endswith(label.removesuffix("/")) else target


def split(text: str) -> list[str]:
    """The words of a text that was typed; those in quotation marks of any kind are one."""
    return [
        _QUOTED.sub(lambda quoted: quoted["double"] or quoted["single"] or "", word[0]) for word in _WORD.finditer(text)
    ]
