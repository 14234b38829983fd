"""What Kayenta's judge was given, read off a record: the values of each metric over its window, and what was asked for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from analysis.model import Arm
from controller.core.arms import colour_of
from controller.evidence.replay import Step

Values = dict[str, dict[str, dict[float, float]]]
"""By check and metric, by colour, by time."""


@dataclass(frozen=True, slots=True)
class MetricFacts:
    """The values of one metric, by time, Unix seconds."""

    name: str
    green: tuple[tuple[float, float], ...]
    blue: tuple[tuple[float, float], ...]


def take(values: Values, step: Step) -> None:
    """What gates were given in one look as values over a window."""
    for key, measurement in (step.look.measured.answers if step.look.measured else {}).items():
        kind, _, rest = key.partition("/")
        if kind != "gate" or measurement.answer.result_type != "matrix":
            continue
        name, _, arm = rest.rpartition("/")
        found = values.setdefault(f"check/{name}", {}).setdefault(colour_of(Arm(arm)), {})
        found |= {sample.time: sample.value for one in measurement.series for sample in one.samples}


def metrics_of(place: str, values: Values) -> Iterator[MetricFacts]:
    """The metrics of one check."""
    for name, by in values.items():
        if name.startswith(f"{place}/"):
            green, blue = (tuple(sorted(by.get(colour, {}).items())) for colour in ("green", "blue"))
            yield MetricFacts(name.removeprefix(f"{place}/"), green, blue)


def queries_of(place: str, queries: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The queries of one check's metrics, by metric and colour."""
    mine = {name.removeprefix(f"{place}/"): asked for name, asked in queries.items() if name.startswith(f"{place}/")}
    return {f"{metric}, {colour}": query for metric, asked in mine.items() for colour, query in asked.items()}
