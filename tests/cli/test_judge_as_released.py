"""Whole simulated releases, and then `penstock judge --plan` over their windows: the same answers in the same words."""

import json
import math
from pathlib import Path

import pytest

from controller.cli import judge_prometheus
from controller.cli.main import run
from controller.core.sentences import explain
from controller.simulator.promql.provider import SimulatedPrometheus
from controller.simulator.run import run_scenario
from controller.simulator.scenario import load
from tests.docs.pages import ROOT
from tests.sizes import most_telling

STORIES = ROOT / "tests" / "scenarios"
HWAYO = ROOT / "examples" / "hwayo" / "scenarios" / "fails-by-gate.yaml"


def played(path: Path, name: str):
    """A release of this scenario, its plan, and the Prometheus that saw it."""
    scenario = next(one for one in load(path) if one.name == name)
    kept = []
    result = run_scenario(scenario, path.parent, prepare=kept.append)
    return result, path.parent / scenario.plan, SimulatedPrometheus(kept[0].engine, lambda: 0.0)


def selector(workload, namespace):
    return f'{{destination_workload="{workload}",destination_workload_namespace="{namespace}",reporter="source"}}'


@pytest.fixture
def judge(capsys, monkeypatch):
    """Judges a window of a release as its plan does."""

    def judged(prometheus, plan, since, until, *more, arms=(("shop", "shop"), ("shop-green", "shop"))):
        monkeypatch.setattr(judge_prometheus, "connected", lambda _url: prometheus)
        blue, green = (selector(*arm) for arm in arms)
        words = ["--baseline", blue, "--candidate", green, "--from", str(since), "--to", str(until), "--plan", str(plan)]
        code = run(["judge", *words, "--prometheus", "http://prometheus:9090", "-o", "json", *more])
        return code, json.loads(capsys.readouterr().out)

    return judged


@pytest.mark.parametrize(("name", "code"), most_telling(("kayenta-errors", 3), of=[("kayenta-healthy", 0), ("kayenta-errors", 3)]))
def test_kayentas_judge_gives_the_releases_own_sentence(name, code, judge):
    result, plan, prometheus = played(STORIES / "kayenta" / "scenarios.yaml", name)
    stage = result.status.stages[1]
    ended, found = judge(prometheus, plan, stage.window.opened_at, stage.window.last_sample)

    assert (ended, [one["sentence"] for one in found["beside"]]) == (code, [explain(check) for check in stage.checks])


def test_counters_of_ones_own_go_back_at_the_releases_own_sample(judge):
    """The release keeps a fifth of the weight for its stage of 100 %, a window has no such stage: hence 0.8 of the e-value."""
    result, plan, prometheus = played(STORIES / "sequential" / "scenarios.yaml", "sequential-own-broken")
    (check,) = result.status.stages[0].checks
    code, found = judge(prometheus, plan, result.status.stages[0].shifted_at, check.polled_at + 60)
    one = found["checks"][0]

    assert (code, found["rolledBackAt"]) == (3, pytest.approx(check.polled_at, abs=30))
    assert found["lnE"] + math.log(0.8) == pytest.approx(check.ln_e, abs=0.02)
    assert (one["n"], one["candidate"], one["baseline"]) == (check.n, pytest.approx(check.value), pytest.approx(check.baseline))


@pytest.mark.long
def test_a_gauge_asks_for_a_person_when_the_release_did(judge):
    result, plan, prometheus = played(STORIES / "sequential" / "scenarios.yaml", "sequential-gauge-leaks")
    held = next(line for line in result.transcript if "A check asks for a person" in line.text)
    stages = result.status.stages
    code, found = judge(prometheus, plan, stages[0].shifted_at, stages[1].window.last_sample)
    asked = found["stoppedAt"] - (stages[0].shifted_at - 17.05)

    assert code == 4
    assert held.at - 30 <= asked <= held.at
    assert held.text.partition("heap: ")[2].split(" (")[0] == found["beside"][0]["sentence"].partition("heap: ")[2].split(" (")[0]


@pytest.mark.long
def test_a_stage_of_hwayo_passes_with_the_releases_own_numbers_and_its_health_probe_is_left_out(judge):
    """Members in two namespaces, login counters of another member, limits on CPU and memory, eight triggers."""
    result, plan, prometheus = played(HWAYO, "slow-at-25")
    stage = result.status.stages[0]
    arms = ("api-gateway", "hwayo-production"), ("api-gateway", "hwayo-production-green")
    window = stage.window.opened_at, stage.window.last_sample
    code, found = judge(prometheus, plan, *window, arms=arms)
    gates = {one["check"]: one["sentence"] for one in found["beside"] if one["kind"] == "gate"}

    assert found["leftOut"] == ["health"]
    assert (code, {one["outcome"] for one in found["beside"]}) == (0, {"pass"})
    assert gates == {check.name: explain(check) for check in stage.checks}
