"""A Slack that remembers what it was told, and fails when a test says so."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from alertbot.domain.alerts import State
from alertbot.domain.notifications import AlertMessage, MessageRef, Notification
from alertbot.errors import SlackError, SlackGone

SAYING = ("post", "edit", "reply", "say", "attach")


class KilledError(BaseException):
    """The process is gone: nothing that it was about to do happens any more."""


@dataclass
class Message:
    """One message as the channel shows it now. `notice` is the number that it was posted with."""

    place: MessageRef
    notification: int
    text: str
    mention: tuple[str, ...] = ()
    thread: str = ""
    edits: list[datetime] = field(default_factory=list)
    alert_message: AlertMessage | None = None


@dataclass
class Fault:
    """What goes wrong with the next calls of some methods; `arrived` says that Slack acted on them nevertheless."""

    error: BaseException
    methods: Iterable[str]
    channel: str
    times: int
    arrived: bool


class FakeSlack:
    """A Sender. `calls` are the attempts in their order, `messages` what stands in the channels."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.messages: list[Message] = []
        self.files: list[tuple[MessageRef, str, str]] = []
        self._faults: list[Fault] = []
        self._deleted: set[str] = set()
        self._clock = count(1_700_000_000)  # several threads may post at the same time

    # --- what a test says and asks

    def fail(
        self,
        error: BaseException,
        *methods: str,
        channel: str = "",
        times: int = 1_000_000,
        arrived: bool = False,
    ) -> None:
        """Raise this from now on, so many times; in one channel only if it is named."""
        self._faults.append(Fault(error, methods or SAYING, channel, times, arrived))

    def mend(self) -> None:
        self._faults.clear()

    def delete(self, place: MessageRef) -> None:
        """Somebody deletes a message by hand."""
        self._deleted.add(place.ts)

    def posted(self, channel: str = "") -> list[Message]:
        """What stands in the channel itself, and is not deleted."""
        return [message for message in self._standing(channel) if not message.thread]

    def thread(self, message: Message) -> list[str]:
        """What stands below a message."""
        return [reply.text for reply in self._standing("") if reply.thread == message.place.ts]

    @property
    def only(self) -> Message:
        """The one message that stands anywhere."""
        (message,) = self.posted()
        return message

    def _standing(self, channel: str) -> Iterator[Message]:
        for message in self.messages:
            if message.place.ts not in self._deleted and channel in {"", message.place.channel[1:]}:
                yield message

    # --- what a Sender does

    def post(
        self, channel: str, alert_message: AlertMessage, *, notification: int, mention: Iterable[str]
    ) -> MessageRef:
        place = self._new_place(channel)
        message = Message(place, notification, describe(alert_message), tuple(mention), alert_message=alert_message)
        self._do("post", place.channel, lambda: self.messages.append(message))
        return place

    def edit(self, place: MessageRef, alert_message: AlertMessage) -> None:
        def edit() -> None:
            message = self._find(place)
            message.text, message.alert_message = describe(alert_message), alert_message
            message.edits.append(alert_message.shown_at)

        self._do("edit", place.channel, edit)

    def reply(self, place: MessageRef, notification: Notification, *, number: int) -> MessageRef:
        own = self._new_place(place.channel[1:])
        reply = Message(own, number, _line(notification), notification.mention, thread=place.ts)

        def answer() -> None:
            self._find(place)
            self.messages.append(reply)

        self._do("reply", place.channel, answer)
        return own

    def say(self, channel: str, notification: Notification, *, number: int) -> MessageRef:
        place = self._new_place(channel)
        message = Message(place, number, _line(notification), notification.mention)
        self._do("say", place.channel, lambda: self.messages.append(message))
        return place

    def find(self, channel: str, *, notification: int, since: datetime, thread: MessageRef | None) -> MessageRef | None:
        named = channel if channel.startswith("C") else f"C{channel}"
        self._do("find", named, lambda: None)
        where = thread.ts if thread else ""
        found = (
            message.place
            for message in self._standing(named[1:])
            if message.notification == notification and where in {message.thread, message.place.ts if where else ""}
        )
        return next(found, None)

    def attach(self, place: MessageRef, *, name: str, text: str) -> None:
        self._do("attach", place.channel, lambda: self.files.append((place, name, text)))

    def permalink(self, place: MessageRef) -> str:
        self._do("permalink", place.channel, lambda: None)
        return f"https://slack.example/{place.channel}/{place.ts}"

    def _new_place(self, channel: str) -> MessageRef:
        # As Slack does it: the answer names the channel by an id, also where it was called by its name.
        return MessageRef(channel if channel.startswith("C") else f"C{channel}", f"{next(self._clock)}.000100")

    def _find(self, place: MessageRef) -> Message:
        found = [message for message in self._standing("") if message.place == place]
        if not found:
            raise SlackGone("chat.update: message_not_found", code="message_not_found")
        return found[0]

    def _do(self, method: str, channel: str, happen) -> None:
        self.calls.append(f"{method} {channel[1:]}")
        for fault in self._faults:
            if method in fault.methods and fault.channel in {"", channel[1:]} and fault.times:
                fault.times -= 1
                if fault.arrived:
                    happen()
                raise fault.error
        happen()


class FakeProbes:
    """Probes whose answers a test sets."""

    def __init__(self) -> None:
        self.unhealthy = ""
        self.old_gauges = ""
        self.reasons: dict[str, dict[str, str]] = {}

    def unhealthy_reasons(self) -> str:
        return self.unhealthy

    def not_ready_reasons(self, exclude: Collection[str] = ()) -> dict[str, str]:
        return {
            name: text for check, texts in self.reasons.items() if check not in exclude for name, text in texts.items()
        }

    def why_gauges_are_old(self) -> str:
        return self.old_gauges


def describe(alert_message: AlertMessage) -> str:
    """A message in words: `G1: A1 firing warning 9, A2 resolved`."""
    return f"G{alert_message.group.number}: " + ", ".join(_described(alert_message))


def _described(alert_message: AlertMessage) -> Iterator[str]:
    for alert in alert_message.alerts:
        state = "acknowledged" if alert.acknowledged_at and alert.state is State.FIRING else alert.state.value
        shown = f" {alert.severity} {alert.value}" if alert.state is State.FIRING else ""
        yield f"A{alert.number} {state}{shown}"


def _line(notification: Notification) -> str:
    people = " ".join(notification.people)
    return f"{notification.kind}: {' | '.join(notification.lines)}".replace("{0}", people)


def refusal(kind: type[SlackError], code: str, **more: float) -> SlackError:
    """An error as Slack's answer would be translated: `refusal(SlackBusy, "ratelimited", retry_after=30)`."""
    return kind(f"chat.postMessage: {code}", code=code, **more)
