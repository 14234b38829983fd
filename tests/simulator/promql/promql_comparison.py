"""When two answers of the HTTP API are the same answer."""

import json
import math

from promql_dataset import dataset

from controller.simulator.promql.api import HttpApi
from controller.simulator.promql.engine import Engine
from controller.simulator.promql.storage import Store

TOLERANCE = 1e-12  # relative; Go may fuse a multiplication and an addition, and sums follow the order of series


def simulated(**options):
    """Our API over the dataset."""
    store = Store()
    for labels, samples in dataset():
        series = store.series(labels)
        for time, value in samples:
            store.append(series, time, value)
    return HttpApi(Engine(store, **options), lambda: 0.0)


def tidy(status, body):
    """Status and data, or status and error, as they are after a trip through JSON."""
    return json.loads(json.dumps([status, body.get("data") or [body["errorType"], body["error"]]]))


def canonical(answer, *, ordered):
    """The answer with the order taken out that says nothing: that of series, unless they were sorted."""
    status, data = answer
    if status == 400:
        return [400, data[0]]  # the words of a syntax error are the parser's own
    if status != 200 or data["resultType"] in ("scalar", "string"):
        return answer
    rows = data["result"] if ordered else sorted(data["result"], key=lambda row: sorted(row["metric"].items()))
    return [status, {"resultType": data["resultType"], "result": rows}]


def same(ours, theirs):
    """Whether two JSON values are equal, numbers in strings within the tolerance."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs or same_number(ours, theirs)


def same_number(ours, theirs):
    """Whether two sample values are equal but for the last digits."""
    try:
        a, b = float(ours), float(theirs)
    except ValueError:
        return False
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=TOLERANCE)


def differences(query, ours, theirs):
    """Pairs of answers to one query that are not the same."""
    ordered = query.startswith("sort")
    pairs = zip(ours, theirs, strict=True)
    return [(mine, real) for mine, real in pairs if not same(canonical(mine, ordered=ordered), canonical(real, ordered=ordered))]
