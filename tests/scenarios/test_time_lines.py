"""The time lines of docs/checks.md, run: gauges that pass, fail or have no answer at each poll, until the release goes back."""

import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from controller.api.release import Phase
from controller.core.rhythm import due_after
from controller.ports import RELEASE
from controller.simulator.run import run_scenario
from controller.simulator.scenario import START, Scenario

ROOT = Path(__file__).parents[2]
INTERVAL = 20.0
PLAN = """
apiVersion: penstock.dev/v1alpha1
kind: ReleasePlan
metadata: {name: shop, namespace: shop}
spec:
  workload: shop
  traffic: {virtualService: shop}
  stages: [{weight: 50, window: 60s}, {weight: 100, window: 60s}]
  checks: [{name: error-rate, builtin: error-rate, limit: {max: 1}}]
"""


def line_of(name):
    """The letters of a line of the picture, one a moment."""
    text = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    return "".join(re.search(rf"^ {name} +((?:[pfi](?: +|$))+)", text, re.MULTILINE)[1].split())


MEASURED, ERRORS, SLOW = line_of("measured"), line_of("errors"), line_of("slow")


@cache
def first_poll():
    """Seconds until the first poll in its place: from then on one comes each interval. Every story here makes the same release."""
    sims = []
    with TemporaryDirectory() as folder:
        run_scenario(story(Path(folder), {"signal": "fffff"}, {}, group=False, begin=INTERVAL), Path(folder), prepare=sims.append)
    uid = sims[0].kube.get(RELEASE, "shop", "shop-v2")["metadata"]["uid"]
    return due_after(uid, due_after(uid, START + 17.0, INTERVAL), INTERVAL) - START


def story(folder, lines, repeat, *, group, begin):
    """A release whose gauges are 0 where a line says p, 9 where it says f, and without an answer where it says i."""
    plan = yaml.safe_load(PLAN)
    metrics, faults = [], []
    for name, letters in lines.items():
        changes = [
            {"after": f"{begin + INTERVAL * moment - 10:g}s", "value": 9 if letter == "f" else 0} for moment, letter in enumerate(letters)
        ]
        after_all = {"after": f"{begin + INTERVAL * len(letters) - 10:g}s", "value": 0}
        metrics.append({"name": name, "kind": "gauge", "value": [{"value": 0}, *changes, after_all]})
        for moment, letter in enumerate(letters):
            if letter == "i":
                at = f"{begin + INTERVAL * moment - 5:g}s"
                faults.append({"kind": "prometheus-empty", "at": at, "lasts": "10s", "queries": f"*{name}*"})
        query = f'max({name}{{namespace="$namespace",workload="$workload"}})'
        trigger = {"name": name, "query": query, "limit": {"max": 5}, "interval": f"{INTERVAL:g}s", "repeat": repeat}
        plan["spec"].setdefault("triggers", []).append(trigger | ({"together": "both"} if group else {}))
    plan["spec"]["groups"] = [{"name": "both", "failing": 2}] if group else []
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return Scenario.model_validate(
        {
            "name": "time-line", "world": str(ROOT / "tests/scenarios/peers/world.yaml"), "scrape": "5s",
            "users": [{"host": "shop.shop.svc.cluster.local", "rps": 100}], "metrics": metrics, "faults": faults,
            "release": {"revision": "v2", "images": {"shop": "registry.example/shop:2.0"}}, "expect": {"phase": "Succeeded"},
        }
    )  # fmt: skip


def fires_at(folder, lines, repeat=None, *, group=False):
    """The moment, counted from 1, at which everybody is put back; None where green succeeds."""
    status = run_scenario(story(folder, lines, repeat or {}, group=group, begin=first_poll()), folder).status
    if status.rollback is None:
        assert status.phase is Phase.SUCCEEDED
        return None
    return round((status.rollback.decided_at - START - first_poll()) / INTERVAL + 1, 1)


CONSECUTIVE, OF_THREE = {"consecutive": 2}, {"failures": 2, "of": 3}


def test_the_page_shows_the_lines_that_are_run_here():
    assert (MEASURED, ERRORS, SLOW) == ("pfifpff", "ppffpp", "pfpffp")


@pytest.mark.parametrize(
    ("letters", "repeat", "moment"),
    [
        (MEASURED, CONSECUTIVE, 4),
        (MEASURED, OF_THREE, 4),
        (MEASURED, {}, 2),
        (MEASURED[:3] + MEASURED[4:6], OF_THREE, 5),  # the page's moment 6, had nothing fired before it: f p f
        (MEASURED[:3] + MEASURED[4:6], CONSECUTIVE, None),
        (MEASURED[:3] + MEASURED[4:], CONSECUTIVE, 6),
        ("iiii", CONSECUTIVE, None),
    ],
)
def test_a_repeat_rule_fires_at_the_moment_of_the_page(tmp_path, letters, repeat, moment):
    assert fires_at(tmp_path, {"signal": letters}, repeat) == moment


def test_together_fires_when_both_fail_at_once(tmp_path):
    assert fires_at(tmp_path, {"errors": ERRORS, "slow": SLOW}, group=True) == 4


def test_together_does_not_fire_where_only_one_fails_at_a_time(tmp_path):
    """The page's moments 2, 3 and 5 without its moment 4."""
    assert fires_at(tmp_path, {"errors": ERRORS[:3] + ERRORS[4:], "slow": SLOW[:3] + SLOW[4:]}, group=True) is None
