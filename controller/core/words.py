"""Words that several sentences share. Imports next to nothing, so that a command which only prints them stays light."""

import re

HAS_TRAFFIC = "it has traffic again"
GETS_REQUESTS = "it still gets requests"
END_REFUSED = "the cluster refuses what is left to do"


def is_used(kept: str) -> bool:
    """Whether an old version is kept by something that only a person ends, by the words for it: requests (S5, L6), or a refusal."""
    return kept.startswith((HAS_TRAFFIC, GETS_REQUESTS, END_REFUSED))


def many(number: float, noun: str, digits: str = ",.0f") -> str:
    """So many of something, in whole ones unless `digits` says otherwise: `1 request`, `1,204 requests`."""
    told = f"{number:{digits}}"
    return f"{told} {noun}" if told == "1" else f"{told} {noun}s"


_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for tab and new line, and those that turn the direction of writing round."""


def visible(text: str) -> str:
    """A text with such characters written out: a name or reason of somebody cannot reorder, hide or colour what stands around it."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
