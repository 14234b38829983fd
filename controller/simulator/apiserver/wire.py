"""HTTP/1.1 on loopback, small and quick: keep-alive, chunked streams, a graceful stop. Knows nothing of Kubernetes."""

import select
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

MAX_HEADERS = 100
MAX_LINE_BYTES = 65536
_PHRASES = {
    200: "OK", 201: "Created", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 409: "Conflict", 410: "Gone", 413: "Request Entity Too Large", 415: "Unsupported Media Type",
    422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented", 504: "Gateway Timeout",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `query` keeps the last value of each name; header names are lower case; `alive` asks whether the client is there."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    alive: Callable[[], bool]
    body_length: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: `body` is bytes, or an iterator of chunks that streams until it ends."""

    code: int
    body: bytes | Iterator[bytes] = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: tuple[tuple[str, str], ...] = ()


Handle = Callable[[Request], Reply]


class HttpServer:
    """A threading server on loopback around one function from `Request` to `Reply`."""

    def __init__(self, handle: Handle, *, host: str = "127.0.0.1", port: int = 0, max_body: int = 16 * 1024 * 1024) -> None:
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        outer = self

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                outer.serve(self.request)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

        self._handle, self._max_body = handle, max_body
        self._listener = Listener((host, port), Connection)
        self.host, self.port = host, int(self._listener.server_address[1])
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="apiserver-http"
        )

    def start(self) -> None:
        """Listen in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further connection, close the open ones, and return when the listener has ended."""
        self._listener.shutdown()
        self._listener.server_close()
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # The client was faster.
                    continue
        self._thread.join(timeout=5)

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection until it ends."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._guard:
            self._open.add(connection)
        try:
            with connection.makefile("rb", buffering=MAX_LINE_BYTES) as reader:
                while self._answer_one(connection, reader):
                    pass
        except OSError:
            # A reset by the client ends its connection and nothing else.
            return
        finally:
            with self._guard:
                self._open.discard(connection)

    def _answer_one(self, connection: socket.socket, reader: Any) -> bool:
        line = reader.readline(MAX_LINE_BYTES)
        if not line.strip():
            return bool(line)
        parts = line.decode("latin-1").split()
        headers = _headers(reader)
        if len(parts) != 3 or headers is None:  # noqa: PLR2004 - method, target, version
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body, length = self._body(reader, headers)
        method, target, version = parts
        path, _, query = target.partition("?")
        request = Request(
            method, unquote(path), dict(parse_qsl(query, keep_blank_values=True)), headers, body, lambda: _alive(connection), length
        )
        keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        whole = _send(connection, self._handle(request), keep=keep, head_only=method == "HEAD")
        return keep and whole

    def _body(self, reader: Any, headers: Mapping[str, str]) -> tuple[bytes, int]:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = _chunks(reader, self._max_body)
            return body, len(body)
        length = int(headers.get("content-length") or 0)
        if length > self._max_body:
            # Read on without keeping it, so that the refusal reaches a client that is still writing.
            left = length
            while left > 0 and (part := reader.read(min(left, MAX_LINE_BYTES))):
                left -= len(part)
            return b"", length
        return (reader.read(length) if length else b""), length


def _headers(reader: Any) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for _ in range(MAX_HEADERS):
        line = reader.readline(MAX_LINE_BYTES)
        if line in (b"\r\n", b"\n", b""):
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        name = name.strip().lower()
        headers[name] = f"{headers[name]},{value.strip()}" if name in headers else value.strip()
    return None


def _chunks(reader: Any, limit: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while True:
        size = int(reader.readline(MAX_LINE_BYTES).split(b";")[0].strip() or b"0", 16)
        if size == 0:
            reader.readline(MAX_LINE_BYTES)
            return b"".join(parts)
        total += size
        part = reader.read(size)
        if total <= limit:
            parts.append(part)
        reader.readline(MAX_LINE_BYTES)


def _alive(connection: socket.socket) -> bool:
    """Whether the client has not hung up; bytes that wait to be read count as life."""
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return not readable or bool(connection.recv(1, socket.MSG_PEEK))
    except (OSError, ValueError):
        return False


def _send(connection: socket.socket, reply: Reply, *, keep: bool, head_only: bool) -> bool:
    """Send one answer; False where the connection must end after it."""
    lines = [f"HTTP/1.1 {reply.code} {_PHRASES.get(reply.code, 'Unknown')}", f"Content-Type: {reply.content_type}"]
    lines += [f"{name}: {value}" for name, value in (*reply.headers.items(), *reply.extra)]
    if not keep:
        lines.append("Connection: close")
    if isinstance(reply.body, bytes):
        lines.append(f"Content-Length: {len(reply.body)}")
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        connection.sendall(head if head_only else head + reply.body)
        return True
    lines.append("Transfer-Encoding: chunked")
    connection.sendall("\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n")
    for chunk in reply.body:
        connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
    connection.sendall(b"0\r\n\r\n")
    return True
