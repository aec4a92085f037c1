"""What the commands share: the group itself, the kinds of values that they take, the configuration, the output."""

import codecs
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from alertbot import __version__
from alertbot.errors import AlertbotError, StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from alertbot.config import Config, Need
    from alertbot.domain.windows import TimeRange
    from alertbot.store.database import Database


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        help="The configuration file; default config.yaml.",
        expose_value=False,
        callback=_use_config,
    )


def _use_config(ctx: click.Context, _param: click.Parameter, path: Path | None) -> None:
    """Keep the file for `load_config`, whether it was named before or behind the command."""
    if path is not None:
        ctx.find_root().obj = path


class _Command(click.Command):
    """Takes `--config` as the program itself does: people write it where they think of it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.append(_config_option())


class _Commands(click.Group):
    """Commands of one subject, such as `rules`."""

    command_class = _Command


class _Group(_Commands):
    """Prints our errors as one line a problem, and ends with 1; nobody sees a traceback for a mistake of theirs."""

    group_class = _Commands

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.append(_config_option())

    def invoke(self, ctx: click.Context) -> Any:
        _write_what_can_be_written(sys.stdout)
        # SIGTERM is as good as Ctrl-C, also for process 1, which hears no signal that it has not asked for.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except AlertbotError as error:
            for line in error.lines:
                click.echo(line, err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            from alertbot.app.process_id import end_process

            click.echo("interrupted; what was done until then is kept", err=True)
            end_process(1)
        except BrokenPipeError:
            # The reader, such as `head`, has seen enough. Nothing more may be flushed into the closed pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(1)


def _write_what_can_be_written(stream: TextIO) -> None:
    """A terminal that is not UTF-8 shows a ? for what it does not know, such as an emoji in a name."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="replace")


class Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        from alertbot.domain.times import parse_duration

        try:
            return value if isinstance(value, timedelta) else parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class TimeRangeOrName(click.ParamType["TimeRange"]):
    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "TimeRange":
        from alertbot.domain.windows import parse_time_range

        try:
            return parse_time_range(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Since(click.ParamType[timedelta | datetime]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta | datetime:
        try:
            return value if isinstance(value, timedelta | datetime) else _parse_since(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _parse_since(text: str) -> timedelta | datetime:
    from alertbot.domain.times import OutOfBounds, parse_duration, parse_moment, quotable

    for parse in (parse_duration, parse_moment):
        try:
            return parse(text)
        except OutOfBounds:
            raise
        except ValueError:
            continue
    raise ValueError(f'expected a duration such as 30d or a day such as 2026-11-01, got "{quotable(text)}"')


class Zone(click.ParamType[tzinfo]):
    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        from zoneinfo import ZoneInfo

        try:
            return value if isinstance(value, tzinfo) else ZoneInfo(str(value))
        except (LookupError, ValueError, OSError):
            self.fail(f'expected a time zone such as Europe/Madrid, got "{value}"', param, ctx)


class MomentOfTime(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from alertbot.domain.times import parse_moment

        try:
            return value if isinstance(value, datetime) else parse_moment(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Number(click.ParamType[int]):
    """The number of a thing that the database knows."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from alertbot.domain.times import parse_count

        try:
            return value if isinstance(value, int) else parse_count(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="alertbot")
def main() -> None:
    """Watch the numbers of Flashback, and alert in Slack when they break a rule."""


def load_config(ctx: click.Context, *needs: "Need", environ: Mapping[str, str] = os.environ) -> "Config":
    from alertbot import config

    return config.load(ctx.find_root().obj, environ, needs=needs)


def open_stored(ctx: click.Context) -> "tuple[Config, Database]":
    """The configuration and its database, of the newest schema, for a command that looks at what is stored."""
    from alertbot.app.wiring import open_database
    from alertbot.config import Need
    from alertbot.logs import configure
    from alertbot.store import migrate

    config = load_config(ctx, Need.DATABASE)
    configure(form="console", level="warning")
    database = open_database(config)
    try:
        migrate.require_newest(database)
    except StoreError as error:
        raise StoreError(f"{error} ({config.origin})") from error
    return config, database


def open_console() -> "Console":
    from rich.console import Console

    # A pipe has no width: what goes into one is not folded, and can be searched.
    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)


def print_json(value: Any) -> None:
    is_utf8 = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"  # else letters would become question marks
    click.echo(json.dumps(value, ensure_ascii=not is_utf8, indent=2))


def warn(notes: Iterable[str]) -> None:
    """Print on stderr what the figures do not include: a list for scripts has no place for it."""
    for note in notes:
        click.echo(note, err=True)


as_json_flag = click.option("--json", "as_json", is_flag=True, help="For scripts.")


def _you() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container whose user has a number and no name
        raise click.UsageError("say who does it: --by NAME") from None


def by_whom(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--by", default=_you, callback=lambda _ctx, _param, who: legible(who), help="Who does it; default: you."
    )(command)


def legible(text: str) -> str:
    """The text without the halves of characters that stand for bytes of another encoding than the terminal's."""
    return text.encode(errors="replace").decode()


def now_of(database: "Database") -> "datetime":
    """The bot's time: the database's clock, or the newest reading where that clock was set back since.

    Raises StoreError.
    """
    from alertbot.store import sources

    now = database.now()
    with database.reading() as tx:
        return max(now, sources.newest(tx) or now)
