"""The command line: one function a command; parse, call, print.

Heavy imports stand inside the commands, so that `--help` and `--version` answer at once.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alertbot import __version__
from alertbot.errors import AlertbotError

if TYPE_CHECKING:
    from rich.console import Console

    from alertbot.app import Parts
    from alertbot.config import Config, Need
    from alertbot.domain.alerts import ActKind
    from alertbot.domain.windows import Span, Window
    from alertbot.store.database import Database

_DAY = timedelta(days=1)


class _Group(click.Group):
    """Prints our errors as one line a problem, and ends with 1; nobody sees a traceback for a mistake of theirs."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AlertbotError as error:
            for line in error.lines:
                click.echo(line, err=True)
            ctx.exit(1)
        except BrokenPipeError:
            # The reader, such as `head`, has seen enough. Nothing more may be flushed into the closed pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        from alertbot.domain.times import parse_duration

        try:
            return value if isinstance(value, timedelta) else parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Span(click.ParamType["Span"]):
    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Span":
        from alertbot.domain.windows import parse_span

        try:
            return parse_span(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Zone(click.ParamType[tzinfo]):
    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        from zoneinfo import ZoneInfo

        try:
            return value if isinstance(value, tzinfo) else ZoneInfo(str(value))
        except (LookupError, ValueError, OSError):
            self.fail(f'expected a time zone such as Europe/Madrid, got "{value}"', param, ctx)


class _Moment(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f'expected a time such as 2026-11-22T10:05Z, got "{value}"', param, ctx)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="alertbot")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file; default config.yaml.")
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Watch the numbers of Flashback, and tell Slack when they break a rule."""
    ctx.obj = config


def _load(ctx: click.Context, *needs: "Need") -> "Config":
    from alertbot import config

    return config.load(ctx.obj, os.environ, needs=needs)


def _open(ctx: click.Context) -> "tuple[Config, Database]":
    """The configuration and its database, of the newest schema, for a command that looks at what is stored."""
    from alertbot.config import Need
    from alertbot.logs import configure
    from alertbot.store import migrate
    from alertbot.wiring import open_database

    config = _load(ctx, Need.DATABASE)
    configure(form="console", level="warning")
    database = open_database(config)
    migrate.require_newest(database)
    return config, database


def _console() -> "Console":
    from rich.console import Console

    # A pipe has no width: what goes into one is not folded, and can be searched.
    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _now() -> datetime:
    from alertbot.clock import Clock

    return Clock()()


# --- running


@main.command()
@click.option("--only", type=click.Choice(["collector", "slack"]), help="Run one half of the bot in this process.")
@click.option("--dry-run", is_flag=True, help="Do everything but Slack: notices are printed.")
@click.option("--no-migrate", is_flag=True, help="Do not bring the database's schema up to date first.")
@click.pass_context
def run(ctx: click.Context, only: str | None, *, dry_run: bool, no_migrate: bool) -> None:
    """Collect, evaluate, deliver, and answer in Slack, until stopped."""
    from alertbot.app import Bot, Parts, run_until_stopped
    from alertbot.config import Need
    from alertbot.logs import configure
    from alertbot.wiring import require_countable

    parts = {"collector": Parts.COLLECTOR, "slack": Parts.SLACK, None: Parts.ALL}[only]
    if dry_run:
        _run_dry(ctx, parts)
        return
    config = _load(ctx, Need.DATABASE, Need.SOURCES)
    require_countable(config)
    missing = config.slack.missing_tokens[: 1 if only == "collector" else 2]
    if only == "collector":
        missing = tuple(name for name in missing if name == "SLACK_BOT_TOKEN")
    if missing:
        raise AlertbotError(f"Slack tokens are missing: set {' and '.join(missing)}, or use --dry-run")
    configure(form=config.log.format, level=config.log.level)
    for note in config.notes:
        click.echo(note, err=True)
    run_until_stopped(Bot(config, parts=parts, with_migrations=not no_migrate))


def _run_dry(ctx: click.Context, parts: "Parts") -> None:
    """On a database of its own, which goes when it ends: what is printed here must still be sent by the real bot."""
    import tempfile

    from alertbot import config as configuration
    from alertbot.app import Bot, run_until_stopped
    from alertbot.logs import configure
    from alertbot.terminal import PrintingSender
    from alertbot.wiring import require_countable

    with tempfile.TemporaryDirectory(prefix="alertbot-dry-run-") as folder:
        elsewhere = {**os.environ, "ALERTBOT_DATABASE__URL": f"sqlite:///{folder}/dry-run.db"}
        config = configuration.load(ctx.obj, elsewhere, needs={configuration.Need.DATABASE, configuration.Need.SOURCES})
        require_countable(config)
        configure(form=config.log.format, level=config.log.level)
        for note in (*config.notes, "dry run: counting begins now, in a database that goes when it ends"):
            click.echo(note, err=True)
        run_until_stopped(Bot(config, parts=parts, sender=PrintingSender(_console())))


@main.command()
@click.option(
    "--speed", type=click.FloatRange(min=1, max=3600), default=60.0, show_default=True, help="60: an hour a minute."
)
@click.option("--seconds", type=click.FloatRange(min=1), help="End by itself after so many seconds.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same traffic.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The page's port; default: any that is free.")
@click.option("--scenario", default="burst", show_default=True, help="What happens.")
@click.option("--no-page", is_flag=True, help="Do not serve the page.")
def demo(*, speed: float, seconds: float | None, seed: int, port: int, scenario: str, no_page: bool) -> None:
    """Show the bot at work, with simulated Flashback and Slack on this machine: no account, no token, no network."""
    try:
        from alertbot.showcase import Showcase
    except ImportError as error:
        raise AlertbotError(f"the demo needs more packages ({error.name}): pip install 'alertbot[demo]'") from error
    Showcase(speed=speed, seed=seed, port=port, scenario=scenario, with_page=not no_page).run(
        _console(), seconds=seconds
    )


@main.command()
@click.pass_context
def poll(ctx: click.Context) -> None:
    """Run one cycle: collect, evaluate, deliver. For cron."""
    from alertbot.app import poll_once
    from alertbot.config import Need
    from alertbot.logs import configure
    from alertbot.wiring import require_countable

    config = _load(ctx, Need.DATABASE, Need.SOURCES)
    require_countable(config)
    if config.slack.bot_token is None:
        raise AlertbotError("Slack tokens are missing: set SLACK_BOT_TOKEN")
    configure(form=config.log.format, level="warning")
    outcomes = poll_once(config)
    for name, outcome in outcomes.items():
        click.echo(f"{name}: {outcome.value}")
    failed = [name for name, outcome in outcomes.items() if outcome.value == "failed"]
    if failed:
        raise AlertbotError(f"could not be read: {', '.join(failed)}; see alertbot status")


@main.command()
@click.pass_context
def migrate(ctx: click.Context) -> None:
    """Bring the database to the newest schema."""
    from alertbot.config import Need
    from alertbot.store.migrate import upgrade
    from alertbot.wiring import open_database

    database = open_database(_load(ctx, Need.DATABASE))
    click.echo(f"{database.place} is at {upgrade(database)}")


@main.command()
@click.option("--online", is_flag=True, help="Also ask the database, each source, and Slack.")
@click.pass_context
def check(ctx: click.Context, *, online: bool) -> None:
    """Read the configuration, and name every mistake in it at once."""
    from alertbot import config as configuration
    from alertbot.wiring import require_countable

    config = configuration.load(ctx.obj, os.environ, needs=configuration.EVERYTHING)
    require_countable(config)
    for note in config.notes:
        click.echo(note)
    click.echo(
        f"{config.path or 'no file'}: {len(config.sources)} sources, {len(config.rules)} rules, {len(config.routes)} routes"
    )
    if not online:
        return
    from alertbot.checkup import check_online

    problems = []
    for line, is_fine in check_online(config):
        click.echo(("ok    " if is_fine else "fault ") + line, err=not is_fine)
        problems += [] if is_fine else [line]
    if problems:
        ctx.exit(1)


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
    """Print the Slack app's manifest, to paste when creating the app."""
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

    _print_json(config_schema())


@main.group("rules")
def rules_group() -> None:
    """Work with rules."""


@rules_group.command("test")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.pass_context
def rules_test(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Run the unit tests of rules in each FILE: written series in, alerts and notices compared."""
    from alertbot.logs import configure
    from alertbot.rule_test_files import read_all
    from alertbot.rule_tests import run_rule_tests, show_result, show_summary

    tests = read_all(files, os.environ)
    configure(form="console", level="critical")
    console, results = _console(), []
    for result in run_rule_tests(tests):
        results.append(result)
        show_result(console, result, with_file=len(files) > 1)
    show_summary(console, results)
    if any(result.differences for result in results):
        ctx.exit(1)


# --- looking up

_as_json = click.option("--json", "as_json", is_flag=True, help="For scripts.")


def _windowed(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a look-up that is about a stretch of time."""
    zone = click.option("--timezone", "zone", type=_Zone(), default="UTC", help="Whose midnights count; default UTC.")
    window = click.option(
        "--window", "span", type=_Span(), help='How far back: 90m, today, "last week" …; default 24h.'
    )
    return window(zone(command))


def _window(span: "Span | None", zone: tzinfo) -> "Window":
    from alertbot.domain.windows import DAY, window_of

    return window_of(span or DAY, _now(), zone)


@main.command()
@_as_json
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show how the bot and its sources are."""
    from alertbot.domain.reports import status_json
    from alertbot.flows import look_up
    from alertbot.terminal import show_status
    from alertbot.wiring import intervals_of

    config, database = _open(ctx)
    report = look_up.status(
        database,
        version=__version__,
        intervals=intervals_of(config),
        blind_after={source.name: source.blind_after for source in config.sources},
        now=_now(),
    )
    if as_json:
        _print_json(status_json(report))
    else:
        show_status(_console(), report)


@main.command()
@click.argument("llm", required=False)
@_windowed
@_as_json
@click.pass_context
def stats(ctx: click.Context, llm: str | None, span: "Span | None", zone: tzinfo, *, as_json: bool) -> None:
    """Show the growth of each counter, for all configurations or those that fit LLM (a name, an id or a glob)."""
    from alertbot.domain.reports import stat_json
    from alertbot.flows import look_up
    from alertbot.terminal import show_stats
    from alertbot.wiring import intervals_of

    config, database = _open(ctx)
    window = _window(span, zone)
    rows = look_up.stats(database, intervals=intervals_of(config), wanted=llm, window=window.length, now=window.end)
    if as_json:
        _print_json([stat_json(row) for row in rows])
    else:
        show_stats(_console(), rows, window)


@main.command()
@click.argument("words", nargs=-1, metavar="[METRIC] [WINDOW] [BY]")
@_windowed
@click.option("--by", help="ai_llm, source, provider or workspace; default ai_llm.")
@_as_json
@click.pass_context
def top(
    ctx: click.Context, words: tuple[str, ...], span: "Span | None", zone: tzinfo, *, by: str | None, as_json: bool
) -> None:
    """Show who leads: whose METRIC, such as tokens, grew most in WINDOW; by default policy_violations in 24h."""
    from alertbot.domain.rankings import ranking_json, read_question
    from alertbot.flows import look_up
    from alertbot.terminal import show_ranking
    from alertbot.wiring import intervals_of

    try:
        question = read_question([*words, *([by] if by is not None else [])])
    except ValueError as error:
        raise AlertbotError(str(error)) from error
    config, database = _open(ctx)
    window = _window(span or question.span, zone)
    ranking = look_up.top(database, intervals=intervals_of(config), question=question, window=window)
    if as_json:
        _print_json(ranking_json(ranking))
    else:
        show_ranking(_console(), ranking)


@main.command()
@_as_json
@click.pass_context
def budget(ctx: click.Context, *, as_json: bool) -> None:
    """Show how much of each budget is used in its present period, and when all of it will be."""
    from alertbot.domain.usage import usage_json
    from alertbot.flows import look_up
    from alertbot.terminal import show_budgets
    from alertbot.wiring import intervals_of

    config, database = _open(ctx)
    found = look_up.budgets(database, rules=config.rules, intervals=intervals_of(config), now=_now())
    if as_json:
        _print_json(usage_json(found))
    else:
        show_budgets(_console(), found)


@main.command()
@click.option("--all", "also_ended", is_flag=True, help="Also those that have ended, the newest 100.")
@_as_json
@click.pass_context
def alerts(ctx: click.Context, *, also_ended: bool, as_json: bool) -> None:
    """List the alerts that are pending or firing."""
    from alertbot.domain.alerts import State
    from alertbot.domain.reports import alert_json
    from alertbot.flows import look_up
    from alertbot.terminal import show_alerts

    _, database = _open(ctx)
    states = [State.PENDING, State.FIRING, *([State.RESOLVED] if also_ended else [])]
    rows = look_up.list_alerts(database, states=states, limit=100 if also_ended else None)
    if as_json:
        _print_json([alert_json(row) for row in rows])
    else:
        show_alerts(_console(), rows)


@main.command()
@click.argument("rule")
@click.argument("llm", required=False)
@click.option("--at", "moment", type=_Moment(), help="As of then, such as 2026-11-22T10:05Z; default now.")
@_as_json
@click.pass_context
def why(ctx: click.Context, rule: str, llm: str | None, moment: datetime | None, *, as_json: bool) -> None:
    """Explain why RULE did or did not fire, for one LLM (a name, an id or a glob) or for what stands out."""
    from alertbot.domain.reports import explain_lines, explanation_json
    from alertbot.flows.explain import explain
    from alertbot.terminal import clean
    from alertbot.wiring import intervals_of, watch_of

    config, database = _open(ctx)
    found = explain(database, watch_of(config).rules, intervals_of(config), name=rule, llm=llm, at=moment or _now())
    if as_json:
        _print_json([explanation_json(one) for one in found])
        return
    for one in found:
        first, *rest = (clean(line) for line in explain_lines(one))
        click.echo("\n  ".join([first, *rest]))


# --- acting


def _act(
    ctx: click.Context, target: str, kind: "ActKind", who: str, *, text: str = "", window: timedelta | None = None
) -> None:
    from alertbot.domain.alerts import Act
    from alertbot.flows import operate
    from alertbot.terminal import show_acted

    _, database = _open(ctx)
    now = _now()
    deed = Act(
        kind,
        who,
        now,
        key=f"cli {os.getpid()} {now.isoformat()}",
        text=_legible(text),
        until=now + window if window else None,
    )
    acted = operate.act(database, operate.find(database, target), deed)
    show_acted(_console(), acted)
    if not acted.done:
        ctx.exit(1)


def _you() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container whose user has a number and no name
        raise click.UsageError("say who does it: --by NAME") from None


def _by(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--by", default=_you, callback=lambda _ctx, _param, who: _legible(who), help="Who does it; default: you."
    )(command)


def _legible(text: str) -> str:
    """The text without the halves of characters that stand for bytes of another encoding than the terminal's."""
    return text.encode(errors="replace").decode()


@main.command()
@click.argument("id_", metavar="ID")
@_by
@click.pass_context
def ack(ctx: click.Context, id_: str, by: str) -> None:
    """Take an alert (A42) or all of a message (G17)."""
    from alertbot.domain.alerts import ActKind

    _act(ctx, id_, ActKind.ACKNOWLEDGE, by)


@main.command()
@click.argument("id_", metavar="ID")
@_by
@click.pass_context
def unack(ctx: click.Context, id_: str, by: str) -> None:
    """Give an alert back."""
    from alertbot.domain.alerts import ActKind

    _act(ctx, id_, ActKind.UNACKNOWLEDGE, by)


@main.command()
@click.argument("id_", metavar="ID")
@click.argument("duration", type=_Duration())
@_by
@click.pass_context
def snooze(ctx: click.Context, id_: str, duration: timedelta, by: str) -> None:
    """Hear nothing of an alert for up to a day."""
    from alertbot.domain.alerts import ActKind

    if not timedelta(0) < duration <= _DAY:
        raise click.BadParameter("a snooze lasts up to a day", ctx)
    _act(ctx, id_, ActKind.SNOOZE, by, window=duration)


@main.command()
@click.argument("id_", metavar="ID")
@click.argument("user")
@_by
@click.pass_context
def assign(ctx: click.Context, id_: str, user: str, by: str) -> None:
    """Give an alert to USER."""
    from alertbot.domain.alerts import ActKind

    _act(ctx, id_, ActKind.ASSIGN, by, text=user)


@main.command()
@click.argument("id_", metavar="ID")
@click.argument("text", nargs=-1, required=True)
@_by
@click.pass_context
def comment(ctx: click.Context, id_: str, text: tuple[str, ...], by: str) -> None:
    """Write into the thread of an alert."""
    from alertbot.domain.alerts import ActKind

    _act(ctx, id_, ActKind.COMMENT, by, text=" ".join(text))


@main.group()
def silence() -> None:
    """Silence alerts: they go on being counted and kept, but nobody hears of them."""


@silence.command("add", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, metavar="MATCHERS DURATION [COMMENT]")
@_by
@click.pass_context
def silence_add(ctx: click.Context, words: tuple[str, ...], by: str) -> None:
    """Silence what MATCHERS fit, such as rule=violation-burst "ai_llm=support *", for DURATION; `all` alone fits everything."""
    from alertbot.domain.silences import parse_silence
    from alertbot.flows import operate
    from alertbot.terminal import show_silences

    try:
        request = parse_silence([_legible(word) for word in words])
    except ValueError as error:
        raise AlertbotError(str(error)) from error
    _, database = _open(ctx)
    show_silences(_console(), [operate.add_silence(database, request, author=by, now=_now())])


@silence.command("list")
@_as_json
@click.pass_context
def silence_list(ctx: click.Context, *, as_json: bool) -> None:
    """List the silences that hold now or will."""
    from alertbot.domain.reports import silence_json
    from alertbot.flows import operate
    from alertbot.terminal import show_silences

    _, database = _open(ctx)
    found = operate.list_silences(database, now=_now())
    if as_json:
        _print_json([silence_json(one) for one in found])
    else:
        show_silences(_console(), found)


@silence.command("end")
@click.argument("number", type=int)
@_by
@click.pass_context
def silence_end(ctx: click.Context, number: int, by: str) -> None:
    """End a silence before its time."""
    from alertbot.flows import operate

    _, database = _open(ctx)
    operate.end_silence(database, number, by=by, now=_now())
    click.echo(f"silence {number} is over")
