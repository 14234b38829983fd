"""The results of `bench.analysis` as the page docs/analysis/figures.md."""

import math
import re
from pathlib import Path

from analysis.numbers import lower_bound, upper_bound

AIMS = {
    "1->2 % @50": 810,
    "0.1->1 % @50": 270,
    "1->5 % @50": 80,
    "p95 x1.5 @50": 70,
    "1->2 % @500": 90,
    "0.1->1 % @500": 30,
    "1->5 % @500": 10,
    "1->5 % @5": 750,
}
"""The row to reach: medians of seconds, guard off."""

LATE_AIMS = {50: 430, 500: 70}
"""What a regression that begins later is to be found in at most, guard off, by requests a second."""

GUARD_BOUND = 0.011
"""What the lower bound may be in the settings of bursts and drift."""

TRIES = Path(__file__).parent / "analysis_tries.md"
IDEAS = Path(__file__).parent / "analysis_ideas.md"
LATENCY = Path(__file__).parent / "analysis_latency.md"

HEAD = """# Figures of the analysis

Written by `make bench-analysis` (`python -m bench.analysis --write`); the raw times are in `bench/analysis_results.jsonl`. Every
release lasts 75 minutes: 5, 25 and 50 % for 20 minutes each, 100 % for 15, with a look every 10 s; all checks share alpha = 1 %
(errors 0.5, latency 0.3, limit of 1 % and worse than blue 0.2). The engine is a numpy twin of `analysis/` (12,000 random ticks
agree to 1e-12, `tests/analysis/test_twin.py`); the first release of each cell also goes through the product's own path, from
scraped counters on, and [a sample of the cells](#whole-releases) through the controller, too. "Guard off": phi = 1, no cap, the
true rate in history. "Product's defaults": the cap, and phi = 2 or what blue's errors of the time before show, if that is more (a
quarter of an hour of its scrapes, an hour and a half of its pods). The peers' rules: at most 1 % errors and a p95 of at most 300 ms
over the last minute (healthy 214 ms, slow 321 ms), asked every minute; Kayenta's judge on the same two by the minute; z-tests of
errors and of the share beyond 250 ms.
"""

TIMES = """
## Median seconds to the rollback

{table}

A dash: fewer than half of the releases were rolled back after it began. \\* The rule also rolls back more than a tenth of the
healthy releases with that error rate, so its time says nothing. The releases are independent draws, 2,000 a cell (400 of
latency), the same for all rows: a median is off by a look or two by chance (the row's own cells too).
"""

FALSE = """
## False rollbacks

Percent of healthy releases, with the exact 95 % interval. "Boundary" is the worst that the null allows (1.1 times blue and 0.05
points more, which the peers' rules are not asked to accept); "incident": both arms have 50 times their error rate for 15
minutes.

{table}
"""

SIMULATED = """
## Whole releases

The same cells as whole releases in [the simulator](../simulator.md): its users' requests, its proxies' counters, its Prometheus, and
the production controller that asks, judges, decides and moves the weights. The plan has the table's stages, and sequential checks of
errors and latency with the product's defaults. The twin was fed the counters that the simulated Prometheus had scraped, differenced by
numpy: at {looks} looks of {releases} releases ln E is the same to {gap}, and {same} of {releases} went back at the tick at which
the twin reaches the bound, or succeeded where it never does. The raw times are in `bench/analysis_releases.jsonl`.

{table}

Seconds from the first weight, or from the beginning of the regression, to the controller's decision. "The twin alone" is the same
cell's median above; there a scrape is judged in the second in which it is made. Here a tick is judged when every proxy was scraped
after it, at the first look then, {late} s after its end; there is no check against a limit, which finds 1 to 2 % earlier; and the same
few seeds in every cell make some of them lucky together.
"""

GUARD = """
## Requests that depend on each other

0.5 % errors on both arms, in bursts (geometric sizes of that mean), with drift of the logarithm of the rate (memory 10 minutes):
together, or each arm by itself ("apart": there green really is worse than blue by more than the tolerance at times, without
anything being wrong with it). "Measured": phi and the rate come from six hours of blue before the release, its pods in halves, as
the pre-flight measures them; "defaults": nobody measured, and phi is 2 or more where blue's errors show more: of a scrape those of the
last quarter of an hour, between the versions how its pods differed over minutes in the hour and a half before the release.
The limit is 5 % here: where drift breaks a limit while blue has no traffic, rolling back is right. Percent of healthy releases rolled
back, with the exact 95 % lower bound.

{table}

### What power is left

Median seconds to the rollback (share found); bursts of one are independent requests.

{power}
"""

_AT_LEAST = re.compile(r"at least ([0-9.]+)")

SLOW = """
## Latency that depends on itself

`python -m bench.analysis_latency`, other draws: 2,000 healthy releases a cell, the errors silent. Requests come in groups (geometric sizes
of that mean) that share one duration; all durations drift together, or each version's by itself (memory 10 minutes): 3 % more is 5 % more
requests beyond 100 ms, 12 % beyond 250 and 18 % beyond 500. Nobody measured blue. Percent of healthy releases rolled back, with the exact
95 % lower bound.

{healthy}

With a dispersion of 2 alone {two} of the {settings} settings refute the bound of 1.1 %; with what a release sees by itself in the hour
and a half before its first weight (how blue's slow requests came together from minute to minute, and how the halves of its pods
differed) {product}. The price is paid where requests do come in groups; median seconds to the rollback (share found within the stages
that have both versions):

{power}
"""

TRIED = """
## What the numbers say

{reached}
- The bound holds wherever its assumptions do: no cell of independent requests refutes alpha, the boundary of the null included.
- Without the guard bursts refute it, which is why the guard is not optional. With what a release sees by itself, in blue's quarter of
  an hour and its pods' hour and a half before the first weight, the lower bound is at most 1.1 % in {kept} settings of bursts and
  drift. With phi measured over hours, pod by pod, it is in all {settings}, and where requests are independent most of the time comes
  back (0.1 to 1 % @50: {measured} s instead of {defaults} s). So let it be measured: six hours of blue.
- Fixed rules answer another question: whether an error rate is above a line. A healthy release near the line is rolled back, a
  regression below it (0.1 % to 0.9 %) never is.

## What else was tried

`python -m bench.analysis_tries`, one change at a time: medians of 400 releases in the row's cells, and false rollbacks at the
boundary of the null (1,000 releases). Guard off where nothing else is said; the phi of 2 is fixed here.

{tries}

- The mixture is flat around its best: finer or coarser grids, other shares at the start, at a stage or in between, and what the
  history is worth move a median by 4 % at most where the history is right.
- Weights trade one cell for another: 0.4 for the limit finds 1 to 2 % (at the limit) a minute earlier and 0.1 to 1 % a look later.
- A tolerance of 1.0 is 10 % faster near it; that is another question and not more power. (The last column is no false rate there:
  the release at our boundary is worse than such a plan tolerates.)
- Under the guard the cap costs two looks, phi costs the rest. So power is won by measuring phi, not by another bet: see above,
  bursts of one.

`python -m bench.analysis_ideas`, other draws. Strata: ten routes with equal traffic, the errors alone with their weight of a half.

{strata}

- One bad route of ten is found earlier where each route has a bet of its own; a fault on all routes then takes two to four times as
  long. Half of the capital on each costs 10 to 20 % in the common case and wins 20 to 60 % in the other. It is not in the product: most
  faults are of a version and not of a route, and ten states do not fit into a status. A check on a route's own counters does it by
  hand, with a weight that its author chooses.

Bets, guard off; releases as in the table above, with the boundary of the null last.

{bets}

- Betting on the rate that was seen so far, by half, wins two looks near the tolerance and loses one or two elsewhere: the grid is as good.
- More of the capital near the tolerance wins nothing there either. What is left of the overhead is the bound itself.
- History shared by releases has nothing to give to the bet: its rate three times too high or too low moves a handful of
  400 times, because every bet is a multiple of the boundary at that rate. What history does give is phi.

The guard, phi measured over six hours where nothing else is said; the last three cells are false rollbacks of 1,000 healthy releases.

{guards}

- A larger cap wins a look in the fastest cells, and its false rate stays within alpha where phi is right. But then two scrapes, or
  one, decide over a release; the cap stays at a half.
- A cap on a minute makes everything slow that is fast, and buys nothing.
- phi by the share of the traffic is right: the bursts' phi alone lets drift through, the widest everywhere costs up to 3 %.
- phi from the last quarter of an hour of blue's own scrapes, at least 2, needs no pods and no preparation and keeps the bursts, but not
  arms that drift apart by a fifth at 500 requests a second (8 and 4 % false). Blocks of up to five minutes of that quarter left 3 %;
  of an hour of its pods they leave 0.2 to 0.7 % (600 releases), and cost no power where the pods do not drift: both are what the product
  does now where nobody measured.
"""


SUMMARY = re.compile(r"<!-- make bench-analysis -->\n.*?<!-- end of bench-analysis -->", re.DOTALL)
"""Where the README has its table."""


def by_judge(cells, results) -> dict:
    """Seconds to the rollback by cell and judge, None where there was none."""
    return {
        cell.name: {
            judge: [t for part in results[cell.name] for t in part["times"].get(judge, ())] for judge in results[cell.name][0]["times"]
        }
        for cell in cells
    }


def with_summary(text: str, cells, results) -> str:
    """The README with its table: median seconds, and false rollbacks of healthy releases at 50 requests a second."""
    held = by_judge(cells, results)
    power = [cell for cell in cells if cell.name in AIMS]
    healthy = [cell for cell in cells if cell.kind == "false" and cell.name.endswith(" % @50") and cell.p_b == cell.p_g]
    lines = _times(power, held, _healthy(cells), aims=True).splitlines()
    rates = " / ".join(f"{100 * cell.p_b:g}" for cell in healthy)
    more = [f"false, {rates} % @50", "--:", "0.00 / 0.00 / 0.05 %"]
    for judge in held[power[0].name]:
        times = [held[cell.name][judge] for cell in healthy]
        more.append(" / ".join(f"{_percent(one):.2f}" if _percent(one) < 10 else f"{_percent(one):.0f}" for one in times) + " %")
    table = "\n".join(f"{line} {one} |" for line, one in zip(lines, more, strict=True))
    return SUMMARY.sub(lambda _: f"<!-- make bench-analysis -->\n{table}\n<!-- end of bench-analysis -->", text)


def _percent(times) -> float:
    return 100 * sum(t is not None for t in times) / len(times)


def _at_least(times) -> float:
    """The exact 95 % lower bound of the share that was rolled back."""
    return lower_bound(sum(t is not None for t in times), len(times), 0.95)


def _healthy(cells) -> dict[float, str]:
    """The cell of healthy releases at 50 requests a second, by error rate."""
    return {
        cell.p_b: cell.name
        for cell in cells
        if cell.kind == "false" and cell.p_b == cell.p_g and cell.incident[2] == 1 and cell.per_second == 50
    }


def document(cells, results, releases) -> str:
    """The whole page."""
    held = by_judge(cells, results)
    power, healthy, guard = ([cell for cell in cells if cell.kind == kind] for kind in ("power", "false", "guard"))
    wrong = _healthy(cells)
    text = HEAD
    if power:
        early = [cell for cell in power if not cell.onset]
        late = [cell for cell in power if cell.onset]
        text += TIMES.format(
            table=_times(early, held, wrong, aims=True)
            + "\n\nSeconds after a regression that begins later:\n\n"
            + _times(late, held, wrong)
        )
    if healthy:
        text += FALSE.format(table=_rates(healthy, held))
    if releases:
        text += _simulated(cells, held, releases)
    depend = [cell for cell in guard if cell.p_b == cell.p_g]
    if guard:
        left = [cell for cell in guard if cell.p_b != cell.p_g]
        text += GUARD.format(table=_lower(depend, held), power=_left(left, held))
    text += _slow()
    strata, bets, guards = IDEAS.read_text().strip().split("\n\n")
    words = {"tries": TRIES.read_text().strip(), "strata": strata, "bets": bets, "guards": guards}
    kept = sum(_at_least(held[cell.name]["this method, guard defaults"]) <= GUARD_BOUND for cell in depend)
    words |= {"kept": f"{kept} of {len(depend)}", "settings": str(len(depend))}
    for way in ("measured", "defaults"):
        seconds = median(held.get("0.1->1 % @50, bursts of 1", {}).get(f"this method, guard {way}", ()))
        words[way] = f"{seconds:,.0f}" if math.isfinite(seconds) else "-"
    return text + TRIED.format(reached=_reached(power, held), **words)


def _slow() -> str:
    healthy, power = LATENCY.read_text().strip().split("\n\n")
    lows = [[float(low) for low in _AT_LEAST.findall(line)] for line in healthy.splitlines()[2:]]
    refuted = [sum(low > 100 * GUARD_BOUND for low in way) for way in zip(*lows, strict=True)]
    return SLOW.format(healthy=healthy, power=power, two=refuted[0], product=refuted[1] or "none", settings=len(lows))


def _row(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def _head(names) -> list[str]:
    return [_row(names), _row(["---", *["--:"] * (len(names) - 1)])]


def median(times, onset=0.0) -> float:
    """Seconds after the onset; infinite where fewer than half were rolled back."""
    known = sorted(math.inf if t is None else t for t in times)
    return known[(len(known) - 1) // 2] - onset if known else math.inf


def _times(cells, held, wrong, *, aims=False) -> str:
    if not cells:
        return ""
    rows = _head(["", *[cell.name for cell in cells]])
    if aims:
        rows.append(_row(["the row to reach", *[f"{AIMS[cell.name]:,}" for cell in cells]]))
    for judge in held[cells[0].name]:
        said = []
        for cell in cells:
            seconds = median(held[cell.name][judge], cell.onset)
            healthy = held.get(wrong.get(cell.p_b, ""), {}).get(judge)
            star = "\\*" if healthy and sum(t is not None for t in healthy) > len(healthy) / 10 else ""
            said.append(f"{seconds:,.0f}{star}" if math.isfinite(seconds) and seconds > 0 else f"-{star}")
        rows.append(_row([judge, *said]))
    return "\n".join(rows)


def _rates(cells, held) -> str:
    rows = _head(["", *[cell.name for cell in cells]])
    for judge in held[cells[0].name]:
        said = []
        for cell in cells:
            times = held[cell.name][judge]
            bad, n = sum(t is not None for t in times), len(times)
            said.append(f"{100 * bad / n:.2f} ({100 * lower_bound(bad, n, 0.975):.2f} to {100 * upper_bound(bad, n, 0.975):.2f})")
        rows.append(_row([judge, *said]))
    return "\n".join(rows)


def _simulated(cells, held, releases) -> str:
    rows = _head(["", "releases", "went back", "median seconds (least to most)", "the twin alone (5 to 95 %)"])
    for cell in cells:
        mine = [one["seconds"] for one in releases if one["cell"] == cell.name]
        if mine:
            back = sorted(seconds - cell.onset for seconds in mine if seconds is not None)
            spread = f"{median(mine, cell.onset):,.0f} ({back[0]:,.0f} to {back[-1]:,.0f})" if len(back) > len(mine) / 2 else "-"
            alone = sorted(math.inf if t is None else t - cell.onset for t in held[cell.name]["this method, product's defaults"])
            low, middle, high = (alone[int(len(alone) * share)] for share in (0.05, 0.5, 0.95))
            twin = f"{middle:,.0f} ({low:,.0f} to {high:,.0f})" if math.isfinite(high) else "-"
            rows.append(_row([cell.name, str(len(mine)), str(len(back)), spread, twin]))
    late = sorted({round(one["late"]) for one in releases if one["late"] is not None})
    return SIMULATED.format(
        table="\n".join(rows),
        looks=f"{sum(one['looks'] for one in releases):,}",
        releases=f"{len(releases):,}",
        same=f"{sum(one['same'] for one in releases):,}",
        gap=f"{max(one['gap'] for one in releases):.0e}",
        late=" to ".join(f"{second}" for second in dict.fromkeys([late[0], late[-1]])) if late else "-",
    )


def _lower(cells, held) -> str:
    judges = list(held[cells[0].name]) if cells else []
    rows = _head(["", *judges])
    for cell in cells:
        said = []
        for judge in judges:
            times = held[cell.name][judge]
            said.append(f"{_percent(times):.2f} (at least {100 * _at_least(times):.2f})")
        rows.append(_row([cell.name, *said]))
    return "\n".join(rows)


def _left(cells, held) -> str:
    judges = list(held[cells[0].name]) if cells else []
    rows = _head(["", *judges])
    for cell in cells:
        said = []
        for judge in judges:
            times, seconds = held[cell.name][judge], median(held[cell.name][judge])
            share = f"{100 * sum(t is not None for t in times) / len(times):.0f} %"
            said.append(f"{seconds:,.0f} ({share})" if math.isfinite(seconds) else f"- ({share})")
        rows.append(_row([cell.name, *said]))
    return "\n".join(rows)


def _reached(cells, held) -> str:
    said = []
    early = [(cell, AIMS[cell.name]) for cell in cells if cell.name in AIMS]
    late = [(cell, LATE_AIMS[cell.per_second]) for cell in cells if cell.onset]
    for what, judged in (("The row is reached", early), ("A regression that begins later is found in the time to reach", late)):
        missed = []
        for cell, aim in judged:
            seconds = median(held[cell.name]["this method, guard off"], cell.onset)
            if seconds > aim + max(10, 0.05 * aim):
                missed.append(f"{cell.name} takes {seconds:,.0f} s instead of {aim:,} s")
        of = f"{len(judged) - len(missed)} of {len(judged)}"
        said.append(f"- {what} (within 10 s or 5 %, or better) in {of} cells{': ' + '; '.join(missed) if missed else ''}.")
    return "\n".join(said)
