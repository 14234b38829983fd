"""The samples on which our evaluator and the real Prometheus are compared.

Fixed numbers at fixed times: counters with resets and gaps, a series that ends with a staleness marker, one that
simply stops, NaN and infinities, histograms whole and broken, a series of one sample, samples exactly on edges.
"""

import math
from functools import partial

from controller.simulator.promql.gomath import STALE

BASE = 1_700_000_040  # a whole minute
TIMES = [BASE + 601.5, BASE + 1200, BASE + 1245.25, BASE + 2400, BASE + 3900]
RANGE = (BASE + 900, BASE + 2700, 450)


def scrapes(minutes=60, step=15.0, phase=3.217):
    """Scrape times in Unix seconds."""
    return [BASE + phase + step * index for index in range(int(minutes * 60 / step))]


def wobble(index, seed):
    """A number in [0, 1) that looks random and never changes."""
    return (math.sin(index * 12.9898 + seed * 78.233) * 43758.5453) % 1.0


def counter(seed, slope, resets=(), start=0.0):
    """Whole requests, rising; zero again after each reset."""
    value, out = start, []
    for index, time in enumerate(scrapes()):
        value = 0.0 if index in resets else value + math.floor(slope * (0.5 + wobble(index, seed)))
        out.append((time, value))
    return out


def gauge(function):
    """One value a scrape."""
    return [(time, function(index)) for index, time in enumerate(scrapes())]


def name(metric, /, **labels):
    """A label set."""
    return {"__name__": metric, **{key.rstrip("_"): value for key, value in labels.items()}}


def requests():
    """Counters of two colours, each with its own trouble."""
    requests = partial(name, "http_requests_total")
    yield requests(namespace="blue", pod="a", code="200"), counter(1, 400)
    yield requests(namespace="blue", pod="b", code="200"), counter(2, 380, resets={77})
    yield requests(namespace="blue", pod="a", code="500"), counter(3, 3)
    yield requests(namespace="green", pod="c", code="200"), counter(4, 40, resets={30, 33, 34, 90})
    vanished = counter(5, 30)[:80]
    yield requests(namespace="green", pod="d", code="200"), [*vanished, (vanished[-1][0] + 15, STALE)]
    yield requests(namespace="green", pod="c", code="503"), counter(6, 2)[38:]
    gap = counter(7, 9)
    yield requests(namespace="green", pod="d", code="404"), gap[:60] + gap[90:]
    again = counter(8, 5)
    yield requests(namespace="green", pod="e", code="500"), [*again[:70], (again[70][0], STALE), *again[76:]]


def histograms():
    """Two good histograms, one without +Inf, one whose buckets fall, one with a doubled bound."""
    bounds = ["0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"]
    for seed, namespace in enumerate(("blue", "green", "broken")):
        shares = [0.1, 0.35, 0.6, 0.8, 0.9, 0.97, 1.0]
        for bound, share in zip(bounds, shares, strict=True):
            if namespace == "broken" and bound == "+Inf":
                continue
            samples = [(time, math.floor(value * share)) for time, value in counter(20 + seed, 90, resets={50})]
            yield name("latency_bucket", namespace=namespace, le=bound), samples
    for bound, factor in (("0.1", 2.0), ("1", 1.0), ("1.0", 1.5), ("10", 3.0), ("+Inf", 4.0), ("nonsense", 1.0)):
        yield name("falling_bucket", le=bound), gauge(lambda index, factor=factor: factor * index)
    for bound, value in (("-1", 3.0), ("0", 5.0), ("+Inf", 9.0)):
        yield name("negative_bucket", le=bound), gauge(lambda _index, value=value: value)


def gauges():
    """Levels, with what levels can be."""
    for pod, limit in (("a", 4e8), ("b", 4e8), ("c", 2e8)):
        yield name("memory_usage_bytes", pod=pod), gauge(lambda index, limit=limit: limit * (0.5 + 0.4 * wobble(index, limit)))
        yield name("memory_limit_bytes", pod=pod), gauge(lambda _index, limit=limit: limit)
        yield name("pod_info", pod=pod, version="v" + pod, node="n1" if pod < "c" else "n2"), gauge(lambda _index: 1.0)
    odd = {3: math.nan, 20: math.inf, 35: -math.inf, 36: math.nan, 41: -0.0, 79: math.nan}
    yield name("temperature", room="odd"), gauge(lambda index: odd.get(index, -20 + 50 * wobble(index, 9)))
    yield name("temperature", room="cold"), gauge(lambda index: -5.5 - 3 * wobble(index, 10))
    yield name("temperature", room="nan"), gauge(lambda _index: math.nan)
    yield name("temperature", room="hot"), gauge(lambda index: math.inf if index > 70 else 30.25)
    yield name("queue_length", queue="mail"), gauge(lambda index: float(index // 7))
    yield name("queue_length", queue="print"), gauge(lambda _index: 7.0)
    yield name("tiny"), gauge(lambda index: 1e-9 * (1 + index / 7))
    yield name("huge"), gauge(lambda index: 1e300 * (1 + index))
    yield name("fraction"), gauge(lambda index: wobble(index, 13))
    yield name("deployed_at_seconds", app="x"), gauge(lambda index: 1_709_164_799.0 + index)


def edges():
    """Samples exactly on round times, a single sample, a flapping target, and awkward labels."""
    yield name("edge"), [(BASE + 60.0 * index, float(index)) for index in range(40)]
    yield name("edge_reset_total"), [(BASE + 60.0 * index, float(index % 4)) for index in range(40)]
    yield name("single"), [(BASE + 1190.0, 42.0)]
    yield name("lookback"), [(BASE + 900.0, 1.0)]
    yield name("up", job="api", instance="one:80"), gauge(lambda index: float(index % 5 != 0))
    yield name("up", job="api", instance="two:80"), gauge(lambda _index: 1.0)
    yield name("up", job="db", instance="three:5432"), gauge(lambda _index: 1.0)
    yield name("twin_a", x="1"), gauge(float)
    yield name("twin_b", x="1"), gauge(lambda index: 2.0 * index)
    yield name("awkward", path='a.b|c "q"\n', kind="é"), gauge(lambda _index: 1.0)
    yield name("awkward", path="axb", kind=""), gauge(lambda _index: 2.0)
    yield name("awkward", path="line\nbreak", kind="z"), gauge(lambda _index: 3.0)


def dataset():
    """All series: label sets and (Unix seconds, value) pairs."""
    return [*requests(), *histograms(), *gauges(), *edges()]
