"""Who acknowledged an alert, as messages, answers, details and Home say it."""

from collections.abc import Sequence

from alertbot.domain.alerts import Alert, State
from alertbot.slack.views.text import mention_user, slack_date


def taker_of(alert: Alert) -> str:
    """Who has acknowledged an alert, or had before it got worse; empty where nobody has."""
    if alert.acknowledged_at is not None:
        return mention_user(alert.acknowledged_by)
    if alert.taken_at is not None:
        return f"{mention_user(alert.taken_by)} acknowledged it {slack_date(alert.taken_at)}, before it got worse"
    return ""


def no_longer_taken(alerts: Sequence[Alert]) -> list[str]:
    """Who had acknowledged alerts that fire and got worse since: one line a person, with the newest acknowledgement."""
    broken = [alert for alert in alerts if alert.taken_at is not None and alert.state is State.FIRING]
    newest = {
        alert.taken_by: alert for alert in sorted(broken, key=lambda alert: alert.taken_at or alert.pending_since)
    }
    return [taker_of(alert) for _, alert in sorted(newest.items())]
