"""Which questions one look asks: traffic, gates at a window's end, triggers that are due, probes.

Pure: it turns the plan and the status into `Ask`s. Keys name the answer's place again when it is judged
(`core.judging`), so that nothing depends on the order of answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from analysis import apart, counters
from analysis.model import Arm, Window
from controller.api.plan import Member, PlanSpec, Probe, Stage, TrafficMetrics
from controller.api.plan_checks import FAILED_SHARES, REQUESTS_COUNTED, BuiltIn, Check, HttpProbe, Trigger
from controller.core.arms import arms_asked, arms_compared, blue_serves, colour_of
from controller.core.buckets import bucket_labels
from controller.core.commands import Subject
from controller.core.phases import FULL
from controller.core.polls import reach, watched_since
from controller.core.queries import (
    FAILED_BY,
    Mesh,
    Naming,
    Pair,
    answered_of,
    build_checks_queries,
    duration,
    fill,
    latency_selector,
    member_of,
    newest_buckets,
    newest_counters,
    over_window,
    pair_of,
    requests_of,
)
from controller.core.tested import by_limit, scrapes_of
from controller.core.world import Ask, Measured, Observed

TRAFFIC = "traffic"
"""Key of the traffic query's answer."""

MAX_TRAFFIC_RANGE_SECONDS = 900.0
"""Older samples are not asked for: after a longer outage the window lengthens instead (raw samples of an
hour from a large mesh would be cut off as too large, for ever)."""

SPARE_SCRAPES = 3
"""The traffic query reaches so many scrapes further back than it is asked to: a difference needs the sample before the first one."""

GAUGE_RANGE_SECONDS = 60.0
GAUGE_RANGE_SCRAPES = 4

QUERY_TIMEOUT_SECONDS = 10.0
"""Deadline of one query."""

TARGETS = ",".join(sorted(counters.TARGET_LABELS))
"""By what scraped targets are told apart."""

PAST_LABELS = ",".join(sorted(counters.TARGET_LABELS | FAILED_BY))
"""By what blue's past is told apart: the pods, and failed requests from others."""


def gauge_range(scrape: float) -> float:
    """What [$window] is in the query of a gauge that is paired at every scrape: a minute, or four scrapes where that is more."""
    return max(GAUGE_RANGE_SECONDS, GAUGE_RANGE_SCRAPES * scrape)


def gate_key(name: str, arm: Arm) -> str:
    """Key of a gate's answer."""
    return f"gate/{name}/{arm}"


def gate_names(check: Check) -> tuple[str, ...]:
    """Under which names a gate is asked: its own, or one for each metric of Kayenta's judge."""
    return (check.name,) if check.kayenta is None else tuple(metric_name(check.name, metric.name) for metric in check.kayenta.metrics)


def metric_name(check: str, metric: str) -> str:
    """The name under which one metric of Kayenta's judge is asked."""
    return f"{check}/{metric}"


def standing_key(name: str, arm: Arm) -> str:
    """Key of how the counters behind a limit stand at the window's end, where the traffic query does not bring them."""
    return f"standing/{name}/{arm}"


def watched_key(name: str, arm: Arm) -> str:
    """Key of how the counters behind a trigger's number stand."""
    return f"watched/{name}/{arm}"


def ticks_key(name: str) -> str:
    """Key of the raw samples of both colours that a sequential check counts, where they are not those of the traffic query."""
    return f"ticks/{name}"


COUNTER_PARTS = ("total", "part")
"""The two counters of a check of the plan's own."""


PAST = "past/"
"""What the keys of questions about the time before the first weight begin with; they are asked once, unless nobody answers."""


def past_key(name: str, part: str = "") -> str:
    """Key of blue's counters by pod before green had requests; of own counters of one of the two."""
    return f"{PAST}{name}/{part}"


def gauge_key(name: str, arm: Arm) -> str:
    """Key of a gauge's numbers of one colour, at every scrape."""
    return f"pairs/{name}/{arm.value}"


def counter_key(name: str, arm: Arm, part: str) -> str:
    """Key of one of those counters' raw samples, of one colour."""
    return f"{ticks_key(name)}/{arm.value}/{part}"


def trigger_key(name: str, arm: Arm) -> str:
    """Key of a trigger's answer, queries and probes alike."""
    return f"trigger/{name}/{arm}"


def probe_key(member: str, colour: str) -> str:
    """Key of a member's health probe."""
    return f"probe/{member}/{colour}"


@dataclass(frozen=True, slots=True)
class Counting:
    """What one sequential check asks in a look.

    Attributes:
        since: samples after this time, Unix seconds.
        shared: the traffic query brings them.
        edges: of a latency check, the bucket edges that it tests; all buckets where they are not chosen yet.
        past: of a check that begins in this look and of whose dispersion nothing is known, until when blue's past is asked.
    """

    check: Check
    since: float
    shared: bool = False
    edges: tuple[float, ...] = ()
    past: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What this look wants to know.

    Attributes:
        traffic_since: ask the traffic query for samples after this time; None: do not ask it.
        ticks: sequential checks that ask for samples of their own.
        pasts: sequential checks that are about to begin, of whose dispersion nothing is known, and until when blue's past is asked.
        pairs: sequential gauges whose numbers are paired, and after which time.
        gate: ask the stage's checks for this window, whose ends are sample timestamps; None: do not.
        triggers: to be polled in this look.
        answered: whose answers send everybody back: what stands behind them is asked.
        probes: colours whose members' health probes are asked.
    """

    traffic_since: float | None = None
    ticks: tuple[Counting, ...] = ()
    pasts: tuple[tuple[Check, float], ...] = ()
    pairs: tuple[tuple[Check, float], ...] = ()
    gate: Window | None = None
    triggers: tuple[Trigger, ...] = ()
    answered: tuple[Trigger, ...] = ()
    probes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the installation knows of its metrics.

    Attributes:
        domain: suffix of in-cluster host names.
        cluster: our name in `destination_cluster`; "" if unknown.
        routed: members whose Services stand in the managed routes; all if empty.
    """

    domain: str = "cluster.local"
    cluster: str = ""
    routed: tuple[str, ...] = ()


def asks_for(subject: Subject, observed: Observed, now: float, wanted: Wanted, metrics: Metrics | None = None) -> tuple[Ask, ...]:
    """All questions of one look.

    A question that cannot be put (a parameter without a value) is left out: its check finds no answer and
    is inconclusive.
    """
    if subject.plan is None:
        return ()
    known = metrics or Metrics()
    asker = _Asker(subject, subject.plan, observed, now, known, mesh_of(subject, known.cluster))
    asks: list[Ask] = []
    if wanted.traffic_since is not None:
        asks.append(asker.traffic(wanted.traffic_since))
    asks += [ask for one in wanted.ticks for ask in asker.ticks(one)]
    asks += [ask for check, until in wanted.pasts for ask in asker.past(check, until)]
    asks += [ask for check, since in wanted.pairs for ask in asker.pairs(check, since)]
    if wanted.gate is not None:
        for check in gates_of(subject.plan, asker.stage):
            asks += (asker.scored if check.kayenta is not None else asker.gate)(check, wanted.gate)
    asks += [ask for trigger in wanted.triggers for ask in asker.trigger(trigger)]
    asks += [ask for trigger in wanted.answered for ask in asker.behind_trigger(trigger)]
    asks += [ask for colour in wanted.probes for ask in asker.probes(colour)]
    return tuple(asks)


def counted_by(check: Check | Trigger, mesh: Mesh, pair: Pair, edges: tuple[float, ...] = ()) -> str:
    """The selector of the raw samples of both colours that a sequential check or a trigger counts; of buckets those of the edges."""
    places = (pair.blue, pair.green)
    if check.builtin in FAILED_SHARES:
        return f"istio_requests_total{{{requests_of(mesh, places)}}}"
    return latency_selector(answered_of(mesh, places) + bucket_labels(edges))


def in_traffic(plan: PlanSpec, asked: Check | Trigger, routed: tuple[str, ...] = ()) -> bool:
    """Whether the traffic query brings the requests that this is about: those of a member that is `routed` (all if empty)."""
    if asked.provider or plan.traffic.metrics is TrafficMetrics.NONE:
        return False
    return not routed or member_of(plan, asked.member).name in routed


def counts_behind(plan: PlanSpec, asked: Check | Trigger, routed: tuple[str, ...] = ()) -> bool:
    """Whether the traffic query brings the counters that the number of a check or a trigger rests on."""
    return asked.builtin in REQUESTS_COUNTED and in_traffic(plan, asked, routed)


def was_answered(measured: Measured, trigger: Trigger) -> bool:
    """Whether a trigger's own question about green was answered in this look already."""
    return trigger_key(trigger.name, Arm.CANDIDATE) in measured.answers


def is_counted(plan: PlanSpec, trigger: Trigger, routed: tuple[str, ...] = ()) -> bool:
    """Whether a trigger is answered by the samples of the traffic query instead of a query of its own.

    So is a built-in share of failed requests, unless its range reaches further back than the traffic query may.
    """
    if trigger.builtin not in FAILED_SHARES or not in_traffic(plan, trigger, routed):
        return False
    scrape = plan.traffic.scrape_interval
    return trigger.range + SPARE_SCRAPES * scrape <= longest_range(scrape)


def longest_range(scrape: float) -> float:
    """How far raw samples are asked for at most, seconds."""
    return max(MAX_TRAFFIC_RANGE_SECONDS, 6 * scrape)


def checks_of(plan: PlanSpec, stage: Stage | None) -> tuple[Check, ...]:
    """The checks that judge this stage."""
    return tuple(check for check in plan.checks if stage is None or not check.stages or stage.weight in check.stages)


def gates_of(plan: PlanSpec, stage: Stage | None) -> tuple[Check, ...]:
    """Those of them that are asked at the end of its window; the others are judged by what was counted on the way."""
    return tuple(check for check in checks_of(plan, stage) if by_limit(plan, check, stage.weight if stage is not None else FULL))


def traffic_places(plan: PlanSpec, naming: Naming, routed: tuple[str, ...] = ()) -> tuple[Pair, ...]:
    """The places between which the routes split requests."""
    return tuple(pair_of(plan, member, naming) for member in plan.all_members if not routed or member.name in routed)


def naming_of(subject: Subject, observed: Observed, member: str = "", domain: str = "cluster.local") -> Naming:
    """What the names of a release's places depend on; blue's revision as its workload carries it."""
    status = subject.status
    views = [view for view in observed.members if not member or view.name == member]
    revision = next((view.blue.revision for view in views if view.blue.revision), "") or status.blue_subset
    return Naming(
        namespace=subject.namespace,
        blue_slot=status.blue_slot,
        mode=status.mode or "host",
        revision=subject.spec.revision,
        blue_revision=revision,
        domain=domain,
    )


def mesh_of(subject: Subject, cluster: str = "") -> Mesh:
    """How this release's requests are counted."""
    reporter = subject.plan.traffic.reporter if subject.plan is not None else "source"
    return Mesh(mode=subject.status.mode or "host", reporter=reporter, cluster=cluster)


@dataclass(frozen=True, slots=True)
class _Asker:
    subject: Subject
    plan: PlanSpec
    observed: Observed
    now: float
    metrics: Metrics
    mesh: Mesh
    known_pairs: dict[str | None, Pair] = field(default_factory=dict)

    @property
    def stage(self) -> Stage | None:
        index = self.subject.status.stage
        if self.subject.spec.kind == "reverse":
            return self.plan.stages[-1]  # a reverse release has one stage, of 100 %
        return self.plan.stages[index] if 0 <= index < len(self.plan.stages) else None

    def pair(self, name: str | None) -> Pair:
        known = self.known_pairs.get(name)
        if known is None:
            member = member_of(self.plan, name)
            naming = naming_of(self.subject, self.observed, member.name, self.metrics.domain)
            known = self.known_pairs[name] = pair_of(self.plan, member, naming)
        return known

    def traffic(self, since: float) -> Ask:
        naming = naming_of(self.subject, self.observed, domain=self.metrics.domain)
        pairs = traffic_places(self.plan, naming, self.metrics.routed)
        places = tuple(place for pair in pairs for place in (pair.blue, pair.green))
        scrape = self.plan.traffic.scrape_interval
        seconds = min(max(0.0, self.now - since) + SPARE_SCRAPES * scrape, longest_range(scrape))
        selector = f"istio_requests_total{{{requests_of(self.mesh, places)}}}"
        return Ask(key=TRAFFIC, query=f"{selector}[{duration(seconds)}]", time=self.now, timeout=QUERY_TIMEOUT_SECONDS)

    def ticks(self, counting: Counting) -> Iterator[Ask]:
        """Both colours' raw samples in one query, so that their increments come from the same scrapes; own counters one by one."""
        check = counting.check
        pair = self.pair(check.member)
        scrape = self.plan.traffic.scrape_interval
        seconds = min(max(scrape, self.now - counting.since), longest_range(scrape))
        if check.counters is not None:
            yield from self.counters(check, pair, seconds)
            return
        selector = counted_by(check, self.mesh, pair, counting.edges)
        query = f"{selector}[{duration(seconds)}]"
        yield Ask(key=ticks_key(check.name), query=query, time=self.now, provider=check.provider, timeout=QUERY_TIMEOUT_SECONDS)

    def counters(self, check: Check, pair: Pair, seconds: float) -> Iterator[Ask]:
        for arm in Arm:
            for part, selector in zip(COUNTER_PARTS, check.counters.selectors if check.counters is not None else (), strict=True):
                try:
                    query = f"{fill(selector, pair.of(colour_of(arm)), seconds)}[{duration(seconds)}]"
                except ValueError:
                    continue
                key = counter_key(check.name, arm, part)
                yield Ask(key=key, query=query, time=self.now, provider=check.provider, timeout=QUERY_TIMEOUT_SECONDS)

    def past(self, check: Check, until: float) -> Iterator[Ask]:
        """Blue's counters by pod, which its own proxies tell, step by step; a subquery brings a hundredth of the raw samples."""
        blue, step = self.pair(check.member).blue, apart.step_of(scrapes_of(self.plan))
        own = replace(self.mesh, reporter="destination")
        told_by = PAST_LABELS
        if check.counters is not None:
            parts = dict(zip(COUNTER_PARTS, check.counters.selectors, strict=True))
        elif check.builtin is BuiltIn.LATENCY:
            parts, told_by = {"": latency_selector(answered_of(own, (blue,)))}, f"{TARGETS},le"
        else:
            parts = {"": f"istio_requests_total{{{requests_of(own, (blue,))}}}"}
        for part, selector in parts.items():
            try:
                counted = f"sum by ({told_by}) ({fill(selector, blue, step) if part else selector})"
            except ValueError:
                continue
            query = over_window(counted, apart.SECONDS, step)
            yield Ask(key=past_key(check.name, part), query=query, time=until, provider=check.provider, timeout=QUERY_TIMEOUT_SECONDS)

    def pairs(self, check: Check, since: float) -> Iterator[Ask]:
        """A gauge at every scrape, as a subquery: its steps do not depend on when somebody asks. A moment's range is a minute."""
        scrape = self.plan.traffic.scrape_interval
        seconds = min(max(0.0, self.now - since) + 2 * scrape, longest_range(scrape))
        for arm in Arm:
            try:
                query = self.query(check, colour_of(arm), gauge_range(scrape))
            except ValueError:
                continue
            ranged = over_window(query, seconds, scrape)
            yield Ask(key=gauge_key(check.name, arm), query=ranged, time=self.now, provider=check.provider, timeout=QUERY_TIMEOUT_SECONDS)

    def query(self, check: Check | Trigger, colour: str, seconds: float) -> str:
        pair = self.pair(check.member)
        if check.builtin is not None:
            return build_checks_queries(check.builtin, pair, colour, seconds, mesh=self.mesh, quantile=check.quantile)
        return fill(check.query or "", pair.of(colour), seconds)

    def gate(self, check: Check, window: Window) -> Iterator[Ask]:
        for arm, at in arms_asked(check, self.subject.status, window.end):
            try:
                query = self.query(check, colour_of(arm), window.seconds)
            except ValueError:
                continue
            yield Ask(key=gate_key(check.name, arm), query=query, time=at, provider=check.provider, timeout=QUERY_TIMEOUT_SECONDS)
            behind = self.behind(check, colour_of(arm), query)
            if behind:
                key = standing_key(check.name, arm)
                yield Ask(key=key, query=behind, time=at, provider=check.provider, timeout=QUERY_TIMEOUT_SECONDS)

    def behind(self, asked: Check | Trigger, colour: str, query: str) -> str:
        """How the counters stand that the query computes with; "" where there are none, or the traffic query brings them."""
        if asked.builtin is BuiltIn.LATENCY:
            return newest_buckets(answered_of(self.mesh, (self.pair(asked.member).of(colour),)), TARGETS)
        return "" if counts_behind(self.plan, asked, self.metrics.routed) else newest_counters(query, TARGETS)

    def scored(self, check: Check, window: Window) -> Iterator[Ask]:
        """The values of each metric at every step of the window, of both colours."""
        assert check.kayenta is not None  # noqa: S101 - only called with one
        pair, step = self.pair(check.member), check.kayenta.step
        for metric in check.kayenta.metrics:
            for arm, at in arms_compared(self.subject.status, window.end):
                try:
                    query = over_window(fill(metric.query, pair.of(colour_of(arm)), step), window.seconds, step)
                except ValueError:
                    continue
                key = gate_key(metric_name(check.name, metric.name), arm)
                yield Ask(key=key, query=query, time=at, provider=check.provider, timeout=QUERY_TIMEOUT_SECONDS)

    def trigger(self, trigger: Trigger) -> Iterator[Ask]:
        if trigger.probe is not None:
            pair = self.pair(trigger.member)
            for arm in (Arm.CANDIDATE, Arm.BASELINE):
                url = probe_url(trigger.probe, pair, colour_of(arm))
                yield _of_probe(trigger_key(trigger.name, arm), trigger.probe, url, self.now)
            return
        counted = is_counted(self.plan, trigger, self.metrics.routed)
        for arm, at in arms_asked(trigger, self.subject.status, self.now):
            if counted and (arm is Arm.CANDIDATE or blue_serves(self.subject.status)):
                continue  # only what blue did just before a switch may lie further back than the traffic query
            since = watched_since(self.plan, self.subject.status, self.now) if at == self.now else 0.0
            seconds = reach(trigger, since, self.now)
            if counted:  # a rate needs two scrapes, where counting needs one
                seconds = max(seconds, SPARE_SCRAPES * self.plan.traffic.scrape_interval)
            try:
                query = self.query(trigger, colour_of(arm), seconds)
            except ValueError:
                continue
            key = trigger_key(trigger.name, arm)
            yield Ask(key=key, query=query, time=at, provider=trigger.provider, timeout=QUERY_TIMEOUT_SECONDS)

    def behind_trigger(self, trigger: Trigger) -> Iterator[Ask]:
        """How the counters stand behind a number that was answered; none that the traffic query brings."""
        if trigger.probe is not None or is_counted(self.plan, trigger, self.metrics.routed):
            return
        for arm, at in arms_asked(trigger, self.subject.status, self.now):
            try:
                query = self.behind(trigger, colour_of(arm), self.query(trigger, colour_of(arm), trigger.range))
            except ValueError:
                continue
            if query:
                key = watched_key(trigger.name, arm)
                yield Ask(key=key, query=query, time=at, provider=trigger.provider, timeout=QUERY_TIMEOUT_SECONDS)

    def probes(self, colour: str) -> Iterator[Ask]:
        for member in self.plan.all_members:
            if member.probe is not None:
                yield self.probe(member, member.probe, colour)

    def probe(self, member: Member, probe: Probe, colour: str) -> Ask:
        url = probe_url(probe, self.pair(member.name), colour)
        return _of_probe(probe_key(member.name, colour), probe, url, self.now)


def _of_probe(key: str, probe: HttpProbe | Probe, url: str, now: float) -> Ask:
    return Ask(key=key, time=now, url=url, timeout=probe.timeout, statuses=tuple(probe.statuses))


def colours_of(asked: Sequence[str]) -> str:
    """Whose samples the key of a question asks for, from what follows the check's name in it: `both`, `green`, or `green total`."""
    if not asked:
        return "both"
    colour = colour_of(Arm(asked[0]))
    return " ".join([colour, *asked[1:]])


def probe_url(probe: HttpProbe | Probe, pair: Pair, colour: str) -> str:
    """Address of a colour's health endpoint, through its Service.

    In subset mode one Service stands for both colours, so that a failing probe is always one of both.
    """
    return f"http://{pair.of(colour).host}:{probe.port}{probe.path}"
