"""The shares that the core is told are those that a real istiod gave its proxies."""

import json
from pathlib import Path

import pytest

from controller.adapters.istio.rules import parse_rules

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "istiod-routes.json").read_text())

OTHER_NAMESPACE = "host-short-in-other-namespace"
"""Its short names lead nowhere, so Istio falls back to the host's own pods: a refusal of its own, not a matter of weights."""


def short(target):
    host = target.host.removesuffix(".svc.cluster.local")
    return f"{target.subset}@{host}" if target.subset else host


def recorded():
    """Cases with one VirtualService of one rule, seen by a client of its namespace, and the clusters that the rule gave."""
    for case in RECORDED["cases"]:
        services = [obj for obj in case["objects"] if obj["kind"] == "VirtualService"]
        rules = services[0]["spec"].get("http") or [] if len(services) == 1 else []
        several = len(rules) == 1 and len(rules[0].get("route") or ()) > 1
        if not several or case["topic"] not in ("weights", "host mode", "subset mode") or case["name"] == OTHER_NAMESPACE:
            continue
        view = next((view for view in case["result"]["views"] if view["proxy"] == "app"), None)
        if view is not None and len(view["routes"]) == 1:
            yield pytest.param(services[0], view["routes"][0]["to"], id=case["name"])


CASES = list(recorded())


@pytest.mark.parametrize(("obj", "seen"), CASES)
def test_the_share_of_each_destination_is_the_recorded_one(obj, seen):
    (rule,) = parse_rules(obj, "cluster.local").rules
    total = sum(weight for _, weight in seen)
    shares = {cluster.rsplit(":", 1)[0]: -(-100 * weight // total) for cluster, weight in seen}
    ours = {short(target): rule.percent(lambda t, mine=target: t is mine) for target in rule.targets}
    if None in ours.values():
        assert not set(shares) & set(ours), "Istio does not use the rule: everything goes to the host's own pods"
    else:
        assert {name: share for name, share in ours.items() if share} == shares


def test_the_recording_has_enough_of_them():
    assert len(CASES) >= 8
