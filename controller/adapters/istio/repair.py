"""The command that puts a route right whose weights nobody can read a serving version from: after a restored backup, say.

Penstock does not run it: which version shall serve is for a person to say. It names the version that no release of
ours has added to the route, or else the one with most of the traffic.
"""

import json
from collections.abc import Sequence

from controller.adapters.istio.added import place_key, read_added
from controller.adapters.istio.preflight import Route
from controller.adapters.istio.rules import FULL, Target, listed_as
from controller.adapters.istio.sides import HostPair, names_one


def repair_words(routes: Sequence[Route], pairs: Sequence[HostPair]) -> str:
    """One kubectl command for each VirtualService whose rules share requests between versions; "" where none does."""
    shared = [
        (route, rule)
        for route in routes
        if route.obj is not None
        for rule in route.parsed.rules
        if len(rule.targets) > 1
        and listed_as(rule, route.ref) is None
        and all(names_one(target.host, target.subset, pairs) for target in rule.targets)
    ]
    if not shared:
        return ""
    ours = {place for route, _ in shared for _, place in read_added(route.obj or {}).destinations}
    totals: dict[str, int] = {}
    for _, rule in shared:
        for target in rule.targets:
            totals[key_of(target)] = totals.get(key_of(target), 0) + (target.weight or 0)
    kept = max(totals, key=lambda key: (key not in ours, totals[key]))
    commands = []
    for route in dict.fromkeys(route.title for route, _ in shared):
        mine = [(found, rule) for found, rule in shared if found.title == route]
        patch = [
            {"op": "add", "path": f"/spec/http/{rule.index}/route/{target.index}/weight", "value": FULL if key_of(target) == kept else 0}
            for _, rule in mine
            for target in rule.targets
        ]
        where = f"-n {mine[0][0].namespace} patch virtualservices.networking.istio.io {mine[0][0].ref.name}"
        commands.append(f"kubectl {where} --type json -p '{json.dumps(patch, separators=(',', ':'))}'")
    return f"to give everything to {kept.replace('|', ' subset ')}: {'; '.join(commands)}"


def key_of(target: Target) -> str:
    """A destination as `Added` remembers it."""
    return place_key(target.host, target.subset)
