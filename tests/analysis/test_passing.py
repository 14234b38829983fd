"""What a pass claims: the stated effect would have been seen in this window, and its numbers show none."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from analysis import passing, reasons, sequential
from analysis.combine import Weighted, conclude, release_evidence
from analysis.explain import explain
from analysis.model import Arm, Outcome, Window
from analysis.rate import Dispersion
from analysis.sequential import Kind, Known, Mark, Setting, State
from bench.analysis_worlds import LOOK, World, bad_of
from tests.sizes import size

ERRORS = Setting(Kind.ERRORS, known=(Known(0.001, Dispersion()),))
OBJECTIVE = Setting(Kind.ERRORS, rho=1.0, delta=0.0, objective=0.01, known=(Known(0.001, Dispersion()),))
LATENCY = Setting(Kind.LATENCY, delta=0.001, known=(Known(0.08, Dispersion(), 100.0), Known(0.005, Dispersion(), 250.0)))
STAGE = (Mark(0.0, "5"),)
ALONE = (Mark(0.0, "25"), Mark(30.0, "100", alone=True))
QUIET = (100, 0, 1900, 2)
"""Requests of green, failed ones; the same of blue."""


def after(ticks, setting=ERRORS, marks=STAGE):
    """The state after these ticks: seconds of each, then what both arms counted, a bad count for each line."""
    edges, time, slices = [one.edge for one in setting.known], 0.0, []
    for seconds, (n_g, x_g, n_b, x_b) in ticks:
        bad = [x if isinstance(x, tuple) else (x,) * len(edges) for x in (x_g, x_b)]
        counts = {Arm.CANDIDATE: (n_g, *bad[0]), Arm.BASELINE: (n_b, *bad[1])}
        slices.append(sequential.slice_of(setting.kind, (time, time + seconds), counts, edges))
        time += seconds
    return sequential.follow(setting, sequential.pretended(setting, 0.0), slices, marks)[-1]


def answer(state, setting=ERRORS):
    found = sequential.seen("errors", setting, state, weight=0.5, window=Window(0, state.cursor.until))
    return conclude(found, release_evidence([Weighted("errors", 1.0, sequential.ln_e(setting, state))], setting.alpha))


class TestScrapes:
    def test_a_window_of_ordinary_scrapes_passes_with_the_requests_that_it_always_needed(self):
        verdict = answer(after([(10, QUIET)] * 12))

        assert (verdict.outcome, verdict.n) == (Outcome.PASS, 1200)

    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_however_many_requests_a_few_long_scrapes_have_they_are_not_enough(self, count):
        verdict = answer(after([(660, (20_000, 20, 380_000, 380))] * count))

        assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, reasons.TOO_FEW_SAMPLES)
        assert f"the requests show as much as {count} of 4 scrapes" in explain(verdict)

    def test_with_as_many_scrapes_as_the_cap_asks_for_they_are(self):
        assert answer(after([(660, (20_000, 20, 380_000, 380))] * 4)).outcome is Outcome.PASS

    def test_the_requests_of_a_gap_count_for_one_scrape_and_those_of_the_scrapes_beside_it_as_ever(self):
        gap = after([(10, QUIET), (660, (6_600, 7, 120_000, 120)), (10, QUIET)])

        assert gap.lines[0].sums[0] == 6_800
        assert gap.lines[0].shown == pytest.approx(3 * after([(10, QUIET)]).lines[0].shown, rel=0.05)

    def test_what_would_be_shown_is_what_the_evidence_can_grow_by(self):
        """With the stated effect a capped tick counts for as many requests as reach the cap: neither more nor fewer."""
        line = after([(10, QUIET)]).lines[0]
        needed = passing.needed(ERRORS, line, 1.0)
        most = after([(10, (10_000, 0, 190_000, 190))]).lines[0].shown
        whole = math.log(100) + math.log(1 / 0.8) + 2.3

        assert most / needed == pytest.approx(ERRORS.cap / whole)

    def test_a_scrape_in_which_the_baseline_was_not_seen_shows_nothing(self):
        assert after([(10, (100, 0, 0, 0))]).lines[0].shown == 0

    def test_each_stage_must_show_it_anew(self):
        assert after([(10, QUIET)] * 3 + [(10, (2000, 2, 0, 0))], marks=ALONE).lines[0].shown < 2000

    @pytest.mark.parametrize("setting", [LATENCY, OBJECTIVE])
    def test_it_is_so_for_latency_and_objectives(self, setting):
        verdict = answer(after([(660, (20_000, 0, 380_000, 0))], setting), setting)

        assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, reasons.TOO_FEW_SAMPLES)


BURST = [(10, QUIET)] * 20 + [(10, (100, 100, 1900, 2))]
"""One scrape of total failure, at which the cap keeps the evidence small."""


class TestNumbers:
    def test_a_stage_whose_counts_are_worse_than_tolerated_is_no_pass_although_no_scrape_may_decide(self):
        verdict = answer(after(BURST))

        assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, reasons.WORSE_UNPROVEN)
        assert explain(verdict).startswith(
            "errors: worse than tolerated over the whole window, but scrape by scrape not beyond doubt: 4.762 %"
        )
        assert verdict.limit == pytest.approx(0.166, abs=0.001)

    def test_it_passes_once_enough_good_requests_have_followed(self):
        assert answer(after([*BURST, *[(10, (2000, 2, 38_000, 38))] * 60])).outcome is Outcome.PASS

    def test_evidence_that_is_there_still_fails(self):
        assert answer(after([*BURST, *[(10, (100, 100, 1900, 2))] * 4])).outcome is Outcome.FAIL

    def test_a_gap_in_which_the_candidate_failed_is_no_pass(self):
        verdict = answer(after([(10, QUIET)] * 20 + [(660, (6600, 1700, 120_000, 120))]))

        assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, reasons.WORSE_UNPROVEN)

    def test_where_the_baseline_has_no_traffic_its_last_counts_are_the_measure(self):
        quiet, bad = (10, (2000, 2, 0, 0)), (660, (132_000, 60_000, 0, 0))
        before = [(10, QUIET)] * 3

        assert answer(after([*before, *[quiet] * 12], marks=ALONE)).outcome is Outcome.PASS
        assert answer(after([*before, *[quiet] * 12, bad], marks=ALONE)).reason == reasons.WORSE_UNPROVEN

    def test_an_objective_that_the_counts_break_is_not_passed_whatever_the_baseline_did(self):
        verdict = answer(after([(10, (100, 0, 1900, 2))] * 20 + [(660, (6600, 1700, 120_000, 30_000))], OBJECTIVE), OBJECTIVE)

        assert verdict.reason == reasons.WORSE_UNPROVEN

    def test_slow_requests_in_a_gap_are_no_pass_either(self):
        quiet, slow = (500, (40, 2), 9500, (760, 47)), (6600, (6000, 3000), 120_000, (9600, 600))

        assert answer(after([(10, quiet)] * 20, LATENCY), LATENCY).outcome is Outcome.PASS
        assert answer(after([*[(10, quiet)] * 20, (660, slow)], LATENCY), LATENCY).reason == reasons.WORSE_UNPROVEN

    def test_a_small_difference_is_no_reason_to_hold(self):
        assert answer(after([(10, (2000, 4, 38_000, 38))] * 30)).outcome is Outcome.PASS

    @pytest.mark.parametrize("burst", [3, 10])
    @pytest.mark.parametrize("rate", [50, 500])
    def test_a_healthy_version_whose_errors_come_in_bursts_is_not_held_by_it(self, rate, burst):
        """20 minutes at 25 %, with the dispersion that bursts of this size have: at most alpha of the stages, and far fewer."""
        world = World(f"held, bursts of {burst} @{rate}", "guard", rate, 0.005, 0.005, burst=burst)
        rng, rows, sums = world.rng(0), size(400, 4000), []
        for share in (0.25, 0.75):
            n = rng.poisson(rate * share * LOOK, (120, rows)).astype(float)
            sums += [n.sum(0), bad_of(rng, n, np.full_like(n, 0.005), burst).sum(0)]
        phi = Dispersion(2 * burst - 1, 2 * burst - 1)
        setting = replace(ERRORS, known=(Known(0.005, phi),))
        begun = sequential.pretended(setting, 0.0)
        held = [
            passing.ln_worse(setting, replace(begun, lines=(replace(begun.lines[0], sums=tuple(map(float, row))),))) >= math.log(100)
            for row in zip(*sums, strict=True)
        ]

        assert np.mean(held) <= setting.alpha


class TestState:
    def test_what_was_shown_survives_being_stored(self):
        state = after([(10, QUIET), (660, (6_600, 7, 120_000, 120))])

        assert State.from_json(state.to_json(), ERRORS) == state

    def test_a_state_of_before_it_was_kept_is_read_and_has_shown_nothing(self):
        state = after([(10, QUIET)] * 12)
        old = json.loads(state.to_json())
        del old["shown"]
        found = State.from_json(json.dumps(old), ERRORS)

        assert found == replace(state, lines=(replace(state.lines[0], shown=0.0),))
        assert answer(found).reason == reasons.TOO_FEW_SAMPLES

    @pytest.mark.parametrize("shown", [[], [-1.0], [math.nan], [1.0, 2.0], "x", [None]])
    def test_what_was_shown_cannot_be_edited_into_nonsense(self, shown):
        kept = json.loads(after([(10, QUIET)]).to_json()) | {"shown": shown}

        with pytest.raises(ValueError, match=r"not the state|counts that are none"):
            State.from_json(json.dumps(kept), ERRORS)


def test_what_is_shown_is_the_line_whose_counts_hold_it():
    """In one scrape only requests beyond 250 ms are worse; at 100 ms a little evidence has grown before."""
    quiet, slow = (500, (50, 2), 9500, (760, 47)), (6600, (528, 400), 120_000, (9600, 600))
    state = after([*[(10, quiet)] * 20, (660, slow)], LATENCY)

    assert passing.worst(LATENCY, state).edge == 250.0
    assert answer(state, LATENCY).reason == reasons.WORSE_UNPROVEN
