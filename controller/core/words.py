"""Words that several sentences share. Imports nothing, so that a command which only prints them stays light."""

HAS_TRAFFIC = "it has traffic again"
GETS_REQUESTS = "it still gets requests"


def is_used(kept: str) -> bool:
    """Whether an old version is kept because it is used, by the words for it: that has no deadline, so that a person ends it (S5, L6)."""
    return kept.startswith((HAS_TRAFFIC, GETS_REQUESTS))


def many(number: float, noun: str, digits: str = ",.0f") -> str:
    """So many of something, in whole ones unless `digits` says otherwise: `1 request`, `1,204 requests`."""
    told = f"{number:{digits}}"
    return f"{told} {noun}" if told == "1" else f"{told} {noun}s"
