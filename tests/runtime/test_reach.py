"""Which namespaces can be read: one that is refused is tried on, and stops nobody else."""

import logging

import pytest
from fakes import FakeKube, Wall

from controller.ports import DEPLOYMENT, RELEASE, NotFoundError, RefusedError
from controller.runtime import reach
from controller.runtime.cache import CachedKube, Memory
from controller.runtime.informer import Informer
from controller.runtime.reach import Reach
from controller.runtime.watched import WATCHED

FORBIDDEN = RefusedError(403, "Forbidden", "releases.penstock.dev is forbidden")


class Guarded(FakeKube):
    """An API server that refuses whole namespaces."""

    def __init__(self):
        super().__init__()
        self.refuses = {}

    def pages(self, kind, namespace="", *, labels=""):
        if namespace in self.refuses:
            raise self.refuses[namespace]
        return super().pages(kind, namespace, labels=labels)


class Watches:
    def __init__(self, *namespaces):
        self.kube, self.wall, self.memory = Guarded(), Wall(), Memory()
        self.informers = [
            Informer(self.kube, one.kind, namespace, one.new_store(), on_change=lambda *_: None, steady=self.wall.steady, seed=1)
            for namespace in namespaces
            for one in WATCHED
        ]
        for informer in self.informers:
            self.memory.add(informer)
        self.reach = Reach(self.informers)

    def turn(self):
        for informer in self.informers:
            informer.turn()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(reach, "PATIENCE_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("error", [FORBIDDEN, NotFoundError(404, "NotFound", "not found")])
def test_a_refused_namespace_is_waited_for_by_nobody_and_named(error):
    it = Watches("one", "two")
    it.kube.refuses["two"] = error
    it.turn()
    it.reach.wait(lambda: False)

    assert (it.reach.awaited(), it.reach.nowhere()) == ([], False)
    assert it.reach.sentence().startswith(f"Cannot be read: everything in two ({error})")


@pytest.mark.usefixtures("impatient")
def test_without_a_single_namespace_it_goes_on_waiting():
    it = Watches("one")
    it.kube.refuses["one"] = FORBIDDEN
    it.turn()
    looks = iter([False, False, True])
    it.reach.wait(lambda: next(looks, True))

    assert next(looks, None) is None
    assert it.reach.nowhere()


def test_with_its_rights_back_it_is_whole_again():
    it = Watches("one", "two")
    it.kube.refuses["two"] = FORBIDDEN
    it.turn()
    it.kube.refuses.clear()
    it.turn()

    assert (it.reach.lost(), it.reach.sentence()) == ({}, "")


def test_what_was_read_before_the_rights_went_is_not_shown_as_it_was():
    it = Watches("one")
    it.kube.put(RELEASE, "one", "shop-v2")
    it.turn()
    known = it.memory.store(RELEASE, "one").count()
    it.kube.refuses["one"] = FORBIDDEN
    it.wall.time += 10_000
    it.turn()

    assert (known, it.memory.store(RELEASE, "one"), it.memory.store(DEPLOYMENT, "one")) == (1, None, None)
    assert CachedKube(it.kube, it.memory, lambda: None).get(RELEASE, "one", "shop-v2"), "asked of the API server itself"


def test_the_same_refusal_is_logged_once_a_minute(caplog):
    it = Watches("one")
    it.kube.refuses["one"] = FORBIDDEN
    with caplog.at_level(logging.WARNING):
        it.turn()
        it.turn()
        said = len(caplog.records)
        it.wall.time += 61
        it.turn()

    assert (said, len(caplog.records)) == (len(WATCHED), 2 * len(WATCHED))
