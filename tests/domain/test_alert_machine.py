"""The life of an alert as a state machine: whatever is seen and done in whatever order, what is promised of it holds.

The machine keeps nothing of an alert but the findings of its series, and says from these alone how it has to stand.
"""

from dataclasses import asdict
from datetime import datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alertbot.domain.alerts import Action, ActionType, Alert, Outcome, Reason, State, Transition, act_on, advance, close
from alertbot.domain.findings import Finding, Verdict
from alertbot.domain.rules import Rule, Severity
from tests.builders import START, minutes, saw
from tests.builders import rule as rule_of

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
FINDINGS = {
    "true": saw(value=6),
    "critical": saw(value=21, severity=CRITICAL),
    "false": saw(Verdict.FALSE, value=1),
    "not yet clear": saw(Verdict.FALSE, value=4, stays=True)._replace(severity=WARNING),
    "unknown": saw(Verdict.UNKNOWN, value=None),
}


class Life(RuleBasedStateMachine):
    judged: Rule
    alert: Alert | None = None  # the open one
    now: datetime = START
    true_since: datetime | None = None  # the first true finding after the last false one
    false_since: datetime | None = None  # of a firing alert: the first false finding after the last true one
    expected: State = State.NONE
    severity: Severity | None = None
    taken: bool = False

    @initialize(hold=st.integers(0, 3), keep_firing=st.integers(0, 3))
    def a_rule_is_written(self, hold: int, keep_firing: int) -> None:
        self.judged = rule_of(hold=f"{hold}m", keep_firing=f"{keep_firing}m")

    @rule(seen=st.sampled_from(sorted(FINDINGS)), later=st.integers(1, 4))
    def a_reading_is_judged(self, seen: str, later: int) -> None:
        self.now += minutes(later)
        before, finding = self.alert, FINDINGS[seen]
        told = advance(self.judged, self.alert, finding, self.now)
        self.take(told)
        self.expect(seen, finding)
        if seen == "unknown":
            assert told == ()
        for change in told:
            assert change.before is (State.NONE if before is None else before.state)
            assert (change.at, change.finding) == (self.now, finding)
            if change.reason in {Reason.BECAME_TRUE, Reason.HELD}:
                assert finding.verdict is Verdict.TRUE
                assert change.alert.started_at == self.now
        assert advance(self.judged, self.alert, finding, self.now) == (), "said twice"

    def take(self, told: tuple[Transition, ...]) -> None:
        assert len(told) <= 1, "only a budget's period ends one alert and begins another at once"
        for change in told:
            self.alert = change.alert if change.alert.state.is_open else None

    def expect(self, seen: str, finding: Finding) -> None:
        """How the alert has to stand after this finding, by the promises alone."""
        if seen == "unknown":
            return
        fires = self.expected is State.FIRING
        holds = finding.verdict is Verdict.TRUE or (fires and finding.stays)
        self.true_since = (self.true_since or self.now) if holds else None
        self.false_since = None if holds or not fires else (self.false_since or self.now)
        if self.true_since is not None and finding.severity is not None:
            rose = self.severity is not None and finding.severity.rank > self.severity.rank
            self.taken = self.taken and not (fires and rose)
            self.severity = finding.severity
            held = fires or self.now - self.true_since >= self.judged.hold
            self.expected = State.FIRING if held else State.PENDING
        elif self.false_since is None or self.now - self.false_since >= self.judged.keep_firing:
            self.forget()

    def forget(self) -> None:
        self.true_since = self.false_since = self.severity = None
        self.expected, self.taken = State.NONE, False

    @rule(kind=st.sampled_from([ActionType.ACKNOWLEDGE, ActionType.UNACKNOWLEDGE]))
    def a_person_acts_twice(self, kind: ActionType) -> None:
        if self.alert is None:
            return
        act = Action(kind, "U1", self.now, "click")
        changed, outcome = act_on(self.alert, act)
        assert outcome is (Outcome.DONE if self.taken is (kind is ActionType.UNACKNOWLEDGE) else Outcome.ALREADY)
        assert act_on(changed, act) == (changed, Outcome.ALREADY)
        assert (changed.state, changed.severity, changed.value) == (
            self.alert.state,
            self.alert.severity,
            self.alert.value,
        )
        self.alert, self.taken = changed, kind is ActionType.ACKNOWLEDGE

    @rule()
    def the_process_dies_and_comes_back(self) -> None:
        if self.alert is not None:
            self.alert = Alert(**asdict(self.alert))

    @rule()
    def the_rule_is_removed_and_written_anew(self) -> None:
        if self.alert is not None:
            ended = close(self.alert, self.now, Reason.RULE_REMOVED)
            assert not ended.alert.state.is_open
            self.alert = None
        self.forget()

    @invariant()
    def it_stands_as_promised(self) -> None:
        if self.alert is None:
            assert self.expected is State.NONE
            return
        assert (self.alert.state, self.alert.severity) == (self.expected, self.severity)
        assert self.alert.keeping_since == self.false_since
        assert (self.alert.acknowledged_at is not None) is self.taken
        assert (self.alert.started_at is not None) is (self.expected is State.FIRING)
        assert self.alert.resolved_at is None
        if self.alert.state is State.PENDING:
            assert self.alert.pending_since == self.true_since
        assert self.alert.value is not None
        assert self.alert.peak is not None
        assert self.alert.peak >= self.alert.value


TestLife = Life.TestCase
TestLife.settings = settings(deadline=None, max_examples=80, stateful_step_count=40)
