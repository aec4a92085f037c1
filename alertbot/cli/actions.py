"""Commands that do what buttons do in Slack: acknowledge, snooze, assign, comment, silence."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from alertbot.cli.base import (
    Duration,
    Number,
    as_json_flag,
    by_whom,
    legible,
    main,
    now_of,
    open_console,
    open_stored,
    print_json,
)
from alertbot.errors import AlertbotError

if TYPE_CHECKING:
    from alertbot.domain.alerts import ActionType


_DAY = timedelta(days=1)


def _act(
    ctx: click.Context, target: str, kind: "ActionType", who: str, *, text: str = "", window: timedelta | None = None
) -> None:
    from alertbot.cli.output import show_acted
    from alertbot.domain.alerts import Action
    from alertbot.flows import alert_actions

    _, database = open_stored(ctx)
    now = now_of(database)
    action = Action(
        kind,
        who,
        now,
        key=f"cli {os.getpid()} {now.isoformat()}",
        text=legible(text),
        until=now + window if window else None,
    )
    result = alert_actions.act(database, alert_actions.find(database, target), action)
    show_acted(open_console(), result)
    if not result.done:
        ctx.exit(1)


@main.command()
@click.argument("id_", metavar="ID")
@by_whom
@click.pass_context
def ack(ctx: click.Context, id_: str, by: str) -> None:
    """Acknowledge an alert (A42) or all of a message (G17)."""
    from alertbot.domain.alerts import ActionType

    _act(ctx, id_, ActionType.ACKNOWLEDGE, by)


@main.command()
@click.argument("id_", metavar="ID")
@by_whom
@click.pass_context
def unack(ctx: click.Context, id_: str, by: str) -> None:
    """Undo an acknowledgement."""
    from alertbot.domain.alerts import ActionType

    _act(ctx, id_, ActionType.UNACKNOWLEDGE, by)


@main.command()
@click.argument("id_", metavar="ID")
@click.argument("duration", type=Duration())
@by_whom
@click.pass_context
def snooze(ctx: click.Context, id_: str, duration: timedelta, by: str) -> None:
    """Snooze an alert: no notifications for up to a day."""
    from alertbot.domain.alerts import ActionType

    if not timedelta(0) < duration <= _DAY:
        raise click.BadParameter("a snooze lasts up to a day", ctx)
    _act(ctx, id_, ActionType.SNOOZE, by, window=duration)


@main.command()
@click.argument("id_", metavar="ID")
@click.argument("user")
@by_whom
@click.pass_context
def assign(ctx: click.Context, id_: str, user: str, by: str) -> None:
    """Assign an alert to USER."""
    from alertbot.domain.alerts import ActionType

    _act(ctx, id_, ActionType.ASSIGN, by, text=user)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("id_", metavar="ID")
@click.argument("text", nargs=-1, required=True)
@by_whom
@click.pass_context
def comment(ctx: click.Context, id_: str, text: tuple[str, ...], by: str) -> None:
    """Comment in the thread of an alert."""
    from alertbot.domain.alerts import ActionType

    _act(ctx, id_, ActionType.COMMENT, by, text=" ".join(text))


@main.group()
def silence() -> None:
    """Mute alerts with silences. Muted alerts are still evaluated and recorded, but no notifications are sent."""


@silence.command("add", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, metavar="MATCHERS DURATION [COMMENT]")
@by_whom
@click.pass_context
def silence_add(ctx: click.Context, words: tuple[str, ...], by: str) -> None:
    """Mute alerts that match MATCHERS, for DURATION. For example rule=violation-burst "ai_llm=support *" 2h; `all` alone matches everything."""
    from alertbot.app.wiring import book_of, intervals_of
    from alertbot.cli.output import show_silences
    from alertbot.domain.silences import parse_silence
    from alertbot.flows import alert_actions
    from alertbot.queries.silence_preview import preview_silence

    try:
        request = parse_silence([legible(word) for word in words])
    except ValueError as error:
        raise AlertbotError(str(error)) from error
    config, database = open_stored(ctx)
    now = now_of(database)
    new_silence = alert_actions.add_silence(database, request, author=by, now=now)
    show_silences(open_console(), [new_silence])
    rules = book_of(config).rules_in(database)
    preview = preview_silence(database, new_silence.matchers, rules=rules, intervals=intervals_of(config), now=now)
    click.echo(preview.sentence, err=preview.matches_nothing)


@silence.command("list")
@as_json_flag
@click.pass_context
def silence_list(ctx: click.Context, *, as_json: bool) -> None:
    """List active and upcoming silences."""
    from alertbot.cli.output import show_silences
    from alertbot.domain.reports import silence_json
    from alertbot.flows import alert_actions

    _, database = open_stored(ctx)
    silences = alert_actions.list_silences(database, now=now_of(database))
    if as_json:
        print_json([silence_json(silence) for silence in silences])
    else:
        show_silences(open_console(), silences)


@silence.command("end")
@click.argument("number", type=Number())
@by_whom
@click.pass_context
def silence_end(ctx: click.Context, number: int, by: str) -> None:
    """End a silence early."""
    from alertbot.flows import alert_actions

    _, database = open_stored(ctx)
    alert_actions.end_silence(database, number, by=by, now=now_of(database))
    click.echo(f"silence {number} has ended")
