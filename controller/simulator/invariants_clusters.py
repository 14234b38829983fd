"""What a write of ours may do to a DestinationRule: S4 and S12."""

from typing import Any

from controller.adapters import marks
from controller.ports import Obj
from controller.simulator.invariants_book import Book, place_of
from controller.simulator.invariants_model import Place, foreign_marks, service_of


def cluster(book: Book, old: Obj | None, new: Obj | None) -> None:
    """One write of ours to a DestinationRule that others made."""
    if old is None or new is None or marks.is_made(old):
        return
    where = f"DestinationRule {place_of(new)}"
    moving = {name for facts in book.releases.values() for name in (facts.status.get("blueSubset"), facts.status.get("greenSubset"))}
    if unowned(old, moving) != unowned(new, moving):
        book.breach("S12", f"{where}: more than the subsets of a release was changed")
    gone = {entry["name"] for entry in subsets(old)} - {entry["name"] for entry in subsets(new)}
    host = service_of({"host": (old.get("spec") or {}).get("host", "")}, old["metadata"]["namespace"])
    for name in sorted(gone & routed(book, host)):
        book.breach("S4", f"{where}: subset {name} went while a route sends to it")


def subsets(obj: Obj) -> list[Any]:
    """The subsets that have a name."""
    return [entry for entry in (obj.get("spec") or {}).get("subsets") or () if entry.get("name")]


def unowned(obj: Obj, moving: set[Any]) -> Any:
    """A DestinationRule without the subsets of releases and without our annotations."""
    rest = {key: value for key, value in (obj.get("spec") or {}).items() if key != "subsets"}
    return [rest, [entry for entry in subsets(obj) if entry["name"] not in moving], foreign_marks(obj)]


def routed(book: Book, host: Place) -> set[str]:
    """Subsets of a host that a VirtualService sends requests to."""
    found = set()
    for (kind, namespace, _), obj in book.objects.items():
        for rule in ((obj.get("spec") or {}).get("http") or ()) if kind == "VirtualService" else ():
            live = [entry for entry in rule.get("route") or () if len(rule["route"]) == 1 or entry.get("weight")]
            targets = [entry.get("destination") or {} for entry in live]
            found |= {target.get("subset", "") for target in targets if service_of(target, namespace) == host}
    return found
