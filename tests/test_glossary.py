"""One word per thing: the names that docs/glossary.md replaced do not come back."""

import io
import re
import tokenize
from pathlib import Path

import alertbot

PACKAGE = Path(alertbot.__file__).parent
GLOSSARY = Path(__file__).parents[1] / "docs" / "glossary.md"
RETIRED = {  # names, and what they are called now
    "Act": "Action",
    "Acted": "ActionResult",
    "Asker": "Viewer",
    "Board": "HomeData",
    "Came": "FetchOutcome",
    "Collector": "Worker",
    "Combination": "LabelSet",
    "Curve": "ChartSeries",
    "Desk": "RequestContext",
    "Exchanged": "NewTokens",
    "Face": "AlertMessage",
    "Fall": "CounterReset",
    "Gatherer": "EvidenceWorker",
    "Given": "Credentials",
    "Grammar": "RuleParser",
    "Issued": "TokenResponse",
    "Leaders": "TopN",
    "Listing": "ViolationReport",
    "LooksBack": "PointsSource",
    "Notice": "Notification",
    "Outage": "DatabaseOutage",
    "Parts": "Role",
    "Past": "Histories",
    "Place": "MessageRef",
    "Plane": "Dataset",
    "Polled": "PollOutcome",
    "Polling": "FeedPoll",
    "Reads": "ValueType",
    "Sight": "AccessScope",
    "Sign": "MatchType",
    "Span": "Resolution, or TimeRange",
    "TokenKeeper": "TokenRefresher",
    "Told": "NotifiedState",
    "Trial": "BacktestResult",
    "Trouble": "OperatorAlert",
    "Unfit": "Mismatch",
    "Unusable": "InvalidValue",
    "WAIVED": "NOT_NEEDED",
    "Watch": "EvaluationContext",
    "Where": "Selector",
    "Why": "NotifyReason",
    "Written": "RawScalar",
    "complaint": "error_response",
    "divert": "reroute",
    "enroll": "assign_to_groups",
    "hold_on": "renew_leases",
    "hurry": "retry_now",
    "refrain": "stop_claiming",
    "speak": "notify_groups",
    "stand_alone": "post_to_channel",
    "take_over": "release_stale_claims",
    "tell_operators": "notify_operators",
    "understood": "expand_aliases",
    "watch_over": "check_stalled",
}
PARTS = {  # of names, in whatever they are built into
    "combination": "label_set",
    "combinations": "label_sets",
    "curve": "chart_series",
    "desk": "context",
    "face": "message",
    "gathering": "evidence_fetch",
    "gatherings": "evidence_fetches",
    "hushed": "muted",
    "notice": "notification",
    "notices": "notifications",
    "plane": "dataset",
    "planes": "datasets",
}
VERBS = {"tell_": "format_, or report_", "write_moment": "format_moment", "write_usd": "format_usd"}


def names() -> dict[str, str]:
    """Every name in the code, with one place where it stands. The simulators speak the language of what they simulate."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "demo" in path.parts:
            continue
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
            if token.type == tokenize.NAME:
                found.setdefault(token.string, f"{path.relative_to(PACKAGE)}:{token.start[0]}")
    return found


def test_no_retired_name_is_used() -> None:
    used = names()
    assert len(used) > 2000
    old = {f"{used[name]}: {name}": new for name, new in RETIRED.items() if name in used}
    for name, place in used.items():
        old |= {f"{place}: {name}": new for part, new in PARTS.items() if part in name.strip("_").split("_")}
        old |= {f"{place}: {name}": new for verb, new in VERBS.items() if name.startswith(verb)}
    assert old == {}


def test_the_glossary_has_forty_words_and_each_its_sentence() -> None:
    rows = re.findall(r"^\| ([a-z][\w ,]*|LLM) \| (.+?) \| .*\|$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE)
    rows = [(word, meaning) for word, meaning in rows if word != "word"]
    assert len(rows) >= 40
    assert [word for word, meaning in rows if not meaning.endswith(".")] == []
