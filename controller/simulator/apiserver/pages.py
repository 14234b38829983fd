"""Lists: snapshots, cut into pages that stay consistent whatever is written in between."""

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from controller.ports import Obj
from controller.simulator.apiserver import rules
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.options import Page
from controller.simulator.apiserver.storage import Filter, Served

KEPT_SNAPSHOTS = 256


@dataclass(frozen=True, slots=True)
class Query:
    """How a list is asked for: page size (0: everything), `continue` token, and a revision to be at least (or exactly) at."""

    limit: int = 0
    token: str = ""
    resource_version: str = ""
    match: str = ""


ALL = Query()


class Snapshots:
    """The snapshots behind `continue` tokens; the oldest are forgotten, as compaction does on a real server."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, Sequence[Obj]]] = OrderedDict()
        self._made = 0

    def clear(self) -> None:
        """Expire every token."""
        self._kept.clear()

    def page(self, served: Served, meant: Filter, query: Query, revision: int) -> Page:
        """One page. 410 for an expired token, 400 for one that is none, 504 for a revision that is not reached yet."""
        asked = rules.revision_number(query.resource_version, listing=True)
        rules.revision_is_matched(query.match, query.resource_version)
        rules.revision_is_not_in_the_future(asked, revision)
        if query.match == "Exact" and asked != revision:
            raise ApiError(410, f"The provided resource version is too old: {asked}")  # no older state is kept
        live = _items(served, meant)
        if not query.token:
            return self._cut("", (revision, live), live, 0, query.limit)
        name, start = _decoded(query.token)
        if name not in self._kept:
            raise ApiError(410, "The provided continue parameter is too old to display a consistent list result. Start a new list.")
        return self._cut(name, self._kept[name], live, start, query.limit)

    def _cut(self, name: str, snapshot: tuple[int, Sequence[Obj]], live: Sequence[Obj], start: int, limit: int) -> Page:
        revision, items = snapshot
        page = rules.page_of(items, live, start, limit)
        remaining = len(items) - start - len(page)
        if remaining <= 0 or not limit:
            return Page(page, str(revision))
        if not name:
            self._made += 1
            name = str(self._made)
            self._kept[name] = (revision, items)
            if len(self._kept) > KEPT_SNAPSHOTS:
                self._kept.popitem(last=False)
        return Page(page, str(revision), _encoded(name, start + limit), remaining)


def _items(served: Served, meant: Filter) -> Sequence[Obj]:
    plain = meant.labels is None and meant.fields is None
    found = [obj for obj in served.shelf.all(meant.namespace) if plain or meant(obj)]
    return found if served.view is None else [served.view(obj) for obj in found]


def _encoded(name: str, start: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"v": name, "start": start}).encode()).decode().rstrip("=")


def _decoded(token: str) -> tuple[str, int]:
    try:
        read = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return read["v"], read["start"]
    except (ValueError, KeyError, TypeError, binascii.Error) as wrong:
        raise ApiError(400, "continue key is not valid") from wrong
