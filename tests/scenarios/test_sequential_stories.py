"""What sequential checks leave in a release: the same evidence whoever was killed in between."""

import pytest

from controller.adapters.history import read_history
from controller.ports import CONFIG_MAP, RELEASE
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.run import run_scenario
from controller.simulator.scenario import AppMetricModel, Fault
from tests.scenarios.test_scenarios import played, story
from tests.sizes import most_telling
from tests.stories import run


@pytest.mark.parametrize("name", ["sequential-restart"])
def test_the_same_sample_decides_whether_or_not_the_controller_was_killed(name):
    """Killed every 47 s: the evidence, its numbers and the last counted sample are those of a quiet run."""
    killed, _ = played(name)
    folder, scenario = story(name)
    quiet = run_scenario(scenario.model_copy(update={"faults": []}), folder)

    assert killed.status.sequential == quiet.status.sequential
    assert killed.status.rollback.message == quiet.status.rollback.message
    assert killed.status.rollback.n == quiet.status.rollback.n


@pytest.mark.long
@pytest.mark.parametrize("name", ["sequential-outage"])
def test_an_outage_loses_no_sample(name):
    """What Prometheus scraped while the controller could not ask counts afterwards: as many requests as without the outage."""
    outage, _ = played(name)
    stage = outage.status.stages[0]
    check = next(one for one in stage.checks if one.name == "error-rate")

    assert check.n > 0.45 * 50 * stage.window.ran


@pytest.mark.parametrize("name", ["sequential-errors"])
def test_a_rollback_keeps_the_evidence_that_caused_it(name):
    """The failing check stands in its stage, and the record holds its numbers and the query."""
    result, kube = played(name)
    rollback = result.status.rollback
    failed = [check for stage in result.status.stages for check in stage.checks if check.outcome == "fail"]
    records = "".join(text for one in kube.list(CONFIG_MAP, "shop").items for text in one.get("data", {}).values())

    assert [check.name for check in failed] == ["error-rate"]
    assert failed[0].ln_e >= failed[0].ln_bound
    assert (rollback.value, rollback.baseline, rollback.n) == (failed[0].value, failed[0].baseline, failed[0].n)
    assert "istio_requests_total" in records
    assert '"lnE"' in records


@pytest.mark.long
@pytest.mark.parametrize("name", ["sequential-healthy"])
def test_a_stage_passes_with_the_numbers_of_every_sequential_check(name):
    result, _ = played(name)

    for stage in result.status.stages:
        assert [(check.name, check.outcome) for check in stage.checks] == [("error-rate", "pass"), ("latency", "pass")]
        assert all(check.ln_e < check.ln_bound and check.n > 100 for check in stage.checks)


@pytest.mark.long
@pytest.mark.parametrize("name", ["sequential-healthy"])
def test_the_state_of_a_whole_release_stays_small(name):
    result, _ = played(name)

    assert all(len(one.state) < 4096 for one in result.status.sequential)
    assert len(result.status.model_dump_json(by_alias=True)) < 16_384


@pytest.mark.long
@pytest.mark.parametrize("name", ["sequential-early"])
def test_a_stage_passes_early_once_green_is_shown_to_be_within_the_margin_and_never_at_100_percent(name):
    first, second, bake = played(name)[0].status.stages

    for stage in (first, second):
        assert stage.early
        assert 120 <= stage.window.ran < 1800
        assert all(check.ln_early >= check.ln_early_bound for check in stage.checks)
    assert not bake.early
    assert bake.window.ran >= 600


@pytest.mark.long
@pytest.mark.parametrize("name", ["sequential-early"])
def test_a_controller_that_is_killed_again_and_again_passes_the_same_stages_early(name):
    folder, scenario = story(name)
    faults = [Fault(kind="crash", at=60.0, lasts=1200.0, every=47.0)]
    killed = run_scenario(scenario.model_copy(update={"faults": faults}), folder)

    assert [stage.early for stage in killed.status.stages] == [True, True, False]


def decided_by(result):
    """The sentences with e-values for which a release was held or sent back, without the times of the way back."""
    return [str(line).split("%  ", 1)[1].partition(". Green had")[0] for line in result.transcript if "e-value" in str(line)]


KILLED = ["sequential-gauge-leaks", "sequential-own-broken", "sequential-objective-incident"]


@pytest.mark.parametrize("name", most_telling("sequential-own-broken", of=KILLED))
def test_pairs_own_counters_and_new_bets_survive_a_controller_that_is_killed_again_and_again(name):
    folder, scenario = story(name)
    quiet, _ = played(name)
    faults = [Fault(kind="crash", at=60.0, lasts=2400.0, every=47.0)]
    killed = run_scenario(scenario.model_copy(update={"faults": faults}), folder)

    assert killed.problems == []
    assert decided_by(killed) == decided_by(quiet)


def with_failures_counted(tmp_path, name):
    """The story in which payments are counted, and those that were lost by a counter of this name."""
    folder, scenario = story("sequential-own-healthy")
    for path in folder.glob("*.yaml"):
        text = path.read_text().replace("good: payments_paid_total{", f"bad: {name}{{")
        (tmp_path / path.name).write_text(text)
    every = [one for one in scenario.metrics if one.name == "payments_total"] + [AppMetricModel(name="lost_total", kind="bad")]
    result, sim = run(tmp_path, scenario.model_copy(update={"metrics": every}))
    assert result.problems == []
    kube = InMemoryKube(sim.server)
    (release,) = kube.list(RELEASE, "shop").items
    return result.status.warnings, [entry["reason"] for entry in read_history(kube, release)]


@pytest.mark.long
def test_a_counter_of_failures_that_nobody_has_ever_seen_is_said_once_when_the_first_stage_passes(tmp_path):
    warnings, reasons = with_failures_counted(tmp_path, "lots_total")
    said = "A stage passed on a counter of failures of which neither version has ever shown a series: payments counts lots_total{"

    assert sum(one.startswith(said) for one in warnings) == 1
    assert reasons.count("FailuresUnseen") == 1


@pytest.mark.long
def test_one_that_counts_failures_is_not(tmp_path):
    warnings, reasons = with_failures_counted(tmp_path, "lost_total")

    assert not any("counter of failures" in one for one in warnings)
    assert "FailuresUnseen" not in reasons
