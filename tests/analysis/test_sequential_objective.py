"""An objective beside the baseline, good events instead of bad ones, and where a new bet begins."""

import math

import pytest

from analysis import reasons, sequential, sequential_anew
from analysis.model import Arm, Counted, Window
from analysis.sequential import Kind, Mark, Setting, State
from tests.analysis.test_sequential_state import ONE, SCRAPES, START, World, go

BOUND = math.log(100)
OBJECTIVE = Setting(Kind.ERRORS, rho=1.0, delta=0.0, objective=0.01)
FULL = (Mark(START, "1"), Mark(START + 300, "2", alone=True))
GREEN_BAD = World(blue=0.002, green=0.04, until=1600.0)
BOTH_BAD = World(blue=0.04, green=0.04, until=1600.0)


class TestBesideTheBaseline:
    def test_a_candidate_beyond_the_objective_and_worse_than_the_baseline_is_found(self):
        assert sequential.ln_e(OBJECTIVE, go(GREEN_BAD)) > 0
        assert sequential.ln_e(OBJECTIVE, go(GREEN_BAD, OBJECTIVE)) >= BOUND

    def test_an_incident_of_both_arms_is_enough_to_ask_and_never_to_go_back(self):
        state = go(BOTH_BAD, OBJECTIVE)

        assert sequential.ln_alert(state) >= BOUND
        assert sequential.ln_e(OBJECTIVE, state) < 1

    def test_a_candidate_that_is_worse_within_the_objective_is_let_pass(self):
        state = go(World(blue=0.001, green=0.006), OBJECTIVE)

        assert sequential.ln_e(Setting(Kind.ERRORS), state) < sequential.ln_e(Setting(Kind.ERRORS), go(World(blue=0.001, green=0.006)))
        assert sequential.ln_e(OBJECTIVE, state) < 0
        assert sequential.ln_alert(state) < 0

    def test_without_an_objective_there_is_nothing_to_alert(self):
        assert sequential.ln_alert(go(BOTH_BAD)) == sequential.ln_alert(None) == -math.inf


class TestWithoutTheBaseline:
    def test_the_objective_starts_afresh_and_alone_decides(self):
        """Both arms break it; what stopped nobody while there was a baseline goes back without one."""
        state = go(BOTH_BAD, OBJECTIVE, FULL)

        assert state.lines[0].limit == 0.01
        assert state.lines[0].alone.ln_e > BOUND
        assert sequential.ln_e(OBJECTIVE, state) > BOUND

    def test_the_limit_is_the_objective_whatever_the_baseline_had(self):
        assert go(World(blue=0.0, green=0.0), OBJECTIVE, FULL).lines[0].limit == 0.01


class TestTheState:
    def test_it_comes_back_to_the_bit(self):
        state = go(GREEN_BAD, OBJECTIVE)

        assert State.from_json(state.to_json(), OBJECTIVE) == state
        assert len(state.to_json()) < 4096

    @pytest.mark.parametrize("looks", [(1100.0, 1150.0, math.inf), (1033.0, 1034.0, 1400.0, math.inf)])
    def test_it_does_not_depend_on_who_looked_when(self, looks):
        assert go(GREEN_BAD, OBJECTIVE, looks=looks) == go(GREEN_BAD, OBJECTIVE)

    def test_what_is_needed_shows_both_a_broken_objective_and_a_worse_candidate(self):
        needed = [
            sequential.seen("slo", one, go(GREEN_BAD, one), weight=0.2, window=Window(0, 1)).needed
            for one in (Setting(Kind.ERRORS, rho=1.0, delta=0.0), OBJECTIVE)
        ]

        assert needed[1] > needed[0]


def good(arms):
    """The same samples, with the good events where the bad ones were."""
    return {arm: Counted(one.total, tuple(s for s in one.total if s not in one.bad)) for arm, one in arms.items()}


class TestGoodEvents:
    def test_counters_of_good_events_give_the_same_evidence_as_those_of_bad_ones(self):
        setting = Setting(Kind.ERRORS, counts_good=True, p_hist=0.01)
        arms = GREEN_BAD.arms()
        begun = sequential.begin(setting, good(arms), START).state
        after = sequential.advance(setting, begun, good(arms), ONE, SCRAPES).state

        assert after.lines[0].sums == go(GREEN_BAD, Setting(Kind.ERRORS, p_hist=0.01)).lines[0].sums

    def test_the_history_of_good_events_is_a_rate_of_bad_ones(self):
        begun = sequential.begin(Setting(Kind.ERRORS, counts_good=True), good(GREEN_BAD.arms()), START).state

        assert begun.lines[0].p_hist == pytest.approx(0.01, rel=0.1)

    def test_a_baseline_without_any_counter_of_good_events_is_not_judged(self):
        """Its name is misspelt: every request of both versions would count as failed, so that no candidate could be worse."""
        arms = {arm: Counted(one.total, ()) for arm, one in GREEN_BAD.arms().items()}
        begun = sequential.begin(Setting(Kind.ERRORS, counts_good=True), arms, START)

        assert (begun.state, begun.fault) == (None, reasons.NO_SERIES)

    def test_a_candidate_without_any_good_event_is_one_that_fails_and_not_unmeasured(self):
        setting = Setting(Kind.ERRORS, counts_good=True, p_hist=0.01)
        arms = good(GREEN_BAD.arms())
        arms[Arm.CANDIDATE] = Counted(arms[Arm.CANDIDATE].total, ())
        after = sequential.advance(setting, sequential.begin(setting, arms, START).state, arms, ONE, SCRAPES).state

        assert sequential.ln_e(setting, after) >= BOUND


class TestNewBets:
    def test_who_overrules_a_bet_that_was_won_begins_another_one(self):
        won = go(GREEN_BAD, OBJECTIVE)
        again = sequential_anew.overruled(OBJECTIVE, won)

        assert sequential.ln_e(OBJECTIVE, again) == pytest.approx(0)
        assert sequential.ln_alert(again) == pytest.approx(0)
        assert (again.cursor, again.stage, again.lines[0].sums) == (won.cursor, won.stage, won.lines[0].sums)

    def test_the_new_bet_goes_on_with_the_samples_after_the_old_one(self):
        half = sequential_anew.overruled(OBJECTIVE, go(GREEN_BAD, OBJECTIVE, looks=(1200.0,)))

        assert sequential.ln_e(OBJECTIVE, go(GREEN_BAD, OBJECTIVE, state=half)) >= BOUND

    def test_who_goes_on_although_the_objective_is_broken_begins_another_bet_against_it_alone(self):
        state = go(GREEN_BAD, OBJECTIVE)
        again = sequential_anew.acknowledged(OBJECTIVE, state)

        assert sequential.ln_alert(again) == pytest.approx(0)
        assert again.lines[0].relative == state.lines[0].relative

    def test_the_same_version_elsewhere_is_held_against_what_it_did_before(self):
        """The candidate had 4 %; at its new place it is the baseline, by its counts of the last stage."""
        home = Setting(Kind.ERRORS, alone_share=1.0)
        state = sequential_anew.moved(home, go(GREEN_BAD), 1600.0)
        n, bad = state.lines[0].before

        assert bad / n == pytest.approx(0.04, rel=0.15)
        assert sequential.ln_e(home, state) == 0

        twice = sequential_anew.moved(home, state, 1700.0, again=True)
        assert twice.lines[0].before == (n, bad)
        assert twice.cursor.until == 1700.0

    @pytest.mark.parametrize(("green", "found"), [(0.04, False), (0.1, True)])
    def test_at_its_new_place_it_is_found_where_it_does_worse(self, green, found):
        home = Setting(Kind.ERRORS, alone_share=1.0)
        state = sequential_anew.moved(home, go(GREEN_BAD), 1600.0)
        later = World(green=green, share=1.0, until=2300.0, begins=1595.0)

        after = go(later, home, (Mark(1600.0, "home", alone=True),), state=state)
        assert (sequential.ln_e(home, after) >= BOUND) is found
