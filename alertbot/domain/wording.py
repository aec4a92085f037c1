"""Alerts in sentences, for every place where people read them: messages, threads, tables, the terminal."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from fractions import Fraction

from alertbot.domain.alerts import Alert, State
from alertbot.domain.times import tell_duration

MOST_ROWS = 12  # alerts that a message shows one by one; all of them are in its thread as a file


def write_amount(amount: Fraction | int | None, unit: str = "") -> str:
    """A number for people with its unit: `1,204 violations`, `2.5 %`, `48 s`; exact where it is a whole number."""
    if amount is None:
        return "unknown"
    if unit == "%":
        return f"{_rounded(Fraction(amount) * 100, 3)} %"
    number = Fraction(amount)
    text = f"{number.numerator:,}" if number.denominator == 1 else _rounded(number, 4)
    if unit == "×":
        return f"{text}×"
    one = {
        "calls": "call",
        "violations": "violation",
        "blocks": "block",
        "tokens": "token",
        "policy alerts": "policy alert",
    }
    word = one.get(unit, unit) if number == 1 else unit
    return f"{text} {word}".rstrip()


def _rounded(number: Fraction, digits: int) -> str:
    """A number to so many digits, and to a whole one where that is longer: never in powers of ten."""
    return f"{round(number):,}" if abs(number) >= 10 ** (digits - 1) else f"{float(number):.{digits}g}"


def name_of(alert: Alert) -> str:
    """What the alert is about: the configuration's name, or the narrowest thing its series stands for."""
    return name_from(alert.labels)


def name_from(labels: Mapping[str, str]) -> str:
    """What a series with these labels is called."""
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
        return f"no reading for {tell_duration_of(amount)}"
    return f"{write_amount(amount, alert.unit)} {alert.over}".rstrip()


def tell_duration_of(seconds: Fraction | None) -> str:
    """A number of seconds in words."""
    return tell_duration(timedelta(seconds=float(seconds or 0)))


def limit(alert: Alert) -> str:
    """The threshold in words: `above 5`."""
    if alert.threshold is None:
        return ""
    if alert.kind == "absence":
        return "" if alert.unit != "s" else f"limit {tell_duration_of(alert.threshold)}"
    if alert.kind == "budget":
        return f"{write_amount(alert.threshold)} is the limit"
    return f"{alert.comparison} {write_amount(alert.threshold, '%' if alert.unit == '%' else '')}"


def headline(alert: Alert) -> str:
    """One line that says what, where and how much: `9 violations in 15 min on support-chat (acme)`."""
    source = alert.labels.get("source", "")
    where = name_of(alert)
    place = where if not source or source == where else f"{where} ({source})"
    amount = alert.peak if alert.state is State.RESOLVED else alert.value
    return f"{measure(alert, amount)} on {place}"


def short_id(alert_or_group: int, letter: str = "A") -> str:
    """`A42` for an alert, `G17` for a message."""
    return f"{letter}{alert_or_group}"


def lasted(alert: Alert, now: datetime) -> str:
    """How long an alert has fired, or did: `17 min`."""
    if alert.started_at is None:
        return ""
    return tell_duration((alert.resolved_at or now) - alert.started_at)
