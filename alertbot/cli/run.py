"""Commands that run the bot, or a part of it, and those that set it up."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from alertbot.cli.base import Since, as_json_flag, load_config, main, open_console, print_json
from alertbot.errors import AlertbotError, ConfigError

if TYPE_CHECKING:
    from alertbot.app.bot import Bot, Role
    from alertbot.cli.preflight import Line
    from alertbot.config import Config


_MARKS = {True: "ok    ", False: "fault ", None: "note  "}  # of what `check` says


@main.command()
@click.option("--only", type=click.Choice(["collector", "slack"]), help="Run one half of the bot in this process.")
@click.option("--dry-run", is_flag=True, help="Do everything without Slack: print the notifications.")
@click.option("--no-migrate", is_flag=True, help="Do not bring the database's schema up to date first.")
@click.pass_context
def run(ctx: click.Context, only: str | None, *, dry_run: bool, no_migrate: bool) -> None:
    """Collect, evaluate, deliver and answer in Slack, until stopped."""
    from alertbot.app.bot import Bot, Role, run_until_stopped
    from alertbot.app.wiring import require_countable
    from alertbot.config import Need

    role = {"collector": Role.WORKER, "slack": Role.SLACK, None: Role.ALL}[only]
    if dry_run:
        _run_dry(ctx, role)
        return
    config = load_config(ctx, Need.DATABASE, Need.SOURCES)
    require_countable(*config.rules)
    missing = config.slack.missing_tokens[: 1 if only == "collector" else 2]
    if only == "collector":
        missing = tuple(name for name in missing if name == "SLACK_BOT_TOKEN")
    if missing:
        raise AlertbotError(f"Slack tokens are missing: set {' and '.join(missing)}, or use --dry-run")
    _begin_log(config, config.notes)
    bot = Bot(config, role=role, with_migrations=not no_migrate)
    run_until_stopped(bot, introduce=lambda: _introduce(config, bot))


def _begin_log(config: "Config", notes: Iterable[str]) -> None:
    """Configure the log, and log the notes on the configuration."""
    import structlog

    from alertbot.logs import configure

    configure(form=config.log.format, level=config.log.level)
    log = structlog.get_logger("alertbot")
    for note in notes:
        log.info("configuration_note", note=note)


def _introduce(config: "Config", bot: "Bot") -> bool:
    """Print or log once what the bot is connected to; False if that is not known yet."""
    import structlog

    from alertbot.logs import is_for_people

    introduction = bot.introduction()
    if introduction is None:
        return False
    if is_for_people(config.log.format):
        click.echo(str(introduction), err=True)
    else:
        log = structlog.get_logger("alertbot")
        log.info("connected", **asdict(introduction))
    return True


def _run_dry(ctx: click.Context, role: "Role") -> None:
    """Run on a temporary database: what is printed here must still be sent by the real bot."""
    import tempfile

    from alertbot.app.bot import Bot, run_until_stopped
    from alertbot.app.wiring import require_countable, without_refresh_tokens
    from alertbot.cli.output import PrintingSender
    from alertbot.config import Need

    with tempfile.TemporaryDirectory(prefix="alertbot-dry-run-") as folder:
        elsewhere = {**os.environ, "ALERTBOT_DATABASE__URL": f"sqlite:///{folder}/dry-run.db"}
        config = load_config(ctx, Need.DATABASE, Need.SOURCES, environ=elsewhere)
        require_countable(*config.rules)
        config = without_refresh_tokens(config)
        _begin_log(
            config, (*config.notes, "dry run: counting begins now, in a temporary database that is deleted at the end")
        )
        run_until_stopped(Bot(config, role=role, sender=PrintingSender(open_console()), listens=False))


@main.command()
@click.option(
    "--speed", type=click.FloatRange(min=1, max=3600), default=60.0, show_default=True, help="60: an hour a minute."
)
@click.option("--seconds", type=click.FloatRange(min=1), help="Stop after this many seconds.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same traffic.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The page's port; default: any that is free.")
@click.option("--scenario", default="burst", show_default=True, help="Or storm, budget, outage, quiet-night.")
@click.option("--no-page", is_flag=True, help="Do not serve the page.")
def demo(*, speed: float, seconds: float | None, seed: int, port: int, scenario: str, no_page: bool) -> None:
    """Show the bot at work between simulated services. They run on this machine: no account, no token, no network."""
    try:
        from alertbot.demo.runner import Showcase
    except ImportError as error:
        raise AlertbotError(f"the demo needs more packages ({error.name}): pip install 'alertbot[demo]'") from error
    Showcase(speed=speed, seed=seed, port=port, scenario=scenario, with_page=not no_page).run(
        open_console(), seconds=seconds
    )


@main.command()
@click.pass_context
def poll(ctx: click.Context) -> None:
    """Run one cycle: collect, evaluate, deliver. For cron."""
    from alertbot.app.bot import poll_once
    from alertbot.app.wiring import require_countable
    from alertbot.config import Need
    from alertbot.logs import configure

    config = load_config(ctx, Need.DATABASE, Need.SOURCES)
    require_countable(*config.rules)
    if config.slack.bot_token is None:
        raise AlertbotError("Slack tokens are missing: set SLACK_BOT_TOKEN")
    configure(form=config.log.format, level="warning")
    outcomes, failed = poll_once(config)
    for name, outcome in outcomes.items():
        click.echo(f"{name}: {outcome.value}")
    if failed:
        raise AlertbotError(f"could not be read: {', '.join(failed)}; see alertbot status")


@main.command()
@click.option("--since", type=Since(), default="30d", show_default=True, help="A duration, or a day (2026-11-01).")
@click.pass_context
def backfill(ctx: click.Context, since: timedelta | datetime) -> None:
    """Read Flashback's minute and day statistics of the past. It goes day by day; run it again to continue where it stopped."""
    from alertbot.app.backfill import backfill_all
    from alertbot.app.wiring import open_database
    from alertbot.cli.output import show_progress
    from alertbot.config import Need
    from alertbot.logs import configure

    config = load_config(ctx, Need.DATABASE, Need.SOURCES)
    configure(form=config.log.format, level="warning")
    database = open_database(config)
    now = database.now()
    start = now - since if isinstance(since, timedelta) else since
    show_progress(open_console(), backfill_all(config, database, since=start, now=now), until=start)
    database.close()


@main.command()
@click.pass_context
def migrate(ctx: click.Context) -> None:
    """Bring the database to the newest schema."""
    from alertbot.app.wiring import open_database
    from alertbot.config import Need
    from alertbot.store.migrate import upgrade

    database = open_database(load_config(ctx, Need.DATABASE))
    click.echo(f"{database.place} is at {upgrade(database)}")


@main.command()
@click.option("--online", is_flag=True, help="Also ask the database, each source, and Slack.")
@as_json_flag
@click.pass_context
def check(ctx: click.Context, *, online: bool, as_json: bool) -> None:
    """Read the configuration, and list every mistake in it. The exit code is 1 if there is a fault."""
    lines: list[Line] = []
    try:
        for line in _checked(ctx, online=online):
            lines.append(line)
            if not as_json:
                click.echo(_MARKS[line[1]] + line[0])
    except ConfigError as error:
        if not as_json:
            raise
        lines += [(mistake, False) for mistake in error.lines]
    if as_json:
        print_json([{"result": _MARKS[result].strip(), "text": text} for text, result in lines])
    if any(result is False for _, result in lines):
        ctx.exit(1)


def _checked(ctx: click.Context, *, online: bool) -> "Iterator[Line]":
    """The lines of `check`, each with whether it is fine (True), a fault (False) or perhaps a slip (None)."""
    from alertbot.app.wiring import require_countable
    from alertbot.config import EVERYTHING

    config = load_config(ctx, *EVERYTHING)
    require_countable(*config.rules)
    counted = (
        f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
        for things, noun in ((config.sources, "source"), (config.rules, "rule"), (config.routes, "route"))
    )
    yield f"{config.path or 'no file'}: {', '.join(counted)}", True
    yield from ((note, None) for note in config.notes)
    if config.slack.missing_tokens:
        yield f"slack: set {' and '.join(config.slack.missing_tokens)}", False
    if online:
        from alertbot.cli.preflight import check_online

        yield from check_online(config)


@main.command()
@click.option(
    "--mode",
    type=click.Choice(["socket", "http"]),
    default="socket",
    show_default=True,
    help="How Slack reaches the bot.",
)
@click.option("--url", default="", help="For http: the bot's public address, such as https://alertbot.example.com.")
@click.option("--command", default="/alertbot", show_default=True, help="The slash command.")
def manifest(mode: str, url: str, command: str) -> None:
    """Print the Slack app's manifest. Paste it when you create the app."""
    from alertbot.slack.manifest import manifest_yaml

    if mode == "http" and not url.startswith("https://"):
        raise click.UsageError(
            f'--mode http needs --url, expected an address such as https://alertbot.example.com, got "{url}"'
        )
    click.echo(manifest_yaml(mode=mode, command=command, url=url), nl=False)


@main.group("config")
def config_group() -> None:
    """Show what the configuration may hold."""


@config_group.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    from alertbot.config import config_schema

    print_json(config_schema())
