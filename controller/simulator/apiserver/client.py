"""The port `WatchKube` straight over the store: no HTTP, no JSON text, the same refusals as the production client's."""

from collections.abc import Iterator
from typing import Any

from controller.ports import (
    ConflictError,
    GoneError,
    Kind,
    KubeError,
    Listing,
    NotFoundError,
    Obj,
    Patch,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
    WatchEvent,
)  # fmt: skip
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.options import Deletion, Options
from controller.simulator.apiserver.storage import Subscription
from controller.simulator.apiserver.store import ApiServer

_ERRORS: dict[int, type[KubeError]] = {
    400: RefusedError,
    401: UnauthorizedError,
    403: RefusedError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: RefusedError,
    415: RefusedError,
    422: RefusedError,
}


def as_kube_error(error: ApiError) -> KubeError:
    """The refusal in the words of the port; 429 and 5xx are `UnavailableError`s, any other code is refused for good."""
    usual = UnavailableError if error.code == 429 or error.code >= 500 else RefusedError  # noqa: PLR2004 - HTTP status classes
    return _ERRORS.get(error.code, usual)(error.code, error.reason, error.message, retry_after=float(error.retry_after))


class InMemoryKube:
    """A client of an `ApiServer` under one user and field manager. Implements `controller.ports.WatchKube`."""

    def __init__(self, server: ApiServer, user: str = "penstock", field_manager: str = "penstock") -> None:
        self.server = server
        self.user = user
        self._options = {part: Options(user, field_manager, subresource=part) for part in ("", "status", "scale")}
        self._forced = Options(user, field_manager, force=True)
        self._plain = self._options[""]
        self._listed: dict[tuple[Kind, str, str], Listing] = {}
        self._listed_at = -1

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object, as stored."""
        try:
            return self.server.get(kind, namespace, name, self._plain)
        except ApiError as error:
            raise as_kube_error(error) from error

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """All objects of a kind in one namespace, or everywhere; made once at each revision of the store."""
        asked, revision = (kind, namespace, labels), self.server.revision
        if revision != self._listed_at or self.server.authorize is not None:
            self._listed, self._listed_at = {}, revision
        elif asked in self._listed:
            return self._listed[asked]
        try:
            page = self.server.list(kind, namespace, self._plain, labels=labels)
        except ApiError as error:
            raise as_kube_error(error) from error
        listing = Listing(page.items, page.resource_version)
        if page.resource_version == str(revision):
            self._listed[asked] = listing
        return listing

    def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """Create."""
        try:
            return self.server.create(kind, namespace, body, self._plain)
        except ApiError as error:
            raise as_kube_error(error) from error

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, how: Patch = Patch.MERGE, *, subresource: str = "") -> Obj:
        """Patch; an apply is forced, as the production client's is."""
        options = self._forced if how is Patch.APPLY and not subresource else self._options[subresource]
        try:
            return self.server.patch(kind, namespace, name, body, how, options)
        except ApiError as error:
            raise as_kube_error(error) from error

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = "") -> None:
        """Delete under preconditions."""
        try:
            self.server.delete(kind, namespace, name, Deletion(uid, resource_version, "Background"), self._plain)
        except ApiError as error:
            raise as_kube_error(error) from error

    def subscribe(self, kind: Kind, namespace: str = "", resource_version: str = "", *, labels: str = "") -> "Feed":
        """A watch to be drained by hand: for the one thread of the simulator."""
        try:
            return Feed(self.server.subscribe(kind, namespace, resource_version, self._plain, labels=labels))
        except ApiError as error:
            raise as_kube_error(error) from error

    def watch(self, kind: Kind, namespace: str, resource_version: str, *, timeout_seconds: int) -> Iterator[WatchEvent]:
        """The changes since a revision, blocking, until the time is over; for a runtime with threads."""
        feed = self.subscribe(kind, namespace, resource_version)
        deadline = self.server.real_clock() + timeout_seconds
        while True:
            yield from feed.drain()
            if not self.server.wait(feed.subscription, deadline):
                return


class Feed:
    """A subscription that refuses in the words of the port."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription

    @property
    def resource_version(self) -> str:
        """The revision up to which everything was handed out."""
        return str(self.subscription.resource_version)

    def pending(self) -> bool:
        """Whether `drain` would look at something."""
        return self.subscription.pending()

    def drain(self) -> list[WatchEvent]:
        """What happened since the last call; `GoneError` where the history no longer reaches back."""
        try:
            return self.subscription.drain()
        except ApiError as error:
            raise as_kube_error(error) from error
