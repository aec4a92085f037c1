"""What the look-alike's workspace is made of; frozen records, given to apps as the Web API gives them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

JsonObject = dict[str, Any]

TEAM_ID = "T0ACME0001"
APP_ID = "A0ALERTBOT"
BOT_ID = "B0ALERTBOT"
BOT_USER_ID = "U0ALERTBOT"


class SlackError(Exception):
    """A Web API call that is answered `ok: false`."""

    def __init__(self, error: str, **details: object) -> None:
        super().__init__(error)
        self.error = error
        self.details = details


@dataclass(frozen=True, slots=True)
class User:
    """Somebody in the workspace."""

    id: str
    name: str
    real_name: str
    timezone: str = "UTC"
    is_bot: bool = False

    @property
    def email(self) -> str:
        """Return the address that users.lookupByEmail finds."""
        return f"{self.name}@acme.example"

    def as_json(self, at: float) -> JsonObject:
        """Give the user as users.info does, with the time zone's offset at a time."""
        zone = ZoneInfo(self.timezone)
        offset = zone.utcoffset(datetime.fromtimestamp(at, UTC).astimezone(zone).replace(tzinfo=None))
        return {
            "id": self.id,
            "team_id": TEAM_ID,
            "name": self.name,
            "deleted": False,
            "real_name": self.real_name,
            "tz": self.timezone,
            "tz_label": self.timezone,
            "tz_offset": int(offset.total_seconds()) if offset else 0,
            "profile": {"real_name": self.real_name, "display_name": self.name, "email": self.email},
            "is_admin": False,
            "is_bot": self.is_bot,
            "is_app_user": False,
        }


@dataclass(frozen=True, slots=True)
class UserGroup:
    """A group of users that can be mentioned."""

    id: str
    handle: str
    name: str
    users: tuple[str, ...]

    def as_json(self) -> JsonObject:
        """Give the group as usergroups.list does."""
        return {
            "id": self.id,
            "team_id": TEAM_ID,
            "is_usergroup": True,
            "name": self.name,
            "handle": self.handle,
            "description": "",
            "date_delete": 0,
            "user_count": len(self.users),
            "users": list(self.users),
        }


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, or the direct messages between the app and one user."""

    id: str
    name: str
    members: frozenset[str]
    created: int = 0
    is_private: bool = False
    is_archived: bool = False
    with_user: str | None = None

    @property
    def bot_is_member(self) -> bool:
        """Tell whether the app was invited."""
        return BOT_USER_ID in self.members

    def as_json(self) -> JsonObject:
        """Give the channel as conversations.info does."""
        if self.with_user is not None:
            return {"id": self.id, "created": self.created, "is_im": True, "user": self.with_user, "is_open": True}
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "created": self.created,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_general": False,
            "is_member": self.bot_is_member,
            "num_members": len(self.members),
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
        }


@dataclass(frozen=True, slots=True)
class Version:
    """What a message said until `until`."""

    text: str
    blocks: list[JsonObject]
    attachments: list[JsonObject]
    metadata: JsonObject | None
    until: float


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it stands, with every earlier version of it."""

    channel: str
    ts: str
    user: str
    text: str = ""
    blocks: list[JsonObject] = field(default_factory=list)
    attachments: list[JsonObject] = field(default_factory=list)
    metadata: JsonObject | None = None
    thread_ts: str | None = None
    reply_broadcast: bool = False
    visible_to: str | None = None
    files: tuple[str, ...] = ()
    reactions: tuple[str, ...] = ()
    edits: tuple[Version, ...] = ()
    edited_at: float | None = None
    deleted: bool = False
    by_webhook: bool = False

    @property
    def is_reply(self) -> bool:
        """Tell whether it stands in a thread, not at its head."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def all_blocks(self) -> list[JsonObject]:
        """List the blocks of the message and then those of its attachments."""
        return [*self.blocks, *(block for each in self.attachments for block in each.get("blocks") or [])]


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file on its way from an upload URL to a place where it is shown."""

    id: str
    name: str
    length: int
    ticket: str
    created: int
    alt_text: str = ""
    title: str = ""
    content: bytes | None = None
    completed: bool = False
    # Slack works on a completed file for a while: until then it has no type and no shares.
    mimetype: str = ""
    shares: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A modal or a Home tab as somebody sees it."""

    id: str
    user: str
    content: JsonObject
    hash: str
    root_id: str
    previous_id: str | None = None
    open: bool = True
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_modal(self) -> bool:
        """Tell a modal from a Home tab."""
        return self.content.get("type") == "modal"

    @property
    def blocks(self) -> list[JsonObject]:
        """List the view's blocks."""
        return list(self.content.get("blocks") or [])


class ChangeKind(StrEnum):
    """What happened to the workspace."""

    POSTED = "posted"
    EDITED = "edited"
    DELETED = "deleted"
    CHANNEL = "channel"
    MODAL = "modal"
    HOME = "home"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Change:
    """One change, with the message, channel or view as it is afterwards."""

    kind: ChangeKind
    channel: Channel | None = None
    message: Message | None = None
    view: View | None = None
    file: UploadedFile | None = None
    user: str | None = None
