"""Who is woken by what."""

import pytest

from controller.ports import DEPLOYMENT, ENDPOINT_SLICE, RELEASE, RELEASE_PLAN, RELEASE_REQUEST, VIRTUAL_SERVICE
from controller.runtime.owners import Owners
from controller.runtime.store import Change


def release(name, phase="Measuring", plan="p", objects=()):
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": f"uid-{name}"},
        "spec": {"plan": plan},
        "status": {"phase": phase, "objects": [{"kind": k, "namespace": n, "name": o} for k, n, o in objects]},
    }


def change(obj, old=None):
    meta = (obj or old)["metadata"]
    return Change((meta["namespace"], meta["name"]), old, obj)


def thing(name, namespace="shop", labels=None, annotations=None, **content):
    return {"metadata": {"namespace": namespace, "name": name, "labels": labels or {}, "annotations": annotations or {}}} | content


@pytest.fixture
def owners():
    owners = Owners()
    owners.concerned(RELEASE, change(release("r", objects=[("Deployment", "green", "web"), ("Service", "green", "web")])))
    owners.concerned(RELEASE, change(release("q", "Queued")))
    owners.concerned(RELEASE, change(release("other", plan="p2")))
    return owners


R, Q = ("shop", "r"), ("shop", "q")


@pytest.mark.parametrize(
    ("kind", "obj", "woken"),
    [
        (VIRTUAL_SERVICE, thing("vs", annotations={"penstock.dev/owner": "uid-r"}), {R}),
        (VIRTUAL_SERVICE, thing("vs"), set()),
        (DEPLOYMENT, thing("x", "elsewhere", labels={"penstock.dev/release": "r"}), {R}),
        (DEPLOYMENT, thing("web", "green"), {R}),
        (DEPLOYMENT, thing("web", "shop"), set()),
        (ENDPOINT_SLICE, thing("web-abc", "green", labels={"kubernetes.io/service-name": "web"}), {R}),
        (RELEASE_REQUEST, thing("ask", spec={"release": "r"}), {R}),
        (RELEASE_REQUEST, thing("ask", spec={"release": "r"}, status={"state": "accepted"}), set()),
        (RELEASE_REQUEST, thing("ask", spec={"release": "finished-long-ago"}), {("shop", "finished-long-ago")}),
        (RELEASE_PLAN, thing("p"), {R, Q}),
        (RELEASE, release("r", "Holding"), {R, Q}),
    ],
)
def test_a_change_wakes_whom_it_concerns(owners, kind, obj, woken):
    assert owners.concerned(kind, change(obj)) == woken


def test_an_owner_that_was_taken_off_is_still_told(owners):
    before, after = thing("vs", annotations={"penstock.dev/owner": "uid-r"}), thing("vs")

    assert owners.concerned(VIRTUAL_SERVICE, change(after, before)) == {R}


def test_our_own_writes_wake_only_those_who_wait_for_us(owners):
    running, ended = release("r"), release("r", "RolledBack")

    assert owners.concerned(RELEASE, change(running, release("r")), ours=True) == set()
    assert owners.concerned(DEPLOYMENT, change(thing("web", "green")), ours=True) == set()
    assert owners.concerned(RELEASE, change(ended, running), ours=True) == {Q}


def test_those_who_wait_are_woken_once_the_old_version_is_given_back(owners):
    kept, given_back = release("r", "Succeeded"), release("r", "Succeeded")
    given_back["status"]["retention"] = {"done": True}

    assert owners.concerned(RELEASE, change(kept, kept), ours=True) == set()
    assert owners.concerned(RELEASE, change(given_back, kept), ours=True) == {Q}


def test_a_finished_release_is_forgotten_and_not_woken_again(owners):
    ended = release("r", "RolledBack")
    owners.concerned(RELEASE, change(ended, release("r")))

    assert R not in owners.unfinished()
    assert owners.concerned(RELEASE, change(ended, ended)) == set()
    assert owners.concerned(DEPLOYMENT, change(thing("web", "green"))) == set()


def test_ten_thousand_finished_releases_wake_nobody_at_the_start():
    owners = Owners()
    woken = [owners.concerned(RELEASE, change(release(f"r{i}", "RolledBack"))) for i in range(100)]

    assert not any(woken)


def test_a_deleted_release_wakes_itself_and_those_who_wait(owners):
    assert owners.concerned(RELEASE, change(None, release("r"))) == {R, Q}


def test_a_status_of_nonsense_wakes_the_release_all_the_same(owners):
    poison = {"metadata": {"namespace": "shop", "name": "r", "uid": 5}, "spec": "?", "status": {"phase": ["x"], "objects": [1, None]}}

    assert R in owners.concerned(RELEASE, change(poison, release("r")))
