"""`method: kayenta`: what is asked at a window's end, and what Kayenta's judge makes of the values."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.kayenta_config import read_config
from analysis.model import Arm, Outcome, Sample, Series
from controller.api.plan_checks import Check
from controller.api.plan_kayenta import Kayenta
from controller.api.release import CheckStatus, Phase, WindowStatus
from controller.core import kayenta, reasons
from controller.core.asking import gate_key, metric_name
from controller.core.decide import decide
from controller.core.judging import judge_gate
from controller.core.needs import asks
from controller.core.readings import Context
from controller.core.sentences import explain
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault
from tests.core.releases import NOW, a_release

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
END = 9000.0
WINDOW = WindowStatus(opened_at=END - 600, last_sample=END, ran=600, n_green=5000, n_blue=5000)
STEADY = [10.0 + (7 * i % 10) / 10 for i in range(20)]
HIGHER = [value * 1.5 for value in STEADY]
ERRORS = {"name": "errors", "query": 'errors{workload="$workload"}', "groups": ["all"], "direction": "increase"}


def check(*metrics, **more):
    asked = {"step": "30s", "metrics": [ERRORS | metric for metric in (metrics or ({},))], **more}
    return Check.model_validate({"name": "canary", "method": "kayenta", "kayenta": asked})


def values(numbers, end=END, step=30.0):
    """One value a step, the last one at the end; None is a step without."""
    samples = [Sample(end - step * (len(numbers) - 1 - i), number) for i, number in enumerate(numbers) if number is not None]
    return Answer(series=(Series((), tuple(samples)),), result_type="matrix", server_time=NOW)


def judged(asked, *answers, window=WINDOW, context=None):
    """The check's status; `answers` are green's and blue's of each metric in turn."""
    keys = [gate_key(metric_name("canary", one.name), arm) for one in asked.kayenta.metrics for arm in (Arm.CANDIDATE, Arm.BASELINE)]
    measured = Measured({key: Measurement(answer) for key, answer in zip(keys, answers, strict=True) if answer is not None})
    return judge_gate(asked, window, measured, CheckStatus(name="canary"), context or Context(now=NOW))


class TestJudging:
    def test_a_green_like_blue_passes_and_the_score_is_said(self):
        status = judged(check(), values(STEADY[::-1]), values(STEADY))

        assert (status.outcome, status.reason) == (PASS, reasons.SCORE_PASSED)
        assert explain(status).startswith("canary: score 100, passes from 95; most changed is errors: a mean of 10.4")

    def test_a_metric_that_rose_fails_and_is_named_with_both_means(self):
        status = judged(check(), values(HIGHER), values(STEADY))

        assert (status.outcome, status.reason) == (FAIL, reasons.SCORE_FAILED)
        assert explain(status) == "canary: errors high: a mean of 15.68 vs 10.45 (1.5 times); score 0, passes from 95"

    def test_a_rise_that_is_allowed_passes(self):
        assert judged(check({"effectSize": {"allowedIncrease": 1.6}}), values(HIGHER), values(STEADY)).outcome is PASS

    def test_a_score_between_the_thresholds_is_inconclusive_and_says_what_failed(self):
        both = check({}, {"name": "latency"}, scoreThresholds={"pass": 90, "marginal": 40})

        status = judged(both, values(HIGHER), values(STEADY), values(STEADY), values(STEADY))

        assert (status.outcome, status.reason) == (INCONCLUSIVE, reasons.SCORE_MARGINAL)
        assert "errors high: a mean of 15.68" in status.detail

    def test_weights_of_groups_make_the_score(self):
        both = check(
            {}, {"name": "latency", "groups": ["slow"]}, groupWeights={"all": 20, "slow": 80}, scoreThresholds={"pass": 80, "marginal": 10}
        )

        assert judged(both, values(HIGHER), values(STEADY), values(STEADY), values(STEADY)).outcome is PASS

    def test_a_critical_metric_fails_whatever_the_score(self):
        both = check({"critical": True}, {"name": "latency"}, scoreThresholds={"pass": 50, "marginal": 10})

        status = judged(both, values(HIGHER), values(STEADY), values(STEADY), values(STEADY))

        assert status.outcome is FAIL
        assert "errors high (critical): " in status.detail

    def test_a_muted_metric_decides_nothing(self):
        both = check({"muted": True}, {"name": "latency"})

        assert judged(both, values(HIGHER), values(STEADY), values(STEADY), values(STEADY)).outcome is PASS


class TestWithoutData:
    NOTHING = Answer(result_type="matrix", server_time=NOW)

    @pytest.mark.parametrize("strategy", ["remove", "replace"])
    @pytest.mark.parametrize("flags", [{}, {"critical": True}, {"mustHaveData": True}])
    @pytest.mark.parametrize("side", [0, 1])
    def test_missing_values_neither_pass_nor_fail(self, strategy, flags, side):
        answers = [values(STEADY), values(STEADY)]
        answers[side] = self.NOTHING

        status = judged(check({"nanStrategy": strategy} | flags), *answers)

        assert (status.outcome, status.reason) == (INCONCLUSIVE, reasons.NOT_COMPARED)
        assert status.detail.startswith(f"errors has 0 of 5 values of {('green', 'blue')[side]}")

    def test_four_values_are_too_few_even_where_they_would_pass(self):
        assert judged(check(), values(STEADY[:4]), values(STEADY)).reason == reasons.NOT_COMPARED

    def test_what_fails_without_the_missing_metric_fails(self):
        both = check({"critical": True}, {"name": "latency"})

        assert judged(both, values(HIGHER), values(STEADY), self.NOTHING, self.NOTHING).outcome is FAIL

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (Answer(fault=AnswerFault.TIMEOUT, message="slow"), reasons.FAULTS[AnswerFault.TIMEOUT]),
            (Answer(series=values(STEADY).series * 2, result_type="matrix"), reasons.SEVERAL_SERIES),
            (Answer(series=values(STEADY).series, result_type="matrix", warnings=("store down",)), reasons.PARTIAL_ANSWER),
            (Answer(result_type="string"), reasons.WRONG_TYPE),
            (values([*STEADY[:-1], math.inf]), reasons.NOT_COMPARED),
            (None, reasons.NOT_MEASURED),
        ],
    )
    def test_an_answer_that_cannot_be_trusted_is_inconclusive_with_its_own_word(self, answer, reason):
        status = judged(check(), answer, values(STEADY))

        assert (status.outcome, status.reason) == (INCONCLUSIVE, reason)
        assert status.detail.startswith("errors")

    def test_too_few_requests_and_too_short_windows_hold_here_too(self):
        few = WINDOW.model_copy(update={"n_green": 12})
        short = WINDOW.model_copy(update={"ran": 30})

        assert judged(check(), values(HIGHER), values(STEADY), window=few).reason == reasons.TOO_FEW_REQUESTS
        assert judged(check(), values(HIGHER), values(STEADY), window=short).reason == reasons.TOO_FEW_SAMPLES


def test_samples_outside_the_window_are_not_judged():
    """Prometheus 2 closes a range on both sides: the value of the left edge belongs to the warm-up."""
    status = judged(check(), values([9e9, *STEADY]), values([1.0, *STEADY]))

    assert status.outcome is PASS


SPEC = {"checks": [check().model_dump(mode="json", by_alias=True, exclude_none=True)]}


def at(stage):
    """In the stage of this number, its window over."""
    there = a_release().with_plan(**SPEC).at_stage(stage)
    here = there.status.stages[-1].model_copy(update={"window": WINDOW.model_copy(update={"ran": 1e5})})
    return replace(there, status=there.status.model_copy(update={"stages": [*there.status.stages[:-1], here]}))


class TestAsking:
    def test_both_colours_are_asked_for_every_step_of_the_window(self):
        gates = {ask.key: ask for ask in asks(at(2).world()) if ask.key.startswith("gate/")}

        assert {key: (ask.query, ask.time) for key, ask in gates.items()} == {
            "gate/canary/errors/candidate": ('(errors{workload="shop-green"})[600s:30s]', END),
            "gate/canary/errors/baseline": ('(errors{workload="shop"})[600s:30s]', END),
        }

    def test_blue_without_requests_is_asked_for_the_time_before_it_lost_them(self):
        gates = {ask.key: ask for ask in asks(at(4).world()) if ask.key.startswith("gate/")}

        assert gates["gate/canary/errors/baseline"].time == at(4).status.stages[3].shifted_at
        assert gates["gate/canary/errors/candidate"].time == END

    def test_a_failure_rolls_back_and_names_the_metric(self):
        world = at(2).world()
        found = {"gate/canary/errors/candidate": Measurement(values(HIGHER)), "gate/canary/errors/baseline": Measurement(values(STEADY))}

        decision = decide(world.subject, world.observed, Measured(found), world.now)

        assert decision.status.phase is Phase.ROLLING_BACK
        assert "errors high: a mean of 15.68 vs 10.45 (1.5 times)" in decision.status.message


def test_the_plans_words_are_those_of_the_file():
    """Read from a plan, a configuration is the one that the original's file gives."""
    file = json.loads((Path(__file__).parents[1] / "cli" / "imports" / "canary-config.json").read_text())
    config = read_config(json.dumps(file))
    canaries = [one["analysisConfigurations"]["canary"] for one in file["metrics"]]
    metrics = [
        {"name": one["name"], "query": "up", "groups": one["groups"]} | {key: value for key, value in said.items() if key in FIELDS}
        for one, said in zip(file["metrics"], canaries, strict=True)
    ]
    scored = {key: file["classifier"][key] for key in ("groupWeights", "scoreThresholds")}

    read = Kayenta.model_validate({"metrics": metrics, **scored})

    assert kayenta.config_of(config.name, read) == config


FIELDS = {"direction", "nanStrategy", "outliers", "critical", "mustHaveData", "muted", "effectSize"}
