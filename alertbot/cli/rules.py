"""Commands about rules: their unit tests, and those that people made in Slack."""

import os
from pathlib import Path

import click

from alertbot.cli.base import as_json_flag, by_whom, legible, main, now_of, open_console, open_stored, print_json


@main.group("rules")
def rules_group() -> None:
    """Work with rules."""


@rules_group.command("test")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.pass_context
def rules_test(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Run the unit tests of rules in each FILE. Written readings go in; alerts and notifications are compared."""
    from alertbot.cli.rule_test_report import show_result, show_summary
    from alertbot.logs import configure
    from alertbot.rule_tests import run_rule_tests
    from alertbot.rule_tests.reading import read_all

    tests = read_all(files, os.environ)
    configure(form="console", level="critical")
    console, results = open_console(), []
    for result in run_rule_tests(tests):
        results.append(result)
        show_result(console, result, with_file=len(files) > 1)
    show_summary(console, results)
    if any(result.differences for result in results):
        ctx.exit(1)


@rules_group.command("list")
@as_json_flag
@click.pass_context
def rules_list(ctx: click.Context, *, as_json: bool) -> None:
    """List every rule and where it comes from: the configuration or Slack."""
    from alertbot.app.wiring import book_of
    from alertbot.cli.output import show_rules
    from alertbot.domain.reports import listed_rule_json
    from alertbot.flows.rule_actions import list_rules

    config, database = open_stored(ctx)
    listed_rules = list_rules(database, book_of(config))
    if as_json:
        print_json([listed_rule_json(entry) for entry in listed_rules])
    else:
        show_rules(open_console(), listed_rules)


@rules_group.command("history")
@as_json_flag
@click.pass_context
def rules_history(ctx: click.Context, *, as_json: bool) -> None:
    """Show who created, changed and deleted rules in Slack. The newest 100 changes, newest first."""
    from alertbot.cli.output import show_rule_trail
    from alertbot.domain.reports import rule_change_json
    from alertbot.flows.rule_actions import rule_trail

    _, database = open_stored(ctx)
    changes = rule_trail(database)
    if as_json:
        print_json([rule_change_json(change) for change in changes])
    else:
        show_rule_trail(open_console(), changes)


@rules_group.command("delete")
@click.argument("name")
@by_whom
@click.pass_context
def rules_delete(ctx: click.Context, name: str, by: str) -> None:
    """Delete a rule that was created in Slack; its open alerts are resolved."""
    from alertbot.app.wiring import book_of
    from alertbot.flows.rule_actions import delete_rule

    config, database = open_stored(ctx)
    now = now_of(database)
    key = f"cli {os.getpid()} {now.isoformat()}"
    delete_rule(database, book_of(config), legible(name), by=by, now=now, key=key)
    click.echo(f"{legible(name)} is deleted")
