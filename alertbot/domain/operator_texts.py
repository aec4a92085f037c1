"""What the operators are told about the bot itself, sentence by sentence. Who runs it reads these at three in the morning."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from alertbot.domain.points import MOST_LABEL_SETS
from alertbot.domain.times import format_duration

_MOST_NAMED = 10  # a line that nobody reads to its end says less
_MOST_RULES = 5

# --- Slack


def slack_refuses(code: str) -> str:
    return f"Slack refuses the bot ({code}). Alerts are kept and sent when it is mended."


def slack_accepts() -> str:
    return "Slack takes the bot's calls again; what waited is being sent."


def slack_unreachable(code: str, *, since: datetime) -> str:
    return f"Slack cannot be reached since {_clock_time(since)} ({code}). Alerts are kept until it can."


def slack_reachable(*, since: datetime, now: datetime) -> str:
    return f"Slack could not be reached from {_clock_time(since)} to {_clock_time(now)}; what waited is being sent."


def history_unreadable(code: str) -> str:
    return f"Slack's history cannot be read ({code}): a message whose answer was lost may be posted twice."


def channel_broken(channel: str, code: str, *, fallback: str) -> str:
    return f"{channel} cannot be written to ({code}). Its alerts go to {fallback}; it is tried hourly."


def channel_works(channel: str) -> str:
    return f"{channel} can be written to again; its alerts are told there."


def given_up(notifications: Sequence[tuple[int | None, str]]) -> str:
    """How many notifications, each a group (None: about the bot itself) and a kind, and which: `G3 (escalation, resolved)`."""
    kinds: dict[str, dict[str, None]] = {}
    for group, kind in notifications:
        kinds.setdefault("about alertbot itself" if group is None else f"G{group}", {})[kind] = None
    named = [f"{name} ({', '.join(of_group)})" for name, of_group in kinds.items()]
    were = "notification was" if len(notifications) == 1 else "notifications were"
    return (
        f"{len(notifications)} {were} given up, as Slack took nothing for 24 hours: {_listed(named, _MOST_NAMED)}. "
        "Alerts that still fire are sent."
    )


# --- sources


def source_not_polled(source: str, *, since: datetime) -> str:
    return f"{source} has not been polled since {_clock_time(since)}, though alertbot runs. Its rules are suspended until it is."


def source_polled_again(source: str, *, since: datetime, now: datetime) -> str:
    return f"{source} is polled again; it was not from {_clock_time(since)} to {_clock_time(now)}."


def totals_missing(source: str, error: str) -> str:
    return f"{source}: {error}. Its counts come from its minute statistics instead."


def statistics_missing(source: str, error: str) -> str:
    return f"{source}: {error}. Rules and budgets that need it cannot see anything there."


def label_sets_folded(feed: str) -> str:
    return (
        f"{feed} has more than {MOST_LABEL_SETS:,} combinations of user, host, key, repository and model. New ones "
        'are counted together as "(other)", their users first; those that were known before are counted as ever.'
    )


def llms_left_out(source: str, *, listed: int, counted: int) -> str:
    return (
        f"{source} lists {listed:,} LLMs; {counted:,} of them are counted, those that were known before "
        "and those with the most calls. Nothing is known of the others."
    )


def llms_counted_again(source: str, *, listed: int) -> str:
    return f"{source} lists {listed:,} LLMs: all of them are counted again."


def tokens_refused(source: str, reason: str, *, works_until: datetime | None) -> str:
    """`works_until` is the end of the access token that still works, if one does."""
    when = "now" if works_until is None else f"after {_clock_time(works_until)}"
    cure = "Put new credentials into the configuration and restart; until then the old ones are tried now and then."
    return f"{source} cannot be read {when}: {reason}. {cure}"


def credentials_replaced(source: str, *, since: datetime) -> str:
    return f"{source} was given new credentials. It could get none since {_clock_time(since)}."


def tokens_accepted(source: str, *, since: datetime) -> str:
    return f"Flashback gives {source} access tokens again. It could get none since {_clock_time(since)}."


# --- rules and silences


def rule_raised(rule: str, error: str) -> str:
    return f"The rule {rule} cannot be evaluated ({error}); the other rules go on."


def rule_unused(rule: str, why: str) -> str:
    return f"The rule {rule}, which was made in Slack, is not used: {why}."


def rules_differ(rules: Sequence[str]) -> str:
    return (
        f"Several alertbot processes run with different rules ({_listed(rules, _MOST_RULES)}). "
        "Until they agree, alerts of these rules can start and rise, but none is resolved or lowered."
    )


def rules_agree() -> str:
    return "All alertbot processes run with the same rules again."


def silence_invalid(number: int, problem: str) -> str:
    return (
        f"Silence {number} is not valid and mutes nothing: {problem}. "
        "What it was made for is sent; end it and make a new one."
    )


# --- the clock and the database


def clock_set_forward(by: timedelta) -> str:
    return f"The clock was set forward by {format_duration(by)}. Alertbot follows it, and deletes no old readings for a day."


def clock_set_right(by: timedelta) -> str:
    """The clock had been ahead for a while; `by` is 0 where this process did not see it set back."""
    begins = f"The clock was set back by {format_duration(by)}" if by else "The clock was ahead and was set back"
    return f"{begins}. Readings and alerts of the time in which it was wrong were dated back."


def clock_set_back(by: timedelta, *, ahead: timedelta) -> str:
    """The clock had been right; our time is `ahead` of it now."""
    return (
        f"The clock was set back by {format_duration(by)}. Nothing stops: alertbot's time is {format_duration(ahead)} "
        "ahead, and runs a little slower until the clock has caught up."
    )


def database_works(*, lasted: timedelta) -> str:
    return f"The database can be used again, after {format_duration(lasted)}. What grew meanwhile is counted now."


def _clock_time(moment: datetime) -> str:
    return f"{moment:%H:%M} UTC"


def _listed(names: Sequence[str], most: int) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
