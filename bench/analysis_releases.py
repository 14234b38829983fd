"""Cells as whole releases: the simulator's users, proxies and Prometheus, and the production controller that asks and decides.

    users -> mesh -> counters -> scrapes -> queries -> analysis/ -> decide -> weights        in the simulator
                                    |
                                    +-> differences by numpy -> twin -> reaches the bound    here

The plan is that of the table (5, 25, 50 and 100 %; 20, 20, 20 and 15 minutes, a scrape and a look every 10 s) with error rate
and latency, the product's defaults, and the true error rate as history. The twin gets the very counters that the simulated
Prometheus had scraped, by a differencing of its own: at every look the release's ln E must be the twin's, and the release must
go back at the tick at which the twin reaches the bound.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from analysis import bursts
from analysis.combine import DEFAULT_ALPHA
from analysis.latency import LEAST_TAIL, MOST_TAIL
from analysis.rate import LATENCY_GRID, Dispersion, Form, RateTest
from bench.analysis_followed import Line, release_ln_e
from bench.analysis_worlds import LOOK, MEDIAN_MS, SIGMA, World
from controller.api.release import ReleaseStatus
from controller.core.reasons import EVIDENCE_AGAINST
from controller.reconcile import Key, Outcome
from controller.simulator import people
from controller.simulator.definitions import all_definitions, load_objects
from controller.simulator.promql.storage import Store, milliseconds
from controller.simulator.run import over
from controller.simulator.scenario import START, Scenario
from controller.simulator.simulation import Simulation

FOLDER = Path(__file__).parents[1] / "tests/scenarios/sequential"
KEY = ("shop", "shop-v2")
BLUE, GREEN = "shop", "shop-green"
TOTAL, BUCKETS = "istio_requests_total", "istio_request_duration_milliseconds_bucket"
P99_SIGMAS = 2.3263478740408408
FULL = 100

Two = tuple[np.ndarray, np.ndarray]
"""Requests and bad ones of one version, as its counters stood at each cut."""


@dataclass(frozen=True, slots=True)
class Said:
    """After one look or tick: the end of the last counted tick (Unix seconds), and the release's ln E."""

    until: float
    ln_e: float


@dataclass(frozen=True, slots=True)
class Told:
    """A whole release: how it ended, what the controller wrote at each look, and what its Prometheus had scraped."""

    status: ReleaseStatus
    looks: Sequence[Said]
    store: Store


# The release.


def story(world: World) -> Scenario:
    """The cell as a scenario: its users, and how both versions behave."""
    begins, ends, factor = world.incident

    def rates(p: float) -> Any:
        return p if factor == 1 else [{"value": p}, {"after": f"{begins:g}m", "value": factor * p}, {"after": f"{ends:g}m", "value": p}]

    def latency(slower: float) -> dict[str, float]:
        return {"p50": MEDIAN_MS * slower, "p99": MEDIAN_MS * slower * math.exp(SIGMA * P99_SIGMAS)}

    later = [{"value": world.p_b}, {"after": f"{world.onset:g}s", "value": world.p_g}] if world.onset else rates(world.p_g)
    green = {"image": "*:2.0", "errors": later, "latency": latency(world.slower), "sinceFirstRequest": bool(world.onset)}
    return Scenario.model_validate(
        {
            "name": "cell",
            "release": {"revision": "v2", "images": {"shop": "registry.example/shop:2.0"}},
            "users": [{"host": "shop.shop.svc.cluster.local", "rps": world.per_second}],
            "versions": [green, {"errors": rates(world.p_b), "latency": latency(1.0)}],
            "scrape": f"{LOOK}s",
            "random": True,
            "expect": {"phase": "Succeeded"},
        }
    )


@cache
def _objects() -> list[dict[str, Any]]:
    return [*load_objects(FOLDER / "world.yaml"), *load_objects(FOLDER / "plan.yaml")]


def objects(world: World) -> list[dict[str, Any]]:
    """The application, and the table's plan with the cell's error rate as history and nobody else who may roll back."""
    more = {"analysis": {"errorRate": 100 * world.p_b}, "triggers": []}
    return [{**one, "spec": {**one["spec"], **more}} if one["kind"] == "ReleasePlan" else one for one in _objects()]


def played(world: World, seed: int) -> Told:
    """One release of the cell to its end."""
    scenario, looks = story(world), []
    sim = Simulation(scenario, objects(world), all_definitions(), seed=seed)

    def look(_key: Key, outcome: Outcome) -> None:
        status = outcome.decision.status if outcome.decision is not None else None
        if status is not None and status.sequential:
            said = next((check.ln_e for check in status.stages[status.stage].checks if check.ln_e is not None), None)
            if said is not None:
                looks.append(Said(min(json.loads(one.state)["until"] for one in status.sequential), said))

    sim.on_look.append(look)
    people.start(sim, KEY[0], "shop", scenario.release, name=KEY[1])
    sim.run_until(START + scenario.limit, lambda: over(sim, KEY))
    release = sim.release(KEY)
    assert release is not None
    return Told(ReleaseStatus.model_validate(release["status"]), looks, sim.store)


# The twin on its counters.


class Scraped:
    """The source's counters as they stood at some times; a series that was not there yet stands at 0."""

    def __init__(self, store: Store, times: Sequence[float]) -> None:
        self._store, self._times = store, [milliseconds(time) for time in times]

    def _standing(self, metric: str, workload: str, **wanted: str) -> np.ndarray:
        found = np.zeros(len(self._times))
        for series in self._store.pool(metric):
            labels = dict(series.labels)
            if labels["reporter"] == "source" and labels["destination_workload"] == workload and wanted.items() <= labels.items():
                series.brought()
                found += np.array([0.0, *series.values])[np.searchsorted(np.array(series.times), self._times, "right")]
        return found

    def errors(self, workload: str) -> Two:
        """Requests, and those that failed."""
        return self._standing(TOTAL, workload), self._standing(TOTAL, workload, response_code="500")

    def slower(self, workload: str, edge: str) -> Two:
        """Requests, and those slower than an edge."""
        every = self._standing(BUCKETS, workload, le="+Inf")
        return every, every - self._standing(BUCKETS, workload, le=edge)

    def edges(self) -> list[str]:
        """Those beyond which blue had between 0.1 and 50 % of its requests before the release."""
        found = sorted({dict(series.labels)["le"] for series in self._store.pool(BUCKETS)} - {"+Inf"}, key=float)
        tails = {edge: self.slower(BLUE, edge) for edge in found}
        return [edge for edge, (every, slow) in tails.items() if LEAST_TAIL <= slow[0] / every[0] <= MOST_TAIL]


def _bursts(store: Store, since: float) -> Dispersion:
    """phi of errors where nobody measured: 2, or what blue's scrapes before the first weight say (method: `analysis.bursts`)."""
    # The last scrape before the first weight lies in a tick that ends with it, and what came after is not looked at.
    cuts = [since - bursts.SECONDS + LOOK * index for index in range(int(bursts.SECONDS) // LOOK)]
    every, bad = Scraped(store, cuts).errors(BLUE)
    begun = int(np.argmax(every > 0))
    n, x = np.diff(every[begun:]), np.diff(bad[begun:])
    p = x.sum() / n.sum()
    phi = (np.diff(x - n * p) ** 2).sum() / (2 * p * (1 - p) * n[1:].sum()) if x.sum() >= bursts.LEAST_BAD else 0.0
    return Dispersion(*[max(Dispersion().bursts, float(phi))] * 2)


def followed(world: World, told: Told) -> Iterator[Said]:
    """What the twin makes of the counters, tick by tick."""
    marks = [(stage.shifted_at, stage.weight >= FULL) for stage in told.status.stages if stage.shifted_at]
    since, last = marks[0][0], told.looks[-1].until
    cuts = [since + LOOK * index for index in range(round((last - since) / LOOK) + 1)]
    scraped = Scraped(told.store, cuts)
    tests = {"": RateTest(p_hist=world.p_b, dispersion=_bursts(told.store, since))}
    counted = {"": (scraped.errors(GREEN), scraped.errors(BLUE))}
    for edge in scraped.edges():
        counted[edge] = scraped.slower(GREEN, edge), scraped.slower(BLUE, edge)
        every, slow = counted[edge][1]
        tests[edge] = RateTest(delta=0.001, grid=LATENCY_GRID, form=Form.BERNOULLI, p_hist=float(slow[0] / every[0]))
    lines = {edge: Line(test, (float(counted[edge][1][0][0]), float(counted[edge][1][1][0]))) for edge, test in tests.items()}
    checks = {"errors": [lines[""]], "latency": [line for edge, line in lines.items() if edge]}
    stage, before = -1, 0
    for index, cut in enumerate(cuts[1:], start=1):
        if not counted[""][0][0][index]:
            continue  # green has no series yet: the tick grows
        here = max(number for number, (shifted, _) in enumerate(marks) if shifted < cut)
        for edge, line in lines.items():
            if here != stage:
                line.enter(alone=marks[here][1])
            line.step([float(part[index] - part[before]) for two in counted[edge] for part in two], cut - cuts[before], here)
        stage, before = here, index
        yield Said(cut, release_ln_e(checks))


def released(task: tuple[World, int]) -> dict[str, Any]:
    """One release of a cell beside the twin.

    Returns:
        `seconds`: from the first weight to the decision to go back, None where it succeeded; `late`: of them, since the end of
        the tick that decided. `same`: the twin reaches the bound at that very tick, or never. `gap`: the largest difference of
        ln E over `looks` looks.
    """
    world, seed = task
    told = played(world, seed)
    twin = {round(one.until): one for one in followed(world, told)}
    reached = next((one.until for one in twin.values() if one.ln_e >= -math.log(DEFAULT_ALPHA)), None)
    rollback, until = told.status.rollback, told.looks[-1].until
    if rollback is None or reached is None:
        same = rollback is None and reached is None
    else:
        same = rollback.reason == EVIDENCE_AGAINST and round(reached) == round(until)
    compared = [abs(one.ln_e - twin[round(one.until)].ln_e) for one in told.looks if round(one.until) in twin]
    return {
        "cell": world.name,
        "kind": world.kind,
        "seed": seed,
        "phase": told.status.phase.value,
        "seconds": None if rollback is None else round(rollback.decided_at - told.status.stages[0].shifted_at, 2),
        "late": None if rollback is None else round(rollback.decided_at - until, 2),
        "same": same,
        "gap": max(compared),
        "looks": len(compared),
    }
