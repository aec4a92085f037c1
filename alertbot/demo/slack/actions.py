"""What people do in the look-alike: type a command, click, submit a modal, look at Home, say something."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from alertbot.demo.slack import payloads
from alertbot.demo.slack.calls import Context, thread_of
from alertbot.demo.slack.deliveries import Deliveries, Delivery, DeliveryKind, new_delivery
from alertbot.demo.slack.records import BOT_USER_ID, Channel, JsonObject, Message, User, View
from alertbot.demo.slack.views import close_modal


class Acts:
    """Acts of people, each brought to the app. Runs on the server's event loop; LookupError names what is not there."""

    def __init__(
        self, context: Context, deliveries: Deliveries, commands: tuple[str, ...], usage_hint: str = ""
    ) -> None:
        self._context = context
        self._world = context.world
        self._deliveries = deliveries
        self.commands = commands
        self.usage_hint = usage_hint

    def user(self, reference: str) -> User:
        """Find a user by id or name."""
        for user in self._world.users.values():
            if reference.removeprefix("@") in {user.id, user.name}:
                return user
        raise LookupError(f"nobody is called {reference}")

    def channel(self, reference: str) -> Channel:
        """Find a channel by id or name."""
        channel = self._world.find_channel(reference)
        if channel is None:
            raise LookupError(f"there is no channel {reference}")
        return channel

    async def command(self, text: str, user_id: str, channel_reference: str) -> Delivery:
        """Type a slash command in a channel."""
        user, channel = self.user(user_id), self.channel(channel_reference)
        name, _, rest = text.strip().partition(" ")
        if name not in self.commands:
            raise LookupError(f"{name} is not a command of the app; it has {', '.join(self.commands)}")
        delivery = self._replyable(DeliveryKind.COMMAND, user, channel=channel)
        form = payloads.command(user, channel, name, rest.strip(), self._reply_to(delivery, "commands"))
        form["text"] = payloads.escape_typed(form["text"], self._world)
        delivery.payload = form
        return await self._deliveries.deliver(delivery)

    async def click(
        self,
        place: Message | View,
        action_id: str,
        user_id: str,
        *,
        value: Any = None,
        block_id: str | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Delivery:
        """Use a button or menu in a message or view; `value` is what is chosen in a menu."""
        user = self.user(user_id)
        blocks = place.all_blocks if isinstance(place, Message) else place.blocks
        block, element = payloads.find_element(blocks, action_id, value, block_id)
        action = payloads.action_of(block, element, value, f"{self._world.clock():.6f}")
        given = {**(state or {}), **({action_id: value} if value is not None else {})}
        values = payloads.escape_fields(payloads.state_values(blocks, given))
        if isinstance(place, View):
            delivery = new_delivery(self._context, DeliveryKind.INTERACTIVE, {}, user.id, view=place)
            trigger_id = self._context.new_trigger(user.id, place.id)
            delivery.payload = payloads.click_in_view(user, place, action, values, trigger_id)
        else:
            channel = self._world.channels[place.channel]
            delivery = self._replyable(DeliveryKind.INTERACTIVE, user, channel=channel, message=place)
            reply = self._reply_to(delivery, "actions")
            delivery.payload = payloads.click_on_message(
                self._world, user, place, action=action, values=values, reply=reply
            )
        return await self._deliveries.deliver(delivery)

    async def submit(self, view: View, user_id: str, given: Mapping[str, Any]) -> Delivery:
        """Submit a modal; values are given by action id or block id, the others are as they were shown."""
        user = self.user(user_id)
        values = payloads.state_values(view.blocks, given)
        payload = payloads.view_submission(
            user, view, payloads.escape_fields(values), self._context.new_trigger(user.id, view.id)
        )
        delivery = new_delivery(self._context, DeliveryKind.INTERACTIVE, payload, user.id, view=view)
        missing = payloads.missing_inputs(view.blocks, values)
        if missing:
            # Slack's client asks for these itself; the app never hears of it.
            self._world.save_view(replace(view, errors=missing))
            delivery.problem = f"incomplete: {missing}"
            return delivery
        return await self._deliveries.deliver(delivery)

    async def close(self, view: View, user_id: str) -> Delivery | None:
        """Close a modal; the app hears of it when it asked to."""
        user = self.user(user_id)
        close_modal(self._world, view, whole_stack=bool(view.content.get("clear_on_close")))
        if not view.content.get("notify_on_close"):
            return None
        payload = payloads.view_closed(user, view)
        delivery = new_delivery(self._context, DeliveryKind.INTERACTIVE, payload, user.id, view=view)
        return await self._deliveries.deliver(delivery)

    async def open_home(self, user_id: str) -> Delivery:
        """Look at the app's Home."""
        user = self.user(user_id)
        channel = self._world.direct_messages(user.id)
        event_ts = self._world.new_ts(channel.id)
        payload = payloads.home_opened(self._world, user, event_ts, self._world.new_id)
        return await self._deliveries.deliver(new_delivery(self._context, DeliveryKind.EVENT, payload, user.id))

    async def say(
        self, text: str, user_id: str, channel_reference: str, thread_ts: str | None = None
    ) -> tuple[Message, Delivery | None]:
        """Post as a user; the app hears of it when it is mentioned or written to directly."""
        user, channel = self.user(user_id), self.channel(channel_reference)
        with self._world.changing():
            head = thread_of(self._world, channel, thread_ts or "")
            ts = self._world.new_ts(channel.id)
            message = self._world.post(Message(channel.id, ts, user.id, text=text, thread_ts=head))
        kind = "message" if channel.with_user else "app_mention" if f"<@{BOT_USER_ID}>" in text else None
        if kind is None:
            return message, None
        event: JsonObject = {
            "type": kind,
            "user": user.id,
            "text": text,
            "ts": ts,
            "channel": channel.id,
            "event_ts": ts,
            **({"channel_type": "im"} if kind == "message" else {}),
            **({"thread_ts": head} if head else {}),
        }
        return message, await self.send_event(event, user.id)

    async def send_event(self, event: JsonObject, user_id: str = "") -> Delivery:
        """Bring any event to the app."""
        payload = payloads.event_callback(event, self._world.new_id("Ev"), self._world.clock())
        return await self._deliveries.deliver(new_delivery(self._context, DeliveryKind.EVENT, payload, user_id))

    def _replyable(self, kind: DeliveryKind, user: User, **about: Any) -> Delivery:
        delivery = new_delivery(self._context, kind, {}, user.id, **about)
        delivery.response_path = delivery.id
        return delivery

    def _reply_to(self, delivery: Delivery, kind: str) -> dict[str, str]:
        return {
            "response_url": f"{self._world.base_url}/{kind}/{delivery.response_path}",
            "trigger_id": self._context.new_trigger(delivery.user),
        }
