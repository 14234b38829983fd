"""Times as the API writes them, and uids that are the same in every run of the same seed."""

from collections.abc import Callable
from datetime import UTC, datetime

_NAME_CHARACTERS = "bcdfghjklmnpqrstvwxz2456789"
"""The characters of generated names: no vowels, so that no words come out."""


class Stamps:
    """Time stamps, uids and name suffixes of one server."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._second = -1
        self._text = ""
        self._made = 0

    def time(self) -> str:
        """Now, RFC 3339 with whole seconds, as object times are written."""
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._text

    def uid(self) -> str:
        """The next uid: the shape of a UUID over a counter."""
        self._made += 1
        return f"{self._made:08x}-0000-4000-8000-{self._made:012x}"

    def suffix(self) -> str:
        """Five characters for a generated name, scattered over the alphabet but determined by the counter."""
        self._made += 1
        number, letters = self._made * 7_368_787 % 14_348_907, []
        for _ in range(5):
            number, digit = divmod(number, len(_NAME_CHARACTERS))
            letters.append(_NAME_CHARACTERS[digit])
        return "".join(letters)
