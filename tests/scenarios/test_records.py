"""What the durable records keep of a decision: every measurement that it used, with its query, limit and time."""

from pathlib import Path

import orjson
import pytest

from controller.ports import CONFIG_MAP
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.run import run_scenario
from controller.simulator.scenario import load

EXAMPLES = Path(__file__).parents[2] / "examples"


def records(example, file, name):
    """The data of all records of a scenario's release, by kind."""
    folder, kept = EXAMPLES / example / "scenarios", []
    (scenario,) = (one for one in load(folder / file) if one.name == name)
    run_scenario(scenario, folder, prepare=kept.append)
    found = {}
    for stored in InMemoryKube(kept[0].server).list(CONFIG_MAP).items:
        if stored["metadata"]["name"].startswith("penstock-history-"):
            for text in stored["data"].values():
                entry = orjson.loads(text)
                found.setdefault(entry["kind"], []).append(entry["data"])
    return found


def test_a_rollback_by_triggers_together_has_the_numbers_and_the_query_of_each():
    (rollback,) = records("symbol-mapper", "fails.yaml", "fails-at-10")["rollback"]

    assert [(check["name"], check["outcome"]) for check in rollback["checks"]] == [
        ("response-time", "fail"),
        ("errors", "fail"),
        ("memory", "fail"),
    ]
    assert all(check["value"] > check["limit"] and check["polledAt"] for check in rollback["checks"])
    asked = ("histogram_quantile(", "istio_requests_total{", "memory")
    assert [part in query for part, query in zip(asked, rollback["queries"], strict=True)] == [True] * 3


@pytest.mark.long
def test_a_verdict_has_the_numbers_and_the_queries_of_both_versions():
    verdict = records("first-release", "healthy.yaml", "healthy")["verdict"][0]

    assert [(check["name"], check["outcome"]) for check in verdict["checks"]] == [("error-rate", "pass"), ("latency", "pass")]
    assert all(
        check["value"] is not None and check["baseline"] is not None and check["limit"] and check["n"] for check in verdict["checks"]
    )
    assert len(verdict["queries"]) == 2
