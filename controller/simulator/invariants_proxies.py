"""What users get by way of each proxy: S4 and S5 on the data plane."""

from controller.ports import Obj
from controller.simulator.invariants_book import Book
from controller.simulator.invariants_model import Place, ReleaseFacts, service_of
from controller.simulator.mesh.mesh import ProxyState
from controller.simulator.simulation import Simulation

RACE_SECONDS = 1.0
"""What somebody changed so shortly before our write, our look could not know of."""

DEBOUNCE_SECONDS = 12.0
"""Istio holds changes back for up to 10 s; then they travel."""


class DataPlane:
    """Follows what each proxy does with its users' requests."""

    def __init__(self, sim: Simulation, book: Book) -> None:
        self._sim, self._book = sim, book
        silent = [fault.span for fault in sim.scenario.faults if fault.kind == "control-plane-down"]
        late = max((users.delay for users in sim.scenario.users), default=0.0) + DEBOUNCE_SECONDS
        self._slowest = late + sum(end - begin for begin, end in silent)
        self._untold = [(begin, end + late) for begin, end in silent]

    def updated(self, state: ProxyState, now: float) -> None:
        """S4: no proxy sends to a cluster that it does not know or that it sees no ready endpoint of, where our weights lead there."""
        for source in self._sim.sources:
            if source.proxy != state.proxy.name:
                continue
            for outcome in state.answer(source.request):
                cluster = outcome.cluster
                if cluster is None or outcome.fraction <= 0:
                    continue
                facts = self._ours_of(cluster.host) if outcome.flag in ("NC", "UH") else None
                if facts is None or (outcome.flag == "UH" and self._lost_pods(facts, cluster.host, cluster.subset)):
                    continue  # answered, or nobody of ours routed it so
                if any(begin <= facts.shifted_at <= end for begin, end in self._untold):
                    continue  # raised while no proxy was told anything, which nobody can see before there are requests
                what = "does not know" if outcome.flag == "NC" else "sees no ready endpoint of"
                share = 100 * outcome.fraction
                self._book.now = now
                self._book.breach("S4", f"proxy {state.proxy.name} sends {share:.0f} % to {cluster.host} {cluster.subset}, which it {what}")

    def _lost_pods(self, facts: ReleaseFacts, host: str, subset: str) -> bool:
        """Whether pods went away since we last raised green, or so shortly before that a slow proxy may still be about to learn of it.

        That is the workload's doing; whether green had pods when we raised it is looked at then. Blue gets less by a raise, so that its
        pods count as lost whenever they went; what we bring down ourselves is looked at in time.
        """
        blue = facts.side(facts.namespace, {"host": host, "subset": subset}) == "blue"
        since = 1.0 if blue else facts.shifted_at - self._slowest
        return any(self._book.lost.get(place, 0.0) >= since for slot in (0, 1) for place in facts.workloads(slot))

    def _ours_of(self, host: str) -> ReleaseFacts | None:
        """The release whose last write of weights this host's requests follow."""
        place = service_of({"host": host}, "")
        for facts in self._book.releases.values():
            active = facts.plan is not None and facts.status.get("stage", -1) >= 0 and facts.shifted_at
            if active and any(place in facts.services(slot) for slot in (0, 1)) and not meddled_since_shift(self._book, facts):
                return facts
        return None

    def brought_down(self, old: Obj | None, new: Obj | None) -> None:
        """S5, S6: no proxy sends to pods of a Deployment that we bring down."""
        if old is None:
            return
        size, left = old["spec"].get("replicas", 1), 0 if new is None else new["spec"].get("replicas", 1)
        if left >= size:
            return
        place = (old["metadata"]["namespace"], old["metadata"]["name"])
        for source in self._sim.sources:
            for outcome in self._sim.mesh.proxies[source.proxy].answer(source.request):
                pod = outcome.pod
                if pod is None or (pod.namespace, pod.workload) != place or outcome.fraction <= 0 or left > 0:
                    continue
                living = self._sim.mesh.world.pods.get(pod.namespace, pod.name)
                if living is not None and living.uid == pod.uid:  # else it was gone before, and the proxy has yet to learn of it
                    share = 100 * outcome.fraction
                    self._book.now = self._sim.clock.time
                    self._book.breach(
                        "S5",
                        f"Deployment {place[0]}/{place[1]} was brought down to {left}, and proxy {source.proxy} sends {share:.0f} % to it",
                    )


def meddled_since_shift(book: Book, facts: ReleaseFacts) -> bool:
    """Whether somebody else changed its routes, clusters, Services or workloads since we last raised green.

    What others do then falls under L4 or into a rollback; a raise after it is ours again.
    """
    if facts.phase == "Halted":
        return True
    places: set[Place] = {place for slot in (0, 1) for place in (*facts.services(slot), *facts.workloads(slot))}
    namespaces = {namespace for namespace, _ in places}
    for (kind, namespace, name), at in book.meddled.items():
        if at < facts.shifted_at - RACE_SECONDS:
            continue
        if kind == "VirtualService" and (namespace, name) in facts.targets():
            return True
        if kind == "DestinationRule" and namespace in namespaces:
            return True
        if kind in ("Deployment", "Service") and (namespace, name) in places:
            return True
    return False
