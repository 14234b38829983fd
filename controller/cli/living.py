"""The stored words of a release, brought up to this moment: what has passed since, and what a person can still do. Pure.

The status is written once a minute, so that its sentence says `0 of 300 s` for a while. The figures behind it are
stored too, and from them the sentence is said again as it holds now.
"""

import re
from collections.abc import Mapping
from typing import Any

from controller.cli.words import number, record, rows, span
from controller.core import reasons

UNCONFIRMED_SECONDS = 300.0
"""Several times as long as a window that advances stays without a write."""

_PROGRESS = re.compile(r"\b\d+ of (\d+) s\b")


def judged(stage: Mapping[str, Any], window: float | None, now: float) -> float:
    """How much of the window is judged by now, seconds: what is stored, and what has passed since.

    In between two writes of the status this is an estimate that assumes data.
    """
    of = record(stage.get("window"))
    opened, last = number(of.get("openedAt")), number(of.get("lastSample"))
    ran = number(of.get("ran")) + max(0.0, now - max(opened, last))
    return min(ran, window) if window else ran


def sentence_now(message: str, reason: str, stage: Mapping[str, Any], window: float | None, now: float) -> str:
    """The stored sentence with how far the window is now.

    Args:
        message: as stored.
        reason: its word; only those of a running window have figures that move.
        stage: the stage (or the return) that runs, as stored.
        window: its length in seconds; None where the plan is not known.
        now: Unix seconds.
    """
    opens = number(record(stage.get("window")).get("openedAt"))
    if not opens:
        return message
    if reason == reasons.WARMING_UP:
        left = opens - now
        if left <= 0 and window:
            return reasons.say(reasons.MEASURING, f"0 of {window:.0f} s")
        return reasons.say(reason, f"in {max(0.0, left):.0f} s")
    if reason in (reasons.MEASURING, reasons.BAKING, reasons.RETURNING):
        return _PROGRESS.sub(lambda found: f"{judged(stage, float(found[1]), now):.0f} of {found[1]} s", message)
    return message


def unconfirmed(status: Mapping[str, Any], updated: float, now: float) -> str:
    """A note where a window runs and nobody has written about it for long; "" where all is as it should be.

    Args:
        status: as stored.
        updated: when the controller wrote last, Unix seconds.
        now: Unix seconds.
    """
    if status.get("phase") not in ("Measuring", "Baking"):
        return ""
    opened = [number(record(stage.get("window")).get("openedAt")) for stage in rows(status.get("stages"))]
    silent = now - max([updated, *opened])
    if silent < UNCONFIRMED_SECONDS:
        return ""
    wants = "see whether one leads (the Lease penstock-system/penstock) and has its rights in this namespace"
    return f"Nothing was written about it for {span(silent)}; a controller that looks after it writes about once a minute: {wants}."


_CLAUSES = re.compile(r"([;.] |, (?=(?:then |or )?penstock ))")
"""Between two things that can be done. Other commas stand inside of one: `shows both rates, the requests and the e-value`."""


def without(step: str, *verbs: str) -> str:
    """A next step without the clauses that name these verbs; "" where nothing is left of it."""
    parts = _CLAUSES.split(step.rstrip("."))
    kept, between = "", ""
    for clause, mark in zip(parts[::2], ["", *parts[1::2]], strict=True):
        between = max(between, mark, key=[", ", "; ", ". "].index) if between and mark else between or mark
        if not any(re.search(rf"\bpenstock {verb}\b", clause) for verb in verbs if verb):
            kept, between = f"{kept}{between}{clause}" if kept else clause, ""
    kept = re.sub(r"^(then|or) ", "", kept)
    return f"{kept if kept.startswith('penstock ') else kept[:1].upper() + kept[1:]}." if kept else ""
