"""Logs as one JSON object a line on stderr: time, level, message, and what the line is about."""

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import orjson

FIELDS = ("release", "stage", "phase", "decision", "epoch", "seconds")
"""What a line may be about, given as `extra`."""


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
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("controller").setLevel(level)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
