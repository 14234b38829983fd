"""The sequential checks of a past window: what each of them counts, and what is known of the baseline before it.

Built-in checks about the member that the selectors speak of count what these select; those about other members, and
counters of the plan's own, what a release would select (`judge_places`). Without a plan there are the built-in checks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analysis import retrospect
from analysis.counters import Scrapes
from analysis.model import Arm, Counted, Outcome, Series, Window
from analysis.rate import Dispersion
from analysis.retrospect import Asked as Question
from analysis.retrospect import Past
from analysis.sequential import Kind, Setting
from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn, Check, Limit, Method, Trigger
from controller.api.release import CheckStatus
from controller.cli.exits import CommandError, ExitCode
from controller.cli.judge_places import Places
from controller.cli.judge_queries import COUNTED
from controller.cli.judge_selectors import BUCKETS, REQUESTS, Asked, Selector, bad_of, selector
from controller.cli.judge_sources import Samples
from controller.core import reasons
from controller.core.arms import colour_of
from controller.core.asking import COUNTER_PARTS
from controller.core.queries import answered_of, fill, requests_of
from controller.core.tested import setting_of, weight_of
from controller.report.past import Beside

OBJECTIVE = "slo"
"""What the fixed limit of `--limit` is called."""

_REPORTER = "reporter"
"""Istio's label that says whether a caller's proxy or a pod's own has counted; both count every request."""

_HOUR = 3600.0
_ANY_RANGE = 60.0


def plan_of(spec: PlanSpec | None, asked: Mapping[Arm, Asked], alpha: float | None, limit: float | None) -> PlanSpec:
    """The plan that is judged by: the given one, or the built-in checks of what is asked for.

    Args:
        spec: the given plan, if any.
        asked: by the selectors.
        alpha: comes before the plan's own.
        limit: percent; an objective beside the plan's checks.
    """
    plan = spec if spec is not None else _usual(asked)
    checks = list(plan.checks)
    if limit is not None:
        objective = Check(name=OBJECTIVE, builtin=BuiltIn.ERROR_RATE, method=Method.SEQUENTIAL, limit=Limit(max=limit))
        checks = [*(check for check in checks if check.name != OBJECTIVE), objective]
    analysis = plan.analysis if alpha is None else plan.analysis.model_copy(update={"alpha": alpha})
    return plan.model_copy(update={"checks": checks, "analysis": analysis})


def left_of(spec: PlanSpec | None, without: Sequence[str]) -> PlanSpec | None:
    """The plan without these checks and triggers. Raises `CommandError` for a name that none has."""
    if spec is None:
        if without:
            raise CommandError(
                ExitCode.USAGE, f"--without: found {without[0]}, expected it beside --plan FILE, of which it leaves something out."
            )
        return None
    names = [*(check.name for check in spec.checks), *(trigger.name for trigger in spec.triggers)]
    unknown = next((name for name in without if name not in names), None)
    if unknown is not None:
        raise CommandError(ExitCode.USAGE, f"--without: found {unknown}, expected a check or trigger of the plan: {', '.join(names)}.")
    left = {part: [one for one in getattr(spec, part) if one.name not in without] for part in ("checks", "triggers")}
    return spec.model_copy(update=left)


def without_probes(plan: PlanSpec) -> tuple[PlanSpec, tuple[str, ...]]:
    """The plan without the triggers that ask health endpoints, and their names: no past window can say what those answered."""
    probes = tuple(trigger.name for trigger in plan.triggers if trigger.probe is not None)
    return plan.model_copy(update={"triggers": [one for one in plan.triggers if one.probe is None]}), probes


def _usual(asked: Mapping[Arm, Asked]) -> PlanSpec:
    """A plan of nothing but the built-in sequential checks. Its places are nowhere: it has no query that would name them."""
    checks = []
    if any(one.requests is not None for one in asked.values()):
        checks.append({"name": "errors", "builtin": BuiltIn.ERROR_RATE, "method": Method.SEQUENTIAL})
    if any(one.buckets is not None for one in asked.values()):
        checks.append({"name": "latency", "builtin": BuiltIn.LATENCY, "method": Method.SEQUENTIAL})
    traffic = {"virtualService": "none"}
    stages = [{"weight": 50, "minRequests": 0}, {"weight": 100, "minRequests": 0}]
    return PlanSpec.model_validate({"workload": "none", "traffic": traffic, "stages": stages, "checks": checks, "triggers": []})


@dataclass(frozen=True, slots=True)
class Counting:
    """What is read of raw samples.

    Attributes:
        members: selectors of requests and buckets by member and arm, of the members whose requests some check counts.
        counters: selectors of a check's own two counters, by check and arm.
        faults: why a check's counters cannot be selected, by check.
    """

    members: Mapping[str, Mapping[Arm, Asked]]
    counters: Mapping[str, Mapping[Arm, tuple[Selector, ...]]] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    @property
    def queries(self) -> dict[str, dict[str, str]]:
        """What the checks with counters of their own count, by check and colour."""
        return {
            name: {f"{colour_of(arm)} {part}": one.text for arm, two in arms.items() for part, one in zip(COUNTER_PARTS, two, strict=True)}
            for name, arms in self.counters.items()
        }

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """All of them, each text once."""
        asked = [one for arms in self.members.values() for every in arms.values() for one in (every.requests, every.buckets)]
        own = [one for arms in self.counters.values() for every in arms.values() for one in every]
        return tuple({one.text: one for one in (*asked, *own) if one is not None}.values())


def counting_of(plan: PlanSpec, places: Places, asked: Mapping[Arm, Asked]) -> Counting:
    """What the plan's checks and triggers count."""
    every: list[Check | Trigger] = [*plan.checks, *plan.triggers]
    about = {places.member(one.member) for one in every if one.builtin in COUNTED}
    members = {places.spoken: asked} | {name: _of_member(places, name) for name in sorted(about - {places.spoken})}
    counters: dict[str, dict[Arm, tuple[Selector, ...]]] = {}
    faults: dict[str, str] = {}
    for check in plan.checks:
        if check.counters is None:
            continue
        try:
            counters[check.name] = {
                arm: tuple(selector(fill(text, places.of(check.member, arm), _ANY_RANGE), check.name) for text in check.counters.selectors)
                for arm in Arm
            }
        except ValueError as error:
            faults[check.name] = str(error)
    return Counting(members, counters, faults)


def _of_member(places: Places, name: str) -> dict[Arm, Asked]:
    """As the release of the plan counts the requests of a member."""
    found = {}
    for arm in Arm:
        place = (places.pair(name).of(colour_of(arm)),)
        requests, answered = requests_of(places.mesh, place), answered_of(places.mesh, place)
        found[arm] = Asked(selector(f"{REQUESTS}{{{requests}}}", name), selector(f"{BUCKETS}{{{answered}}}", name))
    return found


@dataclass(frozen=True, slots=True)
class Counters:
    """Raw samples of both arms.

    Attributes:
        members: by member.
        own: by check with counters of its own.
        failed: which requests failed, in words.
        odd: what is odd about those that `--errors` finds, sentences; "" where it finds some of each version's.
        reporter: whose counters they are, a sentence, where callers and pods have counted; "" where one side has.
    """

    members: Mapping[str, Mapping[Arm, Counted]]
    own: Mapping[str, Mapping[Arm, Counted]]
    failed: str = ""
    odd: str = ""
    reporter: str = ""

    def of(self, check: Check, places: Places) -> Mapping[Arm, Counted]:
        """What a sequential check counts."""
        return self.own[check.name] if check.counters is not None else self.members[places.member(check.member)]

    @property
    def every(self) -> Iterator[Series]:
        """All series of requests and buckets."""
        for arms in (*self.members.values(), *self.own.values()):
            for one in arms.values():
                yield from (*one.total, *one.buckets)


def counters_of(counting: Counting, samples: Samples, errors: str, reporter: str) -> Counters:
    """The samples of what is counted. Raises `CommandError` where no label tells which requests failed.

    Args:
        counting: what was asked for.
        samples: what was read.
        errors: conditions of failed requests; "" for the labels' own.
        reporter: whose counters hold where the callers and the pods have both counted every request.
    """
    reporters = {dict(one.labels).get(_REPORTER) for every in samples.by.values() for one in every}
    twice = {"source", "destination"} <= reporters

    def found(one: Selector | None) -> tuple[Series, ...]:
        every = samples.by[one.text] if one is not None else ()
        return tuple(one for one in every if dict(one.labels).get(_REPORTER, reporter) == reporter) if twice else every

    every = [series for arms in counting.members.values() for one in arms.values() for series in found(one.requests)]
    bad, words = bad_of(every, errors)
    failed = {one.labels for one in bad}
    members = {
        name: {arm: _counted(found(one.requests), failed, found(one.buckets)) for arm, one in arms.items()}
        for name, arms in counting.members.items()
    }
    own = {name: {arm: Counted(*(found(one) for one in two)) for arm, two in arms.items()} for name, arms in counting.counters.items()}
    return Counters(members, own, words, odd_of(words, members) if errors else "", _whose(counting, samples, reporter) if twice else "")


def _whose(counting: Counting, samples: Samples, reporter: str) -> str:
    """Whose counters are judged of the two that there are, and which version has only the others."""
    held: dict[Arm, set[str]] = {arm: set() for arm in Arm}
    for arms in counting.members.values():
        for arm, asked in arms.items():
            every = samples.by[asked.requests.text] if asked.requests is not None else ()
            held[arm] |= {dict(one.labels).get(_REPORTER, reporter) for one in every}
    lacking = [arm for arm in Arm if held[arm] and reporter not in held[arm]]
    if not lacking:
        return f"Callers and pods have both counted; what reporter={reporter} counted is judged."
    return (
        f"Callers and pods have both counted, and what reporter={reporter} counted is judged, but of {_versions(lacking)} only the other "
        "side's counters were found: what the two sides see differs, so that nothing was compared."
    )


def odd_of(conditions: str, members: Mapping[str, Mapping[Arm, Counted]]) -> str:
    """Whether conditions of `--errors` are met by every request of a version, or by none: more often a slip than the truth."""
    total = {arm: [series for arms in members.values() for series in arms[arm].total] for arm in Arm}
    bad = {arm: [series for arms in members.values() for series in arms[arm].bad] for arm in Arm}
    every = [arm for arm in Arm if total[arm] and len(bad[arm]) == len(total[arm])]
    none = [arm for arm in Arm if total[arm] and not bad[arm]]
    said = []
    if every:
        said.append(
            f"Every request of {_versions(every)} counts as failed by --errors {conditions}: "
            "expected conditions that only failed requests meet."
        )
    if none:
        labels = {key for arm in none for series in total[arm] for key, _ in series.labels}
        said.append(
            f"No request of {_versions(none)} counts as failed by --errors {conditions}: "
            f"is that so, or is a label or value misspelt? There are the labels {', '.join(sorted(labels - {'__name__'}))}."
        )
    return " ".join(said)


def _versions(arms: Sequence[Arm]) -> str:
    return " and of ".join(f"the {arm}" for arm in arms)


def _counted(total: tuple[Series, ...], failed: Iterable[object], buckets: tuple[Series, ...]) -> Counted:
    return Counted(total, tuple(one for one in total if one.labels in failed), buckets)


def questions(
    plan: PlanSpec, places: Places, counters: Counters, window: Window, scrapes: Scrapes, *, history: bool
) -> tuple[tuple[Question, ...], dict[str, Past]]:
    """The plan's sequential checks, and by name what is known of each before the window.

    Args:
        plan: that is judged by.
        places: whose names its checks use.
        counters: what they count; a check whose counters could not be selected is left out.
        window: that is judged.
        scrapes: how samples are made.
        history: the time before the window says what the plan does not.
    """
    found: list[Question] = []
    known: dict[str, Past] = {}
    for check in plan.checks:
        if not check.sequential or (check.counters is not None and check.name not in counters.own):
            continue
        arms, setting = counters.of(check, places), setting_of(plan, check)
        known[check.name] = _known(plan, setting, arms[Arm.BASELINE], window, scrapes if history else None)
        setting = replace(setting, known=known[check.name].known)
        least = max(min(stage.min_requests for stage in plan.stages), check.needed_requests)
        found.append(Question(check.name, setting, arms, weight_of(check), least, check.observe))
    return tuple(found), known


def _known(plan: PlanSpec, setting: Setting, baseline: Counted, window: Window, scrapes: Scrapes | None) -> Past:
    """What was measured for the plan, else what was before the window; the author's own word comes before both."""
    measured = plan.analysis.measured
    if setting.known and measured is not None:
        past = Past(_HOUR * measured.hours, setting.known)
    else:
        past = retrospect.past_of(setting, baseline, window, scrapes) if scrapes is not None else Past()
    lines = past.known
    if plan.analysis.dispersion is not None:
        spread = Dispersion(plan.analysis.dispersion, plan.analysis.dispersion)
        lines = tuple(replace(line, dispersion=spread) for line in lines)
    if setting.kind is Kind.ERRORS and setting.p_hist is not None:
        lines = tuple(replace(line, p_hist=setting.p_hist) for line in lines)
    return replace(past, known=lines)


def uncounted(plan: PlanSpec, counting: Counting) -> Iterator[Beside]:
    """The checks whose counters cannot be selected: not judged, each with its reason."""
    for check in plan.checks:
        if check.name in counting.faults:
            detail = counting.faults[check.name]
            status = CheckStatus(name=check.name, outcome=Outcome.INCONCLUSIVE, reason=reasons.NOT_MEASURED, detail=detail)
            yield Beside(status, "sequential", check.observe)


def missing_of(counting: Counting, samples: Samples) -> Sequence[str]:
    """The selectors that found nothing."""
    return [one.text for one in counting.selectors if not samples.by[one.text]]
