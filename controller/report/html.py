"""The report as one HTML file: no network, light and dark, readable without script, by keyboard, aloud and on paper.

Every text of the release goes through `escape`; the data for the script are JSON in which no `<` stands. A policy in the
page's head forbids it any request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import orjson

from controller.core.words import many
from controller.report.facts import CheckFacts, Entry, Facts, Point, StageFacts, seconds
from controller.report.foreign import escape
from controller.report.plots import Plot, as_data, check_plots, room_for, svg, traffic_plot
from controller.times import rfc3339

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

MOST_ROWS = 120
PAGE_ROWS = 500
"""Rows of a check's table, and of all of them: of more measurements those that change the outcome and every so many of the others."""

KINDS = {"gate": "gate", "trigger": "trigger, watched all the time", "sequential": "sequential"}
MARKS = {"pass": "✔ pass", "fail": "✖ fail", "inconclusive": "? no answer", "": "· not judged"}
OUTCOMES = {
    "succeeded": "✔ Succeeded", "rolled-back": "✖ Rolled back", "halted": "✖ Halted for a person", "refused": "✖ Refused",
    "running": "… Under way", "passed": "✔ Pass", "failed": "✖ Fail", "open": "? Inconclusive",
}  # fmt: skip


@dataclass(slots=True)
class _Drawn:
    """The plots of the page so far, and how many points each curve may have."""

    most: int
    drawn: list[Plot] = field(default_factory=list)


def html(facts: Facts) -> str:
    """The whole page."""
    every = [traffic_plot(facts), *(plot for number, check in enumerate(facts.checks) for plot in check_plots(check, f"c{number}"))]
    plots = _Drawn(room_for(every))
    parts = [*traffic(facts, plots), *checks(facts, plots), *decisions(facts)] if facts.phase else checks(facts, plots)
    body = "".join([*head(facts), "<main>", *parts, *again(facts), "</main>"])
    since, until = span(facts)
    data = {plot.key: as_data(plot, since, until, plots.most) for plot in plots.drawn}
    return "".join([
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><meta name="color-scheme" content="light dark">',
        f"<title>{escape(facts.title)}: {escape(OUTCOMES[facts.outcome][2:])}</title>",
        f"<style>{asset('uplot.min.css')}{asset('report.css')}</style></head><body>",
        '<a class="skip" href="#checks">To the checks</a>', body,
        f"<footer>Made by Penstock {escape(facts.version)}. Times are UTC.</footer>",
        f'<script type="application/json" id="plots">{safe(data)}</script>',
        f"<!-- uPlot:\n{asset('uplot.LICENSE.txt')}--><script>{asset('uplot.min.js')}</script>",
        f"<script>{asset('report.js')}</script></body></html>\n",
    ])  # fmt: skip


def asset(name: str) -> str:
    """A file that is part of the page."""
    return (files("controller.report") / "assets" / name).read_text(encoding="utf-8")


def safe(data: object) -> str:
    """JSON that can stand within a script element."""
    text = orjson.dumps(data).decode()
    for letter in "&<>\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def span(facts: Facts) -> tuple[float, float]:
    """The time that all plots show."""
    times = [time for time, _ in facts.weights] + [point.at for check in facts.checks for point in check.points]
    since = facts.started or min(times, default=0.0)
    return since, max([*times, facts.ended, since + 1])


def clock(time: float) -> str:
    """Time of day, with the date for machines."""
    if not time:
        return "-"
    stamp = rfc3339(time)
    return f'<time datetime="{stamp}">{stamp[11:19]}</time>'


def head(facts: Facts) -> Iterator[str]:
    """The verdict and the blast radius, first."""
    yield f'<header><h1>{escape(facts.title)}</h1><p class="verdict {facts.outcome}">'
    yield f'<span class="mark">{OUTCOMES[facts.outcome]}</span><br>'
    yield f'{escape(facts.sentence)}</p><dl class="facts">'
    ended = f"{clock(facts.ended)}, after {seconds(facts.ended - facts.started)}" if facts.started and facts.ended > facts.started else "-"
    day = rfc3339(facts.started)[:10] if facts.started else "-"
    about = [("Plan", escape(facts.plan)), *([("Revision", escape(facts.revision))] if facts.revision else []), ("Day", day)]
    times = [("Began", clock(facts.started)), ("Recorded until" if facts.running else "Ended", ended)]
    for term, value in [*((escape(a), escape(b)) for a, b in facts.blast), *about, *times]:
        yield f"<div><dt>{term}</dt><dd>{value}</dd></div>"
    yield "</dl>"
    yield from (f'<p class="note" role="note">{escape(note)}</p>' for note in facts.notes)
    yield "</header>"


def figure(plot: Plot, facts: Facts, plots: _Drawn) -> Iterator[str]:
    """A plot: the still image, the place for the live one, and the key."""
    plots.drawn.append(plot)
    yield f'<figure data-plot="{escape(plot.key)}"><figcaption>{escape(plot.title)}{f", {escape(plot.unit)}" if plot.unit else ""}<br>'
    for curve in plot.curves:
        line = f'<svg viewBox="0 0 30 10" aria-hidden="true"><path class="curve {curve.style}" d="M0 5L30 5"/></svg>'
        yield f'<span class="key">{line} {escape(curve.label)}</span>'
    yield "</figcaption>"
    yield svg(plot, *span(facts), plots.most).replace("<svg ", '<svg class="still" ', 1)
    yield '<div class="live" aria-hidden="true"></div></figure>'


def wide(caption: str, more: str = "") -> str:
    """The beginning of a table that may be wider than the page: the keyboard reaches it, and a screen reader says what it is."""
    return f'<div class="wide" role="region" aria-label="{caption}" tabindex="0"><table{more}><caption>{caption}</caption>'


def traffic(facts: Facts, plots: _Drawn) -> Iterator[str]:
    """The way of the traffic with stages, windows and verdicts."""
    yield '<section id="traffic" aria-label="Traffic"><h2>Traffic</h2>'
    if facts.weights:
        yield from figure(traffic_plot(facts), facts, plots)
    else:
        yield "<p>No traffic was ever shifted.</p>"
    if facts.stages:
        yield wide("Stages")
        yield '<thead><tr><th scope="col">Stage</th><th scope="col" class="n">Weight</th>'
        yield '<th scope="col">Granted</th><th scope="col">Window</th><th scope="col" class="n">Requests of green</th>'
        yield '<th scope="col" class="n">of blue</th><th scope="col">Verdict</th></tr></thead><tbody>'
        yield from (stage_row(stage) for stage in facts.stages)
        yield "</tbody></table></div>"
    yield "</section>"


def stage_row(stage: StageFacts) -> str:
    """One stage."""
    window = f"{clock(stage.opened)} - {clock(stage.ended)}" if stage.ended > stage.opened > 0 else "-"
    verdict = f"skipped by {escape(stage.skipped)}" if stage.skipped else MARKS.get(stage.verdict, escape(stage.verdict))
    return (
        f'<tr><th scope="row">{stage.number}</th><td class="n">{stage.weight} %</td><td>{clock(stage.entered)}</td><td>{window}</td>'
        f'<td class="n">{stage.green:,.0f}</td><td class="n">{stage.blue:,.0f}</td><td>{verdict}</td></tr>'
    )


def checks(facts: Facts, plots: _Drawn) -> Iterator[str]:
    """Every check, failures first and open."""
    yield '<section id="checks" aria-label="Checks"><h2>Checks</h2>'
    if not facts.checks:
        yield "<p>Nothing was measured.</p>"
    for number, check in enumerate(facts.checks):
        is_open = check.cause or check.outcome == "fail" or (number == 0 and facts.outcome != "succeeded")
        because = " - the cause of the rollback" if check.cause else ""
        yield f'<details{" open" if is_open else ""} class="{check.outcome or "open"}"><summary>'
        yield f'<h3><span class="mark">{MARKS[check.outcome]}</span> <strong>{escape(check.name)}</strong> ({KINDS[check.kind]}){because}'
        yield "</h3><br>"
        yield f"{escape(check.sentence)}</summary>"
        for plot in check_plots(check, f"c{number}"):
            yield from figure(plot, facts, plots)
        for colour, query in sorted(check.queries.items()):
            yield f"<h4>Query{'' if colour == 'both' else f', {escape(colour)}'}</h4><pre><code>{escape(query)}</code></pre>"
        yield from table(check, min(MOST_ROWS, PAGE_ROWS // len(facts.checks)))
        yield "</details>"
    yield "</section>"


def chosen(points: Sequence[Point], most: int) -> list[Point]:
    """The rows of a table: all, or those at which the outcome changes and every so many of the others."""
    if len(points) <= most:
        return list(points)
    every = -(-len(points) // most)
    return [
        point for index, point in enumerate(points)
        if index % every == 0 or index == len(points) - 1 or point.outcome != points[index - 1].outcome
    ]  # fmt: skip


def table(check: CheckFacts, most: int) -> Iterator[str]:
    """The measurements as numbers."""
    rows = chosen(check.points, most)
    cut = f"; {len(rows)} of {len(check.points)} rows" if len(rows) < len(check.points) else ""
    unit = f", {escape(check.unit)}" if check.unit else ""
    yield f"<details><summary>Table of the measurements{cut}</summary>"
    yield wide(f"{escape(check.name)}{unit}; times are UTC", ' class="numbers"')
    sequential = check.ln_bound is not None
    edges = any(point.edge for point in rows)
    heads = ("At", *(("Requests",) if edges else ()), "Green", "Blue", "Limit", "n", *(("ln E",) if sequential else ()), "Answer")
    yield f'<thead><tr>{"".join(f"""<th scope="col">{head}</th>""" for head in heads)}</tr></thead><tbody>'
    for point in rows:
        numbers = [point.green, point.blue, point.limit]
        cells = [
            rfc3339(point.at)[11:19],
            *((escape(point.edge),) if edges else ()),
            *map(figure_of, numbers),
            f"{point.n:,.0f}" if point.n is not None else "-",
        ]
        cells += [figure_of(point.ln_e, LN_E_DIGITS)] if sequential else []
        mark = MARKS.get(point.outcome, escape(point.outcome))
        yield f"<tr>{''.join(f'<td>{cell}' for cell in [*cells, mark])}"  # a cell ends where the next begins: rows are most of a page
    yield "</tbody></table></div></details>"


LN_E_DIGITS = 6
"""Digits behind the point of ln E in a table: it begins at 0 but for what floats lose."""


def figure_of(value: float | None, digits: int | None = None) -> str:
    """A number in a table, with at most so many digits behind its point."""
    if value is None:
        return "-"
    return f"{value if digits is None else round(value, digits) + 0.0:.6g}"


def decisions(facts: Facts) -> Iterator[str]:
    """What was decided, and what people asked for."""
    yield '<section id="decisions" aria-label="Decisions"><h2>Decisions</h2>'
    yield from entry_table("Every decision, in order", facts.entries)
    yield '</section><section id="requests" aria-label="Requests"><h2>People\'s requests</h2>'
    if facts.requests:
        yield from entry_table("What people asked for", facts.requests)
    else:
        yield "<p>Nobody asked for anything.</p>"
    yield "</section>"


def entry_table(caption: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Records as rows."""
    yield wide(caption, ' class="entries"')
    yield '<thead><tr><th scope="col">At</th><th scope="col">What</th>'
    yield '<th scope="col" class="n">Stage</th><th scope="col">Sentence</th></tr></thead><tbody>'
    for entry in entries:
        stage = "-" if entry.stage is None or entry.stage < 0 else str(entry.stage + 1)
        yield f'<tr><td>{clock(entry.at)}</td><td class="what">{escape(entry.kind)}</td><td class="n">{stage}</td>'
        yield f"<td>{escape(entry.message)}</td></tr>"
    yield "</tbody></table></div>"


def again(facts: Facts) -> Iterator[str]:
    """How to replay, and what came out when the report was made."""
    yield '<section id="replay" aria-label="Decide it again"><h2>Decide it again</h2>'
    if facts.difference is not None:
        yield f'<p class="note">While this report was made, look {facts.difference.number} came out otherwise than recorded '
        yield f"({escape(facts.difference.path)}): the version that made the report decides otherwise than the one that ran.</p>"
    elif facts.looks:
        yield f"<p>Decided again while this report was made: {many(facts.looks, 'look')}, {facts.decisions} of them decisions: "
        yield "all as recorded.</p>"
    yield f"<pre><code>{escape(chr(10).join(facts.again))}</code></pre></section>"
