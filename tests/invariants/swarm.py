# ruff: noqa: T201 - a command prints
"""Random faults by seed over a release: whatever happens, no invariant breaks.

python -m tests.invariants.swarm --seeds 0 100     runs these seeds, prints the failing ones
python -m tests.invariants.swarm --seed 17         replays one, with its story
"""

import argparse
import hashlib
import random
import sys
from pathlib import Path
from typing import Any

from controller.ports import POD
from controller.simulator import simulation
from controller.simulator.crashes import CrashingKube, Mode, Point, hand_over
from controller.simulator.invariants import watch
from controller.simulator.lagging import LaggingCache
from controller.simulator.run import Result, run_scenario
from controller.simulator.scenario import Scenario, load
from controller.simulator.simulation import START, Simulation

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "first-release" / "scenarios"
METRICS = ["prometheus-down", "prometheus-empty", "prometheus-nan", "prometheus-error", "prometheus-slow", "prometheus-partial"]
ROUTE = "VirtualService shop/shop"


def seconds(draw: random.Random, low: float, high: float) -> str:
    return f"{draw.randint(int(low), int(high))}s"


def fault(draw: random.Random) -> dict[str, Any]:
    """One thing that goes wrong, F1 to F24 as far as scenarios can say it."""
    at = seconds(draw, 1, 2400)
    match draw.randrange(10):
        case 0 | 1:
            return {"kind": "crash", "at": at, "lasts": seconds(draw, 0, 300), "every": seconds(draw, 7, 60)}
        case 2 | 3:
            return {"kind": draw.choice(METRICS), "at": at, "lasts": seconds(draw, 5, 1200)}
        case 4:
            return {"kind": "api-down", "at": at, "lasts": seconds(draw, 1, 120)}
        case 5:
            return {"kind": draw.choice(["api-conflict", "api-lost-answer"]), "at": at, "lasts": seconds(draw, 0, 60), "every": "3s"}
        case 6:
            return {"kind": "control-plane-down", "at": at, "lasts": seconds(draw, 5, 120)}
        case 7:
            return {"kind": "clock-jump", "at": at, "seconds": draw.choice([-3600, -30, 30, 3600])}
        case 8:
            return {"kind": "drift", "at": at, "target": ROUTE, "weight": draw.choice([0, 3, 40, 100])}
        case _:
            return {"kind": "stale-reads", "at": at, "lasts": seconds(draw, 5, 600), "seconds": draw.choice([1, 5, 30, 120])}


def deed(draw: random.Random) -> dict[str, Any]:
    """Something that a person does."""
    verb = draw.choice(["pause", "resume", "advance", "promote", "rollback", "resume", "delete"])
    return {"at": seconds(draw, 1, 2400), "verb": verb}


def story(seed: int) -> Scenario:
    draw = random.Random(f"swarm/{seed}")
    base = {one.name: one for name in ("healthy", "fails-at-25") for one in load(FOLDER / f"{name}.yaml")}[
        draw.choice(["healthy", "healthy", "fails-at-25"])
    ]
    users = [{"host": "shop.shop.svc.cluster.local", "rps": draw.choice([20, 100]), "delay": draw.choice(["0s", "2s", "10s"])}]
    body = base.model_dump(exclude_unset=True, by_alias=True) | {
        "name": f"swarm-{seed}",
        "users": users,
        "expect": {"phase": "Succeeded"},
        "limit": "4h",
        "faults": [fault(draw) for _ in range(draw.randint(1, 4))],
        "people": [deed(draw) for _ in range(draw.choice([0, 0, 1, 2]))],
    }
    return Scenario.model_validate(body)


def run(seed: int) -> tuple[list[str], Result | None, str]:
    """Breaches, what happened, and a digest of the trace."""
    simulation.MAX_LOOKS = 6_000
    draw, scenario, checks = random.Random(f"more/{seed}"), story(seed), []
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
            sim.at(START + draw.uniform(1, 2400), lambda: evict(sim, draw))

    try:
        result = run_scenario(scenario, FOLDER, seed=seed, prepare=prepare)
    except Exception as error:  # noqa: BLE001 - any error at all is a finding of this seed
        return [f"{type(error).__name__}: {error}", *checks[0].breaches], None, digest.hexdigest()
    lasting = [problem for problem in result.problems if problem.startswith("L3")]
    return [*checks[0].finish(), *lasting], result, digest.hexdigest()


def evict(sim: Simulation, draw: random.Random) -> None:
    """A node sends a pod away."""
    pods = sim.server.list(POD, "shop").items
    if pods:
        name = draw.choice(sorted(pod["metadata"]["name"] for pod in pods))
        sim.say(f"fault: {name} is evicted")
        sim.workloads.evict("shop", name)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.invariants.swarm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", nargs=2, type=int, default=[0, 20])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--digest", action="store_true", help="print the digest of the seed's trace alone")
    asked = parser.parse_args()
    if asked.seed is not None:
        found, result, digest = run(asked.seed)
        if asked.digest:
            print(digest)
            return 0
        print("\n".join(map(str, result.transcript)) if result else story(asked.seed))
        print("\n".join(found) or "no breach")
        return 1 if found else 0
    failed = 0
    for seed in range(*asked.seeds):
        found, _, _ = run(seed)
        if found:
            failed += 1
            print(f"seed {seed}: python -m tests.invariants.swarm --seed {seed}\n  " + "\n  ".join(found[:4]), flush=True)
    print(f"{asked.seeds[1] - asked.seeds[0]} seeds, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
