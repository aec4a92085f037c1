"""Messages as plain text: for the failures of tests, and for a terminal."""

from collections.abc import Iterable, Iterator
from typing import Any

from alertbot.demo.slack.records import Message
from alertbot.demo.slack.world import World


def plain_text(message: Message) -> str:
    """Return everything that a message shows, a line for each piece of text; the fallback text only where nothing else is."""
    lines = [line for part in [*message.blocks, *message.attachments] for line in _texts(part)]
    return "\n".join(lines) or message.text


def transcript(world: World, channel_ids: Iterable[str]) -> str:
    """Draw what stands in channels now, for the failure of a test."""
    lines = []
    for channel_id in channel_ids:
        channel = world.channels[channel_id]
        messages = world.messages(channel_id)
        lines.append(f"#{channel.name} ({channel.id}{', archived' if channel.is_archived else ''}):")
        lines.extend(_drawn(world, message) for message in messages)
        if not messages:
            lines.append("  (empty)")
    return "\n".join(lines)


def _drawn(world: World, message: Message) -> str:
    user = world.users.get(message.user)
    marks = [
        *(["deleted"] if message.deleted else []),
        *([f"edited {len(message.edits)}x"] if message.edits else []),
        *([f"reply to {message.thread_ts}"] if message.is_reply else []),
        *([f"only {message.visible_to} sees it"] if message.visible_to else []),
    ]
    about = f" [{', '.join(marks)}]" if marks else ""
    said = plain_text(message).replace("\n", "\n      ")
    return f"  {message.ts} {user.name if user else message.user}{about}: {said}"


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a block or attachment in reading order."""
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, dict):
        if value.get("type") in _INLINE_PARENTS:
            yield "".join(_inline(part) for part in value.get("elements", []))
            return
        for name in _ORDER:
            part = value.get(name)
            if isinstance(part, str):
                yield part
            elif part is not None:
                yield from _texts(part)


def _inline(element: dict[str, Any]) -> str:
    kind = element.get("type")
    if kind in {"user", "usergroup", "channel"}:
        return f"<@{element.get(f'{kind}_id')}>"
    if kind == "broadcast":
        return f"@{element['range']}"
    return str(element.get("text") or element.get("fallback") or element.get("url") or element.get("name") or "")


_INLINE_PARENTS = {"rich_text_section", "rich_text_quote", "rich_text_preformatted"}
_ORDER = (
    "pretext",
    "title",
    "caption",
    "label",
    "text",
    "fields",
    "accessory",
    "element",
    "placeholder",
    "rows",
    "elements",
    "options",
    "blocks",
    "alt_text",
    "footer",
)
