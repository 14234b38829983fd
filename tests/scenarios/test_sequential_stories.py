"""What sequential checks leave in a release: the same evidence whoever was killed in between."""

from controller.ports import CONFIG_MAP
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.run import run_scenario
from tests.scenarios.test_scenarios import story


def ended(name, **changes):
    kept = []
    folder, scenario = story(name)
    result = run_scenario(scenario.model_copy(update=changes), folder, prepare=kept.append)
    return result, kept[0]


def test_the_same_sample_decides_whether_or_not_the_controller_was_killed():
    """Killed every 47 s: the evidence, its numbers and the last counted sample are those of a quiet run."""
    killed, _ = ended("sequential-restart")
    quiet, _ = ended("sequential-restart", faults=[])

    assert killed.status.sequential == quiet.status.sequential
    assert killed.status.rollback.message == quiet.status.rollback.message
    assert killed.status.rollback.n == quiet.status.rollback.n


def test_an_outage_loses_no_sample():
    """What Prometheus scraped while the controller could not ask counts afterwards: as many requests as without the outage."""
    outage, _ = ended("sequential-outage")
    stage = outage.status.stages[0]
    check = next(one for one in stage.checks if one.name == "error-rate")

    assert check.n > 0.045 * 50 * stage.window.ran


def test_a_rollback_keeps_the_evidence_that_caused_it():
    """The failing check stands in its stage, and the record holds its numbers and the query."""
    result, sim = ended("sequential-errors")
    rollback = result.status.rollback
    failed = [check for stage in result.status.stages for check in stage.checks if check.outcome == "fail"]
    records = "".join(text for one in InMemoryKube(sim.server).list(CONFIG_MAP, "shop").items for text in one.get("data", {}).values())

    assert [check.name for check in failed] == ["error-rate"]
    assert failed[0].ln_e >= failed[0].ln_bound
    assert (rollback.value, rollback.baseline, rollback.n) == (failed[0].value, failed[0].baseline, failed[0].n)
    assert "istio_requests_total" in records
    assert '"lnE"' in records


def test_a_stage_passes_with_the_numbers_of_every_sequential_check():
    result, _ = ended("sequential-healthy")

    for stage in result.status.stages:
        assert [(check.name, check.outcome) for check in stage.checks] == [("error-rate", "pass"), ("latency", "pass")]
        assert all(check.ln_e < check.ln_bound and check.n > 100 for check in stage.checks)


def test_the_state_of_a_whole_release_stays_small():
    result, _ = ended("sequential-healthy")

    assert all(len(one.state) < 4096 for one in result.status.sequential)
    assert len(result.status.model_dump_json(by_alias=True)) < 16_384
