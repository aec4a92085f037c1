"""The look-alike's workspace as tests and the demo see it: what is there, waiting for it to change, and what befalls it."""

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, TypeVar

from alertbot.demo.slack.actions import Acts
from alertbot.demo.slack.calls import Installation
from alertbot.demo.slack.deliveries import Deliveries, Delivery
from alertbot.demo.slack.faults import Fault, FaultKind, Faults
from alertbot.demo.slack.http import ApiSide, Call
from alertbot.demo.slack.records import BOT_USER_ID, ChangeKind, Channel, Message, UploadedFile, View
from alertbot.demo.slack.transcript import transcript
from alertbot.demo.slack.world import World

T = TypeVar("T")


class Workspace:
    """Everything about a workspace that needs no running server. All functions may be called from any thread."""

    world: World
    installation: Installation
    faults: Faults
    acts: Acts
    deliveries: Deliveries
    _api: ApiSide

    # --- what is there

    def channel(self, reference: str) -> Channel:
        """Return a channel by name or id."""
        return self.acts.channel(reference)

    def messages(self, channel: str, *, replies: bool = True, deleted: bool = True) -> list[Message]:
        """List what was posted in a channel for all to see, the oldest first."""
        return [
            message
            for message in self.world.messages(self.channel(channel).id)
            if message.visible_to is None and (replies or not message.is_reply) and (deleted or not message.deleted)
        ]

    def message(self, channel: str, ts: str) -> Message:
        """Return a message as it stands now, deleted ones too."""
        for message in self.world.messages(self.channel(channel).id):
            if message.ts == ts:
                return message
        raise LookupError(f"no message {ts} in {channel}")

    def thread(self, message: Message) -> list[Message]:
        """List the replies to a message, the oldest first."""
        return self.world.replies(message)

    def ephemerals(self, user: str | None = None, channel: str | None = None) -> list[Message]:
        """List what only one user sees, the oldest first."""
        with self.world.condition:
            ids = [self.channel(channel).id] if channel else list(self.world.channels)
            every = [message for channel_id in ids for message in self.world.messages(channel_id)]
        return [m for m in every if m.visible_to is not None and user in {None, m.visible_to} and not m.deleted]

    def answers(self, delivery: Delivery) -> list[Message]:
        """List what the app answered to a command or click by its acknowledgement or response_url, as it stands now."""
        return [self.message(channel, ts) for channel, ts in list(delivery.answers)]

    def modals(self, user: str = "U1") -> list[View]:
        """List a user's open modals, the topmost last."""
        return self.world.modals(user)

    def home(self, user: str = "U1") -> View | None:
        """Return a user's Home tab as the app published it."""
        return self.world.homes.get(user)

    def view(self, view_id: str) -> View:
        """Return a view as it stands now."""
        return self.world.views[view_id]

    def files(self) -> list[UploadedFile]:
        """List the uploaded files, the oldest first."""
        with self.world.condition:
            return list(self.world.files.values())

    @property
    def calls(self) -> list[Call]:
        """List every request of the app, the oldest first."""
        with self.world.condition:
            return list(self._api.calls)

    def calls_of(self, method: str, channel: str | None = None) -> list[Call]:
        """List the requests of one method, of one channel if given."""
        channel_id = self.channel(channel).id if channel else None
        return [call for call in self.calls if call.method == method and channel_id in {None, call.channel}]

    @property
    def webhook_messages(self) -> list[Message]:
        """List what came by the incoming webhook."""
        with self.world.condition:
            return list(self._api.webhook_messages)

    @property
    def connections(self) -> int:
        """Count the app's open Socket Mode connections."""
        return len(self.deliveries.sockets.connections)

    def transcript(self, channel: str | None = None) -> str:
        """Draw what stands in a channel, or in all that are not empty."""
        with self.world.condition:
            if channel is not None:
                ids = [self.channel(channel).id]
            else:
                ids = [each for each in self.world.channels if self.world.messages(each)]
            return transcript(self.world, ids) or "(nothing was posted)"

    # --- waiting

    def wait_for(self, predicate: Callable[[], T], timeout: float = 30.0, channel: str | None = None) -> T:
        """Wait until the predicate is true and return what it returned; a time-out shows what stands in the channels."""
        deadline = time.monotonic() + timeout
        while True:
            seen = self.world.changes
            # Without the lock: the predicate may type a command, which needs the server's thread.
            if found := predicate():
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                calls = "\n".join(f"  {call.method}: {call.outcome}" for call in self.calls[-10:])
                shown = f"{self.transcript(channel)}\nlast calls:\n{calls or '  (none)'}"
                raise AssertionError(f"not true within {timeout:g} s; there is\n{shown}")
            with self.world.condition:
                if self.world.changes == seen:
                    # Woken at each change; looks again now and then, as the predicate may look elsewhere, too.
                    self.world.condition.wait(min(left, 0.2))

    def wait_for_connection(self, count: int = 1, timeout: float = 30.0) -> None:
        """Wait until the app has so many Socket Mode connections."""
        self.wait_for(lambda: self.connections >= count, timeout)

    # --- what befalls the workspace

    def add_channel(self, name: str, *, is_private: bool = False, bot_is_member: bool = True) -> Channel:
        """Create a channel."""
        return self.world.add_channel(name, is_private=is_private, bot_is_member=bot_is_member)

    def delete_channel(self, channel: str) -> None:
        """Delete a channel for good."""
        self.world.remove_channel(self.channel(channel))

    def archive(self, channel: str, *, archived: bool = True) -> None:
        """Archive a channel, or bring it back."""
        self.world.save_channel(replace(self.channel(channel), is_archived=archived))

    def remove_bot(self, channel: str) -> None:
        """Take the app out of a channel."""
        found = self.channel(channel)
        self.world.save_channel(replace(found, members=found.members - {BOT_USER_ID}))

    def invite_bot(self, channel: str) -> None:
        """Invite the app to a channel."""
        found = self.channel(channel)
        self.world.save_channel(replace(found, members=found.members | {BOT_USER_ID}))

    def revoke_token(self, error: str = "token_revoked") -> None:
        """Refuse the bot token from now on."""
        self.installation.bot_token_error = error

    def refuse_app_token(self, error: str = "invalid_auth") -> None:
        """Refuse new Socket Mode connections from now on."""
        self.installation.app_token_error = error

    def restore_token(self) -> None:
        """Accept both tokens again."""
        self.installation.bot_token_error = self.installation.app_token_error = None

    def grant_scopes(self, scopes: Collection[str]) -> None:
        """Replace the scopes that the app was granted."""
        self.installation.scopes = frozenset(scopes)

    def fault(
        self,
        kind: FaultKind | str,
        method: str = "*",
        *,
        channel: str | None = None,
        times: int | None = 1,
        **more: Any,
    ) -> Fault:
        """Make the next calls go wrong; `more` is status, retry_after, error, details or seconds (see Fault)."""
        channel_id = self.channel(channel).id if channel else None
        return self.faults.add(Fault(FaultKind(kind), method, channel_id, times, **more))

    def clear_faults(self, fault: Fault | None = None) -> None:
        """Take a fault away, or all of them; calls that are held go on."""
        self.faults.clear(fault)

    def delete_message(self, message: Message) -> None:
        """Delete a message as a user does."""
        with self.world.changing():
            present = self.message(message.channel, message.ts)
            self.world.save_message(replace(present, deleted=True), ChangeKind.DELETED)
