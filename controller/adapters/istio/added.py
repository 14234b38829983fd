"""What Penstock added to an object of others, remembered in an annotation on it, so that a later release can take it away."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.adapters import marks
from controller.ports import Obj


@dataclass(frozen=True, slots=True)
class Added:
    """Our additions.

    Attributes:
        destinations: on a VirtualService: rule name ("" for unnamed ones) and destination (`host` or `host|subset`).
        bypass: names of bypass rules that we made.
        took: rule name to the subset whose idle place green's destination took over.
        subsets: on a DestinationRule: names of subsets that we added.
    """

    destinations: frozenset[tuple[str, str]] = frozenset()
    bypass: frozenset[str] = frozenset()
    took: Mapping[str, str] = field(default_factory=dict)
    subsets: frozenset[str] = frozenset()

    def text(self) -> str | None:
        """The annotation's value; None where nothing is remembered."""
        body = {
            "destinations": sorted(list(pair) for pair in self.destinations),
            "bypass": sorted(self.bypass),
            "took": dict(sorted(self.took.items())),
            "subsets": sorted(self.subsets),
        }
        body = {key: value for key, value in body.items() if value}
        return json.dumps(body, separators=(",", ":")) if body else None


def read_added(obj: Obj, recorded: str = "") -> Added:
    """What the annotation says; nothing where it was edited to nonsense. Where it is missing, what the Release has `recorded` of it."""
    try:
        body = marks.mapping(json.loads(marks.annotation(obj, marks.ADDED) or recorded or "{}"))
    except ValueError:
        return Added()
    pairs = [pair for pair in marks.items(body.get("destinations")) if isinstance(pair, list) and [type(x) for x in pair] == [str, str]]
    return Added(
        frozenset((rule, place) for rule, place in pairs),
        frozenset(name for name in marks.items(body.get("bypass")) if isinstance(name, str)),
        {key: value for key, value in marks.mapping(body.get("took")).items() if isinstance(value, str)},
        frozenset(name for name in marks.items(body.get("subsets")) if isinstance(name, str)),
    )


def place_key(host: str, subset: str) -> str:
    """How a destination is remembered."""
    return f"{host}|{subset}" if subset else host
