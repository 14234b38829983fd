"""Functions over ranges: `rate` and its kin, `*_over_time`, regressions.

Each takes a window (a track and two indices, at least one sample) and gives a float, or None where it
gives no element. Formulas and their order of operations are those of Prometheus 2.42
(`promql/functions.go`), so that results agree to the last digits; `rate` and its kin follow 3 where an engine does.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise

from controller.simulator.promql import labels as lb
from controller.simulator.promql.gomath import NAN, kahan_add, quantile_of, square_root
from controller.simulator.promql.nodes import RangeNode, ScalarNode, Values, VectorNode
from controller.simulator.promql.storage import Track

RangeFunction = Callable[[Track, int, int, float, int], float | None]
"""Track, start and stop index, the scalar parameter (0 where there is none), evaluation time (ms)."""


class Extrapolated(VectorNode):
    """`rate`, `increase` and `delta`: the change between the first and last sample, stretched to the range."""

    def __init__(self, source: RangeNode, *, counter: bool, per_second: bool) -> None:
        super().__init__()
        self._source, self._counter = source, counter
        self._divisor = source.seconds if per_second else 1.0

    def resolve(self) -> None:
        """The source's slots without metric names."""
        self._source.resolve()
        self.set_labels([lb.drop_name(labels) for labels in self._source.labels])

    def values(self, now: int) -> Values:
        """One number for each series with two samples or more."""
        source, counter, divisor, third = self._source, self._counter, self._divisor, self._source.third
        start, end = source.bounds(now)
        out: Values = []
        for track, low, stop in source.windows(now):
            high = stop - 1
            if high <= low:
                out.append(None)
                continue
            values, times = track.values, track.times
            first, first_time, last_time = values[low], times[low], times[high]
            change = values[high] - first
            if counter and (restarts := track.resets()) and restarts[-1] > low:
                for index in restarts[bisect_right(restarts, low) : bisect_right(restarts, high)]:
                    change += values[index - 1]
            sampled = (last_time - first_time) / 1000
            average = sampled / (high - low)
            before, after = (first_time - start) / 1000, (end - last_time) / 1000
            # A counter cannot have been below zero: it is stretched no further back than to where it was zero.
            zero = sampled * (first / change) if counter and change > 0 and first >= 0 else math.inf
            threshold = average * 1.1
            if third:
                before = min(before if before < threshold else average / 2, zero)
            else:
                before = min(before, zero)
                before = before if before < threshold else average / 2
            stretched = sampled + before + (after if after < threshold else average / 2)
            out.append(change * (stretched / sampled / divisor))
        return self.checked(out) if self.clashes else out


class RangeCall(VectorNode):
    """Any other function over a range."""

    def __init__(self, source: RangeNode, function: RangeFunction, parameter: ScalarNode, *, keeps_name: bool) -> None:
        super().__init__()
        self._source, self._function, self._parameter, self._keeps_name = source, function, parameter, keeps_name

    def resolve(self) -> None:
        """The source's slots, without metric names unless the function is `last_over_time`."""
        self._parameter.resolve()
        self._source.resolve()
        self.set_labels([labels if self._keeps_name else lb.drop_name(labels) for labels in self._source.labels])

    def values(self, now: int) -> Values:
        """The function of each window that has samples."""
        parameter, function = self._parameter.value(now), self._function
        return self.checked(
            [function(track, low, stop, parameter, now) if stop > low else None for track, low, stop in self._source.windows(now)]
        )


class AbsentOverTime(VectorNode):
    """1 with the selector's equality labels, where no series has a sample in the range."""

    def __init__(self, source: RangeNode) -> None:
        super().__init__()
        self._source = source

    def resolve(self) -> None:
        """One slot."""
        self._source.resolve()
        self.labels = [lb.absent_labels(self._source.matchers)]

    def values(self, now: int) -> Values:
        """[1] or [None]."""
        return [None if any(stop > low for _, low, stop in self._source.windows(now)) else 1.0]


def _instant(track: Track, low: int, stop: int, *, counter: bool) -> tuple[float, float] | None:
    """Change between the last two samples, and the seconds between them."""
    if stop - low <= 1:
        return None
    last, previous = track.values[stop - 1], track.values[stop - 2]
    change = last if counter and last < previous else last - previous
    return change, (track.times[stop - 1] - track.times[stop - 2]) / 1000


def irate(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float | None:
    """Per-second rate between the last two samples."""
    found = _instant(track, low, stop, counter=True)
    return None if found is None else found[0] / found[1]


def idelta(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float | None:
    """Difference of the last two samples."""
    found = _instant(track, low, stop, counter=False)
    return None if found is None else found[0]


def changes(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float:
    """How often the value changed; NaN equals NaN."""
    values = track.values[low:stop]
    return float(sum(new != old and not (math.isnan(new) and math.isnan(old)) for old, new in pairwise(values)))


def resets(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float:
    """How often the value fell."""
    return float(sum(low < index < stop for index in track.resets()))


def _regression(track: Track, low: int, stop: int, intercept_ms: int) -> tuple[float, float]:
    """Slope per second and the value at the intercept time, by least squares."""
    times, values = track.times[low:stop], track.values[low:stop]
    if all(value == values[0] for value in values):
        return (NAN, NAN) if math.isinf(values[0]) else (0.0, values[0])
    x_sum = y_sum = xy_sum = xx_sum = x_carry = y_carry = xy_carry = xx_carry = 0.0
    for time, y in zip(times, values, strict=True):
        x = (time - intercept_ms) / 1000
        x_sum, x_carry = kahan_add(x, x_sum, x_carry)
        y_sum, y_carry = kahan_add(y, y_sum, y_carry)
        xy_sum, xy_carry = kahan_add(x * y, xy_sum, xy_carry)
        xx_sum, xx_carry = kahan_add(x * x, xx_sum, xx_carry)
    n = stop - low
    x_sum, y_sum, xy_sum, xx_sum = x_sum + x_carry, y_sum + y_carry, xy_sum + xy_carry, xx_sum + xx_carry
    slope = (xy_sum - x_sum * y_sum / n) / (xx_sum - x_sum * x_sum / n)
    return slope, y_sum / n - slope * x_sum / n


def deriv(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float | None:
    """Per-second slope of the regression line."""
    return _regression(track, low, stop, track.times[low])[0] if stop - low > 1 else None


def predict_linear(track: Track, low: int, stop: int, parameter: float, now: int) -> float | None:
    """The regression line, so many seconds from now."""
    if stop - low <= 1:
        return None
    slope, intercept = _regression(track, low, stop, now)
    return slope * parameter + intercept


def sum_over_time(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float:
    """Compensated sum."""
    total = carry = 0.0
    for value in track.values[low:stop]:
        total, carry = kahan_add(value, total, carry)
    return total if math.isinf(total) else total + carry


def avg_over_time(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float:
    """Running mean, which cannot overflow."""
    mean = carry = 0.0
    for count, value in enumerate(track.values[low:stop], 1):
        if math.isinf(mean) and (mean == value or math.isfinite(value)):
            continue
        mean, carry = kahan_add(value / count - mean / count, mean, carry)
    return mean if math.isinf(mean) else mean + carry


def count_over_time(_track: Track, low: int, stop: int, _parameter: float, _now: int) -> float:
    """How many samples."""
    return float(stop - low)


def last_over_time(track: Track, _low: int, stop: int, _parameter: float, _now: int) -> float:
    """The newest sample."""
    return track.values[stop - 1]


def present_over_time(_track: Track, _low: int, _stop: int, _parameter: float, _now: int) -> float:
    """1 for a series with samples."""
    return 1.0


def _numbers(values: Sequence[float]) -> Sequence[float]:
    """Without NaN, unless there is nothing else."""
    return values if values[0] == values[0] else [value for value in values if value == value] or values  # noqa: PLR0124 - not NaN


def max_over_time(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float:
    """The largest; NaN only where all are."""
    return max(_numbers(track.values[low:stop]))


def min_over_time(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float:
    """The smallest; NaN only where all are."""
    return min(_numbers(track.values[low:stop]))


def quantile_over_time(track: Track, low: int, stop: int, parameter: float, _now: int) -> float:
    """The quantile of the samples."""
    return quantile_of(parameter, list(track.values[low:stop]))


def stdvar_over_time(track: Track, low: int, stop: int, _parameter: float, _now: int) -> float:
    """Population variance."""
    mean = mean_carry = squares = squares_carry = 0.0
    for count, value in enumerate(track.values[low:stop], 1):
        delta = value - (mean + mean_carry)
        mean, mean_carry = kahan_add(delta / count, mean, mean_carry)
        squares, squares_carry = kahan_add(delta * (value - (mean + mean_carry)), squares, squares_carry)
    return (squares + squares_carry) / (stop - low)


def stddev_over_time(track: Track, low: int, stop: int, parameter: float, now: int) -> float:
    """Population standard deviation."""
    return square_root(stdvar_over_time(track, low, stop, parameter, now))


EXTRAPOLATED: dict[str, tuple[bool, bool]] = {"rate": (True, True), "increase": (True, False), "delta": (False, False)}
"""Name: whether the input is a counter, whether the result is per second."""

RANGE_FUNCTIONS: dict[str, RangeFunction] = {
    "irate": irate,
    "idelta": idelta,
    "changes": changes,
    "resets": resets,
    "deriv": deriv,
    "predict_linear": predict_linear,
    "sum_over_time": sum_over_time,
    "avg_over_time": avg_over_time,
    "count_over_time": count_over_time,
    "last_over_time": last_over_time,
    "present_over_time": present_over_time,
    "max_over_time": max_over_time,
    "min_over_time": min_over_time,
    "quantile_over_time": quantile_over_time,
    "stdvar_over_time": stdvar_over_time,
    "stddev_over_time": stddev_over_time,
}
