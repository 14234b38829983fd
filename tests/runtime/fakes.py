"""A small API server in memory behind the port, with the faults that the runtime must live through."""

# ruff: noqa: ARG002 - it takes every argument of the port and looks at those that the runtime depends on

import copy

from controller.ports import ConflictError, GoneError, Listing, NotFoundError, UnavailableError, WatchEvent


class Wall:
    """Virtual time; `steady` never jumps, `now` may be skewed."""

    def __init__(self, skew=0.0):
        self.time, self.skew = 0.0, skew

    def now(self):
        return 1_700_000_000.0 + self.time + self.skew

    def steady(self):
        return self.time


class FakeKube:
    """Objects with one rising revision, their history for watches, and switches for faults."""

    def __init__(self):
        self.revision = 10
        self.objects = {}
        self.history = []
        self.oldest = 0
        self.down = False
        self.lose_answers = 0
        self.page_size = 2
        self.calls = []
        self.silent_watches = 0

    def _called(self, *call):
        self.calls.append(call)
        if self.down:
            raise UnavailableError(0, "Unreachable", "The API server is down.")

    def _store(self, kind, obj, event):
        self.revision += 1
        meta = obj["metadata"]
        meta["resourceVersion"] = str(self.revision)
        key = (kind, meta.get("namespace", ""), meta["name"])
        if event == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = obj
        self.history.append((self.revision, kind, meta.get("namespace", ""), WatchEvent(event, copy.deepcopy(obj))))
        if self.lose_answers:
            self.lose_answers -= 1
            raise UnavailableError(0, "Reset", "The answer was lost.")
        return copy.deepcopy(obj)

    def get(self, kind, namespace, name):
        self._called("get", kind.kind, name)
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise NotFoundError(404, "NotFound", f"{name} not found")
        return copy.deepcopy(found)

    def put(self, kind, namespace, name, **content):
        """Store an object as somebody else would."""
        before = self.objects.get((kind, namespace, name))
        uid = before["metadata"]["uid"] if before else f"uid-{name}"
        meta = {"namespace": namespace, "name": name, "uid": uid} | content.pop("metadata", {})
        obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta} | content
        return self._store(kind, obj, "MODIFIED" if before else "ADDED")

    def create(self, kind, namespace, body):
        self._called("create", kind.kind, body["metadata"]["name"])
        if (kind, namespace, body["metadata"]["name"]) in self.objects:
            raise ConflictError(409, "AlreadyExists", "the name is taken")
        meta = {"namespace": namespace, "uid": f"uid-{self.revision}"} | body["metadata"]
        return self._store(kind, copy.deepcopy({**body, "metadata": meta}), "ADDED")

    def patch(self, kind, namespace, name, body, how=None, *, subresource=""):
        self._called("patch", kind.kind, name)
        stored = self.objects.get((kind, namespace, name))
        if stored is None:
            raise NotFoundError(404, "NotFound", f"{name} not found")
        asked = body.get("metadata", {}).get("resourceVersion")
        if asked is not None and asked != stored["metadata"]["resourceVersion"]:
            raise ConflictError(409, "Conflict", "somebody wrote in between")
        return self._store(kind, merged(copy.deepcopy(stored), body), "MODIFIED")

    def delete(self, kind, namespace, name, *, uid, resource_version=""):
        self._called("delete", kind.kind, name)
        obj = self.objects.get((kind, namespace, name))
        if obj is None:
            raise NotFoundError(404, "NotFound", f"{name} not found")
        self._store(kind, obj, "DELETED")

    def list(self, kind, namespace="", *, labels=""):
        return Listing([item for page in self.pages(kind, namespace) for item in page.items], str(self.revision))

    def pages(self, kind, namespace="", *, labels=""):
        self._called("list", kind.kind, namespace)
        in_order = sorted(self.objects.items(), key=lambda entry: entry[0][1:])
        found = [copy.deepcopy(obj) for (k, n, _), obj in in_order if k == kind and namespace in {"", n}]
        revision = str(self.revision)
        for start in range(0, max(1, len(found)), self.page_size):
            yield Listing(found[start : start + self.page_size], revision)

    def watch(self, kind, namespace, resource_version, *, timeout_seconds):
        self._called("watch", kind.kind, namespace)
        if int(resource_version) < self.oldest:
            raise GoneError(410, "Expired", "too old")
        if self.silent_watches:
            self.silent_watches -= 1
            raise UnavailableError(0, "Silence", "The watch outlived its end without a word.")
        for revision, k, n, event in list(self.history):
            if revision > int(resource_version) and k == kind and namespace in ("", n):
                yield event
        yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(self.revision)}})


def merged(target, patch):
    """RFC 7386."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            target[key] = merged(target.get(key) or {}, value)
        else:
            target[key] = value
    return target
