"""What `penstock judge` compares: a selector for each arm, and which of its requests are bad.

A selector with a metric's name is about that metric: errors, or latency where it ends with `_bucket`. One without a
name is about Istio's two metrics.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from analysis.model import Labels, Series
from controller.api.promql import Facts, facts
from controller.api.promql_facts import Selector as FactsSelector
from controller.api.promql_syntax import PromqlSyntaxError
from controller.cli.exits import CommandError, ExitCode
from controller.core.queries import LATENCY, SERVER_ERRORS_GRPC, SERVER_ERRORS_HTTP, label_value

REQUESTS = "istio_requests_total"
_BUCKET, _EDGE = "_bucket", "le"
_EDGES = re.compile(r',?\s*\ble\s*(=~|!~|!=|=)\s*"[^"]*"')
BUCKETS = f"{LATENCY}{_BUCKET}"
ISTIO_BAD = (
    f'{{response_code=~"{SERVER_ERRORS_HTTP}"}}',
    f'{{request_protocol="grpc",response_code!~"{SERVER_ERRORS_HTTP}",grpc_response_status=~"{SERVER_ERRORS_GRPC}"}}',
)
"""As the built-in check counts."""

_STATUS_LABELS = ("response_code", "status", "code", "status_code", "http_status", "http_status_code", "http_response_status_code")


@dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector.

    Attributes:
        text: in PromQL.
        metric: its metric's name; "" for any.
        tests: conditions on labels: a name, and what its value must meet.
    """

    text: str
    metric: str
    tests: tuple[tuple[str, Callable[[str], bool]], ...]

    @property
    def native(self) -> "Selector | None":
        """The same of a native histogram, which has no edges to select by, where this asks for classic buckets by name."""
        if not self.metric.endswith(_BUCKET):
            return None
        name = self.metric.removesuffix(_BUCKET)
        text = _EDGES.sub("", self.text.replace(self.metric, name, 1)).replace("{,", "{")
        return Selector(text, name, tuple(test for test in self.tests if test[0] != _EDGE))

    def matches(self, labels: Labels) -> bool:
        """Whether it asks for this series; a label that is not there is ""."""
        held = dict(labels)
        return self.metric in ("", held.get("__name__")) and all(test(held.get(name, "")) for name, test in self.tests)


@dataclass(frozen=True, slots=True)
class Asked:
    """One arm's selectors; None where the arm is not asked for that."""

    requests: Selector | None
    buckets: Selector | None


def arm_of(text: str, option: str) -> Asked:
    """The selectors of `--baseline` or `--candidate`. Raises a usage error."""
    if "{" not in text and "=" in text:
        text = f"{{{text}}}"
    text = text.strip()
    if text.startswith("{") and "__name__" not in text:
        # By itself PromQL refuses `{workload!="shop"}`; the name that it gets makes it a selector.
        _facts(f"{REQUESTS}{text}", option, text)
        return Asked(selector(f"{REQUESTS}{text}", option), selector(f"{BUCKETS}{text}", option))
    found = _facts(text, option)
    name = found.selectors[0].metric
    if not name:
        raise CommandError(ExitCode.USAGE, f"{option}: found a pattern for the metric's name, expected one name or none.")
    chosen = selector(text, option)
    return Asked(None, chosen) if name.endswith(_BUCKET) else Asked(chosen, None)


def comparable(baseline: Asked, candidate: Asked) -> None:
    """Raises a usage error where one names a counter of requests and the other a histogram: nothing is compared then."""
    if (baseline.requests or candidate.buckets) is None or (baseline.buckets or candidate.requests) is None:
        raise CommandError(
            ExitCode.USAGE,
            f"--baseline and --candidate: found {_kind(baseline)} and {_kind(candidate)}, expected two of one kind; "
            "selectors without a metric's name ask for both.",
        )


def _kind(asked: Asked) -> str:
    return "a counter of requests" if asked.requests else "the buckets of a histogram"


def selector(text: str, option: str) -> Selector:
    """A selector that can be matched. Raises a usage error."""
    from controller.simulator.promql.errors import UnsupportedError

    try:
        return replace(selector_of(_facts(text, option).selectors[0]), text=text)
    except UnsupportedError as error:
        raise CommandError(ExitCode.USAGE, f"{option}: {error}.") from error


def selector_of(one: FactsSelector) -> Selector:
    """One place where a query reads series, as a selector that can be matched. Raises `UnsupportedError`."""
    from controller.simulator.promql.matchers import Matcher

    tests = tuple((matcher.name, Matcher(matcher.name, matcher.op, matcher.value).predicate()) for matcher in one.matchers)
    conditions = ",".join(f'{matcher.name}{matcher.op}"{label_value(matcher.value)}"' for matcher in one.matchers)
    return Selector(f"{one.metric}{{{conditions}}}", one.metric, tests)


def _facts(text: str, option: str, given: str = "") -> Facts:
    """What a selector is; the error quotes what was given, where that is another text."""
    given = given or text
    try:
        found = facts(text)
    except (PromqlSyntaxError, ValueError) as error:
        raise CommandError(
            ExitCode.USAGE, f'{option}: found {given!r}, expected a selector such as {{workload="shop"}}: {error}.'
        ) from error
    plain = len(found.selectors) == 1 and not found.functions and found.selectors[0].range_seconds is None
    if not plain or found.result_type != "vector" or found.pairings:
        raise CommandError(ExitCode.USAGE, f"{option}: found {given!r}, expected one selector without functions and ranges.")
    return found


def bad_of(every: Iterable[Series], given: str) -> tuple[tuple[Series, ...], str]:
    """The series that count failures, and in words by what they were told.

    Args:
        every: an arm's counters of requests.
        given: `--errors`: conditions in braces; by default the labels' own: Istio's, else a status of 5xx.

    Raises:
        CommandError: no label says which request failed, and `given` does not either.
    """
    found = list(every)
    if given:
        braces = given if given.strip().startswith("{") else f"{{{given}}}"
        try:
            rules, words = [selector(f"any{braces}", "--errors")], braces
        except CommandError as error:
            sentence = f"--errors: found {given!r}, expected conditions on labels, such as 'result=\"error\"'."
            raise CommandError(ExitCode.USAGE, sentence) from error
    elif any("response_code" in dict(series.labels) for series in found):
        rules, words = [selector(f"any{rule}", "--errors") for rule in ISTIO_BAD], "HTTP 5xx and 0, and gRPC's server faults"
    else:
        names = [name for name in _STATUS_LABELS if any(name in dict(series.labels) for series in found)]
        if not found:
            return (), ""
        if not names:
            sentence = "No label of the series says which requests failed, expected --errors, such as --errors 'result=\"error\"'."
            raise CommandError(ExitCode.USAGE, sentence)
        rules, words = [selector(f'any{{{names[0]}=~"5.."}}', "--errors")], f'{{{names[0]}=~"5.."}}'
    tests = [Selector(rule.text, "", rule.tests) for rule in rules]
    return tuple(series for series in found if any(test.matches(series.labels) for test in tests)), words
