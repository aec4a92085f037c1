"""How answers look in a terminal: tables as wide as it is, and notifications where there is no Slack."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console, JustifyMethod
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table as RichTable
from rich.text import Text

from alertbot.domain.alerts import Alert, Outcome, State
from alertbot.domain.columns import Amount
from alertbot.domain.coverage import Coverage
from alertbot.domain.evidence import ViolationReport
from alertbot.domain.formatting import (
    format_amount,
    format_severity,
    headline,
    id_endings,
    limit,
    name_of,
    shown_severity,
)
from alertbot.domain.notifications import AlertMessage, MessageRef, Notification
from alertbot.domain.points import Resolution
from alertbot.domain.rankings import Ranking
from alertbot.domain.reports import ActionResult, AlertRow, Health, ListedRule, Stats, StatusReport
from alertbot.domain.rules import Severity
from alertbot.domain.silences import Silence
from alertbot.domain.spending import Spending
from alertbot.domain.stored_rules import RuleChange
from alertbot.domain.usage import Budgets, Usage, bar, percent
from alertbot.domain.windows import Window
from alertbot.flows.backfill import Progress

_COLOURS = {Severity.INFO: "blue", Severity.WARNING: "yellow", Severity.CRITICAL: "bold red"}
_HEALTH = {Health.OK: "green", Health.FAILING: "yellow", Health.BLIND: "bold red", Health.NEVER_READ: "dim"}

_LEAST_TEXT = 16  # characters: a name that is folded into a narrower column cannot be read
_GAP = 2  # characters between two columns
_MOST_NAMES = 3  # of series, in a note
_MOST_RANKS = 20
MOST_VIOLATIONS = 50


def clean(text: str) -> str:
    """Foreign text without what would move the cursor or change colours."""
    return "".join(character if character.isprintable() else " " for character in text)


def _when(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class Table:
    """A table without walls, in columns that are `left` (text, folded where it is long), `right` (numbers) or `fixed`.

    Numbers, ids and times are never broken: a terminal that is too narrow for them gets a block of lines for each row.
    """

    def __init__(self, *columns: tuple[str, str]) -> None:
        self._columns = columns
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: Text | str) -> None:
        self._rows.append([cell if isinstance(cell, Text) else Text(cell) for cell in cells])

    def show(self, console: Console, *, indent: int = 0) -> None:
        if self._least_width() + indent > console.width:
            self._show_blocks(console, " " * indent)
            return
        table = RichTable(box=None, pad_edge=False, header_style="bold")
        for name, kind in self._columns:
            justify: JustifyMethod = "right" if kind == "right" else "left"
            table.add_column(name, justify=justify, overflow="fold", no_wrap=kind != "left")
        for row in self._rows:
            table.add_row(*row)
        console.print(Padding(table, (0, 0, 0, indent), expand=False))

    def _least_width(self) -> int:
        widths = [
            max([len(name), *(row[place].cell_len for row in self._rows)])
            for place, (name, _) in enumerate(self._columns)
        ]
        needed = (
            min(width, _LEAST_TEXT) if kind == "left" else width
            for width, (_, kind) in zip(widths, self._columns, strict=True)
        )
        return sum(needed) + _GAP * (len(widths) - 1)

    def _show_blocks(self, console: Console, indent: str) -> None:
        for row in self._rows:
            for place, (name, _) in enumerate(self._columns):
                if row[place].plain:
                    start = indent if place == 0 else f"{indent}  "
                    console.print(
                        Text.assemble(start, (f"{name}: " if name else "", "bold"), row[place]), overflow="fold"
                    )


def show_status(console: Console, report: StatusReport, *, origin: str) -> None:
    """`origin` is where the report comes from: the database and the configuration."""
    if not report.is_running:
        since = (
            f"has been running since {_when(report.alive_at)}" if report.alive_at else "has run on this database yet"
        )
        console.print(
            Text(f"No alertbot process {since}: the sources are not read, and no alert fires.", style="bold red")
        )
    table = Table(("source", "left"), ("state", "fixed"), ("last reading", "fixed"), ("LLMs", "right"))
    for row in report.sources:
        state = Text(row.state.value, style=_HEALTH[row.state])
        table.add_row(clean(row.name), state, _when(row.last_reading_at), str(row.configurations))
    table.show(console)
    for row in report.sources:
        for problem in filter(None, (row.error, row.doubt)):
            console.print(Text(f"{clean(row.name)}: {clean(problem)}", style="yellow"))
    console.print(
        Text(f"alerts  {report.firing} firing ({report.acknowledged} acknowledged), {report.pending} pending")
    )
    since = f", the oldest since {_when(report.oldest_at)}" if report.oldest_at else ""
    console.print(Text(f"outbox  {report.waiting} waiting{since}"))
    console.print(Text(f"alertbot {report.version}, {clean(origin)}", style="dim"))


def show_alerts(console: Console, rows: Sequence[AlertRow]) -> None:
    if not rows:
        console.print("Nothing is pending or firing.")
        return
    table = Table(
        ("id", "fixed"),
        ("severity", "fixed"),
        ("state", "fixed"),
        ("alert", "left"),
        ("since", "fixed"),
        ("acknowledged by", "left"),
    )
    for row in rows:
        alert = row.alert
        table.add_row(
            f"A{alert.number}" + (f" G{row.group}" if row.group else ""),
            Text(format_severity(alert), style=_COLOURS[shown_severity(alert)]),
            alert.state.value,
            Text(f"{clean(headline(alert))}, {limit(alert)}"),
            _when(alert.started_at or alert.pending_since),
            Text(clean(_taker(alert))),
        )
    table.show(console)


def _taker(alert: Alert) -> str:
    """Who has acknowledged an alert, or had before it got worse."""
    return f"{alert.taken_by}, before it got worse" if alert.taken_at is not None else alert.acknowledged_by


def show_stats(console: Console, stats: Stats) -> None:
    rows = stats.rows
    if not rows:
        name = stats.window.name
        _show_nothing(console, f"No LLM to show {name}", f"growth {name}", stats.coverage)
        return
    columns = ("api_calls", "tokens_in", "tokens_out", "policy_violations", "policy_alerts", "policy_blocks")
    names = ("calls", "tokens in", "tokens out", "violations", "alerts", "blocks")
    table = Table(("LLM", "left"), ("source", "left"), *((name, "right") for name in names))
    endings = id_endings([(row.name, f"{row.source}/{row.ai_llm}") for row in rows])
    order = sorted(zip(rows, endings, strict=True), key=lambda pair: -(pair[0].metrics["api_calls"] or 0))
    for row, ending in order:
        counts = (row.metrics[column] for column in columns)
        table.add_row(
            Text(clean(row.name + ending)),
            Text(clean(row.source)),
            *("?" if count is None else f"{count:,}" for count in counts),
        )
    table.show(console)
    console.print(
        Text(f"growth {stats.window.name}, counted from {_when(min(row.baseline_at for row in rows))}", style="dim")
    )
    _show_notes(console, stats.coverage.notes)


def _show_notes(console: Console, notes: Iterable[str]) -> None:
    """What the figures above do not include."""
    for note in notes:
        console.print(Text(clean(note), style="yellow"))


def _show_nothing(console: Console, zero: str, subject: str, coverage: Coverage) -> None:
    """The answer without rows: zero only if that is known."""
    if not coverage.is_known:
        console.print(f"{subject}: not known.")
    else:
        console.print(f"{zero}{', as far as it is known' if coverage.unknown else ''}.")
    _show_notes(console, coverage.notes)


def _counted_since(coverage: Coverage, window: Window) -> str:
    return f", counted since {_when(coverage.since)}" if coverage.begins_late(window) else ""


def show_ranking(console: Console, ranking: Ranking) -> None:
    window, metric = ranking.window, ranking.metric.replace("_", " ")
    coverage = ranking.coverage
    if not ranking.grown:
        zero = f"No {metric} {window.name}{_counted_since(coverage, window)}"
        _show_nothing(console, zero, f"{metric} {window.name}", coverage)
        return
    table = Table(("", "right"), (ranking.by, "left"), ("source", "left"), (metric, "right"))
    shown = ranking.grown[:_MOST_RANKS]
    for row, ending in zip(shown, id_endings([(row.name, row.key) for row in shown]), strict=True):
        table.add_row(
            str(row.rank), Text(clean(row.name + ending)), Text(clean(row.source)), _amount(row.value, ranking.metric)
        )
    table.show(console)
    if len(ranking.grown) > _MOST_RANKS:
        console.print(f"… and {len(ranking.grown) - _MOST_RANKS} more; --json has all of them")
    console.print(Text(f"growth {window.name}{_counted_since(coverage, window)}", style="dim"))
    _show_notes(console, coverage.notes)


def _amount(value: Amount, metric: str) -> str:
    return f"{value:,}" if isinstance(value, int) else format_amount(value, metric)


def show_progress(console: Console, days: Iterable[Progress], *, until: datetime) -> None:
    """A bar for each feed; where there is no terminal a line at the end of each."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[day]}"))
    done: dict[str, list[Progress]] = {}
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}
        for progress in days:
            if progress.feed not in tasks:
                tasks[progress.feed] = bars.add_task(progress.feed, total=progress.of, day="")
            bars.update(tasks[progress.feed], completed=progress.done, day=f"{progress.day:%Y-%m-%d}")
            done.setdefault(progress.feed, []).append(progress)
    for feed, days_done in done.items():
        console.print(f"{feed}: {_backfilled(days_done)}")
    if not done:
        console.print(f"Everything since {until:%Y-%m-%d} is already stored.")


def _backfilled(progress: Sequence[Progress]) -> str:
    """What a backfill got, of the days that it requested."""
    filled = [day for day in progress if day.points]
    if not filled:
        return f"Flashback has no data for the {len(progress)} requested days"
    by_day = sum(day.resolution is Resolution.DAY for day in filled)
    coarse = f", {by_day} of them by day only" if by_day else ""
    empty = f"; {len(progress) - len(filled)} days have no data" if len(filled) < len(progress) else ""
    first, last = min(day.day for day in filled), max(day.day for day in filled)
    points = sum(day.points for day in filled)
    return f"{points:,} points of {len(filled)} days, {first:%Y-%m-%d} to {last:%Y-%m-%d}{coarse}{empty}"


def show_spending(console: Console, spending: Spending) -> None:
    since = _counted_since(spending.coverage, spending.window)
    if not spending.rows:
        zero = f"No tokens were used {spending.window.name}{since}"
        _show_nothing(console, zero, f"spend {spending.window.name}", spending.coverage)
        return
    columns = (("tokens in", "right"), ("tokens out", "right"), ("USD", "right"))
    table = Table((spending.by, "left"), ("source", "left"), *columns)
    shown = spending.rows[:_MOST_RANKS]
    for row, ending in zip(shown, id_endings([(row.name, row.key) for row in shown]), strict=True):
        is_priced = row.usd or not (row.tokens_in or row.tokens_out)
        table.add_row(
            Text(clean(row.name + ending)),
            Text(clean(row.source)),
            f"{row.tokens_in:,}",
            f"{row.tokens_out:,}",
            format_amount(row.usd, "USD") if is_priced else "?",
        )
    table.show(console)
    if len(spending.rows) > _MOST_RANKS:
        console.print(f"… and {len(spending.rows) - _MOST_RANKS} more; --json has all of them")
    text = f"{format_amount(spending.usd, 'USD')} {spending.window.name}{since}: an estimate based on {spending.price_list}"
    if spending.unpriced_tokens:
        text += f"; {spending.unpriced_tokens:,} tokens without a known price are not included"
    console.print(Text(text, style="dim"))
    _show_notes(console, spending.coverage.notes)


def show_budgets(console: Console, budgets: Budgets) -> None:
    usages = budgets.usages
    if not usages:
        console.print("No budget is configured, or nothing has been read yet.")
        _show_notes(console, budgets.notes)
        return
    table = Table(
        ("budget", "left"),
        ("what", "left"),
        ("", "fixed"),
        ("used", "right"),
        ("of", "right"),
        ("left", "right"),
        ("runs out", "left"),
    )
    for usage in usages:
        style = _COLOURS[usage.severity] if usage.severity is not None else ""
        table.add_row(
            Text(clean(f"{usage.rule.name}, {usage.condition.period.value}")),
            Text(clean(usage.name)),
            Text(f"{bar(usage.share)} {percent(usage.share) if usage.used is not None else '?'}", style=style),
            "?" if usage.used is None else format_amount(usage.used, usage.unit),
            format_amount(usage.condition.amount, usage.unit),
            _left(usage),
            Text(_when_exhausted(usage)),
        )
    table.show(console)
    late: dict[tuple[str, datetime], list[str]] = {}
    for usage in usages:
        if usage.known_since is not None:
            late.setdefault((usage.rule.name, usage.known_since), []).append(usage.name)
    _show_notes(
        console,
        (
            f"{rule}, {_first_names(names)}: counted since {_when(since)}{budgets.hint}"
            for (rule, since), names in late.items()
        ),
    )
    _show_notes(console, budgets.notes)


def _first_names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _left(usage: Usage) -> str:
    if usage.used is None:
        return "?"
    return f"-{format_amount(usage.over, usage.unit)}" if usage.over else format_amount(usage.left, usage.unit)


def _when_exhausted(usage: Usage) -> str:
    if usage.used is not None and usage.used >= usage.condition.amount:
        return "already"
    moments = [moment for moment in (usage.exhausted_at, usage.exhausted_by) if moment is not None]
    return " to ".join(dict.fromkeys(map(_when, moments)))


def show_violations(console: Console, listing: ViolationReport, window: Window) -> None:
    if not listing.violations:
        console.print(
            f"No violations listed {window.name}." if listing.is_known else f"violations {window.name}: not known."
        )
    else:
        columns = ("time", "severity", "policy", "who", "model", "repository", "source", "explanation")
        table = Table(*((name, "fixed" if name in {"time", "severity"} else "left") for name in columns))
        for violation in listing.violations:
            who, repo = violation.user_name or violation.user, violation.repo_name or violation.repo
            policy, model, explanation = (
                violation.policy_name or violation.policy,
                violation.model,
                violation.explanation,
            )
            named = (policy, who, model, repo, violation.source, explanation)
            severity = " ".join(filter(None, (violation.severity.lower(), "blocked" if violation.blocked else "")))
            table.add_row(_when(violation.at), severity, *(Text(clean(text)) for text in named))
        table.show(console)
        if listing.summary.total > len(listing.violations):
            console.print(f"… and {listing.summary.total - len(listing.violations):,} more; --json has all of them")
    _show_notes(console, listing.notes)


def show_acted(console: Console, result: ActionResult) -> None:
    words = {Outcome.DONE: "done", Outcome.ALREADY: "no change", Outcome.TOO_LATE: "too late, already resolved"}
    for alert, outcome in result.outcomes:
        console.print(Text(f"A{alert.number} {clean(name_of(alert))}: {words[outcome]}"))


def show_silences(console: Console, silences: Sequence[Silence]) -> None:
    if not silences:
        console.print("Nothing is silenced.")
        return
    table = Table(("silence", "right"), ("what", "left"), ("until", "fixed"), ("by", "left"), ("comment", "left"))
    for silence in silences:
        what = " ".join(str(matcher) for matcher in silence.matchers) or "everything"
        by, comment = Text(clean(silence.author)), Text(clean(silence.comment))
        if silence.problem:
            comment = Text(clean(f"not valid, so it mutes nothing: {silence.problem}"), style="yellow")
        until = "it is unmuted" if silence.is_endless else _when(silence.ends_at)
        table.add_row(str(silence.number), Text(clean(what)), until, by, comment)
    table.show(console)


def show_rules(console: Console, listed_rules: Sequence[ListedRule]) -> None:
    table = Table(("rule", "left"), ("from", "fixed"), ("what", "left"), ("by", "left"))
    for entry in listed_rules:
        rule, stored = entry.rule, entry.stored
        if rule is None:
            what = Text(f"not used: {clean(entry.why_not)}", style="yellow")
        else:
            off = "" if rule.enabled else ", disabled"
            counted = "readings" if rule.is_about_readings else f"{rule.unit} {rule.over}"
            what = Text(clean(f"{rule.kind}, {counted} per {rule.per}{off}"))
        by = "" if stored is None else f"{clean(stored.changed_by)}, {_when(stored.changed_at)}"
        table.add_row(Text(clean(entry.name)), entry.origin, what, Text(by))
    table.show(console)


def show_rule_trail(console: Console, changes: Sequence[RuleChange]) -> None:
    if not changes:
        console.print("No rule has been created in Slack yet.")
        return
    table = Table(("at", "fixed"), ("who", "left"), ("did", "fixed"), ("rule", "left"))
    for change in changes:
        table.add_row(_when(change.at), Text(clean(change.who)), change.change_type.value, Text(clean(change.rule)))
    table.show(console)


def word_of(alert_message: AlertMessage) -> str:
    """How the group stands, in the word that the demo and a dry run print."""
    firing = [alert for alert in alert_message.alerts if alert.state is State.FIRING]
    if not firing:
        return "resolved"
    return "acknowledged" if all(alert.acknowledged_at is not None for alert in firing) else "firing"


class PrintingSender:
    """Prints what would be sent. Every notification counts as delivered."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def post(
        self, channel: str, alert_message: AlertMessage, *, notification: int, mention: Iterable[str]
    ) -> MessageRef:
        self._print("posts", channel, alert_message, " ".join(mention))
        return MessageRef(channel, f"dry-run.{notification}")

    def edit(self, place: MessageRef, alert_message: AlertMessage) -> None:
        self._print("edits", place.channel, alert_message, "")

    def reply(self, place: MessageRef, notification: Notification, *, number: int) -> MessageRef:
        for line in notification.lines:
            self._console.print(Text(f"  in the thread: {clean(_peopled(line, notification))}"))
        return MessageRef(place.channel, f"dry-run.{number}")

    def say(self, channel: str, notification: Notification, *, number: int) -> MessageRef:
        for line in notification.lines:
            self._console.print(Text(f"{channel}  {clean(_peopled(line, notification))}"))
        return MessageRef(channel, f"dry-run.{number}")

    def find(self, channel: str, *, notification: int, since: datetime, thread: MessageRef | None) -> MessageRef | None:
        """What was printed cannot be searched."""
        del channel, notification, since, thread
        return None

    def attach(self, place: MessageRef, *, name: str, text: str) -> None:
        rows = text.count("\n") - 1
        self._console.print(Text(f"  in the thread of {place.ts}: the file {name} with {rows} alerts"))

    def permalink(self, place: MessageRef) -> str:
        return f"dry-run://{place.channel}/{place.ts}"

    def _print(self, verb: str, channel: str, alert_message: AlertMessage, mention: str) -> None:
        self._console.print(
            Text(
                f"{alert_message.shown_at:%H:%M:%S} {channel}  {verb} G{alert_message.group.number} {word_of(alert_message)}  {mention}".rstrip(),
                style="bold",
            )
        )
        for alert in alert_message.alerts[:10]:
            amount = format_amount(alert.peak, alert.unit)
            self._console.print(
                Text(
                    f"  A{alert.number} {format_severity(alert)}: {clean(headline(alert))}, {limit(alert)}, worst {amount}"
                )
            )


def _peopled(line: str, notification: Notification) -> str:
    for place, who in enumerate(notification.people):
        line = line.replace(f"{{{place}}}", who)
    return line
