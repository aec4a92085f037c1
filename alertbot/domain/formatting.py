"""Alerts in sentences, for every place where people read them: messages, threads, tables, the terminal."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction

from alertbot.domain.alerts import Alert, State
from alertbot.domain.rules import Severity
from alertbot.domain.times import format_duration

MOST_ROWS = 12  # alerts that a message shows one by one; all of them are in its thread as a file


_MONEY = frozenset({"USD", "spend_usd"})
_CENT = Fraction(1, 100)
_SMALLEST = Decimal("0.0001")  # where digits behind the point would tell nobody anything
_SINGULARS = {
    "calls": "call",
    "violations": "violation",
    "blocks": "block",
    "tokens": "token",
    "policy alerts": "policy alert",
}
_SHORTEST_ID = 4  # characters


def id_endings(named: Sequence[tuple[str, str]]) -> list[str]:
    """For each (name, id) what tells it from others of its name: the end of its id such as ` …4f1c`, empty where no other is."""
    together: dict[str, set[str]] = {}
    for name, identity in named:
        together.setdefault(name, set()).add(identity)
    return [_ending(identity, together[name]) if len(together[name]) > 1 else "" for name, identity in named]


def _ending(identity: str, all_ids: Collection[str]) -> str:
    longest = max(map(len, all_ids))
    telling = (
        length for length in range(_SHORTEST_ID, longest) if len({one[-length:] for one in all_ids}) == len(all_ids)
    )
    return f" …{identity[-next(telling, longest) :]}"


_LINE_ENDS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")


def format_amount(amount: Fraction | int | None, unit: str = "") -> str:
    """A number for people with its unit: `1,204 violations`, `2.5 %`, `48 s`, `$12.50`; exact where it is whole."""
    if amount is None:
        return "unknown"
    number = Fraction(amount)
    if unit == "%":
        return f"{_rounded(number * 100, 3)} %"
    if unit in _MONEY:
        return _dollars(number)
    text = _rounded(number, 4)
    if unit == "×":
        return f"{text}×"
    word = _SINGULARS.get(unit, unit) if number == 1 else unit
    return f"{text} {word}".rstrip()


def _rounded(number: Fraction, digits: int) -> str:
    """A number to so many digits, and to a whole one where that is longer: never in powers of ten."""
    if number.denominator == 1 or abs(number) >= 10 ** (digits - 1):
        return f"{round(number):,}"
    with localcontext() as context:
        context.prec = digits
        rounded = Decimal(number.numerator) / Decimal(number.denominator)
    return f"{rounded.normalize():,f}" if abs(rounded) >= _SMALLEST else "almost 0"


def _dollars(number: Fraction) -> str:
    """To the cent; what is less than that to two digits."""
    sign, size = "-" if number < 0 else "", abs(number)
    if size < _CENT or size.denominator == 1:
        return f"{sign}${_rounded(size, 2)}"
    dollars, cents = divmod(round(size * 100), 100)
    return f"{sign}${dollars:,}.{cents:02}"


def name_of(alert: Alert) -> str:
    """What the alert is about: the configuration's name, or the narrowest thing its series stands for."""
    return name_from(alert.labels)


def name_from(labels: Mapping[str, str]) -> str:
    """What a series with these labels is called; as it was given to it, but on one line."""
    return _LINE_ENDS.sub(" ", _name(labels))


def _name(labels: Mapping[str, str]) -> str:
    for label in ("name", "ai_llm"):
        if labels.get(label):
            return labels[label]
    for label in ("model", "user", "api_key", "repo", "host", "provider", "workspace"):
        named = labels.get(f"{label}_name") or labels.get(label)
        if named:
            return f"{label} {named}"
    return labels.get("source", "everything")


def measure(alert: Alert, amount: Fraction | None) -> str:
    """An amount in the alert's unit and window: `9 violations in 15 min`."""
    if alert.kind == "absence" and alert.unit == "s":
        return f"no reading for {format_duration_of(amount)}"
    return f"{format_amount(amount, alert.unit)} {alert.over}".rstrip()


def worst(alert: Alert) -> str:
    """How bad it was: `peak 9 violations in 15 min`, `lowest 3 calls in 1 h`, `longest gap 11 min`."""
    if alert.kind == "absence" and alert.unit == "s":
        return f"longest gap {format_duration_of(alert.peak)}"
    word = "lowest" if alert.comparison in {"below", "at most"} else "peak"
    return f"{word} {measure(alert, alert.peak)}"


def format_duration_of(seconds: Fraction | None) -> str:
    """A number of seconds in words."""
    return format_duration(timedelta(seconds=float(seconds or 0)))


def limit(alert: Alert) -> str:
    """The threshold in words: `above 5`."""
    if alert.threshold is None:
        return ""
    if alert.kind == "absence":
        return "" if alert.unit != "s" else f"limit {format_duration_of(alert.threshold)}"
    unit = alert.unit if alert.unit in {"%", "×", *_MONEY} else ""
    if alert.kind == "budget":
        return _of_budget(alert, unit)
    return f"{alert.comparison} {format_amount(alert.threshold, unit)}"


def _of_budget(alert: Alert, unit: str) -> str:
    """How much of a budget is used: `of 50,000,000 (80 %)`."""
    if not alert.amount:
        return f"at least {format_amount(alert.threshold, unit)}"
    used = alert.peak if alert.state is State.RESOLVED else alert.value
    return f"of {format_amount(alert.amount, unit)} ({int((used or 0) * 100 / alert.amount):,} %)"


def headline(alert: Alert) -> str:
    """One line that says what, where and how much: `9 violations in 15 min on support-chat (acme)`."""
    source = _LINE_ENDS.sub(" ", alert.labels.get("source", ""))
    where = name_of(alert)
    place = where if not source or source == where else f"{where} ({source})"
    amount = alert.peak if alert.state is State.RESOLVED else alert.value
    return f"{measure(alert, amount)} on {place}"


def shown_severity(alert: Alert) -> Severity:
    """How bad an alert is; of one that has ended, how bad it was at its worst."""
    return alert.severity if alert.state.is_open else alert.worst


def severity_order(alert: Alert) -> tuple[int, int, Fraction]:
    """What alerts are sorted by: firing before ended, the worst first, then the largest."""
    return (alert.state is not State.FIRING, -shown_severity(alert).rank, -(alert.peak or Fraction(0)))


def format_severity(alert: Alert) -> str:
    """How bad an alert is in words, with how bad it was: `warning (was critical)`."""
    shown = shown_severity(alert)
    return shown.value if shown is alert.worst else f"{shown} (was {alert.worst})"


def lasted(alert: Alert, now: datetime) -> str:
    """How long an alert has fired, or did: `17 min`."""
    if alert.started_at is None:
        return ""
    return format_duration((alert.resolved_at or now) - alert.started_at)
