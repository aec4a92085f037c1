"""What would have come of a rule on what is stored: the alerts that it would have raised, and how far that can be relied on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alertbot.domain.rules import Severity
from alertbot.domain.times import tell_duration

_SERIES = {"ai_llm": "configuration", "repo": "repository", "api_key": "API key"}


@dataclass(frozen=True, slots=True)
class TrialAlert:
    """One alert that there would have been; `ended_at` is None where it would fire still."""

    series: str
    name: str
    severity: Severity
    started_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of trying a rule from `start` to `end`, looking at `looked` of `readings`; `problem` says why it cannot be tried."""

    per: str
    start: datetime
    end: datetime
    looked: int = 0
    readings: int = 0
    alerts: tuple[TrialAlert, ...] = ()
    wanted: timedelta = timedelta(days=1)
    problem: str = ""

    def lasted(self, alert: TrialAlert) -> timedelta:
        return (alert.ended_at or self.end) - alert.started_at


def tell_trial(trial: Trial) -> list[str]:
    """What came of it in sentences: first how often, then what has to be known of that."""
    if trial.problem:
        return [trial.problem]
    past = trial.end - trial.start
    # What is stored begins up to an interval after the day does.
    when = trial.wanted if trial.wanted - past < trial.wanted / 20 else past
    over = f"On the last {'24 hours' if when == timedelta(days=1) else tell_duration(when)}"
    told = [f"{over}: {_tell_alerts(trial)}"]
    if trial.looked < trial.readings:
        told.append(
            f"Looked at {trial.looked} of {trial.readings} readings, evenly spread: what was shorter than the time between"
            " two of them may be missing."
        )
    if when < trial.wanted:
        told.append("Nothing older is stored.")
    return told


def _tell_alerts(trial: Trial) -> str:
    if not trial.alerts:
        return "no alert."
    count = "1 alert" if len(trial.alerts) == 1 else f"{len(trial.alerts)} alerts"
    series = {alert.series for alert in trial.alerts}
    word = _SERIES.get(trial.per, trial.per)
    if trial.per == "all":
        where = ""
    elif len(series) == 1:
        where = f", on {trial.alerts[0].name}"
    else:
        where = f", on {len(series)} {word.removesuffix('y') + 'ies' if word.endswith('ory') else word + 's'}"
    longest = tell_duration(max(trial.lasted(alert) for alert in trial.alerts))
    lasted = f"the longest {longest}" if len(trial.alerts) > 1 else f"for {longest}"
    firing = sum(alert.ended_at is None for alert in trial.alerts)
    now = "" if not firing else f", {firing} of them now" if len(trial.alerts) > 1 else ", and still now"
    return f"{count}{where}, {lasted}{now}."


def worst_of(trial: Trial, *, most: int) -> Sequence[TrialAlert]:
    """The longest ones, those of critical severity first."""
    order = sorted(trial.alerts, key=lambda alert: (-alert.severity.rank, -trial.lasted(alert)))
    return order[:most]
