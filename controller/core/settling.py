"""Whether the observed split is the granted one, and where it is not, which caller still has another.

Pure, like `traffic`, whose increments it reads.
"""

import math
from dataclasses import dataclass

from analysis.model import Labels
from controller.core import reasons
from controller.core.binomial import tails
from controller.core.traffic import Traffic
from controller.core.words import many

CONFIDENCE = 0.99
"""Of the interval in which the split must lie (design, Time)."""


@dataclass(frozen=True, slots=True)
class SplitVerdict:
    """Whether the observed split is the granted one.

    Attributes:
        settled: it is.
        observed_percent: green's share; None without requests.
        n: requests it rests on.
        why: the numbers, in words.
        at: newest sample that it rests on, Unix seconds; 0 without any.
        no_data: no usable sample since the change.
        too_few: there are samples, and too few requests in them.
    """

    settled: bool
    observed_percent: float | None = None
    n: float = 0.0
    why: str = ""
    at: float = 0.0
    no_data: bool = False
    too_few: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """What the split shall be.

    Attributes:
        since: the change was accepted, Unix seconds.
        percent: green's granted share.
        min_requests: that must have been seen.
        bypass: some routes send requests to green whatever the weights say.
        beside: some send requests to blue whatever the weights say.
        scrape_interval: seconds.
        reporter: whose counters these are.
    """

    since: float
    percent: int
    min_requests: int = 200
    bypass: bool = False
    beside: bool = False
    scrape_interval: float = 15.0
    reporter: str = "source"


def settled(traffic: Traffic, split: Split) -> SplitVerdict:
    """Whether the newest requests are split as granted.

    Looked at are the newest whole scrapes that hold at least `min_requests`, and only increments that
    begin after the change: requests from before it, and from the seconds in which the proxies learned of
    it, would otherwise keep a busy route unsettled for ever. The interval is the exact one of Clopper and
    Pearson, because 5 % of 200 requests are too few for a normal approximation; it is never narrower than
    its 99 %. With bypass routes only too little green is refused, and with rules that stay on blue only too much: what they add cannot be
    told apart.
    """
    if traffic.fault:
        return SplitVerdict(settled=False, why=reasons.say(traffic.fault, traffic.detail), no_data=True)
    arms = (traffic.green,) if split.percent >= 100 else (traffic.blue, traffic.green)  # noqa: PLR2004 - percent
    newest = max(arm.newest for arm in arms)
    if newest <= split.since:
        return SplitVerdict(settled=False, why="no sample since the change", no_data=True)
    blue, green, after = _newest_requests(traffic, split, newest)
    n = blue + green
    percent = 100 * green / n if n else None
    if n < max(split.min_requests, 1):
        why = _split_words(percent, n, split, f"{many(split.min_requests, 'request')} needed")
        return SplitVerdict(settled=False, observed_percent=percent, n=n, why=why, at=newest, too_few=True)
    if not green or (not blue and len(arms) > 1):
        why = _split_words(percent, n, split, f"no request of {'blue' if green else 'green'}; {callers(traffic, split, after)}")
        return SplitVerdict(settled=False, observed_percent=percent, n=n, why=why, at=newest)
    less, more = tails(round(green), round(n), split.percent / 100)
    half = (1 - CONFIDENCE) / 2
    agrees = (split.beside or less >= half) and (split.bypass or more >= half)
    bypass = "one-sided, because listed routes bypass the weights" if split.bypass else ""
    beside = "one-sided, because rules that are not moved send to blue" if split.beside else ""
    why = _split_words(percent, n, split, "; ".join(filter(None, (bypass, beside, "" if agrees else callers(traffic, split, after)))))
    return SplitVerdict(settled=agrees, observed_percent=percent, n=n, why=why, at=newest)


MOST_CALLERS = 3
"""So many callers are named where the split is another one than the granted."""


def callers(traffic: Traffic, split: Split, after: float) -> str:
    """Which split each caller has, in words, the one that is furthest from the granted first: a proxy that has not heard of the change."""
    counts: dict[str, list[float]] = {}
    for place, arm in enumerate((traffic.blue, traffic.green)):
        for one in arm.increments:
            if one.end > after and one.start >= split.since:
                counts.setdefault(_caller(one.series), [0.0, 0.0])[place] += one.requests
    shares = [(100 * green / (blue + green), blue + green, name) for name, (blue, green) in counts.items() if blue + green]
    shares.sort(key=lambda one: (-abs(one[0] - split.percent), one[2]))
    told = [f"{name} {share:.1f} % of {n:,.0f}" for share, n, name in shares[:MOST_CALLERS]]
    more = [f"{len(shares) - MOST_CALLERS} more"] if len(shares) > MOST_CALLERS else []
    return f"reporter {split.reporter}: {', '.join([*told, *more])}"


def _caller(series: Labels) -> str:
    """Whose requests a series counts: `namespace/workload`, or what of it is known."""
    found = dict(series)
    return "/".join(filter(None, (found.get(label, "") for label in ("source_workload_namespace", "source_workload")))) or "unknown"


def _newest_requests(traffic: Traffic, split: Split, newest: float) -> tuple[float, float, float]:
    """Blue's and green's requests in the fewest newest scrapes that hold enough, or in all since the change; and after when they end."""
    blue = green = 0.0
    after = split.since
    scrapes = max(1, math.ceil((newest - split.since) / split.scrape_interval))
    for count in range(1, scrapes + 1):
        # Half a scrape of slack: targets are scraped at their own moments, a little late at times.
        after = max(split.since, newest - (count + 0.5) * split.scrape_interval)
        blue, green = (arm.since(after, split.since) for arm in (traffic.blue, traffic.green))
        if blue + green >= max(split.min_requests, 1):
            break
    return blue, green, after


def _split_words(percent: float | None, n: float, split: Split, more: str) -> str:
    seen = f"observed {percent:.1f} %" if percent is not None else "no requests seen"
    tail = f"; {more}" if more else ""
    return f"{seen}, granted {split.percent} % (n = {n:,.0f}{tail})"
