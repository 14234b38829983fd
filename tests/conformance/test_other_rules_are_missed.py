"""What a client can notice of the API server beside `rules`: merging, ownership, watches, selectors. Without each, a case goes another way.

A switch is the place where a rule is carried out, and what stands there in a server without it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from controller.simulator.apiserver import apply, bodies, http, ownership, rules, store, strategic, writes
from controller.simulator.apiserver.http import HttpFront
from controller.simulator.apiserver.schema import Schema
from controller.simulator.apiserver.storage import Shelf, Subscription, WatchEvent
from controller.simulator.apiserver.store import ApiServer
from tests.conformance.conftest import our_server
from tests.conformance.test_every_rule_is_missed import goes_as_before
from tests.conformance.test_same_answers import CASES
from tests.sizes import most_telling


@dataclass(frozen=True)
class Switch:
    """One rule that is taken out: `holder.name` becomes `instead`, and one of the cases of `file` must miss it."""

    file: str
    holder: Any
    name: str
    instead: Callable[..., Any]


asked_conflicts, asked_revision, next_events = rules.no_foreign_owner, rules.resource_version_is_given, Subscription._drain
stream, commit = HttpFront._stream, ApiServer.commit


def revision_of_its_kind(self, served, *rest, **more):
    """Every kind counts for itself."""
    counts = self.__dict__.setdefault("counts", {})
    kept, self.revision = self.revision, counts.get(served.shelf.kind, 0)
    shown = commit(self, served, *rest, **more)
    counts[served.shelf.kind], self.revision = self.revision, max(kept, self.revision)
    return shown


def newest_only(self):
    """Of several events only the last one: a coalesced history."""
    return next_events(self)[-1:]


def with_a_bookmark_at_the_end(self, request, served, feed, seconds, *, wants_initial):
    yield from stream(self, request, served, feed, seconds, wants_initial=wants_initial)
    yield self._shown(request, served, feed.bookmark())


def demanded_of_all(resource, *rest, **more):
    """A PUT without a resourceVersion is refused for every kind."""
    return asked_revision(replace(resource, needs_resource_version=True), *rest, **more)


def all_of_it(_old, new, shape):
    """A comparison that takes everything for changed."""
    return frozenset(ownership.paths_of(new, shape)), frozenset()


SWITCHES = {
    "one revision for all kinds": Switch("reading", ApiServer, "commit", revision_of_its_kind),
    "a watch from a revision gives the exact history": Switch("reading", Subscription, "_drain", newest_only),
    "a watch begins after its revision": Switch("reading", Shelf, "index_after", lambda shelf, _revision: len(shelf.log)),
    "an object that leaves a selector is deleted for its watchers": Switch(
        "reading",
        Subscription,
        "_event",
        lambda self, commit: WatchEvent("MODIFIED", self._shown(commit.last)) if commit.revision > self.after else None,
    ),
    "timeoutSeconds ends a stream without a bookmark": Switch("reading", HttpFront, "_stream", with_a_bookmark_at_the_end),
    "lists are filtered by labels": Switch("reading", store, "label_test", lambda _selector: None),
    "lists are filtered by fields": Switch("reading", store, "field_test", lambda _selector, _plural: None),
    "a collection is deleted by its selector": Switch("deletion", store, "label_test", lambda _selector: None),
    "foreground deletion leaves a finalizer": Switch("deletion", writes, "_PROPAGATION_FINALIZERS", {}),
    "an apply with force takes fields over": Switch(
        "apply", rules, "no_foreign_owner", lambda conflicts, **_: asked_conflicts(conflicts, force=False)
    ),
    "equal values are shared": Switch("apply", apply, "changes", all_of_it),
    "an apply is owned from its first write on": Switch("apply", ownership.Ledger, "applied", lambda *_: None),
    "an apply merges lists by their keys": Switch("apply", apply, "_merged_items", lambda _old, new, _shape, _keys: new),
    "a merge patch deletes with null": Switch("patches", bodies, "merge", lambda target, patch: {**target, **patch}),
    "a strategic merge finds items by their keys": Switch(
        "patches", strategic, "_merge_list", lambda _field, _stored, patch, _order: patch
    ),
    "a ConfigMap may be put without a resourceVersion": Switch("writes", rules, "resource_version_is_given", demanded_of_all),
    "limits of numbers": Switch("schema", Schema, "_check_number", lambda *_: None),
    "lengths and patterns of texts": Switch("schema", Schema, "_check_string", lambda *_: None),
    "enumerations": Switch("schema", Schema, "_check_choices", lambda *_: None),
    "an integer or a string is either": Switch("schema", Schema, "_fits", lambda _self, value: not isinstance(value, str)),
    "a token is known": Switch("writes", HttpFront, "_user", lambda _self, _request: "admin"),
    "replicas are read by the scale subresource": Switch("writes", http, "scale_of", lambda _served, obj: obj),
}


TELLING = (
    "a watch begins after its revision", "one revision for all kinds", "lists are filtered by labels",
    "foreground deletion leaves a finalizer",
    "equal values are shared", "a merge patch deletes with null", "enumerations",
)  # fmt: skip


@pytest.mark.parametrize("name", most_telling(*TELLING, of=SWITCHES))
def test_a_server_without_it_is_caught(name, monkeypatch):
    switch = SWITCHES[name]
    cases = [case for case in CASES if case.startswith(f"{switch.file}:")]
    with our_server() as server:
        monkeypatch.setattr(switch.holder, switch.name, switch.instead)
        caught = [case for case in cases if not goes_as_before(server, case)]
        monkeypatch.undo()

    assert caught
    assert len(caught) < len(cases)
