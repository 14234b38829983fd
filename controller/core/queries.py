"""What is asked of Prometheus and of health endpoints: parameters filled in, built-in queries, the asks of a look.

Pure text work, between the plan and the shell that measures. It never judges an answer. A query that is
asked for one colour never sees the other one's samples, and never adds the two reporters: both count the
same request.

Whose samples are counted, by mode and reporter:

    host mode, source         destination_service of the colour's own Service, so that 503 UH, which reaches no
                              pod and carries destination_workload="unknown", counts for its colour; 503 NC
                              and 404 NR carry the host that the caller asked for, or nothing
    subset mode, source       destination_workload: one Service for both; requests that reached no pod carry
                              no colour and are what the built-in `unrouted` shows
    destination               destination_workload: only pods report, both modes look alike

The latency of a version is that of the requests which a pod answered. What a proxy answers alone takes no time: counted,
it would make a version without pods the faster one.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from analysis.usable import MOST_COUNT
from controller.api.plan import Member, PlanSpec
from controller.api.plan_checks import BuiltIn

QUERIES_KEPT = 8192
"""Texts that are remembered: the same queries are asked in every look of a release."""

PARAMETERS = ("namespace", "workload", "service", "host", "revision", "colour", "window")
"""The parameters of a query; `$$` is a dollar."""

SERVER_ERRORS_HTTP = "5..|0"
"""Response codes of failed HTTP requests; 0 is a connection that ended without an answer."""

SERVER_ERRORS_GRPC = "2|4|12|13|14|15"
"""Unknown, DeadlineExceeded, Unimplemented, Internal, Unavailable, DataLoss: the codes that OpenTelemetry's
semantic conventions count as errors of a server. The others are answers to a wrong call."""

NOBODY_ANSWERED = "UH|NC|NR"
"""Envoy's response flags of requests that it answered alone: no healthy pod, no cluster, no route."""

_FAILED_HTTP = re.compile(SERVER_ERRORS_HTTP)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REGEX_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")
_NO_CLASS = frozenset("\\[]^")
_REGEX_OPERATOR = re.compile(r"[=!]~\s*\Z")
_RANGE_BEFORE = re.compile(r"\[\s*\Z")
_RANGE_AFTER = re.compile(r"\s*[\]:]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one colour of one member is found in the metrics.

    Attributes:
        namespace: of its workload.
        workload: name of its Deployment.
        service: name of the Service through which it is reached.
        host: full host name of that Service.
        revision: name of its version; "" where it was never named.
        colour: "blue" or "green".
    """

    namespace: str
    workload: str
    service: str
    host: str
    revision: str
    colour: str


@dataclass(frozen=True, slots=True)
class Mesh:
    """How the mesh names and counts things here.

    Attributes:
        mode: "host" or "subset".
        reporter: "source" or "destination".
        cluster: our cluster's name in `destination_cluster`; "" where it is not known (then the traffic
            query refuses samples of several clusters).
    """

    mode: str = "host"
    reporter: str = "source"
    cluster: str = ""

    @property
    def by_host(self) -> bool:
        """Whether a version's requests are told by the Service that callers ask for, else by the workload that answers."""
        return self.mode == "host" and self.reporter == "source"


@dataclass(frozen=True, slots=True)
class Pair:
    """Blue's and green's place of one member."""

    blue: Place
    green: Place

    def of(self, colour: str) -> Place:
        """The place of that colour."""
        return self.green if colour == "green" else self.blue


def member_of(plan: PlanSpec, name: str | None) -> Member:
    """The member of that name, or the first one. Raises ValueError with the known names."""
    members = plan.all_members
    if not members:
        raise ValueError("the plan has no members")
    if name is None:
        return members[0]
    for member in members:
        if member.name == name:
            return member
    raise ValueError(f"there is no member {name!r}; known: {', '.join(member.name for member in members)}")


@dataclass(frozen=True, slots=True)
class Naming:
    """What of a release the names of its places depend on.

    Attributes:
        namespace: of the plan.
        blue_slot: index of the slot that served at the start.
        mode: "host" or "subset".
        revision: green's; `blue_revision` is blue's, "" where it was never named.
        domain: suffix of in-cluster host names.
    """

    namespace: str
    blue_slot: int = 0
    mode: str = "host"
    revision: str = ""
    blue_revision: str = ""
    domain: str = "cluster.local"


def pair_of(plan: PlanSpec, member: Member, naming: Naming) -> Pair:
    """Blue's and green's place of a member. In subset mode both stand behind one Service in the first slot, whose name has no suffix."""
    return _pair(member.workload, member.service_name, tuple((slot.namespace, slot.suffix) for slot in plan.slots), naming)


@lru_cache(maxsize=QUERIES_KEPT)
def _pair(workload: str, service_name: str, slots: tuple[tuple[str | None, str], ...], naming: Naming) -> Pair:
    def place(index: int, colour: str, revision: str) -> Place:
        namespace, suffix = slots[index]
        home_namespace, home_suffix = (slots[0][0], "") if naming.mode == "subset" else slots[index]
        service = service_name + home_suffix
        return Place(
            namespace=namespace or naming.namespace,
            workload=workload + suffix,
            service=service,
            host=f"{service}.{home_namespace or naming.namespace}.svc.{naming.domain}",
            revision=revision,
            colour=colour,
        )

    blue = max(naming.blue_slot, 0)
    return Pair(place(blue, "blue", naming.blue_revision), place(1 - blue, "green", naming.revision))


# Parameters.


@dataclass(frozen=True, slots=True)
class _Spot:
    """One `$` of a query: where it stands and in which kind of text.

    Attributes:
        name: of the parameter; "" for `$$`.
        start, end: its place in the text.
        quote: the quote of the string it stands in; "" outside of strings.
        regex: that string is a pattern.
    """

    name: str
    start: int
    end: int
    quote: str
    regex: bool


def parameters_of(text: str) -> frozenset[str]:
    """The parameters that a query uses. Raises ValueError, naming the place, for one that cannot be used so."""
    return frozenset(spot.name for spot in _spots(text) if spot.name)


@lru_cache(maxsize=QUERIES_KEPT)
def fill(text: str, place: Place, window_seconds: float) -> str:
    """The query with its parameters filled in, each escaped for where it stands.

    Raises ValueError for an unknown or misplaced parameter, and for one that has no value here: an empty
    label value would match series that lack the label.
    """
    values = {name: getattr(place, name) for name in PARAMETERS if name != "window"}
    parts, done = [], 0
    for spot in _spots(text):
        parts += [text[done : spot.start], _filled(spot, values, window_seconds)]
        done = spot.end
    return "".join([*parts, text[done:]])


def written_at(text: str, place: Place, window_seconds: float, offset: int) -> int:
    """Where in the text as it is written that stands which is at `offset` of the one that `fill` makes of it."""
    values, grown = {name: getattr(place, name) for name in PARAMETERS if name != "window"}, 0
    for spot in _spots(text):
        begin, length = spot.start + grown, len(_filled(spot, values, window_seconds))
        if offset < begin + length:
            return min(offset - grown, spot.start)
        grown += length - (spot.end - spot.start)
    return offset - grown


def _filled(spot: _Spot, values: Mapping[str, str], window_seconds: float) -> str:
    if not spot.name:
        return "$"
    if spot.name == "window":
        return duration(window_seconds)
    value = values[spot.name]
    if not value:
        raise ValueError(f"${spot.name} has no value for {values['colour'] or 'this version'}")
    return label_value(value, quote=spot.quote, regex=spot.regex)


def duration(seconds: float) -> str:
    """A PromQL duration: whole seconds where that is exact, else milliseconds."""
    millis = max(1, round(seconds * 1000))
    return f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"


LATENCY = "istio_request_duration_milliseconds"
"""Istio's histogram of latencies: classic buckets have the name with `_bucket` behind it, a native histogram this one."""


def latency_selector(labels: str) -> str:
    """The raw samples of the histogram with these label pairs, of whichever kind it is."""
    return f'{{__name__=~"{LATENCY}|{LATENCY}_bucket",{labels}}}'


def newest_buckets(labels: str, by: str) -> str:
    """The newest counts of the classic buckets with these label pairs: those that are no counts by themselves, all others added up.

    `histogram_quantile` mends buckets that fall, passes over edges that are no numbers, and takes a negative count for a restart: its
    number alone does not show on what it rests.
    """
    buckets = f"{LATENCY}_bucket{{{labels}}}"
    return f"{buckets} < 0 or {buckets} > {MOST_COUNT:.0f} or {buckets} != {buckets} or sum by ({by},le) ({buckets})"


@lru_cache(maxsize=QUERIES_KEPT)
def newest_counters(query: str, by: str) -> str:
    """What stands behind a query that computes with the growth of counters; "" where it reads none, or is none that we know.

    As `newest_buckets`. But a counter of seconds or bytes may be as large as it likes, and buckets are added up only where a quantile is
    taken of all of them.
    """
    from controller.api.promql_facts import growing  # noqa: PLC0415 - the parser is needed by few plans, and at the ends of windows alone
    from controller.api.promql_syntax import PromqlSyntaxError  # noqa: PLC0415 - likewise

    try:
        read = growing(query)
    except PromqlSyntaxError:
        return ""
    parts = [part for one in read for part in (f"{one.selector} < 0", f"{one.selector} == Inf", f"{one.selector} != {one.selector}")]
    sums = [f"sum by ({by},le) ({one.selector})" for one in read if one.quantile]
    # Of two elements with the same labels `or` keeps the first: what is added up of each histogram gets a label of its own.
    parts += [f'label_replace({text}, "histogram", "{number}", "", "")' if number else text for number, text in enumerate(sums)]
    return " or ".join(parts)


def over_window(query: str, seconds: float, step: float) -> str:
    """The query's value at every multiple of the step within so many seconds: a range of values for an instant query."""
    return f"({query})[{duration(seconds)}:{duration(step)}]"


def label_value(value: str, *, quote: str = '"', regex: bool = False) -> str:
    """A value as it must be written between quotes; in a pattern it stands for itself only."""
    if regex:
        # A class of one character needs no backslash, which some parsers unescape even between backquotes.
        value = _REGEX_SPECIAL.sub(lambda match: "\\" + match[0] if match[0] in _NO_CLASS else f"[{match[0]}]", value)
    if quote == "`":
        if "`" in value:
            raise ValueError("a value with a backquote cannot stand between backquotes; use double quotes")
        return value
    return value.replace("\\", "\\\\").replace(quote, "\\" + quote).replace("\n", "\\n")


def _spots(text: str) -> Iterator[_Spot]:
    """Every `$` of the text, in order."""
    position, quote, regex = 0, "", False
    while position < len(text):
        char = text[position]
        if char == "$":
            spot = _spot(text, position, quote, regex=regex)
            yield spot
            position = spot.end
            continue
        if quote:
            if char == "\\" and quote != "`":
                position += 1
            elif char == quote:
                quote = ""
        elif char in "\"'`":
            quote, regex = char, _REGEX_OPERATOR.search(text, 0, position) is not None
        elif char == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        position += 1


def _spot(text: str, start: int, quote: str, *, regex: bool) -> _Spot:
    where = f"at column {start + 1}"
    if text.startswith("$$", start):
        return _Spot("", start, start + 2, quote, regex)
    match = _NAME.match(text, start + 1)
    if match is None:
        raise ValueError(f"a lone $ {where}; write $$ for a dollar")
    name, end = match[0], match.end()
    if name not in PARAMETERS:
        raise ValueError(f"unknown parameter ${name} {where}; known: {', '.join('$' + known for known in PARAMETERS)}")
    if name == "window":
        if quote or not _RANGE_BEFORE.search(text[:start]) or not _RANGE_AFTER.match(text, end):
            raise ValueError(f"$window {where} must stand as a range: [$window]")
    elif not quote:
        raise ValueError(f'${name} {where} must stand inside a label value: {{label="${name}"}}')
    return _Spot(name, start, end, quote, regex)


# Built-in queries.


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a built-in query is written for."""

    mesh: Mesh
    pair: Pair
    place: Place
    window: str
    quantile: float

    @property
    def pods(self) -> str:
        """Label pairs of the workload's pods: `<workload>-<hash>-<suffix>`, so that a longer name is not meant."""
        pattern = label_value(self.place.workload, regex=True)
        return f'namespace="{label_value(self.place.namespace)}",pod=~"{pattern}-[a-z0-9]+-[a-z0-9]+"'

    @property
    def requests(self) -> str:
        """Label pairs of the colour's requests, one reporter only."""
        return requests_of(self.mesh, (self.place,))

    def rate(self, more: str = "", metric: str = "istio_requests_total") -> str:
        """Requests per second, summed over everything of the colour."""
        return f"sum(rate({metric}{{{self.requests}{more}}}[{self.window}]))"


@lru_cache(maxsize=QUERIES_KEPT)
def requests_of(mesh: Mesh, places: tuple[Place, ...]) -> str:
    """Label pairs of the requests that go to these places (module docstring)."""
    reporter, cluster = f'reporter="{mesh.reporter}"', ""
    if mesh.cluster:
        cluster = f',destination_cluster=~"|unknown|{label_value(mesh.cluster, regex=True)}"'
    if mesh.by_host:
        return f"{reporter},{one_of('destination_service', [place.host for place in places])}{cluster}"
    workloads = one_of("destination_workload", [place.workload for place in places])
    namespaces = one_of("destination_workload_namespace", [place.namespace for place in places])
    return f"{reporter},{workloads},{namespaces}{cluster}"


def answered_of(mesh: Mesh, places: tuple[Place, ...]) -> str:
    """Label pairs of those of these requests that a pod answered; the other modes and reporters select no others (module docstring)."""
    labels = requests_of(mesh, places)
    return f'{labels},response_flags!~"{NOBODY_ANSWERED}"' if mesh.by_host else labels


FAILED_BY = frozenset({"response_code", "request_protocol", "grpc_response_status"})
"""The labels by which failed requests are told."""


def is_failed(labels: Mapping[str, str]) -> bool:
    """Whether a series of istio_requests_total counts failed requests: what the built-in error rate asks for, of raw samples."""
    if _FAILED_HTTP.fullmatch(labels.get("response_code", "")):
        return True
    return labels.get("request_protocol") == "grpc" and labels.get("grpc_response_status", "") in SERVER_ERRORS_GRPC.split("|")


def one_of(label: str, values: list[str]) -> str:
    """A matcher for any of these values."""
    unique = sorted(set(values))
    if len(unique) == 1:
        return f'{label}="{label_value(unique[0])}"'
    return f'{label}=~"{"|".join(label_value(value, regex=True) for value in unique)}"'


@lru_cache(maxsize=QUERIES_KEPT)
def build_checks_queries(builtin: BuiltIn, pair: Pair, colour: str, window_seconds: float, *, mesh: Mesh, quantile: float = 0.99) -> str:
    """The query of a built-in check for one colour: exactly one series, or none where there is nothing to judge.

    Units: percent (0-100) for error-rate, success-rate, cpu, memory and unrouted; milliseconds for
    latency; requests per second for request-rate; 1 or 0 for up.
    """
    return _QUERIES[builtin](_Asked(mesh, pair, pair.of(colour), duration(window_seconds), quantile))


def _error_rate(asked: _Asked) -> str:
    # An error series exists only after the first error: its absence is the number 0. A total of 0 is no
    # number at all, hence `> 0`, which drops it.
    http = asked.rate(f',response_code=~"{SERVER_ERRORS_HTTP}"')
    grpc = asked.rate(f',request_protocol="grpc",response_code!~"{SERVER_ERRORS_HTTP}",grpc_response_status=~"{SERVER_ERRORS_GRPC}"')
    return f"100 * (({http} or vector(0)) + ({grpc} or vector(0))) / ({asked.rate()} > 0)"


def _success_rate(asked: _Asked) -> str:
    return f"100 - {_error_rate(asked)}"


def _latency(asked: _Asked) -> str:
    # Native histograms have one series without `le`; they are asked where there are no classic buckets.
    selected = f"{{{answered_of(asked.mesh, (asked.place,))}}}[{asked.window}]"
    classic = f"histogram_quantile({asked.quantile:g}, sum by (le) (rate({LATENCY}_bucket{selected})))"
    return f"{classic} or histogram_quantile({asked.quantile:g}, sum(rate({LATENCY}{selected})))"


def _request_rate(asked: _Asked) -> str:
    return asked.rate()


def _cpu(asked: _Asked) -> str:
    # Percent of the limits, or of the requests (shares / 1024) where no container has a limit. The mesh's
    # own container has limits of its own that would hide the application's.
    own = f'{{{asked.pods},container!~"|POD|istio-proxy"}}'
    usage = f"sum(rate(container_cpu_usage_seconds_total{own}[{asked.window}]))"
    limits = f"sum(container_spec_cpu_quota{own} / container_spec_cpu_period{own}) > 0"
    return f"100 * {usage} / ({limits} or sum(container_spec_cpu_shares{own}) / 1024 > 0)"


def _memory(asked: _Asked) -> str:
    # The working set is what the kernel kills by; a limit of 0 means that there is none.
    own = f'{{{asked.pods},container!~"|POD|istio-proxy"}}'
    return f"100 * avg(container_memory_working_set_bytes{own} / (container_spec_memory_limit_bytes{own} > 0))"


def _up(asked: _Asked) -> str:
    return f"min(up{{{asked.pods}}})"


def _unrouted(asked: _Asked) -> str:
    hosts = one_of("destination_service", [asked.pair.blue.host, asked.pair.green.host])
    every = f'istio_requests_total{{reporter="source",{hosts}'
    lost = f'sum(rate({every},destination_workload="unknown"}}[{asked.window}]))'
    return f"100 * ({lost} or vector(0)) / (sum(rate({every}}}[{asked.window}])) > 0)"


_QUERIES: dict[BuiltIn, Callable[[_Asked], str]] = {
    BuiltIn.ERROR_RATE: _error_rate,
    BuiltIn.SUCCESS_RATE: _success_rate,
    BuiltIn.LATENCY: _latency,
    BuiltIn.REQUEST_RATE: _request_rate,
    BuiltIn.CPU: _cpu,
    BuiltIn.MEMORY: _memory,
    BuiltIn.UP: _up,
    BuiltIn.UNROUTED: _unrouted,
}
