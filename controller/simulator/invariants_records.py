"""Records, frozen plans and requests: S11 and S15."""

import orjson
from pydantic import ValidationError

from controller.api.plan import PlanSpec
from controller.ports import Obj
from controller.simulator.invariants_book import Book


def config_map(book: Book, obj: Obj, *, gone: bool) -> None:
    """A frozen plan or a history: no record goes or changes its kind."""
    meta, data = obj["metadata"], obj.get("data") or {}
    if meta["name"].startswith("penstock-plan-") and not gone:
        try:
            plan = PlanSpec.model_validate(orjson.loads(data.get("plan.json", "")))
        except (ValidationError, orjson.JSONDecodeError):
            return
        hash_ = meta["name"].removeprefix("penstock-plan-")
        book.plans[meta["namespace"], hash_] = plan
    elif meta["name"].startswith("penstock-history-"):
        owner = next((o["uid"] for o in meta.get("ownerReferences", ())), "")
        known = book.records.setdefault(owner, {})
        entries = {key: orjson.loads(value) for key, value in data.items()}
        for key, entry in known.items():
            now = entries.get(key)
            if not gone and now is None:
                book.breach("S15", f"ConfigMap {meta['namespace']}/{meta['name']}: the record {key} is gone")
            elif now is not None and now["kind"] != entry["kind"]:
                book.breach("S15", f"ConfigMap {meta['namespace']}/{meta['name']}: the record {key} was {entry['kind']}, now {now['kind']}")
        acted = [entry["data"]["uid"] for entry in entries.values() if (entry.get("data") or {}).get("uid")]
        book.acted |= set(acted)
        if len(acted) != len(set(acted)):
            book.breach("S11", f"ConfigMap {meta['namespace']}/{meta['name']}: a request was applied more than once")
        known |= entries


def request(book: Book, new: Obj) -> None:
    """A request is answered once, and accepted only where it was acted on."""
    status = new.get("status") or {}
    uid, answer = new["metadata"]["uid"], (status.get("state"), status.get("reason"))
    if not status.get("state"):
        return
    if answer[0] == "refused" and uid in book.acted:
        book.breach("S11", f"ReleaseRequest {new['metadata']['name']} was acted on and then refused with {answer[1]}")
    if answer == ("accepted", "Accepted") and uid not in book.acted:
        book.breach("S15", f"ReleaseRequest {new['metadata']['name']} was accepted and has no record")
    if book.answered.setdefault(uid, answer) != answer:
        book.breach("S11", f"ReleaseRequest {new['metadata']['name']} was answered {book.answered[uid][0]}, then {answer[0]}")
