"""What a reason is: a word with its sentence, its next step and its severity. The words themselves stand in `core.reasons`."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How loud a reason is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Reason:
    """One word with what it means and what to do."""

    word: str
    sentence: str
    next_step: str
    severity: Severity = Severity.INFO

    def say(self, detail: str = "") -> str:
        """The sentence with its numbers; without any, it ends where they would stand."""
        if not detail and self.sentence.endswith(_OPEN):
            return f"{self.sentence.removesuffix(_OPEN)}."
        return _DOUBLED.sub("", self.sentence.replace("{detail}", detail).strip())


REASONS: dict[str, Reason] = {}

_OPEN = ": {detail}"

_DOUBLED = re.compile(r"(?<!\.)\.(?=[,;:]\s|\.$)")
"""A detail that is a sentence itself brings its own full stop, also where ours goes on behind it."""


def reason(word: str, sentence: str, next_step: str, severity: Severity = Severity.INFO) -> str:
    """One more word of the vocabulary. Raises ValueError for one that is in it already."""
    if word in REASONS:
        raise ValueError(f"the reason {word} is in the vocabulary already")  # the second sentence would silently be said for both
    REASONS[word] = Reason(word, sentence, next_step, severity)
    return word


def say(word: str, detail: str = "") -> str:
    """The sentence of a reason; a word of a newer version is printed as it is."""
    known = REASONS.get(word)
    return known.say(detail) if known else f"{word}: {detail}"


def next_step(word: str) -> str:
    """What can be done about it."""
    known = REASONS.get(word)
    return known.next_step if known else "Ask the version of Penstock that wrote this."


def severity(word: str) -> Severity:
    """How loud it is."""
    known = REASONS.get(word)
    return known.severity if known else Severity.WARNING
