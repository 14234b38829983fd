"""Logs as one JSON object a line on stderr: time, level, message, and what the line is about."""

import logging
import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

import orjson

FIELDS = ("release", "stage", "phase", "decision", "actions", "epoch", "seconds")
"""What a line may be about, given as `extra`."""


AGAIN_SECONDS = 60.0
"""A warning that is repeated word for word is written this often."""

WARNINGS_KEPT = 1000
"""So many different ones are remembered; beyond that the old ones are forgotten, and written again."""


class OnceAMinute(logging.Filter):
    """A trouble that lasts (a token that is not accepted, a server that is away) is said at once, then once a minute.

    What is tried again every second or ten, by a dozen watches and the lease, would bury everything else in the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[object, ...], float] = {}
        self._guard = threading.Lock()  # filters run before the handler takes its own

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; decisions and defects always are."""
        if record.levelno != logging.WARNING or record.exc_info:
            return True
        key = (record.name, record.getMessage(), getattr(record, "release", None))
        with self._guard:
            if 0 <= record.created - self._said.get(key, float("-inf")) < AGAIN_SECONDS:
                return False
            self._said.pop(key, None)
            if len(self._said) >= WARNINGS_KEPT:
                self._said.pop(next(iter(self._said)))
            self._said[key] = record.created
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record; of a defect with its trace."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def log_to(stream: TextIO | None = None, level: str = "INFO") -> None:
    """Send all logs there (stderr), as JSON lines. Libraries speak up from warnings on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(OnceAMinute())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("controller").setLevel(level)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
