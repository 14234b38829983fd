"""Functions over instant vectors and scalars."""

import calendar
import math
import re
import time
from collections.abc import Callable, Iterable, Sequence

from analysis.model import Labels
from controller.simulator.promql import labels as lb
from controller.simulator.promql.errors import ExecutionError
from controller.simulator.promql.gomath import NAN, ceil, floor, larger, log2, log10, logarithm, safe, smaller, square_root
from controller.simulator.promql.matchers import Matcher, compile_regex
from controller.simulator.promql.nodes import InstantSelector, ScalarNode, Values, VectorNode, ascending, descending


class Map(VectorNode):
    """A function of each element and scalar parameters; the metric name goes."""

    def __init__(self, child: VectorNode, function: Callable[..., float | None], parameters: Sequence[ScalarNode] = ()) -> None:
        super().__init__()
        self._child, self._function, self._parameters = child, function, tuple(parameters)

    def resolve(self) -> None:
        """The child's slots without metric names."""
        self._child.resolve()
        for parameter in self._parameters:
            parameter.resolve()
        self.set_labels([lb.drop_name(labels) for labels in self._child.labels])

    def values(self, now: int) -> Values:
        """The function of each element."""
        function, parameters = self._function, [parameter.value(now) for parameter in self._parameters]
        return self.checked([None if value is None else function(value, *parameters) for value in self._child.values(now)])


def _clamp(value: float, low: float, high: float) -> float | None:
    """Within both limits; nothing where they cross."""
    return None if high < low else larger(low, smaller(high, value))


def _round(value: float, nearest: float = 1.0) -> float:
    """To a multiple of `nearest`, halves up, computed as Prometheus does (by the inverse)."""
    inverse = 1.0 / nearest if nearest else math.copysign(math.inf, nearest)
    return floor(value * inverse + 0.5) / inverse


def _sign(value: float) -> float:
    """-1, 0 or 1; NaN stays."""
    return -1.0 if value < 0 else 1.0 if value > 0 else value


def _calendar(pick: Callable[[time.struct_time], int]) -> Callable[[float], float]:
    """A part of the UTC date of a Unix time; NaN for what is no date, where Prometheus gives an arbitrary number."""

    def part(value: float) -> float:
        try:
            return float(pick(time.gmtime(math.floor(value))))
        except (ValueError, OverflowError, OSError):
            return NAN

    return part


MAPS: dict[str, Callable[..., float | None]] = {
    "abs": abs,
    "ceil": ceil,
    "floor": floor,
    "round": _round,
    "exp": safe(math.exp),
    "ln": logarithm(math.log),
    "log2": logarithm(log2),
    "log10": logarithm(log10),
    "sqrt": square_root,
    "sgn": _sign,
    "clamp": _clamp,
    "clamp_min": larger,
    "clamp_max": smaller,
    "deg": lambda value: value * 180 / math.pi,
    "rad": lambda value: value * math.pi / 180,
    "sin": safe(math.sin),
    "cos": safe(math.cos),
    "tan": safe(math.tan),
    "asin": safe(math.asin),
    "acos": safe(math.acos),
    "atan": safe(math.atan),
    "sinh": safe(math.sinh),
    "cosh": safe(math.cosh),
    "tanh": safe(math.tanh),
    "asinh": safe(math.asinh),
    "acosh": safe(math.acosh),
    "atanh": safe(math.atanh),
}
"""Element by element, with scalars behind the element."""

DATES: dict[str, Callable[[float], float]] = {
    "minute": _calendar(lambda date: date.tm_min),
    "hour": _calendar(lambda date: date.tm_hour),
    "day_of_week": _calendar(lambda date: (date.tm_wday + 1) % 7),
    "day_of_month": _calendar(lambda date: date.tm_mday),
    "day_of_year": _calendar(lambda date: date.tm_yday),
    "days_in_month": _calendar(lambda date: calendar.monthrange(date.tm_year, date.tm_mon)[1]),
    "month": _calendar(lambda date: date.tm_mon),
    "year": _calendar(lambda date: date.tm_year),
}
"""Parts of a date; without an argument of the evaluation time."""


class Time(ScalarNode):
    """The evaluation time, Unix seconds."""

    def value(self, now: int) -> float:
        """Seconds."""
        return now / 1000


class ScalarOf(ScalarNode):
    """The only element of a vector, else NaN."""

    def __init__(self, child: VectorNode) -> None:
        self._child = child

    def resolve(self) -> None:
        """The child's slots."""
        self._child.resolve()

    def value(self, now: int) -> float:
        """The element, or NaN for none or several."""
        present = [value for value in self._child.values(now) if value is not None]
        return present[0] if len(present) == 1 else NAN


class Negative(ScalarNode):
    """Unary minus of a scalar."""

    def __init__(self, child: ScalarNode) -> None:
        self._child = child

    def resolve(self) -> None:
        """The child may stand on vectors."""
        self._child.resolve()

    def value(self, now: int) -> float:
        """The number with the other sign."""
        return -self._child.value(now)


class VectorOf(VectorNode):
    """A scalar as a vector of one element without labels."""

    def __init__(self, child: ScalarNode) -> None:
        super().__init__()
        self._child = child

    def resolve(self) -> None:
        """One slot."""
        self._child.resolve()
        self.labels = [()]

    def values(self, now: int) -> Values:
        """[the scalar]."""
        return [self._child.value(now)]


class Timestamp(VectorNode):
    """When each element was scraped; of anything but a selector, the evaluation time."""

    def __init__(self, child: VectorNode) -> None:
        super().__init__()
        self._child = child

    def resolve(self) -> None:
        """The child's slots without metric names."""
        self._child.resolve()
        self.set_labels([lb.drop_name(labels) for labels in self._child.labels])

    def values(self, now: int) -> Values:
        """Unix seconds."""
        if isinstance(self._child, InstantSelector):
            return self.checked(self._child.sample_times(now))
        return self.checked([None if value is None else now / 1000 for value in self._child.values(now)])


class Absent(VectorNode):
    """1 where the child has no element, with the labels that its selector fixes."""

    def __init__(self, child: VectorNode, matchers: Sequence[Matcher]) -> None:
        super().__init__()
        self._child, self._matchers = child, tuple(matchers)

    def resolve(self) -> None:
        """One slot."""
        self._child.resolve()
        self.labels = [lb.absent_labels(self._matchers)]

    def values(self, now: int) -> Values:
        """[1] or [None]."""
        return [1.0 if all(value is None for value in self._child.values(now)) else None]


class Sort(VectorNode):
    """`sort` and `sort_desc`: only the order in the answer changes, and only when they stand outermost."""

    def __init__(self, child: VectorNode, *, reverse: bool) -> None:
        super().__init__()
        self._child, self._ranking = child, descending if reverse else ascending

    def resolve(self) -> None:
        """The child's slots."""
        self._child.resolve()
        self.set_labels(self._child.labels)

    def values(self, now: int) -> Values:
        """The child's."""
        return self._child.values(now)

    def order(self, values: Values) -> Iterable[int]:
        """By value, NaN at the end."""
        return self._ranking(values)


class Relabel(VectorNode):
    """`label_replace` and `label_join`: new labels, same values."""

    def __init__(self, child: VectorNode, rewrite: Callable[[Labels], Labels]) -> None:
        super().__init__()
        self._child, self._rewrite = child, rewrite

    def resolve(self) -> None:
        """The child's slots with other labels."""
        self._child.resolve()
        self.set_labels([self._rewrite(labels) for labels in self._child.labels])

    def values(self, now: int) -> Values:
        """The child's.

        Raises:
            ExecutionError: two elements became equal.
        """
        return self.checked(self._child.values(now))


_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")


def label_replace(target: str, replacement: str, source: str, regex: str) -> Callable[[Labels], Labels]:
    """Set `target` to the replacement where the whole of `source` matches.

    Raises:
        ExecutionError: `target` cannot be a label name.
    """
    if not lb.is_name(target):
        raise ExecutionError(f"invalid destination label name in label_replace(): {target}")
    pattern = compile_regex(regex)

    def group_text(found: re.Match[str], name: str) -> str:
        try:
            return found[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    def rewrite(labels: Labels) -> Labels:
        match = pattern.fullmatch(lb.get(labels, source))
        if match is None:
            return labels
        value = _REFERENCE.sub(lambda ref: "$" if ref[0] == "$$" else group_text(match, ref[1] or ref[2]), replacement)
        return lb.put(labels, target, value)

    return rewrite


def label_join(target: str, separator: str, sources: Sequence[str]) -> Callable[[Labels], Labels]:
    """Set `target` to the values of the sources, joined.

    Raises:
        ExecutionError: `target` or a source cannot be a label name.
    """
    if not lb.is_name(target):
        raise ExecutionError(f"invalid destination label name in label_join(): {target}")
    for source in sources:
        if not lb.is_name(source):
            raise ExecutionError(f"invalid source label name in label_join(): {source}")
    return lambda labels: lb.put(labels, target, separator.join(lb.get(labels, source) for source in sources))
