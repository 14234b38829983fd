"""How slow the machine is: writes of the test's own, a few a second, and when the news of each came back."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING

import httpx

from tests.bed.api import Api, ApiError, JsonObject

if TYPE_CHECKING:
    from collections.abc import Sequence

PREFIX = "pulse-"
NAMESPACE = "default"
BEAT_SECONDS = 0.25
RETRY_SECONDS = 0.05


def is_beat(kind: str, name: str) -> bool:
    """Whether an object is that of a pulse."""
    return kind == "ConfigMap" and name.startswith(PREFIX)


class Pulse:
    """Beats from `start` to `stop`, in a thread of its own; whoever watches ConfigMaps tells it what `heard`."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
        self._stopping = threading.Event()
        self._news = threading.Condition()
        self._heard = ""
        self._beats: list[tuple[float, float]] = []
        self._begun = 0.0

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def stop(self) -> None:
        """End; the thread is a daemon and is not waited for."""
        self._stopping.set()

    def heard(self, obj: JsonObject) -> None:
        """News of a pulse's object, whosever it is."""
        if obj["metadata"]["name"] == self._name:
            with self._news:
                self._heard = obj["data"]["beat"]
                self._news.notify_all()

    def beats(self) -> Sequence[tuple[float, float]]:
        """Begin and end of every beat by the wall; the last one lasts still."""
        with self._news:
            return [*self._beats, *([(self._begun, time.time())] if self._begun else [])]

    def _run(self) -> None:
        number = 0
        while not self._stopping.wait(BEAT_SECONDS):
            number += 1
            with self._news:
                self._begun = time.time()
            self._write(str(number))
            with self._news:
                while not self._stopping.is_set() and self._heard != str(number):
                    self._news.wait(BEAT_SECONDS)
                self._beats.append((self._begun, time.time()))
                self._begun = 0.0

    def _write(self, beat: str) -> None:
        """Once; again where it was not answered."""
        meta = {"name": self._name, "namespace": NAMESPACE}
        while not self._stopping.is_set():
            try:
                self._api.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"beat": beat}}])
            except (httpx.HTTPError, ApiError, RuntimeError):
                self._stopping.wait(RETRY_SECONDS)
            else:
                return
