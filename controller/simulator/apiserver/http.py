"""The HTTP front: what a real `kubectl` and the production client say, in terms of the store.

Whatever is not served is answered with a Status that says "not in the sandbox".
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, cast

import orjson

from controller.ports import Kind, Obj, WatchEvent
from controller.simulator.apiserver import contents, discovery, openapi, pages, reviews, rules, tables
from controller.simulator.apiserver.asked import NOT_SERVED, decoded, deletion, number, options_of
from controller.simulator.apiserver.bodies import scale_of
from controller.simulator.apiserver.errors import ApiError, Cause, invalid
from controller.simulator.apiserver.options import Options
from controller.simulator.apiserver.paths import Target, parsed
from controller.simulator.apiserver.storage import Served, Subscription
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.apiserver.wire import HttpServer, Reply, Request

WATCH_SECONDS = 1800
BOOKMARK_SECONDS = 60.0
ALIVE_CHECK_SECONDS = 1.0


class HttpFront:
    """Serves an `ApiServer` on loopback. A context manager: started on entry, stopped on exit.

    Attributes:
        url: where it listens.
        server: the store behind it.
    """

    def __init__(
        self,
        server: ApiServer,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tokens: Mapping[str, str] | None = None,
        patience_seconds: float = 3.0,
    ) -> None:
        """Listen on `port` (0: any free one).

        `tokens` maps bearer tokens to users; with it, a request without a known token is 401. Without it everyone is `admin`.
        `patience_seconds` is how long a read waits for a revision that does not exist yet.
        """
        self.server = server
        self.tokens = None if tokens is None else dict(tokens)
        self._patience = patience_seconds
        self._http = HttpServer(self.handle, host=host, port=port)
        self.url = f"http://{self._http.host}:{self._http.port}"
        self._fixed: dict[str, Callable[[Request], Any]] = {
            "/version": lambda _: discovery.VERSION,
            "/api": lambda request: self._groups(request, core=True),
            "/apis": lambda request: self._groups(request, core=False),
            "/openapi/v3": lambda _: openapi.index(server.registry, server.revision),
            "/openapi/v2": self._swagger,
        }

    def start(self) -> Self:
        """Listen. Also ends the state that `stop` left in the store, so that a new front can serve it again."""
        self.server.stopping = False
        self._http.start()
        return self

    def stop(self) -> None:
        """End all watches and connections."""
        self.server.stop()
        self._http.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kubeconfig(self, token: str = "") -> dict[str, Any]:
        """A kubeconfig for this server, with `default` as the namespace."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "sandbox", "cluster": {"server": self.url}}],
            "users": [{"name": "sandbox", "user": {"token": token} if token else {}}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": "default"}}],
            "current-context": "sandbox",
        }

    # One request.

    def handle(self, request: Request) -> Reply:
        """The answer to one request; refusals are Status objects."""
        try:
            return self._routed(request)
        except ApiError as error:
            return _refusal(error)
        except Exception as defect:  # noqa: BLE001 - a body of an odd shape must not take the connection down
            return _json(ApiError(500, f"{type(defect).__name__}: {defect}").status(), 500)

    def _routed(self, request: Request) -> Reply:
        path = request.path.rstrip("/") or "/"
        if path in ("/healthz", "/readyz", "/livez"):
            return Reply(200, b"ok", "text/plain; charset=utf-8")
        user = self._user(request)
        contents.body_is_small_enough(request.body_length)
        if path in self._fixed:
            found = self._fixed[path](request)
            return found if isinstance(found, Reply) else _json(found)
        if path.startswith("/openapi/v3/"):
            return self._document(path.removeprefix("/openapi/v3/").split("/"))
        review = reviews.answer(self.server, user, request.method, path, request.body)
        if review is not None:
            return _json(review, 201)
        target = parsed(path)
        if target is None:
            raise ApiError(404, f"the server could not find the requested resource: {path} {NOT_SERVED}")
        if not target.plural:
            return self._resources(target)
        return self._on_object(request, target, user)

    def _user(self, request: Request) -> str:
        if self.tokens is None:
            return "admin"
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            raise ApiError(401, "Unauthorized")
        return self.tokens[token]

    # Discovery.

    def _groups(self, request: Request, *, core: bool) -> Any:
        accept = request.headers.get("accept", "")
        if "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" in accept.replace(" ", ""):
            body = discovery.aggregated(self.server.registry, core=core)
            return _json(body, content_type="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        address = self.url.removeprefix("http://")
        return discovery.core_versions(address) if core else discovery.group_list(self.server.registry)

    def _resources(self, target: Target) -> Reply:
        if not target.version:
            if target.group not in discovery.groups(self.server.registry):
                raise ApiError(404, f"the server could not find the requested resource: group {target.group} {NOT_SERVED}")
            return _json({"kind": "APIGroup", "apiVersion": "v1", **discovery.group(self.server.registry, target.group)})
        found = discovery.resource_list(self.server.registry, target.group, target.version)
        if found is None:
            raise ApiError(404, f"the server could not find the requested resource: {target.group}/{target.version} {NOT_SERVED}")
        return _json(found)

    def _swagger(self, request: Request) -> Reply:
        accept = request.headers.get("accept", "*/*")
        if "json" not in accept and "*/*" not in accept:
            raise ApiError(406, f"the OpenAPI v2 document as protobuf {NOT_SERVED}")
        return _json(openapi.swagger(self.server.registry))

    def _document(self, parts: list[str]) -> Reply:
        group, version = ("", parts[1]) if parts[0] == "api" and len(parts) == 2 else (parts[1], parts[-1])  # noqa: PLR2004 - api/v1
        found = openapi.document(self.server.registry, group, version)
        if found is None:
            raise ApiError(404, f"the server could not find the requested resource: {'/'.join(parts)} {NOT_SERVED}")
        return _json(found)

    # Objects.

    def _on_object(self, request: Request, target: Target, user: str) -> Reply:
        kind = self.server.registry.by_path.get((target.group, target.version, target.plural))
        if kind is None:
            where = f"{target.group}/{target.version}".lstrip("/")
            rules.established(None, ready=False, what=f"{target.plural} of {where} {NOT_SERVED}")
        served = self.server.served(cast("Kind", kind))
        kind = served.resource.kind
        if kind.namespaced and target.name and not target.namespace:
            raise ApiError(404, "the server could not find the requested resource")
        known = {"", *(["status"] if served.resource.status else []), *(["scale"] if served.resource.scale else [])}
        if target.subresource not in known | ({"finalize"} if kind.plural == "namespaces" else set()):
            told = f"the server could not find the requested resource: {target.plural}/{target.subresource} {NOT_SERVED}"
            if served.resource.custom:
                raise ApiError(404, told, target=served.resource.target(target.name))
            raise ApiError(501, told)
        handler = _HANDLERS.get((request.method.replace("HEAD", "GET"), bool(target.name)))
        if handler is None:
            raise ApiError(405, "the server does not allow this method on the requested resource")
        warnings: list[str] = []
        options = options_of(request, target, user, warnings)
        try:
            reply = handler(self, request, target, served, options)
        except ApiError as error:
            reply = _refusal(error)
        return _warned(reply, warnings)

    def _rendered(self, request: Request, served: Served, found: Obj, code: int = 200) -> Reply:
        accept = request.headers.get("accept", "")
        if found.get("kind") in ("Status", "Scale"):
            return _json(found, code)
        shown = self.with_owners(served, found)
        if "as=Table" in accept:
            metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
            return _json(self._table(request, served, [shown], metadata), code)
        if "as=PartialObjectMetadata" in accept:
            return _json(_partial(shown), code)
        _acceptable(accept)
        return _json(shown, code)

    def with_owners(self, served: Served, obj: Obj) -> Obj:
        """An object with its managed fields, which the store works out only when somebody looks."""
        uid = obj["metadata"].get("uid")
        with self.server.lock:
            stored = served.shelf.find(obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            if stored is None or stored["metadata"]["uid"] != uid:
                return obj
            fields = self.server.ledger.managed_fields(served, stored)
        return {**obj, "metadata": {**obj["metadata"], "managedFields": fields}} if fields else obj

    def _table(self, request: Request, served: Served, objects: list[Obj], metadata: Mapping[str, Any]) -> dict[str, Any]:
        include = request.query.get("includeObject", "Metadata")
        return tables.render(served.resource, objects, metadata, include, self.server.now())

    def get(self, request: Request, target: Target, served: Served, options: Options) -> Reply:
        """GET of one object or of its scale."""
        kind = served.resource.kind
        asked = request.query.get("resourceVersion", "")
        found = self._patiently(lambda: self.server.get(kind, target.namespace, target.name, options, resource_version=asked))
        if target.subresource == "scale":
            return _json(scale_of(served, found))
        return self._rendered(request, served, found)

    def _patiently(self, read: Callable[[], Any]) -> Any:
        """A read at a revision that may be about to come waits for it, as the real server does, and then gives up with 504."""
        deadline = self.server.real_clock() + self._patience
        while True:
            try:
                return read()
            except ApiError as error:
                left = deadline - self.server.real_clock()
                if error.code != 504 or left <= 0:  # noqa: PLR2004 - gateway timeout
                    raise
                with self.server.changed:
                    self.server.changed.wait(min(left, ALIVE_CHECK_SECONDS))

    def list(self, request: Request, target: Target, served: Served, options: Options) -> Reply:
        """GET of a collection: a list, a page, a table, or a watch."""
        query = request.query
        if query.get("watch") in ("1", "true") or (target.name and query.get("watch")):
            return self._watch(request, target, served, options)
        asked = pages.Query(
            number(query, "limit"), query.get("continue", ""), query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
        )
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        kind = served.resource.kind
        page = self._patiently(lambda: self.server.list(kind, target.namespace, options, labels=labels, fields=fields, query=asked))
        metadata: dict[str, Any] = {"resourceVersion": page.resource_version}
        if page.token:
            metadata["continue"] = page.token
            if page.remaining and not labels and not fields:
                metadata["remainingItemCount"] = page.remaining
        accept = request.headers.get("accept", "")
        if "as=Table" in accept:
            return _json(self._table(request, served, list(page.items), metadata))
        if "as=PartialObjectMetadataList" in accept:
            items = [_partial(obj) for obj in page.items]
            return _json({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
        _acceptable(accept)
        return _json({"apiVersion": kind.api_version, "items": page.items, "kind": f"{kind.kind}List", "metadata": metadata})

    def create(self, request: Request, target: Target, served: Served, options: Options) -> Reply:
        """POST to a collection."""
        body = decoded(request)
        found = self.server.create(served.resource.kind, target.namespace, body, options)
        return self._rendered(request, served, found, 201)

    def update(self, request: Request, target: Target, served: Served, options: Options) -> Reply:
        """PUT of an object or a subresource."""
        found = self.server.update(served.resource.kind, target.namespace, target.name, decoded(request), options)
        return self._rendered(request, served, found)

    def patch(self, request: Request, target: Target, served: Served, options: Options) -> Reply:
        """PATCH of an object or a subresource."""
        how = request.headers.get("content-type", "").partition(";")[0].strip()
        before = served.shelf.find(target.namespace, target.name)
        found = self.server.patch(served.resource.kind, target.namespace, target.name, decoded(request), how, options)
        return self._rendered(request, served, found, 201 if before is None else 200)

    def delete(self, request: Request, target: Target, served: Served, options: Options) -> Reply:
        """DELETE of one object."""
        found = self.server.delete(served.resource.kind, target.namespace, target.name, *deletion(request, options))
        return self._rendered(request, served, found)

    def delete_all(self, request: Request, target: Target, served: Served, options: Options) -> Reply:
        """DELETE of a collection: every object that the selectors mean."""
        kind, query = served.resource.kind, request.query
        page = self.server.list(
            kind, target.namespace, options, labels=query.get("labelSelector", ""), fields=query.get("fieldSelector", "")
        )
        how, options = deletion(request, options)
        for obj in page.items:
            self.server.delete(kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"], how, options)
        metadata = {"resourceVersion": page.resource_version}
        return _json({"apiVersion": kind.api_version, "items": page.items, "kind": f"{kind.kind}List", "metadata": metadata})

    # Watches.

    def _watch(self, request: Request, target: Target, served: Served, options: Options) -> Reply:
        query, kind = request.query, served.resource.kind
        fields = query.get("fieldSelector", "")
        if target.name:
            fields = f"metadata.name={target.name}"
        wants_initial = query.get("sendInitialEvents") == "true"
        if wants_initial and query.get("resourceVersionMatch") != "NotOlderThan":
            told = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise invalid("ListOptions", "meta.k8s.io", "", [Cause("FieldValueForbidden", told, "resourceVersionMatch")])
        asked = "" if wants_initial else query.get("resourceVersion", "")
        try:
            feed = self.server.subscribe(kind, target.namespace, asked, options, labels=query.get("labelSelector", ""), fields=fields)
        except ApiError as error:
            if error.code != 410:  # noqa: PLR2004 - a watch that is too old is a stream with one ERROR event
                raise
            return Reply(200, iter([_line("ERROR", error.status())]))
        seconds = number(query, "timeoutSeconds") or WATCH_SECONDS
        return Reply(200, self._stream(request, served, feed, seconds, wants_initial=wants_initial))

    def _stream(self, request: Request, served: Served, feed: Subscription, seconds: int, *, wants_initial: bool) -> Iterator[bytes]:
        """Lines of a watch until its time is over, the client is gone, or the history was forgotten under it."""
        server, bookmarks = self.server, request.query.get("allowWatchBookmarks") in ("1", "true")
        deadline = server.real_clock() + seconds
        marked = server.real_clock()
        if wants_initial:
            for event in feed.drain():
                yield self._shown(request, served, event)
            if bookmarks:
                yield self._shown(request, served, feed.bookmark(initial_end=True))
        while True:
            try:
                events = feed.drain()
            except ApiError as error:
                yield _line("ERROR", error.status())
                return
            for event in events:
                yield self._shown(request, served, event)
            now = server.real_clock()
            if bookmarks and now - marked >= BOOKMARK_SECONDS:
                marked = now
                yield self._shown(request, served, feed.bookmark())
            if now >= deadline or server.stopping or not request.alive():
                return
            server.wait(feed, min(deadline, now + ALIVE_CHECK_SECONDS))

    def _shown(self, request: Request, served: Served, event: WatchEvent) -> bytes:
        accept = request.headers.get("accept", "")
        if event.type == "BOOKMARK":
            return _line(event.type, event.object)
        if "as=Table" in accept:
            metadata = {"resourceVersion": event.object["metadata"]["resourceVersion"]}
            return _line(event.type, self._table(request, served, [event.object], metadata))
        if "as=PartialObjectMetadata" in accept:
            return _line(event.type, _partial(event.object))
        return _line(event.type, event.object)


_Handler = Callable[[HttpFront, Request, Target, Served, Options], Reply]
_HANDLERS: dict[tuple[str, bool], _Handler] = {
    ("GET", True): HttpFront.get,
    ("GET", False): HttpFront.list,
    ("POST", False): HttpFront.create,
    ("PUT", True): HttpFront.update,
    ("PATCH", True): HttpFront.patch,
    ("DELETE", True): HttpFront.delete,
    ("DELETE", False): HttpFront.delete_all,
}


def _json(body: Any, code: int = 200, *, content_type: str = "application/json", extra: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(code, orjson.dumps(body), content_type, extra=extra)


def _refusal(error: ApiError) -> Reply:
    extra = (("Retry-After", str(error.retry_after)),) if error.retry_after else ()
    return _json(error.status(), error.code, extra=extra)


def _line(kind: str, obj: Obj) -> bytes:
    return orjson.dumps({"type": kind, "object": obj}) + b"\n"


def _warned(reply: Reply, warnings: list[str]) -> Reply:
    if not warnings:
        return reply
    quoted = (warning.replace("\\", "\\\\").replace('"', '\\"') for warning in warnings)
    return Reply(
        reply.code, reply.body, reply.content_type, reply.headers, (*reply.extra, *(("Warning", f'299 - "{told}"') for told in quoted))
    )


def _partial(obj: Obj) -> dict[str, Any]:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _acceptable(accept: str) -> None:
    if accept and not any(word in accept for word in ("json", "*/*", "application/*", "yaml")):
        raise ApiError(406, f"only JSON is spoken here: {accept} {NOT_SERVED}")
