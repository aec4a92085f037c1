"""How much a route lets people, repositories, keys and hosts be named: labels and series → the same, as they may be told."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b

from alertbot.domain.alerts import Alert
from alertbot.domain.evidence import Privacy, abbreviate
from alertbot.domain.history import Series

# The dimensions whose values name people, or lead to them. A host may be somebody's own machine.
PERSONAL = ("user", "repo", "api_key", "host")
NAMES_ALL: Mapping[str, Privacy] = {}  # by source: nothing is kept back at any


def redact_alert(alert: Alert, privacy: Privacy) -> Alert:
    """The alert as it may be told: two of different people can still be told apart. For showing only, never for saving."""
    labels = redact_labels(alert.labels, privacy)
    if labels is alert.labels:
        return alert
    return replace(alert, labels=labels, series=_redact_key(alert.series, alert.labels, labels))


def redact_series(series: Series, privacy: Privacy) -> Series:
    """The series as it may be told, under a key that names nobody either."""
    labels = redact_labels(series.labels, privacy)
    if labels is series.labels:
        return series
    return series._replace(key=_redact_key(series.key, series.labels, labels), labels=labels)


def redact_labels(labels: Mapping[str, str], privacy: Privacy) -> Mapping[str, str]:
    """The labels as they may be told; the same object where nothing has to be kept back."""
    named = [] if privacy is Privacy.FULL else [label for label in PERSONAL if labels.get(label)]
    if not named:
        return labels
    told = {label: value for label, value in labels.items() if label not in {f"{name}_name" for name in named}}
    for label in named:
        name = labels.get(f"{label}_name", "")
        told[label] = alias(labels.get("source", ""), label, labels[label], name=name, privacy=privacy)
    return told


def alias(source: str, dimension: str, identity: str, *, name: str, privacy: Privacy) -> str:
    """What stands for the value of a personal dimension.

    `masked` tells what it tells of evidence: initials and the end of the id. `counts`, and `masked` where the id is too
    short for that, tell six digits that are the same whenever it is the same person.
    """
    if privacy is Privacy.MASKED and dimension != "host" and (short := abbreviate(name, identity)):
        return short
    return blake2b(f"{source}/{dimension}={identity}".encode(errors="surrogatepass"), digest_size=3).hexdigest()


def _redact_key(key: str, labels: Mapping[str, str], told: Mapping[str, str]) -> str:
    """Keys of these dimensions are `acme/user=ana`: see history.group."""
    for label in PERSONAL:
        end = f"/{label}={labels.get(label, '')}"
        if labels.get(label) and key.endswith(end):
            return f"{key.removesuffix(end)}/{label}={told[label]}"
    return key
