"""Several served versions over one stored form: custom versions differ in `apiVersion` only, Events in their fields."""

from typing import Any

from controller.ports import EVENT, Kind, Obj
from controller.simulator.apiserver.resources import EVENTS_V1
from controller.simulator.apiserver.storage import View


def as_version(kind: Kind) -> View:
    """A view that shows an object in another version of its kind."""
    version = kind.api_version

    def view(obj: Obj) -> Obj:
        return obj if obj["apiVersion"] == version else {**obj, "apiVersion": version}

    return view


_RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "source": "deprecatedSource",
    "reportingComponent": "reportingController",
}
_BACK = {new: old for old, new in _RENAMED.items()}


def event_to_new(obj: Obj) -> Obj:
    """A core event as events.k8s.io shows it."""
    return {_RENAMED.get(key, key): value for key, value in obj.items()} | {"apiVersion": EVENTS_V1.api_version}


def event_to_core(obj: Obj) -> dict[str, Any]:
    """An event of events.k8s.io as it is stored."""
    return {_BACK.get(key, key): value for key, value in obj.items()} | {"apiVersion": EVENT.api_version}
