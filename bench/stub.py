"""A stub Prometheus as a process of its own: `python -m bench.stub PORT`. It answers, and notes who was asked about when.

    GET /api/v1/query?query=...&time=...   as Prometheus
    GET /bad?names=a,b    GET /good?names=a,b    from now on these workloads are bad (good again)
    GET /records    {"polls": {workload: [Unix seconds]}, "bad": {workload: Unix seconds of its first bad answer}}
    GET /forget     begin the records of polls anew

Its clock is the machine's, as the audit log's is.
"""

import asyncio
import sys
import time
from email.utils import formatdate
from functools import partial
from urllib.parse import parse_qs, urlsplit

import orjson

from bench.answers import reply


class Records:
    """All that the stub remembers."""

    def __init__(self) -> None:
        self.bad_names: set[str] = set()
        self.polls: dict[str, list[float]] = {}
        self.bad: dict[str, float] = {}

    def answer(self, target: str) -> bytes:
        """The body for one request target."""
        split = urlsplit(target)
        given = {key: values[0] for key, values in parse_qs(split.query).items()}
        match split.path:
            case "/api/v1/query":
                return self._query(given)
            case "/bad":
                self.bad_names.update(given["names"].split(","))
            case "/good":
                names = set(given["names"].split(","))
                self.bad_names -= names
                self.bad = {name: at for name, at in self.bad.items() if name not in names}
            case "/records":
                return orjson.dumps({"polls": self.polls, "bad": self.bad})
            case "/forget":
                self.polls = {}
        return b"{}"

    def _query(self, given: dict[str, str]) -> bytes:
        now = time.time()
        found = reply(given["query"], float(given.get("time") or now), self.bad_names)
        body = orjson.dumps({"status": "success", "data": found.data})
        self.polls.setdefault(found.subject, []).append(now)
        if found.bad:
            self.bad.setdefault(found.subject, time.time())
        return body


class Connection(asyncio.Protocol):
    """HTTP/1.1 with kept connections, as little of it as the controller's client needs: GET without a body."""

    def __init__(self, records: Records) -> None:
        self._records, self._rest = records, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            body = self._records.answer(request.split(b" ", 2)[1].decode())
            fields = f"Content-Type: application/json\r\nDate: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}"
            self._transport.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + body)


async def serve(port: int) -> None:
    """Until killed."""
    server = await asyncio.get_running_loop().create_server(partial(Connection, Records()), "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
