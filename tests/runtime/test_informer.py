"""Informers: what the store knows is what the API server has, whatever happens on the way."""

import types

import pytest
from fakes import FakeKube, Wall

from controller.ports import DEPLOYMENT, RELEASE, SERVICE, GoneError, NotFoundError, RefusedError, UnavailableError
from controller.recall import read
from controller.runtime.cache import CachedKube, LiveKube, Memory, selector
from controller.runtime.contracts import NotLeading
from controller.runtime.informer import Informer, Pace
from controller.runtime.store import Store
from controller.runtime.watched import WATCHED, trim_release
from tests.memory import kept_bytes


class Setting:
    def __init__(self, kind=RELEASE, namespace="shop", store=None):
        self.kube, self.wall, self.changes = FakeKube(), Wall(), []
        self.informer = Informer(
            self.kube,
            kind,
            namespace,
            store or Store(),
            on_change=lambda _kind, change: self.changes.append((change.ref[1], change.old is not None, change.new is not None)),
            steady=self.wall.steady,
            pace=Pace(),
            seed=1,
        )

    def names(self):
        return sorted(o["metadata"]["name"] for o in self.informer.store.all())


@pytest.fixture
def it():
    return Setting()


def test_all_pages_of_the_first_list_are_taken_in(it):
    for name in "abcde":
        it.kube.put(RELEASE, "shop", name)
    it.kube.put(RELEASE, "elsewhere", "z")
    synced_before = it.informer.synced
    it.informer.turn()

    assert it.names() == list("abcde")
    assert (synced_before, it.informer.synced) == (False, True)


def test_a_watch_goes_on_where_the_last_one_ended_and_lists_nothing_again(it):
    it.informer.turn()
    it.kube.put(RELEASE, "shop", "a")
    it.informer.turn()
    it.informer.turn()

    assert it.names() == ["a"]
    assert [call[0] for call in it.kube.calls] == ["list", "watch", "watch", "watch"]


def test_a_revision_that_is_too_old_is_listed_again_and_deletions_are_noticed(it):
    it.kube.put(RELEASE, "shop", "a")
    it.informer.turn()
    it.kube.delete(RELEASE, "shop", "a", uid="")
    it.kube.put(RELEASE, "shop", "b")
    it.kube.oldest = it.kube.revision + 1
    gone = it.informer.turn()
    it.kube.oldest = 0
    it.informer.turn()

    assert gone > 0
    assert it.names() == ["b"]
    assert it.changes == [("a", False, True), ("b", False, True), ("a", True, False)]


def test_a_missed_event_is_found_by_the_next_full_list(it):
    it.kube.put(RELEASE, "shop", "a")
    it.informer.turn()
    it.kube.put(RELEASE, "shop", "a", spec={"new": True})
    it.kube.history.clear()
    it.informer.turn()
    missed = it.informer.store.get(("shop", "a"))[0]
    it.wall.time = Pace().relist + 1
    it.informer.turn()

    assert "spec" not in missed
    assert it.informer.store.get(("shop", "a"))[0]["spec"] == {"new": True}


def test_a_silent_watch_is_begun_again_without_a_word(it, caplog):
    it.informer.turn()
    it.kube.silent_watches = 1
    delay = it.informer.turn()
    it.kube.put(RELEASE, "shop", "a")
    it.informer.turn()

    assert 0 < delay <= Pace().first_delay
    assert it.names() == ["a"]
    assert it.informer.trouble == ""
    assert not caplog.records


def test_failures_wait_ever_longer_up_to_a_bound_and_never_end_the_informer(it):
    it.kube.down = True
    delays = [it.informer.turn() for _ in range(20)]
    it.kube.down = False
    it.informer.turn()

    assert delays[0] <= 0.2
    assert all(5.0 <= delay <= 10.0 for delay in delays[8:])
    assert it.informer.synced


@pytest.mark.parametrize("error", [NotFoundError(404, "NoSuchKind", "no CRD"), RefusedError(403, "Forbidden", "no right")])
def test_a_missing_kind_or_right_is_said_and_tried_again(it, error, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(it.kube, "pages", refuse)
    it.informer.turn()
    trouble = it.informer.trouble
    monkeypatch.undo()
    it.informer.turn()

    assert trouble == str(error)
    assert (it.informer.synced, it.informer.trouble) == (True, "")


def test_a_wait_that_the_server_asks_for_is_kept(it, monkeypatch):
    def busy(*_args, **_kwargs):
        raise UnavailableError(429, "TooManyRequests", "slow down", retry_after=33.0)

    monkeypatch.setattr(it.kube, "pages", busy)

    assert it.informer.turn() == 33.0


def test_an_object_that_cannot_be_taken_in_is_said_and_passed_over(caplog):
    def trim(obj):
        return {**obj, "half": obj["spec"]["size"] / 2}

    it = Setting(store=Store(trim=trim))
    it.kube.put(RELEASE, "shop", "bad", spec={"size": "large"})
    it.kube.put(RELEASE, "shop", "good", spec={"size": 4})
    it.informer.turn()

    assert it.names() == ["good"]
    assert it.informer.synced
    assert "This Release of shop/bad cannot be taken in." in caplog.text


class TestStore:
    def obj(self, name="a", revision="5", **content):
        return {"kind": "X", "metadata": {"namespace": "n", "name": name, "resourceVersion": revision}} | content

    def test_it_never_goes_back_behind_our_own_write(self):
        store = Store()
        store.changed(self.obj(revision="9", spec=2), ours=True)
        late = store.changed(self.obj(revision="8", spec=1))

        assert late is None
        assert store.get(("n", "a"))[0]["spec"] == 2

    def test_its_own_echo_is_no_news(self):
        store = Store()
        store.changed(self.obj(revision="9"), ours=True)

        assert store.changed(self.obj(revision="9")) is None

    def test_a_write_that_happens_while_a_list_is_read_survives_the_list(self):
        store = Store()
        store.relist_begins()
        store.changed(self.obj("made", "12"), ours=True)
        store.changed(self.obj("kept", "13", spec=2), ours=True)
        store.relisted(("n", "kept"), self.obj("kept", "4", spec=1))
        store.relist_ends({("n", "kept")}, "10")

        assert store.get(("n", "made"))[0] is not None
        assert store.get(("n", "kept"))[0]["spec"] == 2

    def test_a_restored_database_is_believed_by_the_next_list(self):
        """Revisions start lower after a restore; a store that only ever goes forward would be stuck."""
        store = Store()
        store.changed(self.obj(revision="900", spec="before"))
        store.relist_begins()
        store.relisted(("n", "a"), self.obj(revision="7", spec="restored"))
        store.relist_ends({("n", "a")}, "8")

        assert store.get(("n", "a"))[0]["spec"] == "restored"

    def test_an_old_deletion_does_not_remove_what_was_made_again(self):
        store = Store()
        store.changed(self.obj(revision="9"))

        assert store.deleted(self.obj(revision="7")) is None
        assert store.deleted(self.obj(revision="10")).new is None

    def test_revisions_that_are_no_numbers_let_the_newest_news_win(self):
        store = Store()
        store.changed(self.obj(revision="abc", spec=1))
        store.changed(self.obj(revision="abb", spec=2))

        assert store.get(("n", "a"))[0]["spec"] == 2

    def test_managed_fields_are_not_kept(self):
        store = Store()
        store.changed({"kind": "X", "metadata": {"namespace": "n", "name": "a", "managedFields": [1] * 99}})

        assert "managedFields" not in store.get(("n", "a"))[0]["metadata"]

    def test_the_index_follows_the_labels(self):
        store = Store(indexed=("app",))
        one = {"metadata": {"namespace": "n", "name": "a", "resourceVersion": "1", "labels": {"app": "x"}}}
        two = {"metadata": {"namespace": "n", "name": "a", "resourceVersion": "2", "labels": {"app": "y"}}}
        store.changed(one)
        store.changed(two)

        assert store.select("", None, {"app": "x"}) == []
        assert store.select("", None, {"app": "y"}) == [two]


def finished_release(name="r", **status):
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"namespace": "shop", "name": name, "uid": "u", "resourceVersion": "4", "annotations": {"long": "x" * 1000}},
        "spec": {"plan": "p", "revision": "v2"},
        "status": {"phase": "RolledBack", "stages": [{"weight": 5}] * 20, "blueSlot": 1, "finishedAt": 5.0} | status,
    }


class TestSummaries:
    def test_of_a_finished_release_only_a_summary_is_kept(self):
        summary = trim_release(finished_release())

        assert summary["spec"] == {"plan": "p", "revision": "v2"}
        assert summary["status"] == {"phase": "RolledBack", "blueSlot": 1, "finishedAt": 5.0}

    @pytest.mark.parametrize(
        "release",
        [
            finished_release(phase="Measuring"),
            finished_release(phase="Halted"),
            finished_release(phase="Succeeded", retention={"until": 9.0}),
            finished_release() | {"metadata": {"name": "r", "namespace": "shop", "deletionTimestamp": "now"}},
        ],
    )
    def test_a_release_that_has_something_left_to_do_is_kept_whole(self, release):
        assert trim_release(release)["status"]["stages"]

    def test_a_whole_one_is_asked_of_the_api_server(self):
        it = Setting(store=next(w for w in WATCHED if w.kind == RELEASE).new_store())
        release = finished_release()
        it.kube.put(RELEASE, "shop", "r", metadata=release["metadata"], spec=release["spec"], status=release["status"])
        it.informer.turn()
        memory = Memory()
        memory.add(it.informer)
        cache = CachedKube(it.kube, memory, lambda: None)

        assert "stages" not in cache.list(RELEASE, "shop").items[0]["status"]
        assert cache.get(RELEASE, "shop", "r")["status"]["stages"]


def test_the_releases_of_a_plan_are_found_without_their_labels():
    it = Setting(store=next(w for w in WATCHED if w.kind == RELEASE).new_store())
    for name, plan in (("a", "p"), ("b", "q"), ("c", "p")):
        it.kube.put(RELEASE, "shop", name, spec={"plan": plan})
    memory = Memory()
    memory.add(it.informer)
    cache = CachedKube(it.kube, memory, lambda: None)
    before = [r["metadata"]["name"] for r in cache.releases_of_plan("shop", "p")]
    it.informer.turn()
    it.kube.calls.clear()

    assert [r["metadata"]["name"] for r in cache.releases_of_plan("shop", "p")] == before == ["a", "c"]
    assert it.kube.calls == []


def test_packed_objects_take_the_memory_that_they_need_and_no_room_beside_it():
    """orjson leaves every text that it writes at least four kilobytes, whatever it says."""
    metadata = {"namespace": "shop", "resourceVersion": "1", "labels": {"app": "x"}}

    def hundred():
        store = Store(packed=True)
        for number in range(100):
            store.changed({"kind": "Deployment", "metadata": {**metadata, "name": f"d-{number}"}, "spec": {"text": "x" * 600}})
        return store

    assert kept_bytes(hundred) < 100 * 2_000


def test_a_namespace_lists_its_own_objects_and_forgets_those_that_are_gone():
    it = Setting(kind=DEPLOYMENT, namespace="", store=Store(packed=True))
    for namespace, name in (("shop", "a"), ("far", "b"), ("shop", "c")):
        it.kube.put(DEPLOYMENT, namespace, name)
    it.informer.turn()
    before = [o["metadata"]["name"] for o in it.informer.store.select("shop", None, {})]
    it.kube.delete(DEPLOYMENT, "shop", "a", uid="")
    it.kube.delete(DEPLOYMENT, "far", "b", uid="")
    it.informer.turn()

    assert before == ["a", "c"]
    assert [o["metadata"]["name"] for o in it.informer.store.select("shop", None, {})] == ["c"]
    assert it.informer.store.select("far", None, {}) == []
    assert it.names() == ["c"]


class TestCachedReads:
    @pytest.fixture
    def world(self):
        it = Setting(kind=DEPLOYMENT, store=Store(packed=True))
        it.kube.put(DEPLOYMENT, "shop", "a", metadata={"labels": {"app": "x"}})
        it.kube.put(DEPLOYMENT, "shop", "b", metadata={"labels": {"app": "y"}})
        it.informer.turn()
        it.memory = Memory(on_own_change=lambda _kind, change: it.changes.append(("own", change.ref[1])))
        it.memory.add(it.informer)
        it.cache = CachedKube(it.kube, it.memory, lambda: None)
        it.live = LiveKube(it.kube, it.memory, lambda: None)
        it.kube.calls.clear()
        return it

    def test_watched_kinds_are_read_from_memory(self, world):
        names = [o["metadata"]["name"] for o in world.cache.list(DEPLOYMENT, "shop", labels="app=y").items]

        assert names == ["b"]
        assert world.cache.get(DEPLOYMENT, "shop", "a")["kind"] == "Deployment"
        assert world.kube.calls == []

    @pytest.mark.parametrize("what", [("a", False), ("none", False), ("", True), ("app=y", True), ("app in (x, y)", True)])
    @pytest.mark.parametrize("kind", [DEPLOYMENT, SERVICE], ids=["watched", "not-watched"])
    def test_versions_are_told_as_the_objects_themselves_would_tell_them(self, world, kind, what):
        world.kube.put(SERVICE, "shop", "a")
        plain = types.SimpleNamespace(get=world.cache.get, list=world.cache.list)

        assert read(world.cache, (kind, "shop", *what)) == read(plain, (kind, "shop", *what))

    def test_another_version_is_told_after_a_write_of_ours(self, world):
        before = read(world.cache, (DEPLOYMENT, "shop", "a", False)), read(world.cache, (DEPLOYMENT, "shop", "", True))
        world.live.patch(DEPLOYMENT, "shop", "a", {"spec": {"replicas": 3}})

        assert read(world.cache, (DEPLOYMENT, "shop", "a", False)) != before[0]
        assert read(world.cache, (DEPLOYMENT, "shop", "", True)) != before[1]

    def test_what_is_not_there_is_not_found(self, world):
        with pytest.raises(NotFoundError):
            world.cache.get(DEPLOYMENT, "shop", "none")

    def test_other_kinds_and_namespaces_are_asked_of_the_api_server(self, world):
        world.kube.put(SERVICE, "shop", "s")
        world.kube.put(DEPLOYMENT, "far", "f")

        assert world.cache.get(SERVICE, "shop", "s")
        assert world.cache.get(DEPLOYMENT, "far", "f")
        assert [call[0] for call in world.kube.calls] == ["get", "get"]

    def test_our_own_write_is_seen_at_once(self, world):
        world.live.patch(DEPLOYMENT, "shop", "a", {"spec": {"replicas": 3}})

        assert world.cache.get(DEPLOYMENT, "shop", "a")["spec"] == {"replicas": 3}
        assert world.changes[-1] == ("own", "a")

    def test_what_a_scale_answers_is_not_taken_for_the_object(self, world):
        world.live.patch(DEPLOYMENT, "shop", "a", {"spec": {"replicas": 3}}, subresource="scale")

        assert "spec" not in world.cache.get(DEPLOYMENT, "shop", "a")

    def test_a_closed_fence_lets_no_write_through(self, world):
        def closed():
            raise NotLeading("over")

        live = LiveKube(world.kube, world.memory, closed)
        for write in (
            lambda: live.create(DEPLOYMENT, "shop", {"metadata": {"name": "n"}}),
            lambda: live.patch(DEPLOYMENT, "shop", "a", {}),
            lambda: live.delete(DEPLOYMENT, "shop", "a", uid="u"),
        ):
            with pytest.raises(NotLeading):
                write()

        assert world.kube.calls == []


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "b"}, True),
        ("a=b,c=d", {"a": "b"}, False),
        ("a!=b", {}, True),
        ("a!=b", {"a": "b"}, False),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("a=b,a=c", {"a": "b"}, False),
    ],
)
def test_selectors_match_as_the_api_server_matches(text, labels, expected):
    matches, _ = selector(text)

    assert matches(labels) is expected


@pytest.mark.parametrize("text", ["a in (b,c)", "a notin (b)", "a in (b)", "=b"])
def test_a_selector_that_is_not_understood_is_left_to_the_api_server(text):
    assert selector(text) is None


def test_gone_inside_a_list_starts_over(it, monkeypatch):
    def expired(*_args, **_kwargs):
        raise GoneError(410, "Expired", "token too old")
        yield

    monkeypatch.setattr(it.kube, "pages", expired)
    it.informer.turn()
    monkeypatch.undo()
    it.kube.put(RELEASE, "shop", "a")
    it.informer.turn()

    assert it.names() == ["a"]
