"""Commands that tell what is stored; with `--json` for scripts."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

import click

from alertbot import __version__
from alertbot.cli.base import (
    MomentOfTime,
    TimeRangeOrName,
    Zone,
    as_json_flag,
    main,
    now_of,
    open_console,
    open_stored,
    print_json,
    warn,
)
from alertbot.errors import AlertbotError

if TYPE_CHECKING:
    from alertbot.domain.windows import TimeRange, Window
    from alertbot.store.database import Database


def _windowed(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a look-up that is about a stretch of time."""
    zone = click.option(
        "--timezone", "zone", type=Zone(), default="UTC", help="The time zone of days and weeks; default UTC."
    )
    window = click.option(
        "--window", "time_range", type=TimeRangeOrName(), help='How far back: 90m, today, "last week" …; default 24h.'
    )
    return window(zone(command))


def _window(database: "Database", time_range: "TimeRange | None", zone: tzinfo) -> "Window":
    from alertbot.domain.windows import DAY, window_of

    return window_of(time_range or DAY, now_of(database), zone)


@main.command()
@as_json_flag
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """Show the state of the bot and its sources."""
    from alertbot.app.wiring import intervals_of
    from alertbot.cli.output import show_status
    from alertbot.domain.reports import status_json
    from alertbot.queries.status import status_report

    config, database = open_stored(ctx)
    report = status_report(
        database,
        version=__version__,
        intervals=intervals_of(config),
        blind_after={source.name: source.blind_after for source in config.sources},
        now=now_of(database),
    )
    if as_json:
        print_json(status_json(report))
    else:
        show_status(open_console(), report, origin=f"{database.place}, {config.origin}")


@main.command()
@click.argument("llm", required=False)
@_windowed
@as_json_flag
@click.pass_context
def stats(ctx: click.Context, llm: str | None, time_range: "TimeRange | None", zone: tzinfo, *, as_json: bool) -> None:
    """Show the growth of each counter, for all LLMs or some. LLM is a name, an id or a glob; without it all are shown."""
    from alertbot.app.wiring import intervals_of
    from alertbot.cli.output import show_stats
    from alertbot.domain.reports import stat_json
    from alertbot.queries.stats import llm_stats

    config, database = open_stored(ctx)
    window = _window(database, time_range, zone)
    growth = llm_stats(database, intervals=intervals_of(config), llm=llm, window=window)
    if as_json:
        print_json([stat_json(row) for row in growth.rows])
        warn(growth.coverage.notes)
    else:
        show_stats(open_console(), growth)


@main.command()
@click.argument("words", nargs=-1, metavar="[METRIC] [WINDOW] [BY]")
@_windowed
@click.option("--by", help="A dimension, such as model or user; default ai_llm.")
@as_json_flag
@click.pass_context
def top(
    ctx: click.Context,
    words: tuple[str, ...],
    time_range: "TimeRange | None",
    zone: tzinfo,
    *,
    by: str | None,
    as_json: bool,
) -> None:
    """Show whose METRIC grew most in WINDOW. By default policy_violations in 24h, by ai_llm."""
    from alertbot.app.wiring import intervals_of, prices_of
    from alertbot.cli.output import show_ranking
    from alertbot.domain.rankings import parse_ranking_query, ranking_json
    from alertbot.queries.top import top_ranking

    try:
        question = parse_ranking_query([*words, *(["by", by] if by is not None else [])])
    except ValueError as error:
        raise AlertbotError(str(error)) from error
    config, database = open_stored(ctx)
    window = _window(database, time_range or question.time_range, zone)
    ranking = top_ranking(
        database, intervals=intervals_of(config), question=question, window=window, prices=prices_of(config)
    )
    if as_json:
        print_json(ranking_json(ranking))
    else:
        show_ranking(open_console(), ranking)


@main.command()
@click.argument("words", nargs=-1, metavar="[FILTERS] [WINDOW]")
@_windowed
@as_json_flag
@click.pass_context
def violations(
    ctx: click.Context, words: tuple[str, ...], time_range: "TimeRange | None", zone: tzinfo, *, as_json: bool
) -> None:
    """Show the violations in WINDOW that match FILTERS. For example policy="No customer PII" user=ana*. By default all, in 24h."""
    from alertbot.app.wiring import intervals_of
    from alertbot.cli.output import MOST_VIOLATIONS, show_violations
    from alertbot.domain.evidence import evidence_json, parse_violation_query
    from alertbot.queries.violations import violations as look_up_violations

    try:
        query = parse_violation_query(words)
    except ValueError as error:
        raise AlertbotError(str(error)) from error
    config, database = open_stored(ctx)
    window = _window(database, time_range or query.time_range, zone)
    listing = look_up_violations(
        database,
        sources=list(intervals_of(config)),
        query=query,
        window=window,
        most=None if as_json else MOST_VIOLATIONS,
    )
    if as_json:
        print_json([evidence_json(violation) for violation in listing.violations])
        warn(listing.notes)
    else:
        show_violations(open_console(), listing, window)


@main.command()
@click.argument("words", nargs=-1, metavar="[WINDOW] [BY]")
@_windowed
@as_json_flag
@click.pass_context
def spend(
    ctx: click.Context, words: tuple[str, ...], time_range: "TimeRange | None", zone: tzinfo, *, as_json: bool
) -> None:
    """Show the estimated cost of tokens in WINDOW. By default in 24h, by LLM; or BY model, user and so on."""
    from alertbot.app.wiring import intervals_of, prices_of
    from alertbot.cli.output import show_spending
    from alertbot.domain.rankings import parse_ranking_query
    from alertbot.domain.spending import spending_json
    from alertbot.queries.spend import spending

    try:
        question = parse_ranking_query(["spend", *words])
    except ValueError as error:
        raise AlertbotError(str(error).replace("one metric, ", "")) from error
    config, database = open_stored(ctx)
    spent = spending(
        database,
        intervals=intervals_of(config),
        prices=prices_of(config),
        window=_window(database, time_range or question.time_range, zone),
        by=question.by,
    )
    if as_json:
        print_json(spending_json(spent))
    else:
        show_spending(open_console(), spent)


@main.command()
@as_json_flag
@click.pass_context
def budget(ctx: click.Context, *, as_json: bool) -> None:
    """Show how much of each budget is used in its current period. And when it will run out at the current pace."""
    from alertbot.app.wiring import book_of, intervals_of, prices_of
    from alertbot.cli.output import show_budgets
    from alertbot.domain.usage import usage_json
    from alertbot.queries.budget import budget_usages

    config, database = open_stored(ctx)
    rules = book_of(config).rules_in(database)
    budgets = budget_usages(
        database, rules=rules, intervals=intervals_of(config), now=now_of(database), prices=prices_of(config)
    )
    if as_json:
        print_json(usage_json(budgets.usages))
        warn(budgets.notes)
    else:
        show_budgets(open_console(), budgets)


@main.command()
@click.option("--all", "also_ended", is_flag=True, help="The newest 100, including resolved ones.")
@as_json_flag
@click.pass_context
def alerts(ctx: click.Context, *, also_ended: bool, as_json: bool) -> None:
    """List the alerts that are pending or firing."""
    from alertbot.cli.output import show_alerts
    from alertbot.domain.alerts import State
    from alertbot.domain.reports import alert_json
    from alertbot.queries.alert_list import list_alerts

    _, database = open_stored(ctx)
    states = [State.PENDING, State.FIRING, *([State.RESOLVED] if also_ended else [])]
    rows = list_alerts(database, states=states, limit=100 if also_ended else None)
    if as_json:
        print_json([alert_json(row) for row in rows])
    else:
        show_alerts(open_console(), rows)


@main.command()
@click.argument("rule")
@click.argument("llm", required=False)
@click.option("--at", "moment", type=MomentOfTime(), help="As of then, such as 2026-11-22T10:05Z; default now.")
@as_json_flag
@click.pass_context
def why(ctx: click.Context, rule: str, llm: str | None, moment: datetime | None, *, as_json: bool) -> None:
    """Explain why RULE did or did not fire. LLM is a name, an id or a glob; without it, what stands out is shown."""
    from alertbot.app.wiring import book_of, intervals_of, prices_of
    from alertbot.cli.output import clean
    from alertbot.domain.reports import explain_lines, explanation_json
    from alertbot.queries.explain import explain

    config, database = open_stored(ctx)
    explanations = explain(
        database,
        book_of(config).rules_in(database),
        intervals_of(config),
        name=rule,
        llm=llm,
        at=moment or now_of(database),
        prices=prices_of(config),
    )
    if as_json:
        print_json([explanation_json(explanation) for explanation in explanations])
        return
    for explanation in explanations:
        first, *rest = (clean(line) for line in explain_lines(explanation))
        click.echo("\n  ".join([first, *rest]))
