"""What a silence would mute, before it is made."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from alertbot.domain.alerts import labels_with_severity
from alertbot.domain.points import Dataset
from alertbot.domain.reports import SilencePreview
from alertbot.domain.rules import Rule
from alertbot.domain.silences import Matcher, Silence, muted_llms, needs_points
from alertbot.domain.visibility import FULL_ACCESS, AccessScope
from alertbot.queries.alert_list import list_alerts
from alertbot.store import configurations, points
from alertbot.store.database import Database


def preview_silence(
    database: Database,
    matchers: Sequence[Matcher],
    *,
    rules: Sequence[Rule],
    intervals: Mapping[str, timedelta],
    now: datetime,
    access: AccessScope = FULL_ACCESS,
) -> SilencePreview:
    """What a silence with these matchers mutes now: open alerts, and LLMs of the sources in `intervals`."""
    silence = Silence(tuple(matchers), now, now, author="")
    open_alerts = [row.alert for row in list_alerts(database, access=access)]
    muted = [alert for alert in open_alerts if silence.covers(labels_with_severity(alert), now)]
    with database.reading() as tx:
        members = list(configurations.members(tx, intervals).values())
        if needs_points(matchers):
            members += [
                member
                for dataset in (Dataset.AI, Dataset.STORAGE)
                for member in points.members(tx, intervals, dataset).values()
            ]
    return SilencePreview(muted, len(open_alerts), len(muted_llms(matchers, rules, members)))
