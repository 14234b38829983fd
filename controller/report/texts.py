"""The report for other readers: Markdown for a pull request, JSON for machines, JUnit for a pipeline."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

from controller.core.words import many, visible
from controller.report.facts import CheckFacts, Facts, seconds
from controller.report.html import OUTCOMES
from controller.times import rfc3339

WORDS = {"pass": "pass", "fail": "**fail**", "inconclusive": "no answer", "": "open"}
_NO_LETTER = re.compile(r"[\ufffe\uffff]")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~&])")


def markdown(facts: Facts) -> str:
    """A page of Markdown."""
    return "\n".join(_markdown(facts)) + "\n"


def plain(text: str) -> str:
    """A foreign text, without any effect in Markdown."""
    return _MARKDOWN.sub(r"\\\1", visible(" ".join(text.split())))


def _markdown(facts: Facts) -> Iterator[str]:
    yield f"# {plain(facts.title)}: {OUTCOMES[facts.outcome][2:]}"
    yield ""
    yield plain(facts.sentence)
    yield ""
    yield from (f"- {term}: {value}" for term, value in facts.blast)
    if facts.started:
        took = seconds(max(0.0, facts.ended - facts.started))
        revision = f", revision {plain(facts.revision)}" if facts.revision else ""
        lasted = f"recorded for {took}" if facts.running else f"took {took}"
        yield f"- Began {rfc3339(facts.started)}, {lasted}; plan {plain(facts.plan)}{revision}"
    yield from (f"- Note: {plain(note)}" for note in facts.notes)
    if facts.stages:
        yield from ("", "| stage | weight | window | green | blue | verdict |", "|---|---|---|---|---|---|")
        for stage in facts.stages:
            window = f"{rfc3339(stage.opened)[11:19]} to {rfc3339(stage.ended)[11:19]}" if stage.ended > stage.opened > 0 else ""
            verdict = f"skipped by {plain(stage.skipped)}" if stage.skipped else WORDS.get(stage.verdict, "")
            yield f"| {stage.number} | {stage.weight} % | {window} | {stage.green:,.0f} | {stage.blue:,.0f} | {verdict} |"
    if facts.checks:
        yield from ("", "| check | answer | numbers |", "|---|---|---|")
        yield from (f"| {plain(check.name)} ({check.kind}) | {WORDS[check.outcome]} | {plain(check.sentence)} |" for check in facts.checks)
    if not facts.phase:
        return
    yield from ("", "| at | decision | |", "|---|---|---|")
    yield from (f"| {rfc3339(entry.at)} | {plain(entry.kind)} | {plain(entry.message)} |" for entry in facts.entries)
    yield ""
    same = "all as recorded" if facts.difference is None else f"look {facts.difference.number} came out otherwise"
    yield f"Decided again for this report: {many(facts.looks, 'look')}, {same}."


def as_json(facts: Facts) -> dict[str, Any]:
    """Everything, for machines; times are Unix seconds."""
    return {"format": 1, **dataclasses.asdict(facts)}


def junit(facts: Facts) -> str:
    """One test suite: a case of the verdict, then one a stage and a check; what has no answer is skipped, never passed.

    A past window that nobody could judge is an error: a pipeline must not go on by it.
    """
    cases = [_verdict_case(facts), *_stage_cases(facts), *(_check_case(facts, check) for check in facts.checks)]
    failures, errors, skipped = (sum(f"<{kind} " in case for case in cases) for kind in ("failure", "error", "skipped"))
    took = max(0.0, facts.ended - facts.started) if facts.started else 0.0
    head = (
        f'<testsuite name={attribute(facts.title)} tests="{len(cases)}" failures="{failures}" errors="{errors}" skipped="{skipped}" '
        f'time="{took:.3f}" timestamp="{rfc3339(facts.started)}">'
    )
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>"]) + "\n"


_VERDICTS = {"succeeded": "", "passed": "", "running": "skipped", "open": "error"}
"""How a verdict counts in JUnit; every other one is a failure."""


def _verdict_case(facts: Facts) -> str:
    """The verdict itself: a release can go back, and a window fail, though no single check or stage did."""
    kind = _VERDICTS.get(facts.outcome, "failure")
    inner = f"<{kind} message={attribute(facts.sentence)}/>" if kind else ""
    return case(facts, "verdict", max(0.0, facts.ended - facts.started) if facts.started else 0.0, inner)


def _stage_cases(facts: Facts) -> Iterator[str]:
    for stage in facts.stages:
        inner = ""
        if stage.verdict == "fail":
            inner = f"<failure message={attribute(facts.sentence)}/>"
        elif stage.skipped:
            inner = f"<skipped message={attribute(f'skipped by {stage.skipped}')}/>"
        elif stage.verdict != "pass":
            inner = f"<skipped message={attribute('not judged')}/>"
        yield case(facts, f"stage {stage.number}: {stage.weight} %", max(0.0, stage.ended - stage.opened), inner)


def _check_case(facts: Facts, check: CheckFacts) -> str:
    if check.outcome == "fail" or check.cause:
        inner = f"<failure message={attribute(check.sentence)}/>"
    else:
        inner = "" if check.outcome == "pass" else f"<skipped message={attribute(check.sentence)}/>"
    return case(facts, f"{check.kind} {check.name}", 0.0, inner)


def case(facts: Facts, name: str, took: float, inner: str) -> str:
    """One test case."""
    return f'  <testcase classname={attribute(facts.title)} name={attribute(name)} time="{took:.3f}">{inner}</testcase>'


def attribute(text: str) -> str:
    """A foreign text as an attribute; letters that XML does not have are left out."""
    return quoteattr(_NO_LETTER.sub("", visible(text)))
