"""The workspace of the look-alike: people, channels, messages, files and views, remembered in memory.

Records are frozen; a change replaces one under the lock and wakes whoever waits for a condition.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from alertbot.demo.slack.records import (
    BOT_USER_ID,
    Change,
    ChangeKind,
    Channel,
    JsonObject,
    Message,
    UploadedFile,
    User,
    UserGroup,
    Version,
    View,
)


class World:
    """Everything that the workspace remembers. Every public function may be called from any thread."""

    def __init__(self, *, clock: Callable[[], float], auto_create_channels: bool = False) -> None:
        self.clock = clock
        self.auto_create_channels = auto_create_channels
        self.base_url = ""
        self.condition = threading.Condition(threading.RLock())
        # Counts up, so that a waiter knows whether anything happened since it looked.
        self.changes = 0
        self.listeners: list[Callable[[Change], None]] = []
        self.users: dict[str, User] = {}
        self.groups: dict[str, UserGroup] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, UploadedFile] = {}
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self._messages: dict[str, dict[str, Message]] = {}
        self._last_microsecond: dict[str, int] = {}
        self._numbers = 0

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock for a change and wake everybody who waits for one."""
        with self.condition:
            yield
            self.changes += 1
            self.condition.notify_all()

    def publish(self, change: Change) -> None:
        """Tell the listeners, in the order of the changes."""
        with self.changing():
            for listener in self.listeners:
                listener(change)

    def new_id(self, prefix: str) -> str:
        """Make an id that looks like one of Slack's and was not used before."""
        with self.condition:
            self._numbers += 1
            return f"{prefix}0{self._numbers:09d}"

    # --- channels

    def add_channel(self, name: str, *, is_private: bool = False, bot_is_member: bool = True) -> Channel:
        """Create a channel with everybody in it."""
        with self.changing():
            members = {user.id for user in self.users.values() if not user.is_bot}
            members |= {BOT_USER_ID} if bot_is_member else set()
            channel = Channel(
                self.new_id("C"),
                name.removeprefix("#"),
                frozenset(members),
                created=int(self.clock()),
                is_private=is_private,
            )
            return self.save_channel(channel)

    def save_channel(self, channel: Channel) -> Channel:
        """Remember a channel in its present form."""
        with self.changing():
            self.channels[channel.id] = channel
            self._messages.setdefault(channel.id, {})
            self.publish(Change(ChangeKind.CHANNEL, channel=channel))
            return channel

    def remove_channel(self, channel: Channel) -> None:
        """Forget a channel and what was said in it."""
        with self.changing():
            del self.channels[channel.id]
            del self._messages[channel.id]
            self.publish(Change(ChangeKind.CHANNEL, channel=channel))

    def find_channel(self, reference: str, *, by_name: bool = True) -> Channel | None:
        """Find a channel by id, name or `#name`; a user's id is the direct messages with that user."""
        with self.condition:
            if reference in self.channels:
                return self.channels[reference]
            if not by_name:
                return None
            if reference in self.users:
                return self.direct_messages(reference)
            name = reference.removeprefix("#")
            for channel in self.channels.values():
                if channel.name == name and channel.with_user is None:
                    return channel
            if self.auto_create_channels and name and (reference != name or name.islower()):
                return self.add_channel(name)
            return None

    def direct_messages(self, user_id: str) -> Channel:
        """Return the direct messages between the app and a user."""
        with self.changing():
            for channel in self.channels.values():
                if channel.with_user == user_id:
                    return channel
            members = frozenset({user_id, BOT_USER_ID})
            name = f"@{self.users[user_id].name}"
            return self.save_channel(
                Channel(self.new_id("D"), name, members, created=int(self.clock()), is_private=True, with_user=user_id)
            )

    # --- messages

    def new_ts(self, channel_id: str) -> str:
        """Make a message's id: the time in microseconds, unique and rising in its channel."""
        with self.condition:
            last = max(int(self.clock() * 1_000_000), self._last_microsecond.get(channel_id, 0) + 1)
            self._last_microsecond[channel_id] = last
            return f"{last // 1_000_000}.{last % 1_000_000:06d}"

    def post(self, message: Message) -> Message:
        """Remember a new message."""
        with self.changing():
            blocks, attachments = self._with_ids(message.blocks), self._attachments_with_ids(message.attachments)
            message = replace(message, blocks=blocks, attachments=attachments)
            self._messages[message.channel][message.ts] = message
            self.publish(Change(ChangeKind.POSTED, self.channels[message.channel], message))
            return message

    def edit(self, message: Message, **changes: Any) -> Message:
        """Give a message new content and keep the old one among its edits."""
        with self.changing():
            old = Version(message.text, message.blocks, message.attachments, message.metadata, self.clock())
            if "blocks" in changes:
                changes["blocks"] = self._with_ids(changes["blocks"])
            if "attachments" in changes:
                changes["attachments"] = self._attachments_with_ids(changes["attachments"])
            message = replace(message, **changes, edits=(*message.edits, old), edited_at=self.clock())
            return self.save_message(message, ChangeKind.EDITED)

    def save_message(self, message: Message, kind: ChangeKind) -> Message:
        """Remember a message in its present form."""
        with self.changing():
            self._messages[message.channel][message.ts] = message
            self.publish(Change(kind, self.channels[message.channel], message))
            return message

    def message(self, channel_id: str, ts: str) -> Message | None:
        """Find a message that was not deleted."""
        with self.condition:
            message = self._messages.get(channel_id, {}).get(ts)
            return None if message is None or message.deleted else message

    def messages(self, channel_id: str) -> list[Message]:
        """List all messages of a channel, ephemeral and deleted ones too, the oldest first."""
        with self.condition:
            return list(self._messages.get(channel_id, {}).values())

    def replies(self, parent: Message) -> list[Message]:
        """List the replies in a message's thread, the oldest first."""
        return [
            message
            for message in self.messages(parent.channel)
            if message.is_reply and message.thread_ts == parent.ts and not message.deleted
        ]

    def _with_ids(self, blocks: list[JsonObject]) -> list[JsonObject]:
        """Give blocks and elements the ids that Slack gives them when the app does not."""
        return [self._block_with_ids(block) for block in blocks]

    def _block_with_ids(self, block: JsonObject) -> JsonObject:
        block = {**block, "block_id": block.get("block_id") or secrets.token_hex(3)}
        if isinstance(block.get("elements"), list) and block.get("type") == "actions":
            block["elements"] = [_with_action_id(element) for element in block["elements"]]
        for name in ("accessory", "element"):
            if isinstance(block.get(name), dict) and block[name].get("type") != "image":
                block[name] = _with_action_id(block[name])
        return block

    def _attachments_with_ids(self, attachments: list[JsonObject]) -> list[JsonObject]:
        return [
            {"id": index, **each, **({"blocks": self._with_ids(each["blocks"])} if each.get("blocks") else {})}
            for index, each in enumerate(attachments, start=1)
        ]

    # --- views

    def new_view(self, user: str, content: JsonObject, previous: View | None = None) -> View:
        """Make a view of some content, not yet shown."""
        view_id = self.new_id("V")
        root = previous.root_id if previous else view_id
        return View(
            view_id, user, self.view_content(content), self._hash(), root, previous_id=previous.id if previous else None
        )

    def view_content(self, content: JsonObject) -> JsonObject:
        """Complete a view's content with the ids that Slack gives."""
        return {**content, "blocks": self._with_ids(content.get("blocks") or [])}

    def save_view(self, view: View) -> View:
        """Show a view in its present form, with a new hash."""
        with self.changing():
            view = replace(view, hash=self._hash())
            self.views[view.id] = view
            if not view.is_modal:
                self.homes[view.user] = view
            kind = ChangeKind.MODAL if view.is_modal else ChangeKind.HOME
            self.publish(Change(kind, view=view, user=view.user))
            return view

    def modals(self, user: str) -> list[View]:
        """List a user's open modals, the topmost last."""
        with self.condition:
            return [view for view in self.views.values() if view.user == user and view.open and view.is_modal]

    def _hash(self) -> str:
        return f"{int(self.clock())}.{secrets.token_hex(4)}"

    # --- files

    def save_file(self, uploaded: UploadedFile) -> UploadedFile:
        """Remember a file in its present form."""
        with self.changing():
            self.files[uploaded.id] = uploaded
            self.publish(Change(ChangeKind.FILE, file=uploaded))
            return uploaded


def _with_action_id(element: JsonObject) -> JsonObject:
    return {**element, "action_id": element.get("action_id") or secrets.token_hex(3)}
