# ruff: noqa: T201 - a command prints
"""Random faults by seed over a release: whatever happens, no invariant breaks.

python -m tests.invariants.swarm --seeds 0 100     runs these seeds, prints the failing ones
python -m tests.invariants.swarm --seed 17         replays one, with its story
python -m tests.invariants.swarm --world home ...  with another plan: `host` has two namespaces, `home` returns to the original
"""

import argparse
import hashlib
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.ports import POD
from controller.simulator import simulation
from controller.simulator.crashes import CrashingKube, Mode, Point, hand_over
from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.lagging import LaggingCache
from controller.simulator.run import Result, run_objects
from controller.simulator.scenario import START, Scenario, load
from controller.simulator.simulation import Simulation

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class World:
    """What the faults strike.

    Attributes:
        stories: scenarios that the release itself is taken from, the first one more often; files without a name have one each.
        host: what the users call.
        blue, green: namespace and name of the Deployment that serves at the start, and of the new one.
        deletable: what somebody deletes.
    """

    name: str
    folder: Path
    stories: Sequence[tuple[str, str]]
    host: str
    release: str
    plan: str
    route: str
    blue: str
    green: str
    deletable: Sequence[str]

    @property
    def namespaces(self) -> list[str]:
        """Where its pods are."""
        return sorted({self.blue.partition("/")[0], self.green.partition("/")[0]})


SHOP = World(
    name="shop",
    folder=ROOT / "examples" / "first-release" / "scenarios",
    stories=[("healthy.yaml", "healthy"), ("healthy.yaml", "healthy"), ("fails-at-25.yaml", "fails-at-25")],
    host="shop.shop.svc.cluster.local",
    release="shop/shop-v2",
    plan="shop/shop",
    route="VirtualService shop/shop",
    blue="shop/shop",
    green="shop/shop-green",
    deletable=["ReleasePlan shop/shop", "Deployment shop/shop-green", "VirtualService shop/shop", "DestinationRule shop/shop"],
)


def two_namespaces(name: str) -> World:
    """Of the scenarios in host mode: a service and its worker, blue in `prod`, green in `prod-green`."""
    return World(
        name=name,
        folder=ROOT / "tests" / "scenarios" / name,
        stories=[("scenarios.yaml", f"{name}-in-a-row")],
        host="api.prod.svc.cluster.local",
        release="prod/api-v2",
        plan="prod/api",
        route="VirtualService prod/api",
        blue="prod/api",
        green="prod-green/api",
        deletable=["ReleasePlan prod/api", "Deployment prod-green/api", "Deployment prod/api", "VirtualService prod/api"],
    )


WORLDS = {"shop": SHOP, "host": two_namespaces("host"), "home": two_namespaces("home")}
METRICS = [f"prometheus-{how}" for how in ("down", "empty", "nan", "inf", "many", "stale", "error", "slow", "partial")]
DELAYS = ["0s", "2s", "10s", "30s", "120s"]
"""How late a proxy is at most (F19); routes, clusters and endpoints each for themselves."""


def seconds(draw: random.Random, low: float, high: float) -> str:
    return f"{draw.randint(int(low), int(high))}s"


def another_hash_seed() -> str:
    """For a process of another one than this."""
    return "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"


def poison(world: World) -> list[dict[str, Any]]:
    """What people and newer versions leave behind (F21, F15)."""
    blob = {"metadata": {"annotations": {"big.example/blob": "x" * 200_000}}}
    return [
        {"target": f"ReleasePlan {world.plan}", "patch": {"spec": {"stages": [{"weight": 100, "window": "1s"}]}}},
        {"target": f"ReleasePlan {world.plan}", "patch": {"spec": {"checks": [{"name": "x", "query": "sum(", "limit": {"max": 1}}]}}},
        {"target": f"ReleasePlan {world.plan}", "patch": blob},
        {"target": f"Release {world.release}", "patch": blob},
        {
            "target": f"Release {world.release}",
            "patch": {"status": {"message": None, "reason": "OfANewerVersion"}},
            "subresource": "status",
        },
        {"target": world.route, "patch": {"metadata": {"annotations": {"penstock.dev/epoch": "many"}}}},
        {"target": f"Deployment {world.green}", "patch": {"metadata": {"labels": {"team": None, "cost-centre": "17"}}}},
        {"target": f"Deployment {world.blue}", "patch": {"spec": {"replicas": 5}}},
    ]


CLIENT = ["api-error", "token-expired", "rights-removed", "admission-down", "admission-denies", "admission-changes", "events-refused"]


def fault(draw: random.Random, world: World) -> dict[str, Any]:
    """One thing that goes wrong, F1 to F24."""
    at, kinds = seconds(draw, 1, 2400), [processes, prometheus, network, watches, refusals, plane, hands, pods]
    return {"at": at, **draw.choice(kinds)(draw, world)}


def processes(draw: random.Random, _: World) -> dict[str, Any]:
    """F1, F16, F17, F23."""
    return draw.choice([
        {"kind": "crash", "lasts": seconds(draw, 0, 300), "every": seconds(draw, 7, 60)},
        {"kind": "pause", "lasts": seconds(draw, 1, 90)},
        {"kind": "old-schema", "lasts": seconds(draw, 5, 120)},
        {"kind": "clock-jump", "seconds": draw.choice([-3600, -30, 30, 3600])},
    ])  # fmt: skip


def prometheus(draw: random.Random, _: World) -> dict[str, Any]:
    """F18."""
    return draw.choice([{"kind": draw.choice(METRICS), "lasts": seconds(draw, 5, 1200)}, {"kind": "counter-reset"}])


def network(draw: random.Random, _: World) -> dict[str, Any]:
    """F2, F8, F11."""
    return draw.choice([
        {"kind": "api-down", "lasts": seconds(draw, 1, 120)},
        {"kind": draw.choice(["api-conflict", "api-lost-answer"]), "lasts": seconds(draw, 0, 60), "every": "3s"},
        {"kind": "api-throttled", "lasts": seconds(draw, 1, 120), "seconds": draw.choice([1, 20])},
    ])  # fmt: skip


def watches(draw: random.Random, _: World) -> dict[str, Any]:
    """F4, F5, F6, F7, F9, F10: a silence ends with a new list, as after a 410."""
    return draw.choice([
        {"kind": "stale-reads", "lasts": seconds(draw, 5, 600), "seconds": draw.choice([1, 5, 30, 120])},
        {"kind": "silence", "lasts": seconds(draw, 1, 300)},
        {"kind": "odd-order", "lasts": seconds(draw, 5, 600), "seconds": draw.choice([1, 5, 30])},
    ])  # fmt: skip


def refusals(draw: random.Random, _: World) -> dict[str, Any]:
    """F11, F12, F13, F24."""
    return {"kind": draw.choice(CLIENT), "lasts": seconds(draw, 1, 300)}


def plane(draw: random.Random, _: World) -> dict[str, Any]:
    """F19."""
    return {"kind": "control-plane-down", "lasts": seconds(draw, 5, 120)}


def hands(draw: random.Random, world: World) -> dict[str, Any]:
    """F15, F21."""
    return draw.choice([
        {"kind": "drift", "target": world.route, "weight": draw.choice([0, 3, 40, 100])},
        {"kind": "patch", **draw.choice(poison(world))},
        {"kind": "delete", "target": draw.choice(world.deletable)},
    ])  # fmt: skip


def pods(draw: random.Random, world: World) -> dict[str, Any]:
    """F20."""
    target = draw.choice([f"Deployment {world.blue}", f"Deployment {world.green}"])
    return {"kind": draw.choice(["evict", "unready"]), "target": target, "lasts": seconds(draw, 5, 600)}


def deed(draw: random.Random) -> dict[str, Any]:
    """Something that a person does."""
    verb = draw.choice(["pause", "resume", "advance", "promote", "rollback", "resume", "delete"])
    return {"at": seconds(draw, 1, 2400), "verb": verb}


def story(seed: int, world: World = SHOP) -> Scenario:
    draw = random.Random(f"swarm/{seed}" if world is SHOP else f"swarm/{world.name}/{seed}")
    file, name = draw.choice(world.stories)
    base = next(one for one in load(world.folder / file) if one.name == name)
    users = [
        {"name": f"users-{i}", "host": world.host, "rps": draw.choice([20, 100]), "delay": draw.choice(DELAYS)}
        for i in range(draw.choice([1, 1, 3]))
    ]
    body = base.model_dump(exclude_unset=True, by_alias=True) | {
        "name": f"swarm-{world.name}-{seed}",
        "eachPod": draw.random() < 0.3,
        "users": users,
        "expect": {"phase": "Succeeded"},
        "limit": "4h",
        "faults": [fault(draw, world) for _ in range(draw.randint(1, 4))],
        "people": [deed(draw) for _ in range(draw.choice([0, 0, 1, 2]))],
    }
    return Scenario.model_validate(body)


def run(seed: int, world: World = SHOP) -> tuple[list[str], Result | None, str]:
    """Breaches, what happened, and a digest of the trace."""
    simulation.MAX_LOOKS = 6_000
    draw, scenario, checks = random.Random(f"more/{seed}"), story(seed, world), []
    digest = hashlib.sha256()

    def prepare(sim: Simulation) -> None:
        point = Point(draw.randrange(90), draw.choice(list(Mode)))
        kube = CrashingKube(sim.kube, point)
        kube.pause = lambda pause: hand_over(sim, kube.inner, pause)
        sim.kube = kube
        sim.cache = LaggingCache(sim)
        sim.say(f"write {point.number} fails: {point.mode}")
        checks.append(watch(sim))
        sim.server.on_commit(lambda c: digest.update(f"{c.revision}/{c.time}/{c.verb}/{c.kind.kind}/{c.last}".encode()))
        for _ in range(draw.choice([0, 0, 1, 3])):
            sim.at(START + draw.uniform(1, 2400), lambda: evict(sim, draw, world))

    try:
        result = run_objects(scenario, objects(scenario, world), seed=seed, prepare=prepare)
    except Exception as error:  # noqa: BLE001 - any error at all is a finding of this seed
        return [f"{type(error).__name__}: {error}", *checks[0].breaches], None, digest.hexdigest()
    lasting = [problem for problem in result.problems if problem.startswith("L3")]
    return [*checks[0].finish(), *lasting], result, digest.hexdigest()


def objects(scenario: Scenario, world: World) -> list[dict[str, Any]]:
    """The world and a plan that waits as long for a new cluster as the slowest proxy takes, debounce included."""
    found = [*load_objects(world.folder / scenario.world), *load_objects(world.folder / scenario.plan)]
    slowest = max(users.delay for users in scenario.users)
    for obj in found:
        if obj["kind"] == "ReleasePlan":
            obj["spec"] |= {"preparation": {"routeDelay": f"{slowest + 12:.0f}s", "deadline": "20m"}}
    return found


def evict(sim: Simulation, draw: random.Random, world: World) -> None:
    """A node sends a pod away."""
    pods = {pod["metadata"]["name"]: namespace for namespace in world.namespaces for pod in sim.server.list(POD, namespace).items}
    if pods:
        name = draw.choice(sorted(pods))
        sim.say(f"fault: {name} is evicted")
        sim.workloads.evict(pods[name], name)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.invariants.swarm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs=2, type=int, default=[0, 20])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--world", choices=sorted(WORLDS), default="shop")
    parser.add_argument("--digest", action="store_true", help="print the digest of the seed's trace alone")
    asked = parser.parse_args()
    world = WORLDS[asked.world]
    if asked.seed is not None:
        found, result, digest = run(asked.seed, world)
        if asked.digest:
            print(digest)
            return 0
        print("\n".join(map(str, result.transcript)) if result else story(asked.seed, world))
        print("\n".join(found) or "no breach")
        return 1 if found else 0
    failed = 0
    for seed in range(*asked.seeds):
        found, _, _ = run(seed, world)
        if found:
            failed += 1
            print(
                f"seed {seed}: python -m tests.invariants.swarm --world {world.name} --seed {seed}\n  " + "\n  ".join(found[:4]), flush=True
            )
    print(f"{asked.seeds[1] - asked.seeds[0]} seeds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
