"""What holds of every write of ours, whatever it is about: epochs, preconditions and the resolved list (S9, S14)."""

from typing import Any

from controller.adapters import marks
from controller.ports import Obj
from controller.simulator.invariants_book import Book

WRITTEN = frozenset({"VirtualService", "DestinationRule", "Deployment", "Service", "HorizontalPodAutoscaler"})
"""Kinds that a plan resolves to; records and our own kinds are named after their release."""

Preconditions = tuple[str, str]
"""Uid and resourceVersion that a deletion named; "" where it named none."""


def epoch(book: Book, kind: str, old: Obj | None, new: Obj | None) -> None:
    """S9: an epoch in every create and patch, and never a lower one."""
    if new is None:
        return
    where = f"{kind} {new['metadata'].get('namespace', '')}/{new['metadata']['name']}"
    status_write = old is not None and (old.get("status") or {}) != (new.get("status") or {})
    if status_write:
        was, now = ((o.get("status") or {}).get("epoch", 0) for o in (old or {}, new))
    else:
        was, now = marks.epoch_of(old) if old else 0, marks.epoch_of(new)
    if marks.outranks(was, now):
        book.breach("S9", f"{where}: the epoch fell from {was} to {now}")
    if not now:
        book.breach("S9", f"{where} was written without an epoch")


def deletion(book: Book, kind: str, old: Obj, named: Preconditions) -> None:
    """S9: a deletion names the uid and the resourceVersion of what was looked at."""
    missing = [word for word, value in zip(("uid", "resourceVersion"), named, strict=True) if not value]
    if missing:
        meta = old["metadata"]
        book.breach("S9", f"{kind} {meta.get('namespace', '')}/{meta['name']} was deleted without naming its {' and its '.join(missing)}")


def resolved(book: Book, kind: str, old: Obj | None, new: Obj | None) -> None:
    """S14: only what a plan resolved to, under the uid at which it was seen, or what we made."""
    obj = new if new is not None else old
    if kind not in WRITTEN or obj is None:
        return
    meta = obj["metadata"]
    what = f"{kind} {meta.get('namespace', '')}/{meta['name']}"
    if old is None:
        if not marks.is_made(obj):
            book.breach("S14", f"{what} was created without saying that we made it")
        return
    uids = listed(book).get((kind, meta.get("namespace", ""), meta["name"]), set())
    if marks.is_made(old):
        return
    if not uids:
        book.breach("S14", f"{what} was written, and no release lists it")
    elif kind == "VirtualService" and new is not None and marks.annotation(new, marks.STAMP) != marks.annotation(old, marks.STAMP):
        return  # a way back acts first: one that was deleted and made again is written down under its new uid after that
    elif old["metadata"]["uid"] not in uids and "" not in uids:
        book.breach("S14", f"{what} was written, and every release that lists it has seen another one of that name")


def listed(book: Book) -> dict[tuple[Any, Any, Any], set[str]]:
    """Uids of the resolved lists of all releases, by kind, namespace and name."""
    found: dict[tuple[Any, Any, Any], set[str]] = {}
    for facts in book.releases.values():
        for entry in facts.status.get("objects", ()):
            found.setdefault((entry.get("kind"), entry.get("namespace"), entry.get("name")), set()).add(entry.get("uid", ""))
    return found
