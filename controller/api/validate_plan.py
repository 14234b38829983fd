"""Rules of a plan that cross its fields, and warnings about what is legal but unwise.

They look at the raw data, so that a wrong field somewhere does not hide what is wrong elsewhere. Each
rule is a small generator of (severity, path, found, expected, hint).
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from analysis.planning import tolerance_warning
from analysis.rate import RateTest
from controller.api.base import parse_duration, shown
from controller.api.plan import PlanSpec
from controller.api.plan_checks import DIFFERENCES, SEQUENTIAL_BUILTINS, BuiltIn, Method
from controller.api.validate_limits import limit_notes
from controller.api.validate_yaml import Path

Note = tuple[str, Path, str, str, str]
"""severity, path below `spec`, found, expected, hint."""

MIN_SCRAPES = 6
RATE_SCRAPES = 2
RATES = (BuiltIn.LATENCY, BuiltIn.REQUEST_RATE, BuiltIn.CPU, BuiltIn.UNROUTED)
"""Built-in checks that are rates where a trigger asks them."""

MOST = 100
"""Of a tolerance, as the model has it."""

USUAL_PERCENT = 0.5
"""Blue's error rate where the plan names none, percent."""

USUAL_TAIL = 5.0
"""Requests of blue that are slower than a bucket edge, where nobody has measured it, percent."""

MOST_TAIL = 50.0
"""A tolerated share of slow requests from here on accepts everything that a person would call slow, percent."""

LOUD_ALPHA, LOUD_BETA, LARGEST_ALPHA = 0.1, 0.2, 0.5
"""An alpha or a beta above its own is a warning, above the last the model refuses it."""

BAKE_SECONDS = 120.0
"""Less than this at 100 % shows nothing that a user would notice."""

DEFAULTS = PlanSpec.model_validate({"workload": "w", "traffic": {"virtualService": "v"}})


def each(data: Any, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The entries of a list that are mappings, with their index."""
    listed = data.get(name) if isinstance(data, dict) else None
    if isinstance(listed, list):
        yield from ((index, one) for index, one in enumerate(listed) if isinstance(one, dict))


def part(data: Any, name: str) -> dict[str, Any]:
    """A mapping below, empty where it is none."""
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def seconds(value: Any, default: float) -> float:
    """A duration, or the default where it is absent or wrong (which is said elsewhere)."""
    try:
        return default if value is None else parse_duration(value)
    except ValueError:
        return default


def scrape_of(spec: dict[str, Any]) -> float:
    """The scrape interval, seconds."""
    return seconds(part(spec, "traffic").get("scrapeInterval"), DEFAULTS.traffic.scrape_interval)


def stages_of(spec: dict[str, Any]) -> list[tuple[int, int, float]]:
    """Index, weight and window seconds of the stages that have a weight; the defaults where there are none."""
    if "stages" not in spec:
        return [(i, stage.weight, stage.window) for i, stage in enumerate(DEFAULTS.stages)]
    return [
        (i, one["weight"], seconds(one.get("window"), DEFAULTS.stages[0].window))
        for i, one in each(spec, "stages")
        if _is_whole(one.get("weight"))
    ]


def member_names(spec: dict[str, Any]) -> list[str]:
    """Names of the members, the short form included."""
    short = [spec["workload"]] if isinstance(spec.get("workload"), str) else []
    return short + [one["name"] for _, one in each(spec, "members") if isinstance(one.get("name"), str)]


def rules(spec: dict[str, Any]) -> list[Note]:
    """Everything that is wrong across fields, and all warnings but those about queries."""
    return [note for rule in RULES for note in rule(spec)]


def _targets(spec: dict[str, Any]) -> Iterator[Note]:
    traffic = part(spec, "traffic")
    if isinstance(spec.get("traffic"), dict) and not traffic.get("virtualService") and not traffic.get("virtualServices"):
        yield "error", ("traffic",), "no VirtualService", "virtualService or virtualServices", "name the one whose weights are moved"
    if not member_names(spec) and not spec.get("members"):
        yield "error", (), "no workload", "workload or members", "name the Deployment that moves"


def _weights(spec: dict[str, Any]) -> Iterator[Note]:
    stages = stages_of(spec)
    for (_, before, _), (index, weight, _) in pairwise(stages):
        if weight <= before:
            path: Path = ("stages", index, "weight")
            yield "error", path, f"{weight} after {before}", "strictly rising weights", "sort the stages, and remove doubles"
    if stages and stages[-1][1] != 100:  # noqa: PLR2004 - percent
        yield "error", ("stages", stages[-1][0], "weight"), f"{stages[-1][1]} at the last stage", "100", "add a stage with weight: 100"


def _names(spec: dict[str, Any]) -> Iterator[Note]:
    for section in ("members", "slots", "checks", "triggers", "groups"):
        seen: dict[str, int] = {}
        for index, one in each(spec, section):
            name = one.get("name")
            if isinstance(name, str):
                if name in seen:
                    found = f"the name {shown(name)} a second time"
                    yield "error", (section, index, "name"), found, f"unique names in {section}", "rename one of the two"
                seen.setdefault(name, index)
    workload = spec.get("workload")
    if workload and any(one.get("name") == workload for _, one in each(spec, "members")):
        yield "error", ("workload",), f"{shown(workload)} also under members", "either the short form or members", "remove `workload`"
    yield from _same_objects(spec)


def _same_objects(spec: dict[str, Any]) -> Iterator[Note]:
    """Two members that are one Deployment, and two entries that are one VirtualService: each would undo what the other does."""
    seen = {spec.get("workload")} if isinstance(spec.get("workload"), str) else set()
    for index, one in each(spec, "members"):
        workload = one.get("workload")
        if isinstance(workload, str) and workload in seen and one.get("name") != spec.get("workload"):
            path: Path = ("members", index, "workload")
            yield "error", path, f"the workload {shown(workload)} a second time", "each workload once", "one member is one Deployment"
        seen |= {workload} if isinstance(workload, str) else set()
    traffic = part(spec, "traffic")
    routes = [(traffic.get("virtualService"), None)]
    for index, one in each(traffic, "virtualServices"):
        key = (one.get("name"), one.get("namespace"))
        if isinstance(key[0], str) and key in routes:
            path = ("traffic", "virtualServices", index, "name")
            hint = "list all its rules under `routes` of one entry"
            yield "error", path, f"the VirtualService {shown(key[0])} a second time", "each VirtualService once", hint
        routes.append(key)


def _slots(spec: dict[str, Any]) -> Iterator[Note]:
    slots = [one for _, one in each(spec, "slots")]
    if len(slots) == 2 and all(slots[0].get(k, "") == slots[1].get(k, "") for k in ("namespace", "suffix")):  # noqa: PLR2004 - blue and green
        found, hint = "the same namespace and suffix as the first slot", "give one a suffix or a namespace"
        yield "error", ("slots", 1), found, "two different places", hint


def _references(spec: dict[str, Any]) -> Iterator[Note]:
    members = member_names(spec)
    groups = [one.get("name") for _, one in each(spec, "groups")]
    weights = {weight for _, weight, _ in stages_of(spec)}
    for section in ("checks", "triggers"):
        for index, one in each(spec, section):
            member = one.get("member")
            if member is not None and members and member not in members:
                yield "error", (section, index, "member"), shown(member), f"one of the members {', '.join(members)}", "correct the name"
            for at, weight in enumerate(one.get("stages") or () if isinstance(one.get("stages"), list) else ()):
                if weights and not (_is_number(weight) and weight in weights):
                    known = ", ".join(map(str, sorted(weights)))
                    path: Path = (section, index, "stages", at)
                    yield "error", path, shown(weight), f"the weight of a stage: {known}", "a check names stages by weight"
            together = one.get("together")
            if together is not None and together not in groups:
                hint = f"add `groups: [{{name: {together}, failing: 2}}]`" if isinstance(together, str) else ""
                yield "error", (section, index, "together"), shown(together), "the name of a group", hint


def _groups(spec: dict[str, Any]) -> Iterator[Note]:
    for index, group in each(spec, "groups"):
        size = sum(one.get("together") == group.get("name") for _, one in each(spec, "triggers"))
        failing = group.get("failing")
        if _is_whole(failing) and failing > size:
            hint = "add triggers with `together`, or lower it: this group could never act"
            yield "error", ("groups", index, "failing"), f"{failing} of {size} triggers", f"at most {size}", hint


def _questions(spec: dict[str, Any]) -> Iterator[Note]:
    for section, ways in (("checks", ("builtin", "query", "counters", "kayenta")), ("triggers", ("builtin", "query", "probe"))):
        for index, one in each(spec, section):
            given = [way for way in ways if one.get(way) is not None]
            if len(given) != 1:
                found = " and ".join(given) if given else f"none of {', '.join(ways)}"
                yield "error", (section, index), found, f"exactly one of {', '.join(ways)}", "say one way in which it is asked"
            if section == "triggers" and "probe" not in given and one.get("limit") is None:
                yield "error", (section, index), "no limit", "a limit, such as {max: 5}", "only a probe needs none"
            if "probe" in given and one.get("limit") is not None:
                hint = "a probe passes or fails; use repeat to count failures"
                yield "error", (section, index, "limit"), "a limit of a probe", "no limit", hint
            yield from ((severity, (section, index, "limit"), *words) for severity, words in limit_notes(one))
            if "quantile" in one and one.get("builtin") != "latency":
                yield "warning", (section, index, "quantile"), "a quantile", "builtin: latency with it", "it is ignored elsewhere"


def _sequential(spec: dict[str, Any]) -> Iterator[Note]:
    analysis = part(spec, "analysis")
    alpha = analysis.get("alpha", DEFAULTS.analysis.alpha)
    if _is_number(alpha) and LOUD_ALPHA < alpha <= LARGEST_ALPHA:
        hint = "a smaller one costs little time: ten times stricter is the same number of requests more each time"
        found = f"an alpha of {alpha:g}, one healthy release in {1 / alpha:.2g} may go back"
        yield "warning", ("analysis", "alpha"), found, f"at most {LOUD_ALPHA:g}", hint
    for index, one in each(spec, "checks"):
        if not _is_sequential(one):
            for word in ("tolerance", "effect", "weight"):
                if word in one and one.get("method") != Method.SEQUENTIAL:
                    hint = "it is ignored here: a threshold check has its limit"
                    yield "warning", ("checks", index, word), f"{word} of a threshold check", f"method: sequential with {word}", hint
            continue
        if "quantile" in one:
            hint = "it is ignored: a sequential latency check tests the bucket edges beyond which blue has 0.1 to 50 % of its requests"
            yield "warning", ("checks", index, "quantile"), "a quantile with method: sequential", "none", hint
        known = _measured_shares(spec, one)
        if one.get("builtin") == BuiltIn.LATENCY:
            yield from _tolerated_tails(("checks", index), one, known or [USUAL_TAIL])
            continue
        given = analysis.get("errorRate") if analysis.get("errorRate") is not None else next(iter(known), None)
        usual = USUAL_PERCENT if given is None else given
        if _is_number(usual) and one.get("limit") is None:
            yield from _tolerated(("checks", index), one, usual, given=given is not None)


def _early(spec: dict[str, Any]) -> Iterator[Note]:
    """Stages that may pass early, and what keeps them from it."""
    early = [(index, one) for index, one in each(spec, "stages") if one.get("earlyAfter") is not None]
    beta = part(spec, "analysis").get("beta", DEFAULTS.analysis.beta)
    if early and _is_number(beta) and LOUD_BETA < beta <= LARGEST_ALPHA:
        found = f"a beta of {beta:g}, one release in {1 / beta:.2g} that is beyond the margin may pass a stage early"
        yield "warning", ("analysis", "beta"), found, f"at most {LOUD_BETA:g}", "a smaller one costs little time"
    for index, stage in early:
        path, weight = ("stages", index, "earlyAfter"), stage.get("weight")
        if weight == MOST:
            yield "error", path, "earlyAfter at 100 %", "none", "there is no blue to compare with"
        if seconds(stage["earlyAfter"], 0.0) >= seconds(stage.get("window"), DEFAULTS.stages[0].window):
            yield "warning", path, "earlyAfter beyond the window", "less than the window", "it is ignored: the window has ended by then"
        judged = [one for _, one in each(spec, "checks") if not one.get("stages") or weight in one["stages"]]
        limits = [str(one.get("name")) for one in judged if not _is_sequential(one)]
        if "checks" in spec and (limits or not judged):
            found = f"earlyAfter with {', '.join(limits) or 'no check'}" + (" against a limit" if limits else "")
            yield "warning", path, found, "sequential checks alone", "the stage never passes early: a limit is judged at the window's end"
    for index, check in each(spec, "checks") if early else ():
        told = part(check, "margin")
        ratio, points = told.get("ratio", 1.5), told.get("difference", 0.5)
        usual = next(iter(_measured_shares(spec, check)), USUAL_PERCENT)
        if check.get("builtin") == BuiltIn.ERROR_RATE and _is_number(ratio) and _is_number(points) and ratio * usual + points >= MOST_TAIL:
            found = f"a margin of up to {min(ratio * usual + points, MOST):.3g} % bad requests where blue has {usual:.3g} %"
            yield "warning", ("checks", index, "margin"), found, "what you would refuse to ship", "any green could pass early"


def _is_sequential(check: dict[str, Any]) -> bool:
    """As the model has it, of raw data."""
    method, counters = check.get("method"), check.get("counters") is not None
    if method is None:
        return counters or (check.get("limit") is None and check.get("builtin") in SEQUENTIAL_BUILTINS)
    return bool(method == Method.SEQUENTIAL and (counters or check.get("builtin") in SEQUENTIAL_BUILTINS))


def _measured_shares(spec: dict[str, Any], check: dict[str, Any]) -> list[float]:
    """Blue's shares of bad requests as they were measured for this check, percent; empty where nobody has, or where it cannot be read."""
    workloads = {spec["workload"]: spec["workload"]} if isinstance(spec.get("workload"), str) else {}
    workloads |= {one.get("name"): one.get("workload") for _, one in each(spec, "members") if isinstance(one.get("name"), str)}
    wanted = (check.get("builtin"), workloads.get(check.get("member"), next(iter(workloads.values()), None)))
    lines = [
        line.get("share")
        for _, one in each(part(part(spec, "analysis"), "measured"), "checks")
        for _, line in each(one, "lines")
        if (one.get("builtin"), one.get("workload")) == wanted
    ]
    return [float(share) for share in lines if isinstance(share, int | float)]


def _tolerated_tails(path: Path, check: dict[str, Any], shares: list[float]) -> Iterator[Note]:
    """A tolerance under which green may be slow for everybody, or for ten times as many as blue, at each edge."""
    told = part(check, "tolerance")
    ratio, points = told.get("ratio", 1.1), told.get("difference", DIFFERENCES[BuiltIn.LATENCY])
    if not (_is_number(ratio) and _is_number(points)) or not (1 <= ratio <= MOST and 0 <= points <= MOST):
        return  # said by the model
    if all(ratio * share + points >= min(MOST, max(MOST_TAIL, 10 * share)) for share in shares):
        least = min(shares)
        found = f"a tolerance of up to {min(ratio * least + points, MOST):.3g} % slow requests where blue has {least:.3g} %"
        yield "warning", (*path, "tolerance"), found, "less than what you would roll back for", "no regression below that is ever found"


def _tolerated(path: Path, check: dict[str, Any], usual: float, *, given: bool) -> Iterator[Note]:
    """A tolerance under which every regression is acceptable, with the number; an effect that it allows (`given`: blue's rate is known)."""
    told = part(check, "tolerance")
    ratio, points = told.get("ratio", 1.1), told.get("difference", DIFFERENCES[BuiltIn.ERROR_RATE])
    if not (_is_number(ratio) and _is_number(points)) or not (1 <= ratio <= MOST and 0 <= points <= MOST and 0 <= usual < MOST):
        return  # said by the model
    allowed = ratio * usual + points
    if tolerance_warning(RateTest(rho=ratio, delta=points / 100, p_hist=usual / 100)):
        found = f"a tolerance of up to {min(allowed, 100):.3g} % bad requests where blue has {usual:.3g} %"
        yield "warning", (*path, "tolerance"), found, "less than what you would roll back for", "no regression below that is ever found"
    effect = check.get("effect") or 0.0
    if _is_number(effect) and 0 < effect <= allowed:
        hint = "what is tolerated is never shown, so that no stage could pass: ask for a larger effect, or tolerate less"
        expected = f"more than the {allowed:.3g} % that the tolerance allows"
        yield "error" if given else "warning", (*path, "effect"), f"an effect of {effect:g} %", expected, hint


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _intervals(spec: dict[str, Any]) -> Iterator[Note]:
    scrape = scrape_of(spec)
    for index, one in each(spec, "triggers"):
        interval = seconds(one.get("interval"), 10.0)
        if interval < 1:
            yield "error", ("triggers", index, "interval"), shown(one.get("interval")), "1s or more", "a shorter interval shows nothing new"
        elif "interval" in one and interval < scrape and one.get("probe") is None:
            hint = f"Prometheus has nothing new in between: ask every {scrape:g} s, or scrape more often and say so in scrapeInterval"
            yield "warning", ("triggers", index, "interval"), f"{interval:g} s", f"at least the scrape interval of {scrape:g} s", hint
        span = seconds(one.get("range"), 60.0)
        if _is_rate(one) and span < RATE_SCRAPES * scrape:
            hint = "a rate needs two scrapes, and without a number it never fires: make the range longer or scrape more often"
            expected = f"at least {RATE_SCRAPES} scrapes of {scrape:g} s ({RATE_SCRAPES * scrape:g} s)"
            yield "warning", ("triggers", index, "range"), f"a range of {span:g} s", expected, hint


def _is_rate(trigger: dict[str, Any]) -> bool:
    """Whether Prometheus computes a rate over its range; a built-in share of failed requests is counted from one scrape on."""
    query = str(trigger.get("query", ""))
    return trigger.get("builtin") in RATES or ("[$window]" in query and any(name in query for name in ("rate(", "increase(")))


def _windows(spec: dict[str, Any]) -> Iterator[Note]:
    scrape = scrape_of(spec)
    for index, weight, window in stages_of(spec):
        path: Path = ("stages", index, "window")
        if window < MIN_SCRAPES * scrape:
            hint = "with fewer scrapes it can never pass: make the window longer or scrape more often"
            least = f"at least {MIN_SCRAPES} scrapes of {scrape:g} s ({MIN_SCRAPES * scrape:g} s)"
            yield "warning", path, f"a window of {window:g} s", least, hint
        elif weight == 100 and window < BAKE_SECONDS:  # noqa: PLR2004 - percent
            hint = "faults that need load or time show only then, and blue is still ready"
            yield "warning", path, f"a bake of {window:g} s at 100 %", f"{BAKE_SECONDS:g} s or more", hint


def _capacity(spec: dict[str, Any]) -> Iterator[Note]:
    finish = part(spec, "finish")
    if finish and seconds(finish.get("retention"), 1.0) == 0:
        hint = "a rollback after success would have to start the old version first"
        yield "warning", ("finish", "retention"), "0 s", "some time in which the old version is kept", hint
    # A sequential check puts users back at any scrape.
    watched = any(_is_sequential(one) and one.get("observe") is not True for _, one in each(spec, "checks"))
    if "triggers" in spec and not spec["triggers"] and not watched:
        yield "warning", ("triggers",), "no triggers", "at least one", "between the gates nothing would put users back"
    if "checks" in spec and not spec["checks"]:
        yield "warning", ("checks",), "no checks", "at least one", "every stage would pass that has enough requests"


RULES: tuple[Callable[[dict[str, Any]], Iterator[Note]], ...] = (
    _targets, _weights, _names, _slots, _references, _groups, _questions, _sequential, _early, _intervals, _windows, _capacity,
)  # fmt: skip
"""In the order in which they are printed."""
