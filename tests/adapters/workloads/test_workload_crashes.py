"""Every command, cut short at every write, ends where the undisturbed one ends, with the same writes."""

import pytest
from workload_world import TWO_PLACES, World, a_release, started

from controller.adapters.workloads.teardown import remove_green, retire_old, shrink_old
from controller.adapters.workloads.writes import keep_capacity, make_green, restore_capacity, update_home
from controller.api.release import Phase
from controller.ports import CONFIG_MAP, DEPLOYMENT, HPA, SERVICE, UnavailableError

MEMBER = {"name": "web", "workload": "web", "configMaps": ["settings"], "environment": {"MODE": "new"}}
PLAN = {"members": [MEMBER], "traffic": {"virtualService": "web"}, "slots": TWO_PLACES}
CLUSTERS_OWN = ("resourceVersion", "uid", "creationTimestamp", "managedFields", "generation")


class Crashes:
    """The n-th write is not sent, or is sent and its answer lost; whoever sent it is gone."""

    def __init__(self, kube, number, *, applied):
        self.kube, self.left, self.applied = kube, number, applied

    def get(self, *where):
        return self.kube.get(*where)

    def list(self, *where, **how):
        return self.kube.list(*where, **how)

    def create(self, *what):
        return self.write(self.kube.create, *what)

    def patch(self, *what, **how):
        return self.write(self.kube.patch, *what, **how)

    def delete(self, *what, **how):
        return self.write(self.kube.delete, *what, **how)

    def write(self, send, *what, **how):
        self.left -= 1
        if self.left == 0:
            if self.applied:
                send(*what, **how)
            raise UnavailableError(0, "Crash", "the controller is gone")
        return send(*what, **how)


def everything(world):
    """All objects that matter, without what the cluster adds and without the epoch."""
    found = {}
    for kind in (DEPLOYMENT, SERVICE, CONFIG_MAP, HPA):
        for obj in world.user.list(kind).items:
            meta = {key: value for key, value in obj["metadata"].items() if key not in CLUSTERS_OWN}
            found[kind.kind, meta["namespace"], meta["name"]] = (meta, obj.get("spec"), obj.get("data"))
    return found


def before_the_release():
    world = World()
    world.autoscale(minimum=1)
    world.user.create(CONFIG_MAP, "shop", {"metadata": {"name": "settings"}, "data": {"a": "1"}})
    return world.with_blue(replicas=3)


def after(*commands):
    def prepare():
        world = before_the_release()
        release = started(world, a_release(plan=PLAN))
        for command in commands:
            world.do(command, release)
            world.pass_time()
        return world

    return prepare


def shrink_to_one(kube, subject, view, epoch):
    return shrink_old(kube, subject, view, epoch, replicas=1)


CASES = {
    "keep capacity": (after(), keep_capacity),
    "make green": (after(keep_capacity), make_green),
    "remove green": (after(keep_capacity, make_green), remove_green),
    "restore capacity": (after(keep_capacity, make_green), restore_capacity),
    "update home": (after(keep_capacity, make_green), update_home),
    "shrink": (after(keep_capacity, make_green, restore_capacity), shrink_to_one),
    "retire": (after(keep_capacity, make_green, restore_capacity, shrink_to_one), retire_old),
}


def release_of(world):
    release = started(world, a_release(plan=PLAN), phase=Phase.SUCCEEDED)
    capacity = [entry.model_copy(update={"hpa_min": 1, "replicas": 3}) for entry in release.status.capacity]
    status = release.status.model_copy(update={"capacity": capacity})
    return type(release)(**{name: getattr(release, name) for name in release.__slots__} | {"status": status})


@pytest.mark.parametrize(("prepare", "command"), CASES.values(), ids=CASES)
class TestCrashes:
    def test_a_command_that_was_cut_short_anywhere_is_finished_by_the_next_leader(self, prepare, command):
        clean = prepare()
        already = len(clean.writes)
        clean.do(command, release_of(clean))
        wanted, writes = everything(clean.pass_time()), sorted(clean.writes[already:])
        assert writes

        for applied in (False, True):
            for number in range(1, len(writes) + 1):
                world = prepare()
                already = len(world.writes)
                release = release_of(world)
                with pytest.raises(UnavailableError):
                    command(Crashes(world.kube, number, applied=applied), release, world.look(release), 7)
                world.do(command, release, epoch=7)

                assert everything(world.pass_time()) == wanted
                assert sorted(world.writes[already:]) == writes

    def test_done_again_it_writes_nothing(self, prepare, command):
        world = prepare()
        world.do(command, release_of(world))
        writes = list(world.pass_time().writes)
        world.do(command, release_of(world))

        assert world.writes == writes
