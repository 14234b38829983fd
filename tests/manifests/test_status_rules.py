"""The rules that the CRDs put on a status, evaluated as the API server evaluates them. `tests/real/test_crds_served.py` asks a real one."""

from copy import deepcopy

import pytest

from controller.adapters.records import read_status, read_subject, set_finalizer, write_status
from controller.core import trouble
from controller.core.steps import World
from controller.core.world import Observed, RouteView
from controller.ports import CRD, RELEASE, RELEASE_PLAN, RELEASE_REQUEST, Patch, RefusedError
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.definitions import all_definitions

PLAN = {"workload": "shop", "traffic": {"virtualService": "shop"}}
SPECS = {RELEASE: {"plan": "shop", "revision": "v2"}, RELEASE_PLAN: PLAN, RELEASE_REQUEST: {"release": "r", "verb": "pause"}}

ENDS = [
    {"phase": "RolledBack", "finishedAt": 5.0},
    {"phase": "RolledBack", "finishedAt": 5.0, "weight": 0, "grant": 0},
    {"phase": "Refused", "finishedAt": 5.0},
    {"phase": "Succeeded", "finishedAt": 5.0, "weight": 100, "grant": 100},
    {"phase": "Succeeded", "finishedAt": 5.0, "weight": 0, "grant": 100, "returnedAt": 4.0},
]
EDITED_ENDS = [
    {"phase": "RolledBack"},
    {"phase": "Succeeded", "weight": 100, "grant": 100},
    {"phase": "RolledBack", "finishedAt": 5.0, "weight": 25, "grant": 25},
    {"phase": "Succeeded", "finishedAt": 5.0, "weight": 25, "grant": 25},
]


@pytest.fixture
def kube():
    server = ApiServer(lambda: 1_700_000_000.0)
    kube = InMemoryKube(server, user="bob")
    server.load(all_definitions())
    server.load([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}])
    return kube


def made(kube, kind, **status):
    kube.create(kind, "shop", {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}, "spec": SPECS[kind]})
    return write(kube, kind, **status)


def write(kube, kind, **status):
    return kube.patch(kind, "shop", "x", {"status": status}, Patch.MERGE, subresource="status")["status"]


@pytest.mark.parametrize("kind", list(SPECS), ids=lambda kind: kind.kind)
def test_the_epoch_of_a_status_never_falls(kube, kind):
    """A deposed leader's late write is refused by the server itself, on plans and answers as on releases."""
    made(kube, kind, epoch=7)

    assert write(kube, kind, epoch=8)["epoch"] == 8
    with pytest.raises(RefusedError, match="the epoch never falls"):
        write(kube, kind, epoch=7)


@pytest.mark.parametrize("kind", list(SPECS), ids=lambda kind: kind.kind)
def test_an_epoch_that_leaps_above_all_others_is_taken_back(kube, kind):
    """Somebody wrote it by hand: no leader could ever exceed it, and nothing could be written any more."""
    made(kube, kind, epoch=9 * 10**17)

    assert write(kube, kind, epoch=7)["epoch"] == 7


@pytest.mark.parametrize("end", ENDS, ids=str)
def test_a_release_that_has_ended_stays_as_it_ended(kube, end):
    made(kube, RELEASE, **end)

    for phase in ("Measuring", "RollingBack", "Halted", None):
        with pytest.raises(RefusedError, match="a release that has ended stays as it ended"):
            write(kube, RELEASE, phase=phase)


@pytest.mark.parametrize("end", ENDS, ids=str)
def test_its_retention_and_its_epoch_are_still_written(kube, end):
    made(kube, RELEASE, **end)

    assert write(kube, RELEASE, epoch=9, retention={"done": True})["retention"] == {"done": True}


@pytest.mark.parametrize("end", EDITED_ENDS, ids=str)
def test_an_end_that_somebody_only_wrote_down_is_damage_which_the_controller_may_halt(kube, end):
    """What the rule calls an end and what the controller calls damage are one and the same question."""
    made(kube, RELEASE, **end)

    assert read_status(end)[1]
    assert write(kube, RELEASE, phase="Halted")["phase"] == "Halted"


@pytest.mark.parametrize("end", ENDS, ids=str)
def test_a_right_end_is_no_damage(end):
    assert read_status(end)[1] == ""


@pytest.mark.parametrize("status", [None, {"phase": None}], ids=str)
def test_the_status_of_a_release_that_has_begun_is_never_dropped(kube, status):
    """An emptied one would read as a release that never began, and green would keep its share with nobody watching."""
    made(kube, RELEASE, phase="Measuring", weight=25, grant=25)

    with pytest.raises(RefusedError, match="changed, never dropped"):
        kube.patch(RELEASE, "shop", "x", {"status": status}, Patch.MERGE, subresource="status")


def test_the_status_of_a_queued_release_may_be_dropped(kube):
    made(kube, RELEASE, epoch=1, reason="WaitingForPlan")

    assert "status" not in kube.patch(RELEASE, "shop", "x", {"status": None}, Patch.MERGE, subresource="status")


FACTS = [
    ({"blueSlot": 0}, {"blueSlot": 1}),
    ({"blueSlot": 1}, {"blueSlot": None}),
    ({"mode": "host"}, {"mode": "subset"}),
    ({"blueSubset": "v1", "greenSubset": "v2"}, {"blueSubset": "v2"}),
    ({"blueSubset": "v1", "greenSubset": "v2"}, {"greenSubset": ""}),
    ({"planHash": "a"}, {"planHash": "b"}),
]


@pytest.mark.parametrize(("known", "edit"), FACTS, ids=str)
def test_who_is_blue_is_decided_once(kube, known, edit):
    """With another answer in mid-release everybody would be sent back to the version that nobody has judged."""
    made(kube, RELEASE, phase="Measuring", blueSlot=-1, mode="", planHash="")
    write(kube, RELEASE, **known)

    with pytest.raises(RefusedError, match=f"status.{next(iter(edit))} is decided once, at the start of the release"):
        write(kube, RELEASE, **edit)
    assert write(kube, RELEASE, epoch=3, **known)["epoch"] == 3


SIZE = [{"member": "shop", "replicas": 3}]
MADE = [{"kind": "Deployment", "namespace": "shop", "name": "shop-green", "uid": "u"}]


@pytest.mark.parametrize(("field", "entries"), [("capacity", SIZE), ("objects", MADE)])
def test_what_must_be_given_back_or_taken_down_is_never_lost(kube, field, entries):
    """A teardown would end without it: an autoscaler's minimum would stay raised, a Deployment would stay."""
    made(kube, RELEASE, phase="TearingDown", **{field: []})
    longer = [*entries, {**entries[0], "name": "another"} if field == "objects" else {**entries[0], "member": "another"}]
    write(kube, RELEASE, **{field: entries})

    for shorter in ([], None):
        with pytest.raises(RefusedError, match=f"status.{field} .* never gets shorter"):
            write(kube, RELEASE, **{field: shorter})
    assert len(write(kube, RELEASE, **{field: longer})[field]) == 2


PERCENT = ("weight", "observedWeight", "grant", "maxWeight")


@pytest.mark.parametrize("field", PERCENT)
@pytest.mark.parametrize("number", [-1, 101, 1000])
def test_a_number_that_is_no_percentage_is_refused(kube, field, number):
    made(kube, RELEASE, phase="Measuring", weight=25, grant=25)

    with pytest.raises(RefusedError, match=f"status.{field}"):
        write(kube, RELEASE, **{field: number})


def without_bounds():
    """The definitions of a version that did not bound the percentages."""
    found = deepcopy(list(all_definitions()))
    crd = next(one for one in found if one["metadata"]["name"] == "releases.penstock.dev")
    fields = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    for field in PERCENT:
        fields[field].pop("minimum")
        fields[field].pop("maximum")
    return found


@pytest.mark.parametrize(
    ("stored", "weight", "phase"),
    [
        ({"phase": "Measuring", "weight": -5, "grant": -5, "stage": 1}, 0, "Halted"),
        ({"phase": "Measuring", "weight": -5, "grant": 25, "stage": 1}, 25, "Halted"),
        ({"phase": "RollingBack", "weight": 25, "grant": 1000}, 25, "Halted"),
        ({"phase": "RolledBack", "finishedAt": 5.0, "grant": -5, "weight": -5}, 0, "RolledBack"),
        ({"phase": "Succeeded", "finishedAt": 5.0, "weight": 100, "grant": 1000}, 100, "Succeeded"),
    ],
    ids=str,
)
def test_a_release_that_had_such_a_number_before_is_mended_by_one_write(stored, weight, phase):
    """A server without ratcheting (1.28) refuses every write that leaves the number as it is, so the first one puts it right."""
    server = ApiServer(lambda: 1_700_000_000.0)
    kube = InMemoryKube(server, user="bob")
    server.load(without_bounds())
    server.load([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}])
    made(kube, RELEASE, **stored)
    for crd in all_definitions():
        kube.patch(CRD, "", crd["metadata"]["name"], {"spec": crd["spec"]})
    subject = read_subject(kube.get(RELEASE, "shop", "x"))

    decision = trouble.damaged(World(subject, Observed(routes=(RouteView("shop", "shop", green_weight=25),)), 9.0))
    write_status(kube, subject, subject.status, decision.status)

    mended = read_subject(kube.get(RELEASE, "shop", "x"))
    assert (mended.damage, mended.status.weight, mended.status.phase.value) == ("", weight, phase)
    set_finalizer(kube, mended, kube.get(RELEASE, "shop", "x"), 1, present=True)


def test_a_release_that_has_only_waited_shows_its_weight_too(kube):
    """`kubectl get releases` prints what is stored: an empty column would say nothing of where the traffic is."""
    kube.create(RELEASE, "shop", named("x"))
    subject = read_subject(kube.get(RELEASE, "shop", "x"))

    write_status(kube, subject, subject.status, subject.status.model_copy(update={"reason": "WaitingForPlan"}))

    stored = kube.get(RELEASE, "shop", "x")["status"]
    assert (stored["phase"], stored["weight"]) == ("Queued", 0)


def named(name):
    return {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": name}, "spec": SPECS[RELEASE]}


def test_a_release_whose_name_is_no_label_is_refused(kube):
    kube.create(RELEASE, "shop", named("x" * 63))

    with pytest.raises(RefusedError, match="name: expected at most 63 characters"):
        kube.create(RELEASE, "shop", named("x" * 64))
