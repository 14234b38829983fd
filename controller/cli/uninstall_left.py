"""What an uninstall leaves in the cluster: what Penstock made and still serves or may serve, and the routes that it moved."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from controller.adapters.marks import ADDED, EPOCH, annotation, is_made, items, mapping, where
from controller.core.words import many
from controller.ports import CONFIG_MAP, DEPLOYMENT, DESTINATION_RULE, HPA, SERVICE, VIRTUAL_SERVICE, Kind, Obj

List = Callable[[Kind], Sequence[Obj]]
"""All objects of a kind in all namespaces."""

RECORDS = ("penstock-plan-", "penstock-history-")
"""Beginnings of the names of ConfigMaps that go with the resources."""


def left_behind(listed: List) -> Iterator[str]:
    """One line an object, routes first."""
    for route in listed(VIRTUAL_SERVICE):
        if annotation(route, EPOCH):
            yield f"{where(route)}: {'; '.join(weights(route)) or 'no weights'}"
    for kind in (DEPLOYMENT, SERVICE, HPA, DESTINATION_RULE, CONFIG_MAP):
        for obj in listed(kind):
            if is_made(obj) and not str(mapping(obj.get("metadata")).get("name")).startswith(RECORDS):
                replicas = f", {many(mapping(obj.get('spec')).get('replicas', 1), 'replica')}" if kind is DEPLOYMENT else ""
                yield f"{where(obj)}, made by Penstock{replicas}"
    for rule in listed(DESTINATION_RULE):
        if annotation(rule, ADDED) and not is_made(rule):
            yield f"{where(rule)}, with subsets that Penstock added"


def weights(route: Obj) -> Iterator[str]:
    """Of each http rule that splits: `75 to shop v1, 25 to shop v2`."""
    for rule in items(mapping(route.get("spec")).get("http")):
        split = [mapping(one) for one in items(mapping(rule).get("route"))]
        if split:
            yield ", ".join(f"{one.get('weight', 100 if len(split) == 1 else 0)} % to {destination(one)}" for one in split)


def destination(one: Any) -> str:
    """`host` or `host subset`."""
    found = mapping(one.get("destination"))
    return " ".join(str(found[key]) for key in ("host", "subset") if found.get(key))
