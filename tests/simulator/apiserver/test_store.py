"""The store as the simulator uses it: in process, shared objects, listeners, subscriptions."""

import pytest

from controller.ports import (
    CONFIG_MAP,
    CRD,
    DEPLOYMENT,
    EVENT,
    NAMESPACE,
    ConflictError,
    GoneError,
    Kind,
    NotFoundError,
    Patch,
    RefusedError,
)
from controller.ports import UnavailableError as Unavailable
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.options import Deletion, Options
from controller.simulator.apiserver.resources import EVENTS_V1
from controller.simulator.apiserver.store import ApiServer

THING = Kind("test.penstock.dev", "v1", "Thing", "things")
THING_OLD = Kind("test.penstock.dev", "v1beta1", "Thing", "things")
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class Clock:
    def __init__(self):
        self.time = 1_700_000_000.0

    def __call__(self):
        return self.time


def definition():
    versions = [{"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": OPEN}} for name in ("v1", "v1beta1")]
    names = {"kind": "Thing", "plural": "things"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.test.penstock.dev"},
        "spec": {"group": THING.group, "scope": "Namespaced", "names": names, "versions": versions},
    }


def thing(name="one", **more):
    return {"apiVersion": THING.api_version, "kind": "Thing", "metadata": {"name": name}, **more}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    return ApiServer(clock, record_history=True)


@pytest.fixture
def kube(server):
    kube = InMemoryKube(server)
    kube.create(CRD, "", definition())
    return kube


class TestSharing:
    def test_reads_hand_out_the_stored_object_itself(self, kube):
        stored = kube.create(CONFIG_MAP, "default", {"metadata": {"name": "c"}, "data": {"a": "b"}})

        assert kube.get(CONFIG_MAP, "default", "c") is stored

    def test_a_patch_shares_what_it_does_not_change_and_leaves_the_old_object_as_it_was(self, kube):
        old = kube.create(THING, "default", thing(spec={"deep": {"list": [1, 2]}, "other": {"x": 1}}))
        new = kube.patch(THING, "default", "one", {"spec": {"other": {"x": 2}}})

        assert (old["spec"]["other"], new["spec"]["other"]) == ({"x": 1}, {"x": 2})
        assert new["spec"]["deep"] is old["spec"]["deep"]

    def test_a_json_patch_leaves_the_old_object_as_it_was(self, kube):
        old = kube.create(THING, "default", thing(spec={"http": [{"route": [{"weight": 100}, {"weight": 0}]}]}))
        patch = [{"op": "add", "path": "/spec/http/0/route/1/weight", "value": 5}]
        new = kube.patch(THING, "default", "one", patch, Patch.JSON)

        assert old["spec"]["http"][0]["route"][1]["weight"] == 0
        assert new["spec"]["http"][0]["route"][1]["weight"] == 5
        assert new["spec"]["http"][0]["route"][0] is old["spec"]["http"][0]["route"][0]


class TestCommits:
    def test_listeners_hear_every_commit_in_the_order_of_revisions_even_if_one_of_them_writes(self, server, kube):
        heard = []

        def echo(commit):
            if commit.kind == CONFIG_MAP and commit.new and commit.new["metadata"]["name"] == "first":
                kube.create(CONFIG_MAP, "default", {"metadata": {"name": "echo"}})

        server.on_commit(echo)
        server.on_commit(lambda commit: heard.append((commit.revision, commit.last["metadata"]["name"])))
        kube.create(CONFIG_MAP, "default", {"metadata": {"name": "first"}})

        assert [name for _, name in heard] == ["first", "echo"]
        assert heard == sorted(heard)

    def test_a_commit_says_who_wrote_what_when_and_where(self, server, kube, clock):
        kube.create(CONFIG_MAP, "default", {"metadata": {"name": "c"}})
        clock.time += 5
        kube.patch(CONFIG_MAP, "default", "c", {"data": {"a": "b"}})
        commit = server.history[-1]

        assert (commit.verb, commit.kind, commit.user, commit.time, commit.revision) == (
            "patch",
            CONFIG_MAP,
            "penstock",
            clock.time,
            server.revision,
        )
        assert (commit.old.get("data"), commit.new["data"]) == (None, {"a": "b"})

    def test_the_same_calls_give_the_same_uids_and_names(self, clock):
        def run():
            kube = InMemoryKube(ApiServer(clock))
            return [kube.create(CONFIG_MAP, "default", {"metadata": {"generateName": "x-"}})["metadata"] for _ in range(3)]

        assert run() == run()


class TestSubscription:
    def test_draining_gives_what_happened_since_the_last_time(self, kube):
        feed = kube.subscribe(THING, "default")
        kube.create(THING, "default", thing())
        first = feed.drain()
        kube.patch(THING, "default", "one", {"spec": {"a": 1}})
        kube.delete(THING, "default", "one", uid=first[0].object["metadata"]["uid"])

        assert [event.type for event in first] == ["ADDED"]
        assert [event.type for event in feed.drain()] == ["MODIFIED", "DELETED"]
        assert not feed.pending()

    def test_it_begins_with_the_state(self, kube):
        kube.create(THING, "default", thing())

        assert [event.object["metadata"]["name"] for event in kube.subscribe(THING).drain()] == ["one"]

    def test_other_namespaces_are_left_out(self, kube):
        feed = kube.subscribe(THING, "kube-system")
        kube.create(THING, "default", thing())

        assert feed.drain() == []

    def test_a_listing_and_a_watch_from_its_revision_miss_nothing(self, kube):
        listing = kube.list(THING)
        kube.create(THING, "default", thing())
        feed = kube.subscribe(THING, "", listing.resource_version)

        assert [event.type for event in feed.drain()] == ["ADDED"]

    def test_a_forgotten_history_is_gone(self, server, kube):
        listing = kube.list(THING)
        feed = kube.subscribe(THING, "", listing.resource_version)
        kube.create(THING, "default", thing())
        server.compact()

        with pytest.raises(GoneError):
            feed.drain()
        with pytest.raises(GoneError):
            kube.subscribe(THING, "", listing.resource_version)

    def test_a_watch_that_keeps_up_survives_the_trimming_of_the_log(self, clock):
        kube = InMemoryKube(ApiServer(clock, keep_events=4))
        feed = kube.subscribe(CONFIG_MAP)
        kube.create(CONFIG_MAP, "default", {"metadata": {"name": "c"}})
        feed.drain()
        seen = []
        for value in range(40):
            kube.patch(CONFIG_MAP, "default", "c", {"data": {"n": str(value)}})
            seen += [event.object["data"]["n"] for event in feed.drain()]

        assert seen == [str(value) for value in range(40)]

    def test_the_blocking_watch_ends_with_its_time(self, kube):
        kube.create(THING, "default", thing())

        assert [event.type for event in kube.watch(THING, "default", "", timeout_seconds=0)] == ["ADDED"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("call", "error"),
        [
            (lambda kube: kube.get(CONFIG_MAP, "default", "none"), NotFoundError),
            (lambda kube: kube.get(Kind("no.where", "v1", "No", "nos"), "default", "x"), NotFoundError),
            (lambda kube: kube.create(NAMESPACE, "", {"metadata": {"name": "default"}}), ConflictError),
            (lambda kube: kube.create(CONFIG_MAP, "default", {"metadata": {"name": "No Name"}}), RefusedError),
            (lambda kube: kube.create(CONFIG_MAP, "default", {"metadata": {"name": "x", "resourceVersion": "1"}}), Unavailable),
            (lambda kube: kube.delete(NAMESPACE, "", "default", uid="other"), ConflictError),
        ],
    )
    def test_refusals_come_in_the_words_of_the_port(self, kube, call, error):
        with pytest.raises(error):
            call(kube)

    def test_a_hook_may_forbid(self, server, kube):
        server.authorize = lambda user, verb, *_: (user, verb) != ("penstock", "patch")
        kube.create(CONFIG_MAP, "default", {"metadata": {"name": "c"}})

        with pytest.raises(RefusedError, match='User "penstock" cannot patch resource "configmaps"'):
            kube.patch(CONFIG_MAP, "default", "c", {"data": {"a": "b"}})

    def test_an_admission_hook_may_change_or_deny(self, server, kube):
        def admit(attempt):
            if attempt.name == "denied":
                raise ApiError(403, "denied by a test")
            return {**attempt.new, "data": {"changed": "yes"}}

        server.admission = admit

        assert kube.create(CONFIG_MAP, "default", {"metadata": {"name": "c"}})["data"] == {"changed": "yes"}
        with pytest.raises(RefusedError, match="denied by a test"):
            kube.create(CONFIG_MAP, "default", {"metadata": {"name": "denied"}})

    def test_an_overloaded_server_says_how_long_to_wait(self, server, kube):
        def overloaded(_attempt):
            raise ApiError(429, "too many requests", retry_after=2)

        server.admission = overloaded
        with pytest.raises(Unavailable) as refused:
            kube.create(CONFIG_MAP, "default", {"metadata": {"name": "c"}})

        assert (refused.value.code, refused.value.retry_after) == (429, 2.0)


class TestDefinitions:
    def test_a_kind_is_served_only_once_it_is_established(self, clock):
        kube = InMemoryKube(ApiServer(clock, crd_delay_seconds=1.0))
        kube.create(CRD, "", definition())
        with pytest.raises(NotFoundError):
            kube.list(THING)
        clock.time += 1

        assert kube.list(THING).items == []

    def test_versions_show_the_same_object(self, kube):
        kube.create(THING, "default", thing(spec={"a": 1}))
        shown = kube.get(THING_OLD, "default", "one")
        kube.patch(THING_OLD, "default", "one", {"spec": {"a": 2}})

        assert (shown["apiVersion"], shown["spec"]) == (THING_OLD.api_version, {"a": 1})
        assert kube.get(THING, "default", "one")["apiVersion"] == THING.api_version
        assert kube.get(THING, "default", "one")["spec"] == {"a": 2}

    def test_deleting_a_definition_deletes_its_instances_and_waits_for_their_finalizers(self, server, kube):
        kube.create(THING, "default", {**thing(), "metadata": {"name": "one", "finalizers": ["test/held"]}})
        kube.create(THING, "default", thing("two"))
        server.delete(CRD, "", "things.test.penstock.dev")
        left = [obj["metadata"]["name"] for obj in kube.list(THING).items]
        kube.patch(THING, "default", "one", {"metadata": {"finalizers": None}})

        assert left == ["one"]
        with pytest.raises(NotFoundError):
            kube.list(THING)

    def test_an_event_is_seen_in_both_of_its_groups(self, kube):
        body = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Thing", "name": "one"}, "message": "told"}
        kube.create(EVENT, "default", body)

        assert kube.get(EVENTS_V1, "default", "e")["note"] == "told"
        assert kube.get(EVENTS_V1, "default", "e")["regarding"]["name"] == "one"


class TestLifeOfOthers:
    def test_a_namespace_ends_when_its_finalizer_is_taken_off(self, server, kube):
        kube.create(NAMESPACE, "", {"metadata": {"name": "shop"}})
        server.delete(NAMESPACE, "", "shop")
        marked = kube.get(NAMESPACE, "", "shop")
        server.update(NAMESPACE, "", "shop", {**marked, "spec": {"finalizers": []}}, Options(subresource="finalize"))

        assert marked["status"]["phase"] == "Terminating"
        with pytest.raises(NotFoundError):
            kube.get(NAMESPACE, "", "shop")

    def test_foreground_deletion_waits_for_a_collector(self, server, kube):
        template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
        spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
        kube.create(DEPLOYMENT, "default", {"metadata": {"name": "web"}, "spec": spec})
        server.delete(DEPLOYMENT, "default", "web", Deletion(propagation="Foreground"))

        assert kube.get(DEPLOYMENT, "default", "web")["metadata"]["finalizers"] == ["foregroundDeletion"]

    def test_owners_are_worked_out_of_many_writes(self, server, kube):
        kube.create(THING, "default", thing(spec={"n": 0, "kept": True}))
        for value in range(60):
            kube.patch(THING, "default", "one", {"spec": {"n": value}})
        other = Options(field_manager="other")
        body = thing(spec={"n": 1})

        with pytest.raises(ApiError, match=r'conflict with "penstock" using test.penstock.dev/v1: .spec.n'):
            server.patch(THING, "default", "one", body, Patch.APPLY, other)
