"""One sequential check from raw samples to evidence, over stages, restarts and resets."""

import math
import random
from dataclasses import replace

import pytest

from analysis import reasons, sequential
from analysis.combine import Weighted, conclude, release_evidence
from analysis.counters import Scrapes
from analysis.model import Arm, Counted, Outcome, Sample, Series, Window
from analysis.rate import LEAST_PRIOR, Dispersion
from analysis.sequential import Kind, Known, Mark, Setting, State

SCRAPES = Scrapes(interval=10.0, every=10.0, patience=30.0)
ERRORS = Setting(Kind.ERRORS)
LATENCY = Setting(Kind.LATENCY, delta=0.001)
START = 1000.0
EDGES = ("25", "50", "100", "250", "500", "+Inf")
BELOW = (0.05, 0.60, 0.85, 0.97, 0.995, 1.0)
SLOWER = (0.02, 0.35, 0.65, 0.90, 0.980, 1.0)


def series(labels, values):
    """Samples of one series, ten seconds apart, from a time on."""
    return Series(tuple(sorted(labels.items())), tuple(Sample(time, value) for time, value in values))


class World:
    """Two versions behind one scraped client; blue has an hour of history."""

    def __init__(self, *, seed=1, blue=0.01, green=0.01, share=0.5, rps=50, until=2400.0, begins=START + 5):
        draw = random.Random(seed)
        self.rows = {("b", "200"): [], ("b", "500"): [], ("g", "200"): [], ("g", "500"): []}
        counts = dict.fromkeys(self.rows, 0.0)
        counts["b", "200"], counts["b", "500"] = 178_200.0, 1_800.0
        for step in range(int((until - START + 200) / 10)):
            time = START - 200 + 10 * step
            live = time > begins
            for colour, rate, n in (("b", blue, rps * 10 * ((1 - share) if live else 1)), ("g", green, rps * 10 * share if live else 0)):
                bad = sum(draw.random() < rate for _ in range(int(n)))
                counts[colour, "500"] += bad
                counts[colour, "200"] += n - bad
            for key, rows in self.rows.items():
                if counts[key]:
                    rows.append((time, counts[key]))

    def arms(self, after=-math.inf, until=math.inf):
        found = {}
        for colour in "bg":
            every = tuple(
                series({"pod": "client", "to": colour, "code": code}, [row for row in self.rows[colour, code] if after < row[0] <= until])
                for code in ("200", "500")
            )
            every = tuple(one for one in every if one.samples)
            found[colour] = Counted(total=every, bad=tuple(one for one in every if ("code", "500") in one.labels))
        return sequential.both(found["b"], found["g"])


def histogram(colour, shares, rate, *, live_from, until=1600.0, history=0.0):
    every = []
    for edge, share in zip(EDGES, shares, strict=True):
        rows, count = [], history * share
        for index in range(int((until - START + 200) / 10)):
            time = START - 200 + 10 * index
            if time > live_from:
                count += 10 * rate * share
            if count:
                rows.append((time, round(count)))
        every.append(series({"pod": "client", "to": colour, "le": edge}, rows))
    return Counted(buckets=tuple(every))


ONE = (Mark(START, "1"),)


def go(world, setting=ERRORS, marks=ONE, looks=(math.inf,), state=None):
    """The state after looking at these times, each with the samples that a query then brings."""
    for until in looks:
        since = state.cursor.until if state is not None else marks[0].since
        arms = world.arms(since - SCRAPES.look_back, until)
        if state is None:
            state = sequential.begin(setting, arms, marks[0].since).state
        state = sequential.advance(setting, state, arms, marks, SCRAPES).state
    return state


class TestEvidence:
    def test_a_regression_from_one_to_two_percent_is_found_and_an_equal_version_is_not(self):
        assert sequential.ln_e(ERRORS, go(World(green=0.02, share=0.5))) > math.log(1000)
        assert sequential.ln_e(ERRORS, go(World(green=0.01))) < math.log(5)

    def test_the_first_errors_of_a_new_series_count(self):
        """Green's 500s begin as a series of their own in a client that was scraped before."""
        state = go(World(green=0.05, until=1060.0))

        assert state.lines[0].sums[1] == World(green=0.05, until=1060.0).rows["g", "500"][-1][1]

    def test_blues_history_gives_the_rate_that_is_bet_on(self):
        assert go(World()).lines[0].p_hist == pytest.approx(0.01, rel=0.05)

    def test_the_plans_rate_takes_the_place_of_the_history(self):
        assert go(World(), replace(ERRORS, p_hist=0.003)).lines[0].p_hist == 0.003

    def test_scraping_twice_as_seldom_shows_the_same_requests(self):
        sums = go(World()).lines[0].sums

        assert sums[0] == pytest.approx(sums[2], rel=0.01)


class TestRestarts:
    def test_a_look_at_every_scrape_and_one_look_at_the_end_give_the_same_state(self):
        world = World(green=0.02)
        often = go(world, looks=[START + 10 * k + 3 for k in range(1, 90)])

        assert often == go(world, looks=[START + 893])

    def test_progress_that_was_lost_is_made_again_to_the_bit(self):
        world = World(green=0.02)
        kept = go(world, looks=[START + 300])
        lost = go(world, looks=[START + 400, START + 500], state=kept)

        again = go(world, looks=[START + 500], state=State.from_json(kept.to_json(), ERRORS))

        assert again == lost

    def test_a_state_survives_being_stored(self):
        state = go(World())

        assert State.from_json(state.to_json(), ERRORS) == state

    def test_a_raised_dispersion_survives_with_it_and_divides_the_evidence(self):
        begun = sequential.begin(ERRORS, World(green=0.02, share=0.5).arms(START - 200, math.inf), START).state
        raised = replace(begun, raised=(Dispersion(6, 6),))
        calm, guarded = (go(World(green=0.02, share=0.5), state=state) for state in (begun, raised))

        assert State.from_json(guarded.to_json(), ERRORS) == guarded
        assert guarded.raised == (Dispersion(6, 6),)
        assert 0 < sequential.ln_e(ERRORS, guarded) < sequential.ln_e(ERRORS, calm) / 2
        needed = [sequential.seen("errors", ERRORS, one, weight=1.0, window=Window(START, START + 600)).needed for one in (calm, guarded)]
        assert needed[1] == pytest.approx(3 * needed[0])

    @pytest.mark.parametrize("stored", ['"x"', "[1]", "[0.5, 2]", "[NaN, 2]"])
    def test_a_raised_dispersion_that_is_none_is_refused(self, stored):
        text = go(World()).to_json().removesuffix("}") + f',"raised":{stored}}}'

        with pytest.raises(ValueError, match="not the state of a sequential check"):
            State.from_json(text, ERRORS)

    def test_looking_twice_at_the_same_samples_changes_nothing(self):
        world = World(green=0.02)
        once = go(world, looks=[START + 600])

        assert go(world, looks=[START + 600], state=once) == once

    @pytest.mark.parametrize(
        "text",
        ["", "{}", "[]", '{"v":2}', '{"v":1,"until":5,"stage":"","lines":[[1]]}', '{"v":1,"until":null,"stage":"","lines":[]}'],
    )
    def test_what_is_no_state_is_refused(self, text):
        with pytest.raises(ValueError, match="this is not the state of a sequential check"):
            State.from_json(text, ERRORS)

    def test_a_counter_that_was_reset_counts_on(self):
        """The client restarted: its counters begin at 0, and nothing that was counted before counts again."""
        world, plain = World(green=0.02), World(green=0.02)
        for rows in world.rows.values():
            at = next(value for time, value in rows if time >= START + 300)
            rows[:] = [(time, value if time <= START + 300 else value - at) for time, value in rows]

        assert go(world).lines[0].sums == pytest.approx(go(plain).lines[0].sums, abs=1e-6)


class TestStages:
    ALONE = (Mark(START, "1"), Mark(START + 600, "2", alone=True))

    def test_evidence_goes_on_from_stage_to_stage(self):
        marks = (Mark(START, "1"), Mark(START + 600, "2"))
        state = go(World(green=0.02), marks=marks)

        assert state.stage == "2"
        assert sequential.ln_e(ERRORS, state) > sequential.ln_e(ERRORS, go(World(green=0.02, until=1600.0), marks=marks))
        assert state.lines[0].sums[0] < go(World(green=0.02)).lines[0].sums[0]

    def test_without_blue_the_last_counts_of_blue_set_the_limit_before_the_first_tick(self):
        line = go(World(), marks=self.ALONE).lines[0]

        n_blue, bad_blue = line.before
        assert line.alone is not None
        assert 1.1 * bad_blue / n_blue + 0.0005 < line.limit < 0.016

    def test_what_blue_did_in_a_stage_that_was_cut_short_stands_for_nothing(self):
        """Blue was gone for most of it: by its 60 % of errors any version would do."""
        cut = (*self.ALONE[:1], replace(self.ALONE[1], after_cut=True))
        spoilt, trusted = (go(World(blue=0.6), marks=marks).lines[0] for marks in (cut, self.ALONE))

        assert trusted.limit > 0.6
        assert spoilt.limit < 0.05

    def test_without_blue_a_bad_version_is_still_found(self):
        assert sequential.ln_e(ERRORS, go(World(green=0.04), marks=(Mark(START, "1", alone=True),))) > math.log(100)

    def test_a_stage_with_few_requests_of_blue_does_not_set_the_limit_alone(self):
        """Nine tenths on green for a minute leave blue some 30 requests: its history counts too."""
        marks = (Mark(START, "1"), Mark(START + 60, "2", alone=True))
        line = go(World(share=0.9, rps=5), marks=marks).lines[0]

        assert line.before[0] > 180_000
        assert line.limit < 0.013

    def test_alone_a_small_effect_does_not_keep_every_release_from_passing(self):
        """The limit is an upper bound of blue's rate; an effect below it could never be shown."""
        setting = replace(ERRORS, effect=0.012)
        state = go(World(), setting, marks=self.ALONE)
        saw = sequential.seen("errors", setting, state, weight=1.0, window=Window(START, START + 600))

        assert state.lines[0].limit > 0.012
        assert saw.needed < 5000

    def test_the_relative_process_stands_still_without_blue(self):
        before = go(World(until=1700.0), marks=self.ALONE)
        after = go(World(), marks=self.ALONE)

        assert after.lines[0].relative == before.lines[0].relative

    def test_ticks_of_a_stage_that_it_does_not_judge_are_passed_over(self):
        state = go(World(green=0.05), marks=(Mark(START, "1", judged=False),))

        assert sequential.ln_e(ERRORS, state) == pytest.approx(0.0)
        assert state.cursor.until > START + 1000


class TestLatency:
    def arms(self, green):
        blue = histogram("b", BELOW, 250, live_from=-math.inf, history=100_000)
        return sequential.both(blue, histogram("g", green, 250, live_from=START))

    def judged(self, green):
        begun = sequential.begin(LATENCY, self.arms(green), START)
        return sequential.advance(LATENCY, begun.state, self.arms(green), ONE, SCRAPES).state

    def test_edges_come_from_blues_history_alone(self):
        assert [line.edge for line in self.judged(SLOWER).lines] == [50, 100, 250, 500]

    def test_a_slower_version_is_found_and_an_equal_one_is_not(self):
        assert sequential.ln_e(LATENCY, self.judged(SLOWER)) > math.log(1000)
        assert sequential.ln_e(LATENCY, self.judged(BELOW)) < 0.5

    @pytest.mark.parametrize(("green", "found"), [((0, 1, 1, 1, 1, 1), False), ((0, 0.9, 1, 1, 1, 1), True), ((0, 0, 0, 0, 1, 1), True)])
    def test_where_all_of_blue_lies_in_one_bucket_its_upper_edge_finds_a_slower_version(self, green, found):
        quick = (0, 1, 1, 1, 1, 1)
        blue, candidate = histogram("b", quick, 250, live_from=-math.inf, history=100_000), histogram("g", green, 250, live_from=START)
        arms = sequential.both(blue, candidate)
        state = sequential.advance(LATENCY, sequential.begin(LATENCY, arms, START).state, arms, ONE, SCRAPES).state

        assert [(line.edge, line.p_hist) for line in state.lines] == [(50, LEAST_PRIOR)]
        assert (sequential.ln_e(LATENCY, state) > math.log(1000)) is found
        assert State.from_json(state.to_json(), LATENCY) == state

    def test_a_blue_that_is_mostly_beyond_the_largest_edge_cannot_be_compared(self):
        blue = histogram("b", (0, 0, 0, 0.1, 0.2, 1.0), 250, live_from=-math.inf, history=100_000)
        begun = sequential.begin(LATENCY, sequential.both(blue, Counted()), START)

        assert (begun.state, begun.fault) == (None, reasons.NO_COMMON_EDGE)
        assert begun.detail == "more than half of the baseline's requests are beyond the largest bucket edge"

    def test_five_edges_and_both_processes_stay_below_four_kilobytes(self):
        state = self.judged(SLOWER)
        many = sequential.advance(LATENCY, replace(state, lines=(*state.lines, state.lines[0])), self.arms(SLOWER), ONE, SCRAPES).state
        alone = replace(many, lines=tuple(replace(line, alone=line.relative, limit=0.1234567890123) for line in many.lines))

        assert len(alone.to_json()) < 4096
        assert State.from_json(alone.to_json(), LATENCY) == alone

    def test_a_histogram_without_inf_is_named_and_counts_nothing(self):
        arms = self.arms(BELOW)
        broken = {arm: Counted(buckets=one.buckets[:-1]) for arm, one in arms.items()}

        assert sequential.begin(LATENCY, broken, START).fault == reasons.NO_INF_BUCKET

    def test_without_enough_history_it_waits_for_blue_before_it_chooses_edges(self):
        blue = histogram("b", BELOW, 2, live_from=START - 50)
        begun = sequential.begin(LATENCY, sequential.both(blue, Counted()), START)

        assert begun.state is not None
        assert begun.state.cursor.until == START + 50
        assert sequential.begin(LATENCY, sequential.both(histogram("b", BELOW, 0.1, live_from=START), Counted()), START).state is None


class TestVerdicts:
    def verdict(self, state, missing="", alpha=0.01):
        saw = sequential.seen("errors", ERRORS, state, weight=1.0, window=Window(START, START + 600), missing=missing)
        return conclude(saw, release_evidence([Weighted("errors", 1.0, saw.ln_e)], alpha))

    def test_no_samples_are_never_a_pass(self):
        assert self.verdict(None).outcome is Outcome.INCONCLUSIVE

    def test_too_few_requests_are_not_a_pass(self):
        assert self.verdict(go(World(until=1040.0, share=0.05))).reason == reasons.TOO_FEW_REQUESTS

    def test_enough_requests_without_evidence_pass_with_both_rates(self):
        verdict = self.verdict(go(World()))

        assert verdict.outcome is Outcome.PASS
        assert verdict.candidate == pytest.approx(1.0, abs=0.2)
        assert verdict.limit == pytest.approx(1.1 * verdict.baseline + 0.05)

    def test_evidence_fails_also_where_data_are_missing_now(self):
        assert self.verdict(go(World(green=0.05)), reasons.STALE_SAMPLE).outcome is Outcome.FAIL

    def test_blue_without_requests_is_not_a_pass(self):
        world = World()
        world.rows["b", "200"] = world.rows["b", "500"] = [(time, 5.0) for time, _ in world.rows["b", "200"]]

        assert self.verdict(go(world)).reason == reasons.BASELINE_MISSING


def test_both_arms_in_one_series_is_a_fault():
    arms = World().arms()
    state = go(World(until=1100.0))

    found = sequential.advance(ERRORS, state, dict.fromkeys(Arm, arms[Arm.BASELINE]), ONE, SCRAPES)

    assert (found.state, found.fault) == (state, reasons.SAME_SERIES)


class TestKnown:
    """What was measured before the release."""

    def test_its_edges_are_tested_whatever_the_histogram_has_to_say(self):
        setting = replace(LATENCY, known=(Known(0.4, Dispersion(1, 1), 50.0), Known(0.03, Dispersion(1, 3), 250.0)))
        arms = sequential.both(histogram("b", BELOW, 40, live_from=0), histogram("g", BELOW, 10, live_from=START))
        state = sequential.begin(setting, arms, START).state

        assert [(line.edge, line.p_hist) for line in state.lines] == [(50.0, 0.4), (250.0, 0.03)]
        assert State.from_json(state.to_json(), setting) == state

    def test_edges_that_the_histogram_has_no_more_are_chosen_anew(self):
        setting = replace(LATENCY, known=(Known(0.4, Dispersion(1, 1), 75.0),))
        arms = sequential.both(histogram("b", BELOW, 40, live_from=0, history=5000), histogram("g", BELOW, 10, live_from=START))

        assert 50.0 in [line.edge for line in sequential.begin(setting, arms, START).state.lines]

    def test_its_rate_is_bet_on_unless_the_plan_names_one(self):
        known = replace(ERRORS, known=(Known(0.002, Dispersion(1, 1)),))

        assert go(World(), known).lines[0].p_hist == 0.002
        assert go(World(), replace(known, p_hist=0.003)).lines[0].p_hist == 0.003


EARLY = replace(ERRORS, margin=(1.5, 0.005))
TWO = (Mark(START, "1", early=True), Mark(START + 600, "2", early=True))


class TestEarly:
    """Evidence that green is within the margin."""

    def test_a_healthy_candidate_is_shown_to_be_within_it_and_one_beyond_it_is_not(self):
        marks = (Mark(START, "1", early=True),)
        healthy, bad = (go(World(green=green, rps=200), EARLY, marks) for green in (0.01, 0.03))

        assert sequential.ln_early(healthy) > math.log(40)
        assert sequential.ln_early(bad) < 0

    def test_it_is_gathered_anew_in_each_stage(self):
        first = go(World(rps=200, until=START + 600), EARLY, TWO[:1])
        again = go(World(rps=200, until=START + 640), EARLY, TWO)

        assert sequential.ln_early(again) < sequential.ln_early(first)

    def test_without_a_margin_in_other_stages_and_without_a_baseline_there_is_none(self):
        states = [
            go(World(), ERRORS, (Mark(START, "1", early=True),)),
            go(World(), EARLY, ONE),
            go(World(), EARLY, (Mark(START, "1", early=True, alone=True),)),
        ]

        assert [sequential.ln_early(state) for state in states] == [-math.inf] * 3

    def test_it_is_stored_with_the_state_which_stays_small(self):
        state = go(World(), EARLY, (Mark(START, "1", early=True),))
        text = state.to_json()

        assert State.from_json(text, EARLY) == state
        assert len(text) < 4096 / 5  # five edges fit

    @pytest.mark.long
    def test_a_releases_with_the_rate_of_the_margin_seldom_passes(self):
        """The bound for one stage is 1/beta = 20: at the very margin at most 5 % reach it at any time."""
        marks, reached = (Mark(START, "1", early=True),), 0
        for seed in range(60):
            world = World(seed=seed, blue=0.01, green=0.02, rps=100, until=START + 600)
            state = sequential.begin(EARLY, world.arms(), START).state
            steps = sequential.advance(EARLY, state, world.arms(), marks, SCRAPES).steps
            reached += max(map(sequential.ln_early, steps)) >= math.log(20)

        assert reached <= 7  # of 60 with at most 5 % each: more have a chance of 3 in 1,000
