"""Keeps a copy of one kind of object in step with the API server, on a thread of its own, for the bed's own helpers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx

from tests.bed.api import Api, ApiError, JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable

RETRY_SECONDS = 0.2
Key = tuple[str, str]


class Mirror:
    """Lists, then watches `path`; lists again after every error, so it survives restarts of the API server.

    Args:
        api: whose eyes it looks through.
        path: a collection over all namespaces.
        changed: called in the mirror's thread with (key, object or None when deleted) for every change.
    """

    def __init__(self, api: Api, path: str, changed: Callable[[Key, JsonObject | None], Any]) -> None:
        self._api = api
        self._path = path
        self._changed = changed
        self._known: dict[Key, JsonObject] = {}
        self._stopping = threading.Event()
        self._listed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mirror {path}", daemon=True)

    def start(self) -> Mirror:
        """Begin; returns once the first list is in."""
        self._thread.start()
        self._listed.wait(30)
        return self

    def stop(self) -> None:
        """End at the next event; the thread is a daemon and is not waited for, as a quiet watch has no next event."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow(self._list())
            except (httpx.HTTPError, ApiError, RuntimeError):
                # RuntimeError: the bed closed this client while the thread was using it.
                self._stopping.wait(RETRY_SECONDS)

    def _list(self) -> str:
        listing = self._api.get(self._path)
        fresh = {_key(item): item for item in listing["items"]}
        for gone in self._known.keys() - fresh.keys():
            self._tell(gone, None)
        for key, item in fresh.items():
            self._tell(key, item)
        self._listed.set()
        version: str = listing["metadata"]["resourceVersion"]
        return version

    def _follow(self, version: str) -> None:
        for event in self._api.watch(self._path, version):
            if self._stopping.is_set() or event["type"] == "ERROR":
                return
            if event["type"] != "BOOKMARK":
                item = event["object"]
                self._tell(_key(item), None if event["type"] == "DELETED" else item)

    def _tell(self, key: Key, item: JsonObject | None) -> None:
        if item is None:
            self._known.pop(key, None)
        else:
            self._known[key] = item
        self._changed(key, item)


def _key(item: JsonObject) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
