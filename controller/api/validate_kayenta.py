"""What is wrong or unwise about checks with `method: kayenta`: too few values, and asking a test with a fixed horizon often."""

from collections.abc import Iterator
from typing import Any

from controller.api.base import MINUTE
from controller.api.plan_checks import Method
from controller.api.plan_kayenta import LEAST_VALUES
from controller.api.validate_plan import Note, each, part, seconds, stages_of
from controller.api.validate_yaml import Path

GOOD_VALUES = 50
"""As many as its makers advise."""

CHANCE_PERCENT = 1.0
"""Of a healthy metric to be called worse in one direction: half of what 98 % leave."""


def kayenta_notes(spec: dict[str, Any]) -> Iterator[Note]:
    """Everything about these checks that crosses fields."""
    for index, check in each(spec, "checks"):
        if check.get("method") == Method.KAYENTA and isinstance(check.get("kayenta"), dict):
            chosen = check.get("stages")
            judged = [stage for stage in stages_of(spec) if not isinstance(chosen, list) or not chosen or stage[1] in chosen]
            yield from _values(index, check["kayenta"], judged)
            yield from _often(index, check["kayenta"], len(judged))


def _values(index: int, asked: dict[str, Any], judged: list[tuple[int, int, float]]) -> Iterator[Note]:
    step = seconds(asked.get("step"), MINUTE)
    if step <= 0 or not judged:
        return  # said by the model
    shortest, weight = min((window, weight) for _, weight, window in judged)
    values = int(shortest // step)
    path: Path = ("checks", index, "kayenta", "step")
    found = f"{values} values in the window of {weight} %"
    if values < LEAST_VALUES:
        yield "error", path, found, f"at least {LEAST_VALUES}", "with fewer nothing can be told apart: a shorter step, or a longer window"
    elif values < GOOD_VALUES:
        yield "warning", path, found, f"{GOOD_VALUES} or more", "with few values only large changes are found"


def _often(index: int, asked: dict[str, Any], looks: int) -> Iterator[Note]:
    metrics = [one for _, one in each(asked, "metrics") if one.get("muted") is not True]
    chances = sum(1 if one.get("direction") in ("increase", "decrease") else 2 for one in metrics)
    by_chance = 100 * (1 - (1 - CHANCE_PERCENT / 100) ** (chances * looks))
    if looks > 1:
        found = f"Kayenta's judge at {looks} stages: in up to {by_chance:.0f} % of healthy releases some metric fails by chance"
        hint = "its 98 % hold for one look: name one stage under `stages`; sequential checks have one bound for all looks"
        yield "warning", ("checks", index, "stages"), found, "one stage", hint


def queries(spec: dict[str, Any]) -> Iterator[tuple[Path, str, float, Any, dict[str, Any]]]:
    """Path, text, step, member and check of every query of these checks."""
    for index, check in each(spec, "checks"):
        asked = part(check, "kayenta")
        for at, metric in each(asked, "metrics"):
            if isinstance(metric.get("query"), str):
                path: Path = ("checks", index, "kayenta", "metrics", at, "query")
                yield path, metric["query"], seconds(asked.get("step"), MINUTE), check.get("member"), check
