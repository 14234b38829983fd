"""RFC 3339 texts and Unix seconds. Reads no clock."""

from datetime import UTC, datetime


def rfc3339(seconds: float) -> str:
    """Whole seconds in UTC, as Kubernetes prints times."""
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def unix(text: str) -> float:
    """Unix seconds of an RFC 3339 text; 0.0 where there is none."""
    if not text:
        return 0.0
    return datetime.fromisoformat(text).timestamp()
