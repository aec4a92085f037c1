"""A local look-alike of Slack: real HTTP, real Socket Mode, and a page on which people read and click.

`with SlackServer() as slack:` gives an app everything that it needs to believe in Slack, and tests everything that
happened there. All functions may be called from any thread.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

from alertbot.demo.slack.actions import Acts
from alertbot.demo.slack.calls import ALL_SCOPES, Context, Installation
from alertbot.demo.slack.control import Control
from alertbot.demo.slack.deliveries import Deliveries, Delivery
from alertbot.demo.slack.faults import Faults, RateLimits
from alertbot.demo.slack.http import MOST_BYTES, ApiSide, log_failures
from alertbot.demo.slack.page import Page
from alertbot.demo.slack.records import BOT_USER_ID, Change, JsonObject, Message, User, UserGroup, View
from alertbot.demo.slack.workspace import Workspace
from alertbot.demo.slack.world import World

T = TypeVar("T")

CHANNELS = ("ai-alerts", "ai-alerts-fallback", "ai-oncall", "leads")
USERS = (
    User("U1", "ana", "Ana Torres", "Europe/Madrid"),
    User("U2", "ben", "Ben Okafor", "America/New_York"),
    User("U3", "chen", "Chen Wei", "Asia/Singapore"),
)
GROUPS = (UserGroup("S0123TEAM", "ai-team", "AI team", ("U1", "U2")),)
WEBHOOK_PATH = "/services/T0ACME0001/B0WEBHOOK1/operator"


class SlackServer(Workspace):
    """A workspace on a loopback port, with one app installed in it."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        channels: Sequence[str] = CHANNELS,
        users: Sequence[User] = USERS,
        groups: Sequence[UserGroup] = GROUPS,
        scopes: Collection[str] = ALL_SCOPES,
        commands: Sequence[str] = ("/alertbot",),
        usage_hint: str = "[what to look up or do]",
        installation: Installation | None = None,
        http_target: str | None = None,
        auto_create_channels: bool = False,
        enforce_rate_limits: bool = False,
        webhook_channel: str = "#ai-alerts-fallback",
        ack_seconds: float = 3.0,
        file_seconds: float = 0.05,
        trigger_seconds: float = 3.0,
        clock: Callable[[], float] = time.time,
        page: bool = True,
    ) -> None:
        self.world = World(clock=clock, auto_create_channels=auto_create_channels)
        self.installation = installation or Installation()
        self.installation.scopes = frozenset(scopes)
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slack-look-alike", daemon=True)
        self._changes: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._callbacks: list[Callable[[Change], None]] = []
        self._teller = threading.Thread(target=self._tell, name="slack-look-alike-changes", daemon=True)
        self._runner: web.AppRunner | None = None
        self.context = Context(
            self.world,
            self.installation,
            open_socket=self._new_socket_address,
            later=self._call_later,
            trigger_seconds=trigger_seconds,
            file_seconds=file_seconds,
        )
        self.faults = Faults()
        self.deliveries = Deliveries(self.context, http_target, ack_seconds)
        self.acts = Acts(self.context, self.deliveries, tuple(commands), usage_hint)
        self._api = ApiSide(
            self.context,
            self.deliveries,
            self.faults,
            limits=RateLimits(clock) if enforce_rate_limits else None,
            webhook_channel=webhook_channel,
            webhook_path=WEBHOOK_PATH,
        )
        self._page = Page(self.world, self.acts, self._loop) if page else None
        self._control = Control(self)
        self._furnish(channels, users, groups)

    def _furnish(self, channels: Sequence[str], users: Sequence[User], groups: Sequence[UserGroup]) -> None:
        bot = User(BOT_USER_ID, "alertbot", "alertbot", is_bot=True)
        self.world.users = {user.id: user for user in (*users, bot)}
        self.world.groups = {group.id: group for group in groups}
        for name in channels:
            self.world.add_channel(name)

    # --- life

    def start(self) -> Self:
        """Begin to listen, and return when the server answers."""
        self._thread.start()
        self._teller.start()
        self.world.listeners.append(self._changes.put)
        if self._page is not None:
            self.world.listeners.append(self._page.tell)
        try:
            self._run(self._serve())
        except OSError:
            # The port is taken: leave no thread behind.
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close every connection and stop."""
        if not self._thread.is_alive():
            return
        self.faults.clear()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._changes.put(None)
        if threading.current_thread() is not self._teller:
            self._teller.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[log_failures])
        self._api.add_routes(app)
        self._control.add_routes(app)
        if self._page is not None:
            self._page.add_routes(app)
        self.deliveries.session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.world.base_url = f"http://{self._host}:{port}"

    async def _close(self) -> None:
        if self._page is not None:
            self._page.close()
        await self.deliveries.sockets.close()
        if self.deliveries.session is not None:
            await self.deliveries.session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _call_later(self, seconds: float, act: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, act)

    def _new_socket_address(self) -> str:
        return self.deliveries.sockets.new_address(self.url)

    # --- addresses and secrets

    @property
    def url(self) -> str:
        """Return the address of the server, without a slash at its end."""
        return self.world.base_url

    @property
    def api_url(self) -> str:
        """Return the base address of the Web API."""
        return f"{self.url}/api/"

    @property
    def page_url(self) -> str:
        """Return the address of the page for people."""
        return f"{self.url}/"

    @property
    def webhook_url(self) -> str:
        """Return the address of the incoming webhook."""
        return f"{self.url}{WEBHOOK_PATH}"

    @property
    def bot_token(self) -> str:
        """Return the bot token that is accepted."""
        return self.installation.bot_token

    @property
    def app_token(self) -> str:
        """Return the app-level token that is accepted."""
        return self.installation.app_token

    @property
    def signing_secret(self) -> str:
        """Return the secret that HTTP deliveries are signed with."""
        return self.installation.signing_secret

    # --- hearing

    def on_change(self, callback: Callable[[Change], None]) -> None:
        """Have a function called with each change, in order, one at a time, from a thread of its own."""
        self._callbacks.append(callback)

    def _tell(self) -> None:
        while (change := self._changes.get()) is not None:
            for callback in list(self._callbacks):
                callback(change)

    # --- what people do

    def command(self, text: str, user: str = "U1", channel: str = "#ai-alerts") -> Delivery:
        """Type a slash command, and wait for its acknowledgement; see `answers`."""
        return self._run(self.acts.command(text, user, channel))

    def click(
        self,
        place: Message | View,
        action_id: str,
        user: str = "U1",
        *,
        value: Any = None,
        block_id: str | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Delivery:
        """Use a button or menu, and wait for the acknowledgement; `value` is what is chosen in a menu."""
        return self._run(self.acts.click(place, action_id, user, value=value, block_id=block_id, state=state))

    def submit_view(self, view: View, values: Mapping[str, Any] | None = None, user: str | None = None) -> Delivery:
        """Submit a modal with values by action id or block id, and wait for the acknowledgement."""
        return self._run(self.acts.submit(view, user or view.user, values or {}))

    def close_view(self, view: View, user: str | None = None) -> Delivery | None:
        """Close a modal."""
        return self._run(self.acts.close(view, user or view.user))

    def open_home(self, user: str = "U1") -> Delivery:
        """Look at the app's Home; see `home`."""
        return self._run(self.acts.open_home(user))

    def say(
        self, text: str, user: str = "U1", channel: str = "#ai-alerts", thread_ts: str | None = None
    ) -> tuple[Message, Delivery | None]:
        """Post as a user."""
        return self._run(self.acts.say(text, user, channel, thread_ts))

    def send_event(self, event: JsonObject, user: str = "") -> Delivery:
        """Bring any event to the app."""
        return self._run(self.acts.send_event(event, user))

    def redeliver(self, delivery: Delivery) -> Delivery:
        """Bring the same thing once more, with the same envelope id."""
        return self._run(self.deliveries.deliver(delivery))

    def deliver_to(self, url: str | None) -> None:
        """Deliver by signed HTTP to an address from now on; None for Socket Mode."""
        self.deliveries.target = url

    def disconnect(self, reason: str = "refresh_requested", *, close: bool = False) -> int:
        """Send all connections a disconnect frame, and close them if asked; returns how many there were."""
        return self._run(self.deliveries.sockets.disconnect(reason, close=close))

    def cut_connections(self) -> None:
        """Break all Socket Mode connections without a close frame."""
        self._loop.call_soon_threadsafe(self.deliveries.sockets.cut)
