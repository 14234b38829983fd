"""Gauges that are paired with blue at every scrape: asked on a grid, held for a person, judged by their limit without history."""

import math
from dataclasses import replace

import pytest

from analysis.model import Arm, Outcome, Sample, Series
from controller.api.plan import PlanSpec
from controller.api.release import Phase, Verb
from controller.core import asking, gauges, needs, reasons, seen, sequential
from controller.core.cautions import cautions
from controller.core.decide import decide
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault
from tests.core.releases import NOW
from tests.core.test_sequential_checks import released

QUERY = 'avg(heap{app="$workload"})'
HEAP = {"name": "heap", "query": QUERY, "method": "sequential", "limit": {"maxRatio": 1.2}, "unit": "MB"}
LINE = {"builtin": "error-rate", "workload": "shop", "lines": [{"share": 1, "bursts": 1, "widest": 1}]}


def history(check=HEAP, variance=0.01):
    """An analysis that knows this gauge."""
    plan = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}, "checks": [check]})
    asked = plan.checks[0].asked_of("shop")
    gauge = {"check": check["name"], "asked": asked, "variance": variance}
    return {"measured": {"until": NOW - 3600, "hours": 24, "checks": [LINE], "gauges": [gauge]}}


def watched(check=HEAP, stage=1, phase=Phase.MEASURING, **more):
    return released(stage, phase, checks=[check], **{"analysis": history(check)} | more)


def answers(green, blue=100.0, *, points=30, name="heap", **answer):
    """Both colours' numbers at every scrape of five minutes."""
    found = {}
    for arm, value in ((Arm.CANDIDATE, green), (Arm.BASELINE, blue)):
        samples = tuple(Sample(NOW - 10 * (points - k), value) for k in range(points + 1))
        found[asking.gauge_key(name, arm)] = Measurement(Answer(series=(Series((), samples),), result_type="matrix", **answer))
    return Measured(found)


def decision(builder, measured):
    w = builder.world()
    return decide(w.subject, w.observed, measured, w.now)


class TestAsking:
    def test_each_colour_is_asked_at_every_scrape_since_the_first_weight(self):
        asks = {ask.key: ask.query for ask in needs.asks(watched().world()) if ask.key.startswith("pairs/")}

        assert asks == {
            "pairs/heap/candidate": '(avg(heap{app="shop-green"}))[210s:10s]',
            "pairs/heap/baseline": '(avg(heap{app="shop"}))[210s:10s]',
        }

    def test_a_window_in_it_is_a_minute(self):
        check = HEAP | {"query": 'sum(rate(cpu{app="$workload"}[$window]))'}

        assert any("[60s]" in ask.query for ask in needs.asks(watched(check).world()))

    def test_without_history_it_is_asked_for_its_limit_at_the_windows_end(self):
        stages = [{"weight": 5, "window": "60s"}, {"weight": 100}]
        known, unknown = ({ask.key for ask in needs.asks(watched(stages=stages, **more).world())} for more in ({}, {"analysis": {}}))

        assert {"pairs/heap/candidate", "pairs/heap/baseline"} <= known
        assert {"gate/heap/candidate", "gate/heap/baseline"} <= unknown
        assert not {key for key in unknown if key.startswith("pairs/")} | {key for key in known if key.startswith("gate/")}

    def test_at_its_beginning_a_release_says_which_gauges_have_no_history(self):
        said = [(one.reason, one.detail) for one in cautions(watched(analysis={}).world())]

        assert said == [(reasons.GAUGE_BY_LIMIT, "heap")]
        assert list(cautions(watched().world())) == []

    def test_a_history_of_another_query_says_nothing(self):
        asks = needs.asks(watched(HEAP | {"query": "up"}, analysis=history()).world())

        assert not [ask for ask in asks if ask.key.startswith("pairs/")]

    def test_at_100_percent_blue_has_nothing_to_be_paired_with(self):
        stages = [{"weight": 5, "window": "60s"}, {"weight": 100, "window": "60s"}]
        asks = {ask.key for ask in needs.asks(watched(stage=2, phase=Phase.BAKING, stages=stages).world())}

        assert "gate/heap/candidate" in asks
        assert "pairs/heap/candidate" not in asks


class TestHolding:
    def test_a_gauge_that_is_worse_than_tolerated_holds_for_a_person_with_both_numbers(self):
        held = decision(watched(), answers(170.0)).status.hold

        assert (held.reason, held.check, held.waits_for) == (reasons.CHECK_ASKS, "heap", "operator")
        assert held.detail.startswith("heap: 170 MB vs 100 MB (now +70 %, +70 % on average, limit +20 %, e-value ")

    @pytest.mark.parametrize(("limit", "green"), [({"minRatio": 0.8}, 40.0), ({"maxRatio": 1.0}, 130.0)])
    def test_either_side_may_be_the_worse_one(self, limit, green):
        check = HEAP | {"limit": limit}

        assert decision(watched(check), answers(green)).status.phase is Phase.HOLDING
        assert decision(watched(check), answers(100.0)).status.phase is Phase.MEASURING

    def test_a_smaller_number_may_be_the_worse_one_and_is_told_as_it_is(self):
        held = decision(watched(HEAP | {"limit": {"minRatio": 0.8}}), answers(40.0)).status.hold

        assert "40 MB vs 100 MB (now -60 %, -60 % on average, limit -20 %, " in held.detail

    def test_one_that_only_observes_holds_nobody(self):
        assert decision(watched(HEAP | {"observe": True}), answers(170.0)).status.phase is Phase.MEASURING

    def test_it_never_goes_back_by_itself(self):
        assert decision(watched(), answers(100_000.0)).status.rollback is None

    def test_who_goes_on_begins_a_new_bet_from_the_newest_pair_on(self):
        builder = watched()
        first = decision(builder, answers(170.0)).status
        after = decision(replace(builder, status=first).asked(Verb.RESUME), answers(170.0)).status
        state = gauges.read(sequential.stored_text(replace(builder, status=after).world(), builder.plan.checks[0]))

        assert after.phase is Phase.SHIFTING
        assert (state.total, state.seconds, state.last) == (0.0, 0.0, NOW - 10)


class TestPairs:
    def test_the_same_answer_twice_counts_once(self):
        builder = watched()
        first = decision(builder, answers(110.0)).status
        again = decision(replace(builder, status=first), answers(110.0)).status

        assert again.sequential == first.sequential

    def test_only_pairs_since_the_first_weight_count_and_the_newest_waits_for_its_scrape(self):
        builder = watched()
        text = decision(builder, answers(110.0)).status.sequential[0].state

        assert gauges.read(text).seconds == 170
        assert gauges.read(text).last == NOW - 10

    def test_an_edited_state_begins_again(self):
        assert gauges.read("{nonsense") == gauges.read("[]") == gauges.read("") == gauges.read('{"v":2}')

    def test_evidence_of_counts_and_of_gauges_stand_side_by_side(self):
        errors = {"name": "errors", "builtin": "error-rate", "method": "sequential"}
        builder = released(checks=[errors, HEAP], analysis=history())
        status = decision(builder, answers(110.0)).status

        assert [one.name for one in status.sequential] == ["heap"]


class TestAtTheWindowsEnd:
    def verdict(self, measured, check=HEAP, **more):
        stages = [{"weight": 5, "window": "60s"}, {"weight": 100}]
        w = watched(check, stages=stages, traffic={"virtualService": "shop", "scrapeInterval": "10s", "metrics": "none"}, **more).world()
        return seen.verdict(replace(w, measured=measured)).checks[0]

    def test_enough_pairs_without_evidence_pass_with_both_numbers(self):
        check = self.verdict(answers(110.0))

        assert (check.outcome, check.value, check.baseline, check.limit) == (Outcome.PASS, 110.0, 100.0, 120.0)

    def test_too_few_seconds_for_the_effect_wait(self):
        check = self.verdict(answers(110.0), HEAP | {"effect": 21})

        assert (check.outcome, check.reason) == (Outcome.INCONCLUSIVE, reasons.TOO_FEW_SAMPLES)

    def test_an_effect_that_the_limit_allows_never_passes(self):
        assert "the limit allows the effect" in self.verdict(answers(110.0), HEAP | {"effect": 10}).detail

    @pytest.mark.parametrize(
        ("measured", "reason"),
        [
            (answers(110.0, fault=AnswerFault.BAD_QUERY), reasons.QUERY_REFUSED),
            (answers(110.0, warnings=("store down",)), reasons.PARTIAL_ANSWER),
            (answers(math.nan), reasons.STALE_SAMPLE),
            (answers(-1.0), reasons.STALE_SAMPLE),
            (Measured({}), reasons.STALE_SAMPLE),
            (Measured({k: Measurement(Answer(result_type="matrix")) for k in answers(1.0).answers}), reasons.NO_SERIES),
            (
                Measured({k: Measurement(Answer(series=m.series * 2, result_type="matrix")) for k, m in answers(1.0).answers.items()}),
                reasons.SEVERAL_SERIES,
            ),
        ],
    )
    def test_what_cannot_be_paired_never_passes(self, measured, reason):
        check = self.verdict(measured)

        assert (check.outcome, check.reason) == (Outcome.INCONCLUSIVE, reason)
