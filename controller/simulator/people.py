"""What people and pipelines do in a scenario, through the same objects as in production."""

from typing import Any

from controller.api.base import API_VERSION
from controller.ports import RELEASE, RELEASE_REQUEST, KubeError
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.scenario import START, Act, Deed, ReleaseModel
from controller.simulator.simulation import Simulation


def start(sim: Simulation, namespace: str, plan: str, release: ReleaseModel, *, name: str, more: dict[str, Any] | None = None) -> None:
    """Start a release, as `penstock start` does."""
    body = {
        "apiVersion": API_VERSION,
        "kind": "Release",
        "metadata": {"name": name},
        "spec": {"plan": plan, "revision": release.revision, "images": release.images, "origin": {"actor": "ci"}, **(more or {})},
    }
    InMemoryKube(sim.server, user="ci", field_manager="penstock-cli").create(RELEASE, namespace, body)


def arrange(sim: Simulation, namespace: str, plan: str, first: str, act: Act) -> None:
    """Put a person's deed into the simulation's future."""
    sim.at(START + act.at, lambda: do(sim, namespace, plan, first, act))


def do(sim: Simulation, namespace: str, plan: str, first: str, act: Act) -> None:
    """A person acts."""
    people = InMemoryKube(sim.server, user=act.actor, field_manager="penstock-cli")
    name = act.release or first
    sim.say(f"{act.actor}: {act.verb}{f' {act.release}' if act.release else ''} ({act.reason})")
    try:
        match act.verb:
            case Deed.START:
                more = {"kind": act.kind, "reverseOf": act.reverse_of} if act.kind == "reverse" else {}
                start(sim, namespace, act.plan or plan, ReleaseModel(revision=act.revision, images=act.images), name=name, more=more)
            case Deed.DELETE:
                release = people.get(RELEASE, namespace, name)
                people.delete(RELEASE, namespace, name, uid=release["metadata"]["uid"])
            case _:
                people.create(RELEASE_REQUEST, namespace, request(people, namespace, name, act))
    except KubeError as error:
        sim.say(f"that was refused: {error}")


def request(people: InMemoryKube, namespace: str, name: str, act: Act) -> dict[str, Any]:
    """The request object; toward green it says what the person saw."""
    release = people.get(RELEASE, namespace, name)
    spec: dict[str, Any] = {
        "release": name,
        "releaseUid": release["metadata"]["uid"],
        "verb": act.verb,
        "actor": act.actor,
        "reason": act.reason,
    }
    if act.verb in (Deed.ADVANCE, Deed.PROMOTE):
        spec["expect"] = {"stage": (release.get("status") or {}).get("stage", -1)}
    return {"apiVersion": API_VERSION, "kind": "ReleaseRequest", "metadata": {"generateName": f"{name}-{act.verb}-"}, "spec": spec}
