"""Evidence is fetched when the counts call for it, shown with the alert, and held against the counts."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from alertbot.domain.evidence import Evidence, EvidenceKind, Privacy, ViolationQuery, parse_violation_query
from alertbot.domain.routes import Route
from alertbot.domain.snapshots import Configuration
from alertbot.domain.windows import Window
from alertbot.errors import (
    FlashbackBusy,
    FlashbackError,
    FlashbackForbidden,
    FlashbackMissing,
    FlashbackUnavailable,
    UsageError,
)
from alertbot.flashback.evidence_pages import EvidenceFound
from alertbot.flows.fetch_evidence import EvidenceFetch, FetchOutcome, fetch_evidence
from alertbot.flows.retention import Retention, apply_retention
from alertbot.queries.status import status_report
from alertbot.queries.violations import Behind, behind, violations
from alertbot.store import evidence, evidence_fetches
from alertbot.store.database import Database
from tests.builders import MINUTE, at, minutes, rule, threshold
from tests.captured_log import CapturedLog, captured_log
from tests.fakes import describe
from tests.flows.scene import AT_ONCE, CHANNEL, Scene, Written

VIOLATION, ALERT = EvidenceKind.VIOLATION, EvidenceKind.ALERT
ENDPOINTS = {VIOLATION: "/policy/violations", ALERT: "/policy/alerts"}
COUNTERS = {VIOLATION: "policy_violations", ALERT: "policy_alerts"}


class Shelf:
    """What a server lists. `asked` are the questions: `5 violation since -5`."""

    def __init__(self, scene: "Case") -> None:
        self.entries: list[Evidence] = []
        self.asked: list[str] = []
        self.errors: dict[EvidenceKind, FlashbackError] = {}
        self.most = 1_000_000
        self.unreadable = 0
        self.policy_names: dict[str, str] = {}
        self.policies_wrong: FlashbackError | None = None
        self._scene = scene

    def asked_for(self, kind: EvidenceKind) -> list[str]:
        """The minutes at which it was asked."""
        return [line.split()[0] for line in self.asked if f" {kind} " in line]

    def violations(self, *, since: datetime, within: timedelta) -> EvidenceFound:
        return self._list(VIOLATION, since)

    def policy_alerts(self, *, since: datetime, within: timedelta) -> EvidenceFound:
        return self._list(ALERT, since)

    def policies(self) -> dict[str, str]:
        self.asked.append(f"{(self._scene.now - at(0)) / MINUTE:g} policies")
        if self.policies_wrong is not None:
            raise self.policies_wrong
        return self.policy_names

    def _list(self, kind: EvidenceKind, since: datetime) -> EvidenceFound:
        minute, back = (self._scene.now - at(0)) / MINUTE, (since - at(0)) / MINUTE
        self.asked.append(f"{minute:g} {kind} since {back:g}")
        if kind in self.errors:
            raise self.errors[kind]
        found = [one for one in self.entries if one.kind is kind and since <= one.at <= self._scene.now]
        found.sort(key=lambda one: one.at, reverse=True)
        return EvidenceFound(tuple(found[: self.most]), len(found) <= self.most, self.unreadable)

    def add(self, minute: float, count: int = 1, **more: Any) -> None:
        """So many violations at a minute, unless said otherwise."""
        plain: dict[str, Any] = {"kind": VIOLATION, "policy_name": "PII", "user_name": "Ana Ruiz", "repo": "llm-1-repo"}
        plain |= {"model": "gpt-4o", "explanation": "a card number"}
        new = [Evidence(f"{len(self.entries) + turn}", at=at(minute), **(plain | more)) for turn in range(count)]
        self.entries += new


class Case:
    """A scene whose evidence is gathered after each poll."""

    def __init__(self, database: Database, drawn: Written, *, route: Route = AT_ONCE, **more: Any) -> None:
        self.scene = Scene(database, drawn, rule(), routes=[route], **more)
        self.pace = int(self.scene.interval / MINUTE)
        for name, player in self.scene.players.items():
            known = [key.split("/")[1] for key in (drawn if isinstance(drawn, dict) else {"acme/llm-1": ""})]
            player.described[0] = tuple(
                Configuration(ai_llm, ai_llm.upper(), repos=((f"{ai_llm}-repo", ai_llm),)) for ai_llm in known
            )
            assert name == "acme"
        self.database = database
        self.shelf = Shelf(self)
        self.came: list[FetchOutcome] = []
        self.restart()

    @property
    def now(self) -> datetime:
        return self.scene.now

    def restart(self) -> None:
        self.evidence_fetch = EvidenceFetch("acme", self.shelf, self.scene.context.rules)

    def until(self, minute: int) -> "Case":
        first = int((self.now - at(0)) / MINUTE) + self.pace if self.came else 0
        for turn in range(first, minute + 1, self.pace):
            self.scene.until(turn)
            self.gather()
        self.scene.send()
        return self

    def gather(self) -> FetchOutcome:
        self.came.append(fetch_evidence(self.database, self.evidence_fetch, owner="me", clock=lambda: self.now))
        return self.came[-1]

    def kept(self) -> int:
        with self.database.reading() as tx:
            state = evidence_fetches.state(tx, "acme")
            return (
                0
                if state is None
                else sum(evidence.count(tx, state.source, kind, at(-10_000)) for kind in EvidenceKind)
            )

    def doubt(self) -> str:
        report = status_report(
            self.database,
            version="1",
            intervals=self.scene.context.intervals,
            blind_after={"acme": minutes(5)},
            now=self.now,
        )
        return report.sources[0].doubt

    def shown(self) -> Any:
        alert_message = self.scene.slack.only.alert_message
        assert alert_message is not None
        return alert_message.evidence

    def behind(self, **more: Any) -> Behind:
        return behind(self.database, 1, self.scene.alerts(), self.scene.context.rules, **more)


def drawn(violations: str, **more: str) -> dict[str, dict[str, str]]:
    return {"acme/llm-1": {"policy_violations": violations, **more}}


@pytest.fixture
def logged() -> Iterator[CapturedLog]:
    with captured_log() as log:
        yield log


def events(log: CapturedLog, name: str) -> list[dict[str, Any]]:
    return [line for line in log.lines() if line["event"] == name]


# --- when it is asked for


def test_evidence_is_asked_for_at_first_and_then_when_the_counts_have_grown(sqlite):
    case = Case(sqlite, drawn("0 0 3 3 3 4", policy_alerts="0 0 0 1"))
    case.shelf.add(1.5, 3)
    case.shelf.add(2.5, kind=ALERT)
    case.shelf.add(4.5)
    case.until(8)
    assert case.shelf.asked == [
        "0 violation since -2880",
        "0 alert since -2880",
        "2 violation since -2878",  # nothing was known of yet
        "3 alert since -2877",
        "5 violation since -8.5",
    ]
    assert case.kept() == 5


def test_a_policy_that_the_list_names_by_its_id_only_is_called_what_people_call_it(sqlite):
    case = Case(sqlite, drawn("0 9 9 12"))
    case.shelf.policy_names = {"p-1": "No customer PII"}
    case.shelf.add(0.5, 9, policy="p-1", policy_name="")
    case.shelf.add(0.5, policy="p-2", policy_name="Secrets")
    case.until(2)
    assert [(one.name, one.count) for one in case.shown().policies.first] == [("No customer PII", 9), ("Secrets", 1)]
    case.shelf.add(2.5, 2, policy="p-1", policy_name="")
    case.shelf.add(2.5, policy="p-3", policy_name="")
    case.until(4)
    assert [line for line in case.shelf.asked if "policies" in line] == ["1 policies"], (
        "those that are unknown are asked for once an hour"
    )


def test_evidence_counts_though_the_names_of_policies_do_not_come(sqlite):
    case = Case(sqlite, drawn("0 9"))
    case.shelf.policies_wrong = FlashbackForbidden("the access token may not read /policy (403)", endpoint="/policy")
    case.shelf.add(0.5, 9, policy="p-1", policy_name="")
    case.until(2)
    assert [(one.name, one.count) for one in case.shown().policies.first] == [("p-1", 9)]


def test_what_is_listed_later_than_it_is_counted_is_asked_for_until_it_is_there(sqlite):
    case = Case(sqlite, drawn("0 0 3"))
    case.until(4)
    assert len(case.shelf.asked) == 5
    case.shelf.add(1.5, 3)
    case.until(9)
    assert case.kept() == 3
    assert len(case.shelf.asked) == 6


def test_a_list_that_lacks_something_for_long_is_asked_for_seldom_and_from_further_back(sqlite):
    case = Case(sqlite, drawn("0x10 3"), interval=minutes(2))
    case.until(40)
    before = case.shelf.asked_for(VIOLATION)
    case.until(58)
    assert case.shelf.asked_for(VIOLATION)[len(before) :] == ["44", "50", "56"]
    case.shelf.add(20.5, 2)  # dated further back than what was read last
    case.until(64)
    assert case.kept() == 2


def test_where_nothing_is_counted_the_list_is_asked_for_now_and_then(sqlite):
    case = Case(sqlite, drawn("?"))
    case.until(14)
    assert case.shelf.asked_for(VIOLATION) == ["0", "5", "10"]


def test_where_nothing_is_counted_but_an_alert_fires_the_list_is_asked_for_each_minute(sqlite):
    case = Case(sqlite, drawn("?", policy_alerts="0 0 0 9"))
    case.scene.restart(rules=[rule(replace(threshold(above=5), metric="policy_alerts"))])
    case.restart()
    case.until(6)
    assert case.shelf.asked_for(VIOLATION) == ["0", "3", "4", "5", "6"]


def test_nobody_asks_while_somebody_else_does(sqlite):
    case = Case(sqlite, drawn("0 9"))
    case.scene.until(1)
    with sqlite.transaction() as tx:
        assert evidence_fetches.claim(tx, "acme", owner="another", lease=minutes(2), now=case.now) is not None
    assert case.gather() is FetchOutcome.TAKEN
    assert case.shelf.asked == []


# --- what goes wrong


def test_a_server_without_lists_is_told_once_and_asked_again_after_an_hour(sqlite, logged):
    case = Case(sqlite, drawn("0+1x200"), interval=minutes(10))
    case.shelf.errors = {
        VIOLATION: FlashbackMissing("this server has no /policy/violations (404)", endpoint="/policy/violations"),
        ALERT: FlashbackForbidden("the access token may not read /policy/alerts (403)", endpoint="/policy/alerts"),
    }
    case.until(70)
    assert case.came[0] is FetchOutcome.MISSING
    assert case.shelf.asked_for(VIOLATION) == ["0", "60"]
    assert [event["error"] for event in events(logged, "evidence_missing")] == [
        "this server has no /policy/violations (404)",
        "the access token may not read /policy/alerts (403)",
    ]
    assert case.doubt() == ""
    case.shelf.errors.clear()
    case.shelf.add(119.5)
    case.until(120)
    assert case.kept() == 1


FAILURES = {
    "unavailable": (FlashbackUnavailable("no answer", endpoint="/policy/violations"), 1),
    "busy for a while": (FlashbackBusy("429", endpoint="/policy/violations", retry_after=180), 3),
    "busy": (FlashbackBusy("429", endpoint="/policy/violations", retry_after=None), 1),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_tried_again_after_a_pause_and_nothing_is_lost(sqlite, logged, name):
    error, pause = FAILURES[name]
    case = Case(sqlite, drawn("0 3"))
    case.until(0)
    case.shelf.add(0.5, 3)
    case.shelf.errors[VIOLATION] = error
    case.until(1)
    assert case.came[-1] is FetchOutcome.FAILED
    assert len(events(logged, "evidence_not_read")) == 1
    case.shelf.errors.clear()
    case.scene.is_feed_poll = False
    for turn in range(2, 2 + pause):
        case.scene.until(turn - 0.01)
        assert case.gather() is FetchOutcome.TAKEN
        case.scene.until(turn)
    assert case.gather() is FetchOutcome.FETCHED
    assert case.kept() == 3


def test_the_totals_wait_too_when_the_quota_is_used_up(sqlite):
    case = Case(sqlite, drawn("0 3 4"))
    case.until(0)
    case.shelf.errors[VIOLATION] = FlashbackBusy("429", endpoint="/policy/violations", retry_after=90)
    case.until(1)
    asked = case.scene.players["acme"].asked
    case.scene.until(2)
    assert case.scene.players["acme"].asked == asked
    case.scene.until(3)
    assert case.scene.players["acme"].asked == asked + 1


def test_entries_that_cannot_be_read_are_told_once(sqlite, logged):
    case = Case(sqlite, drawn("0+1x9"))
    case.shelf.unreadable = 2
    case.until(5)
    assert [event["entries"] for event in events(logged, "evidence_unreadable")] == [4]


def test_what_came_of_a_list_that_is_too_long_is_kept_and_from_when_on_it_is_whole(sqlite):
    case = Case(sqlite, drawn("0 30"))
    case.shelf.most = 10
    for turn in range(30):
        case.shelf.add(turn / 30)
    case.until(1)
    with sqlite.reading() as tx:
        state = evidence_fetches.state(tx, "acme")
    assert state is not None
    assert state.complete_since == at(20 / 30)


# --- what people see


def test_a_message_shows_the_evidence_as_soon_as_it_is_known_and_pings_nobody_for_it(database):
    case = Case(database, drawn("0 9"))
    case.until(1)
    assert case.shown() is None
    case.shelf.add(0.5, 9)
    case.until(3)
    assert case.shown().total == 9
    assert case.shown().people.first[0].name == "Ana Ruiz"
    assert case.shown().newest.explanation == "a card number"
    assert case.scene.heard() == ["1 first"]
    assert case.scene.slack.thread(case.scene.slack.only) == []


def test_evidence_of_something_else_changes_no_message(sqlite):
    case = Case(sqlite, {"acme/llm-1": {"policy_violations": "0 9"}, "acme/llm-2": {"policy_violations": "0 0 0 2"}})
    case.shelf.add(0.5, 9)
    case.until(2)
    edits = len(case.scene.slack.only.edits)
    case.shelf.add(2.5, 2, repo="llm-2-repo")
    case.until(5)
    assert case.kept() == 11
    assert len(case.scene.slack.only.edits) == edits
    assert case.shown().total == 9


def test_a_message_that_is_over_shows_all_of_its_evidence(sqlite):
    case = Case(sqlite, drawn("0 9 9x10 18 18x40"))
    case.shelf.add(0.5, 9)
    case.shelf.add(12.5, 9)
    case.until(50)
    assert describe(case.scene.slack.only.alert_message) == "G1: A1 resolved"  # type: ignore[arg-type]
    assert case.shown().total == 18


@pytest.mark.parametrize("privacy", ["masked", "counts"])
def test_a_route_tells_no_more_than_its_privacy(sqlite, privacy):
    case = Case(sqlite, drawn("0 9"), route=Route(CHANNEL, group_wait=minutes(0), privacy=privacy))
    case.shelf.add(0.5, 9)
    case.until(3)
    told = case.behind().summary
    assert told is not None
    for shown in (case.shown(), told):
        assert shown.total == 9
        assert shown.newest is None
        assert "Ana" not in repr(shown)


def test_evidence_holds_up_no_alert(sqlite):
    case = Case(sqlite, drawn("0 9"))
    case.shelf.errors[VIOLATION] = FlashbackUnavailable("no answer", endpoint="/policy/violations")
    case.until(1)
    assert case.scene.heard() == ["1 first"]


# --- whether it agrees with the counts


def test_a_lasting_difference_is_said_once_shown_and_taken_back(sqlite, logged):
    case = Case(sqlite, drawn("0x4 9 9x200"), interval=minutes(5))
    case.shelf.add(20.5, 7)
    case.until(35)
    assert case.doubt() == ""
    case.until(60)
    told = "9 violations were counted in an hour, but only 7 are listed; the count is used"
    assert case.doubt() == told
    assert [event["why"] for event in events(logged, "evidence_differs")] == [told]
    assert case.scene.alerts()[0].peak == 9, "the count decides"
    assert case.behind().notes == (f"acme: {told}",)
    case.shelf.add(20.6, 2)
    case.until(70)
    assert case.doubt() == ""
    assert len(events(logged, "evidence_agrees")) == 1


def test_more_on_the_list_than_was_counted_is_a_difference_too(sqlite):
    case = Case(sqlite, drawn("0x4 2 2x100"), interval=minutes(5))
    case.shelf.add(22.5, 5)
    case.until(50)
    assert case.doubt() == "5 violations are listed for an hour, but only 2 were counted; the count is used"


QUIET: dict[str, tuple[str, list[tuple[float, int]]]] = {
    "the server's clock is a minute ahead": ("0x4 5 10 15 15x40", [(25.9, 5), (30.9, 5), (35.9, 5)]),
    "the counts were reset": ("40x4 3 3 3x40", [(20.5, 1)]),
    "polls were missed": ("0x4 _x5 9 9x40", [(30, 9)]),
    "it was before the first reading": ("100x60", [(-30, 100)]),
}


@pytest.mark.parametrize("name", QUIET)
def test_what_explains_itself_is_no_difference(sqlite, logged, name):
    counts, listed = QUIET[name]
    case = Case(sqlite, drawn(counts), interval=minutes(5))
    for minute, count in listed:
        case.shelf.add(minute, count)
    case.until(100)
    assert events(logged, "evidence_differs") == []


# --- look-ups and forgetting


def look_up(case: Case, wanted: ViolationQuery | None = None, **more: Any) -> Any:
    window = Window(at(0), case.now + MINUTE, "in the last hour")
    return violations(case.database, sources=["acme"], query=wanted or ViolationQuery(), window=window, **more)


@pytest.fixture
def looked_at(database: Database) -> Case:
    case = Case(database, {"acme/llm-1": {"policy_violations": "0 9"}, "acme/llm-2": {"policy_violations": "0 0 0 2"}})
    case.shelf.add(0.5, 9, severity="HIGH")
    case.shelf.add(2.5, 2, repo="llm-2-repo", user_name="Bo Chen", model="gemini")
    return case.until(3)


FILTERS = {
    "": 11,
    "user=ana*": 9,
    "user=ANA?RUIZ": 9,
    "user=ana": 0,
    "policy=pii": 11,
    "model=gemini user=bo*": 2,
    "model=gemini user=ana*": 0,
    "user=ana* user=bo*": 11,
    "ai_llm=LLM-2": 2,
    "ai_llm=llm-*": 11,
    "severity=high": 9,
    "source=ac*": 11,
}


@pytest.mark.parametrize("filters", FILTERS)
def test_violations_are_found_by_what_people_know_of_them(looked_at, filters):
    listing = look_up(looked_at, parse_violation_query(filters.split()))
    assert (listing.summary.total, len(listing.violations)) == (FILTERS[filters], FILTERS[filters])


def test_the_newest_come_first_and_all_are_counted(looked_at):
    listing = look_up(looked_at, most=3)
    assert [one.user_name for one in listing.violations] == ["Bo Chen", "Bo Chen", "Ana Ruiz"]
    assert listing.summary.total == 11
    assert listing.notes == ()


@pytest.mark.parametrize("filters", ["ai_llm=nobody", "source=globex"])
def test_a_filter_on_what_does_not_exist_is_told(looked_at, filters):
    with pytest.raises(UsageError, match="is called"):
        look_up(looked_at, parse_violation_query([filters]))


def test_a_look_up_is_as_careful_as_it_is_told_to_be(looked_at):
    of_counts = look_up(looked_at, privacy={"acme": Privacy.COUNTS})
    assert (of_counts.violations, of_counts.summary.total) == ((), 11)
    of_masked = look_up(looked_at, privacy={"acme": Privacy.MASKED})
    assert len(of_masked.violations) == 11
    for listing in (of_counts, of_masked):
        assert not any(secret in repr(listing) for secret in ("Ana Ruiz", "Bo Chen", "a card number"))
    with pytest.raises(UsageError, match="are not shown here"):
        look_up(looked_at, parse_violation_query(["user=ana*"]), privacy={"acme": Privacy.MASKED})


def test_a_look_up_says_what_is_not_known(sqlite):
    case = Case(sqlite, drawn("0"))
    assert look_up(case).notes == ("acme: no evidence has been fetched yet",)
    case.shelf.errors[VIOLATION] = FlashbackUnavailable("no answer", endpoint="/policy/violations")
    case.until(0)
    assert look_up(case).notes == ("acme: new evidence could not be fetched (no answer)",)
    case.shelf.errors[VIOLATION] = FlashbackMissing("this server has none (404)", endpoint="/policy/violations")
    case.until(2)
    assert look_up(case).notes == (
        "acme: there is no list of violations, only their count (this server has none (404))",
    )
    case.shelf.errors.clear()
    case.restart()
    case.until(3)
    long_ago = Window(at(-10_000), case.now, "in the last days")
    listing = violations(sqlite, sources=["acme"], query=ViolationQuery(), window=long_ago)
    assert listing.notes == ("acme: complete only since 2026-01-03T00:03:00Z",)


def test_evidence_is_forgotten_when_it_is_older_than_it_is_kept(sqlite):
    case = Case(sqlite, drawn("0 9"))
    case.shelf.add(-60, 2)
    case.shelf.add(0.5, 9)
    case.until(1)
    assert case.kept() == 11
    apply_retention(
        sqlite,
        Retention(minutes(10), minutes(20), minutes(60), evidence=minutes(30), audit=minutes(60)),
        ["acme"],
        now=at(5),
    )
    assert case.kept() == 9


def test_alerts_of_what_no_policy_found_have_nothing_behind_them(sqlite):
    case = Case(sqlite, drawn("0", tokens_in="0 9", tokens_out="0"))
    tokens = rule(replace(threshold(above=5), metric="tokens"))
    case.scene.restart(rules=[tokens])
    case.restart()
    case.until(2)
    assert len(case.scene.alerts()) == 1
    assert case.shown() is None
    assert case.behind() == Behind(None)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("policy=PI", 'no policy is called "PI" in this time; did you mean PII?'),
        ("policy=card", 'no policy is called "card" in this time'),
        ("user=ruiz", 'no user is called "ruiz" in this time; did you mean Ana Ruiz?'),
        ("model=gpt4o", 'no model is called "gpt4o" in this time; did you mean gpt-4o?'),
    ],
)
def test_a_filter_that_fits_no_name_is_answered_with_the_nearest(looked_at: Case, asked: str, told: str) -> None:
    assert look_up(looked_at, parse_violation_query([asked])).notes[0] == told


def test_a_filter_that_fits_a_name_is_no_slip_though_nothing_is_found(looked_at: Case) -> None:
    assert look_up(looked_at, parse_violation_query(["policy=pii", "model=gemini", "severity=HIGH"])).notes == ()
