"""A plan that is edited in mid-release: what `get` and `why` say that the edit changed."""

import json

import pytest

from controller.cli.plan_changes import bounded
from controller.ports import RELEASE_PLAN
from controller.simulator.apiserver.client import InMemoryKube
from tests.cli.cli_bed import a_terminal

STAGES = [{"weight": 5, "window": "10m"}, {"weight": 25}, {"weight": 100}]


def edited(**spec):
    terminal = a_terminal()
    terminal.until(100)
    terminal.plan_patch(**spec)
    terminal.until(200)
    return terminal


def lines_of(result, word):
    return [line.removeprefix(word).strip() for line in result.out.splitlines() if line.startswith(word)]


@pytest.mark.parametrize("words", [["get", "release", "shop-v2"], ["why", "shop-v2"]], ids=" ".join)
def test_an_edit_is_told_with_path_old_and_new(words):
    result = edited(stages=STAGES, finish={"retention": "1h"}).penstock(*words)

    told = [line.removeprefix(": ").strip() for line in lines_of(result, "Edit")]
    assert told[0] == "spec.stages[5].window: 5m -> 10m"
    assert told[1].startswith("spec.stages[50]: {weight: 50, window: 5m")
    assert told[1].endswith("-> nothing")
    assert told[2:] == ["spec.finish.retention: 10m -> 1h"]


def test_a_program_gets_them_too():
    found = json.loads(edited(concurrency="supersede").penstock("why", "shop-v2", "-o", "json").out)

    assert found["planEdits"] == ["spec.concurrency: queue -> supersede"]


def test_a_default_that_is_written_out_is_no_edit():
    assert lines_of(edited(concurrency="queue").penstock("why", "shop-v2"), "Edit") == []


def test_a_plan_that_nobody_edited_has_none():
    terminal = a_terminal()
    terminal.until(200)

    assert lines_of(terminal.penstock("why", "shop-v2"), "Edit") == []


def test_a_plan_that_was_deleted_after_an_edit_is_said():
    terminal = edited(concurrency="supersede")
    kube = InMemoryKube(terminal.sim.server)
    kube.delete(RELEASE_PLAN, "shop", "shop", uid=kube.get(RELEASE_PLAN, "shop", "shop")["metadata"]["uid"])

    assert lines_of(terminal.penstock("why", "shop-v2"), "Edit: ") == ["the plan was deleted"]


def test_many_edits_are_counted_and_long_values_cut():
    old = {"checks": [{"name": f"c{i}", "query": "x" * 500} for i in range(20)]}
    new = {"checks": [{"name": f"c{i}", "query": "y" * 500} for i in range(20)]}

    told = bounded(old, new)
    assert told[0].startswith("spec.checks[c0].query: xxx")
    assert (len(told), told[-1]) == (9, "and 12 more")
    assert max(map(len, told)) < 160


def test_entries_in_another_order_are_said():
    assert bounded({"a": [{"name": "x"}, {"name": "y"}]}, {"a": [{"name": "y"}, {"name": "x"}]}) == ["spec.a: [x, y] -> [y, x]"]
